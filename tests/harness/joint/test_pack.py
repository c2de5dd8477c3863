"""A pack that is too large for a GPU: a part goes on from where it is, the rest is given back."""

from __future__ import annotations

import functools
from dataclasses import replace

import pack_runs
import pytest
import torch
from pack_runs import rows_of

from harness.joint import fused, pack
from harness.joint.fused import FusedJoint
from harness.runfolder.folder import RunFolder
from harness.training.trial import Trial
from harness.trials.events import Failed, GivenBack, Progress

SWEEP = """\
name: pack
question: What becomes of seeds that do not fit?
model: {name: lenet5}
data: {name: glyphs, count: 400, seed: 1, train: 130, validation: 60, test: 60}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 3, schedule: {name: cosine}}
arms: {all: {}}
seeds: 4
resources: {gpus: 0, pack: 4, fuse: always}
"""


class Full(FusedJoint):
    """Has no memory for more than two seeds, from the second step of the second epoch on."""

    most = 2

    def step(self):
        super().step()
        if len(self.trainers) > self.most and self.lead.step_count == 7:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")


def run_in(folder, unit, context, joint):
    steps = replace(fused.FUSED, joint=joint)
    return pack_runs.run_together(
        functools.partial(pack.run_pack, steps=steps), unit, folder, context
    )


@pytest.mark.slow
def test_a_part_goes_on_and_nothing_of_the_rest_is_lost(unit, context, tmp_path):
    """The steps of the epoch that failed are made again; no seed begins anew.

    Slow: packs are trained several times.
    """
    trials = unit("all")
    with RunFolder(tmp_path / "straight") as folder:
        straight = rows_of(run_in(folder, trials, context, FusedJoint))
    with RunFolder(tmp_path / "full") as folder:
        events = run_in(folder, trials, context, Full)
        given_back = [event.trial_id for event in events if isinstance(event, GivenBack)]
        assert sorted(given_back) == sorted(spec.id for spec in trials[2:])
        rows = rows_of(events)
        assert rows.keys() == {spec.id for spec in trials[:2]}
        again = run_in(folder, trials[2:], context, Full)
        rows |= rows_of(again)
    assert not [event for event in (*events, *again) if isinstance(event, Failed)]
    first = next(event for event in again if hasattr(event, "step"))
    assert first.step == 10, "the end of the second epoch: the first one was kept"
    for trial_id, row in rows.items():
        other = straight[trial_id]
        assert (row.steps, row.status, row.ran_as) == (other.steps, "done", "fused")
        assert row.attempts == (1 if trial_id not in given_back else 2)
        assert row.test_loss == pytest.approx(other.test_loss, rel=1e-3)


def test_a_seed_by_itself_that_does_not_fit_fails_once_with_what_helps(
    unit, context, tmp_path, monkeypatch
):
    monkeypatch.setattr(Full, "most", 0)
    monkeypatch.setattr(pack, "explained", lambda err, train: ValueError("too little memory"))
    with RunFolder(tmp_path / "run") as folder:
        events = run_in(folder, unit("all"), context, Full)
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert "too little memory" in failed.error
    assert len([event for event in events if isinstance(event, GivenBack)]) == 3


def test_a_seed_that_cannot_end_for_want_of_memory_costs_the_others_no_evaluation(
    unit, context, tmp_path, monkeypatch
):
    """It stops after its first epoch; the others have made the steps of the next one."""
    trials = unit("all")
    early, end = trials[0].id, Trial.end

    def ends(trial, tested=None):
        if trial.spec.id == early:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return end(trial, tested)

    def stops(trial):
        return trial.spec.id == early and len(trial.record.curve) == 2

    monkeypatch.setattr(Trial, "end", ends)
    monkeypatch.setattr(Trial, "_stops_early", stops)
    with RunFolder(tmp_path / "run") as folder:
        events = run_in(folder, trials, context, FusedJoint)
    assert [event.trial_id for event in events if isinstance(event, GivenBack)] == [early]
    for spec in trials[1:]:
        steps = [e.step for e in events if isinstance(e, Progress) and e.trial_id == spec.id]
        assert steps == [0, 5, 10, 15]


def test_memory_that_is_too_small_for_the_next_network_ends_the_opening(
    unit, context, tmp_path, monkeypatch
):
    trials = unit("all")
    opened = []

    def open_trial(spec, *rest):
        if len(opened) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        opened.append(spec)
        return Trial(spec, *rest)

    monkeypatch.setattr(pack, "Trial", open_trial)
    monkeypatch.setattr(open_trial, "start", Trial.start, raising=False)
    monkeypatch.setattr(open_trial, "pause", Trial.pause, raising=False)
    with RunFolder(tmp_path / "run") as folder:
        events = run_in(folder, trials, context, FusedJoint)
    given_back = [event.trial_id for event in events if isinstance(event, GivenBack)]
    assert given_back == [trials[3].id, trials[2].id]
    assert rows_of(events).keys() == {spec.id for spec in trials[:2]}


def test_trainers_of_a_block_that_failed_are_where_they_were(unit, context, tmp_path):
    """Weights, counts, learning rate: the next steps are those of trainers that never failed."""
    with RunFolder(tmp_path / "run") as folder:
        made = [
            [Trial(s, folder.trial_folder(s.id), context).trainer for s in unit("all")]
            for _ in range(2)
        ]
    disturbed, straight = made
    for trainers in made:
        with FusedJoint(trainers) as joint:
            for _ in range(3):
                joint.step()
    with pytest.raises(ValueError, match="no"):
        _fail_after_four_steps(disturbed)
    for trainer, other in zip(disturbed, straight, strict=True):
        assert (trainer.step_count, trainer.loss_count) == (3, 96)
        assert trainer.learning_rate == other.learning_rate
        assert torch.equal(trainer.loss_sum, other.loss_sum)
    for trainers in made:
        with FusedJoint(trainers) as joint:
            for _ in range(4):
                joint.step()
    for trainer, other in zip(disturbed, straight, strict=True):
        assert trainer.learning_rate == other.learning_rate
        assert torch.equal(trainer.loss_sum, other.loss_sum)
        for result, expected in zip(
            trainer.network.parameters(), other.network.parameters(), strict=True
        ):
            assert torch.equal(result, expected)


def _fail_after_four_steps(trainers):
    with FusedJoint(trainers) as joint:
        for _ in range(4):
            joint.step()
        raise ValueError("no")
