"""Reading a run folder: plans, rows and files, wherever they lie, and what is damaged."""

from __future__ import annotations

import errno
import io
import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart import records
from headstart.archives import Archives
from headstart.errors import RunFolderError
from headstart.records import (
    FINAL,
    PlannedTrial,
    PlanRecord,
    check_run_folder,
    checked_bytes,
    checked_file,
    finished_rows,
    read_curve,
    read_object,
    read_plan,
    read_row,
    trial_row,
    trial_rows,
)
from headstart.rows import EvaluationRow, TrialRow


def write_trial(run: Path, trial_id: str, status: str = "done", **values) -> TrialRow:
    """A trial's record, its curve of one point and its weights."""
    folder = run / "trials" / trial_id
    folder.mkdir(parents=True, exist_ok=True)
    row = TrialRow(trial_id=trial_id, status=status, files=("trial.json",), **values)
    point = EvaluationRow(trial_id=trial_id, step=3, val_accuracy=0.5).to_json()
    pq.write_table(pa.Table.from_pylist([point]), folder / "curve.parquet")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "trial.json").write_text(json.dumps(row.to_json()))
    return row


def archive(run: Path, *trial_ids: str) -> Path:
    Archives(run).write("-".join(trial_ids), run / "trials", trial_ids)
    return run / "packs" / f"{'-'.join(trial_ids)}.zip"


def test_what_is_final_does_not_run_again():
    assert FINAL == ("done", "diverged")


# -- plans ---------------------------------------------------------------------------------


def test_a_plan_is_read_with_the_keys_of_every_version(tmp_path):
    trials = [
        {"id": "a", "stage": "pretrain", "arm": "drawn", "seed": 2, "parent": None},
        {"id": "b", "stage": "arm", "arm": "tuned", "seed": 2, "parent": "a"},
        {"id": 7},
    ]
    (tmp_path / "plan.json").write_text(json.dumps({"sweep": "small", "trials": trials}))
    expected = PlanRecord(
        "small",
        (
            PlannedTrial("a", "pretrain", "drawn", 2, None),
            PlannedTrial("b", "arm", "tuned", 2, "a"),
            PlannedTrial("7", "", "", 0, None),
        ),
    )
    assert read_plan(tmp_path) == read_plan(tmp_path, strict=False) == expected


def test_a_folder_without_a_plan_has_none(tmp_path):
    assert read_plan(tmp_path) is None
    assert read_plan(tmp_path, strict=False) is None


def test_a_damaged_plan_is_an_error_or_no_plan_yet(tmp_path):
    (tmp_path / "plan.json").write_text('{"sweep": ')
    with pytest.raises(RunFolderError, match=r"plan\.json: cannot be read"):
        read_plan(tmp_path)
    assert read_plan(tmp_path, strict=False) is None


# -- rows ----------------------------------------------------------------------------------


def test_rows_come_from_folders_in_the_order_given_and_then_from_archives(tmp_path):
    rows = {name: write_trial(tmp_path, name, seed=n) for n, name in enumerate("abcd")}
    archive(tmp_path, "a", "c")
    given = list(trial_rows(tmp_path, ["c", "d", "nobody", "b", "a"]))
    assert given == [
        ("d", rows["d"]), ("b", rows["b"]), ("c", rows["c"]), ("a", rows["a"]), ("nobody", None),
    ]  # fmt: skip
    assert list(trial_rows(tmp_path, [])) == []


def test_archives_are_not_looked_for_where_every_trial_has_its_record(tmp_path):
    row = write_trial(tmp_path, "a")
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "x.zip").write_bytes(b"damaged")
    assert list(trial_rows(tmp_path, ["a"])) == [("a", row)]
    with pytest.raises(RunFolderError, match=r"x\.zip: damaged"):
        list(trial_rows(tmp_path, ["a", "b"]))


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves by what is slept; the sleeps so far."""
    sleeps: list[float] = []
    monkeypatch.setattr(time, "sleep", sleeps.append)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 + sum(sleeps))
    return sleeps


def test_a_record_that_another_node_archived_is_waited_for_no_longer_than_said(tmp_path, clock):
    write_trial(tmp_path, "a")
    hidden = archive(tmp_path, "a").rename(tmp_path / "not-listed-yet")
    assert list(trial_rows(tmp_path, ["a"], wait_s=2.0)) == [("a", None)]
    assert clock == [0.5] * 4
    clock.clear()
    assert list(trial_rows(tmp_path, ["a"])) == [("a", None)]
    assert clock == []
    hidden.rename(tmp_path / "packs" / "a.zip")
    assert dict(trial_rows(tmp_path, ["a"], wait_s=2.0))["a"] is not None
    assert clock == []


@pytest.mark.parametrize("left", [(), ("model.safetensors", "state"), ("state",)])
def test_a_trial_that_is_not_finished_is_not_waited_for(tmp_path, clock, left):
    for name in left:
        path = tmp_path / "trials" / "a" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name == "state" else path.write_bytes(b"")
    assert list(trial_rows(tmp_path, ["a"], wait_s=2.0)) == [("a", None)]
    assert clock == []


@pytest.mark.parametrize("content", ['{"status": ', "[1]", '{"seed": "three"}'])
def test_a_damaged_record_is_an_error_or_not_there_yet(tmp_path, content):
    path = tmp_path / "trials" / "a" / "trial.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(RunFolderError, match=r"a/trial\.json: cannot be read .*remove it to run"):
        list(trial_rows(tmp_path, ["a"]))
    assert list(trial_rows(tmp_path, ["a"], strict=False)) == [("a", None)]
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_row(path)
    assert read_row(path, strict=False) is None
    assert read_row(path.with_name("nothing.json")) is None


def test_one_trials_row_and_files_wherever_they_lie(tmp_path):
    row = write_trial(tmp_path, "a", seed=3)
    other = write_trial(tmp_path, "b", seed=4)
    folder = tmp_path / "trials" / "a"
    assert trial_row(folder) == row
    before = (folder / "curve.parquet").read_bytes()
    assert checked_bytes(tmp_path, "a", "curve.parquet", row) == before
    archive(tmp_path, "a", "b")
    assert trial_row(folder) == row
    assert trial_row(folder.with_name("b")) == other
    assert trial_row(folder.with_name("nobody")) is None
    archived = checked_bytes(tmp_path, "a", "curve.parquet", row)
    assert archived is not None
    assert pq.read_table(io.BytesIO(archived)).equals(pq.read_table(io.BytesIO(before)))
    assert checked_bytes(tmp_path, "a", "predictions.npz", row) is None
    assert checked_file(folder, "model.safetensors", row) == folder / "model.safetensors"
    with pytest.raises(
        RunFolderError, match=r"last\.safetensors: cannot be read .*remove the folder"
    ):
        checked_file(folder, "last.safetensors", row)


def test_a_curve_is_read_as_rows(tmp_path):
    write_trial(tmp_path, "a")
    content = (tmp_path / "trials" / "a" / "curve.parquet").read_bytes()
    assert read_curve(content) == [EvaluationRow(trial_id="a", step=3, val_accuracy=0.5)]


def test_all_rows_of_a_run_are_sorted_by_id_failed_and_archived_ones_included(tmp_path):
    rows = {
        n: write_trial(tmp_path, n, s) for n, s in (("c", "done"), ("a", "failed"), ("b", "done"))
    }
    archive(tmp_path, "c")
    (tmp_path / "trials" / "begun").mkdir()
    (tmp_path / "trials" / "note.txt").write_text("")
    assert finished_rows(tmp_path) == [rows["a"], rows["b"], rows["c"]]
    with pytest.raises(RunFolderError, match="is no run folder"):
        finished_rows(tmp_path / "trials")


# -- what is a run folder ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "is_run", "is_free"),
    [
        ({}, False, True),
        ({"sweep.yaml": ""}, True, False),  # which may be the user's own
        ({"sweep.yaml": "", "provenance.json": ""}, True, True),
        ({"trials/a/trial.json": ""}, True, True),
        ({".hidden": ""}, False, True),
        ({"notes.txt": ""}, False, False),
        ({"notes.txt": "", "sweep.yaml": ""}, True, False),
        ({"trials": ""}, False, False),  # a file of that name
    ],
)
def test_what_is_a_run_folder_and_what_may_become_one(tmp_path, content, is_run, is_free):
    for name, text in content.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for must_exist, is_right in ((True, is_run), (False, is_free)):
        if is_right:
            check_run_folder(tmp_path, must_exist)
        else:
            with pytest.raises(RunFolderError, match="is no run folder"):
                check_run_folder(tmp_path, must_exist)


def test_a_folder_that_is_not_there_may_become_a_run_folder(tmp_path):
    check_run_folder(tmp_path / "new", must_exist=False)
    with pytest.raises(RunFolderError, match=r"no sweep\.yaml there"):
        check_run_folder(tmp_path / "new")
    (tmp_path / "file").write_text("")
    for must_exist in (True, False):
        with pytest.raises(RunFolderError, match="file: is a file; a run folder is expected"):
            check_run_folder(tmp_path / "file", must_exist)


def test_below_a_file_lies_no_run_folder(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "loop"):
        with pytest.raises(RunFolderError, match=f"{name} is no folder, so nothing can lie below"):
            check_run_folder(tmp_path / name / "a" / "b", must_exist=False)


def test_three_of_the_other_things_are_named(tmp_path):
    for name in ("d", "b", ".hidden", "a", "c"):
        (tmp_path / name).write_text("")
    with pytest.raises(RunFolderError, match=r"holds other things \(a, b, c\) and is no run"):
        check_run_folder(tmp_path, must_exist=False)


# -- files ---------------------------------------------------------------------------------


def test_an_object_is_read_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    assert read_object(path) is None
    path.write_text('{"a": "ä"}', encoding="utf-8")
    assert read_object(path) == {"a": "ä"}
    assert read_object(path / "below") is None, "a file is in the place of a folder"
    path.write_text("[1]")
    with pytest.raises(RunFolderError, match="it holds list, not an object"):
        read_object(path)
    with pytest.raises(RunFolderError, match="is a folder; a file is expected there"):
        read_object(tmp_path)


def test_a_file_that_was_replaced_on_another_node_is_read_again(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("{}")
    errors = [OSError(errno.ESTALE, "Stale file handle")]
    read_limited = records.read_limited

    def read_once_stale(*given):
        if errors:
            raise errors.pop()
        return read_limited(*given)

    monkeypatch.setattr(records, "read_limited", read_once_stale)
    assert read_object(path) == {}
    errors += [OSError(errno.EIO, "Input/output error")]
    with pytest.raises(RunFolderError, match="Input/output error"):
        read_object(path)
    assert errors == []
