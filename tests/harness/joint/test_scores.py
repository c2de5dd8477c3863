"""Evaluations of several seeds as one computation: what each would have got alone, to rounding."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.joint import fused, heads, scores
from harness.runfolder.folder import RunFolder
from harness.training.arrays import Part
from harness.training.score import Score
from harness.training.trial import Trial

SWEEP = """\
name: scores
question: Are seeds that are evaluated together scored as they would have been alone?
model: {name: midas_cnn, width: 4, dense: 30}
data: {name: glyphs, count: 700, seed: 1, train: 130, validation: 150, test: 150}
train: {learning_rate: 1.0e-3, batch_size: 64, epochs: 1}
arms:
  all: {}
  tail: {fine_tune: last_2}
seeds: 3
resources: {gpus: 0, pack: 3, fuse: always}
"""
LENET = ("midas_cnn, width: 4, dense: 30", "lenet5")


def apart(part):
    """The part with inputs of its own."""
    return replace(part, inputs=part.at(part.rows), rows=None)


@pytest.fixture
def trained(unit, context, tmp_path):
    """Trainers of an arm's seeds after some steps of each, with their parts of the data."""

    def make(arm, *replacements, share=False):
        with RunFolder(tmp_path / "run") as folder:
            trials = [
                Trial(spec, folder.trial_folder(spec.id), context)
                for spec in unit(arm, *replacements)
            ]
        for trial in trials:
            for _ in range(3):
                trial.trainer.step()
        parts = [t.parts.validation for t in trials]
        return [t.trainer for t in trials], parts if share else [apart(part) for part in parts]

    return make


def close(result: Score, other: Score) -> bool:
    losses = ((result.loss, other.loss), (result.right_loss, other.right_loss))
    without = [replace(score, loss=0.0, right_loss=0.0) for score in (result, other)]
    return without[0] == without[1] and all(
        math.isclose(*pair, rel_tol=1e-5) or pair == (math.nan, math.nan) for pair in losses
    )


def _trained(trainer):
    n = trainer.loss_count
    return Score(float(trainer.loss_sum) / n, float(trainer.n_right.sum()) / n) if n else None


@pytest.mark.parametrize(
    ("arm", "as_one", "replacements", "share"),
    [
        ("all", fused.as_one, (), False),
        ("all", fused.as_one, (LENET,), True),
        ("all", fused.as_one, (("epochs: 1", "epochs: 1, label_smoothing: 0.2"),), True),
        ("tail", heads.as_one, (), False),
        ("tail", fused.as_one, (), False),
    ],
)
def test_scores_and_training_losses_are_the_solo_ones(trained, arm, as_one, replacements, share):
    """Each seed has a validation part of its own; then one is shared by all."""
    trainers, parts = trained(arm, *replacements, share=share)
    assert len({part.indices.tobytes() for part in parts}) == 3
    parts = [replace(part, right=(part.labels + k) % 10) for k, part in enumerate(parts)]
    for on in (parts, [parts[0]] * 3):
        alone = [t.evaluate(part, 10) for t, part in zip(trainers, on, strict=True)]
        assert len({score.loss for score in alone}) == 3
        before = [_trained(trainer) for trainer in trainers]
        together = scores.evaluate(trainers, on, as_one, 10)
        for score, (result, trained), given in zip(alone, together, before, strict=True):
            assert close(result, score)
            assert trained == given or (math.isnan(trained.loss) and given is None)
        left = [(float(t.loss_sum), float(t.n_right.sum()), t.loss_count) for t in trainers]
        assert left == [(0.0, 0.0, 0)] * 3
    assert all(m.training for t in trainers for m in t.network.modules())


@pytest.mark.parametrize(("arm", "as_one"), [("all", fused.as_one), ("tail", heads.as_one)])
def test_predictions_are_the_solo_ones(trained, monkeypatch, arm, as_one):
    """Also where no more than two seeds' outputs are held at once."""
    trainers, parts = trained(arm)
    n_classes = 10
    alone = [t.predict(part, n_classes) for t, part in zip(trainers, parts, strict=True)]
    for most in (scores.LOGITS_BYTES, 2 * 4 * n_classes * 150):
        monkeypatch.setattr(scores, "LOGITS_BYTES", most)
        together = scores.predict(trainers, parts, as_one, n_classes)
        for (score, logits), (result, other) in zip(alone, together, strict=True):
            assert close(result, score)
            torch.testing.assert_close(other, logits, rtol=1e-4, atol=1e-5)


def test_a_seed_whose_weights_are_lost_leaves_the_others_scores(trained):
    trainers, parts = trained("all")
    before = scores.evaluate(trainers, parts, fused.as_one, 10)
    with torch.no_grad():
        for parameter in trainers[1].network.parameters():
            parameter.fill_(torch.nan)
    after = scores.evaluate(trainers, parts, fused.as_one, 10)
    assert math.isnan(after[1][0].loss)
    assert [after[k][0] for k in (0, 2)] == [before[k][0] for k in (0, 2)]


def test_parts_of_several_lengths_are_scored_apart(trained):
    trainers, parts = trained("all")
    short = Part(parts[1].inputs[:70], parts[1].labels[:70], parts[1].indices[:70])
    on = [parts[0], short, parts[2]]
    together = scores.evaluate(trainers, on, fused.as_one, 10)
    for trainer, part, (result, _) in zip(trainers, on, together, strict=True):
        assert close(result, trainer.evaluate(part, 10))


@pytest.mark.slow
def test_where_memory_is_too_small_batches_are_halved_to_the_same_scores(trained):
    """Slow: a process of its own on the stand-in for a card."""
    trainers, parts = trained("all")
    sizes = []

    def as_one(them):
        network = fused.as_one(them)

        def logits(inputs):
            sizes.append(inputs.shape[1])
            if inputs.shape[1] > 40:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return network(inputs)

        return logits

    together = scores.evaluate(trainers, parts, as_one, 10)
    assert sizes == [150, 150, 150, 125, 62, 31, 31, 31, 31, 26]  # 1,000 at most, 500, 250, …
    for trainer, part, (result, _) in zip(trainers, parts, together, strict=True):
        assert close(result, trainer.evaluate(part, 10))


@pytest.mark.parametrize(
    ("shape", "is_image", "batch_size", "n", "images"),
    [
        ((1, 28, 28), True, 128, 1, 1000),  # as a solo evaluation
        ((1, 28, 28), True, 128, 8, 653),  # 8 × 653 × 28² values are those of 1,000 × 64²
        ((1, 28, 28), True, 128, 256, 128),  # as a step
        ((3, 224, 224), True, 16, 2, 40),
        ((84,), False, 128, 32, 1000),
        ((512, 7, 7), False, 64, 32, 64),
    ],
)
def test_no_more_images_at_once_than_in_a_step_or_a_solo_evaluation(
    trained, shape, is_image, batch_size, n, images
):
    (trainer, *_), _ = trained("all", ("batch_size: 64", f"batch_size: {batch_size}"))
    part = Part(torch.zeros(2, *shape), torch.zeros(2, dtype=torch.int64), np.arange(2))
    trainer.normalise = trainer.normalise if is_image else None
    assert scores.images_of_each(trainer, part, n) == images


@pytest.mark.slow
def test_a_pack_that_is_evaluated_as_one_has_the_records_of_one_that_is_not(
    unit, context, tmp_path
):
    """On a CPU, where packs are evaluated one by one: the same steps, selections and scores.

    Slow: a sweep is run twice.
    """
    from pack_runs import rows_of, run_together

    from harness.joint.pack import run_pack

    stopping = "epochs: 6, evaluate_every: {steps: 1}, early_stopping: {patience: 3}"
    trials = unit("all", LENET, ("epochs: 1", stopping), ("rate: 1.0e-3", "rate: 1.0e-2"))
    rows = {}
    for name, steps in (
        ("apart", fused.FUSED), ("as one", replace(fused.FUSED, evaluates_on=("cpu",))),
    ):  # fmt: skip
        with RunFolder(tmp_path / name) as folder:
            events = run_together(
                lambda *args, s=steps: run_pack(*args, steps=s), trials, folder, context
            )
        rows[name] = rows_of(events)
    assert rows["apart"].keys() == rows["as one"].keys() == {spec.id for spec in trials}
    for trial_id, row in rows["apart"].items():
        other = rows["as one"][trial_id]
        assert (other.steps, other.best_step) == (row.steps, row.best_step)
        assert other.best_val_accuracy == row.best_val_accuracy
        assert other.test_accuracy == row.test_accuracy
        assert other.test_loss == pytest.approx(row.test_loss, rel=1e-4)
        assert other.eval_time_s > 0
    assert len({row.steps for row in rows["as one"].values()}) > 1, "they stop at several steps"
