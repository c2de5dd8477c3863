"""Arrays of images and labels, by part → a `Dataset`; and which arrays those are, by their names.

In: arrays as another tool exported them, and their names. Out: the set; its notes say what was
recognised. It stands alone because all containers of arrays (.npz, .npy, .mat, HDF5) name them
alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from datasets.base import PART_NAMES, Dataset, DatasetOptions, Request, build_dataset
from datasets.files.arrays import images_to_nhwc, images_to_uint8
from datasets.files.classes import NamesSetting, labels_to_classes, names_key
from datasets.preprocess import shape_images
from headstart.errors import DataError
from headstart.settings import key

_IMAGES = {"images", "image", "x", "data", "features", "pixels"}
_LABELS = {"labels", "label", "y", "target", "targets"}
_PARTS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}


class ArrayOptions(DatasetOptions):
    """Where arrays are, and what they cannot say themselves; a set gives `path` its own words."""

    path: Path = key("The file or folder.", example="my/images.npz")
    class_names: NamesSetting = names_key()
    value_range: tuple[float, float] | None = key("[black, white], for pixels in a range that is "
        "not recognised.", None, example=[0, 1023], unit="pixel values")  # fmt: skip


def dataset_of_arrays(
    name: str,
    path: Path,
    arrays: Mapping[str, tuple[np.ndarray, np.ndarray]],
    options: ArrayOptions,
    request: Request,
    notes: Sequence[str] = (),
) -> Dataset:
    """The images and labels of each part (or "" for all in one), one after the other.

    Args:
        name: of the set.
        path: the file or folder; the set's source, and begins messages.
        arrays: for each part its images, of a shape of `images_to_nhwc`, and as many labels.
        options: names of the classes and the range of pixels, where the arrays do not say them.
        request: size and channels.
        notes: what the reader recognised.

    Raises:
        DataError: images of different shapes, or what `images_to_nhwc`, `images_to_uint8` and
            `labels_to_classes` refuse.
    """
    stacks = [images_to_nhwc(images, str(path)) for images, _ in arrays.values()]
    if len({stack.shape[1:] for stack in stacks}) > 1:
        shapes = ", ".join(
            f"{part} {stack.shape[1:]}" for part, stack in zip(arrays, stacks, strict=True)
        )
        raise DataError(f"{path}: images of different shapes: {shapes}")
    # One range for all parts: a dark test part must not be stretched more than the train part.
    pixels, range_note = images_to_uint8(np.concatenate(stacks), str(path), options.value_range)
    labels, names, label_note = labels_to_classes(
        np.concatenate([labels for _, labels in arrays.values()]), str(path), options.class_names
    )
    ends = np.cumsum([len(stack) for stack in stacks])
    indices = {
        part: np.arange(end - len(stack), end)
        for part, stack, end in zip(arrays, stacks, ends, strict=True)
    }
    return build_dataset(
        name,
        shape_images(pixels, request.image_size, request.channels),
        labels,
        names,
        source=str(path),
        parts=indices if "train" in indices else {},
        notes=[note for note in (*notes, range_note, label_note) if note],
    )


def check_lengths(
    path: Path, names: tuple[str, str], images: np.ndarray, labels: np.ndarray
) -> None:
    """Raise DataError where images and labels, called `names`, are not as many of each."""
    for name, array in zip(names, (images, labels), strict=True):
        if array.ndim == 0:
            raise DataError(f"{path}: '{name}' is a single number, not an array of one an image")
    if len(images) != len(labels):
        raise DataError(
            f"{path}: {len(images)} images in '{names[0]}' but {len(labels)} labels in '{names[1]}'"
        )


def pairs_by_name(keys: Iterable[str], path: Path) -> dict[str, tuple[str, str]]:
    """For each part (or "" for all in one) the names of the arrays of its images and labels.

    Raises:
        DataError: no such pair, or two arrays that may be the same one of it.
    """
    keys_of: dict[str, dict[str, str]] = {}
    for name in keys:
        words = re.split(r"[\s_/.-]+", name.lower())
        part = next((_PARTS[word] for word in words if word in _PARTS), "")
        kind = "x" if _IMAGES & set(words) else "y" if _LABELS & set(words) else None
        if kind is not None and len(words) <= 2:
            if kind in keys_of.setdefault(part, {}):
                raise DataError(
                    f"{path}: both '{keys_of[part][kind]}' and '{name}' may be the "
                    f"{'images' if kind == 'x' else 'labels'}; leave one of them out"
                )
            keys_of[part][kind] = name
    pairs = {
        part: (keys_of[part]["x"], keys_of[part]["y"])
        for part in ("", *PART_NAMES)
        if set(keys_of.get(part, ())) == {"x", "y"}
    }
    if not pairs or ("" in pairs and len(pairs) > 1):
        raise DataError(
            f"{path}: holds {', '.join(keys) or 'nothing'}; it needs images and labels (or x and "
            "y), or such a pair for each of train, validation and test (x_train, y_train, …)"
        )
    return pairs
