"""Labels as several labels, ordered classes or numbers: `target` in a `data` entry.

In: a `Dataset` whose labels are the distinct texts of its label column, as its own module gives it.
Out: the same images with a `Target`, a fingerprint of its own and a note on what it holds. It
stands alone so that every set can be read so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np

from datasets.base import Dataset
from datasets.target import Target, TargetSettings, target_of
from headstart.errors import DataError

_NAMED = 12  # labels in a note


def as_target(dataset: Dataset, settings: TargetSettings, only_tests: bool = False) -> Dataset:
    """`dataset` with its labels read as `settings` say.

    `only_tests`: no network learns from it, so its train part may lack a label, and its images may
    all have one number.

    Raises:
        DataError: as `target_of` does.
    """
    target = target_of(settings, dataset.class_names, dataset.source, only_tests)
    labels = dataset.labels
    if target.kind == "ordered":
        place = {name: k for k, name in enumerate(target.values)}
        labels = np.array([place[name] for name in dataset.class_names], np.int64)[labels]
    changed = dataclasses.replace(
        dataset,
        labels=labels,
        class_names=target.names,
        target=target,
        fingerprint=_fingerprint(dataset.fingerprint, target),
    )
    if not only_tests:
        _check_train_part(changed, target)
    return dataclasses.replace(changed, notes=(*dataset.notes, _note(changed, target)))


def _check_train_part(dataset: Dataset, target: Target) -> None:
    if "train" in dataset.parts and target.kind == "labels":
        n = target.table[dataset.labels[dataset.parts["train"]]].sum(axis=0)
        if not n.all():
            name = target.names[int(n.argmin())]
            raise DataError(f"{dataset.source}: no image of its train part has the label '{name}'")


def _note(dataset: Dataset, target: Target) -> str:
    table = target.table[dataset.labels].astype(np.float64)
    if target.kind == "ordered":
        return f"its classes have an order: {' < '.join(target.names[:_NAMED])}" + (
            " < …" if len(target.names) > _NAMED else ""
        )
    if target.kind == "number":
        unit = f" {target.unit}" if target.unit else ""
        return (
            f"it is a number that networks give: {table.min():g} to {table.max():g}{unit}, mean "
            f"{table.mean():.4g}, standard deviation {table.std():.4g}"
        )
    n = table.sum(axis=1)
    counts = zip(target.names, table.sum(axis=0).astype(int).tolist(), strict=True)
    each = ", ".join(f"{name} {count:,}" for name, count in list(counts)[:_NAMED])
    more = ", …" if len(target.names) > _NAMED else ""
    return (
        f"its images have {n.mean():.2f} labels each on average, {int((n == 0).sum()):,} of them "
        f"none and {int((n > 1).sum()):,} several: {each}{more}"
    )


def _fingerprint(before: str, target: Target) -> str:
    content = json.dumps([before, target.kind, target.names]).encode()
    content += np.ascontiguousarray(target.table, "<f4").tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()
