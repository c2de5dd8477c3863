"""Anybody's arrays: an .npz file with images and labels, as exports from HDF5 or MedMNIST have.

`{name: npz, path: FILE}` takes a pair of arrays called `images`/`labels`, `x`/`y` or
`data`/`target`, or one such pair for each of train, validation and test (`x_train`, `train/data`,
`test_images`, …). Layout, range and kind of labels are recognised, and what was recognised is
said in the notes.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from datasets.base import PART_NAMES, Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.files.arrays import images_to_nhwc, images_to_uint8, labels_to_classes
from datasets.files.cache import cached
from datasets.locations import user_path
from datasets.preprocess import shape_images
from headstart.errors import DataError
from headstart.packed import BROKEN, array_names, read_array
from headstart.settings import key

VERSION = 1
_IMAGES = {"images", "image", "x", "data", "features", "pixels"}
_LABELS = {"labels", "label", "y", "target", "targets"}
_PARTS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
INFO = DatasetInfo(suffixes=(".npz",))


class Options(DatasetOptions):
    """Where the arrays are, and what they cannot say themselves."""

    path: Path = key("The .npz file.", example="my/images.npz")
    class_names: tuple[str, ...] | None = key("Names of the labels 0, 1, …, or the texts that "
        "occur; without it, what occurs.", None, example=["cat", "dog"], min_length=2)  # fmt: skip
    value_range: tuple[float, float] | None = key("[black, white], for pixels in a range that is "
        "not recognised.", None, example=[0, 1023], unit="pixel values")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The .npz file."""
    return (user_path(options.path, request.data_dir),)


def load(options: Options, request: Request) -> Dataset:
    """All images of the file, part by part where it has parts."""
    (path,) = locate(options, request)
    return cached("npz", VERSION, options, request, [path], lambda: _decode(path, options, request))


def _decode(path: Path, options: Options, request: Request) -> Dataset:
    try:
        with zipfile.ZipFile(path) as archive:
            pairs = _pairs(array_names(archive), path)
            arrays = {
                part: (read_array(archive, x), read_array(archive, y))
                for part, (x, y) in pairs.items()
            }
    except BROKEN as err:
        raise DataError(f"{path}: cannot be read as .npz: {err}") from err
    for part, (images, labels) in arrays.items():
        for name, array in zip(pairs[part], (images, labels), strict=True):
            if array.ndim == 0:
                raise DataError(
                    f"{path}: '{name}' is a single number, not an array of one an image"
                )
        if len(images) != len(labels):
            images_key, labels_key = pairs[part]
            raise DataError(
                f"{path}: {len(images)} images in '{images_key}' but {len(labels)} labels in "
                f"'{labels_key}'"
            )
    return _assemble(path, arrays, options, request)


def _assemble(
    path: Path, arrays: dict[str, tuple[np.ndarray, np.ndarray]], options: Options, request: Request
) -> Dataset:
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
        "npz",
        shape_images(pixels, request.image_size, request.channels),
        labels,
        names,
        source=str(path),
        parts=indices if "train" in indices else {},
        notes=[note for note in (range_note, label_note) if note],
    )


def _pairs(keys: Iterable[str], path: Path) -> dict[str, tuple[str, str]]:
    """For each part (or "" for all in one) the keys of its images and labels."""
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
