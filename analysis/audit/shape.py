"""What was done to labels, by name, from counts of read class × given label.

In: counts on images whose class is read with near certainty, and the share of labels that are
right. Out: one of `SHAPES`, how unevenly wrong labels spread, and the pairs of classes that stand
out. It stands apart from `analysis.audit.audit` because the shape is a judgement with limits of
its own.
"""

from __future__ import annotations

from math import nan
from typing import Literal

import numpy as np
import pandas as pd

from analysis.statistics.samples.arrays import Ints
from analysis.statistics.samples.intervals import Interval
from analysis.statistics.samples.shares import proportion_interval

Shape = Literal["none", "uniform", "pairs", "complementary", "other"]
SHAPES: dict[Shape, str] = {
    "none": "no more labels are contradicted than the reference gets wrong by itself",
    "uniform": "some labels were replaced by a random class, each alike",
    "pairs": "labels of a class were replaced by one other class",
    "complementary": "labels say what an image is not: right less often than by chance, and the "
    "wrong ones spread evenly",
    "other": "labels are wrong in a way that has no name here",
}
EVEN, ONE_EACH = 0.25, 0.7  # unevenness up to which errors count as even, from which as pairs


def shape_of(counts: Ints, right: Interval, is_self_audit: bool) -> tuple[Shape, float, str]:
    """The shape, the unevenness of the wrong labels, and a note.

    counts: (K, K), read class × given label. right: the corrected share of right labels; `none`
    where its interval reaches 1. A self-audit whose network agrees with the labels no better than
    by chance has learned nothing from them, which is no evidence of how they came about.
    """
    n_classes = len(counts)
    spread = unevenness(counts)
    chance = 1 / n_classes
    if right.high >= 1:
        return "none", spread, ""
    # Right complements of K classes agree with the answers of a network that learned them 1/(K-1).
    if is_self_audit and chance <= right.high and right.low <= 1 / max(1, n_classes - 1):
        note = (
            "a network trained on these labels agrees with new ones no better than by chance: "
            "they are random, or too few to learn from; use a reference of trusted labels"
        )
        return "other", spread, note
    n_wrong = int(counts.sum() - np.trace(counts))
    if n_wrong < 2 * n_classes:
        return "other", spread, f"{n_wrong} wrong labels in sight: too few to tell their pattern"
    if np.isnan(spread) or spread <= EVEN:
        return ("complementary" if right.high < chance else "uniform"), spread, ""
    return ("pairs" if spread >= ONE_EACH else "other"), spread, ""


def unevenness(counts: Ints) -> float:
    """0 where wrong labels of each read class spread evenly over the others, 1 where all are alike.

    Pearson's chi-squared of the off-diagonal counts against even ones, less its degrees of freedom
    (what chance alone gives), over its greatest value n·(K - 2); at least 0. NaN for two classes
    or where no label is wrong.
    """
    n_classes = len(counts)
    wrong = counts.astype(float)
    np.fill_diagonal(wrong, 0)
    by_class = wrong.sum(axis=1)
    n = wrong.sum()
    if n == 0 or n_classes < 3:
        return nan
    expected = np.repeat(by_class[:, None] / (n_classes - 1), n_classes, axis=1)
    off = ~np.eye(n_classes, dtype=bool) & (expected > 0)
    chi_squared = ((wrong - expected)[off] ** 2 / expected[off]).sum()
    freedom = (by_class > 0).sum() * (n_classes - 2)
    return float(max(0.0, chi_squared - freedom) / (n * (n_classes - 2)))


def pair_table(counts: Ints, allowed: float) -> pd.DataFrame:
    """Read classes whose labels often became one other, most often first.

    Columns read, given, n, share of the read class's labels with share_low and share_high
    (Wilson, each by itself). A pair is listed where the interval lies above `allowed`, the share
    that the reference may get wrong, and the label is at least twice as frequent as an even
    spread of the class's wrong labels would make it.
    """
    rows = []
    n_classes = len(counts)
    for read in range(n_classes):
        n_read = int(counts[read].sum())
        n_wrong = n_read - int(counts[read, read])
        for given in range(n_classes):
            n = int(counts[read, given])
            if given == read or n == 0 or n * (n_classes - 1) < 2 * n_wrong:
                continue
            share = proportion_interval(n, n_read)
            if share.low > allowed:
                rows.append(
                    {"read": read, "given": given, "n": n} | share.columns("share", "share_")
                )
    columns = ["read", "given", "n", "share", "share_low", "share_high"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(["share", "read"], ascending=[False, True], kind="stable").reset_index(
        drop=True
    )
