"""Changes of images against kornia, for given draws.

Kornia's `adjust_contrast` and `adjust_brightness` are other formulas (it multiplies about 0 and
adds); those of PIL and torchvision, which are ours, it has under other names. Its grayscale rounds
the weights to 0.299, 0.587 and 0.114.
"""

from __future__ import annotations

import math

import kornia.enhance
import kornia.filters
import kornia.geometry
import pytest
import torch

from datasets.augment import apply
from datasets.augment.draws import Draws
from datasets.augment.pixels import OPS, PLACES


def images() -> torch.Tensor:
    return torch.rand((4, 3, 21, 30), generator=torch.Generator().manual_seed(0))


def changed(name: str, strengths: list[float]) -> torch.Tensor:
    made: torch.Tensor = OPS[PLACES[name]][1](images(), torch.tensor(strengths))
    return made


def test_flips_are_kornias() -> None:
    crops = torch.tensor([[30.0, 0, -30, 21], [0, 21, 30, -21], [30, 21, -30, -21], [0, 0, 30, 21]])
    ours, given = apply(images(), Draws(4, 0.0, crops=crops, size=(21, 30))), images()
    hflip, vflip = kornia.geometry.hflip, kornia.geometry.vflip
    theirs = [hflip(given[0]), vflip(given[1]), hflip(vflip(given[2])), given[3]]
    assert torch.equal(ours, torch.stack(theirs))


def test_parts_that_are_cut_are_kornias() -> None:
    corners = [(3, 2), (0, 0), (14, 9), (7, 5)]
    crops = torch.tensor([[x, y, 16, 12] for x, y in corners], dtype=torch.float32)
    ours = apply(images(), Draws(4, 0.0, crops=crops, size=(12, 16)))
    boxes = [[[x, y], [x + 15, y], [x + 15, y + 11], [x, y + 11]] for x, y in corners]
    theirs = kornia.geometry.transform.crop_by_indices(images(), torch.tensor(boxes))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 1.9])
def test_blur_is_kornias(sigma: float) -> None:
    size = 2 * max(1, math.ceil(3 * sigma)) + 1
    theirs = kornia.filters.gaussian_blur2d(images(), (size, size), (sigma, sigma))
    torch.testing.assert_close(changed("blur", [sigma] * 4), theirs, atol=2e-6, rtol=0)


def test_brightness_is_what_kornia_calls_accumulative() -> None:
    theirs = kornia.enhance.adjust_contrast(images(), torch.tensor([0.3, 1.5, 0.9, 1.0]))
    torch.testing.assert_close(changed("brightness", [0.3, 1.5, 0.9, 1.0]), theirs)


def test_contrast_is_kornias_with_the_mean_subtracted() -> None:
    factors = [0.3, 1.5, 0.9, 1.0]
    theirs = kornia.enhance.adjust_contrast_with_mean_subtraction(images(), torch.tensor(factors))
    # The mean of the gray image: their weights of colours have three decimals, ours four.
    torch.testing.assert_close(changed("contrast", factors), theirs, atol=1e-4, rtol=0)
