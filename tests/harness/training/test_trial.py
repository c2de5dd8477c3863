from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Save
from harness.training.context import TrialContext
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Progress


@pytest.fixture
def run_one(write_sweep, tmp_path):
    """Run one scratch trial of a changed small sweep; its folder, row and curve."""

    def run(*replacements, context=None, arm="scratch"):
        catalogue = DataCatalogue()
        plan = make_plan(load_sweep(write_sweep(*replacements)), catalogue)
        spec = next(t for t in plan.trials if t.arm == arm)
        with RunFolder(tmp_path / "run") as folder:
            context = context or {}
            events = list(
                run_trial(spec, folder.trial_folder(spec.id), TrialContext(catalogue, **context))
            )
            assert isinstance(events[-1], Ended)
            assert all(isinstance(event, Progress) for event in events[:-1])
            folder.publish(spec.id, events[-1].row)
        trial = tmp_path / "run" / "trials" / spec.id
        row = json.loads((trial / "trial.json").read_text())
        return trial, row, pq.read_table(trial / "curve.parquet").to_pylist()

    return run


def test_the_record_of_a_trial(run_one):
    trial, row, curve = run_one()
    assert [point["step"] for point in curve] == [0, 4, 8, 12, 16, 20, 24, 28, 30]
    assert curve[-1]["samples"] == 3 * 300
    assert [p["train_time_s"] for p in curve] == sorted(p["train_time_s"] for p in curve)
    assert np.isnan(curve[0]["train_loss"])
    best = max(curve, key=lambda p: (p["val_accuracy"], -p["val_loss"]))
    assert row["best_step"] == best["step"]
    assert row["best_val_accuracy"] == best["val_accuracy"]
    assert row["final_val_accuracy"] == curve[-1]["val_accuracy"]
    assert (row["n_train"], row["n_validation"], row["n_test"]) == (300, 100, 100)
    assert (row["status"], row["attempts"], row["ran_as"]) == ("done", 1, "solo")
    kept = np.load(trial / "predictions.npz")
    assert kept["probabilities"].shape == (100, 10)
    assert (kept["predicted"] == kept["labels"]).mean() == row["test_accuracy"]
    assert (
        sum(v.numel() for v in load_file(trial / "model.safetensors").values())
        == row["n_parameters"]
    )


def test_select_last_keeps_the_weights_of_the_last_step_whatever_validation_says(run_one):
    trial, row, curve = run_one(
        ("learning_rate: 1.0e-3", "learning_rate: 0.1, select: last"),
        context={"save": Save(last=True)},
    )
    lowest = min(curve, key=lambda point: point["val_loss"])  # no network learns at this rate
    assert lowest["val_loss"] < curve[-1]["val_loss"]
    assert row["best_step"] == row["steps"] == 30
    assert row["best_val_accuracy"] == row["final_val_accuracy"] == curve[-1]["val_accuracy"]
    selected, last = (load_file(trial / f"{name}.safetensors") for name in ("model", "last"))
    assert selected.keys() == last.keys()
    assert all(torch.equal(selected[name], last[name]) for name in last)


def test_no_image_is_in_two_parts(run_one, write_sweep):
    from harness.training.shared_images import SharedImages
    from harness.training.trial import split_dataset

    catalogue = DataCatalogue()
    spec = make_plan(load_sweep(write_sweep()), catalogue).trials[-1]
    dataset = catalogue.open(spec.data)
    split = split_dataset(
        dataset, spec.data.choice.split, np.random.default_rng(spec.streams["split"])
    )
    parts = SharedImages().parts(dataset, split, torch.device("cpu"))
    indices = np.concatenate([part.indices for part in (parts.train, parts.validation, parts.test)])
    assert len(np.unique(indices)) == len(indices) == 500


def test_early_stopping_stops_and_the_best_weights_are_kept(run_one):
    stopping = (
        "epochs: 40, early_stopping: {monitor: val_accuracy, patience: 3, minimum_change: 0.9}"
    )
    _, row, curve = run_one(("epochs: 3", stopping))
    assert [point["step"] for point in curve] == [0, 4, 8, 12, 16]
    # the first evaluation always improves; three that do not, and it is over
    assert row["steps"] == 16


def test_a_small_training_part_trains_for_at_least_so_many_steps(run_one):
    _, row, _ = run_one(("epochs: 3, evaluate", "epochs: 3, at_least_steps: 35, evaluate"))
    assert row["n_train"] == 300  # 10 batches of 32: whole epochs
    assert (row["epochs"], row["steps"]) == (4, 40)


def test_a_loss_that_is_not_finite_ends_the_trial_with_its_row(run_one):
    trial, row, curve = run_one(("learning_rate: 1.0e-3", "learning_rate: 1.0e+30"))
    assert row["status"] == "diverged"
    assert row["test_accuracy"] is None
    assert "not finite at step" in row["error"]
    assert row["steps"] == curve[-1]["step"] < 30
    assert not (trial / "model.safetensors").exists()


def test_checkpoints_every_few_epochs(run_one):
    from harness.sweepfile.settings import Save

    save = Save(every=2, last=True)
    trial, row, _ = run_one(("{steps: 4}", "{epochs: 1}"), context={"save": save})
    assert row["files"][0] == "checkpoints/epoch-0002.safetensors"
    assert (trial / "checkpoints" / "epoch-0002.safetensors").exists()
    assert (trial / "last.safetensors").exists()


def test_arms_at_one_seed_share_the_draws_that_they_can_share(write_sweep):
    from harness.training.network import prepare_network

    catalogue = DataCatalogue()
    path = write_sweep(("scratch: {}", "scratch: {}\n  slow: {train: {learning_rate: 1.0e-5}}"))
    plan = make_plan(load_sweep(path), catalogue)
    first, other = (next(t for t in plan.trials if t.arm == arm) for arm in ("scratch", "slow"))
    a, b = (prepare_network(t, path.parent, torch.device("cpu")).network for t in (first, other))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert first.streams == other.streams
