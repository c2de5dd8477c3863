"""Which classes are taken for each other, and what remains when letter case is not counted.

In: confusion counts and class names. Out: pairs and groups. The groups are those that handwriting
itself does not tell apart, or tells apart by size alone: o O 0, l I 1, s S 5, and letters whose
capitals have the shape of the small ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_PAIRS = 10
LOOK_ALIKE = ("0Oo", "1Iil", "5Ss", "2Zz", "9gq", "Cc", "Kk", "Pp", "Uu", "Vv", "Ww", "Xx", "Yy")


@dataclass(frozen=True)
class Pair:
    """Two classes: `n_swapped` of the `n_images` of both were called the other one."""

    first: str
    second: str
    n_swapped: int
    n_images: int

    @property
    def share(self) -> float:
        return self.n_swapped / self.n_images


@dataclass(frozen=True)
class Group:
    """Classes that look alike.

    Attributes:
        classes: their names.
        n_images: of them all.
        n_right: called what they are.
        n_inside: called another one of the group.
    """

    classes: tuple[str, ...]
    n_images: int
    n_right: int
    n_inside: int


def confusable_pairs(counts: np.ndarray, class_names: Sequence[str]) -> list[Pair]:
    """The `MOST_PAIRS` pairs with most swapped images, most first; pairs never swapped stay out.

    `counts` is int (classes, classes), true classes down.
    """
    n_images = counts.sum(axis=1)
    pairs = [
        Pair(
            class_names[i],
            class_names[j],
            int(counts[i, j] + counts[j, i]),
            int(n_images[i] + n_images[j]),
        )
        for i in range(len(class_names))
        for j in range(i)
        if counts[i, j] + counts[j, i]
    ]
    return sorted(pairs, key=lambda p: (-p.n_swapped, -p.share, p.first, p.second))[:MOST_PAIRS]


def look_alikes(counts: np.ndarray, class_names: Sequence[str]) -> list[Group]:
    """The groups of `LOOK_ALIKE` of which at least two classes have test images."""
    index = {name: k for k, name in enumerate(class_names) if counts[k].sum()}
    groups = []
    for letters in LOOK_ALIKE:
        names = tuple(letter for letter in letters if letter in index)
        if len(names) < 2:
            continue
        rows = [index[name] for name in names]
        block = counts[np.ix_(rows, rows)]
        n_right = int(np.trace(block))
        n_images = int(counts[rows].sum())
        groups.append(Group(names, n_images, n_right, int(block.sum()) - n_right))
    return groups


def case_merged(class_names: Sequence[str]) -> np.ndarray | None:
    """int64 (classes,): each class's number where `A` and `a` are one; None where none merge."""
    lower = [name.lower() if len(name) == 1 else name for name in class_names]
    if len(set(lower)) == len(class_names):
        return None
    first = {name: lower.index(name) for name in lower}
    return np.array([first[name] for name in lower], dtype=np.int64)
