"""`checkpoints/`: weights under names that people look for, right whatever happened to the run."""

from __future__ import annotations

import csv
import errno
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from harness.runfolder import checkpoints
from headstart.digests import digest_of_file
from headstart.errors import RunFolderError
from runs import run_here

SWEEP = """\
name: many
question: Who finds the weights?
model: {name: lenet5}
data: {name: glyphs, count: 90, seed: 1, train: 48, validation: 20, test: 20}
train: {batch_size: 16, epochs: 2, evaluate_every: {steps: 4}}
pretrain:
  Same: {data: {name: glyphs, count: 90, seed: 2, train: 48, validation: 20}, train: {epochs: 1}}
arms:
  same: {label: "=1+1", initialize: Same}
  "../$(touch x) é": {}
seeds: 1
save: {every: 1, last: true}
resources: {gpus: 0}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    return run(folder, SWEEP)


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """A run that was copied by a program that follows links: each of them is a file now."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def run(folder: Path, text: str, *options: str) -> Path:
    (folder / "sweep.yaml").write_text(text, encoding="utf-8")
    assert run_here(folder / "sweep.yaml", folder / "run", *options).returncode == 0
    return folder / "run"


def table(run: Path) -> list[dict[str, str]]:
    with open(run / "checkpoints/checkpoints.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def links(run: Path) -> list[str]:
    return sorted(p.relative_to(run).as_posix() for p in run.glob("checkpoints/*/*/*"))


def check(run: Path) -> None:
    """Every file of weights has its row and its link, which leads to it, and no link is left."""
    rows = table(run)
    kept = {p.relative_to(run).as_posix() for p in run.glob("trials/*/**/*.safetensors")}
    assert {row["file"] for row in rows} == kept
    assert [row["link"] for row in rows if row["link"]] != []
    assert sorted(row["link"] for row in rows) == links(run)
    for row in rows:
        assert os.path.samefile(run / row["link"], run / row["file"])
        assert digest_of_file(run / row["link"]) == row["sha256"]


def test_each_file_of_weights_has_a_link_and_a_row(finished):
    check(finished)
    odd = next(p.name for p in (finished / "checkpoints").iterdir() if "touch" in p.name)
    names = ("best", "epoch-001", "epoch-002", "last")
    assert links(finished) == sorted(
        [f"checkpoints/{arm}/seed-0/{name}.safetensors" for arm in ("same", odd) for name in names]
        + [
            f"checkpoints/pretrain-Same/seed-0/{n}.safetensors"
            for n in ("best", "epoch-001", "last")
        ]
    )
    assert os.readlink(finished / links(finished)[0]).startswith("../../../trials/")


def test_epochs_are_kept_whenever_it_was_evaluated(finished):
    """Here every four steps, and an epoch has three: the score of the first is not known."""
    rows = {row["weights"] + row["epoch"]: row for row in table(finished) if row["arm"] == "same"}
    assert rows["epoch1"]["val_accuracy"] == ""
    assert rows["epoch2"]["val_loss"] == rows["last2"]["val_loss"] != ""
    assert {row["label"] for row in rows.values()} == {"'=1+1"}  # no formula of a spreadsheet
    (best,) = (row for row in rows.values() if row["weights"] == "best")
    assert float(best["epoch"]) * 3 == int(best["step"])


def test_renamed_arms_and_more_seeds(copied):
    """Links have the names of the plan as it is; a person's own file stays."""
    text = SWEEP.replace('  "../$(touch x) é": {}', "  other: {}").replace("seeds: 1", "seeds: 2")
    (copied / "checkpoints/same/mine.txt").write_text("mine")
    run(copied.parent, text)
    folders = {Path(name).parent.relative_to("checkpoints") for name in links(copied)}
    (copies,) = copied.glob("checkpoints/*touch*")  # which may be somebody's own
    shutil.rmtree(copies)
    check(copied)
    assert {Path("same/seed-1"), Path("other/seed-0"), Path("other/seed-1")} < folders
    assert (copied / "checkpoints/same/mine.txt").exists()
    run(copied.parent, text.replace("  other: {}\n", ""))
    assert not (copied / "checkpoints/other").exists()


def test_a_trial_that_runs_again_elsewhere_is_found(finished, tmp_path):
    """Taken from another folder, packed into archives: the same links."""
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    options = ("--reuse", str(finished), "--set", "resources.pack=2")
    assert run_here(path, tmp_path / "run", *options).returncode == 0
    assert list((tmp_path / "run/packs").iterdir())
    check(tmp_path / "run")
    assert links(tmp_path / "run") == links(finished)


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_file_system_without_symbolic_links_has_hard_ones(copied, monkeypatch):
    monkeypatch.setattr(os, "symlink", refuse)
    run(copied.parent, SWEEP)
    check(copied)
    assert not any((copied / name).is_symlink() for name in links(copied))
    run(copied.parent, SWEEP.replace('  "../$(touch x) é": {}\n', ""))
    assert not list(copied.glob("checkpoints/*touch*"))


def test_a_file_system_without_links_has_the_table(copied, monkeypatch):
    shutil.rmtree(copied / "checkpoints")
    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    run(copied.parent, SWEEP, "--only", "report")
    assert links(copied) == []
    assert [row["link"] for row in table(copied)] == [""] * 11
    assert all(load_file(copied / row["file"]) for row in table(copied))


def test_a_run_of_very_many_files_has_the_table(copied, monkeypatch):
    shutil.rmtree(copied / "checkpoints")
    monkeypatch.setattr(checkpoints, "MOST_LINKS", 10)
    run(copied.parent, SWEEP, "--only", "report")
    assert links(copied) == []
    assert [row["link"] for row in table(copied)] == [""] * 11


def test_something_else_under_a_name_is_left_and_the_table_says_where_it_is(copied):
    shutil.rmtree(copied / "checkpoints/same")
    (copied / "checkpoints/same").write_text("mine")
    shutil.rmtree(copied / "checkpoints/pretrain-Same")
    (copied / "checkpoints/pretrain-Same/seed-0/best.safetensors/deep").mkdir(parents=True)
    run(copied.parent, SWEEP)
    assert (copied / "checkpoints/same").read_text() == "mine"
    assert sum(row["link"] == "" for row in table(copied)) == 5


@pytest.mark.parametrize("name", ["checkpoints", "checkpoints/same", "checkpoints/same/seed-0"])
def test_nothing_is_written_through_a_linked_folder(copied, name):
    elsewhere = copied.parent / "elsewhere"
    (copied / name).rename(elsewhere)
    (copied / name).symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(RunFolderError, match=rf"{name}: is a link"):
        run(copied.parent, SWEEP)
    assert sorted(elsewhere.rglob("*")) == before
