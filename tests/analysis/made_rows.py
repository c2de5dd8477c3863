"""A row of a comparison for tests: what a test does not name is that of one shown difference."""

from __future__ import annotations

import math
from typing import Any

from analysis.statistics.pairs.comparison import Comparison


def row(**changes: Any) -> Comparison:
    """Ten pairs of `t` and `c`, 1.5 points apart."""
    common = {
        "task": "", "treatment": "t", "control": "c", "metric": "test_accuracy",
        "target": math.nan, "unit": "fraction", "n_pairs": 10, "n_treatment": 10, "n_control": 10,
        "paired": True, "scale": "difference", "estimate": 0.015, "low": 0.01, "high": 0.02,
        "confidence": 0.95, "n_unreached_treatment": 0, "n_unreached_control": 0,
        "budget": math.nan, "p_value": 0.01, "p_question": 0.0123, "n_question": 3,
        "mean_score": 0.015, "sd_score": 0.007, "verdict": "better", "state": "shown",
        "direction": "better", "note": "",
    }  # fmt: skip
    return Comparison(**(common | changes))
