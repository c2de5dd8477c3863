"""Networks that are trained once more on all images: what they repeat, and what they never have."""

from __future__ import annotations

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from torch import nn
from torch.optim import SGD

from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Train
from harness.training.context import TrialContext
from harness.training.refit import Replay
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended
from headstart.digests import image_keys
from headstart.errors import RunFolderError
from headstart.records import finished_rows
from runs import fingerprints, run_here

ONE_SEED = ("seeds: 2", "seeds: 1\nrefit: true")


def replay(schedule: dict[str, object], best_step: int, losses: dict[int, float]) -> Replay:
    train = Train.model_validate({"schedule": schedule, "epochs": 4})
    return Replay(train, 2, best_step, {step: {"val_loss": loss} for step, loss in losses.items()})


def test_a_plateau_is_cut_where_the_trial_cut_it_and_each_group_has_its_own_rate():
    losses = {0: 1.0, 2: 2.0, 4: 3.0, 6: 0.5}  # two that are no better: two cuts
    course = replay({"name": "plateau", "factor": 0.5, "patience": 0, "minimum": 0.2}, 6, losses)
    rates = course.rates([1.0, 0.3])
    assert rates == [[1.0, 0.3]] * 2 + [[0.5, 0.2]] * 2 + [[0.25, 0.2]] * 2


def test_a_cosine_is_that_of_the_whole_trial_however_early_validation_chose():
    rates = replay({"name": "cosine", "warmup_steps": 2}, 5, {}).rates([1.0])
    angle = [0.5 * (1 + math.cos(math.pi * done / 6)) for done in range(3)]
    assert np.allclose(np.ravel(rates), [1 / 3, 2 / 3, *angle], rtol=1e-12)


@pytest.mark.parametrize(
    ("best_step", "n_steps", "steps"),
    [
        (4, 6, [0, 0, 1, 2, 2, 3]),  # two epochs of 2 steps become two of 3
        (3, 5, [0, 0, 1, 2, 2]),  # a begun step is made whole
        (0, 0, []),
    ],
)
def test_the_epochs_are_those_of_the_trial_and_each_rate_stands_at_its_place(
    best_step, n_steps, steps
):
    course = replay({"name": "step", "every": 1, "factor": 0.5}, best_step, {})
    assert course.n_steps(3) == n_steps
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=8.0)
    schedule = course.schedule(optimizer, 3)
    seen = []
    for _ in range(n_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert seen == [8.0 / 2 ** (step // 2) for step in steps]


@pytest.mark.slow
def test_a_run_of_before_gets_its_refits_alone_which_saw_all_images(write_sweep, tmp_path):
    """Slow: a run is trained twice."""
    out = tmp_path / "run"
    run_here(write_sweep(("seeds: 2", "seeds: 1")), out)
    before = {row.trial_id: row for row in finished_rows(out)}
    assert run_here(write_sweep(ONE_SEED), out).returncode == 0
    after = {row.trial_id: row for row in finished_rows(out)}
    assert {i: after[i] for i in before} == before
    refits = [row for i, row in after.items() if i not in before]
    assert [(row.stage, row.arm) for row in refits] == [
        ("refit", "scratch"),
        ("refit", "pretrained"),
    ]
    for row in refits:
        trial = before[row.refits]
        assert (row.n_train, row.n_validation, row.n_test) == (500, 0, 0)
        assert row.steps == row.best_step == math.ceil(trial.best_step * 16 / 10)
        assert row.parent_id == trial.parent_id
        assert row.status == "done"
        scores = (
            row.test_accuracy,
            row.best_val_accuracy,
            row.final_val_accuracy,
            row.best_val_loss,
        )
        assert scores == (None,) * 4
        assert "predictions.npz" not in row.files
    curves = pq.read_table(out / "curves.parquet").to_pandas()
    own = curves[curves["trial_id"] == refits[0].trial_id]
    assert own["val_loss"].isna().all()
    assert own["train_loss"].iloc[-1] < own["train_loss"].iloc[1]
    spec = next(t for t in make_plan(load_sweep(write_sweep(ONE_SEED)), DataCatalogue()).trials
                if t.stage == "refit")  # fmt: skip
    known = np.fromfile(out / "trials" / spec.id / "trained_on.bin", np.uint64)
    every = image_keys(DataCatalogue().open(spec.data).images)
    assert len(known) == 500
    assert set(known.tolist()) <= set(every.tolist())


@pytest.mark.slow
def test_stopped_at_any_step_a_refit_goes_on_to_the_same_bits(write_sweep, tmp_path):
    plateau = "epochs: 3, schedule: {name: plateau, factor: 0.5, patience: 0}"
    path = write_sweep(ONE_SEED, ("epochs: 3", plateau))
    run_here(path, tmp_path / "straight")
    catalogue = DataCatalogue()
    spec = next(t for t in make_plan(load_sweep(path), catalogue).trials if t.stage == "refit")
    out = tmp_path / "stopped"
    run_here(write_sweep(("seeds: 2", "seeds: 1"), ("epochs: 3", plateau)), out)
    n_stops = -1
    last: object = None
    while not isinstance(last, Ended):
        n_stops += 1
        steps = iter(range(10**9))
        with RunFolder(out) as folder:
            folder.adopt([spec.id])
            context = TrialContext(catalogue, should_stop=lambda s=steps: next(s) >= 5)
            *_, last = run_trial(spec, folder.trial_folder(spec.id), context)
            if isinstance(last, Ended):
                folder.publish(spec.id, last.row)
    assert n_stops >= 3
    assert fingerprints(out)[spec.id] == fingerprints(tmp_path / "straight")[spec.id]


def test_ids_of_trials_stay_and_a_refit_runs_in_the_shard_of_its_trial(write_sweep):
    catalogue = DataCatalogue()
    without = make_plan(load_sweep(write_sweep()), catalogue)
    plan = make_plan(load_sweep(write_sweep(("seeds: 2", "seeds: 2\nrefit: true"))), catalogue)
    assert plan.trials[: len(without.trials)] == without.trials
    assert len({t.id for t in plan.trials}) == len(plan.trials) == len(without.trials) + 4
    for k in (1, 2, 3):
        ids = plan.shard(k, 3).by_id
        assert all(t.refits in ids for t in ids.values() if t.stage == "refit")


@pytest.mark.slow
def test_a_trial_that_diverged_is_not_refitted(write_sweep, tmp_path):
    huge = ("learning_rate: 1.0e-3", "learning_rate: 1.0e+30")
    out = tmp_path / "run"
    alone = ("  pretrained: {initialize: drawn}\n", "")
    compare = ("compare: [{treatment: pretrained, control: scratch}]\n", "")
    done = run_here(write_sweep(ONE_SEED, huge, alone, compare), out)
    assert done.returncode == 1
    (failed,) = [row for row in finished_rows(out) if row.stage == "refit"]
    assert failed.status == "failed"
    assert failed.error == f"the trial it refits ({failed.refits}) diverged"


def test_a_refit_without_its_trial_says_so(write_sweep, tmp_path):
    catalogue = DataCatalogue()
    plan = make_plan(load_sweep(write_sweep(ONE_SEED)), catalogue)
    spec = next(t for t in plan.trials if t.stage == "refit")
    with RunFolder(tmp_path / "run") as folder:
        events = run_trial(spec, folder.trial_folder(spec.id), TrialContext(catalogue))
        with pytest.raises(RunFolderError, match=f"{spec.refits}: has no finished trial to refit"):
            next(events)
