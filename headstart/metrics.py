"""Which metrics there are of each kind of target, and which side of each is better.

In: nothing. Out: names. It stands in the leaf, and imports nothing, because whoever trains, whoever
reports and the statistics mean the same by a name.
"""

from __future__ import annotations

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
