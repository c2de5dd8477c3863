"""Run folders are read, merged and refused as load.py says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.findings.findings import find
from analysis.findings.load import load_runs, task_name
from analysis.report.essay import write_essay
from headstart.errors import RunFolderError


def test_one_row_a_trial_and_one_an_evaluation(made_run: Path) -> None:
    runs = load_runs([made_run])
    assert len(runs.trials) == 16
    assert len(runs.curves) == 16 * 20
    assert set(runs.trials["task"]) == {"made"}
    assert runs.sweeps[0]["question"] == "Does the treatment help?"


def test_order_of_folders_changes_nothing(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", Made(name="first", seeds=2))
    second = write_run(tmp_path / "b", Made(name="second", seeds=2, root=7))
    one, other = load_runs([first, second]), load_runs([second, first])
    pd.testing.assert_frame_equal(one.trials, other.trials)
    pd.testing.assert_frame_equal(one.curves, other.curves)
    assert [s["name"] for s in one.sweeps] == [s["name"] for s in other.sweeps]


def test_runs_of_one_sweep_merge_by_id_and_a_finished_trial_wins(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "whole", Made(seeds=3))
    part = write_run(tmp_path / "part", Made(seeds=3))
    trials = pd.read_parquet(part / "trials.parquet")
    broken = trials["trial_id"].iloc[0]
    trials.loc[trials["trial_id"] == broken, ["status", "test_accuracy"]] = ["failed", np.nan]
    trials.to_parquet(part / "trials.parquet")
    runs = load_runs([part, whole])
    assert len(runs.trials) == 6
    assert (runs.trials["status"] == "done").all()
    kept = runs.trials.set_index("trial_id").loc[broken]
    assert kept["folder"] == str(whole)
    assert (runs.curves["trial_id"] == broken).sum() == 20


def test_an_arm_at_several_grid_points_has_a_task_for_each(tmp_path: Path) -> None:
    points = [json.dumps({"data.train": n}) for n in (100, 300)]
    folders = [write_run(tmp_path / str(k), Made(seeds=1, grid=p)) for k, p in enumerate(points)]
    runs = load_runs(folders)
    assert set(runs.trials["task"]) == {"made (data.train=100)", "made (data.train=300)"}
    assert set(runs.curves["task"]) == set(runs.trials["task"])


def test_arms_named_for_their_grid_points_are_one_task(run_of) -> None:
    assert set(load_runs([run_of(Made(seeds=1, grid='{"a": 1}'))]).trials["task"]) == {"made"}


def test_what_a_search_drew_is_no_task(run_of) -> None:
    runs = load_runs([run_of(Made(seeds=1, search=4))])
    assert set(runs.trials["task"]) == {"made"}


def test_task_name_keeps_text_that_is_no_json() -> None:
    assert task_name("s", "") == "s"
    assert task_name("s", "odd") == "s (odd)"


def test_predictions_and_images_are_read_when_asked(made_run: Path) -> None:
    runs = load_runs([made_run])
    found = runs.predictions(runs.trials["trial_id"].iloc[0])
    assert found is not None
    assert found.probabilities.shape == (200, 10)
    images = runs.images("f" * 32)
    assert images is not None
    assert images.images.shape == (200, 1, 12, 12)
    assert images.indices.shape == (200,)
    assert runs.images("0" * 32) is None


def _refitted_run(folder: Path) -> Path:
    arms = (Arm("cnn"), Arm("cnn", stage="refit", test_accuracy=False))
    run = write_run(folder, Made(arms=arms, seeds=2, extra={"refit": True}))
    trials = pd.read_parquet(run / "trials.parquet")
    refits = trials[trials["stage"] == "refit"]["trial_id"]
    curves = pd.read_parquet(run / "curves.parquet")
    curves.loc[curves["trial_id"].isin(refits), "val_accuracy"] = np.nan
    curves.to_parquet(run / "curves.parquet")
    return run


def test_refits_have_no_validation_and_every_other_trial_must_have_it(tmp_path: Path) -> None:
    run = _refitted_run(tmp_path / "run")
    findings = find(load_runs([run]))
    assert len(findings.runs.trials) == 4
    assert findings.evidence["stage"].tolist() == ["arm", "arm"]
    data, *_ = write_essay(findings, [], [], 5)
    assert [text.split(":")[0] for text in data.paragraphs[:2]] == [
        "For the comparison",
        "For the networks that are handed over",
    ]
    curves = pd.read_parquet(run / "curves.parquet")
    curves["val_accuracy"] = np.nan
    curves.to_parquet(run / "curves.parquet")
    with pytest.raises(RunFolderError, match="column val_accuracy: is empty in 40 rows; run the"):
        load_runs([run])


def test_a_failed_trial_has_no_predictions(run_of) -> None:
    runs = load_runs([run_of(Made(arms=(Arm("a", failed=(0,)),), seeds=1))])
    assert runs.predictions(runs.trials["trial_id"].iloc[0]) is None


@pytest.mark.parametrize("missing", ["folder", "trials", "column", "damaged", "yaml"])
def test_bad_folders_are_one_line(tmp_path: Path, missing: str) -> None:
    folder = tmp_path / "run"
    expected = {
        "folder": "no such folder",
        "trials": "trials.parquet: not there",
        "column": "lacks the column status",
        "damaged": "cannot be read as a Parquet table",
        "yaml": "cannot be read as YAML",
    }[missing]
    if missing != "folder":
        write_run(folder, Made(seeds=1))
    if missing == "trials":
        (folder / "trials.parquet").unlink()
    if missing == "column":
        table = pd.read_parquet(folder / "trials.parquet").drop(columns="status")
        table.to_parquet(folder / "trials.parquet")
    if missing == "damaged":
        (folder / "trials.parquet").write_bytes(b"PAR1 no table")
    if missing == "yaml":
        (folder / "sweep.yaml").write_text("a: [1")
    with pytest.raises(RunFolderError, match=expected) as caught:
        load_runs([folder])
    assert "\n" not in str(caught.value)


def test_a_damaged_predictions_file_names_itself(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", Made(seeds=1))
    runs = load_runs([folder])
    trial_id = runs.trials["trial_id"].iloc[0]
    (folder / "trials" / trial_id / "predictions.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(RunFolderError, match=r"predictions\.npz: damaged"):
        runs.predictions(trial_id)
