"""What is said of 16-bit numbers before trials run: nothing, that it is slow, or that it fails."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.sweep import main
from harness.training import sixteen_bits
from headstart.errors import InputError

BF16 = ("batch_size: 32, epochs: 3", "batch_size: 32, epochs: 1, precision: bf16")


def fake_subprocess(run: Callable[..., object]) -> SimpleNamespace:
    """The module as `harness.training.sixteen_bits` uses it; other modules keep the real one."""
    return SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired)


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """Let the probe end in a given way; the list grows with each time it is run."""

    def answer(stdout: str = "", status: int = 0, stderr: str = "") -> list[str]:
        asked: list[str] = []

        def fake_run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
            asked.append(command[-1])
            return subprocess.CompletedProcess(command, status, stdout, stderr)

        sixteen_bits.check_on_cpu.cache_clear()
        monkeypatch.setattr(sixteen_bits, "subprocess", fake_subprocess(fake_run))
        return asked

    yield answer
    sixteen_bits.check_on_cpu.cache_clear()


def test_fast_bf16_needs_no_word(probed):
    probed("0.45\n")
    assert sixteen_bits.slow_notice("bf16") is None


def test_slow_bf16_is_told_once(probed):
    asked = probed("12.7\n")
    assert "13 times as long" in sixteen_bits.slow_notice("bf16")
    assert "train.precision=float32" in sixteen_bits.slow_notice("bf16")
    assert len(asked) == 1


def test_a_probe_without_end_is_slow_too(probed, monkeypatch):
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("python", 120)

    probed()
    monkeypatch.setattr(sixteen_bits, "subprocess", fake_subprocess(hang))
    assert math.isinf(sixteen_bits.check_on_cpu("bf16"))
    assert "over a thousand times" in sixteen_bits.slow_notice("bf16")


def test_bf16_that_fails_says_why_and_what_helps(probed):
    probed(status=1, stderr="Traceback\nRuntimeError: could not execute a primitive\n")
    with pytest.raises(InputError, match=r"could not execute a primitive.*use float32"):
        sixteen_bits.check_on_cpu("bf16")


def test_a_sweep_says_so_before_its_trials_run(probed, write_sweep, tmp_path: Path, capsys):
    asked = probed("12.7\n")
    arguments = [str(write_sweep(BF16)), "--out", str(tmp_path / "run"), "--engine", "here"]
    assert main([*arguments, "--set", "seeds=1", "--no-report"]) == 0
    assert "13 times as long" in capsys.readouterr().err
    assert len(asked) == 1
    assert main([*arguments, "--set", "seeds=1", "--no-report"]) == 0  # nothing left to run
    assert "13 times as long" not in capsys.readouterr().err


def test_a_sweep_whose_bf16_fails_ends_before_its_trials(probed, write_sweep, tmp_path):
    probed(status=1, stderr="RuntimeError: no primitive\n")
    sweep, out = write_sweep(BF16), tmp_path / "run"
    with pytest.raises(InputError, match="no primitive"):
        main([str(sweep), "--out", str(out), "--engine", "here"])
    assert not list((out / "trials").glob("*"))
