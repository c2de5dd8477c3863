"""Networks that answer with a mean over small moves of the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from headstart.errors import ModelError
from models.build import build_model
from models.catalog import options_model
from models.finetune import layer_groups
from models.networks.shifted import zoomed
from models.split import split_at


def midas(shifts: int, **more: float) -> torch.nn.Module:
    options = options_model("midas_cnn")(image_size=(16, 12), shifts=shifts, width=4, **more)
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
    with pytest.raises(
        ModelError, match="shifts and zooms make its answer a mean over changed images"
    ):
        split_at(network, groups, 2)


def test_other_sizes_are_views_beside_the_image_as_it_is():
    images = torch.rand(3, 1, 16, 12, generator=torch.Generator().manual_seed(0))
    plain, both = midas(0).eval(), midas(0, zooms=0.1).eval()
    both.load_state_dict(plain.state_dict())
    with torch.no_grad():
        views = [plain(zoomed(images, size)) for size in (0.9, 1.0, 1.1)]
        mean = torch.stack(views).softmax(dim=2).mean(dim=0)
        assert torch.allclose(both(images).exp(), mean, atol=1e-5)
        assert not torch.allclose(mean, plain(images).softmax(dim=1), atol=1e-4)
        each = midas(1, zooms=0.1).eval()
        each.load_state_dict(plain.state_dict())
        one_size = midas(1).eval()
        one_size.load_state_dict(plain.state_dict())
        places = [one_size(zoomed(images, size)).exp() for size in (0.9, 1.0, 1.1)]
        assert torch.allclose(each(images).exp(), torch.stack(places).mean(dim=0), atol=1e-5)


@pytest.mark.parametrize("size", [1.25, 0.8])
def test_a_size_is_what_scipy_makes_of_the_square_and_what_stands_beside_it_stays(size):
    image = torch.rand(1, 1, 20, 30, generator=torch.Generator().manual_seed(1))
    image[..., 5:25] = image[..., :1, :1]
    image[..., 6:13, 9:20] = torch.rand(7, 11, generator=torch.Generator().manual_seed(2))
    expected = image[0, 0].numpy().copy()
    back, middle = np.eye(2) / size, np.array([9.5, 9.5])
    expected[:, 5:25] = ndimage.affine_transform(
        expected[:, 5:25], back, middle - back @ middle, order=1, cval=expected[0, 0]
    )
    assert zoomed(image, size)[0, 0].numpy() == pytest.approx(expected, abs=1e-4)
