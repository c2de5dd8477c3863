"""Augmentation: what each setting does, by hand and against scipy; draws by row; equal bits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage

from datasets.augment import Draws, apply, draw
from datasets.augment.moves import COLUMNS, matrix_of
from datasets.augment_settings import Augment

EVERYTHING = Augment(
    rotate=20, translate=0.1, scale=(0.8, 1.3), shear=10, elastic=0.03, erase=0.5, fill=0.25
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 8, channels: int = 1, size: tuple[int, int] = (28, 28)) -> torch.Tensor:
    return torch.rand((n, channels, *size), generator=generator(99))


def forced(settings: Augment, size: tuple[int, int], **values: float) -> Draws:
    """The draws of one image whose uniform numbers are all 1: each change at its upper limit."""
    column = {name: torch.ones(1) for name in COLUMNS}
    return Draws(1, settings.fill, matrix=matrix_of(settings, column, size))


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    image = torch.tensor([[[[1.0, 0, 0], [0, 0, 0], [0, 0, 0.5]]]])
    turned = apply(image, forced(Augment(rotate=90), (3, 3)))
    expected = torch.rot90(image, -1, dims=(2, 3))  # clockwise, as the y axis points down
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)


def test_a_move_by_a_quarter_of_the_width_is_one_pixel_in_four() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4) / 16
    moved = apply(image, forced(Augment(translate=0.25, fill=0.5), (4, 4)))
    expected = torch.full((1, 1, 4, 4), 0.5)
    expected[..., 1:, 1:] = image[..., :-1, :-1]
    torch.testing.assert_close(moved, expected, atol=1e-6, rtol=0)


def test_scale_above_one_enlarges() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 3:5, 3:5] = 1
    grown = apply(image, forced(Augment(scale=(2.0, 2.0)), (8, 8)))
    assert 3 < float(grown.sum()) / float(image.sum()) < 5


@pytest.mark.parametrize("size", [(28, 28), (20, 44)])
def test_all_moves_together_agree_with_scipy(size: tuple[int, int]) -> None:
    settings = Augment(rotate=25, translate=0.08, scale=0.2, shear=15)
    smooth = ndimage.gaussian_filter(batch(1, 1, size)[0, 0].double().numpy(), 2)
    smooth[:, [0, -1]] = smooth[[0, -1]] = 0  # so that the edge itself is not compared
    draws = draw(settings, 1, size, generator(5))
    ours = apply(torch.from_numpy(smooth).float()[None, None], draws)[0, 0].numpy()
    assert draws.matrix is not None
    theirs = scipy_affine(smooth, draws.matrix[0].double().numpy())
    inner = (slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=2e-4)


def scipy_affine(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The same map from output to input, worked out in pixels and done by scipy."""
    half = np.array([image.shape[1], image.shape[0]]) / 2
    linear = np.diag(half) @ matrix[:, :2] @ np.diag(1 / half)
    offset = half * matrix[:, 2] + half - 0.5 - linear @ (half - 0.5)
    flip = np.array([[0, 1], [1, 0]])  # scipy counts (y, x)
    return ndimage.affine_transform(image, flip @ linear @ flip, flip @ offset, order=1)


def test_rotation_keeps_lengths_on_a_wide_image() -> None:
    draws = forced(Augment(rotate=30), (10, 40))
    assert draws.matrix is not None
    half = torch.diag(torch.tensor([20.0, 5.0]))
    in_pixels = half @ draws.matrix[0, :, :2] @ torch.linalg.inv(half)
    torch.testing.assert_close(in_pixels @ in_pixels.T, torch.eye(2), atol=1e-5, rtol=0)


def test_limits_hold_and_are_reached() -> None:
    draws = draw(Augment(rotate=15), 4000, (28, 28), generator())
    assert draws.matrix is not None
    angle = torch.rad2deg(torch.atan2(draws.matrix[:, 0, 1], draws.matrix[:, 0, 0]))
    assert float(angle.abs().max()) <= 15.0001
    assert float(angle.min()) < -14.5
    assert float(angle.max()) > 14.5
    assert abs(float(angle.mean())) < 0.5


def test_elastic_displaces_by_its_root_mean_square() -> None:
    draws = draw(Augment(elastic=0.03), 3000, (28, 56), generator())
    assert draws.field is not None
    pixels = draws.field * torch.tensor([28.0, 14.0]).view(1, 2, 1, 1)
    rms = pixels.square().mean(dim=(0, 2, 3)).sqrt()
    torch.testing.assert_close(rms, torch.full((2,), 0.03 * 28), rtol=0.02, atol=0)


def test_a_constant_displacement_is_a_move() -> None:
    image = batch(1)
    field = torch.zeros(1, 2, 5, 5)
    field[:, 0] = 2 * 2 / 28  # two pixels along x
    identity = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])
    bent = apply(image, Draws(1, 0.0, matrix=identity, field=field))
    torch.testing.assert_close(bent[..., :-2], image[..., 2:], atol=1e-5, rtol=0)


def test_erasing_covers_its_share_with_the_fill() -> None:
    settings = Augment(erase=0.5, erase_area=(0.1, 0.3), fill=0.75)
    images = torch.zeros(2000, 3, 32, 48)
    covered = apply(images, draw(settings, 2000, (32, 48), generator()))
    assert set(covered.unique().tolist()) == {0.0, 0.75}
    share = (covered[:, 0] > 0).float().mean(dim=(1, 2))
    assert abs(float((share > 0).float().mean()) - 0.5) < 0.04
    assert float(share[share > 0].min()) > 0.07
    assert float(share.max()) < 0.34


def test_identity_returns_the_input_and_draws_nothing() -> None:
    source, images = generator(3), batch()
    before = source.get_state()
    draws = draw(Augment(scale=(1.0, 1.0), fill=1.0), 8, (28, 28), source)
    assert apply(images, draws) is images
    assert torch.equal(before, source.get_state())


def test_the_input_is_not_written_to() -> None:
    images = batch()
    copy = images.clone()
    apply(images, draw(EVERYTHING, 8, (28, 28), generator()))
    assert torch.equal(images, copy)


@pytest.mark.parametrize("channels", [1, 3])
def test_same_seed_same_bits_and_halves_equal_the_whole(channels: int) -> None:
    images = batch(8, channels)
    draws = draw(EVERYTHING, 8, (28, 28), generator(1))
    whole = apply(images, draws)
    assert torch.equal(whole, apply(images, draw(EVERYTHING, 8, (28, 28), generator(1))))
    halves = [apply(images[rows], draws[rows]) for rows in (slice(0, 4), slice(4, 8))]
    torch.testing.assert_close(whole, torch.cat(halves), atol=1e-6, rtol=0)
    assert not torch.equal(whole, apply(images, draw(EVERYTHING, 8, (28, 28), generator(2))))


def test_a_row_depends_on_the_seed_and_its_place_only() -> None:
    few = draw(EVERYTHING, 5, (28, 28), generator(4))
    many = draw(EVERYTHING, 300, (28, 28), generator(4))[0:5]
    assert few.n == many.n == 5
    for name in ("matrix", "field", "boxes"):
        assert torch.equal(getattr(few, name), getattr(many, name)), name


def test_settings_share_the_draws_of_each_other() -> None:
    plain, bent = Augment(rotate=15), Augment(rotate=15, elastic=0.05, erase=1)
    sources = generator(7), generator(7)
    for _ in range(3):
        a = draw(plain, 6, (28, 28), sources[0])
        b = draw(bent, 6, (28, 28), sources[1])
        assert a.matrix is not None
        assert b.matrix is not None
        assert torch.equal(a.matrix, b.matrix)


def test_draws_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="8 images, but draws for 5"):
        apply(batch(8), draw(EVERYTHING, 5, (28, 28), generator()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rotate": -1}, "greater than or equal to 0"),
        ({"rotate": float("nan")}, "finite number"),
        ({"scale": [1.2, 0.8]}, r"is not \[smallest, largest\]"),
        ({"erase_area": [0.1, 1.5]}, "1.5 is more than the whole image"),
        ({"rotation": 15}, "Extra inputs are not permitted"),
    ],
)
def test_bad_settings_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Augment.model_validate(given)


def test_settings_are_read_without_torch() -> None:
    code = "import sys, datasets.augment_settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
