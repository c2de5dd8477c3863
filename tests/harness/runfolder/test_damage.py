"""Every file of a run folder, damaged in every way, under every command that reads it.

A command that reads a damaged file names it in one line and ends with status 2; a command that does
not read it is not disturbed.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from small_sweep import SMALL

from analysis.diff import diff_runs
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.planning import plan_seeds
from harness import status
from harness.evaluate import __main__ as evaluate
from harness.plan.planner import make_plan
from harness.reference import __main__ as reference
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from headstart import cli
from headstart.archives import Archives
from headstart.errors import EXIT_INPUT, HeadstartError, RunFolderError
from runs import run_here

TINY = SMALL.replace("epochs: 3, evaluate_every: {steps: 4}", "epochs: 1").replace(
    "train: {epochs: 2, augment: {rotate: 15}}", "train: {epochs: 1}"
)
TINY += "vary: [order, init, head]\n"  # seeds share their test images


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep file and its finished run folder `run`."""
    place = tmp_path_factory.mktemp("finished")
    sweep = place / "sweep.yaml"
    sweep.write_text(TINY)
    for digit in range(10):
        (place / "pages" / str(digit)).mkdir(parents=True)
        image = np.random.default_rng(digit).integers(0, 255, (28, 28), dtype=np.uint8)
        Image.fromarray(image).save(place / "pages" / str(digit) / "a.png")
    assert run_here(sweep, place / "run").returncode == 0
    return place


@pytest.fixture
def packed(finished: Path, place: Path) -> Path:
    """The same, its arms in one archive."""
    plan = make_plan(load_sweep(place / "sweep.yaml"), DataCatalogue())
    with RunFolder(place / "run") as folder:
        folder.archive(plan.trials)
    return place


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "place"))


def an_arm(run: Path) -> Path:
    """The folder of the first trial of an arm."""
    plan = json.loads((run / "plan.json").read_text())
    return run / "trials" / next(t["id"] for t in plan["trials"] if t["stage"] == "arm")


def again(place: Path) -> None:
    run_here(place / "sweep.yaml", place / "run")


def reuse(place: Path) -> None:
    run_here(place / "sweep.yaml", place / "new", "--reuse", str(place / "run"))


def dry_run(place: Path) -> None:
    run_here(place / "sweep.yaml", place / "run", "--dry-run")


def dry_run_beside(place: Path) -> None:
    run_here(place / "sweep.yaml", place / "new", "--dry-run")


COMMANDS: dict[str, Callable[[Path], object]] = {
    "analysis": lambda place: find(load_runs([place / "run"])),
    "analysis diff": lambda place: diff_runs(place / "run", place / "run"),
    "analysis plan": lambda place: plan_seeds(
        place / "run", metric="test_accuracy", power=0.8, detect=0.01
    ),
    "status": lambda place: status.main([str(place / "run")]),
    "evaluate": lambda place: evaluate.main([str(place / "run"), "--on", str(place / "pages")]),
    "evaluate own": lambda place: evaluate.main([str(place / "run"), "--on", "own"]),
    "reference": lambda place: reference.main([str(place / "run"), "--arm", "scratch"]),
    "again": again,
    "reuse": reuse,
    "dry run": dry_run,
    "dry run beside": dry_run_beside,
}
TABLES, PLAN = (
    ("analysis", "analysis diff", "analysis plan"),
    ("status", "evaluate", "evaluate own"),
)
# Which commands read what a file holds, and so must name it.
READERS: dict[str, tuple[str, ...]] = {
    "trials.parquet": TABLES,
    "curves.parquet": TABLES,
    "sweep.yaml": (*TABLES, "evaluate", "evaluate own", "reference"),
    "provenance.json": (*TABLES, "again"),
    "plan.json": (*TABLES, *PLAN),
    "trial.json": ("analysis", *PLAN, "reference", "again", "reuse", "dry run"),
    "curve.parquet": ("again", "reuse"),
    "predictions.npz": ("analysis", "evaluate own", "reuse"),
    "model.safetensors": ("evaluate", "reference", "reuse"),
}


def path_of(place: Path, name: str) -> Path:
    in_trial = name in ("trial.json", "curve.parquet", "predictions.npz", "model.safetensors")
    return (an_arm(place / "run") if in_trial else place / "run") / name


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    while content[place] in b" \n":  # a blank of JSON or YAML means nothing
        place += 1
    content[place] ^= 1
    path.write_bytes(content)


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_another_kind(path: Path) -> None:
    """Whole in its own format, but not what belongs there."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"trial_id": [1.5], "step": ["x"]}), path)
    elif path.suffix == ".npz":
        np.savez(path, other=np.zeros(3))
    elif path.suffix == ".safetensors":
        save_file({"other": torch.zeros(3)}, path)
    elif path.suffix == ".json":
        path.write_text('{"other": [1]}')
    else:
        path.write_text("other: [1]\n")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": flipped,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "a folder": folder_in_its_place,
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00\x80" * 50),
    "nested": lambda path: path.write_text("[" * 100_000),
    "another kind": of_another_kind,
}


QUICK = ("flipped", "a folder")


def ended(place: Path, command: str) -> HeadstartError | None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            COMMANDS[command](place)
        except HeadstartError as err:
            return err
    return None


def cases() -> Iterator[object]:
    """Each file, each damage, each command that reads the file; two kinds of damage are quick."""
    for name, readers in READERS.items():
        for damage in DAMAGES:
            if damage == "another kind" and name in ("sweep.yaml", "provenance.json"):
                continue  # whole, and without digests as those of an earlier version
            marks = () if damage in QUICK else (pytest.mark.slow,)
            for command in readers:
                yield pytest.param(name, damage, command, marks=marks)


@pytest.mark.parametrize(("name", "damage", "command"), cases())
def test_a_damaged_file_is_named_in_one_line(place, name, damage, command):
    """Slow as a whole: some two hundred commands."""
    path = path_of(place, name)
    DAMAGES[damage](path)
    err = ended(place, command)
    assert err is not None, "nothing was noticed"
    assert err.exit_status == EXIT_INPUT
    assert "\n" not in str(err)
    assert str(path) in str(err)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_not_disturbed_by_what_it_does_not_read(place, name, command):
    """Slow: as many commands as there are files and commands."""
    if command not in READERS[name]:
        DAMAGES["truncated"](path_of(place, name))
        assert ended(place, command) is None


def flipped_in_predictions(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        member = next(m for m in archive.infolist() if m.filename.endswith("predictions.npz"))
    content = bytearray(path.read_bytes())
    content[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("command", "damage"),
    [
        *((command, "flipped") for command in ("analysis", "evaluate own", "reuse")),
        *((command, "truncated") for command in ("analysis", "again", "reuse", "status")),
        *((command, "no text") for command in ("evaluate own", "dry run")),
    ],
)
def test_a_damaged_archive_is_named_in_one_line(packed, command, damage):
    """The flipped bit lies in the predictions; a cut archive may end as one of them does."""
    (path,) = (packed / "run" / "packs").glob("*.zip")
    (flipped_in_predictions if damage == "flipped" else DAMAGES[damage])(path)
    err = ended(packed, command)
    assert err is not None, "nothing was noticed"
    assert err.exit_status == EXIT_INPUT
    assert str(path) in str(err)
    assert "\n" not in str(err)


@pytest.mark.slow
def test_any_flipped_bit_of_an_archive_is_noticed_or_changes_nothing(packed):
    """Slow: an archive is read whole for each bit that is flipped."""
    run = packed / "run"
    (path,) = (run / "packs").glob("*.zip")
    content, before = path.read_bytes(), everything(run)
    for place in range(0, len(content), max(1, len(content) // 200)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        read = everything_or_error(run)
        assert read == before or f"{path}: damaged" in str(read)


def everything_or_error(run: Path) -> object:
    try:
        return everything(run)
    except RunFolderError as err:
        return err


def everything(run: Path) -> list[object]:
    """All that an archive gives."""
    archives = Archives(run)
    ids = sorted(archives)
    files = [[archives.read(i, name) for name in ("predictions.npz", "curve.parquet")] for i in ids]
    return [ids, sorted(archives.rows(ids), key=lambda row: row[0]), files]


@pytest.mark.slow
def test_a_folder_of_a_version_before_digests_is_read_with_one_note(place, capsys):
    """Its content is what it was, and the same command goes on in it.

    Slow: every command reads an old folder.
    """
    run = place / "run"
    before = find(load_runs([run])).arms
    without_digests(run)
    cli.say_once.cache_clear()
    for command in ("analysis", "evaluate own", "reuse", "dry run"):
        COMMANDS[command](place)
    note = f"{run}: was written by a version without digests"
    assert capsys.readouterr().err.count(note) == 1
    assert find(load_runs([run])).arms.equals(before)
    assert ended(place, "again") is None
    assert "sha256 of the lines below" in (run / "sweep.yaml").read_text()


def without_digests(run: Path) -> None:
    """Make a run folder what a version before digests left."""
    for path in (*run.glob("*.json"), *run.glob("trials/*/trial.json")):
        content = json.loads(path.read_text())
        kept = {key: value for key, value in content.items() if key not in ("sha256", "digests")}
        path.write_text(json.dumps(kept))
    text = (run / "sweep.yaml").read_text()
    (run / "sweep.yaml").write_text(text.partition("\n")[2])
    for name in ("trials.parquet", "curves.parquet"):
        pq.write_table(pq.read_table(run / name).replace_schema_metadata(None), run / name)


def test_a_record_in_the_folder_of_another_trial_is_not_its_record(place):
    run = place / "run"
    first, second = sorted(run.glob("trials/*/trial.json"))[:2]
    first.write_bytes(second.read_bytes())
    err = ended(place, "status")
    assert f"{first}: cannot be read (it is the record of trial {second.parent.name})" in str(err)
