from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis.findings.load import load_runs
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder, write_curve
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.rows import planned_row
from harness.trials.spec import Plan
from headstart.archives import Archives
from headstart.errors import RunFolderError, StorageError
from headstart.files import write_json
from headstart.records import finished_rows, trial_row, trial_rows
from headstart.rows import EvaluationRow, TrialRow
from runs import fingerprints, run_here
from slurm.status import count_trials


@pytest.fixture
def plan(write_sweep) -> Plan:
    return make_plan(load_sweep(write_sweep(("seeds: 2", "seeds: 4"))), DataCatalogue())


def finish(run: RunFolder, spec, status: str = "done") -> None:
    """What a trial leaves, written as a worker writes it."""
    folder = run.trial_folder(spec.id)
    attempts = folder.begin()
    names = {"trial_id": spec.id, "arm": "old", "seed": 99}
    curve = [EvaluationRow(**names, step=i, samples=i, val_accuracy=0.5) for i in (0, 4)]
    write_curve(folder.result / "curve.parquet", curve)
    files = ["curve.parquet", "trial.json"]
    if status == "done":
        (folder.result / "model.safetensors").write_bytes(b"weights of " + spec.id.encode())
        answers = (np.arange(3) + spec.seed) % 3
        np.savez_compressed(
            folder.result / "predictions.npz", indices=answers, labels=answers, predicted=answers,
            probabilities=np.eye(3, dtype=np.float16),
        )  # fmt: skip
        files += ["model.safetensors", "predictions.npz"]
    row = planned_row(spec, "small")
    row = replace(row, status=status, attempts=attempts, files=tuple(files))
    write_json(folder.result / "trial.json", row.to_json())
    run.publish(spec.id, row)


def arms(plan: Plan) -> list:
    return [trial for trial in plan.trials if trial.stage == "arm"]


def everything(run: Path, plan: Plan) -> dict:
    """All that readers see of a run folder."""
    runs = load_runs([run])
    predictions = {t.id: runs.predictions(t.id) for t in plan.trials}
    return {
        "trials": pq.read_table(run / "trials.parquet").to_pylist(),
        "curves": pq.read_table(run / "curves.parquet").to_pylist(),
        "rows": finished_rows(run),
        "records": {t.id: runs.record(t.id) for t in plan.trials},
        "predicted": {i: p and p.predicted.tolist() for i, p in predictions.items()},
        "counts": count_trials(run, 0.0),
    }


def test_readers_see_the_same_with_archives_and_without(plan, tmp_path):
    with RunFolder(tmp_path / "run") as run:
        run.begin("name: small\n", {"command": "", "started_at": "", "host": ""}, plan)
        for spec in plan.trials:
            finish(run, spec, "diverged" if spec.seed == 3 and spec.stage == "arm" else "done")
        before = run.write_tables(plan), everything(run.path, plan)
        run.archive(plan.trials, size=3)
        assert (run.write_tables(plan), everything(run.path, plan)) == before
        assert run.statuses(plan) == before[0] == {"done": 10, "diverged": 2}
        assert set(run.finished(t.id for t in plan.trials)) == {t.id for t in plan.trials}
    assert len(list((tmp_path / "run" / "packs").iterdir())) == 3  # 8 trials, 3 to an archive


def test_an_archived_trial_leaves_its_weights_and_a_stage_stays_whole(plan, tmp_path):
    with RunFolder(tmp_path / "run") as run:
        for spec in plan.trials:
            finish(run, spec, "diverged" if spec.seed == 3 and spec.stage == "arm" else "done")
        run.archive(plan.trials)
    trials = tmp_path / "run" / "trials"
    for spec in plan.trials:
        if spec.stage == "pretrain":
            assert len(os.listdir(trials / spec.id)) == 4
        elif spec.seed == 3:
            assert not (trials / spec.id).exists()
        else:
            assert os.listdir(trials / spec.id) == ["model.safetensors"]
        row = trial_row(trials / spec.id)
        assert row is not None
        assert row.trial_id == spec.id
    assert trial_row(trials / "nobody") is None


def test_a_command_that_dies_while_it_archives_loses_nothing(plan, tmp_path, monkeypatch):
    spec, other = arms(plan)[:2]
    with RunFolder(tmp_path / "run") as run:
        for trial in (spec, other):
            finish(run, trial)
        files = run.path / "trials" / spec.id
        kept = {name: (files / name).read_bytes() for name in os.listdir(files)}
        run.archive([spec, other])
        for name, content in kept.items():  # as if the archive was there and nothing removed yet
            (files / name).write_bytes(content)
        (files / "curve.parquet").unlink()  # the first that goes
    with RunFolder(tmp_path / "run") as run:
        assert run.write_tables(plan) == {"done": 2}
        assert len(pq.read_table(run.path / "curves.parquet")) == 4
        run.archive([spec, other])
        assert os.listdir(files) == ["model.safetensors"]
        assert len(os.listdir(run.path / "packs")) == 1, "nothing is archived twice"
        assert run.write_tables(plan) == {"done": 2}


def test_a_full_disk_leaves_every_trial_as_it_was(plan, tmp_path, monkeypatch):
    from headstart import archives

    def overflow(archive, trials, ids) -> None:
        with open("/dev/full", "w") as full:
            full.write("x" * 100_000)

    monkeypatch.setattr(archives, "_write_members", overflow)
    spec = arms(plan)[0]
    with RunFolder(tmp_path / "run") as run:
        finish(run, spec)
        with pytest.raises(StorageError, match="No space left"):
            run.archive([spec])
        assert len(os.listdir(run.path / "trials" / spec.id)) == 4
        assert os.listdir(run.path / "packs") == []


def test_trials_are_taken_from_the_archives_of_another_run(plan, tmp_path):
    spec, other = arms(plan)[:2]
    with RunFolder(tmp_path / "old") as old:
        for trial in (spec, other):
            finish(old, trial)
        whole = old.path / "trials" / spec.id
        kept = {name: (whole / name).read_bytes() for name in os.listdir(whole)}
        old.archive([spec, other])
    with RunFolder(tmp_path / "new") as new:
        assert set(new.take_from(tmp_path / "old", [spec.id])) == {spec.id}
        taken = new.path / "trials" / spec.id
        assert set(os.listdir(taken)) == set(kept)
        for name in ("trial.json", "predictions.npz", "model.safetensors"):
            assert (taken / name).read_bytes() == kept[name]
        assert pq.read_table(taken / "curve.parquet").num_rows == 2
        assert set(new.finished([spec.id])) == {spec.id}


def test_only_what_is_final_goes_into_an_archive(plan, tmp_path):
    done, failed, pending = arms(plan)[:3]
    with RunFolder(tmp_path / "run") as run:
        finish(run, done)
        run.trial_folder(failed.id).begin()
        run.fail(failed.id, TrialRow(trial_id=failed.id, status="failed"))
        run.trial_folder(pending.id).begin()
        run.archive([done, failed, pending])
        assert set(Archives(run.path)) == {done.id}
        assert (run.path / "trials" / failed.id / "trial.json").is_file()
        rows = dict(trial_rows(run.path, [done.id, failed.id, pending.id]))
        assert [row and row.status for row in (rows[done.id], rows[failed.id])] == [
            "done",
            "failed",
        ]
        assert rows[pending.id] is None


def test_an_archive_that_is_not_listed_yet_is_waited_for(plan, tmp_path, monkeypatch):
    """A trial that has weights and no record lies in an archive that another node wrote."""
    spec = arms(plan)[0]
    with RunFolder(tmp_path / "run") as run:
        finish(run, spec)
        run.archive([spec])
    (archive,) = (tmp_path / "run" / "packs").iterdir()
    hidden = archive.rename(tmp_path / "not-listed-yet")
    monkeypatch.setattr(
        "harness.runfolder.folder.time.sleep", lambda s: hidden.exists() and hidden.rename(archive)
    )
    assert dict(trial_rows(tmp_path / "run", [spec.id])) == {spec.id: None}
    rows = dict(trial_rows(tmp_path / "run", [spec.id], wait_s=5))
    assert rows[spec.id] is not None


def test_a_damaged_archive_is_one_line(plan, tmp_path):
    with RunFolder(tmp_path / "run") as run:
        (run.path / "packs").mkdir()
        (run.path / "packs" / "x.zip").write_bytes(b"no archive")
        with pytest.raises(RunFolderError, match=r"x\.zip: damaged .* remove it and run"):
            run.statuses(plan)


def test_a_member_of_absurd_size_is_refused(plan, tmp_path, monkeypatch):
    spec = arms(plan)[0]
    with RunFolder(tmp_path / "run") as run:
        finish(run, spec)
        run.archive([spec])
        monkeypatch.setattr("headstart.archives.MAX_BYTES", 10)
        with pytest.raises(RunFolderError, match="damaged"):
            run.finished([spec.id])


def test_an_archive_opens_with_any_zip_reader(plan, tmp_path):
    spec = arms(plan)[0]
    with RunFolder(tmp_path / "run") as run:
        finish(run, spec)
        run.archive([spec])
    (archive,) = (tmp_path / "run" / "packs").iterdir()
    with zipfile.ZipFile(archive) as file:
        assert set(file.namelist()) == {
            f"{spec.id}/trial.json", f"{spec.id}/predictions.npz", "curves.parquet",
            "digests.json",
        }  # fmt: skip


@pytest.mark.slow
def test_shards_give_the_bits_of_a_whole_run_in_fewer_files(write_sweep, tmp_path):
    """Slow: a sweep is run whole and in shards."""
    sweep = write_sweep(("epochs: 3", "epochs: 1"), ("{epochs: 2, ", "{epochs: 1, "))
    whole = run_here(sweep, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    parts = (("--shard", "1/2"), ("--shard", "2/2"), ("--only", "report"))
    for part in parts:
        shard = run_here(sweep, tmp_path / "parts", *part)
        assert shard.returncode == 0, shard.stderr
    assert not (tmp_path / "whole" / "packs").exists()
    assert list((tmp_path / "parts" / "packs").glob("*.zip"))
    hashes = fingerprints(tmp_path / "whole")
    assert len(hashes) == 6
    assert fingerprints(tmp_path / "parts") == hashes
    tables = [pq.read_table(tmp_path / name / "trials.parquet") for name in ("whole", "parts")]
    assert tables[0]["trial_id"] == tables[1]["trial_id"]
    with RunFolder(tmp_path / "parts") as folder:
        assert set(folder.finished(hashes)) == set(hashes), "a next command runs nothing again"


def test_a_renamed_arm_is_renamed_in_tables_made_from_archives(plan, tmp_path):
    specs = arms(plan)[:2]
    with RunFolder(tmp_path / "run") as run:
        for spec in specs:
            finish(run, spec)
        run.archive(specs)
        renamed = Plan(plan.sweep, tuple(replace(spec, arm="new") for spec in specs[:1]))
        run.write_tables(renamed)
        for name, n_rows in (("trials.parquet", 1), ("curves.parquet", 2)):
            table = pq.read_table(run.path / name)
            assert table["arm"].to_pylist() == ["new"] * n_rows
            assert table["seed"].to_pylist() == [specs[0].seed] * n_rows


# -- the two tables belong together --------------------------------------------------------


def die_before(monkeypatch, name: str) -> None:
    """From here on, the command dies before a file gets this name."""
    replace_file = os.replace

    def die(source: Path, target: Path) -> None:
        if Path(target).name == name:
            raise KeyboardInterrupt
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", die)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trials.parquet", "curves.parquet"])
@pytest.mark.parametrize("is_archived", [False, True])
def test_a_command_that_dies_between_the_two_tables_makes_no_trial_censored(
    plan, tmp_path, monkeypatch, name, is_archived
):
    """Slow: the tables are written and read many times."""
    first = Plan(plan.sweep, tuple(t for t in plan.trials if t.seed < 2))
    with RunFolder(tmp_path / "run") as run:
        for spec in plan.trials:
            finish(run, spec)
        run.write_tables(first)
        before = load_runs([run.path])
        if is_archived:
            run.archive(plan.trials)
        with monkeypatch.context() as patched:
            die_before(patched, name)
            with pytest.raises(KeyboardInterrupt):
                run.write_tables(plan)
        between = load_runs([run.path])
        run.write_tables(plan)
        after = load_runs([run.path])
    assert set(after.curves["trial_id"]) == {t.id for t in plan.trials}
    expected = before if name == "trials.parquet" else after
    pd.testing.assert_frame_equal(between.trials, expected.trials)
    pd.testing.assert_frame_equal(between.curves, expected.curves)
    assert not list((tmp_path / "run").glob(".*"))


def test_a_command_that_dies_before_its_first_table_of_curves_leaves_a_run_that_is_read(
    plan, tmp_path, monkeypatch
):
    with RunFolder(tmp_path / "run") as run:
        for spec in plan.trials:
            finish(run, spec)
        with monkeypatch.context() as patched:
            die_before(patched, "curves.parquet")
            with pytest.raises(KeyboardInterrupt):
                run.write_tables(plan)
        assert not (run.path / "curves.parquet").exists()
        assert len(load_runs([run.path]).curves) == 2 * len(plan.trials)


def test_tables_of_an_earlier_version_that_disagree_are_made_whole(plan, tmp_path):
    """They do not say that they belong together."""
    spec, other = arms(plan)[:2]
    with RunFolder(tmp_path / "run") as run:
        for trial in (spec, other):
            finish(run, trial)
        run.write_tables(plan)
    whole = load_runs([run.path]).curves
    for name in ("trials.parquet", "curves.parquet"):
        table = pd.read_parquet(run.path / name)
        if name == "curves.parquet":
            table = table[table["trial_id"] != spec.id]
        table.to_parquet(run.path / name)
    pd.testing.assert_frame_equal(load_runs([run.path]).curves, whole)
    (run.path / "trials" / spec.id / "curve.parquet").unlink()
    with pytest.raises(RunFolderError, match=rf"{spec.id}.curve\.parquet: .*its trial ended"):
        load_runs([run.path])


def test_a_trial_that_failed_needs_no_curve(plan, tmp_path):
    failed = arms(plan)[0]
    with RunFolder(tmp_path / "run") as run:
        run.fail(failed.id, replace(planned_row(failed, "small"), status="failed"))
        run.write_tables(plan)
    runs = load_runs([run.path])
    assert list(runs.trials["status"]) == ["failed"]
    assert len(runs.curves) == 0
