from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from harness.plan.planner import make_plan
from harness.runfolder import folder
from harness.runfolder.folder import RunFolder, TrialFolder, write_curve
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.rows import failed_row, planned_row
from harness.trials.spec import Plan
from headstart.errors import LockedError, RunFolderError, StorageError
from headstart.files import atomic_file, temporary_beside, write_json
from headstart.records import PlannedTrial, PlanRecord, check_run_folder, read_plan, trial_row
from headstart.rows import EvaluationRow, TrialRow


def write_result(folder: TrialFolder, status: str = "done") -> TrialRow:
    folder.begin()
    (folder.result / "curve.parquet").write_bytes(b"curve")
    files = ("curve.parquet", "trial.json")
    row = TrialRow(trial_id=folder.path.name, status=status, files=files, attempts=1)
    write_json(folder.result / "trial.json", row.to_json())
    return row


def test_a_trial_is_finished_when_its_files_have_moved_up(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        row = write_result(run.trial_folder("a"))
        assert run.finished(["a"]) == {}
        run.publish("a", row)
        assert run.finished(["a"])["a"].status == "done"
        assert sorted(os.listdir(run.path / "trials" / "a")) == ["curve.parquet", "trial.json"]


def test_what_an_orphan_writes_is_never_read(tmp_path):
    with RunFolder(tmp_path / "run") as first:
        orphan = first.trial_folder("a")
        orphan.begin()
        orphan.new_state(10).write_bytes(b"ten")
    with RunFolder(tmp_path / "run") as second:
        second.adopt(["a"])
        mine = second.trial_folder("a")
        state = mine.state_file()
        assert state is not None
        assert state.read_bytes() == b"ten"
        with pytest.raises(FileNotFoundError):
            orphan.new_state(20).write_bytes(b"twenty")
        orphan.work.mkdir(parents=True)  # even one that makes its folder anew
        orphan.new_state(20).write_bytes(b"twenty")
        assert mine.state_file() == state


def test_a_trial_that_ended_just_before_its_command_died_is_not_run_again(tmp_path):
    with RunFolder(tmp_path / "run") as first:
        write_result(first.trial_folder("a"))
    with RunFolder(tmp_path / "run") as second:
        assert set(second.adopt(["a"])) == {"a"}
        assert set(second.finished(["a"])) == {"a"}


def test_attempts_count_every_start(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        assert run.trial_folder("a").begin() == 1
        assert run.trial_folder("a").begin() == 2
        run.fail("a", TrialRow(trial_id="a", status="failed"))
    with RunFolder(tmp_path / "run") as run:
        assert run.finished(["a"]) == {}, "a failed trial runs again"
        assert run.trial_folder("a").begin() == 3


def test_a_second_command_is_refused_and_says_who_holds_the_folder(tmp_path):
    with RunFolder(tmp_path / "run"):
        with (
            pytest.raises(LockedError, match=f"process {os.getpid()} on"),
            RunFolder(tmp_path / "run"),
        ):
            pass
        with RunFolder(tmp_path / "run", shard=(2, 3)):
            pass  # the lock is one for each shard
    with RunFolder(tmp_path / "run"):
        pass


def test_a_folder_of_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"thesis\.tex"), RunFolder(tmp_path):
        pass
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(RunFolderError, match="is no run folder"):
        check_run_folder(tmp_path)
    with pytest.raises(RunFolderError, match="is a file"):
        check_run_folder(tmp_path / "thesis.tex")


def test_a_full_disk_is_one_line_and_the_old_content_stays(tmp_path):
    target = tmp_path / "table"
    target.write_text("old")

    def overflow() -> None:
        with atomic_file(target) as file, open("/dev/full", "w") as full:
            file.write("new")
            full.write("x" * 100_000)
            full.flush()

    with pytest.raises(StorageError, match="No space left"):
        overflow()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table"]


# -- before a run --------------------------------------------------------------------------


def trial(trial_id: str, stage: str = "arm", **values) -> SimpleNamespace:
    """What a folder wants to know of a trial."""
    return SimpleNamespace(id=trial_id, stage=stage, arm="scratch", seed=0, parent=None, **values)


def plan_of(*trials) -> SimpleNamespace:
    return SimpleNamespace(sweep=SimpleNamespace(name="small", labels={}), trials=trials)


def test_what_the_folder_is_about_is_written_and_commands_add_up(tmp_path):
    plan = plan_of(trial("a", "pretrain"), trial("b"))
    with RunFolder(tmp_path / "run") as run:
        for number in range(2):
            said = {"command": f"number {number}", "started_at": "now", "host": "here", "more": 1}
            run.begin(f"name: small  # {number}\n", said, plan)
        provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
        assert [c["command"] for c in provenance["commands"]] == ["number 0", "number 1"]
        many = [{**said, "command": f"number {number}"} for number in range(101)]
        write_json(tmp_path / "run" / "provenance.json", {"commands": many})
        run.begin("name: small  # 101\n", {**said, "command": "number 101"}, plan)
    text = (tmp_path / "run" / "sweep.yaml").read_text()
    assert text.startswith("# sha256 of the lines below: ")
    assert text.endswith("\nname: small  # 101\n")
    assert yaml.safe_load(text) == {"name": "small"}
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert (provenance["command"], provenance["more"]) == ("number 101", 1)
    assert len(provenance["commands"]) == 100
    assert [c["command"] for c in provenance["commands"][::99]] == ["number 2", "number 101"]
    assert provenance["commands"][-1] == {
        "command": "number 101", "started_at": "now", "host": "here",
    }  # fmt: skip
    assert read_plan(tmp_path / "run") == PlanRecord(
        "small",
        (
            PlannedTrial("a", "pretrain", "scratch", 0, None),
            PlannedTrial("b", "arm", "scratch", 0, None),
        ),
    )


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"run: .*file is no folder"):
        RunFolder(tmp_path / "file" / "run").__enter__()


def test_a_run_folder_has_a_path_for_every_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with RunFolder("run", shard=(2, 3)) as run:
        assert run.path == tmp_path / "run"
        assert run.trial_folder("a").path == tmp_path / "run" / "trials" / "a"
        assert (tmp_path / "run" / ".lock-2-of-3.json").exists()
        assert len(run.generation) == 12
    assert not (tmp_path / "run" / ".lock-2-of-3.json").exists()
    assert RunFolder("run").generation != run.generation


# -- states of a trial that is under way ---------------------------------------------------


def test_the_latest_state_is_that_of_most_steps(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        folder = run.trial_folder("a")
        assert folder.state_file() is None
        folder.begin()
        assert folder.state_file() is None
        for step in (9, 10, 2_000_000_000_000):
            folder.new_state(step).write_bytes(b"")
        assert folder.new_state(10).name == "state-000000000010.pt"
        assert folder.state_file() == folder.new_state(2_000_000_000_000)
        folder.drop_states_before(10)
        left = sorted(path.name for path in folder.work.glob("*.pt"))
        assert left == ["state-000000000010.pt", "state-2000000000000.pt"]


def test_the_state_that_got_furthest_is_adopted_and_the_others_go(tmp_path):
    for steps in ((4, 8), (12,), ()):
        with RunFolder(tmp_path / "run") as run:
            folder = run.trial_folder("a")
            folder.begin()
            for step in steps:
                folder.new_state(step).write_bytes(str(step).encode())
    with RunFolder(tmp_path / "run") as run:
        assert run.adopt(["a", "never-begun"]) == {}
        folder = run.trial_folder("a")
        assert folder.state_file().read_bytes() == b"12"
        assert sorted(os.listdir(folder.path / "state")) == sorted(["attempts", run.generation])
        assert folder.begin() == 4, "starts of earlier commands count"
        folder.new_state(16).write_bytes(b"16")
        run.adopt(["a"])
        assert folder.state_file().read_bytes() == b"16", "what is our own stays"


def test_a_trial_without_a_state_begins_anew(tmp_path):
    with RunFolder(tmp_path / "run") as first:
        first.trial_folder("a").begin()
    with RunFolder(tmp_path / "run") as run:
        assert run.adopt(["a"]) == {}
        assert os.listdir(tmp_path / "run" / "trials" / "a" / "state") == ["attempts"]
        assert run.trial_folder("a").state_file() is None


def test_a_failed_result_of_an_earlier_command_is_not_adopted(tmp_path):
    with RunFolder(tmp_path / "run") as first:
        folder = first.trial_folder("a")
        write_result(folder, "failed")
        folder.new_state(4).write_bytes(b"four")
    with RunFolder(tmp_path / "run") as run:
        assert run.adopt(["a"]) == {}
        assert run.trial_folder("a").state_file().read_bytes() == b"four"


@pytest.mark.parametrize("status", ["done", "diverged"])
def test_a_result_that_was_not_moved_up_is(tmp_path, status):
    with RunFolder(tmp_path / "run") as first:
        row = write_result(first.trial_folder("a"), status)
    with RunFolder(tmp_path / "run") as run:
        assert run.adopt(["a"]) == {"a": row}
        assert sorted(os.listdir(run.path / "trials" / "a")) == ["curve.parquet", "trial.json"]


def write_three_files(folder: TrialFolder) -> TrialRow:
    """A finished trial whose files lie in a folder of their own too, not moved up yet."""
    folder.begin()
    names = ("curve.parquet", "checkpoints/epoch-0001.safetensors", "model.safetensors")
    (folder.result / "checkpoints").mkdir()
    for name in names:
        (folder.result / name).write_text(name)
    row = TrialRow(
        trial_id=folder.path.name, status="done", files=(*names, "trial.json"), attempts=1
    )
    write_json(folder.result / "trial.json", row.to_json())
    return row


def never_wait(seconds: float) -> None:
    pytest.fail("it waits for a file that another node wrote")


@pytest.mark.parametrize("n_moved", range(5))
def test_a_command_that_died_while_it_moved_files_up_is_continued_at_once(
    tmp_path, monkeypatch, n_moved
):
    with RunFolder(tmp_path / "run") as first:
        folder = first.trial_folder("a")
        row = write_three_files(folder)
        for name in row.files[:n_moved]:
            (folder.path / name).parent.mkdir(exist_ok=True)
            os.replace(folder.result / name, folder.path / name)
    monkeypatch.setattr(time, "sleep", never_wait)
    with RunFolder(tmp_path / "run") as run:
        rows = run.finished(["a"])
        assert list(rows) == ["a"] * (n_moved == 4), "its record makes it finished"
        run.tidy(rows)
        rows.update(run.adopt({"a"} - rows.keys()))
        assert rows == {"a": row} == run.finished(["a"])
    kept = [path for path in folder.path.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(folder.path)) for path in kept) == sorted(row.files)
    assert (folder.path / "model.safetensors").read_text() == "model.safetensors"
    assert not (folder.path / "state").exists()


def test_a_trial_of_which_a_file_is_lost_runs_again_from_its_state(tmp_path, monkeypatch):
    """After the time that a network may take to show it: not a line that never goes away."""
    with RunFolder(tmp_path / "run") as first:
        folder = first.trial_folder("a")
        write_three_files(folder)
        folder.new_state(4).write_bytes(b"four")
        (folder.result / "curve.parquet").unlink()
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 + sum(waited))
    with RunFolder(tmp_path / "run") as run:
        assert run.adopt(["a"]) == {}
        assert 30.0 < sum(waited) < 31.0
        assert run.trial_folder("a").state_file().read_bytes() == b"four"
        waited.clear()
        run.adopt(["a"])
        assert waited == [], "what was lost is waited for once"


def test_what_a_dead_command_left_beside_finished_trials_goes(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        for name in ("done", "other"):
            run.publish(name, write_result(run.trial_folder(name)))
            run.trial_folder(name).begin()
        (run.path / "trials" / "archived").mkdir()
        (run.path / "trials" / "weights").mkdir()
        (run.path / "trials" / "weights" / "model.safetensors").touch()
        run.tidy(["done", "archived", "weights", "nobody"])
        left = {p.name: sorted(os.listdir(p)) for p in (run.path / "trials").iterdir()}
    assert left == {
        "done": ["curve.parquet", "trial.json"],
        "other": ["curve.parquet", "state", "trial.json"],
        "weights": ["model.safetensors"],
    }


def test_what_a_dead_command_told_its_workers_goes_and_what_a_living_one_tells_stays(tmp_path):
    with RunFolder(tmp_path / "run", shard=(1, 2)) as living:
        names = [f".control-{living.generation}", ".control-of-a-dead-command"]
        for name in names:
            (living.path / name).write_text("run")
        (living.path / "packs").mkdir()
        half = temporary_beside(living.path / "packs" / "a.zip")
        dead = half.with_name(half.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-"))
        for path in (half, dead):
            path.touch()
        with RunFolder(tmp_path / "run", shard=(2, 2)):
            kept = [path.name for path in living.path.glob(".control-*")]
            assert kept == names[:1]
            assert half.exists()
            assert not dead.exists()


# -- how a trial ends ----------------------------------------------------------------------


def test_a_failed_trial_keeps_its_last_state_and_its_starts(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        folder = run.trial_folder("a")
        folder.begin()
        folder.begin()
        folder.new_state(4).write_bytes(b"four")
        run.fail("a", TrialRow(trial_id="a", status="failed", error="killed"))
        assert trial_row(folder.path).attempts == 2
        assert trial_row(folder.path).error == "killed"
        assert folder.state_file().read_bytes() == b"four"
        folder = run.trial_folder("a")
        assert folder.earlier_attempts == 2
        assert folder.begin() == 3
        run.fail("a", TrialRow(trial_id="a", status="failed"))
        assert trial_row(folder.path).attempts == 3


def test_a_command_that_died_while_it_recorded_a_failure_counts_no_start_twice(
    tmp_path, monkeypatch
):
    with RunFolder(tmp_path / "run") as run:
        for _ in range(2):
            run.trial_folder("a").begin()
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "rmtree", lambda *_, **__: None)  # it dies before
            run.fail("a", TrialRow(trial_id="a", status="failed"))
    with RunFolder(tmp_path / "run") as run:
        assert trial_row(run.path / "trials" / "a").attempts == 2
        assert run.trial_folder("a").begin() == 3
        run.fail("a", TrialRow(trial_id="a", status="failed"))
        assert trial_row(run.path / "trials" / "a").attempts == 3


def test_starts_that_an_earlier_version_counted_count(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        attempts = run.path / "trials" / "a" / "state" / "attempts"
        attempts.mkdir(parents=True)
        for name in ("0" * 32, "12" * 16):
            (attempts / name).touch()
        assert run.trial_folder("a").begin() == 3
        assert run.trial_folder("a").begin() == 4


def test_a_failed_trial_without_a_state_leaves_its_record_alone(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        run.trial_folder("a").begin()
        run.fail("a", TrialRow(trial_id="a", status="failed"))
        run.fail("never-begun", TrialRow(trial_id="never-begun", status="failed"))
        for name, attempts in (("a", 1), ("never-begun", 0)):
            folder = run.path / "trials" / name
            assert os.listdir(folder) == ["trial.json"]
            assert trial_row(folder).attempts == attempts


def test_only_what_is_final_is_finished(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        for status in ("done", "diverged"):
            run.publish(status, write_result(run.trial_folder(status), status))
        run.fail("failed", TrialRow(trial_id="failed", status="failed"))
        assert list(run.finished(["failed", "done", "nobody", "diverged"])) == ["done", "diverged"]
        plan = SimpleNamespace(by_id=dict.fromkeys(["done", "failed", "nobody", "diverged"]))
        assert run.statuses(plan) == {"done": 1, "diverged": 1, "failed": 1}


def test_the_record_is_moved_last_and_folders_with_it(tmp_path, monkeypatch):
    moved = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (moved.append(Path(b).name), replace(a, b)))
    with RunFolder(tmp_path / "run") as run:
        folder = run.trial_folder("a")
        write_result(folder)
        (folder.result / "more").mkdir()
        (folder.result / "more" / "file").write_text("content")
        moved.clear()
        files = ("trial.json", "curve.parquet", "more/file")
        run.publish("a", TrialRow(trial_id="a", status="done", files=files))
        assert moved == ["curve.parquet", "file", "trial.json"]
        assert (run.path / "trials" / "a" / "more" / "file").read_text() == "content"
        assert not (run.path / "trials" / "a" / "state").exists()


def test_a_file_that_another_node_wrote_is_waited_for(tmp_path, monkeypatch):
    sleeps = []
    late = tmp_path / "late"
    late.write_bytes(b"late")

    def sleep(seconds):
        sleeps.append(seconds)
        if len(sleeps) == 3 and late.exists():
            late.rename(tmp_path / "run" / "trials" / "a" / "state" / "g" / "result" / "late")

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 + sum(sleeps))
    run = RunFolder(tmp_path / "run")
    run.generation = "g"
    folder = run.trial_folder("a")
    write_result(folder)
    row = TrialRow(trial_id="a", status="done", files=("late", "trial.json"))
    run.publish("a", row)
    assert (folder.path / "late").read_bytes() == b"late"
    assert sleeps == [0.2] * 3
    write_result(folder)
    sleeps.clear()
    with pytest.raises(StorageError, match="late: was written by a worker and is not seen here"):
        run.publish("a", row)
    assert 30.0 < sum(sleeps) < 30.5


# -- from other runs, and archives ---------------------------------------------------------


def test_finished_trials_are_taken_from_another_run(tmp_path):
    with RunFolder(tmp_path / "old") as old:
        for name, status in (("a", "done"), ("b", "diverged")):
            old.publish(name, write_result(old.trial_folder(name), status))
        write_small_files(old, "c")
        old.fail("d", TrialRow(trial_id="d", status="failed", files=("trial.json",)))
        old.archive([trial("c")])
    with RunFolder(tmp_path / "new") as new:
        assert list(new.take_from(tmp_path / "old", ["a", "b", "d", "nobody", "c"])) == [
            "a",
            "b",
            "c",
        ]
        assert sorted(os.listdir(new.path / "trials")) == ["a", "b", "c"]
        assert (new.path / "trials" / "a" / "curve.parquet").read_bytes() == b"curve"
        assert new.finished(["a", "b", "c"]).keys() == {"a", "b", "c"}
        with pytest.raises(RunFolderError, match="is no run folder"):
            new.take_from(tmp_path / "nothing", ["a"])
    assert (tmp_path / "old" / "trials" / "a" / "curve.parquet").exists(), "copied, not moved"


def test_a_command_that_died_while_it_copied_does_not_wait_and_copies_again(tmp_path, monkeypatch):
    with RunFolder(tmp_path / "old") as old:
        row = write_three_files(old.trial_folder("a"))
        old.publish("a", row)
    copies = []

    def die(run: Path, name: str, target: Path) -> None:
        copies.append(name)
        if len(copies) == 4:  # weights are there, the record is not
            raise KeyboardInterrupt
        target.write_bytes((run / name).read_bytes())

    with monkeypatch.context() as patched, RunFolder(tmp_path / "new") as new:
        patched.setattr(folder, "copy_inside", die)
        with pytest.raises(KeyboardInterrupt):
            new.take_from(tmp_path / "old", ["a"])
    monkeypatch.setattr(time, "sleep", never_wait)
    with RunFolder(tmp_path / "new") as new:
        assert new.finished(["a"]) == {}
        assert new.take_from(tmp_path / "old", ["a"]) == new.finished(["a"]) == {"a": row}
        assert not (new.path / "trials" / "a" / "state").exists()


def write_small_files(run: RunFolder, trial_id: str, status: str = "done") -> None:
    folder = run.path / "trials" / trial_id
    folder.mkdir(parents=True)
    row = TrialRow(trial_id=trial_id, status=status).to_json()
    (folder / "trial.json").write_text(json.dumps(row))


def test_archives_hold_arm_trials_that_are_final_so_many_each(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        for number in range(7):
            write_small_files(run, f"arm-{number}", "diverged" if number == 6 else "done")
        write_small_files(run, "failed", "failed")
        write_small_files(run, "stage")
        arms = [trial(f"arm-{number}") for number in range(7)]
        run.archive(
            [*arms[:3], trial("failed"), trial("nobody"), trial("stage", "pretrain")], size=2
        )
        run.archive(arms[3:], size=4)
        run.archive([trial("failed")])
        assert sorted(os.listdir(run.path / "trials")) == ["failed", "stage"]
        names = sorted(os.listdir(run.path / "packs"))
        assert names == [f"{run.generation}-{number:05d}.zip" for number in range(3)]
        held = [zipfile.ZipFile(run.path / "packs" / name).namelist() for name in names]
        assert held == [
            [*(f"arm-{number}/trial.json" for number in numbers), "digests.json"]
            for numbers in ((0, 1), (2,), (3, 4, 5, 6))
        ]


def test_an_archive_holds_256_trials_where_nothing_else_is_said(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        for number in range(257):
            write_small_files(run, f"arm-{number}")
        run.archive([trial(f"arm-{number}") for number in range(257)])
        sizes = [len(zipfile.ZipFile(path).namelist()) for path in (run.path / "packs").iterdir()]
        assert sorted(sizes) == [1 + 1, 256 + 1]  # digests.json is one more


def test_nothing_to_archive_makes_no_folder(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        run.archive([trial("a"), trial("b", "pretrain")])
        assert not (run.path / "packs").exists()


# -- tables --------------------------------------------------------------------------------


@pytest.fixture
def finished_run(write_sweep, tmp_path):
    """A run of the small sweep: two of six trials archived, one failed, one not begun; its plan."""
    plan = make_plan(load_sweep(write_sweep()), DataCatalogue(allow_download=False))
    with RunFolder(tmp_path / "run") as run:
        for number, spec in enumerate(plan.trials[:4]):
            folder = run.trial_folder(spec.id)
            folder.begin()
            points = [
                EvaluationRow(
                    trial_id=spec.id, arm="old", seed=9, step=step, val_accuracy=number / 8
                )
                for step in (0, 4)
            ]
            write_curve(folder.result / "curve.parquet", points)
            status = "diverged" if number == 3 else "done"
            files = ("curve.parquet", "trial.json")
            row = replace(planned_row(spec, "old"), arm="old", status=status, files=files)
            write_json(folder.result / "trial.json", row.to_json())
            run.publish(spec.id, row)
        run.fail(plan.trials[4].id, failed_row(plan.trials[4], "old", "killed"))
        run.archive(plan.trials[2:4])
        yield run, plan


def test_tables_are_in_the_order_and_under_the_names_of_the_plan(finished_run):
    run, plan = finished_run
    assert run.write_tables(plan) == {"done": 3, "diverged": 1, "failed": 1}
    trials = pq.read_table(run.path / "trials.parquet")
    assert trials["trial_id"].to_pylist() == [spec.id for spec in plan.trials[:5]]
    assert trials["arm"].to_pylist() == [spec.arm for spec in plan.trials[:5]]
    assert set(trials["sweep"].to_pylist()) == {"small"}
    assert trials.schema.names == [column.name for column in TrialRow.columns()]
    curves = pq.read_table(run.path / "curves.parquet")
    assert curves["trial_id"].to_pylist() == [s.id for s in plan.trials[:4] for _ in range(2)]
    assert curves["step"].to_pylist() == [0, 4] * 4
    assert curves["arm"].to_pylist() == [s.arm for s in plan.trials[:4] for _ in range(2)]
    assert curves["seed"].to_pylist() == [s.seed for s in plan.trials[:4] for _ in range(2)]
    assert run.statuses(plan) == {"done": 3, "diverged": 1, "failed": 1}


def test_tables_of_a_smaller_plan_leave_the_others_out(finished_run):
    run, plan = finished_run
    smaller = Plan(plan.sweep, plan.trials[1:3])
    assert run.write_tables(smaller) == {"done": 2}
    curves = pq.read_table(run.path / "curves.parquet")
    assert curves["trial_id"].to_pylist() == [s.id for s in smaller.trials for _ in range(2)]


def test_a_curve_that_lies_in_both_places_counts_once(finished_run):
    run, plan = finished_run
    spec = plan.trials[2]
    with zipfile.ZipFile(next((run.path / "packs").iterdir())) as archive:
        record = archive.read(f"{spec.id}/trial.json")
    folder = run.path / "trials" / spec.id
    folder.mkdir()
    (folder / "trial.json").write_bytes(record)
    write_curve(folder / "curve.parquet", [EvaluationRow(trial_id=spec.id, step=7)])
    run.write_tables(plan)
    curves = pq.read_table(run.path / "curves.parquet").to_pylist()
    assert [row["step"] for row in curves if row["trial_id"] == spec.id] == [7]
    assert len(curves) == 7


def test_curves_are_new_until_they_are_logged(finished_run):
    run, plan = finished_run
    new = {row.trial_id: (row, points) for row, points in run.new_curves(plan)}
    assert new.keys() == {spec.id for spec in plan.trials[:4]}, "the failed trial has no curve"
    for number, spec in enumerate(plan.trials[:4]):
        row, points = new[spec.id]
        assert (row.arm, row.seed, row.sweep) == (spec.arm, spec.seed, "small")
        assert [(point.step, point.val_accuracy) for point in points] == [
            (0, number / 8), (4, number / 8),
        ]  # fmt: skip
    for spec in plan.trials[1:3]:
        folder = run.path / "tensorboard" / spec.arm / str(spec.seed)
        folder.mkdir(parents=True)
        (folder / f"events.out.tfevents.{spec.id}").write_bytes(b"")
    left = [row.trial_id for row, _ in run.new_curves(plan)]
    assert sorted(left) == sorted([plan.trials[0].id, plan.trials[3].id])


def test_images_are_written_once(tmp_path):
    with RunFolder(tmp_path / "run") as run:
        run.write_images("print", {"images": np.arange(3)})
        run.write_images("print", {"images": np.arange(9)})
        run.write_images("other", {"images": np.arange(2)})
        assert sorted(os.listdir(run.path / "images")) == ["other.npz", "print.npz"]
        with np.load(run.path / "images" / "print.npz") as content:
            assert content["images"].tolist() == [0, 1, 2]
