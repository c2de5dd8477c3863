"""What a report must say of a split, in words.

In: a `Dataset`, and the parts that `datasets.split` drew. Out: notes. It stands alone because it
draws nothing: no note changes which images train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from datasets.base import PART_NAMES, Dataset
from datasets.target import Target

_NAME_THEIR_PARTS = ("folder",)  # sets with an option `parts`
_PAIRS_SHOWN = 3


def groups_note(
    groups: np.ndarray, parts: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]
) -> str:
    """How many groups and images each part has, and how many it asked for where that is not so."""
    texts = []
    for name in PART_NAMES:
        n, asked = len(parts[name]), int(wanted[name].sum()) if name in wanted else None
        instead = "" if asked in (n, None) else f" ({asked:,} were asked for)"
        n_groups = len(np.unique(groups[parts[name]]))
        texts.append(f"{name} {n:,} images of {n_groups:,} group{'s' * (n_groups != 1)}{instead}")
    return f"parts by group: {', '.join(texts)}"


def unused_shares(split: Mapping[str, float], official: Mapping[str, np.ndarray]) -> list[str]:
    """A note for each share of a part that the set has of its own."""
    return [
        f"the share of '{name}' in split was not used: the set has a {name} part of its own"
        for name, share in split.items()
        if name in official and share > 0
    ]


def no_test_part(dataset: Dataset, parts: Mapping[str, np.ndarray]) -> list[str]:
    """What became of the train part where nobody asked for test images and the set has none."""
    n_test = len(parts["test"])
    if n_test == 0 or "train" not in dataset.parts or "test" in dataset.parts:
        return []
    taken = f"{n_test:,} of its {len(dataset.parts['train']):,} training images were taken for it"
    left = f"{len(parts['train']):,} train"
    note = f"the data set has no test part: {taken}, {left}, "
    if "validation" not in dataset.parts:
        return [f"{note}{len(parts['validation']):,} validate"]
    n_own = len(dataset.parts["validation"])
    advice = "; parts: {test: val} tests on these" if dataset.name in _NAME_THEIR_PARTS else ""
    return [f"{note}and its own validation part ({n_own:,} images) validates{advice}"]


def near_duplicates(dataset: Dataset, train: np.ndarray, test: np.ndarray) -> tuple[str, ...]:
    """A note where test images look like training images."""
    if dataset.near_pairs is None:
        return ()
    part = np.zeros(len(dataset.labels), np.int8)
    part[train], part[test] = 1, 2
    pairs = dataset.near_pairs[part[dataset.near_pairs].sum(axis=1) == 3]
    pairs = np.where(part[pairs[:, :1]] == 2, pairs, pairs[:, ::-1])  # the test image first
    pairs = pairs[np.unique(pairs[:, 0], return_index=True)[1]]  # each of them once
    if len(pairs) == 0:
        return ()
    shown = [
        " and ".join(str(dataset.files.get(index, f"image {index:,}")) for index in pair)
        for pair in pairs[:_PAIRS_SHOWN].tolist()
    ]
    more = " …" if len(pairs) > _PAIRS_SHOWN else ""
    return (
        f"at least {len(pairs):,} of {len(test):,} test images of '{dataset.name}' look like a "
        "training image that was saved again, resized, brightened, cropped or mirrored, so the "
        f"test may be too easy: {'; '.join(shown)}{more}",
    )


def copies(dataset: Dataset, n_left_out: int, n_short: int) -> tuple[str, ...]:
    """Notes on exact copies, which must be in one part together."""
    notes = []
    if n_left_out:
        notes.append(
            f"{n_left_out} images of the train part of '{dataset.name}' left out: exact copies of "
            "images in its validation or test part"
        )
    if n_short:
        notes.append(
            f"{n_short} images of '{dataset.name}' fewer than asked for: copies of one image must "
            "stay in one part, and there was no room for all of them"
        )
    return tuple(notes)


def without_a_class(dataset: Dataset, parts: Mapping[str, np.ndarray]) -> list[str]:
    """A note on the classes of which a drawn part has no image, as of a class of few images.

    Args:
        dataset: of classes.
        parts: indices of each; those that are the set's own, or empty, are passed over.
    """
    in_all = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    notes = []
    for part, indices in parts.items():
        there = np.bincount(dataset.labels[indices], minlength=len(in_all))
        absent = [
            f"{dataset.class_names[label]} ({in_all[label]} in all)"
            for label in np.flatnonzero((there == 0) & (in_all > 0))
        ]
        if absent and len(indices) and part not in dataset.parts:
            shown = ", ".join(absent[:_PAIRS_SHOWN]) + " …" * (len(absent) > _PAIRS_SHOWN)
            notes.append(f"no {part} image is of {shown}: its scores are of the other classes")
    return notes


def lacking(target: Target, labels: np.ndarray, parts: Mapping[str, np.ndarray]) -> list[str]:
    """A note for each part in which a label is on none of the images.

    Args:
        labels: int64 (N,), of all images, into the target's table.
    """
    notes = []
    for name, indices in parts.items() if target.kind == "labels" else ():
        notes += without_images(target.names, target.table[labels[indices]], f"no {name} image")
    return notes


def without_images(names: Sequence[str], there: np.ndarray, none: str) -> list[str]:
    """A note on the labels that are on none of these images, where there are any.

    Args:
        there: (n, labels), whether each image has each label.
        none: how the note begins, as `no test image`.
    """
    absent = [n for n, is_on in zip(names, there.T, strict=True) if not is_on.any()]
    if not absent or not len(there):
        return []
    shown = ", ".join(absent[:_PAIRS_SHOWN]) + " …" * (len(absent) > _PAIRS_SHOWN)
    label, it = ("label", "it") if len(absent) == 1 else ("labels", "they")
    has, is_ = ("has", "is") if len(absent) == 1 else ("have", "are")
    return [
        f"{none} has the {label} {shown}: there, {it} {has} no average precision and {is_} left "
        "out of the mean"
    ]
