"""Batches of several trainers that are taken together: bit for bit what each takes alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from harness.joint import batches
from harness.joint.batches import FeatureBatches
from harness.runfolder.folder import RunFolder
from harness.training.trial import Trial

SWEEP = """\
name: batches
question: Are features that are gathered together those that each seed takes alone?
model: {name: lenet5, dropout: 0.4}
data: {name: glyphs, count: 400, seed: 1, train: 150, validation: 50, test: 50}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 3}
arms:
  same: {fine_tune: last_2}
  views: {fine_tune: last_2, train: {augment: {rotate: 10}, frozen_views: 3}}
seeds: 3
"""


@pytest.mark.parametrize("arm", ["same", "views"])
@pytest.mark.parametrize("tables", ["one table", "a table each"])
@pytest.mark.parametrize("n_at_once", [1, 3, 100])
def test_gathered_batches_are_those_of_each(unit, context, tmp_path, arm, tables, n_at_once):
    """Over two epochs of five steps, the last one smaller; begun in the middle of the first."""
    with RunFolder(tmp_path / "run") as folder:
        trials = [Trial(s, folder.trial_folder(s.id), context) for s in unit(arm)]
        others = [Trial(s, folder.trial_folder(s.id), context) for s in unit(arm)]
    alone, joint = [t.trainer for t in others], [t.trainer for t in trials]
    for trainer in (*alone, *joint):
        trainer.step_count = 2
    if tables == "one table":  # else each seed's front has weights of its own
        for trainer in (*alone, *joint):
            trainer.part = replace(trainer.part, inputs=joint[0].part.inputs)
    together = FeatureBatches(joint, draws_masks=True)
    assert together.is_shared is (tables == "one table")
    together.n_at_once = n_at_once
    for _ in range(8):
        inputs, labels = together.next()
        for k, trainer in enumerate(alone):
            expected, answers = trainer.next_batch()
            assert torch.equal(inputs[k], expected)
            assert torch.equal(labels[k], answers)
            assert torch.equal(joint[k].masks.get_state(), trainer.masks.get_state())
        inputs.fill_(-1)  # as a step does: what it was given is its own
        for trainer in (*alone, *joint):
            trainer.step_count += 1


def test_a_gpu_gathers_as_many_steps_as_the_bytes_hold(unit, context, tmp_path, monkeypatch):
    """Three seeds' batches of 32 images of 120 numbers in float32 are 46,080 bytes."""
    with RunFolder(tmp_path / "run") as folder:
        trials = [Trial(s, folder.trial_folder(s.id), context) for s in unit("same")]
    trainers = [trial.trainer for trial in trials]
    assert trainers[0].part.inputs[0].numel() == 120
    assert FeatureBatches(trainers, False).n_at_once == 1
    monkeypatch.setattr(trainers[0], "device", torch.device("cuda"))
    for n_bytes, steps in ((1, 1), (46_080, 1), (4 * 46_080 + 1, 4)):
        monkeypatch.setattr(batches, "GATHER_BYTES", n_bytes)
        assert FeatureBatches(trainers, False).n_at_once == steps
