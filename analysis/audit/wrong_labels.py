"""The list of labels that look wrong: by confident learning, as cleanlab keeps it.

In: given labels, and probabilities of networks that did not see the images. Out: one row an image
whose label looks wrong, the surest first. It stands alone because `audit` judges what was done to
the labels as a whole, and needs no list for it.

Source: Northcutt, Jiang and Chuang (2021), Confident learning, JAIR 70; the library `cleanlab`.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from analysis.statistics.samples.arrays import Floats, Ints

COLUMNS = ("index", "given", "proposed", "probability", "probability_given", "surety")
METHOD = "prune_by_noise_rate"  # cleanlab's default: as many as its joint counts say
STRICT = "both"  # also among the least likely of its class: where nothing else speaks against them


def list_wrong_labels(
    indices: Ints, given: Ints, probabilities: Floats, strict: bool = False
) -> pd.DataFrame:
    """Images whose label looks wrong, the surest first.

    Columns: index, given, proposed (the most likely class), probability (of the proposed class),
    probability_given, surety (the first less the second, 0 to 1).

    Args:
        indices: int64 (n,), rows of the data set.
        given: int64 (n,), class numbers.
        probabilities: float (n, K), out of sample; a class may lack images.
        strict: fewer false alarms, for labels of which no more are contradicted than networks get
            wrong.
    """
    proposed = probabilities.argmax(axis=1)
    rows = np.arange(len(given))
    frame = pd.DataFrame(
        {
            "index": indices,
            "given": given,
            "proposed": proposed,
            "probability": probabilities[rows, proposed],
            "probability_given": probabilities[rows, given],
        }
    )
    frame["surety"] = frame["probability"] - frame["probability_given"]
    method = STRICT if strict else METHOD
    frame = frame[_issues(given, probabilities, method) & (proposed != given)]
    order = ["surety", "index"]
    return frame.sort_values(order, ascending=[False, True], kind="stable", ignore_index=True)


def _issues(given: Ints, probabilities: Floats, method: str) -> np.ndarray:
    """bool (n,): what cleanlab's rule finds; classes without a label are left out of it."""
    from cleanlab.filter import find_label_issues  # scikit-learn: only where labels are audited

    classes, compact = np.unique(given, return_inverse=True)
    if len(classes) < 2:
        return np.zeros(len(given), bool)
    kept = np.asarray(probabilities, dtype=float)[:, classes]
    kept = np.maximum(kept, 1e-12)
    kept /= kept.sum(axis=1, keepdims=True)
    with warnings.catch_warnings():  # that it keeps the few images of a small class
        warnings.simplefilter("ignore", UserWarning)
        mask: np.ndarray = find_label_issues(compact, kept, filter_by=method, n_jobs=1)
    return mask
