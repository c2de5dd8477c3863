"""Convergence as a whole: a made-up run from its tables to speedups, and ten thousand trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.findings.load import load_runs
from analysis.measures.times.reached import UNITS, area_under_curve, times_to_targets
from analysis.measures.times.speedups import speedup_table
from analysis.measures.times.survival import kaplan_meier, restricted_mean_difference
from analysis.statistics.samples.pairing import Pair


def make_large(n_arms: int, n_seeds: int, n_evaluations: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves of many trials, rows shuffled; about half never reach 0.97."""
    rng = np.random.default_rng(0)
    n = n_arms * n_seeds
    trials = pd.DataFrame(
        {
            "trial_id": [f"{k:016x}" for k in range(n)],
            "arm": np.repeat([f"arm{k}" for k in range(n_arms)], n_seeds),
            "seed": np.tile(np.arange(n_seeds), n_arms),
            "stage": "arm",
            "status": "done",
            "device": "cpu",
            "n_workers": 1,
            "ran_as": "solo",
        }
    )
    step = np.tile(np.arange(1, n_evaluations + 1) * 50, n)
    pace = np.repeat(np.exp(rng.normal(7.2, 0.4, n)), n_evaluations)
    curves = pd.DataFrame(
        {
            "trial_id": np.repeat(trials["trial_id"].to_numpy(), n_evaluations),
            "step": step,
            "samples": step * 128,
            "train_time_s": step * 0.004,
            "val_accuracy": 1 - 0.9 * np.exp(-step / pace),
        }
    )
    return curves.sample(frac=1, random_state=0), trials


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("n_arms", "n_seeds"), [(40, 250), (333, 30)])
def test_ten_thousand_trials_take_seconds(n_arms: int, n_seeds: int) -> None:
    """Slow, and a loop over trials would take minutes; the limit leaves room for a busy machine."""
    curves, trials = make_large(n_arms, n_seeds, 100)
    pairs = [Pair(f"arm{k}", "arm0") for k in (1, 2, 3)]
    rng = np.random.default_rng(0)
    for unit in UNITS:
        table = speedup_table(curves, trials, pairs, [0.8, 0.9, 0.95, 0.97], unit, rng)
    times = times_to_targets(curves, trials, [0.95])
    arms = dict(iter(times.groupby("arm")))
    kaplan_meier(arms["arm0"])
    restricted_mean_difference(arms["arm1"], arms["arm0"], rng=rng)
    area_under_curve(curves, trials)
    assert len(table) == 12


def test_a_run_with_failures_and_unreached_targets(tmp_path: Path) -> None:
    made = Made(
        arms=(
            Arm("scratch", 0.975, 300, failed=(2,), diverged=(5,)),
            Arm("pretrained", 0.98, 150, 0.4),
        ),
        seeds=8,
    )
    runs = load_runs([write_run(tmp_path / "run", made)])
    found = speedup_table(
        runs.curves, runs.trials, [Pair("pretrained", "scratch")], [0.9, 0.999],
        rng=np.random.default_rng(1),
    )  # fmt: skip
    soon, never = found.itertuples()
    assert (soon.bound, soon.n_reached_control, soon.n_reached_treatment) == ("at least", 6, 8)
    assert soon.low > 1
    assert "2 of 8 control trials never reached the target" in soon.note
    assert np.isnan(never.estimate)
