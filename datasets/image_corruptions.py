"""Test images made worse by a known amount: noise, blur, contrast, blocks, JPEG.

In: uint8 images, the name of a corruption, a strength from 1 to 5, and the images' numbers in their
data set. Out: uint8 images of the same shape. It stands alone because it changes images that are
shown to finished networks, and nothing that is trained on (`augment` does that; `corruption` makes
labels wrong).

Names and values are those of Hendrycks and Dietterich (2019, "Benchmarking neural network
robustness to common corruptions and perturbations"), from their own code: those of ImageNet-C, made
for 224×224, and for images whose shorter side is under 64 pixels those of CIFAR-10-C, made for
32×32. Lengths in pixels (of the two blurs) follow the shorter side, but for images under 32×32.
What needs files of theirs (frost) or libraries of its own (snow, fog, glass, motion, zoom, elastic)
is left out. Values are rounded, where theirs are cut off.

What is drawn is a function of the corruption, its strength and the image's number alone: each image
has the same noise for every arm and every seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

CorruptionName = Literal[
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "blur", "defocus_blur",
    "brightness", "contrast", "pixelate", "jpeg",
]  # fmt: skip
NAMES: tuple[str, ...] = get_args(CorruptionName)
STRENGTHS = range(1, 6)
SMALL = 64  # pixels: images whose shorter side is below get the values for 32×32
FORMAT = 1  # raise it when the same settings come to give other images
_STREAM = 0x1A6E_C0DE  # of all draws here, apart from those of training
Image = np.ndarray  # float32 (H, W, C) in 0 to 1


@dataclass(frozen=True)
class _Values:
    """Of one corruption: its five values for images of 32×32, and of 224×224."""

    small: tuple[float, ...]
    large: tuple[float, ...]
    is_length: bool = False  # in pixels, so that it grows with the image


VALUES: Mapping[str, _Values] = {
    "gaussian_noise": _Values((0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": _Values((500, 250, 100, 75, 50), (60, 25, 12, 5, 3)),
    "impulse_noise": _Values((0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)),
    "speckle_noise": _Values((0.06, 0.1, 0.12, 0.16, 0.2), (0.15, 0.2, 0.35, 0.45, 0.6)),
    "blur": _Values((0.4, 0.6, 0.7, 0.8, 1), (1, 2, 3, 4, 6), is_length=True),
    "defocus_blur": _Values((0.3, 0.4, 0.5, 1, 1.5), (3, 4, 6, 8, 10), is_length=True),
    "brightness": _Values((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": _Values((0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "pixelate": _Values((0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg": _Values((80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
}
# Of the edge of `defocus_blur`'s disk, which is smoothed by so many pixels of its kernel.
_SMOOTHED = _Values((0.4, 0.5, 0.6, 0.2, 0.1), (0.1, 0.5, 0.5, 0.5, 0.5))


def corrupt_images(images: np.ndarray, name: str, strength: int, rows: np.ndarray) -> np.ndarray:
    """The images, each made worse.

    Args:
        images: uint8 (n, C, H, W), C of 1 or 3.
        name: one of `NAMES`.
        strength: 1 to 5.
        rows: int (n,), the number of each image in its data set, which decides what is drawn.

    Returns:
        uint8 (n, C, H, W).
    """
    change = _CHANGES[name]
    out = np.empty(images.shape, np.uint8)
    for k, row in enumerate(np.asarray(rows).tolist()):
        rng = np.random.default_rng([_STREAM, NAMES.index(name), strength, row])
        pixels = images[k].transpose(1, 2, 0).astype(np.float32) / np.float32(255)
        changed = change(pixels, strength, rng).reshape(pixels.shape)
        out[k] = np.rint(255 * np.clip(changed, 0, 1)).astype(np.uint8).transpose(2, 0, 1)
    return out


def value_of(name: str, strength: int, image_size: tuple[int, int]) -> float:
    """The corruption's value for images of (height, width) pixels."""
    return _chosen(VALUES[name], strength, image_size)


def _chosen(values: _Values, strength: int, image_size: tuple[int, int]) -> float:
    side = min(image_size)
    of_size, times = (values.large, side / 224)
    if side < SMALL:  # a disk of less than a pixel would blur nothing
        of_size, times = (values.small, max(1.0, side / 32))
    return of_size[strength - 1] * (times if values.is_length else 1)


def _gaussian_noise(image: Image, strength: int, rng: np.random.Generator) -> Image:
    return image + _of(image, "gaussian_noise", strength) * rng.standard_normal(image.shape)


def _shot_noise(image: Image, strength: int, rng: np.random.Generator) -> Image:
    photons = _of(image, "shot_noise", strength)
    return rng.poisson(image.astype(np.float64) * photons) / photons


def _impulse_noise(image: Image, strength: int, rng: np.random.Generator) -> Image:
    """Salt and pepper, half each, in every channel by itself."""
    drawn = rng.random(image.shape)
    amount = _of(image, "impulse_noise", strength)
    return np.where(drawn < amount / 2, 0.0, np.where(drawn < amount, 1.0, image))


def _speckle_noise(image: Image, strength: int, rng: np.random.Generator) -> Image:
    noise = _of(image, "speckle_noise", strength) * rng.standard_normal(image.shape)
    return image + image * noise


def _blur(image: Image, strength: int, _: np.random.Generator) -> Image:
    """Gaussian, cut off at four standard deviations, as scikit-image does it."""
    import cv2

    sigma = _of(image, "blur", strength)
    side = 2 * int(4 * sigma + 0.5) + 1
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.GaussianBlur(image, (side, side), sigma, borderType=border))


def _defocus_blur(image: Image, strength: int, _: np.random.Generator) -> Image:
    import cv2

    smoothed = _chosen(_SMOOTHED, strength, (image.shape[0], image.shape[1]))
    kernel = _disk(_of(image, "defocus_blur", strength), smoothed)
    return np.asarray(cv2.filter2D(image, -1, kernel))


def _disk(radius: float, smoothed: float) -> np.ndarray:
    """The kernel of a lens out of focus, float32 (k, k) with sum 1 but for what smoothing loses."""
    import cv2

    reach = max(8, int(np.ceil(radius)))
    x, y = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    side = 3 if radius <= 8 else 5
    return np.asarray(cv2.GaussianBlur(disk / disk.sum(), (side, side), sigmaX=smoothed))


def _brightness(image: Image, strength: int, _: np.random.Generator) -> Image:
    """The value of HSV is raised: the largest channel, hue and saturation kept."""
    value = image.max(axis=2, keepdims=True)
    raised = np.clip(value + np.float32(_of(image, "brightness", strength)), 0, 1)
    share = np.divide(image, value, out=np.ones_like(image), where=value > 0)
    return np.asarray(share * raised)


def _contrast(image: Image, strength: int, _: np.random.Generator) -> Image:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return np.asarray((image - mean) * np.float32(_of(image, "contrast", strength)) + mean)


def _pixelate(image: Image, strength: int, _: np.random.Generator) -> Image:
    """Shrunk by averages, and every pixel of that drawn as a block."""
    import cv2

    height, width = image.shape[:2]
    share = _of(image, "pixelate", strength)
    small = (max(1, int(width * share)), max(1, int(height * share)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))


def _jpeg(image: Image, strength: int, _: np.random.Generator) -> Image:
    import cv2

    quality = int(_of(image, "jpeg", strength))
    pixels = np.rint(255 * image).astype(np.uint8)[..., ::-1]  # OpenCV has blue first
    content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    flag = cv2.IMREAD_COLOR if image.shape[2] == 3 else cv2.IMREAD_GRAYSCALE
    decoded = np.asarray(cv2.imdecode(content, flag)).reshape(image.shape)
    return decoded[..., ::-1].astype(np.float32) / np.float32(255)


def _of(image: Image, name: str, strength: int) -> float:
    return value_of(name, strength, (image.shape[0], image.shape[1]))


_CHANGES: Mapping[str, Callable[[Image, int, np.random.Generator], Image]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "speckle_noise": _speckle_noise,
    "blur": _blur,
    "defocus_blur": _defocus_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}
