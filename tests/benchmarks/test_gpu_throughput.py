"""The benchmark for one card, at a tiny size on a CPU."""

from __future__ import annotations

import math
import re
import time

import numpy as np
import pytest

from benchmarks import gpu_throughput
from benchmarks.gpu_throughput import Amount, Result, trial_seconds

TINY = Amount(
    "cpu", train=256, validation=64, epochs=2, seconds=0.0, n_least=1, most=2, processes=()
)


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(320, 1, 28, 28), dtype=np.uint8)
    return images, rng.integers(10, size=320)


def test_every_way_has_a_line(noise, capsys):
    rates = {"float32": 1e10, "tf32": math.nan, "bf16": math.nan}
    gpu_throughput.compare("lenet5", TINY, rates, *noise)
    printed = capsys.readouterr().out
    columns = [re.split(r"\s+", line[22:].strip()) for line in printed.splitlines()]
    names = [line[:22].strip() for line in printed.splitlines()]
    timed = [[name, *line] for name, line in zip(names, columns, strict=True) if line[-1] == "-"]
    assert [(line[0], line[1]) for line in timed] == [
        ("plain", "1"), ("solo", "1"), ("fused", "1"), ("fused", "2"),
        ("heads", "1"), ("heads", "2"), ("heads fused", "1"), ("heads fused", "2"),
    ]  # fmt: skip
    assert all(float(line[2]) > 0 and float(line[3]) > 0 for line in timed)
    assert timed[0][4] == "1.0"
    assert "failed" not in printed
    for way in ("graph 1", "fused graph 1", "fused 2 tf32", "fused 2 bf16", "compiled 2",
                "heads graph 2"):  # fmt: skip
        assert any(line.startswith(way) and "needs a GPU" in line for line in printed.splitlines())


def test_what_does_not_fit_in_the_time_is_named(noise, capsys):
    late = Amount("cpu", ends_at=time.monotonic() - 1)
    gpu_throughput.compare("lenet5", late, {"float32": 1e10}, *noise)
    assert "solo                   left out: the time is over" in capsys.readouterr().out


def test_a_trials_seconds_are_its_share_of_the_steps_and_its_own_evaluations():
    """2 steps an epoch, 2 epochs: 4 joint steps of 3 s for 6 seeds, and two evaluations."""
    assert trial_seconds(Result("fused", 6, 3.0, 0.5, 0), TINY) == pytest.approx(4 * 3 / 6 + 1.0)


def test_a_card_that_is_not_there_is_one_line(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU here"):
        gpu_throughput.main([])
