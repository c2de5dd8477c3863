"""Trials of the forms of `fine_tune` that train parts, additions and layers that they choose."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.training.context import TrialContext
from harness.training.network import build_network
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Stopped
from runs import fingerprints

LORA = "{lora: {rank: 2}}"


@pytest.fixture
def run(write_sweep, tmp_path):
    """Run the arm `scratch` of the small sweep under a `fine_tune`, stopped every so many steps."""
    catalogue = DataCatalogue()

    def go(fine_tune, out="run", every=None, *replacements):
        arm = ("scratch: {}", f"scratch: {{fine_tune: {fine_tune}}}")
        plan = make_plan(load_sweep(write_sweep(arm, *replacements)), catalogue)
        spec = next(t for t in plan.trials if t.arm == "scratch")
        while True:
            steps = iter(range(10**9))

            def stop(steps=steps):
                return every is not None and next(steps) >= every

            with RunFolder(tmp_path / out) as folder:
                folder.adopt([spec.id])
                context = TrialContext(catalogue, should_stop=stop)
                *_, last = run_trial(spec, folder.trial_folder(spec.id), context)
                if isinstance(last, Ended):
                    folder.publish(spec.id, last.row)
                    return spec, last.row, load_file(
                        tmp_path / out / "trials" / spec.id / "model.safetensors"
                    )  # fmt: skip
            assert isinstance(last, Stopped)

    return go


def moved(spec, weights):
    """Names of saved tensors that are not those of the start; all names are the network's own."""
    start = build_network(spec)[0].state_dict()
    assert weights.keys() == start.keys()
    return {name for name, value in weights.items() if not torch.equal(value, start[name])}


@pytest.mark.slow
@pytest.mark.parametrize("fine_tune", [LORA, "{only: bias}", "surgical"])
def test_stopped_at_any_step_a_trial_goes_on_to_the_same_bits(run, tmp_path, fine_tune):
    """Slow: a trial is stopped at many steps."""
    ema = ("learning_rate: 1.0e-3", "learning_rate: 1.0e-3, ema: 0.9")
    _, straight, _ = run(fine_tune, "straight", None, ema)
    _, stopped, _ = run(fine_tune, "stopped", 13, ema)
    assert stopped.attempts > straight.attempts == 1
    assert stopped.chosen_layers == straight.chosen_layers
    assert fingerprints(tmp_path / "straight") == fingerprints(tmp_path / "stopped")


def test_lora_saves_plain_weights_of_which_targets_and_head_moved(run):
    spec, row, weights = run(LORA)
    assert moved(spec, weights) == {"conv1.weight", "conv2.weight", "fc3.weight", "fc3.bias"}
    n_added = 2 * (6 + 25) + 2 * (16 + 6 * 25)
    assert row.n_trainable == n_added + 84 * 10 + 10
    assert row.n_parameters == sum(value.numel() for value in weights.values())


def test_only_biases_and_the_head_move(run):
    spec, row, weights = run("{only: bias}")
    assert moved(spec, weights) == {
        *(f"{layer}.bias" for layer in ("conv1", "conv2", "fc1", "fc2", "fc3")), "fc3.weight",
    }  # fmt: skip
    assert row.n_trainable == 6 + 16 + 120 + 84 + 10 + 84 * 10


def test_surgical_trains_what_it_chose_and_says_it(run):
    spec, row, weights = run("{surgical: {groups: 2}}")
    assert len(row.chosen_layers) == 2
    assert moved(spec, weights) == {
        f"{layer}.{kind}" for layer in (*row.chosen_layers, "fc3") for kind in ("weight", "bias")
    }
    assert json.loads(row.fine_tune) == {"surgical": {"groups": 2}}


def test_layers_that_join_in_epochs_of_at_least_steps_train(run):
    each = ("epochs: 3, evaluate", "epochs: 5, evaluate")
    _, row, straight = run("{gradual: {every: 1}}", "straight", None, each)
    added = ("epochs: 3, evaluate", "epochs: 2, at_least_steps: 50, evaluate")
    spec, longer, weights = run("{gradual: {every: 1}}", "longer", None, added)
    assert longer.steps == row.steps == 50
    assert longer.n_trainable == row.n_trainable == longer.n_parameters
    assert moved(spec, weights) == set(weights)
    assert all(torch.equal(value, straight[name]) for name, value in weights.items())
