"""Who is ahead, and when: steps by hand, early stops, failures, unlike evaluations, sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import Arm, Made

from analysis.findings.ahead import ahead_words, find_ahead
from analysis.findings.asked import read_asked
from analysis.findings.load import load_runs


def ahead_of(folder):
    runs = load_runs([folder])
    evidence = runs.trials[runs.trials["stage"] == "arm"]
    return find_ahead(read_asked(runs), runs.curves[runs.curves["stage"] == "arm"], evidence)


def change(folder, curve_of) -> None:
    """Every trial's validation accuracies become `curve_of(arm, seed, steps)`."""
    path = folder / "curves.parquet"
    curves = pd.read_parquet(path)
    for (arm, seed), rows in curves.groupby(["arm", "seed"]):
        steps = rows["step"].to_numpy(dtype=float)
        curves.loc[rows.index, "val_accuracy"] = curve_of(arm, seed, steps)
    curves.to_parquet(path)


def bump(arm: str, seed: int, steps: np.ndarray) -> np.ndarray:
    """The treatment is 10 points better from step 200 to 400, and 0.1 points apart at most else."""
    inside = (steps >= 200) & (steps <= 400) if arm == "pretrained" else np.zeros(len(steps))
    wobble = 0.001 * np.sin(steps + 3 * seed) if arm == "pretrained" else np.zeros(len(steps))
    return 0.6 + 0.02 * seed + 0.1 * inside + wobble


def test_the_steps_of_a_stretch_by_hand(run_of) -> None:
    folder = run_of(Made(seeds=5))
    change(folder, bump)
    [row] = ahead_of(folder)
    at = row.steps[row.band.ahead]
    assert (at.min(), at.max()) == (200, 400)
    assert row.words == (
        "“pretrained” is ahead of “scratch” from step 200 to 400 "
        "(95 % for the whole curve, 5 pairs)."
    )
    assert list(ahead_words([row])) == [row.words]


def test_equal_curves_are_not_told_apart_and_a_worse_one_is_behind(run_of) -> None:
    folder = run_of(Made(seeds=5))
    change(folder, lambda arm, seed, steps: 0.6 + 0.01 * np.sin(7 * seed + len(arm) + steps))
    [row] = ahead_of(folder)
    assert "is not shown to be ahead of “scratch” or behind it at any step" in row.words
    change(
        folder,
        lambda arm, seed, steps: 0.6 + 0.001 * seed - 0.2 * (arm == "pretrained") + 0 * steps,
    )
    [row] = ahead_of(folder)
    assert "“pretrained” is behind “scratch” from step 50 to 1,000" in row.words


def test_trials_that_did_not_finish_are_left_out_and_counted(run_of) -> None:
    arms = (Arm("scratch", failed=(1,)), Arm("pretrained", diverged=(2,)))
    [row] = ahead_of(run_of(Made(arms=arms, seeds=6)))
    assert (row.band.n, row.n_left_out) == (4, 2)
    assert "4 pairs; 2 that did not finish left out" in row.words


def test_it_ends_with_the_shorter_training_and_needs_four_pairs(run_of) -> None:
    arms = (Arm("scratch", steps=1000), Arm("pretrained", steps=500))
    [row] = ahead_of(run_of(Made(name="short", arms=arms, seeds=4)))
    assert row.steps.max() <= 500
    assert ahead_of(run_of(Made(name="three", seeds=3))) == ()


@pytest.mark.parametrize("seeds", [5])
def test_planned_looks_widen_it(run_of, seeds: int) -> None:
    plain = ahead_of(run_of(Made(name="plain", seeds=seeds)))[0].band
    rule = {"seeds": {"until": "verdict"}}
    wide = ahead_of(run_of(Made(name="wide", seeds=seeds, extra=rule)))[0].band
    ratio = (wide.high - wide.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(np.full(len(ratio), 1.644176), rel=1e-4)
