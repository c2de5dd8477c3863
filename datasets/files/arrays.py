"""Arrays that another tool exported → uint8 images.

In: arrays of any usual layout and range. Out: what `build_dataset` takes, and a note for
everything that had to be recognised, so that a report can say it. What is not clear is refused: a
wrong guess about a range or a layout gives a network that learns nothing.
"""

from __future__ import annotations

import math

import numpy as np

from headstart.errors import DataError

_SLACK = 1e-3  # exports overshoot 0 … 1 by rounding


def images_to_uint8(
    images: np.ndarray, where: str, value_range: tuple[float, float] | None = None
) -> tuple[np.ndarray, str]:
    """Pixel values as uint8 0 … 255, and what range was recognised (empty for uint8 itself).

    Args:
        images: of any shape; bool, integers, or floats in 0…1, −1…1 or 0…255.
        where: the file, for messages.
        value_range: (black, white), where the values are in none of these ranges; black may be
            the larger of the two.

    Raises:
        DataError: not numbers, not finite, or in no range that is known.
    """
    if images.dtype.kind not in "buif":
        raise DataError(f"{where}: images of type {images.dtype}; numbers are needed")
    if images.dtype == np.uint8 and value_range is None:
        return images, ""
    if images.size == 0:
        raise DataError(f"{where}: no images")
    low, high = float(images.min()), float(images.max())
    if not math.isfinite(low) or not math.isfinite(high):
        raise DataError(f"{where}: some pixels are not finite (NaN or infinite); export it again")
    black, white = value_range or _recognised_range(images, low, high, where)
    slack = _SLACK * abs(white - black)
    if slack == 0:
        raise DataError(f"{where}: value_range: black and white are both {black:g}")
    if low < min(black, white) - slack or high > max(black, white) + slack:
        raise DataError(f"{where}: pixels {low:g} … {high:g} are outside {black:g} … {white:g}")
    scaled = (images.astype(np.float32) - black) * (255 / (white - black))
    note = f"pixels are {images.dtype} {low:g} … {high:g}, read as {black:g} (black) … {white:g}"
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8), note


def images_to_nhwc(images: np.ndarray, where: str) -> np.ndarray:
    """(N, H, W), (N, H, W, C), (N, C, H, W) or (N, pixels of a square) as (N, H, W, C), C 1 or 3.

    Raises:
        DataError: another shape, or one that fits both (N, H, W, C) and (N, C, H, W).
    """
    if images.ndim and images.size == 0:
        what = "no images" if len(images) == 0 else "images without pixels"
        raise DataError(f"{where}: {what} (shape {images.shape})")
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        if side * side != images.shape[1]:
            raise DataError(
                f"{where}: {images.shape[1]} pixels an image are no square; export images with "
                "height and width"
            )
        return images.reshape(-1, side, side, 1)
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4:
        last, first = images.shape[3] in (1, 3), images.shape[1] in (1, 3)
        if last and first and images.shape[1] != images.shape[3]:
            raise DataError(
                f"{where}: shape {images.shape} may have its channels second or last; export it so "
                "that only one of the two is 1 or 3"
            )
        if last:
            return images
        if first:
            return images.transpose(0, 2, 3, 1)
    raise DataError(
        f"{where}: images of shape {images.shape}; N×H×W, N×H×W×C, N×C×H×W with 1 or 3 channels, "
        "or N×pixels of a square are read"
    )


def _recognised_range(
    images: np.ndarray, low: float, high: float, where: str
) -> tuple[float, float]:
    if images.dtype == bool:
        return 0, 1
    if images.dtype.kind in "ui":
        if low >= 0 and 1 < high <= 255:
            return 0, 255
        if images.dtype == np.uint16 and high > 255:
            return 0, 65535
    elif low >= -_SLACK and high <= 1 + _SLACK:
        return 0, 1
    elif low < 0 and low >= -1 - _SLACK and high <= 1 + _SLACK:
        return -1, 1
    elif low >= -_SLACK and high <= 255 + _SLACK:
        return 0, 255
    raise DataError(
        f"{where}: pixels are {images.dtype} {low:g} … {high:g}; known are uint8, and floats in "
        "0…1, −1…1 or 0…255. Say what is black and white with value_range: [BLACK, WHITE]"
    )
