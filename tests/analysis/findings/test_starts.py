"""What networks started from: one row an arm, private paths and odd records left out."""

from __future__ import annotations

import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.findings.findings import find
from analysis.findings.load import Runs, load_runs
from analysis.findings.starts import describe_starts
from analysis.report.essay import write_essay
from headstart.rows import TrialRow

REPORT = {
    "from": "/mnt/anna/mine.ckpt", "head": "new", "loaded": ["conv1.weight", "conv1.bias"],
    "new": ["fc.weight", "fc.bias"], "left_out": [],
    "notes": ["the prefix module. was taken off its names", "/mnt/anna/secret/mine.ckpt: odd"],
}  # fmt: skip
FILE = "/mnt/anna/nets/mine.ckpt"
ARMS = (
    Arm("scratch"),
    Arm("pretrained", initialize=FILE),
    Arm("head_only", initialize=FILE, fine_tune="last_layer"),
    Arm("digits", stage="pretrain"),
)


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Runs:
    monkeypatch.setattr(Runs, "record", lambda *_: TrialRow(load_report=REPORT))
    made = Made(seeds=2, predictions=False, arms=ARMS)
    return load_runs([write_run(tmp_path / "run", made)])


def test_each_arm_that_starts_from_weights_has_a_row(runs):
    rows = describe_starts(runs).set_index("place")
    assert sorted(rows.index) == ["“head_only”", "“pretrained”"]
    row = rows.loc["“pretrained”"]
    assert (row["head"], row["n_loaded"], row["new"]) == ("new", 2, "fc.weight and fc.bias")
    assert row["remark"].startswith("the prefix module. was taken off its names; ")
    assert "anna" not in f"{row['start']} {row['remark']}"


@pytest.mark.parametrize("report", [None, {}, {"from": "random initialisation"}])
def test_a_record_without_a_report_on_weights_makes_no_row(runs, monkeypatch, report):
    monkeypatch.setattr(Runs, "record", lambda *_: TrialRow(load_report=report))
    assert describe_starts(runs).empty


def test_a_record_of_other_types_is_read_as_nothing(runs, monkeypatch):
    odd = {**REPORT, "loaded": 3, "notes": "text", "new": {"a": 1}}
    monkeypatch.setattr(Runs, "record", lambda *_: TrialRow(load_report=odd))
    row = describe_starts(runs).iloc[0]
    assert (row["n_loaded"], row["new"], row["remark"]) == (0, "", "")


def test_arms_that_start_alike_are_one_sentence_of_the_essay(runs):
    passages = {each.heading: each for each in write_essay(find(runs), [], [], 3)}
    told = [text for text in passages["Network and why"].paragraphs if "started from" in text]
    assert len(told) == 1
    assert "2 tensors loaded; new: fc.weight and fc.bias; the prefix module." in told[0]
    assert all(name in told[0] for name in ("“head_only”", "“pretrained”"))
