"""Classification: what networks get right and wrong, by class, by image and over seeds.

The one place to import from. Each idea has a file: `scores` (precision, recall, F1, confusion,
classes in which arms differ), `calibration`, `mistakes` (images often wrong, McNemar's test) and
`two_way` (doubt about seeds and images). Predictions come as `{trial_id: Predictions}`.

Test images may differ between seeds (a split that is drawn anew): all functions take that as it is,
but `mcnemar` needs images that both arms saw at a seed, and the second interval of
`accuracy_interval` needs the same images in all trials.
"""

from analysis.statistics.classes.calibration import (
    calibration_error,
    calibration_intervals,
    reliability,
)
from analysis.statistics.classes.mistakes import McNemar, mcnemar, often_wrong
from analysis.statistics.classes.two_way import TwoWay, accuracy_interval
from analysis.statistics.pairs.scores import (
    Confusion,
    class_differences,
    confusion,
    score_intervals,
    trial_scores,
)

__all__ = [
    "Confusion",
    "McNemar",
    "TwoWay",
    "accuracy_interval",
    "calibration_error",
    "calibration_intervals",
    "class_differences",
    "confusion",
    "mcnemar",
    "often_wrong",
    "reliability",
    "score_intervals",
    "trial_scores",
]
