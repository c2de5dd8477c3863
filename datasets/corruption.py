"""Wrong labels on purpose, on any data set: `corrupt_labels` beside `name` in a `data` entry.

In: a `Dataset` and which labels to spoil. Out: the same images with other labels, a fingerprint
of its own, and a note that says how many labels were changed. Images are shared, not copied.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from datasets.base import CorruptLabels, Dataset


def corrupt_labels(dataset: Dataset, settings: CorruptLabels) -> Dataset:
    """`dataset` with labels spoilt as `settings` say.

    The labels of an official test part stay right, because they are what a model is judged by;
    a set without one has all of its labels at risk, and its note says so. In each class, exactly
    `fraction` of the images (rounded) are drawn without replacement.
    """
    rng = np.random.default_rng([settings.seed, len(dataset.labels)])
    labels = np.array(dataset.labels)
    n_classes = len(dataset.class_names)
    at_risk = np.ones(len(labels), bool)
    at_risk[dataset.parts.get("test", [])] = False
    drawn = _draw(dataset.labels, at_risk, n_classes, settings.fraction, rng)
    labels[drawn] = _spoilt(labels[drawn], n_classes, settings.kind, rng)
    n_wrong = int(np.count_nonzero(labels != dataset.labels))
    if n_wrong == 0:
        return dataset
    return dataclasses.replace(
        dataset,
        labels=labels,
        fingerprint=_fingerprint(dataset.fingerprint, labels),
        notes=(*dataset.notes, _note(dataset, settings, n_wrong, int(at_risk.sum()))),
    )


def _draw(
    labels: np.ndarray,
    at_risk: np.ndarray,
    n_classes: int,
    fraction: float,
    rng: np.random.Generator,
) -> np.ndarray:
    drawn = []
    for label in range(n_classes):
        members = np.flatnonzero(at_risk & (labels == label))
        drawn.append(rng.permutation(members)[: round(fraction * len(members))])
    return np.sort(np.concatenate(drawn))


def _spoilt(labels: np.ndarray, n_classes: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind == "pairs":
        return (labels + 1) % n_classes
    if kind == "uniform":
        return rng.integers(n_classes, size=len(labels))
    return (labels + rng.integers(1, n_classes, size=len(labels))) % n_classes


def _fingerprint(before: str, labels: np.ndarray) -> str:
    content = before.encode() + labels.astype("<i8").tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _note(dataset: Dataset, settings: CorruptLabels, n_wrong: int, n_at_risk: int) -> str:
    note = (
        f"{n_wrong} of {n_at_risk} labels made wrong on purpose "
        f"({settings.kind}, fraction {settings.fraction:g}, seed {settings.seed})"
    )
    if "test" in dataset.parts:
        return f"{note}; the test part's labels are right"
    return f"{note}; the set has no test part of its own, so test labels are wrong alike"
