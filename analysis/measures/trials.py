"""Which trials are evidence, and which of them belong together.

In: a table of trials. Out: rows of it. It stands alone because comparisons, times, predictions and
spreads must mean the same by "a pair": two trials of one seed, one of each arm.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.statistics.samples.arrays import Ints
from analysis.statistics.samples.pairing import SeedPairs, pair_seeds
from headstart.errors import InputError


def arm_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of stage `arm`, where a column `stage` says so: the others are no evidence."""
    return trials[trials["stage"] == "arm"] if "stage" in trials else trials


def pair_trials(treatment: pd.DataFrame, control: pd.DataFrame) -> SeedPairs:
    """Pair the rows (columns arm, seed) of two arms by seed, in the order of seeds.

    Raises:
        InputError: a seed stands twice in one of them: they are not of one arm of one sweep.
    """
    return pair_seeds(_seeds(treatment), _seeds(control))


def _seeds(rows: pd.DataFrame) -> Ints:
    twice = rows["seed"][rows["seed"].duplicated()]
    if len(twice):
        arms = ", ".join(sorted(rows["arm"].unique()))
        raise InputError(
            f"seed {twice.iloc[0]} stands twice among the trials of {arms}: "
            "give the trials of one arm of one sweep"
        )
    return np.asarray(rows["seed"], dtype=np.int64)


def untrained(trials: pd.DataFrame) -> set[str]:
    """Arms of one task that finished without a way through training.

    They made no step (`fine_tune: none`), or their head was fitted at once (`{probe: lbfgs}`),
    which a record has as one step.
    """
    done = trials[trials["status"] == "done"] if "status" in trials else trials
    if "steps" not in done:
        return set()
    steps = done.groupby("arm")["steps"].max()
    fitted = done["arm"][done["probe_l2"].notna()] if "probe_l2" in done else ()
    return {*steps.index[steps == 0], *fitted}


def what_trains(trials: pd.DataFrame) -> pd.Series:
    """`fine_tune` of each trial; with what its gradients chose, where they chose."""
    if "fine_tune" not in trials:
        return pd.Series(dtype="str")
    said = trials["fine_tune"].dropna().astype("str")
    if "chosen_layers" not in trials:
        return said
    chosen = trials["chosen_layers"].reindex(said.index).fillna("").astype("str")
    return said.where(chosen == "", said + ": " + chosen.str.replace("\n", ", "))
