"""Stopped at any moment, a trial ends with the same bits as an undisturbed one.

Whole commands that are killed are in `tests/faults/test_kills.py`.
"""

from __future__ import annotations

import io
import math
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from packed_sets import IN_FILES, KINDS, NAMES
from stopped_trials import run_with_stops

from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.training.trial import read_state
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Stopped
from headstart.digests import digest_of
from headstart.errors import RunFolderError
from runs import (
    AFTER_A_STATE,
    ROOT,
    command,
    environment,
    fingerprints,
    held,
    run_here,
    wait_until_held,
)

PHOTOGRAPHS = (
    "augment: {random_resized_crop: 0.5, horizontal_flip: 0.5, trivial_augment: true, blur: 0.5}, "
    "crop_fraction: 0.8, evaluate_mirrored: true"
)
EVERY_RECIPE = (
    "optimizer: muon, weight_decay: 0.05, weight_decay_of: weights, ema: 0.9, accumulate: 2, "
    "mixup: 0.2, cutmix: 1.0, sampling: balanced, class_weights: balanced, "
    "schedule: {name: cosine, warmup_epochs: 0.5}"
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: lenet5", "name: lenet5"),
        ("name: lenet5", "name: lenet5, head: {hidden: [20], dropout: 0.5}"),
        ("augment: {rotate: 15}", PHOTOGRAPHS),
        ("augment: {rotate: 15}", EVERY_RECIPE),
        pytest.param("augment: {rotate: 15}", "precision: fp16", marks=pytest.mark.slow),
    ],
)
def test_stopped_at_any_step_a_trial_goes_on_to_the_same_bits(write_sweep, tmp_path, old, new):
    """In fp16 it is slow: few CPUs have instructions for it. Sibling: test_loss_scale.py."""
    catalogue = DataCatalogue()
    sweep = load_sweep(write_sweep((old, new)))
    plan = make_plan(sweep, catalogue)
    spec = next(t for t in plan.trials if t.stage == "pretrain")  # augmented: the most draws
    assert run_with_stops(spec, catalogue, tmp_path / "straight", None) == 0
    assert run_with_stops(spec, catalogue, tmp_path / "stopped", 3) >= 3
    assert fingerprints(tmp_path / "straight") == fingerprints(tmp_path / "stopped")


OTHERS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("folder", "shards", "parquet")]


@pytest.mark.parametrize("kind", ["zip", *OTHERS])
def test_a_set_that_stays_in_its_files_has_the_bits_of_the_decoded_one(tmp_path, monkeypatch, kind):
    """Straight through and stopped, in which case each process decodes anew what it reads."""
    path = KINDS[kind](tmp_path / "set")
    sweep_file = tmp_path / "sweep.yaml"
    sweep_file.write_text(
        IN_FILES.format(name=NAMES.get(kind, kind), path=path, epochs=2), encoding="utf-8"
    )
    rooms = {"decoded": "1", "in files": "0.00001"}
    seen = []
    for room, gigabytes in rooms.items():
        monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / room))
        monkeypatch.setenv("HEADSTART_DECODED_GB", gigabytes)
        for every in (None, 2):
            catalogue = DataCatalogue()
            (spec,) = make_plan(load_sweep(sweep_file), catalogue).trials
            assert spec.data.in_files == (room == "in files")
            out = tmp_path / f"{room} {every}"
            assert run_with_stops(spec, catalogue, out, every) >= (2 if every else 0)
            seen.append(fingerprints(out))
    assert seen[0]
    assert seen[1:] == seen[:1] * 3


def test_a_state_of_a_version_before_lacks_what_was_right_in_its_interval_alone(
    write_sweep, tmp_path
):
    from harness.training.context import TrialContext
    from harness.training.trial import run_trial

    catalogue = DataCatalogue()
    spec = next(
        t for t in make_plan(load_sweep(write_sweep()), catalogue).trials if t.stage == "pretrain"
    )
    curves = []
    for name in ("straight", "of_before"):
        with RunFolder(tmp_path / name) as folder:
            asked = iter([False] * 5 if name == "of_before" else ())
            context = TrialContext(
                catalogue, should_stop=lambda a=asked, n=name: n == "of_before" and next(a, True)
            )
            files = folder.trial_folder(spec.id)
            *_, last = run_trial(spec, files, context)
            if isinstance(last, Stopped):
                _as_before(files.state_file())
                *_, last = run_trial(spec, files, TrialContext(catalogue))
            assert isinstance(last, Ended)
            curves.append(pq.read_table(files.result / "curve.parquet").to_pylist())
    added = ("train_accuracy", "val_balanced_accuracy", "val_macro_f1")
    assert len(curves[0]) == len(curves[1]) > 3
    n_empty = 0
    for k, (point, other) in enumerate(zip(*curves, strict=True)):
        n_empty += other["val_macro_f1"] is None
        assert (other["val_macro_f1"] is None) == (other["val_balanced_accuracy"] is None)
        took_over = n_empty == k and other["val_macro_f1"] is not None  # the interval's first half
        if k and took_over:
            assert math.isnan(other["train_accuracy"])
        elif other["val_macro_f1"] is not None:
            assert other["train_accuracy"] == point["train_accuracy"] > 0
        for column in point.keys() - {*added, "train_time_s"}:
            assert point[column] == other[column] or point[column] != point[column]
    assert 0 < n_empty < len(curves[0]) - 1


def _as_before(path: Path) -> None:
    """Let a state be one of the version before training accuracy."""
    state = torch.load(io.BytesIO(read_state(path)), weights_only=True)
    assert state["trainer"]["loss_count"] > 0, "in the middle of an interval"
    del state["trainer"]["n_right"]
    for point in state["record"]["curve"]:
        for name in ("train_accuracy", "val_balanced_accuracy", "val_macro_f1"):
            del point[name]
    for name in ("balanced_accuracy", "macro_f1"):
        del state["record"]["best"][name]
    buffer = io.BytesIO()
    torch.save(state, buffer)
    path.write_bytes(f"{digest_of(buffer.getvalue())}\n".encode() + buffer.getvalue())


@pytest.mark.slow
def test_a_signal_stops_with_75_and_the_same_command_goes_on(write_sweep, tmp_path):
    """Slow: it starts worker processes that import torch.

    That ten seconds are enough is with the signals of `tests/faults/`.
    """
    sweep = write_sweep(("epochs: 3", "epochs: 4000"), ("seeds: 2", "seeds: 1"))
    process = subprocess.Popen(
        command(sweep, tmp_path / "run", "--engine", "local", "--state-every", "0"), cwd=ROOT,
        env={**environment(), **held(AFTER_A_STATE, tmp_path)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until_held(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    _, message = process.communicate(timeout=240)
    assert process.returncode == 75, message
    assert "Stopped by SIGTERM" in message
    assert "same command goes on" in message


@pytest.mark.slow
def test_more_seeds_run_the_new_ones_only(write_sweep, tmp_path):
    """Slow: two sweeps are run."""
    sweep = write_sweep()
    assert run_here(sweep, tmp_path / "run", "--set", "seeds=1").returncode == 0
    before = _finish_times(tmp_path / "run")
    assert run_here(sweep, tmp_path / "run", "--set", "seeds=2").returncode == 0
    after = _finish_times(tmp_path / "run")
    assert len(before) == 3
    assert len(after) == 6
    assert before.items() <= after.items()


def _finish_times(out: Path) -> dict[str, str]:
    rows = pq.read_table(out / "trials.parquet").to_pylist()
    return {row["trial_id"]: row["finished_at"] for row in rows}


def test_a_saved_state_with_a_flipped_bit_is_not_gone_on_from(tmp_path):
    path = tmp_path / "state" / "g" / "state-000000000004.pt"
    path.parent.mkdir(parents=True)
    buffer = io.BytesIO()
    torch.save({"step": 4}, buffer)
    path.write_bytes(buffer.getvalue())  # of a version before digests
    assert read_state(path) == buffer.getvalue()
    content = f"{digest_of(buffer.getvalue())}\n".encode() + buffer.getvalue()
    path.write_bytes(content)
    assert read_state(path) == buffer.getvalue()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    with pytest.raises(RunFolderError, match=r"004\.pt: damaged, .*begin the trial anew"):
        read_state(path)
