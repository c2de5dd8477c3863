"""Seeds trained as one computation: what each would have got alone, to float32 rounding."""

from __future__ import annotations

import functools

import numpy as np
import pack_runs
import pyarrow.parquet as pq
import pytest
from pack_runs import rows_of, run_alone, stopping_after, with_one_spoiled
from safetensors.torch import load_file
from torch import nn

from harness.joint import heads, pack
from harness.joint.heads import HeadJoint
from harness.joint.stacked import can_stack
from harness.runfolder.folder import RunFolder
from harness.training.network import build_network
from harness.training.trial import Trial, run_trial
from harness.trials.events import Ended, Failed, Started, Stopped
from models import finetune
from models.split import split_at
from runs import run_here

run_pack = functools.partial(pack.run_pack, steps=heads.HEADS)
run_together = functools.partial(pack_runs.run_together, run_pack)

SWEEP = """\
name: heads
question: Do seeds that train together get what they would have got alone?
model: {name: midas_cnn, width: 4, dense: 30}
data: {name: glyphs, count: 900, seed: 1, train: 500, validation: 200, test: 200}
train: {learning_rate: 1.0e-3, batch_size: 64, epochs: 2}
arms:
  last: {fine_tune: last_layer}
  two: {fine_tune: last_2}
seeds: 4
resources: {pack: 4}
"""
SQUEEZENET = SWEEP.replace(
    "{name: midas_cnn, width: 4, dense: 30}", "{name: squeezenet1_1, image_size: 32, channels: 1}"
).replace("count: 900, seed: 1, train: 500", "count: 490, seed: 1, train: 90")
HEADED = SWEEP.replace("dense: 30", "head: {hidden: [20, 9], dropout: 0.5}")


def run_solo(unit, folder, context):
    return {spec.id: run_alone(spec, folder, context) for spec in unit}


@pytest.mark.parametrize("arm", ["last", "two"])
@pytest.mark.parametrize(
    "train",
    [
        "",
        ", optimizer: sgd, momentum: 0.9, nesterov: true, weight_decay: 0.01",
        ", optimizer: adamw, schedule: {name: cosine, warmup_steps: 2}, clip_gradient_norm: 0.5",
        ", loss: complementary, learning_rate_factors: 0.3",
    ],
)
def test_one_step_and_five_are_the_solo_steps(unit, context, tmp_path, arm, train):
    """Dropout is in both tails: the masks are the seeds' own."""
    trials = unit(arm, ("epochs: 2", f"epochs: 2{train}"))
    trainers = []
    with RunFolder(tmp_path / "run") as folder:
        for _ in range(2):
            made = [Trial(spec, folder.trial_folder(spec.id), context) for spec in trials]
            trainers.append([trial.trainer for trial in made])
    solo, joint = trainers
    start = [{n: p.clone() for n, p in t.network.named_parameters()} for t in solo]
    for n_steps in (1, 4):
        with HeadJoint(joint) as together:
            for _ in range(n_steps):
                together.step()
        for trainer in solo:
            for _ in range(n_steps):
                trainer.step()
        for first, result, other in zip(start, solo, joint, strict=True):
            assert result.step_count == other.step_count
            assert result.learning_rate == pytest.approx(other.learning_rate)
            assert float(result.loss_sum) == pytest.approx(float(other.loss_sum), rel=1e-5)
            for name, tensor in result.network.named_parameters():
                change = tensor - first[name]
                assert change.norm() > 0
                error = other.network.get_parameter(name) - tensor
                assert error.norm() <= 2e-5 * change.norm() + 1e-7 * tensor.norm(), name
    states = [trainer.state()["optimizer"] for trainer in (solo[1], joint[1])]
    for position, state in states[0]["state"].items():
        assert state.keys() == states[1]["state"][position].keys()


@pytest.mark.parametrize(("arm", "text"), [("two", SWEEP), ("last", SQUEEZENET), ("last", HEADED)])
def test_gradients_of_a_step_equal_the_solo_gradients(unit, context, tmp_path, arm, text):
    """Plain SGD with rate 1: the change of the weights is the gradient."""
    trials = unit(arm, ("learning_rate: 1.0e-3", "optimizer: sgd, learning_rate: 1.0"), text=text)
    with RunFolder(tmp_path / "run") as folder:
        solo, joint = (
            [Trial(s, folder.trial_folder(s.id), context).trainer for s in trials] for _ in "ab"
        )
    for trainer in solo:
        inputs, labels = trainer.next_batch()
        trainer.loss_of_batch(trainer.network(inputs), labels).backward()
    together = HeadJoint(joint)
    together.weights.optimizer.step = lambda: None  # the gradients alone are looked at
    kept = {}
    together.weights.optimizer.zero_grad = lambda set_to_none: kept.update(
        {name: weight.grad.clone() for name, weight in together.weights.by_name.items()}
    )
    together.step()
    for k, trainer in enumerate(solo):
        for name, parameter in trainer.network.named_parameters():
            error = kept[name][k].view_as(parameter) - parameter.grad
            assert error.norm() <= 1e-5 * parameter.grad.norm(), (k, name)


@pytest.mark.parametrize(
    ("arm", "text"), [("last", HEADED), pytest.param("last", SQUEEZENET, marks=pytest.mark.slow)]
)
def test_a_pack_gives_the_records_of_solo_trials(unit, context, tmp_path, arm, text):
    """Slow where each of eight trials computes features of SqueezeNet."""
    trials = unit(arm, text=text)
    assert heads.can_batch(trials)
    with RunFolder(tmp_path / "solo") as folder:
        alone = run_solo(trials, folder, context)
    with RunFolder(tmp_path / "pack") as folder:
        events = run_together(trials, folder, context)
    together = rows_of(events)
    assert [type(e) for e in events[: len(trials)]] == [Started] * len(trials)
    assert together.keys() == alone.keys()
    for trial_id, row in alone.items():
        result = together[trial_id]
        assert result.to_json().keys() == row.to_json().keys()
        assert (result.ran_as, row.ran_as) == ("heads", "solo")
        for name in ("final_val_accuracy", "test_accuracy"):
            assert abs(getattr(result, name) - getattr(row, name)) <= 1.01 / 200  # near a tie
        assert result.steps == row.steps
        curves = [
            pq.read_table(tmp_path / run / "trials" / trial_id / "curve.parquet").to_pandas()
            for run in ("solo", "pack")
        ]
        np.testing.assert_allclose(curves[0]["val_loss"], curves[1]["val_loss"], rtol=1e-3)
        np.testing.assert_allclose(curves[0]["train_loss"], curves[1]["train_loss"], rtol=1e-3)
        weights = [
            load_file(tmp_path / run / "trials" / trial_id / "model.safetensors")
            for run in ("solo", "pack")
        ]
        assert weights[0].keys() == weights[1].keys()


@pytest.mark.slow
def test_a_seed_that_stops_early_or_diverges_leaves_the_rest_going(unit, context, tmp_path):
    """Slow: trials are trained by themselves and as packs."""
    stopping = "epochs: 30, early_stopping: {patience: 1, minimum_change: 0.02}"
    trials = unit("two", ("rate: 1.0e-3", "rate: 1.0e-2"), ("epochs: 2", stopping))
    with RunFolder(tmp_path / "solo") as folder:
        alone = run_solo(trials, folder, context)
    with RunFolder(tmp_path / "pack") as folder:
        together = rows_of(run_together(trials, folder, context))
    steps = {trial_id: row.steps for trial_id, row in alone.items()}
    assert len(set(steps.values())) > 1  # they stop at different steps, or nothing is tested
    assert {trial_id: row.steps for trial_id, row in together.items()} == steps
    with RunFolder(tmp_path / "diverging") as folder:
        folders = {spec.id: folder.trial_folder(spec.id) for spec in trials}
        rows = {}
        for event in with_one_spoiled(run_pack(trials, folders, context), after=7):
            if isinstance(event, Ended):
                rows[event.trial_id] = event.row
    assert [rows[spec.id].status for spec in trials] == ["diverged", "done", "done", "done"]
    assert [rows[s.id].steps for s in trials[1:]] == [steps[s.id] for s in trials[1:]]


@pytest.mark.parametrize("alone", [True, False])
def test_a_request_to_stop_ends_the_computing_of_features_and_leaves_nothing_of_them(
    unit, context, tmp_path, alone
):
    trials = unit("last")[:1] if alone else unit("last")
    asked = stopping_after(context, 2)  # before the third of four chunks
    with RunFolder(tmp_path / "run") as folder:
        folders = {spec.id: folder.trial_folder(spec.id) for spec in trials}
        if alone:
            events = list(run_trial(trials[0], folders[trials[0].id], asked))
        else:
            events = [e for e in run_pack(trials, folders, asked) if not isinstance(e, Started)]
    assert events == [Stopped(spec.id, 0) for spec in trials]
    assert list(context.features.folder.iterdir()) == []


def test_a_trial_that_cannot_be_set_up_spares_the_others(unit, context, tmp_path, monkeypatch):
    trials = unit("last")
    with RunFolder(tmp_path / "pack") as folder:
        (tmp_path / "pack" / "trials" / trials[1].id).write_text("in the way")
        events = run_together(trials, folder, context)
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.trial_id == trials[1].id
    assert rows_of(events).keys() == {spec.id for spec in trials} - {failed.trial_id}


def test_a_pack_goes_on_from_states_of_a_pack_and_of_solo_trials(unit, context, tmp_path):
    """Also where one of the trials is further on: the others come up to it, then all go on."""
    trials = unit("two", ("epochs: 2", "epochs: 3"))
    with RunFolder(tmp_path / "straight") as folder:
        straight = rows_of(run_together(trials, folder, context))
    with RunFolder(tmp_path / "run") as folder:
        ahead = stopping_after(context, 9)
        *_, last = run_trial(trials[0], folder.trial_folder(trials[0].id), ahead)
        assert isinstance(last, Stopped)
        events = run_together(trials, folder, stopping_after(context, 30))
        assert sum(isinstance(event, Stopped) for event in events) == 4
        rows = rows_of(run_together(trials, folder, context))
        again = {spec.id: spec for spec in trials}
    assert rows.keys() == again.keys() == straight.keys()
    for trial_id, row in rows.items():
        assert row.steps == straight[trial_id].steps
        assert row.attempts >= 2
        assert row.ran_as == "heads"
        assert abs(row.final_val_accuracy - straight[trial_id].final_val_accuracy) <= 1.01 / 200


def test_a_solo_trial_goes_on_from_a_packs_state_and_says_so(unit, context, tmp_path):
    trials = unit("last")
    with RunFolder(tmp_path / "run") as folder:
        run_together(trials, folder, stopping_after(context, 20))
        row = run_alone(trials[2], folder, context)
    assert row.ran_as == "heads"
    assert row.attempts == 2


def test_which_units_train_as_one(unit, write_sweep):
    assert heads.can_batch(unit("last"))
    assert not heads.can_batch(unit("last")[:1])
    assert not heads.can_batch((unit("last")[0], unit("two")[1]))
    assert not heads.can_batch(unit("last", ("epochs: 2", "epochs: 2, cache_frozen: false")))
    assert not heads.can_batch(unit("last", ("epochs: 2", "epochs: 2, schedule: {name: plateau}")))
    assert not heads.can_batch(unit("last", ("epochs: 2", "epochs: 2, precision: bf16")))
    convolution = unit("two", ("fine_tune: last_2", "fine_tune: last_3"))
    assert not heads.can_batch(convolution)
    inner = unit("two", ("fine_tune: last_2", "fine_tune: {unfreeze: [dense]}"))
    assert not heads.can_batch(inner)  # the head after it is frozen


def test_a_tail_with_an_unknown_layer_is_not_stacked(unit):
    network, groups = build_network(unit("last")[0])
    finetune.freeze(network, groups, [groups[-1].name])
    assert can_stack(split_at(network, groups, len(groups) - 1)[1])
    network.dropout = nn.AlphaDropout()
    assert not can_stack(split_at(network, groups, len(groups) - 1)[1])


@pytest.mark.slow
def test_the_command_packs_the_seeds_of_each_arm(write_sweep, tmp_path):
    """Slow: trials are trained by themselves and as packs."""
    done = run_here(write_sweep(text=SWEEP), tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(tmp_path / "run" / "trials.parquet").to_pylist()
    assert [row["ran_as"] for row in rows] == ["heads"] * 8
    assert {row["status"] for row in rows} == {"done"}
