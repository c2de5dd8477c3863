"""Arrays that another tool exported → uint8 images.

In: arrays of any usual layout and range. Out: what `build_dataset` takes, and a note for
everything that had to be recognised, so that a report can say it. What is not clear is refused: a
wrong guess about a range or a layout gives a network that learns nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from headstart.errors import DataError
from headstart.settings import key

_SLACK = 1e-3  # exports overshoot 0 … 1 by rounding
_FEWEST_FOLDED = 64  # pixels of a row in an array N×pixels×C; below that it may be a tiny image

ShapeSetting = (
    Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2, max_length=3)] | None
)
"""The shape of the image in a row of pixels, as an option of a data set."""


def shape_key() -> Any:
    """The option `shape`, in the same words for every reader of rows of pixels."""
    return key("The image in a row of pixels: [height, width]; [height, width, 3] where the three "
        "colours of a pixel stand together; [3, height, width] where one colour comes after "
        "another. Without it, a square in one channel.", None, example=[28, 28],
        unit="pixels")  # fmt: skip


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
        lightest = int(images.max(initial=0))
        said = f"pixels are uint8 0 … {lightest}{_said_of_dark(lightest, 255)}"
        return images, said if _is_dark(lightest, 255) else ""
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
    if value_range is None and _is_dark(high, white):
        note += _said_of_dark(high, white)
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8), note


def _is_dark(high: float, white: float) -> bool:
    """Whether even the lightest pixel is far from white."""
    return 0 < high <= white / 4


def _said_of_dark(high: float, white: float) -> str:
    most = 2 ** math.ceil(math.log2(high + 1)) - 1  # 4095 of 12 bits, for a lightest of 4000
    lightest = most if 0.95 * most <= high else high
    return (
        f": the lightest is {high / white:.1%} of white; value_range: [0, {lightest:g}] makes "
        f"{lightest:g} white"
    )


def images_to_nhwc(
    images: np.ndarray, where: str, shape: Sequence[int] | None = None
) -> np.ndarray:
    """(N, H, W), (N, H, W, C), (N, C, H, W) or (N, pixels) as (N, H, W, C), C 1 or 3.

    Args:
        images: with one image in each row or block of the first axis.
        where: the file, for messages.
        shape: of the image that a row of pixels holds: (H, W), (H, W, 3), or (3, H, W) for one
            colour after another; None: a square of one channel.

    Raises:
        DataError: another shape, or one that fits both (N, H, W, C) and (N, C, H, W).
    """
    if images.ndim and images.size == 0:
        what = "no images" if len(images) == 0 else "images without pixels"
        raise DataError(f"{where}: {what} (shape {images.shape})")
    images, shape = _unfolded(images, shape)
    if images.ndim == 2:
        return _rows_to_nhwc(images, where, shape)
    if shape is not None:
        raise DataError(f"{where}: shape is for rows of pixels; images are {images.shape} already")
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


def images_first(images: np.ndarray, n_labels: int) -> tuple[np.ndarray, str]:
    """Images that are numbered along their last axis (H×W×C×N, H×W×N, pixels×N) with it first.

    Only where the last axis, and not the first, is as long as there are labels; with a note then.
    """
    if images.ndim < 2 or len(images) == n_labels or images.shape[-1] != n_labels:
        return images, ""
    axes = "×".join(("H", "W", "C")[: images.ndim - 1]) if images.ndim > 2 else "pixels"
    return np.moveaxis(images, -1, 0), f"images are numbered along the last axis ({axes}×N)"


def _unfolded(
    images: np.ndarray, shape: Sequence[int] | None
) -> tuple[np.ndarray, Sequence[int] | None]:
    """Rows of pixels that stand in one column, or in one row or column a colour, as plain rows."""
    if images.ndim != 3 or shape is not None:
        return images, shape
    first, last = images.shape[1:]
    n_pixels, channels = max(first, last), min(first, last)
    side = math.isqrt(n_pixels)
    if channels not in (1, 3) or side * side != n_pixels or n_pixels < _FEWEST_FOLDED:
        return images, shape
    rows = images.reshape(len(images), -1)
    return rows, (side, side, channels) if last == channels else (channels, side, side)


def _rows_to_nhwc(rows: np.ndarray, where: str, shape: Sequence[int] | None) -> np.ndarray:
    n_pixels = rows.shape[1]
    side = math.isqrt(n_pixels)
    if shape is None and side * side == n_pixels:
        return rows.reshape(-1, side, side, 1)
    if shape is None or math.prod(shape) != n_pixels:
        said = f"not {' × '.join(map(str, shape))}" if shape else "no square"
        raise DataError(f"{where}: {n_pixels} pixels an image are {said}; {_ways(n_pixels)}")
    if len(shape) == 2:
        return rows.reshape(-1, *shape, 1)
    if shape[2] in (1, 3):
        return rows.reshape(-1, *shape)
    if shape[0] in (1, 3):
        return rows.reshape(-1, *shape).transpose(0, 2, 3, 1)
    raise DataError(f"{where}: shape {list(shape)}: the first or the last must be 1 or 3 channels")


def _ways(n_pixels: int) -> str:
    side = math.isqrt(n_pixels // 3)
    if 3 * side * side == n_pixels:
        return (
            f"they may be {side} × {side} in three colours. Say shape: [{side}, {side}, 3] where "
            f"the three values of a pixel stand together, or shape: [3, {side}, {side}] where one "
            "colour comes after another"
        )
    return "say shape: [HEIGHT, WIDTH] or [HEIGHT, WIDTH, 3], or [3, HEIGHT, WIDTH]"


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
