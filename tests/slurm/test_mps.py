"""NVIDIA's service for shared GPUs, with a control program that writes down how it was called."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.errors import InputError
from slurm import mps

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the control program writes: options, GPUs, folder, what it was told."""
    program, calls = tmp_path / "bin" / mps.CONTROL, tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/bash\n[ ! -e "$REFUSES" ] || { echo "no device" >&2; exit 1; }\n'
        f'echo "[$*] ${{CUDA_VISIBLE_DEVICES-none}} $CUDA_MPS_PIPE_DIRECTORY $(cat)" >> {calls}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("REFUSES", str(tmp_path / "refuses"))
    return calls


@pytest.mark.parametrize(
    ("visible", "seen"),
    [("2,3", "0,1"), ("1", "0"), ("GPU-8f,GPU-9c", "GPU-8f,GPU-9c"), (None, None)],
)
def test_processes_see_the_gpus_as_the_service_numbers_them(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str, seen: str
) -> None:
    if visible is None:
        monkeypatch.delenv(mps.VISIBLE, raising=False)
    else:
        monkeypatch.setenv(mps.VISIBLE, visible)
    for name in ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"):
        monkeypatch.setenv(name, "")  # so that it is gone again after the test
    with mps.running(tmp_path):
        assert os.environ.get(mps.VISIBLE) == seen
        assert os.environ["CUDA_MPS_PIPE_DIRECTORY"] == str(tmp_path / "mps")
        assert (tmp_path / "mps").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "mps-log").is_dir()
        assert calls.read_text() == f"[-d] {visible or 'none'} {tmp_path}/mps \n"
    assert calls.read_text().splitlines()[1:] == [f"[] {seen or 'none'} {tmp_path}/mps quit"]


def test_a_service_that_keeps_its_output_open_is_not_waited_for(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program's child lives on with what the program wrote to, as a careless daemon does."""
    program = Path(shutil.which(mps.CONTROL) or "")
    program.write_text(f"#!/bin/bash\nsleep 60 &\necho $! > {calls}\n")
    monkeypatch.setattr(mps, "WITHIN_S", 20.0)
    try:
        assert mps.start(tmp_path)["CUDA_MPS_PIPE_DIRECTORY"] == f"{tmp_path}/mps"
    finally:
        os.kill(int(calls.read_text()), signal.SIGKILL)


def test_a_script_evaluates_what_it_prints(calls: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it's $HOME"
    folder.mkdir()
    script = (
        f'eval "$({sys.executable} -m slurm.mps start "$1")"\n'
        'echo "$CUDA_VISIBLE_DEVICES $CUDA_MPS_PIPE_DIRECTORY"\n'
        f'{sys.executable} -m slurm.mps stop "$1"\n'
    )
    done = subprocess.run(
        ["bash", "-euc", script, "bash", str(folder)], cwd=ROOT, text=True, capture_output=True,
        env={**os.environ, mps.VISIBLE: "5"}, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"0 {folder}/mps\n", "")
    assert [line.split()[0] for line in calls.read_text().splitlines()] == ["[-d]", "[]"]


def test_a_service_that_does_not_start_is_one_line(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "refuses").touch()
    with pytest.raises(InputError, match=r"^setting mps: nvidia-cuda-mps-control -d: no device$"):
        mps.start(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"^setting mps: nvidia-cuda-mps-control cannot be run"):
        mps.start(tmp_path)
    mps.stop(tmp_path)
    assert "MPS was not told to quit" in capsys.readouterr().out
