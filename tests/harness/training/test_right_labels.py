"""Right labels watched beside wrong ones: the same predictions scored twice, no other change."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from datasets.split import split_dataset
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.training.context import TrialContext
from harness.training.network import build_network
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Stopped
from headstart.errors import SpecError
from models.weights import load_into

WRONG = ("test: 100}", "test: 100, corrupt_labels: {kind: complementary, fraction: 0.999}}")
WATCHED = ("targets: [0.3, 0.5]", "targets: [0.3, 0.5], also_watch: right_labels")
COLUMNS = ["val_right_loss", "val_right_accuracy"]


def run(sweep, out, arm="scratch", watch=True, every=None):
    """The last trial of an arm, stopped and continued every so many steps; its spec and curve."""
    catalogue = DataCatalogue()
    plan = make_plan(sweep, catalogue)
    spec = [t for t in plan.trials if t.arm == arm][-1]
    last = Stopped(spec.id, 0)
    while isinstance(last, Stopped):
        steps = iter(range(10**9))
        context = TrialContext(
            catalogue,
            should_stop=lambda steps=steps: every is not None and next(steps) >= every,
            also_watch="right_labels" if watch else None,
        )
        with RunFolder(out) as folder:
            folder.adopt([spec.id])
            *_, last = run_trial(spec, folder.trial_folder(spec.id), context)
            if isinstance(last, Ended):
                folder.publish(spec.id, last.row)
    trial = out / "trials" / spec.id
    return spec, trial, pq.read_table(trial / "curve.parquet").to_pandas()


@pytest.mark.parametrize("loss", ["cross_entropy", "complementary"])
def test_the_numbers_are_those_of_the_weights_on_right_labels(write_sweep, tmp_path, loss):
    changed = ("epochs: 3", f"epochs: 1, select: val_loss, loss: {loss}")
    sweep = load_sweep(write_sweep(WRONG, WATCHED, changed))
    spec, trial, curve = run(sweep, tmp_path / "run")
    catalogue = DataCatalogue()
    dataset = catalogue.open(spec.data)
    rows = split_dataset(
        dataset, spec.data.choice.split, np.random.default_rng(spec.streams["split"])
    ).validation
    network, groups = build_network(spec)
    load_into(network, load_file(trial / "model.safetensors"), head="keep", groups=groups)
    images = torch.from_numpy(np.array(dataset.images[rows])).float() / 255
    info = spec.condition.model.info
    images = (images - info.mean[0]) / info.std[0]
    with torch.no_grad():
        logits = network.eval()(images)
    right = torch.from_numpy(catalogue.right_labels(spec.data)[rows])
    assert (right.numpy() != dataset.labels[rows]).all()
    chosen = curve.loc[curve["val_loss"].idxmin()]
    accuracy = float((logits.argmax(1) == right).float().mean())
    assert chosen["val_right_accuracy"] == pytest.approx(accuracy)
    assert chosen["val_right_loss"] == pytest.approx(float(F.cross_entropy(logits, right)), 1e-4)


def test_nothing_else_moves_and_a_stopped_trial_has_the_same_numbers(write_sweep, tmp_path):
    sweep = load_sweep(write_sweep(WRONG, WATCHED))
    spec, watched, curve = run(sweep, tmp_path / "watched")
    _, stopped, again = run(sweep, tmp_path / "stopped", every=7)
    other, plain, without = run(load_sweep(write_sweep(WRONG)), tmp_path / "plain", watch=False)
    assert other.id == spec.id
    weights = {(t / "model.safetensors").read_bytes() for t in (watched, stopped, plain)}
    assert len(weights) == 1
    assert curve[COLUMNS].notna().all(axis=None)
    assert without[COLUMNS].isna().all(axis=None)
    timeless = curve.columns.drop("train_time_s")
    assert curve[timeless].equals(again[timeless])
    assert curve[timeless].drop(columns=COLUMNS).equals(without[timeless].drop(columns=COLUMNS))
    assert (curve["val_accuracy"] != curve["val_right_accuracy"]).any()


def test_a_stage_whose_labels_nobody_spoilt_has_none(write_sweep, tmp_path):
    sweep = load_sweep(write_sweep(WRONG, WATCHED))
    _, _, curve = run(sweep, tmp_path / "run", arm="drawn")
    assert curve[COLUMNS].isna().all(axis=None)


def test_a_sweep_without_an_arm_of_known_right_labels_is_refused(write_sweep):
    with pytest.raises(SpecError, match="the right labels of glyphs are not known") as refused:
        make_plan(load_sweep(write_sweep(WATCHED)), DataCatalogue())
    assert len(str(refused.value).splitlines()) == 1
