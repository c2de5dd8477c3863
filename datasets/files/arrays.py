"""Arrays that another tool exported → uint8 images, and labels 0 … C−1 with class names.

In: arrays of any usual layout, range and label kind. Out: what `build_dataset` takes, and a note
for everything that had to be recognised, so that a report can say it. What is not clear is
refused: a wrong guess about a range or a layout gives a network that learns nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def labels_to_classes(
    values: np.ndarray, where: str, class_names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...], str]:
    """Label values of any kind as int64 0 … C−1, the class names, and a note (may be empty).

    Args:
        values: (N,) or (N, 1) whole numbers 0 … C−1 or 1 … C, or text, or (N, C) one-hot rows.
        where: the file, for messages.
        class_names: the classes in the order of their numbers, or the texts that may occur;
            default: what occurs, numbers in their order and texts sorted.

    Raises:
        DataError: a label outside the classes, or numbers with gaps and no `class_names`.
    """
    values, note = _one_dimensional(np.asarray(values), where)
    if values.dtype.kind in "US":
        return (*_text_labels(values.astype(str), where, class_names), note)
    if not _are_whole(values):
        raise DataError(f"{where}: labels of type {values.dtype} that are not whole numbers")
    numbers = _whole_numbers(values, where)
    n_classes = len(class_names) if class_names else int(numbers.max(initial=0)) + 1
    wrong = numbers[(numbers < 0) | (numbers >= n_classes)]
    if wrong.size:
        raise DataError(
            f"{where}: label {wrong[0]} (row {int(np.flatnonzero(numbers == wrong[0])[0])}) is "
            f"outside 0 … {n_classes - 1}"
        )
    if class_names:
        return numbers, tuple(class_names), note
    present = np.unique(numbers)
    if present.size and np.array_equal(present, np.arange(1, present.size + 1)):
        # counted from 1, as the letters of EMNIST are
        return numbers - 1, tuple(str(label) for label in range(1, n_classes)), note
    if present.size < n_classes:
        missing = int(np.flatnonzero(np.append(present, -1) != np.arange(present.size + 1))[0])
        raise DataError(
            f"{where}: label {n_classes - 1} (row {int(numbers.argmax())}), but {missing} never "
            "occurs; name the classes with class_names, or mend the labels"
        )
    return numbers, tuple(str(label) for label in range(n_classes)), note


def _are_whole(values: np.ndarray) -> bool:
    if values.dtype.kind == "f":
        return bool(np.isfinite(values).all() and (np.round(values) == values).all())
    return values.dtype.kind in "bui"


def _whole_numbers(values: np.ndarray, where: str) -> np.ndarray:
    """Label values as int64; refuses those that an int64, or a double, does not hold exactly."""
    largest = int(np.abs(values.astype(np.float64)).max(initial=0))
    if largest >= 2**53:
        raise DataError(f"{where}: a label is {largest:.3g}; labels are numbers of classes")
    return values.astype(np.int64)


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


def _one_dimensional(values: np.ndarray, where: str) -> tuple[np.ndarray, str]:
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0], ""
    if values.ndim == 2 and values.dtype.kind in "buif" and _is_one_hot(values):
        return values.argmax(axis=1), "labels were one-hot rows"
    if values.ndim != 1:
        raise DataError(f"{where}: labels of shape {values.shape}; one label an image is needed")
    return values, ""


def _is_one_hot(values: np.ndarray) -> bool:
    return bool(np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all())


def _text_labels(
    values: np.ndarray, where: str, class_names: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    names = tuple(class_names) if class_names else tuple(np.unique(values).tolist())
    index = {name: label for label, name in enumerate(names)}
    unknown = next((value for value in values.tolist() if value not in index), None)
    if unknown is not None:
        raise DataError(f"{where}: label '{unknown}' is none of {', '.join(names)}")
    return np.array([index[value] for value in values.tolist()], np.int64), names
