"""Convergence: when arms reach a target, how much sooner, and what that was worth.

The one place to import from. A trial that never reaches a target is censored at its budget, in
all of it: never dropped, never counted as its last step. Each idea has a file: `times` (curves to
one time a trial), `survival` (shares over time, restricted means, log-rank), `paired_times` and
`speedup` (ratios over seeds, or bounds), `break_even` (savings against the cost of pretraining).
"""

from analysis.statistics.times.break_even import BreakEven, break_even, break_even_table
from analysis.statistics.times.speedup import Speedup, same_conditions, speedup, speedup_table
from analysis.statistics.times.survival import (
    LogRank,
    common_horizon,
    kaplan_meier,
    log_rank,
    restricted_mean,
    restricted_mean_difference,
)
from analysis.statistics.times.times import (
    UNITS,
    area_under_curve,
    time_to_share_of_final,
    time_to_target,
    times_to_targets,
)

__all__ = [
    "UNITS",
    "BreakEven",
    "LogRank",
    "Speedup",
    "area_under_curve",
    "break_even",
    "break_even_table",
    "common_horizon",
    "kaplan_meier",
    "log_rank",
    "restricted_mean",
    "restricted_mean_difference",
    "same_conditions",
    "speedup",
    "speedup_table",
    "time_to_share_of_final",
    "time_to_target",
    "times_to_targets",
]
