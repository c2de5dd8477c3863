"""Rows of times of two arms by hand: which are aligned, and what is said of the others."""

from __future__ import annotations

from math import inf

import numpy as np
import pandas as pd

from analysis.measures.times.paired import pair_by_seed
from analysis.statistics.times.paired_times import NO_PAIRS


def make_times(arm: str, times: dict[int, tuple[float, bool]]) -> pd.DataFrame:
    """One row a seed: its time, and whether the target was reached."""
    return pd.DataFrame(
        {
            "trial_id": [f"{arm}{seed}" for seed in times],
            "arm": arm,
            "seed": list(times),
            "time": [float(time) for time, _ in times.values()],
            "reached": [reached for _, reached in times.values()],
        }
    )


def test_rows_are_aligned_by_seed_and_the_others_counted() -> None:
    treatment = make_times("t", {2: (20, True), 0: (10, True), 9: (30, True)})
    control = make_times("c", {0: (40, True), 1: (50, True), 2: (60, False)})
    pairs = pair_by_seed(treatment, control)
    assert len(pairs.times) == 2
    assert pairs.treatment["seed"].tolist() == pairs.control["seed"].tolist() == [0, 2]
    assert pairs.times.n_reached == (2, 1)
    assert pairs.note == "2 trials without a partner of the same seed left out"
    assert pairs.times.describe() == (
        "1 of 2 control trials never reached the target; "
        "2 trials without a partner of the same seed left out"
    )


def test_nothing_is_said_where_all_reached_and_none_is_alone() -> None:
    times = {0: (10.0, True), 1: (20.0, True)}
    pairs = pair_by_seed(make_times("t", times), make_times("c", times))
    assert (pairs.note, pairs.times.describe()) == ("", "")
    nobody = pair_by_seed(make_times("t", {0: (1, True)}), make_times("c", {1: (1, True)}))
    assert (len(nobody.times), nobody.times.describe()) == (0, NO_PAIRS)
    missed = pair_by_seed(make_times("t", {0: (9, False)}), make_times("c", {0: (9, True)}))
    assert missed.times.describe() == "1 of 1 treatment trials never reached the target"


def test_the_arrays_hold_what_the_table_says_and_no_more() -> None:
    rows = make_times("t", {0: (0, True), 1: (9, False)})
    plain = pair_by_seed(rows, rows).times.treatment
    assert plain.reached.tolist() == [True, False]
    assert plain.first.tolist() == [inf, inf]
    assert np.isnan(plain.budget).all()
    assert not len(plain.since)
    whole = rows.assign(first=[4, 3], budget=9, since=[0.0, 5.0])
    known = pair_by_seed(rows, whole).times.control
    assert (known.first.tolist(), known.since.tolist()) == ([4, 3], [0, 5])
