"""Networks that answer with a mean over small moves of the image."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from headstart.errors import ModelError
from models.build import build_model
from models.catalog import options_model
from models.finetune import layer_groups
from models.split import split_at


def midas(shifts: int) -> torch.nn.Module:
    options = options_model("midas_cnn")(image_size=(16, 12), shifts=shifts, width=4)
    return build_model(
        "midas_cnn", n_classes=5, image_size=(16, 12), channels=1, init_seed=1, head_seed=2,
        options=options,
    )  # fmt: skip


def test_the_answer_is_the_mean_over_nine_places_and_training_is_as_without():
    plain, shifted = midas(0).eval(), midas(1).eval()
    shifted.load_state_dict(plain.state_dict())
    images = torch.rand(3, 1, 16, 12, generator=torch.Generator().manual_seed(0))
    wide = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    places = [wide[:, :, y : y + 16, x : x + 12] for y in range(3) for x in range(3)]
    with torch.no_grad():
        mean = torch.stack([plain(place).softmax(dim=1) for place in places]).mean(dim=0)
        answer = shifted(images)
        assert torch.allclose(answer.exp(), mean, atol=1e-6)
        assert torch.allclose(answer.softmax(dim=1), mean, atol=1e-6)
        assert not torch.allclose(answer.exp(), plain(images).softmax(dim=1), atol=1e-4)


def test_it_is_neither_cut_nor_joined_with_others():
    network = midas(1)
    groups = layer_groups(network, torch.zeros(2, 1, 16, 12))
    assert [group.name for group in groups] == [
        group.name for group in layer_groups(midas(0), torch.zeros(2, 1, 16, 12))
    ]
    with pytest.raises(ModelError, match="shifts: 1 makes its answer a mean over moved images"):
        split_at(network, groups, 2)
