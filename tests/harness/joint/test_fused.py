"""Whole networks of several seeds as one program: what each would have got alone, to rounding."""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import replace

import numpy as np
import pack_runs
import pyarrow.parquet as pq
import pytest
import torch
from pack_runs import rows_of, run_alone, stopping_after, with_one_spoiled

from harness.joint import fused, heads, pack
from harness.joint.fused import FusedJoint
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.training.trial import Trial, run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Failed, Stopped
from headstart.archives import Archives
from models.dropout import set_dropout_generator
from runs import run_here

run_pack = functools.partial(pack.run_pack, steps=fused.FUSED)
run_together = functools.partial(pack_runs.run_together, run_pack)

SWEEP = """\
name: fused
question: Do seeds that are fused get what they would have got alone?
model: {name: midas_cnn, width: 4, dense: 30}
data: {name: glyphs, count: 700, seed: 1, train: 330, validation: 150, test: 150}
train: {learning_rate: 1.0e-3, batch_size: 64, epochs: 2}
arms:
  all: {}
  some: {fine_tune: last_3, train: {cache_frozen: false}}
  tail: {fine_tune: last_3}
seeds: 3
resources: {pack: 3, fuse: always}
"""
LENET = SWEEP.replace("midas_cnn, width: 4, dense: 30", "lenet5")
BIAS, NORM = (
    SWEEP.replace("last_3, train: {cache_frozen: false}", f"{{only: {kind}}}")
    for kind in ("bias", "norm")
)


def apart(part):
    """The part with images of its own."""
    return replace(part, inputs=part.at(part.rows), rows=None)


def trainers_of(trials, folder, context, share=False):
    made = [Trial(spec, folder.trial_folder(spec.id), context) for spec in trials]
    if share:
        assert made[0].parts.train.inputs is made[1].parts.train.inputs
    else:
        for trial in made:
            trial.trainer.part = apart(trial.parts.train)
    return [trial.trainer for trial in made]


@pytest.mark.parametrize(
    ("arm", "text", "share"),
    [
        ("all", SWEEP, False), ("all", SWEEP, True), ("some", SWEEP, False), ("some", SWEEP, True),
        ("all", LENET, False), ("all", LENET, True),
        ("some", BIAS, True), ("some", NORM, True),
        ("tail", SWEEP, False),  # its features are shared already
    ],
)  # fmt: skip
def test_gradients_of_a_step_equal_the_solo_gradients(unit, context, tmp_path, arm, text, share):
    """All of a seed's gradient as one vector: within 1e-5, or within the solo run's own rounding.

    Batch norm over channels-last tensors is less exact on a CPU than over the fused ones: there the
    solo gradient can be farther than 1e-5 from the one in float64, and the fused one is nearer. In
    float64 all tensors agree to 1e-9 (test_fused_network.py).
    """
    trials = unit(arm, text=text)
    with RunFolder(tmp_path / "run") as folder:
        solo = trainers_of(trials, folder, context)
        joint = trainers_of(trials, folder, context, share)
    exact = []
    for trainer in solo:
        inputs, labels = trainer.next_batch()
        exact.append(exact_gradients(trainer, inputs, labels))
        trainer.loss_of_batch(trainer.network(inputs), labels).backward()
    together = FusedJoint(joint)
    kept = {}
    together.weights.optimizer.step = lambda: None  # the gradients alone are looked at
    together.weights.optimizer.zero_grad = lambda set_to_none: kept.update(
        {name: weight.grad for name, weight in together.weights.by_name.items()}
    )
    together.step()
    with torch.no_grad():
        together.give_back()
    for k, trainer in enumerate(solo):
        result = {n: p.grad for n, p in trainer.network.named_parameters() if p.grad is not None}
        other = {n: gradient[k] for n, gradient in kept.items() if gradient is not None}
        assert len(result) >= 3
        assert norm(result) > 0
        rounding = norm(result, exact[k]) / norm(exact[k])
        allowed = 1e-5 if text == LENET else max(1e-5, 2 * rounding)
        assert norm(other, result) <= allowed * norm(result)
        assert norm(other, exact[k]) <= 1e-4 * norm(exact[k])
        for name, buffer in trainer.network.named_buffers():
            result = joint[k].network.get_buffer(name)
            torch.testing.assert_close(result, buffer, rtol=1e-5, atol=1e-6)


def exact_gradients(trainer, inputs, labels):
    """The solo gradients of a batch in float64, with the same masks."""
    network, masks = copy.deepcopy(trainer.network).double(), trainer.masks.get_state()
    set_dropout_generator(network, trainer.masks)
    trainer.loss_of_batch(network(inputs.double()), labels).backward()
    trainer.masks.set_state(masks)
    return {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


def norm(gradients, without=None):
    """Of all tensors as one vector, less those of `without`."""
    each = gradients.items()
    rest = [g.double() - (0 if without is None else without[name].double()) for name, g in each]
    assert without is None or without.keys() == gradients.keys()
    return float(torch.stack([tensor.norm() for tensor in rest]).norm())


@pytest.mark.parametrize(
    "train",
    [
        ", optimizer: sgd, momentum: 0.9, weight_decay: 0.01, augment: {rotate: 10}",
        ", optimizer: adamw, schedule: {name: cosine, warmup_steps: 2}, clip_gradient_norm: 0.5",
        ", loss: complementary, learning_rate_factors: 0.5",
        ", augment: {random_crop: 1, trivial_augment: true}, crop_fraction: 0.8",
        ", weight_decay: 0.05, weight_decay_of: weights, class_weights: balanced, "
        "sampling: balanced, loss: binary_cross_entropy, schedule: {name: linear}",
    ],
)
def test_seven_steps_are_the_solo_steps(unit, context, tmp_path, train):
    """Over the end of an epoch, whose last batch is smaller; then the states can be exchanged."""
    trials = unit("all", ("epochs: 2", f"epochs: 2{train}"), text=LENET)
    with RunFolder(tmp_path / "run") as folder:
        solo = trainers_of(trials, folder, context)
        joint = trainers_of(trials, folder, context, share=True)
    start = [{n: p.clone() for n, p in t.network.named_parameters()} for t in solo]
    with FusedJoint(joint) as together:
        for _ in range(7):
            together.step()
    for trainer in solo:
        for _ in range(7):
            trainer.step()
    for first, result, other in zip(start, solo, joint, strict=True):
        assert (result.step_count, result.loss_count) == (other.step_count, other.loss_count)
        assert result.learning_rate == pytest.approx(other.learning_rate)
        assert float(result.loss_sum) == pytest.approx(float(other.loss_sum), rel=1e-4)
        for name, tensor in result.network.named_parameters():
            change = tensor - first[name]
            error = other.network.get_parameter(name) - tensor
            assert change.norm() > 0
            assert error.norm() <= 2e-3 * change.norm(), name
        states = [trainer.state()["optimizer"]["state"] for trainer in (result, other)]
        assert states[0].keys() == states[1].keys()
        for position, state in states[0].items():
            assert {k: getattr(v, "shape", None) for k, v in state.items()} == {
                k: getattr(v, "shape", None) for k, v in states[1][position].items()
            }


@pytest.mark.parametrize("text", [SWEEP, pytest.param(LENET, marks=pytest.mark.slow)])
def test_a_pack_gives_the_records_of_solo_trials(unit, context, tmp_path, text):
    trials = unit("all", ("epochs: 2", "epochs: 3"), text=text)
    assert fused.reason_against(trials, "cuda", "auto") is None
    with RunFolder(tmp_path / "solo") as folder:
        alone = {spec.id: run_alone(spec, folder, context) for spec in trials}
    with RunFolder(tmp_path / "pack") as folder:
        together = rows_of(run_together(trials, folder, context))
    assert together.keys() == alone.keys()
    for trial_id, row in alone.items():
        result = together[trial_id]
        assert result.to_json().keys() == row.to_json().keys()
        assert (result.ran_as, row.ran_as) == ("fused", "solo")
        assert result.steps == row.steps
        for name in ("final_val_accuracy", "test_accuracy"):
            assert abs(getattr(result, name) - getattr(row, name)) <= 2.01 / 150
        curves = [
            pq.read_table(tmp_path / run / "trials" / trial_id / "curve.parquet").to_pandas()
            for run in ("solo", "pack")
        ]
        np.testing.assert_allclose(curves[0]["val_loss"], curves[1]["val_loss"], rtol=1e-2)
        np.testing.assert_allclose(curves[0]["train_loss"], curves[1]["train_loss"], rtol=1e-2)


@pytest.mark.slow
def test_a_seed_that_stops_early_or_diverges_leaves_the_rest_going(unit, context, tmp_path):
    """The others end where they end alone; nothing of the one that is lost reaches them.

    Slow: trials are trained by themselves and as packs.
    """
    stopping = "epochs: 9, evaluate_every: {steps: 2}, early_stopping: {patience: 2}"
    trials = unit("all", ("rate: 1.0e-3", "rate: 1.0e-2"), ("epochs: 2", stopping), text=LENET)
    with RunFolder(tmp_path / "pack") as folder:
        whole = rows_of(run_together(trials, folder, context))
    assert len({row.steps for row in whole.values()}) > 1  # or nothing is tested
    assert {row.status for row in whole.values()} == {"done"}
    with RunFolder(tmp_path / "diverging") as folder:
        folders = {spec.id: folder.trial_folder(spec.id) for spec in trials}
        events = with_one_spoiled(run_pack(trials, folders, context), after=5)
        rows = rows_of(events)
    assert rows[trials[0].id].status == "diverged"
    for spec in trials[1:]:
        result, other = rows[spec.id], whole[spec.id]
        assert result.status == "done"
        assert result.steps == other.steps
        assert result.test_accuracy == pytest.approx(other.test_accuracy, abs=2 / 150)


def test_a_trial_that_cannot_be_set_up_spares_the_others(unit, context, tmp_path):
    trials = unit("all", text=LENET)
    with RunFolder(tmp_path / "pack") as folder:
        (tmp_path / "pack" / "trials" / trials[1].id).write_text("in the way")
        events = run_together(trials, folder, context)
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.trial_id == trials[1].id
    assert rows_of(events).keys() == {spec.id for spec in trials} - {failed.trial_id}


@pytest.mark.slow
def test_a_pack_goes_on_from_states_of_packs_and_of_solo_trials(unit, context, tmp_path):
    """Stopped in one grouping, continued in another, one of the trials further on than the
    others: the result is the one of an undisturbed pack.

    Slow: trials are trained by themselves and as packs.
    """
    trials = unit("all", ("epochs: 2", "epochs: 3"))
    with RunFolder(tmp_path / "straight") as folder:
        straight = rows_of(run_together(trials, folder, context))
    with RunFolder(tmp_path / "run") as folder:
        *_, last = run_trial(
            trials[0], folder.trial_folder(trials[0].id), stopping_after(context, 9)
        )
        assert isinstance(last, Stopped)
        events = run_together(trials, folder, stopping_after(context, 14))
        assert sum(isinstance(event, Stopped) for event in events) == 3
        rows = rows_of(run_together(trials[1:], folder, context))  # regrouped: two, then one alone
        rows[trials[0].id] = run_alone(trials[0], folder, context)
    assert rows.keys() == straight.keys()
    for trial_id, row in rows.items():
        assert row.steps == straight[trial_id].steps
        assert row.attempts >= 2
        assert row.ran_as == "fused"
        assert abs(row.final_val_accuracy - straight[trial_id].final_val_accuracy) <= 3.01 / 150


def test_which_units_are_fused_and_why_not(unit):
    def reason(arm, *replacements, device="cuda", fuse="auto", text=SWEEP):
        return fused.reason_against(unit(arm, *replacements, text=text), device, fuse)

    assert reason("all") is None
    assert reason("tail") is None
    assert reason("all", device="cpu", fuse="always") is None
    assert "CPU" in reason("all", device="cpu")
    assert "never" in reason("all", fuse="never")
    assert "only trial" in reason("all", ("seeds: 3", "seeds: 1"))
    assert "plateau" in reason("all", ("epochs: 2", "epochs: 2, schedule: {name: plateau}"))
    assert "gradual" in reason("all", ("all: {}", "all: {fine_tune: gradual}"))
    assert reason("some", text=BIAS) is None
    assert "lora adds" in reason("all", ("all: {}", "all: {fine_tune: {lora: {rank: 2}}}"))
    surgical = ("all: {}", "all: {fine_tune: surgical}")
    assert "for each seed" in reason("all", surgical)
    assert "for each seed" in reason("all", surgical, device="cpu")  # and no fuse: always helps
    vit = ("midas_cnn, width: 4, dense: 30", "vit_b_16, image_size: 32, channels: 1")
    assert reason("all", vit) is not None
    mixed = (unit("all")[0], unit("some")[1])
    assert "several conditions" in fused.reason_against(mixed, "cuda", "auto")


def test_the_command_fuses_where_it_is_asked_and_says_why_not(write_sweep, tmp_path):
    sweep = write_sweep(
        ("  tail: {fine_tune: last_3}\n", "  slow: {train: {schedule: {name: plateau}}}\n"),
        ("  some: {fine_tune: last_3, train: {cache_frozen: false}}\n", ""),
        ("seeds: 3", "seeds: 2"), ("epochs: 2", "epochs: 1"), text=LENET,
    )  # fmt: skip
    plan = make_plan(load_sweep(sweep), DataCatalogue())
    (line,) = fused.notes(plan, plan.sweep.resources.settled(0))
    assert line.startswith("slow: its seeds train one after another: train.schedule plateau")
    done = run_here(sweep, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(tmp_path / "run" / "trials.parquet").to_pylist()
    assert {(row["arm"], row["ran_as"]) for row in rows} == {("all", "fused"), ("slow", "solo")}
    archives = Archives(tmp_path / "run")
    for row in rows:
        path = tmp_path / "run/trials" / row["trial_id"] / "trial.json"
        archived = None if path.is_file() else archives.read(row["trial_id"], path.name)
        written = path.read_bytes() if archived is None else archived
        record = json.loads(written)
        reasons = [note for note in record["notes"] if note.startswith("not fused: ")]
        assert len(reasons) == (row["arm"] == "slow")


def test_heads_stay_heads(unit):
    """A small tail of linear layers runs as batched heads, on any device."""
    last = unit("tail", ("tail: {fine_tune: last_3}", "tail: {fine_tune: last_layer}"))
    assert heads.can_batch(last)
    assert not heads.can_batch(unit("tail"))
