"""Every file of a run folder, damaged in every way, under every command that reads it.

A command that reads a damaged file names it in one line and ends with status 2; a command that does
not read it is not disturbed. Nothing but our own errors may come out, and no number is read from
what is not what was written.
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
from runs import run_here
from safetensors.torch import save_file
from small_sweep import SMALL

from analysis.diff import diff_runs
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.planning import plan_seeds
from harness import status
from harness.evaluate import __main__ as evaluate
from harness.reference import __main__ as reference
from headstart.archives import Archives
from headstart.errors import EXIT_INPUT, HeadstartError

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
    "analysis plan": lambda place: plan_seeds(place / "run", metric="test_accuracy", power=0.8, detect=0.01),
    "status": lambda place: status.main([str(place / "run")]),
    "evaluate": lambda place: evaluate.main([str(place / "run"), "--on", str(place / "pages")]),
    "evaluate own": lambda place: evaluate.main([str(place / "run"), "--on", "own"]),
    "reference": lambda place: reference.main([str(place / "run"), "--arm", "scratch"]),
    "again": again,
    "reuse": reuse,
    "dry run": dry_run,
    "dry run beside": dry_run_beside,
}
TABLES, PLAN = ("analysis", "analysis diff", "analysis plan"), ("status", "evaluate", "evaluate own")
# Which commands read what a file holds, and so must name it.
READERS: dict[str, tuple[str, ...]] = {
    "trials.parquet": TABLES,
    "curves.parquet": TABLES,
    "sweep.yaml": (*TABLES, "evaluate", "evaluate own", "reference"),
    "provenance.json": (*TABLES, "again"),
    "plan.json": PLAN,
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


def ended(place: Path, command: str) -> HeadstartError | None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            COMMANDS[command](place)
        except HeadstartError as err:
            return err
    return None


def cases(commands: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for name in READERS:
        for damage in DAMAGES:
            yield from ((name, damage, command) for command in commands)


@pytest.mark.parametrize(("name", "damage", "command"), cases(tuple(COMMANDS)))
def test_it(place, name, damage, command):
    path = path_of(place, name)
    DAMAGES[damage](path)
    err = ended(place, command)
    if err is not None:
        assert err.exit_status == EXIT_INPUT
        assert "\n" not in str(err)
        if str(path) not in str(err):
            pytest.fail(str(err))
    elif command in READERS[name]:
        pytest.fail(f"{command} did not notice")
