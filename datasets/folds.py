"""Folds: each image tests once, so that it is judged by networks that did not see it.

In: the images that may be drawn, with labels, copies and groups. Out: the number of each image's
fold. It stands apart from `split` because a split draws parts for a seed, while the folds of a set
are the same for every seed: only together do they cover it.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from headstart.settings import key

_STREAM = 4242  # of the draw of all folds, whatever the seed


class Fold(BaseModel):
    """One fold of several: its images test, the others train."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = key("Which fold, from 1.", example=1, ge=1)
    of: int = key("How many folds there are.", example=4, ge=2)
    images: int | None = key("Fold so many images only, drawn by class; without it all that are "
        "in no test part.", None, example=8000, unit="images", ge=2)  # fmt: skip

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Fold:
        if self.number > self.of:
            raise ValueError(f"number {self.number} is over {self.of}, the number of folds")
        return self


def folded(
    labels: np.ndarray, tied: np.ndarray, pool: np.ndarray, fold: Fold
) -> tuple[np.ndarray, np.ndarray]:
    """The images that are folded, int64 (n,), and the fold of each from 1, int64 (n,).

    What is tied stays in one fold. Each class is dealt out one unit after another, so that two
    folds differ by a unit of it at most, and the largest units go first.

    Args:
        labels: int64 (N,).
        tied: int64 (N,), equal numbers for images that stay together (copies, groups).
        pool: int64 indices of the images that may be drawn.
    """
    rng = np.random.default_rng(_STREAM)
    order = rng.permutation(pool)
    _, first, unit = np.unique(tied[order], return_index=True, return_inverse=True)
    sizes, unit_labels = np.bincount(unit), labels[order[first]]
    dealt = np.lexsort((first, -sizes, unit_labels))  # by class, the largest first, else as drawn
    if fold.images is not None:
        dealt = _sampled(dealt, unit_labels, fold.images / len(pool))
    fold_of = np.zeros(len(sizes), np.int64)
    fold_of[dealt] = 1 + np.arange(len(dealt)) % fold.of
    chosen = fold_of[unit] > 0
    return order[chosen], fold_of[unit[chosen]]


def _sampled(dealt: np.ndarray, unit_labels: np.ndarray, share: float) -> np.ndarray:
    """Of each class's units a share, evenly over their sizes; one at least."""
    kept = []
    for label in np.unique(unit_labels):
        own = dealt[unit_labels[dealt] == label]
        n = min(len(own), max(1, round(share * len(own))))
        kept.append(own[np.arange(n) * len(own) // n])
    return np.concatenate(kept)
