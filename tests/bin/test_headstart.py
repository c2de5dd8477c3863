"""`bin/headstart` from a folder that has packages of our names, and what asks for a wheel gets."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_sweep import SMALL

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "bin" / "headstart"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working folder with a sweep file and packages that must not be taken for ours."""
    for name in ("datasets", "models", "analysis"):
        package = tmp_path / name / "__init__.py"
        package.parent.mkdir()
        package.write_text("raise ImportError('the package of the working folder')\n")
    (tmp_path / "sweep.yaml").write_text(SMALL.replace("seeds: 2", "seeds: 1"), encoding="utf-8")
    return tmp_path


def headstart(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAUNCHER, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_commands_run_from_a_folder_that_has_packages_of_our_names(elsewhere):
    planned = headstart(elsewhere, "sweep", "sweep.yaml", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "scratch" in planned.stdout
    for command in ("status", "analysis", "evaluate", "reference", "submit", "jobs", "cancel",
                    "sheet", "datasets", "describe-data", "describe-model", "init"):  # fmt: skip
        told = headstart(elsewhere, command, "--help")
        assert told.returncode == 0, told.stderr
        assert told.stdout.startswith("usage: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [("--engine", "local"), ("--engine", "ray"), ("--set", "resources.workers=2")]
)
def test_the_processes_that_a_command_starts_take_our_packages_too(elsewhere, more):
    """Slow: starts workers, of each engine and of a trial that several processes share."""
    done = headstart(elsewhere, "sweep", "sweep.yaml", "--no-report", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = headstart(elsewhere, "status", "runs/small")
    assert shown.returncode == 0, shown.stderr


@pytest.mark.slow
def test_without_the_launcher_our_folder_comes_first_on_the_path(elsewhere, monkeypatch):
    """Slow: starts Ray, whose workers are given the working folder as their first place."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "harness.sweep", "sweep.yaml", "--no-report"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_names_the_commands_and_an_unknown_one_is_refused(tmp_path):
    assert headstart(tmp_path).returncode == 0
    refused = headstart(tmp_path, "swep")
    assert refused.returncode == 2
    assert "no command 'swep'" in refused.stderr


def test_no_wheel_is_built_and_a_line_says_what_to_do(tmp_path):
    copy = tmp_path / "checkout"
    (copy / "bin").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "bin/no_wheel.py"):
        shutil.copyfile(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", str(copy)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "it runs from its checkout" in done.stdout + done.stderr
    assert not list(tmp_path.glob("*.whl"))
