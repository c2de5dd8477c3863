from __future__ import annotations

from collections import Counter

import pytest

from harness import sweep
from harness.options import parse
from harness.plan.slots import gpu_of, trials_at_once
from harness.sweep import main
from harness.sweepfile.settings import Resources
from harness.training.cards import Cards
from headstart.errors import InputError


@pytest.mark.parametrize(
    ("resources", "n_gpus", "expected"),
    [
        ({}, None, 16),
        ({"cpus": 4}, None, 4),
        ({"cpus": 32}, None, 1),
        ({"gpus": 1.0}, 1, 1),
        ({"gpus": 1.0}, 8, 8),
        ({"gpus": 0.25}, 1, 4),
        ({"gpus": 0.3}, 2, 6),
        ({"gpus": 0.05}, 1, 16),
        ({"gpus": 1.0, "cpus": 4}, 8, 8),
        ({"gpus": 0.5, "cpus": 16}, 4, 4),
        ({"gpus": 1.0, "workers": 4}, 8, 2),
        ({"gpus": 1.0}, None, 16),
    ],
)
def test_trials_at_once_are_what_cpus_and_gpus_allow(resources, n_gpus, expected):
    assert trials_at_once(Resources(**resources).settled(0), None, 16, n_gpus) == expected


@pytest.mark.parametrize("share", [0.05, 0.125, 0.25, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("n_gpus", [2, 5])
@pytest.mark.parametrize("n_cpus", [1, 7, 1000])
def test_every_gpu_has_a_worker_and_none_is_given_out_twice(share, n_gpus, n_cpus):
    n_slots = trials_at_once(Resources(gpus=share).settled(0), None, n_cpus, n_gpus)
    seen = Counter(gpu_of(slot, n_gpus) for slot in range(n_slots))
    assert set(seen) == set(range(n_gpus))
    assert max(seen.values()) * share <= 1 + 1e-9
    assert max(seen.values()) - min(seen.values()) <= 1


@pytest.mark.parametrize(
    ("engine", "slots", "n_gpus", "expected"),
    [("local", 8, 8, 1), ("local", 9, 8, 2), ("ray", 8, 8, 8), ("local", 3, None, 3)],
)
def test_workers_that_may_meet_on_a_gpu(engine, slots, n_gpus, expected):
    options = parse(["sweep.yaml", "--engine", engine])
    assert sweep._on_a_gpu(options, slots, n_gpus) == expected


def test_slots_that_are_asked_for_stand_unless_gpus_are_missing():
    assert trials_at_once(Resources().settled(0), 40, 2, None) == 40
    assert trials_at_once(Resources(gpus=0.25).settled(0), 3, 2, 1) == 3
    assert trials_at_once(Resources(gpus=0.25).settled(0), 4, 2, 1) == 4
    with pytest.raises(InputError, match=r"--slots 5: .* 4 trials at once are the most .* \(1\)"):
        trials_at_once(Resources(gpus=0.25).settled(0), 5, 2, 1)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_gpu_that_is_not_there_is_a_line_and_not_a_wait(
    write_sweep, tmp_path, monkeypatch, engine
):
    monkeypatch.setattr(sweep, "cards_here", lambda: Cards(("a card",)))
    out, options = tmp_path / "run", ["--engine", engine]
    path = write_sweep(("seeds: 2", "seeds: 2\nresources: {gpus: 1, workers: 2}"))
    with pytest.raises(InputError, match=r"gpus: 1, .* a trial needs: 2, .* sees here: 1"):
        main([str(path), "--out", str(out), *options])
    assert not list((out / "trials").glob("*"))


def test_a_gpu_that_pytorch_cannot_use_is_refused_with_the_reason(
    write_sweep, tmp_path, monkeypatch
):
    monkeypatch.setattr(sweep, "cards_here", lambda: Cards(remark="the driver is too old"))
    path = write_sweep(("seeds: 2", "seeds: 2\nresources: {gpus: 1}"))
    with pytest.raises(InputError, match=r"sees here: 0 \(the driver is too old\); lower them"):
        main([str(path), "--out", str(tmp_path / "run"), "--engine", "here"])


def test_a_machine_without_the_gpus_that_a_trial_needs_is_refused():
    with pytest.raises(InputError, match=r"workers: 2: GPUs that a trial needs: 2, .* here: 1;"):
        trials_at_once(Resources(gpus=1.0, workers=2).settled(0), None, 16, 1)
    with pytest.raises(InputError, match="PyTorch sees here: 0; lower them, or set gpus: 0"):
        trials_at_once(Resources(gpus=0.5).settled(0), None, 16, 0)
    assert trials_at_once(Resources(gpus=1.0, workers=2).settled(0), None, 16, 2) == 1
