"""Of what a split gives each part its share, where labels are no classes.

In: a `Dataset` with a `Target`. Out: the set with labels that number its strata. It stands
alone because a split knows classes only.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from datasets.base import Dataset

N_BINS = 10  # of numbers, of which each part of a split gets its share
FEWEST = 10  # images of one combination of labels that are a stratum of their own


def stratified(dataset: Dataset) -> Dataset:
    """The set with labels of which a split gives each part its share.

    Classes and ordered classes stay. Numbers: `N_BINS` bins of equally many images. Several
    labels: each combination that `FEWEST` images or more have, and all others together.
    """
    target = dataset.target
    if target is None or target.kind == "ordered":
        return dataset
    if target.kind == "number":
        numbers = target.table[dataset.labels, 0].astype(np.float64)
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, N_BINS + 1)[1:-1]))
        strata = np.searchsorted(edges, numbers, side="right")
    else:
        rows, combination = np.unique(target.table, axis=0, return_inverse=True)
        of_image = combination.reshape(-1)[dataset.labels]
        is_rare = np.bincount(of_image, minlength=len(rows)) < FEWEST
        strata = np.where(is_rare[of_image], len(rows), of_image)
    _, numbered = np.unique(strata, return_inverse=True)
    names = tuple(f"stratum {k + 1}" for k in range(int(numbered.max()) + 1))
    return dataclasses.replace(dataset, labels=numbered.astype(np.int64), class_names=names)
