"""How many seeds a question needs, with the table of trials of a pilot sweep.

In: trials and curves, pairs of arms, questions. Out: a row for each (`statistics.pairs.pilot`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.measures.pairs.contrasts import build_contrasts
from analysis.statistics.pairs.pilot import seeds_needed
from analysis.statistics.samples.pairing import Pair
from headstart.errors import InputError


def plan(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    *,
    detect: float | None = None,
    half_width: float | None = None,
    p_better: float | None = None,
    metric: str = "test_accuracy",
    targets: Sequence[float] = (),
    power: float = 0.8,
    n_comparisons: int = 1,
) -> pd.DataFrame:
    """Seeds that each question needs, one row a task, pair, target and question.

    Args:
        detect: a difference to find, in the metric's unit (accuracies: a fraction); of a time to
            target a speedup (1.2: a fifth faster).
        half_width: wanted half-width of the 95 % interval, in the same unit (of a time: a factor).
        p_better: wanted P(treatment better), found with 95 % power; needs no pilot SD.
        n_comparisons: comparisons that the report will make (Holm).

    Returns:
        task, treatment, control, metric, target, question (`detect`, `half_width`, `p_better`),
        value, n_pilot, sd (of the paired differences; of times, of the log ratios), sd_low,
        sd_high (95 % interval), n_needed (at sd), n_low, n_high (at the ends of that interval),
        n_more (n_needed - n_pilot, at least 0), words. NaN where the pilot has fewer than 2 pairs.

    Raises InputError for no question, a value that is not above zero (of a time: above 1), arms
    whose seeds do not pair, and what `build_contrasts` raises.
    """
    questions = {"detect": detect, "half_width": half_width, "p_better": p_better}
    asked = {name: value for name, value in questions.items() if value is not None}
    if not asked:
        raise InputError("plan: give at least one of detect, half_width, p_better")
    rows = []
    for contrast in build_contrasts(trials, curves, pairs, targets, (metric,)):
        if not contrast.paired:
            treatment, control = contrast.pair
            raise InputError(
                f"plan: the seeds of '{treatment}' and '{control}' do not pair; run both arms on "
                "the same seeds"
            )
        rows += [seeds_needed(contrast, *q, power, n_comparisons) for q in asked.items()]
    return pd.DataFrame(rows)
