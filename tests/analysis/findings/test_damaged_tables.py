"""Tables that somebody changed: read as they are, or one line that names the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from synthetic_runs import Made, write_run

from analysis.findings.findings import find
from analysis.findings.load import load_runs
from headstart.errors import RunFolderError
from headstart.rows import EvaluationRow, TrialRow

Edit = Callable[[pd.DataFrame], pd.DataFrame]
MADE = Made(seeds=2, predictions=False, targets=(0.9,))


def edited(tmp_path: Path, name: str, edit: Edit) -> Path:
    """A run folder, without digests, of which one table was changed."""
    run = write_run(tmp_path / "run", MADE)
    edit(pd.read_parquet(run / name)).to_parquet(run / name)
    return run


@pytest.mark.parametrize(
    ("name", "edit", "says"),
    [
        ("curves.parquet", lambda t: t.assign(step=0), "has two evaluations at step 0"),
        ("curves.parquet", lambda t: t.assign(step="many"), "column step: "),
        ("curves.parquet", lambda t: t.assign(step=1e300), "column step: "),
        ("curves.parquet", lambda t: t.assign(step=float("nan")), "column step: "),
        ("curves.parquet", lambda t: t.assign(val_accuracy="high"), "column val_accuracy: "),
        ("curves.parquet", lambda t: t.assign(trial_id=None), "column trial_id: is empty in "),
        ("curves.parquet", lambda t: t.drop(columns="samples"), "lacks the column samples"),
        ("trials.parquet", lambda t: t.assign(seed="one"), "column seed: "),
        ("trials.parquet", lambda t: t.assign(seed=1.5), "column seed: "),
        ("trials.parquet", lambda t: t.assign(arm=None), "column arm: is empty in 4 rows"),
        ("trials.parquet", lambda t: t.assign(test_accuracy="high"), "column test_accuracy: "),
        ("trials.parquet", lambda t: t.assign(stage=[[1]] * len(t)), "trials.parquet: cannot be"),
        ("trials.parquet", lambda t: t.iloc[:0], "no trial has ended yet"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named(tmp_path, name, edit, says):
    run = edited(tmp_path, name, edit)
    with pytest.raises(RunFolderError) as caught:
        find(load_runs([run]))
    assert says in str(caught.value)
    assert str(run) in str(caught.value)
    assert "\n" not in str(caught.value)


KEYS = {"trial_id", "sweep", "stage", "arm", "seed", "status", "step", "samples", "train_time_s",
        "val_accuracy"}  # fmt: skip
OTHERS = [
    (name, column.name)
    for name, kind in (("trials.parquet", TrialRow), ("curves.parquet", EvaluationRow))
    for column in kind.columns()
    if column.name not in KEYS
]


SIDE = math.isqrt(len(OTHERS) - 1) + 1  # of a square of columns
GROUPS = [*(OTHERS[k * SIDE : (k + 1) * SIDE] for k in range(SIDE)),
          *(OTHERS[k::SIDE] for k in range(SIDE))]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("group", range(2 * SIDE))
def test_a_table_may_lack_any_column_that_is_no_key(tmp_path, group):
    """Ten at once, each of them a second time with nine others, which hide no mistake twice.

    Slow: a report's numbers for each group.
    """
    run = write_run(tmp_path / "run", MADE)
    for name in ("trials.parquet", "curves.parquet"):
        columns = [column for table, column in GROUPS[group] if table == name]
        pd.read_parquet(run / name).drop(columns=columns, errors="ignore").to_parquet(run / name)
    assert len(find(load_runs([run])).arms) == 2


def test_each_column_is_dropped_in_two_groups():
    assert sorted(column for group in GROUPS for column in group) == sorted(OTHERS * 2)


@pytest.mark.parametrize("column", ["test_accuracy", "best_val_accuracy", "finished_at", "grid"])
def test_a_table_may_lack_what_an_earlier_version_did_not_know(tmp_path, column):
    run = edited(tmp_path, "trials.parquet", lambda t: t.drop(columns=column, errors="ignore"))
    assert len(find(load_runs([run])).arms) == 2


def with_refit(tmp_path: Path, *, stage: str) -> Path:
    """A run folder with one trial more, of this stage, that looked at no validation image."""
    run = write_run(tmp_path / "run", MADE)
    trials, curves = (pd.read_parquet(run / f"{n}.parquet") for n in ("trials", "curves"))
    trial_id = trials["trial_id"].iloc[-1]
    again = trials[trials["trial_id"] == trial_id].assign(trial_id="f" * 16, stage=stage)
    points = curves[curves["trial_id"] == trial_id].assign(
        trial_id="f" * 16, val_accuracy=None, val_loss=None
    )
    pd.concat([trials, again]).to_parquet(run / "trials.parquet")
    pd.concat([curves, points]).to_parquet(run / "curves.parquet")
    return run


def test_a_run_with_refits_says_what_it_says_without_them(tmp_path):
    refitted = find(load_runs([with_refit(tmp_path, stage="refit")]))
    plain = find(load_runs([write_run(tmp_path / "plain", MADE)]))
    assert refitted.arms.to_json() == plain.arms.to_json()


def test_only_a_refit_may_have_no_validation_score(tmp_path):
    with pytest.raises(RunFolderError, match="column val_accuracy: is empty in "):
        load_runs([with_refit(tmp_path, stage="arm")])
