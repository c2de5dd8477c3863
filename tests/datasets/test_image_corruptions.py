"""Test images made worse: values by hand, a second implementation, and what never changes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from datasets.image_corruptions import NAMES, STRENGTHS, VALUES, corrupt_images, value_of

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (3, 1, 28, 28), np.uint8)
COLOUR = RNG.integers(0, 256, (2, 3, 96, 128), np.uint8)
ROWS = np.array([7, 8, 9])


def smooth(n: int, channels: int, side: int) -> np.ndarray:
    """Images with large shapes, as photographs have: uint8 (n, channels, side, side)."""
    coarse = np.random.default_rng(1).random((n, channels, 6, 6))
    images = ndimage.zoom(coarse, (1, 1, side / 6, side / 6), order=1)
    return np.clip(255 * images, 0, 255).astype(np.uint8)


def test_values_are_those_of_the_paper_for_224_pixels_and_for_32():
    assert value_of("gaussian_noise", 3, (224, 224)) == 0.18
    assert value_of("gaussian_noise", 3, (32, 32)) == 0.08
    assert value_of("blur", 5, (224, 300)) == 6
    assert value_of("blur", 5, (112, 112)) == 3
    assert value_of("blur", 3, (32, 32)) == value_of("blur", 3, (28, 28)) == 0.7
    assert value_of("blur", 3, (48, 48)) == pytest.approx(1.05)
    assert set(VALUES) == set(NAMES)
    assert all(len(v.small) == len(v.large) == len(STRENGTHS) for v in VALUES.values())


def test_contrast_by_hand():
    """Mean 0.4 of the two values 0.2 and 0.6; strength 2 of small images halves the distance."""
    image = np.full((1, 1, 8, 8), 51, np.uint8)
    image[..., 4:] = 153
    got = corrupt_images(image, "contrast", 2, np.array([0]))
    assert got[0, 0, 0].tolist() == [76, 76, 76, 76, 128, 128, 128, 128]  # 0.3 and 0.5, to even


def test_brightness_keeps_hue_and_saturation():
    image = np.zeros((1, 3, 4, 4), np.uint8)
    image[0, :, :] = np.array([100, 50, 0], np.uint8)[:, None, None]
    got = corrupt_images(image, "brightness", 5, np.array([0]))[0, :, 0, 0] / 255
    assert got[0] == pytest.approx(100 / 255 + 0.3, abs=0.003)
    assert got[1] / got[0] == pytest.approx(0.5, abs=0.01)
    assert got[2] == 0


def test_blur_is_scipys():
    got = corrupt_images(COLOUR, "blur", 2, np.array([0, 1]))
    sigma = 2 * 96 / 224
    for image, blurred in zip(COLOUR, got, strict=True):
        wanted = ndimage.gaussian_filter(
            image.astype(float), (0, sigma, sigma), mode="nearest", truncate=4.0
        )
        np.testing.assert_allclose(blurred, wanted, atol=0.6)


def test_pixelate_is_pillows_box_where_sizes_divide():
    image = smooth(1, 3, 200)
    got = corrupt_images(image, "pixelate", 2, np.array([0]))[0].transpose(1, 2, 0)
    small = Image.fromarray(image[0].transpose(1, 2, 0)).resize((100, 100), Image.Resampling.BOX)
    wanted = np.asarray(small.resize((200, 200), Image.Resampling.BOX), float)
    np.testing.assert_allclose(got, wanted, atol=1)


def test_jpeg_is_near_to_pillows_and_keeps_the_order_of_colours():
    image = smooth(1, 3, 96)
    image[0, 0] //= 4  # little red
    got = corrupt_images(image, "jpeg", 1, np.array([0]))[0].transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(image[0].transpose(1, 2, 0)).save(file, "JPEG", quality=25)
    wanted = np.asarray(Image.open(file), float)
    assert np.abs(got - wanted).mean() < 3


@pytest.mark.parametrize(
    ("name", "wanted"), [("gaussian_noise", 0.08), ("shot_noise", (0.5 / 100) ** 0.5)]
)
def test_noise_has_the_spread_that_it_says(name, wanted):
    gray = np.full((40, 1, 28, 28), 128, np.uint8)
    noise = corrupt_images(gray, name, 3, np.arange(40)) / 255 - 128 / 255
    assert noise.std() == pytest.approx(wanted, rel=0.03)
    assert abs(noise.mean()) < 0.002


def test_impulses_are_salt_and_pepper_in_equal_parts():
    gray = np.full((40, 1, 28, 28), 128, np.uint8)
    got = corrupt_images(gray, "impulse_noise", 5, np.arange(40))
    assert (got == 255).mean() == pytest.approx(0.035, rel=0.1)
    assert (got == 0).mean() == pytest.approx(0.035, rel=0.1)
    assert set(np.unique(got)) == {0, 128, 255}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_changed_alike_whatever_stands_beside_it(name):
    for images in (GRAY, COLOUR):
        rows = ROWS[: len(images)]
        together = corrupt_images(images, name, 3, rows)
        assert together.dtype == np.uint8
        assert together.shape == images.shape
        assert not np.array_equal(together, images)
        alone = corrupt_images(images[1:2], name, 3, rows[1:2])
        np.testing.assert_array_equal(together[1:2], alone)
        turned = corrupt_images(images[::-1], name, 3, rows[::-1])
        np.testing.assert_array_equal(turned[::-1], together)


@pytest.mark.parametrize("name", NAMES)
def test_a_higher_strength_changes_a_photograph_more(name):
    images = smooth(2, 3, 224)
    away = [
        np.abs(corrupt_images(images, name, k, np.arange(2)).astype(float) - images).mean()
        for k in STRENGTHS
    ]
    assert away == sorted(away)
    assert away[0] > 0


def test_two_images_have_two_noises_and_two_strengths_too():
    gray = np.full((2, 1, 28, 28), 128, np.uint8)
    first, second = corrupt_images(gray, "gaussian_noise", 1, np.array([0, 1]))
    assert not np.array_equal(first, second)
    stronger = corrupt_images(gray[:1], "gaussian_noise", 2, np.array([0]))[0]
    signs = [np.sign(each.astype(int) - 128).ravel() for each in (first, stronger)]
    assert abs(np.corrcoef(*signs)[0, 1]) < 0.2  # drawn anew, not the same draw made larger
