"""Seeds until sure: what the trials so far say to the rule `seeds: {until: {half_width}}`.

In: the trials so far, the pairs, the rule of the sweep. Out: the `Decision` of
`statistics.pairs.sequential`. The harness calls it between batches of seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.measures.pairs.contrasts import build_contrasts
from analysis.measures.trials import arm_trials
from analysis.statistics.pairs.sequential import Decision, Until, decide_widths
from analysis.statistics.samples.pairing import Pair
from headstart.errors import InputError


def decide(
    trials: pd.DataFrame, curves: pd.DataFrame, pairs: Sequence[Pair], until: Until
) -> Decision:
    """`decide_widths` of all `pairs` after the seeds that have run.

    Raises InputError for no pairs, or what `build_contrasts` raises.
    """
    if not pairs:
        raise InputError("seeds.until: the sweep compares no arms, so no interval can be narrow")
    contrasts = build_contrasts(trials, curves, pairs, until.targets, (until.metric,), until.course)
    if not contrasts:
        raise InputError(f"seeds.until: the trials have no {until.metric} to compare")
    return decide_widths(contrasts, int(arm_trials(trials)["seed"].nunique()), until)
