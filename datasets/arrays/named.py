"""Arrays of images and labels, by part → a `Dataset`; and which arrays those are, by their names.

In: arrays as another tool exported them, and their names. Out: the set; its notes say what was
recognised. It stands alone because all containers of arrays (.npz, .npy, .mat, HDF5) name them
alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.arrays.classes import NamesSetting, labels_to_classes, names_key
from datasets.arrays.pixels import (
    ShapeSetting,
    images_first,
    images_to_nhwc,
    images_to_uint8,
    shape_key,
)
from datasets.base import PART_NAMES, Dataset, DatasetOptions, Request, build_dataset
from datasets.files.part_words import PART_OF
from datasets.preprocess import shape_for
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
# Looked for only where the words above do not make pairs.
_MORE_IMAGES = _IMAGES | {"imgs", "img", "inputs", "input", "samples", "pictures", "photos"}
_MORE_LABELS = _LABELS | {
    "lbls",
    "lbl",
    "classes",
    "class",
    "category",
    "categories",
    "annotations",
}
_MORE_PARTS = {**PART_OF, "tr": "train", **dict.fromkeys(("te", "eval", "t10k"), "test")}
_SAME_KINDS = str.maketrans("buS", "iiU")
_FILLERS = {"set", "orig", "original", "all", "array", "arr", "list", "full"}
_CLASS_NAMES = {
    "classnames", "classname", "labelnames", "labelsnames", "targetnames", "categorynames",
    "classlabels", "classes", "listclasses", "names", "categories", "labelstrings",
}  # fmt: skip


class ArrayOptions(DatasetOptions):
    """Where arrays are, and what they cannot say themselves; a set gives `path` its own words."""

    path: Path = key("The file or folder.", example="my/images.npz")
    class_names: NamesSetting = names_key()
    shape: ShapeSetting = shape_key()
    value_range: tuple[float, float] | None = key("[black, white], for pixels in a range that is "
        "not recognised.", None, example=[0, 1023], unit="pixel values")  # fmt: skip


@dataclass(frozen=True)
class NamedArrays:
    """What a container of named arrays holds, by part ("" for all in one).

    Attributes:
        parts: images and labels, one image along the first axis, as many of each.
        class_names: the names that the container gives to its labels.
        notes: what was recognised.
    """

    parts: Mapping[str, tuple[np.ndarray, np.ndarray]]
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def read_named_arrays(
    path: Path, keys: Sequence[str], read: Callable[[str], np.ndarray]
) -> NamedArrays:
    """Images, labels and names of classes in a container, found by the names of its arrays.

    Args:
        path: the container, for messages.
        keys: the names of its arrays.
        read: gives one of them; a `ValueError` of it for names of classes becomes a note.

    Raises:
        DataError: no images and labels among the names, or not as many of each.
    """
    names_of_names = [each for each in keys if names_classes(each)]
    try:
        pairs = pairs_by_name([each for each in keys if each not in names_of_names], path)
    except DataError:
        names_of_names, pairs = [], pairs_by_name(keys, path)
    class_names, notes = _class_names(names_of_names, read)
    parts = {}
    for part, names in pairs.items():
        images, labels, note = matched(path, names, read(names[0]), read(names[1]))
        parts[part] = images, labels
        notes += [note] if note not in ("", *notes) else []
    read_keys = {*names_of_names, *(each for names in pairs.values() for each in names)}
    unread = [each for each in keys if each not in read_keys]
    if unread:
        notes.append(f"arrays that were not read: {', '.join(unread[:5])}"
            f"{', …' if len(unread) > 5 else ''}")  # fmt: skip
    return NamedArrays(parts, class_names, tuple(notes))


def names_classes(name: str) -> bool:
    """Whether an array of this name names the classes."""
    return _plain(name) in _CLASS_NAMES


def matched(
    path: Path, names: tuple[str, str], images: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str]:
    """Images and labels, called `names`, with one of each along the first axis, and a note.

    Raises:
        DataError: they are not as many of each.
    """
    if labels.ndim == 2 and len(labels) == 1 and images.ndim and len(images) != 1:
        labels = labels[0]  # one row, as MATLAB has
    if labels.ndim:
        images, note = images_first(images, len(labels))
    else:
        note = ""
    check_lengths(path, names, images, labels)
    return images, labels, note


def dataset_of_arrays(
    name: str,
    path: Path,
    arrays: Mapping[str, tuple[np.ndarray, np.ndarray]],
    options: ArrayOptions,
    request: Request,
    notes: Sequence[str] = (),
    class_names: Sequence[str] | None = None,
) -> Dataset:
    """The images and labels of each part (or "" for all in one), one after the other.

    Args:
        name: of the set.
        path: the file or folder; the set's source, and begins messages.
        arrays: for each part its images, of a shape of `images_to_nhwc`, and as many labels.
        options: names of the classes and the range of pixels, where the arrays do not say them.
        request: size and channels.
        notes: what the reader recognised.
        class_names: the names in the file itself, used where they fit and the options give none.

    Raises:
        DataError: images of different shapes, or what `images_to_nhwc`, `images_to_uint8` and
            `labels_to_classes` refuse.
    """
    stacks = [images_to_nhwc(images, str(path), options.shape) for images, _ in arrays.values()]
    if len({stack.shape[1:] for stack in stacks}) > 1:
        shapes = ", ".join(
            f"{part} {stack.shape[1:]}" for part, stack in zip(arrays, stacks, strict=True)
        )
        raise DataError(f"{path}: images of different shapes: {shapes}")
    for k, what in enumerate(("pixels", "labels")):
        _check_alike(what, {part: pair[k] for part, pair in arrays.items()}, path)
    # One range for all parts: a dark test part must not be stretched more than the train part.
    pixels, range_note = images_to_uint8(np.concatenate(stacks), str(path), options.value_range)
    labels, names, label_note = _named_labels(
        np.concatenate([labels for _, labels in arrays.values()]), path, options, class_names
    )
    ends = np.cumsum([len(stack) for stack in stacks])
    indices = {
        part: np.arange(end - len(stack), end)
        for part, stack, end in zip(arrays, stacks, ends, strict=True)
    }
    return build_dataset(
        name,
        shape_for(pixels, request),
        labels,
        names,
        source=str(path),
        parts=indices if "train" in indices else {},
        notes=[note for note in (*notes, range_note, label_note) if note],
        target=options.target,
    )


def _check_alike(what: str, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Refuse parts of different types: whole numbers beside floats, numbers beside texts."""
    kinds = {array.dtype.kind.translate(_SAME_KINDS) for array in arrays.values()}
    if len(kinds) > 1 and not (what == "labels" and kinds == {"i", "f"}):
        types = ", ".join(f"{array.dtype} in {part}" for part, array in arrays.items())
        raise DataError(f"{path}: {what} are {types}; export all parts alike")


def _named_labels(
    labels: np.ndarray, path: Path, options: ArrayOptions, own_names: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...], str]:
    """Labels and classes; the file's own names are for numbers, and must fit."""
    if own_names and len(own_names) == len(labels) > len(np.unique(labels)):
        own_names = None  # one for each image: these are names of files, say
    if options.class_names or not own_names or labels.dtype.kind in "US":
        return labels_to_classes(labels, str(path), options.class_names)
    try:
        return labels_to_classes(labels, str(path), own_names)
    except DataError as err:
        labels, names, note = labels_to_classes(labels, str(path))
        reason = str(err).removeprefix(f"{path}: ").split(":")[0]
        said = f"the {len(own_names)} names of classes in the file are not used ({reason})"
        return labels, names, "; ".join(each for each in (note, said) if each)


def _class_names(
    keys: Sequence[str], read: Callable[[str], np.ndarray]
) -> tuple[tuple[str, ...] | None, list[str]]:
    """The texts of the first array that names classes, and a note where there is none in it."""
    notes = []
    for name in keys:
        try:
            array = np.squeeze(read(name))
            if array.dtype.kind in "US" and array.ndim == 1 and array.size > 1:
                texts = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
                return tuple(str(text).strip() for text in texts.tolist()), []
            notes.append(f"'{name}' names no classes: {array.dtype} of shape {array.shape}")
        except ValueError as err:
            notes.append(f"names of classes were not read: {err}")
    return None, notes


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


def array_of_kind(path: Path, kind: str, keys: Sequence[str]) -> str:
    """The name of the only array that can be the images (kind x) or the labels (y) of a container.

    Raises:
        DataError: none, or several.
    """
    fitting = (
        [name for name in keys if part_and_kind(name)[1] == kind] if len(keys) > 1 else list(keys)
    )
    if len(fitting) != 1:
        what = "images" if kind == "x" else "labels"
        raise DataError(
            f"{path}: holds {', '.join(keys) or 'nothing'}; one array of {what} is needed, alone "
            f"or called '{what}'"
        )
    return fitting[0]


def pairs_by_name(keys: Iterable[str], path: Path) -> dict[str, tuple[str, str]]:
    """For each part (or "" for all in one) the names of the arrays of its images and labels.

    Raises:
        DataError: no such pair, or two arrays that may be the same one of it.
    """
    keys = list(keys)
    try:
        return _pairs(keys, path, _usual)
    except DataError as err:
        try:
            return _pairs(keys, path, part_and_kind)
        except DataError:
            raise err from None


def _pairs(
    keys: Sequence[str], path: Path, kind_of: Callable[[str], tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    keys_of: dict[str, dict[str, str]] = {}
    for name in keys:
        part, kind = kind_of(name)
        if kind:
            if kind in keys_of.setdefault(part, {}):
                raise DataError(
                    f"{path}: both '{keys_of[part][kind]}' and '{name}' may be the "
                    f"{'images' if kind == 'x' else 'labels'}; write the file again with one of "
                    "them: numpy.savez(NEW, x=images, y=labels)"
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


def _usual(name: str) -> tuple[str, str]:
    """The part that an array's name says, and whether it is images (x), labels (y) or neither."""
    words = re.split(r"[\s_/.-]+", name.lower())
    part = next((_PARTS[word] for word in words if word in _PARTS), "")
    kind = "x" if _IMAGES & set(words) else "y" if _LABELS & set(words) else ""
    return part, kind if len(words) <= 2 else ""


def part_and_kind(name: str) -> tuple[str, str]:
    """As `_usual`, for more spellings: trainImages, Xtrain, train_set_x_orig, test_imgs, arr_0."""
    if name in ("arr_0", "arr_1"):  # numpy.savez(file, images, labels)
        return "", "xy"[int(name[-1])]
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    apart = re.sub(rf"(?i)^(x|y)_?({'|'.join(_MORE_PARTS)})$", r"\1_\2", apart)
    apart = re.sub(rf"(?i)^({'|'.join(_MORE_PARTS)})_?(x|y)$", r"\1_\2", apart)
    words = [w for w in re.split(r"[\W_]+", apart.lower()) if w and w not in _FILLERS]
    part = next((_MORE_PARTS[word] for word in words if word in _MORE_PARTS), "")
    kind = "x" if _MORE_IMAGES & set(words) else "y" if _MORE_LABELS & set(words) else ""
    return part, kind if len(words) <= 2 else ""


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
