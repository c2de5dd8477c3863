"""What a network's images are normalised by where its options say it."""

from __future__ import annotations

import pytest
import torch

from headstart.errors import ModelError
from models import model_info
from models.build import build_model


def test_one_number_is_for_all_channels() -> None:
    by = {"normalise": {"mean": 0.5, "std": (0.1, 0.2, 0.3)}, "image_size": 32}
    info = model_info("resnet18", by)
    assert (info.mean, info.std) == ((0.5,) * 3, (0.1, 0.2, 0.3))
    info = model_info("midas_cnn", by)
    assert info.mean == (0.5,)
    assert info.std == pytest.approx((0.2,))
    with pytest.raises(ModelError, match=r"normalise.mean: has 2 numbers, for 3 channels"):
        model_info("midas_cnn", {"normalise": {"mean": [0.1, 0.2], "std": 1}, "channels": 3})


def test_a_grey_first_layer_gives_the_maps_of_three_channels_under_its_own_numbers() -> None:
    by = {"mean": (0.1, 0.2, 0.6), "std": (0.3, 0.2, 0.4)}
    grey, colour = (
        build_model("resnet18", n_classes=2, image_size=(32, 32), channels=n, init_seed=1,
                    head_seed=1, options={"channels": n, "image_size": 32, "normalise": by}).eval()
        for n in (1, 3)
    )  # fmt: skip
    pixels = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    info = model_info("resnet18", {"channels": 1, "normalise": by})
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in by.values())
    with torch.no_grad():
        of_grey = grey((pixels - info.mean[0]) / info.std[0])
        of_colour = colour((pixels - mean) / std)
    torch.testing.assert_close(of_grey, of_colour, rtol=1e-4, atol=1e-4)
