"""The data sets of a report: from their records where there are any, else from the trials."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from synthetic_runs import Arm, Made, data_record, write_run

from analysis.findings.data_sets import describe_data
from analysis.findings.load import load_runs
from headstart.errors import RunFolderError

ARMS = (Arm("scratch"), Arm("pretrained"), Arm("digits", stage="pretrain"))
SMALL = {"seeds": 2, "predictions": False, "arms": ARMS}


def tables(folder: Path, *records: dict):
    return describe_data(load_runs([write_run(folder, Made(data=records, **SMALL))]))


def test_a_record_and_the_trials_make_one_row(tmp_path):
    data = tables(tmp_path / "run", data_record(n_groups=12))
    assert data.sets.to_dict("records") == [
        {
            "name": "made photos.zip", "fingerprint": "f" * 32, "n_classes": 10, "n_images": 397,
            "used_by": "“pretrained”, “scratch” and stage “digits”",
            "stand_in_for": "", "n_train": "50,000", "n_validation": "10,000", "n_test": "200",
            "target": "", "n_groups": 12, "size": "32×28, gray", "source": "made up",
        }
    ]  # fmt: skip
    assert data.classes.to_dict("records") == [
        {"name": "made photos.zip", "class": "ants", "all": 193, "train": 123, "validation": 70},
        {"name": "made photos.zip", "class": "bees", "all": 204, "train": 121, "validation": 83},
    ]


def test_warnings_come_before_sets_that_are_not_used_and_notes(tmp_path):
    record = data_record(not_used=[{"name": "mnist", "reason": "not on this machine"}])
    data = tables(tmp_path / "run", record)
    assert data.remarks[["kind", "remark"]].to_numpy().tolist() == [
        ["Warning", record["warnings"][0]],
        ["Not used", "mnist is not used: not on this machine"],
        ["Note", record["notes"][0]],
    ]
    assert set(data.remarks["name"]) == {"made photos.zip"}


def test_a_run_of_the_version_before_has_what_its_trials_tell(tmp_path):
    data = tables(tmp_path / "run", data_record(fingerprint="of other data"))
    (row,) = data.sets.to_dict("records")
    assert (row["name"], row["n_train"], row["n_images"], row["source"]) == (
        "made",
        "50,000",
        None,
        "",
    )
    assert data.remarks.empty
    assert data.classes.empty


def test_sets_of_one_name_are_told_apart_and_unlike_counts_are_a_range(tmp_path):
    run = write_run(tmp_path / "run", Made(**SMALL))
    trials = pd.read_parquet(run / "trials.parquet")
    is_stage = trials["stage"] == "pretrain"
    trials.loc[is_stage, "dataset_fingerprint"] = "e" * 32
    trials.loc[(trials["arm"] == "scratch"), "n_train"] = 100
    trials.to_parquet(run / "trials.parquet")
    sets = describe_data(load_runs([run])).sets.set_index("name")
    assert sorted(sets.index) == ["made (eeeeeeee)", "made (ffffffff)"]
    assert sets.loc["made (ffffffff)", "n_train"] == "100 to 50,000"
    assert sets.loc["made (eeeeeeee)", "used_by"] == "stage “digits”"


@pytest.mark.parametrize(
    "wrong",
    [{"data": 1}, {"data": [{"name": "a"}]}, {"data": [data_record(counts={"train": [-1]})]}],
)
def test_records_that_say_something_else_are_one_line(tmp_path, wrong):
    run = write_run(tmp_path / "run", Made(**SMALL))
    content = json.loads((run / "provenance.json").read_text()) | wrong
    (run / "provenance.json").write_text(json.dumps(content))
    with pytest.raises(RunFolderError, match=r"provenance\.json: data.*: ") as caught:
        load_runs([run])
    assert "\n" not in str(caught.value)
