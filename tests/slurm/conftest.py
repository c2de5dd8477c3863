"""A lab for the tests that need a SLURM, and a `python` that runs a stand-in for the sweep."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import SWEEP, FakeSlurm
from lab import Lab, LabError, missing

HERE = Path(__file__).parent


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def stand_in_bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH whose `python` runs the stand-in where `harness.sweep` is asked for."""
    folder = tmp_path_factory.mktemp("bin")
    shim = folder / "python"
    shim.write_text(
        "#!/bin/bash\n"
        f'real="{sys.executable}"\n'
        f'[ "$2" != harness.sweep ] || exec "$real" "{HERE}/stand_in.py" "${{@:3}}"\n'
        'exec "$real" "$@"\n'
    )
    shim.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A private SLURM of two nodes, for the whole session; tests that need it skip without."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="slurm-lab-") as folder:
        lab = Lab(Path(folder))
        try:
            lab.up()
        except LabError as err:
            pytest.skip(f"no SLURM lab could be brought up: {err}")
        yield lab
        lab.down()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """SLURM's commands, faked; all of them are there and say nothing until told otherwise."""
    fake = FakeSlurm(tmp_path / "slurm-bin", monkeypatch)
    for command in ("sbatch", "squeue", "scancel", "scontrol", "sinfo"):
        fake.answer(command)
    return fake
