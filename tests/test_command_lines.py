"""Every option of every command with wrong values: one message, exit status 2, nothing written.

The commands run inside this process, through `status_of`, which is what `run_command` ends with.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from small_sweep import SMALL

from headstart.cli import status_of
from runs import run_here

LONG = "x" * 5000
DIGITS = "9" * 5000
NO_FILE = ("", "none", "folder", "file/x", "loop", "loop/x", "pipe", "/dev/full", LONG, "a\udce9")
NO_FOLDER = ("", "none", "file", "file/x", "loop", "loop/x", "pipe", "/dev/full", LONG, "a\udce9")
NO_OUT = ("", "file", "file/x", "loop", "loop/x", "pipe", "/dev/full", "/proc/x/y", "a\udce9", LONG)
NO_COUNT = ("", "x", "0", "-1", "nan", "inf", "1.5", "²", DIGITS, "1e400")
NO_SIZE = (*NO_COUNT, "7", "99999999999999")
NO_SIZE_OF_EFFECT = ("", "x", "0", "-1", "nan", "inf", "1e400")
NO_SHARE = (*NO_SIZE_OF_EFFECT, "1", "2")
NO_WORD = ("", "nosuch", "a\nb", LONG, "[", "a\udce9", "\x1b[31m")
NO_SETTING = (
    "", "=", "seeds", "seeds=-1", "seeds=nan", "seeds=[", f"seeds={DIGITS}", "nosuch=1", "seeds=!a",
    "train.epochs=.inf", "train." * 3000 + "=1", 'name="\\ud800"', "arms={a: {}, a: {}}", "a\udce9",
)  # fmt: skip
SWEEP = ("harness.sweep", "sweep.yaml", "--out", "run", "--engine", "here", "--no-report")
PLANNED = ("analysis", "plan", "run")
SHEET = ("datasets.sheet", "page.png", "--label", "3", "--out", "new")
SUBMIT = ("slurm.submit", "sweep.yaml", "--out", "new", "--dry-run")
OPTIONS = {
    ("harness.sweep",): {"": NO_FILE},
    SWEEP: {
        "--profile": NO_WORD, "--set": NO_SETTING, "--out": NO_OUT, "--data": NO_FOLDER,
        "--reuse": NO_FOLDER, "--engine": NO_WORD, "--only": NO_WORD, "--slots": NO_COUNT,
        "--shard": ("", "x", "0/1", "2/1", "1/0", "-1/2", "²/3", "1/1/1", f"1/{DIGITS}", "nan/1"),
        "--state-every": ("", "x", "-1", "nan", "inf", "1e400", "-inf"),
    },
    (*SWEEP[:4], "--no-report"): {"--address": ("", "x", "x:y", "a:0", "a:70000", f"a:{DIGITS}")},
    ("harness.status",): {"": NO_FOLDER},
    ("harness.evaluate",): {"": NO_FOLDER},
    ("harness.evaluate", "run"): {"--on": (*NO_FOLDER, "nosuch")},
    ("harness.evaluate", "run", "--on", "own"): {
        "--csv": NO_FILE, "--arm": NO_WORD, "--data": NO_FOLDER, "--preprocess": NO_WORD,
        "--device": NO_WORD, "--out": NO_OUT,
    },
    ("harness.predict",): {"": NO_FOLDER},
    ("harness.predict", "run", "page.png"): {
        "--arm": NO_WORD, "--seed": (*NO_WORD, "-1", "1.5", "²", DIGITS, "99"), "--out": NO_OUT,
        "--preprocess": NO_WORD, "--device": NO_WORD, "--networks": (*NO_WORD, "refitted"),
    },
    ("harness.export", "--arm", "scratch", "--out", "new"): {"": NO_FOLDER},
    ("harness.export", "run", "--arm", "scratch", "--out", "new"): {
        "--arm": NO_WORD, "--seed": (*NO_WORD, "-1", "1.5", "²", DIGITS, "99"), "--out": NO_OUT,
        "--format": NO_WORD, "--networks": (*NO_WORD, "refitted"),
    },
    ("harness.forecast",): {"": NO_FILE},
    ("harness.forecast", "sweep.yaml", "--out", "run"): {
        "--profile": NO_WORD, "--set": NO_SETTING, "--out": NO_OUT, "--data": NO_FOLDER,
        "--seeds": (*NO_COUNT, "99"), "--scores": NO_WORD, "--images": (*NO_COUNT, "19"),
        "--device": NO_WORD,
    },
    ("harness.reference",): {"": NO_FOLDER},
    ("harness.reference", "run"): {
        "--on": NO_WORD, "--train": NO_WORD, "--arm": NO_WORD, "--networks": NO_COUNT,
        "--data": NO_FOLDER,
    },
    ("analysis",): {"": NO_FOLDER},
    ("analysis", "run"): {"--out": NO_OUT, "--workbook": ("", "x", "a/b.xlsx", "../b.xlsx")},
    ("analysis", "diff", "run"): {"": NO_FOLDER},
    ("analysis", "diff", "run", "run"): {"--out": NO_OUT},
    ("analysis", "publish"): {"": NO_FOLDER},
    ("analysis", "publish", "run"): {"--out": NO_OUT},
    ("analysis", "check"): {"": NO_FILE},
    ("analysis", "plan"): {"": NO_FOLDER},
    PLANNED: {"--detect": NO_SIZE_OF_EFFECT, "--half-width": NO_SIZE_OF_EFFECT,
              "--p-better": NO_SHARE},
    (*PLANNED, "--detect", "0.01"): {"--metric": NO_WORD, "--power": NO_SHARE},
    ("datasets",): {"--data": ("", "a\udce9"), "--get": NO_WORD},
    ("datasets.describe",): {"": (*NO_FOLDER, "nosuch", "empty")},
    ("datasets.describe", "optdigits"): {
        "--out": NO_OUT, "--data": ("", "a\udce9"), "--against": NO_WORD,
        "--set": ("", "=", "x", "x=1", "corrupt_labels=9", "corrupt_labels=[", "x=!!python/none 1",
                  "corrupt_labels={kind: uniform, fraction: .nan}", "a\udce9"),
    },
    ("datasets.sheet", "--label", "3", "--out", "new"): {"": (*NO_FILE, "file", "empty")},
    SHEET: {"--counts": (*NO_COUNT, "1/2", "-1/1/1", "²/1/1", f"{DIGITS}/1/1"), "--size": NO_SIZE,
            "--seed": ("", "x", "-1", "nan", DIGITS), "--by": NO_WORD, "--out": NO_OUT},
    (*SHEET[:2], "--out", "new"): {"--labels-file": (*NO_FILE, "file"),
                                   "--label": ("", "33", "\x1b"),
                                   "--labels": ("", "1 2", "a\nb", "\x1b", "a\udce9")},
    ("models.describe",): {"": NO_WORD},
    ("models.describe", "lenet5"): {
        "--classes": NO_COUNT, "--fine-tune": (*NO_WORD, "last_0", f"last_{DIGITS}", "{from: x}"),
        "--option": ("", "=", "x", "x=1", "dense=-1", "dropout=.nan", "dropout=2", "dense=[1]"),
    },
    ("slurm.submit",): {"": NO_FILE},
    SUBMIT: {
        "--out": [out for out in NO_OUT if not out.startswith("/proc")],  # a folder as others are
        "--data": NO_FOLDER, "--reuse": NO_FOLDER, "--profile-file": NO_FILE,
        "--nodes": NO_COUNT, "--lead-s": NO_COUNT, "--cpus-per-node": NO_COUNT, "--mode": NO_WORD,
        "--gpus-per-node": ("", "x", "-1", "nan", DIGITS), "--time": (*NO_COUNT, "1:2:3:4", "²"),
        "--partition": ("", "a b", "a\nb", "a\u2028b", "a\udce9"), "--profile": NO_WORD,
        "--activate": ("", "a\nb"), "--sbatch": ("", "=", "nosuch=1", "comment=a\nb"),
        "--set": NO_SETTING,
    },
    ("slurm.status",): {"": NO_FOLDER},
    ("slurm.cancel",): {"": NO_FOLDER},
}  # fmt: skip
# They read a sheet or write a report for each value: with the slow tests.
SLOW = {SHEET: "--out", ("analysis", "run"): "--out", ("analysis", "diff", "run", "run"): "--out"}
CASES = [
    pytest.param(
        base,
        option,
        id=" ".join([*base, option]),
        marks=[pytest.mark.slow] * (SLOW.get(base) == option),
    )
    for base, options in OPTIONS.items()
    for option in options
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, and all that a path may be that is none."""
    import cv2

    folder = tmp_path_factory.mktemp("place")
    (folder / "sweep.yaml").write_text(SMALL.replace("epochs: 3", "epochs: 1"))
    run_here(folder / "sweep.yaml", folder / "run")
    for name in ("folder", "empty"):
        (folder / name).mkdir()
    (folder / "folder" / "x").write_text("x")
    (folder / "file").write_text("x")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    cv2.imwrite(str(folder / "page.png"), np.full((300, 300), 255, np.uint8))
    return folder


@pytest.fixture
def untouched(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder; nothing may be new in it afterwards, and no file another one."""
    monkeypatch.chdir(place)
    before = _content(place)
    yield place
    after = _content(place)
    shutil.rmtree(place / "new", ignore_errors=True)
    assert after == before


def _content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if not path.name.startswith(".")]
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in files}


def _main(module: str) -> object:
    package = importlib.import_module(module)
    return getattr(package, "main", None) or importlib.import_module(f"{module}.__main__").main


def _arguments(base: Sequence[str], option: str, value: str) -> list[str]:
    """The value in the place of the one that `base` has, where it has one."""
    arguments = list(base[1:])
    if option in arguments:
        at = arguments.index(option)
        del arguments[at : at + 2]
    return [*arguments, f"{option}={value}"] if option else [value, *arguments]


@pytest.mark.parametrize(("base", "option"), CASES)
def test_a_wrong_value_is_one_message_and_changes_nothing(base, option, untouched, capsys):
    main = _main(base[0])
    for value in OPTIONS[base][option]:
        status = status_of(main, _arguments(base, option, value))
        out, err = capsys.readouterr()
        assert status == 2, (value[:50], out[-300:], err[-300:])
        lines = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
        assert lines, value[:50]
        assert all(line.isprintable() for line in lines), (value[:50], lines)


def test_the_folder_of_a_users_own_sweep_file_is_no_run_folder(untouched, capsys):
    """`--out "$UNSET"` and `--out .` would write the resolved sweep over it."""
    main = _main("harness.sweep")
    assert status_of(main, ["sweep.yaml", "--out", ".", "--engine", "here"]) == 2
    assert "holds other things" in capsys.readouterr().err
