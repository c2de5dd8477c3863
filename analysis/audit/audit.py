"""Are the labels of a data set right, and if not, what was done to them? Pure functions.

In: the labels that images were given and what a network reads in the same images, which it was
not trained on (or was trained on with labels that are trusted). Out: `Audit`: the confusion of the
two, the shape of what was done to the labels, its rate with an interval, what a network that
learns them will score, and the images whose label is contradicted, the most certain first. It
stands alone because it needs arrays only: how they were made is `harness.reference`'s business.

Why it works without being told: label errors do not depend on how easy an image is, a network's
mistakes do. So rates are measured on the quarter of each read class of which the network is most
certain, where its own mistakes are rare; how rare is measured on labels that are trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from math import nan
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from analysis.audit.shape import SHAPES, Shape, pair_table, shape_of
from analysis.audit.wrong_labels import list_wrong_labels
from analysis.statistics.samples.arrays import Floats, Ints
from analysis.statistics.samples.intervals import CONFIDENCE, Interval
from analysis.statistics.samples.shares import proportion_interval
from headstart.errors import InputError

__all__ = ["SHAPES", "Answers", "Audit", "audit_labels", "certain_part", "read_off"]

Reading = Literal["most likely", "least likely"]

CERTAIN = 0.25  # of each read class: where rates are measured
LEAST_OF_PAIR = 5  # images among the surest from which a pair of classes is told
SURE = 0.95  # median certainty from which a pair of classes is told where else nothing is wrong
LEAST_LISTED = 5  # labels that look wrong, where that many do
SELF_ERROR = 0.01  # what is allowed for a network's own mistakes there, where nothing measured them


@dataclass(frozen=True)
class Answers:
    """What a network says of images.

    indices: int64 (n,), rows of the data set. given: int64 (n,), class numbers. probabilities:
    float (n, n_classes).
    """

    indices: Ints
    given: Ints
    probabilities: Floats


@dataclass(frozen=True)
class Audit:
    """What an audit says.

    Attributes:
        shape: what was done to the labels; `SHAPES` says what each means.
        reading: whether an image's class was read off as the class that the network finds most
            likely or, where that says nothing, the least likely (self-audits alone).
        right: share of given labels that are right, corrected for the reference's mistakes.
        wrong: 1 - right.
        replaced: `uniform`: share of labels that were replaced by a random class (wrong·K/(K - 1)).
        reference_error: the reference's share of mistakes where rates are measured, `high` is
            what the verdict allows for.
        unevenness: how wrong labels spread over the other classes: 0 evenly, 1 all into one.
        confusion: (K, K) counts, given × read, all images.
        transition: (K, K), row: read class, column: share of the labels given to it.
        pairs: read, given, n, share with share_low and share_high: by `analysis.audit.shape`.
        told: those of `pairs` that stand out so much that they are told first: more than twice
            as frequent as an even spread, at the lower end of the interval, too. Where the shape is
            `none`, only those of which the network is sure, since it may take one class for another
            itself. Empty where labels are complementary.
        accuracy_right: on right labels, of a network that answers what these labels say most often.
        accuracy_drawn: the same, of one that answers as often as the labels say.
        accuracy_given: on labels like these, the best that any network can do.
            These three and the bits take an even shape (uniform, complementary) as exactly even.
        bits: what one label tells about the class, and bits_all: what a right one would.
        listed: the labels that look wrong one by one, by `wrong_labels`, the surest first, and no
            more than `wrong` says (where the shape is `none` its estimate, else its upper end), but
            for the first five; empty where the least likely class is read, since nearly all labels
            are wrong then.
        contradicted: index, given, read, certainty, of all images whose label is not what is read.
        by_certainty: quarter (1 = most certain), n, n_contradicted, share: flat where labels are
            wrong whatever the image, falling where the reference errs.
        n, n_certain: images, and those on which rates are measured.
        note: what a reader must know.
    """

    shape: Shape
    reading: Reading
    right: Interval
    wrong: Interval
    replaced: Interval
    reference_error: Interval
    unevenness: float
    confusion: Ints
    transition: Floats
    pairs: pd.DataFrame
    told: pd.DataFrame
    accuracy_right: float
    accuracy_drawn: float
    accuracy_given: float
    bits: float
    bits_all: float
    listed: pd.DataFrame
    contradicted: pd.DataFrame
    by_certainty: pd.DataFrame
    n: int
    n_certain: int
    note: str


def audit_labels(answers: Answers, trusted: Answers | None = None) -> Audit:
    """What was done to the labels of `answers`.

    Interval of the share right: Wilson's over the most certain quarter of each read class, its
    ends corrected for reference mistakes between none and their own upper limit, those mistakes
    taken to fall evenly on the other classes (a label error and a reference error of one image are
    taken as independent). Sample unit: the image; over seeds of the reference nothing is said.
    A network's own mistakes at least double from the most certain quarter to the next, wrong labels
    do not: where contradictions grow so fast that mistakes alone may explain them, the interval
    reaches 1 whatever the trusted labels say, which may be easier than the audited ones.

    Args:
        answers: of a network on images that it did not train on with these labels.
        trusted: the same network's on images whose labels are known to be right. None for a
            self-audit: then mistakes of up to `SELF_ERROR` are allowed for, and a shape in which
            the right class is not the most frequent label can be seen only if it is complementary.

    Raises:
        InputError: no image, or shapes that do not fit.
    """
    _check(answers)
    n_classes = answers.probabilities.shape[1]
    reading, read, certainty = _reading(answers, trusted is None)
    part = certain_part(read, certainty, n_classes)
    counts = _confusion(read[part], answers.given[part], n_classes)
    error = _reference_error(trusted)
    by_certainty = _by_certainty(answers.given, read, certainty, n_classes)
    right = _share_right(counts, error)
    right, doubt = _doubted(right, by_certainty)
    wrong = replace(right, estimate=1 - right.estimate, low=1 - right.high, high=1 - right.low)
    shape, unevenness, note = shape_of(counts, right, is_self_audit=trusted is None)
    note = note or doubt
    factor = n_classes / (n_classes - 1)
    replaced = [min(1.0, factor * v) for v in (wrong.estimate, wrong.low, wrong.high)]
    all_counts = _confusion(read, answers.given, n_classes)
    transition = _rows(counts, all_counts)
    frequency = np.bincount(read, minlength=n_classes) / len(read)
    rates = transition
    if shape in ("uniform", "complementary"):  # the largest of many noisy rates would be too large
        each = (1 - right.estimate) / (n_classes - 1)
        rates = np.where(np.eye(n_classes) > 0, right.estimate, each)
    scores = _what_is_learned(rates, frequency)
    pairs = pair_table(counts, error.high)
    return Audit(
        shape=shape,
        reading=reading,
        right=right,
        wrong=wrong,
        replaced=replace(wrong, estimate=replaced[0], low=replaced[1], high=replaced[2]),
        reference_error=error,
        unevenness=unevenness,
        confusion=all_counts.T.copy(),
        transition=transition,
        pairs=pairs,
        told=_told(pairs, counts, shape, np.stack([read, answers.given])[:, part], certainty[part]),
        **scores,
        listed=_listed(answers, reading, shape, wrong),
        contradicted=_contradicted(answers, read, certainty),
        by_certainty=by_certainty,
        n=len(read),
        n_certain=int(part.sum()),
        note=note,
    )


def read_off(probabilities: Floats, least: bool = False) -> tuple[Ints, Floats]:
    """The class read in each image, int64 (n,), and how certainly, float (n,) up to 1.

    `least`: the class that the network finds least likely. A network trained on labels that say
    what an image is *not* gives its true class next to no probability; certainty is then how far
    that lies below an even share.
    """
    probabilities = np.asarray(probabilities, dtype=float)
    if least:
        n_classes = probabilities.shape[1]
        return probabilities.argmin(axis=1), 1 - n_classes * probabilities.min(axis=1)
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def certain_part(read: Ints, certainty: Floats, n_classes: int, share: float = CERTAIN) -> Ints:
    """bool (n,): the most certain `share` of each read class, all that are as certain included.

    Ties stay together: a data set often lies in the order of its labels, and a cut among equals
    would pick labels.
    """
    chosen = np.zeros(len(read), bool)
    for label in range(n_classes):
        members = np.flatnonzero(read == label)
        if len(members):
            k = max(1, round(share * len(members)))
            limit = np.partition(certainty[members], len(members) - k)[len(members) - k]
            chosen[members] = certainty[members] >= limit
    return chosen


def _check(answers: Answers) -> None:
    n, k = answers.probabilities.shape
    if n == 0:
        raise InputError("no images to audit")
    if not len(answers.given) == len(answers.indices) == n:
        raise InputError(f"{len(answers.given)} labels do not fit {n} rows of probabilities")
    if k < 2 or answers.given.min() < 0 or answers.given.max() >= k:
        raise InputError(f"labels must lie in 0 … {k - 1}, as the {k} columns of probabilities do")


def _reading(answers: Answers, is_self_audit: bool) -> tuple[Reading, Ints, Floats]:
    """The most likely class; the least likely where a self-audit learns from that one alone."""
    n_classes = answers.probabilities.shape[1]
    most, least = (read_off(answers.probabilities, flag) for flag in (False, True))
    if is_self_audit and n_classes > 2:
        agree, avoid = (_agreement(answers.given, *reading, n_classes) for reading in (most, least))
        if agree.low <= 2 / n_classes and avoid.high < 0.5 / n_classes:
            return "least likely", *least
    return "most likely", *most


def _agreement(given: Ints, read: Ints, certainty: Floats, n_classes: int) -> Interval:
    part = certain_part(read, certainty, n_classes)
    hits = int((given[part] == read[part]).sum())
    return proportion_interval(hits, int(part.sum()))


def _reference_error(trusted: Answers | None) -> Interval:
    """Its mistakes among the most certain quarter of images whose labels are right."""
    if trusted is None:
        return Interval(nan, 0.0, SELF_ERROR, CONFIDENCE, "assumed", 0, "not measured")
    _check(trusted)
    n_classes = trusted.probabilities.shape[1]
    read, certainty = read_off(trusted.probabilities)
    part = certain_part(read, certainty, n_classes)
    n_wrong = int((trusted.given[part] != read[part]).sum())
    return proportion_interval(n_wrong, int(part.sum()))


def _share_right(counts: Ints, error: Interval) -> Interval:
    """From the agreement a = s(1 - e) + (1 - s)·e/(K - 1), solved for s at both ends."""
    n, n_classes = int(counts.sum()), len(counts)
    seen = proportion_interval(int(np.trace(counts)), n)
    guess = 1 / (n_classes - 1)

    def solved(agreement: float, e: float, share: float) -> float:
        return float(np.clip((agreement - e * share) / (1 - e * (1 + share)), 0, 1))

    worst = min(error.high, 0.5 * (n_classes - 1) / n_classes)  # above it a reading says nothing
    likely = 0.0 if np.isnan(error.estimate) else min(error.estimate, worst)
    low = min(solved(seen.low, e, guess) for e in (0.0, worst))
    high = max(solved(seen.high, e, 0.0) for e in (0.0, worst))
    estimate = float(np.clip(solved(seen.estimate, likely, guess), low, high))
    method = "Wilson, corrected for the reference's error"
    return Interval(estimate, low, high, CONFIDENCE, method, n)


def _doubted(right: Interval, by_certainty: pd.DataFrame) -> tuple[Interval, str]:
    """`right`, opened to 1 where mistakes that double by quarter explain what is contradicted.

    With shares r₁ and r₂ of contradicted labels in the two most certain quarters, wrong labels are
    at least 2r₁ - r₂, normal interval (each share moved by one image from 0 and 1). Nothing is
    doubted where the second quarter is empty.
    """
    n, n_wrong = (by_certainty[name].to_numpy(dtype=float)[:2] for name in ("n", "n_contradicted"))
    if not n.all():
        return right, ""
    r = (n_wrong + 1) / (n + 2)
    variance = r * (1 - r) / n
    least = 2 * n_wrong[0] / n[0] - n_wrong[1] / n[1]
    sd = float(np.sqrt(4 * variance[0] + variance[1]))
    if least > float(special.ndtri((1 + CONFIDENCE) / 2)) * sd:
        return right, ""
    estimate = max(right.estimate, 1 - max(0.0, least))
    if right.high >= 1:
        return replace(right, estimate=estimate), ""
    note = (
        f"contradictions grow from {100 * n_wrong[0] / n[0]:.1f} % in the most certain quarter to "
        f"{100 * n_wrong[1] / n[1]:.1f} % in the next, as a network's own mistakes do and wrong "
        "labels do not; a better network could tell more"
    )
    return replace(right, estimate=estimate, high=1.0), note


def _confusion(rows: Ints, columns: Ints, n_classes: int) -> Ints:
    flat = np.bincount(rows * n_classes + columns, minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes).astype(np.int64)


def _rows(counts: Ints, all_counts: Ints) -> Floats:
    """Rows as shares; a class that was never read keeps its label."""
    seen = np.where(counts.sum(axis=1, keepdims=True) > 0, counts, all_counts)
    seen = np.where(seen.sum(axis=1, keepdims=True) > 0, seen, np.eye(len(counts), dtype=int))
    return np.asarray(seen / seen.sum(axis=1, keepdims=True))


def _what_is_learned(transition: Floats, frequency: Floats) -> dict[str, float]:
    """Accuracies of networks that learn these labels, and bits a label (Shannon)."""
    best = transition.max(axis=1)
    is_right = np.diag(transition) >= best
    joint = frequency[:, None] * transition
    given = joint.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(joint > 0, np.log2(joint / (frequency[:, None] * given[None, :])), 0)
        entropy = -frequency * np.log2(frequency)
    return {
        "accuracy_right": float(frequency[is_right].sum()),
        "accuracy_drawn": float(frequency @ np.diag(transition)),
        "accuracy_given": float(frequency @ best),
        "bits": max(0.0, float((joint * log).sum())),
        "bits_all": float(np.where(frequency > 0, entropy, 0).sum()),
    }


def _told(
    pairs: pd.DataFrame, counts: Ints, shape: Shape, labels: Ints, certainty: Floats
) -> pd.DataFrame:
    """`Audit.told`; labels: int64 (2, n), read and given; certainty (n,), of the certain part."""
    if shape == "complementary":
        return pairs[:0]
    n_wrong = counts.sum(axis=1) - np.diag(counts)
    even = n_wrong / np.maximum(counts.sum(axis=1), 1) / (len(counts) - 1)

    def stands_out(read: int, given: int, low: float) -> bool:
        of_pair = (labels[0] == read) & (labels[1] == given)
        is_sure = shape != "none" or float(np.median(certainty[of_pair])) >= SURE
        return low > 2 * even[read] and is_sure

    columns = pairs[["read", "given", "share_low"]].itertuples(index=False)
    kept = [stands_out(int(read), int(given), float(low)) for read, given, low in columns]
    return pairs[np.array(kept, bool) & (pairs["n"].to_numpy(dtype=int) >= LEAST_OF_PAIR)]


def _listed(answers: Answers, reading: Reading, shape: Shape, wrong: Interval) -> pd.DataFrame:
    """Those of cleanlab's rule, the surest: as many as are wrong by the estimate or, where labels
    are known to be wrong, by the upper end of its interval."""
    given, probabilities = answers.given, answers.probabilities
    labels = list_wrong_labels(answers.indices, given, probabilities, strict=shape == "none")
    if reading == "least likely" or shape == "complementary":
        return labels[:0]
    share = wrong.estimate if shape == "none" else wrong.high
    return labels[: max(LEAST_LISTED, math.ceil(share * len(given)))]


def _contradicted(answers: Answers, read: Ints, certainty: Floats) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"index": answers.indices, "given": answers.given, "read": read, "certainty": certainty}
    )
    frame = frame[frame["given"] != frame["read"]]
    order = ["certainty", "index"]
    return frame.sort_values(order, ascending=[False, True], kind="stable", ignore_index=True)


def _by_certainty(given: Ints, read: Ints, certainty: Floats, n_classes: int) -> pd.DataFrame:
    """Contradicted images by quarter of certainty; ties move a cut, so quarters differ in size."""
    rows = []
    before = np.zeros(len(read), bool)
    for quarter in (1, 2, 3, 4):
        within = certain_part(read, certainty, n_classes, quarter / 4)
        part = within & ~before
        n, n_wrong = int(part.sum()), int((given[part] != read[part]).sum())
        rows.append((quarter, n, n_wrong, n_wrong / n if n else nan))
        before = within
    return pd.DataFrame(rows, columns=["quarter", "n", "n_contradicted", "share"])
