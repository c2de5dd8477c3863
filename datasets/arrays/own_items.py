"""What a data set of the user's own code returns → images, labels, names and parts, as arrays.

In: arrays with labels, a data set in PyTorch's manner (`len(…)`, and `[k]` gives an image and its
label), or one of these for each part. Out: `OwnImages`. It stands alone because it knows every way
in which people give images, and nothing of options, caches or files. Nothing here imports torch:
a tensor is what numpy makes an array of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets.arrays.pixels import images_to_nhwc, images_to_uint8
from datasets.base import PART_NAMES
from datasets.common_size import Size, commonest_size, few_of_a_size
from datasets.preprocess import resize
from headstart.errors import DataError

_IMAGE_KEYS = ("image", "img")
_LABEL_KEYS = ("label", "labels", "target", "y")
_KEYS = ("images", "labels", "class_names", "parts", "groups", "notes")
_ALLOWED = (
    "return images and labels: {'images': …, 'labels': …}, a pair of them, a data set with __len__ "
    "and __getitem__ that gives an image and its label, or {'train': …, 'test': …} of these"
)
_SLACK = 1e-3


@dataclass(frozen=True)
class OwnImages:
    """Images and labels that have been looked at one by one, and not yet as a whole.

    Attributes:
        images: uint8 (N, H, W, C), C is 1 or 3.
        labels: (N,) numbers or texts.
        class_names: names for the labels, where the code gives them.
        parts: indices of each part; empty where there are none.
        groups: the group of each image; empty where there are none.
        notes: what was recognised.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] | dict[int | str, str] | None = None
    parts: Mapping[str, np.ndarray] | None = None
    groups: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def own_images(given: Any, where: str, image_size: tuple[int, int] | None) -> OwnImages:
    """All that the user's code returned.

    Args:
        given: what it returned; see the head of this module.
        where: the code, for messages.
        image_size: (height, width) to which images of several sizes are brought; None: the
            commonest.

    Raises:
        DataError: it is nothing of what is read; an image or a label that cannot be used; items
            that are not the same when they are asked for again.
    """
    if isinstance(given, Mapping) and given and set(given) <= set(PART_NAMES):
        return _joined({part: _one_part(given[part], f"{where}: {part}", image_size)
                        for part in PART_NAMES if part in given}, where)  # fmt: skip
    return _one_part(given, where, image_size)


def _one_part(given: Any, where: str, image_size: tuple[int, int] | None) -> OwnImages:
    if isinstance(given, Mapping) and {"images", "labels"} <= set(given):
        extra = sorted(set(map(str, given)) - set(_KEYS))
        if extra:
            raise DataError(f"{where}: returned the key '{extra[0]}'; keys are {', '.join(_KEYS)}")
        return _of_arrays(given, where, image_size)
    if isinstance(given, list) and given and all(map(_is_pair, given)):
        return _of_items(given, where, image_size)
    if isinstance(given, (tuple, list)) and len(given) in (2, 3) and not _is_item_based(given[0]):
        return _of_arrays(dict(zip(_KEYS, given, strict=False)), where, image_size)
    if _is_item_based(given):
        return _of_items(given, where, image_size)
    raise DataError(f"{where}: returned {_kind(given)}; {_ALLOWED}")


def _is_item_based(given: object) -> bool:
    """Whether it is a data set in PyTorch's manner, and no array, list, tuple or mapping."""
    is_other = isinstance(given, (np.ndarray, list, tuple, Mapping, str)) or hasattr(given, "ndim")
    return not is_other and hasattr(given, "__len__") and hasattr(given, "__getitem__")


def _is_pair(item: object) -> bool:
    """Whether it is an image and its label, as in a list of these."""
    return isinstance(item, tuple) and len(item) == 2


def _joined(parts: Mapping[str, OwnImages], where: str) -> OwnImages:
    """The parts one after the other."""
    first, *others = parts.values()
    shapes = {part: images.images.shape[1:] for part, images in parts.items()}
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{part} {shape}" for part, shape in shapes.items())
        raise DataError(f"{where}: images of different shapes: {said}")
    if any(each.parts is not None for each in parts.values()):
        raise DataError(f"{where}: gives parts within a part")
    if "train" not in parts:
        raise DataError(f"{where}: has {' and '.join(parts)} but no train part")
    ends = np.cumsum([len(each.labels) for each in parts.values()])
    groups = [group for each in parts.values() for group in each.groups]
    if any(bool(each.groups) != bool(groups) for each in parts.values()):
        raise DataError(f"{where}: gives groups for some parts and not for all")
    return OwnImages(
        np.concatenate([each.images for each in parts.values()]),
        np.concatenate([each.labels for each in parts.values()]),
        next((each.class_names for each in (first, *others) if each.class_names), None),
        {part: np.arange(end - len(each.labels), end)
         for (part, each), end in zip(parts.items(), ends, strict=True)},
        tuple(groups),
        tuple(dict.fromkeys(note for each in parts.values() for note in each.notes)),
    )  # fmt: skip


# -- arrays -----------------------------------------------------------------------------------


def _of_arrays(
    given: Mapping[str, Any], where: str, image_size: tuple[int, int] | None
) -> OwnImages:
    labels = _labels(given["labels"], where)
    note = ""
    if isinstance(given["images"], (list, tuple)):
        items = given["images"]
        images, notes = _stacked(lambda k: items[k], len(items), where, image_size)
    else:
        array = np.asarray(given["images"])
        images, note = images_to_uint8(images_to_nhwc(array, where), where)
        notes = (note,) if note else ()
    if len(images) != len(labels):
        raise DataError(f"{where}: returned {len(images)} images and {len(labels)} labels")
    return OwnImages(
        images,
        labels,
        _names(given.get("class_names"), where),
        _parts(given.get("parts"), len(labels), where),
        _groups(given.get("groups"), len(labels), where),
        (*notes, *map(str, given.get("notes") or ())),
    )


def _labels(given: Any, where: str) -> np.ndarray:
    is_listed = isinstance(given, (list, tuple))
    try:
        labels = np.asarray([_plain_label(each) for each in given] if is_listed else given)
    except (TypeError, ValueError) as err:
        raise DataError(f"{where}: labels cannot be read: {err}") from err
    if labels.dtype.kind not in "buifUS":
        raise DataError(f"{where}: labels are {labels.dtype}; numbers or texts are read")
    return labels


def _plain_label(label: Any) -> Any:
    """A tensor or array of one number as that number."""
    return label.item() if hasattr(label, "item") else label


def _names(given: Any, where: str) -> tuple[str, ...] | dict[int | str, str] | None:
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {label: str(name) for label, name in given.items()}
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise DataError(f"{where}: class_names are texts, as ['cat', 'dog']")
    return tuple(str(name) for name in given)


def _parts(given: Any, n: int, where: str) -> Mapping[str, np.ndarray] | None:
    """Indices by part, each image in one at most."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or not set(given) <= set(PART_NAMES) or "train" not in given:
        raise DataError(f"{where}: parts are {{'train': indices, 'test': indices}}")
    parts = {part: np.asarray(given[part]) for part in PART_NAMES if part in given}
    for part, index in parts.items():
        if index.ndim != 1 or index.dtype.kind not in "ui" or not index.size:
            raise DataError(f"{where}: part {part}: a list of the numbers of its images is needed")
        if index.min() < 0 or index.max() >= n:
            raise DataError(f"{where}: part {part}: images are numbered 0 … {n - 1}")
    counts = np.bincount(np.concatenate(list(parts.values())), minlength=n)
    if counts.max() > 1:
        raise DataError(f"{where}: image {int(counts.argmax())} is in two parts, or twice in one")
    return parts


def _groups(given: Any, n: int, where: str) -> tuple[str, ...]:
    groups = () if given is None else tuple(str(_plain_label(each)) for each in given)
    if groups and len(groups) != n:
        raise DataError(f"{where}: returned {len(groups)} groups for {n} images")
    return groups


# -- items ------------------------------------------------------------------------------------


def _of_items(given: Any, where: str, image_size: tuple[int, int] | None) -> OwnImages:
    n = len(given)
    labels: list[Any] = []

    def image(k: int) -> Any:
        pixels, label = _pair(given[k], k, where)
        labels.append(_plain_label(label))
        return pixels

    images, notes = _stacked(image, n, where, image_size)
    labels = labels[:n]
    for k in {0, n - 1}:  # what is drawn anew each time would be another set in each process
        again, _ = _pair(given[k], k, where)
        first = _pair(given[k], k, where)[0]
        if not np.array_equal(_pixels(again, k, where), _pixels(first, k, where)):
            raise DataError(
                f"{where}: image {k} is another one each time it is asked for; leave random "
                "changes to the sweep's train.augment"
            )
    names = getattr(given, "class_names", None) or getattr(given, "classes", None)
    is_named = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    groups = getattr(given, "groups", None)
    return OwnImages(
        images,
        _labels(labels, where),
        tuple(names) if is_named and names and not isinstance(labels[0], str) else None,
        groups=_groups(groups, n, where),
        notes=notes,
    )


def _pair(item: Any, k: int, where: str) -> tuple[Any, Any]:
    """Image and label of an item."""
    if isinstance(item, Mapping):
        image = next((key for key in _IMAGE_KEYS if key in item), None)
        label = next((key for key in _LABEL_KEYS if key in item), None)
        if image is not None and label is not None:
            return item[image], item[label]
        raise DataError(f"{where}: item {k} has the keys {', '.join(map(str, item))}; image and "
                        "label are needed")  # fmt: skip
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1]
    raise DataError(f"{where}: item {k} is {_kind(item)}; an image and its label are needed")


def _stacked(
    image: Callable[[int], Any], n: int, where: str, image_size: tuple[int, int] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Images one by one, in one size and number of channels; uint8 (N, H, W, C), and notes."""
    if n == 0:
        raise DataError(f"{where}: has no images")
    sizes: list[tuple[Size, str]] = []
    pixels = []
    for k in range(n):
        each = _pixels(image(k), k, where)
        sizes.append(((each.shape[0], each.shape[1]), f"image {k}"))
        pixels.append(each if image_size is None else resize(each, image_size))
    size = image_size or commonest_size(each for each, _ in sizes)
    is_gray = all(each.ndim == 2 for each in pixels)
    images = np.empty((n, *size, 1 if is_gray else 3), np.uint8)
    pixels.reverse()
    for k in range(n):
        each = pixels.pop()  # memory holds each image once, as soon as it is in its place
        images[k] = resize(each, size)[..., None] if each.ndim == 2 else resize(each, size)
    n_sizes = len({each for each, _ in sizes})
    if n_sizes == 1:
        return images, ()
    said = f"images of {n_sizes} sizes were brought to {size[1]}×{size[0]} pixels"
    return images, (said, *(() if image_size else few_of_a_size(sizes, size)))


def _pixels(image: Any, k: int, where: str) -> np.ndarray:
    """One image as uint8 (H, W) or (H, W, 3)."""
    if hasattr(image, "convert") and hasattr(image, "mode"):
        return _of_pillow(image, k, where)
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise DataError(
            f"{where}: image {k} has the shape {np.shape(image)}; H×W, H×W×3, 3×H×W, H×W×1 or "
            "1×H×W is read"
        )
    return _bytes(array, k, where)


def _bytes(array: np.ndarray, k: int, where: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "buif" or not np.isfinite(array).all():
        raise DataError(f"{where}: image {k} holds {array.dtype} that are no numbers")
    low, high = float(array.min()), float(array.max())
    is_float = array.dtype.kind == "f"
    white = 1 if is_float or array.dtype.kind == "b" else 255
    if low < -_SLACK or high > white + _SLACK:
        raise DataError(
            f"{where}: image {k} has pixels {low:g} … {high:g}; uint8, and floats in 0 … 1 as "
            "ToTensor gives are read (leave Normalize out: a network's own is applied)"
        )
    return np.clip(np.round(array.astype(np.float32) * (255 / white)), 0, 255).astype(np.uint8)


def _of_pillow(image: Any, k: int, where: str) -> np.ndarray:
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode[0] in "IF":
        raise DataError(
            f"{where}: image {k} is of Pillow's mode {image.mode}; convert it to L or RGB"
        )
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in getattr(image, "info", {}):
        rgba = np.asarray(image.convert("RGBA")).astype(np.float32)
        alpha = rgba[..., 3:] / 255
        return np.round(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)  # on white
    return np.asarray(image.convert("RGB"))


def _kind(given: object) -> str:
    kind = type(given).__name__
    if isinstance(given, (tuple, list)):
        return f"a {kind} of {len(given)}"
    if isinstance(given, Mapping):
        return f"a {kind} with the keys {', '.join(map(str, list(given)[:5])) or '(none)'}"
    if hasattr(given, "__iter__") and not hasattr(given, "__len__"):
        return f"{kind}, which cannot be asked for its length"
    return f"{kind}"
