"""Which metrics there are of each kind of target, and which side of each is better.

In: nothing. Out: names, and how far each metric reaches. It stands in the leaf because whoever
trains, whoever reports and the statistics mean the same by a name.
"""

from __future__ import annotations

import math

OF_TARGETS = {
    "labels": ("mean_average_precision", "micro_f1", "macro_f1", "exact_match"),
    "ordered": ("quadratic_kappa", "mae", "accuracy", "balanced_accuracy", "macro_f1"),
    "number": ("mae", "rmse", "r2"),
}
"""The metrics of each kind of `target`, beside the loss: that which leads it first."""
OF_CLASSES = ("accuracy", "balanced_accuracy", "macro_f1")
ONLY_OF_TARGETS = tuple(
    dict.fromkeys(m for metrics in OF_TARGETS.values() for m in metrics if m not in OF_CLASSES)
)
WITHOUT_ACCURACY = ("labels", "number")  # kinds of targets of which accuracy says nothing
LOWER_IS_BETTER = ("loss", "mae", "rmse")
SHARES = (*OF_CLASSES, "mean_average_precision", "micro_f1", "exact_match")  # that end at 0 and 1
_RANGES = {
    **dict.fromkeys(SHARES, (0.0, 1.0)),
    **dict.fromkeys(LOWER_IS_BETTER, (0.0, math.inf)),
    "quadratic_kappa": (-1.0, 1.0),
    "r2": (-math.inf, 1.0),
}


def range_of(score: str) -> tuple[float, float]:
    """The least and the most that a metric can be; a column such as `test_mae` has its metric's."""
    names = (name for name in _RANGES if score == name or score.endswith(f"_{name}"))
    return _RANGES.get(next(names, ""), (-math.inf, math.inf))
