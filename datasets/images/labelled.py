"""Encoded images with a label each, as containers keep them → a `Layout`.

In: names of images, label values (numbers, texts, or none), and the part of each. Out: a `Layout`
and the order of its classes. It stands alone because Parquet rows and samples of WebDataset shards
mean the same by a label, whatever they keep it in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datasets.arrays.classes import ClassNames, labels_to_classes
from datasets.base import PART_NAMES
from datasets.layout.layout import Layout
from headstart.errors import DataError

Label = int | str | None
_FEW = 2  # images that may each be of another class


@dataclass(frozen=True)
class Labelled:
    """Images by name, in the order of the container, each with its label and part.

    `names`: of the classes 0, 1, …, where the container says them. `groups` as in `Layout`.
    """

    files: Sequence[str]
    labels: Sequence[Label]
    parts: Sequence[str]
    names: Sequence[str] | None = None
    groups: Sequence[str] = ()


def layout_of(
    images: Labelled, where: str, class_names: ClassNames | None, notes: Sequence[str] = ()
) -> tuple[Layout, tuple[str, ...]]:
    """The images that have a label, and all classes in the order of their numbers.

    Numbers that the container names are its classes, and so are texts: `class_names` then chooses
    among them, elsewhere. Other numbers become classes as `labels_to_classes` says.

    Raises:
        DataError: no image has a label, or a label is no class.
    """
    chosen = [k for k, label in enumerate(images.labels) if not _is_missing(label, images.names)]
    if not chosen:
        raise DataError(f"{where}: none of {len(images.files)} images has a label")
    labels = [images.labels[k] for k in chosen]
    if len(labels) > _FEW and len(set(labels)) == len(labels):
        raise DataError(
            f"{where}: each of {len(labels):,} images has a label of its own ({labels[0]}, "
            f"{labels[1]}, …), so these are no classes; name what holds the classes"
        )
    classes, order, note = _classes(labels, images.names, where, class_names)
    return (
        Layout(
            files=tuple(images.files[k] for k in chosen),
            classes=tuple(classes),
            parts=tuple(images.parts[k] for k in chosen),
            notes=(*notes, *_without_label(images, set(chosen)), *([note] if note else [])),
            groups=tuple(images.groups[k] for k in chosen) if images.groups else (),
        ),
        tuple(order),
    )


def _classes(
    labels: Sequence[Label], names: Sequence[str] | None, where: str, class_names: ClassNames | None
) -> tuple[list[str], tuple[str, ...], str]:
    """The class of each label, all classes in their order (empty: that of their names), a note."""
    order: tuple[str, ...] = ()
    if names is not None:
        classes, order = _named(labels, names, where)
    elif any(isinstance(label, str) for label in labels):
        classes = [str(label).strip() for label in labels]
    else:
        indices, order, note = labels_to_classes(np.array(labels), where, class_names)
        return [order[index] for index in indices], order, note
    if not isinstance(class_names, Mapping):
        return classes, order, ""
    indices, order, note = labels_to_classes(np.array(classes), where, class_names)
    return [order[index] for index in indices], order, note


def names_are_used(images: Labelled, class_names: ClassNames | None) -> bool:
    """Whether `layout_of` has used `class_names` up, which else choose among the classes."""
    return isinstance(class_names, Mapping) or is_number_labels(images)


def is_number_labels(images: Labelled) -> bool:
    """Whether the labels are numbers that the container does not name."""
    known = [label for label in images.labels if label is not None]
    return images.names is None and not any(isinstance(label, str) for label in known)


def _is_missing(label: Label, names: Sequence[str] | None) -> bool:
    """Whether an image has no label; -1 says so where classes have names, as in test sets."""
    return label is None or (isinstance(label, str) and not label.strip()) or (
        names is not None and label == -1
    )  # fmt: skip


def _named(
    labels: Sequence[Label], names: Sequence[str], where: str
) -> tuple[list[str], tuple[str, ...]]:
    unknown = next((x for x in labels if not (isinstance(x, int) and 0 <= x < len(names))), None)
    if unknown is not None:
        raise DataError(
            f"{where}: label {unknown!r} is none of 0 … {len(names) - 1}, which the file names "
            f"({names[0]}, …)"
        )
    return [names[label] for label in labels if isinstance(label, int)], tuple(names)


def _without_label(images: Labelled, chosen: set[int]) -> list[str]:
    counts = Counter(part for k, part in enumerate(images.parts) if k not in chosen)
    totals = Counter(images.parts)
    notes = []
    for part in ("", *PART_NAMES):
        if n := counts[part]:
            of = f" of the {part} part" if part else ""
            all_of = "all " if n == totals[part] else ""
            notes.append(f"{all_of}{n:,} images{of} have no label and were left out")
    return notes
