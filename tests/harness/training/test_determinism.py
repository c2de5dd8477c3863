"""Trials with an operation without a deterministic kernel: on a stand-in card, and by its error."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.training import determinism
from harness.training.context import TrialContext
from harness.training.steps import SoloSteps
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, NotDeterministic, Stopped

ON_A_CARD = """
    from pathlib import Path
    import pyarrow.parquet as pq
    import torch
    import torch.nn.functional as F
    from torch import nn
    from models.networks import lenet5
    from runs import run_here

    class Bent(nn.Module):
        def forward(self, x):
            return F.interpolate(x.flatten(2), size=49, mode="linear").unflatten(2, (7, 7))

    class Middle(nn.Module):
        def forward(self, x):
            return nn.functional.adaptive_avg_pool2d(x, 7) - x.median(3, keepdim=True)[0][:, :, :7]

    def build(options, *, n_classes, image_size, channels):
        layers = {0.0: nn.AdaptiveAvgPool2d(7), 0.5: Bent(), 0.25: Middle()}
        middle = layers[options.dropout]
        head = nn.Linear(4 * 49, n_classes)
        return nn.Sequential(nn.Conv2d(channels, 4, 3), middle, nn.Flatten(), head)

    lenet5.build = build
    folder = Path(FOLDER)
    sweep = folder / "sweep.yaml"
    sweep.write_text('''
    name: bent
    question: Do trials with a refused operation run?
    model: {name: lenet5}
    data: {name: glyphs, count: 60, seed: 1, train: 30, validation: 10, test: 10}
    train: {batch_size: 16, epochs: 1}
    arms:
      bent: {model: {dropout: 0.5}}
      half: {model: {dropout: 0.5}, train: {precision: bf16}}
      straight: {}
      median: {model: {dropout: 0.25}, fine_tune: last_layer}
    seeds: 2
    resources: {gpus: 1, pack: 2, fuse: never}
    '''.replace("\\n    ", "\\n"))
    dry = run_here(sweep, folder / "run", "--dry-run").stdout
    assert "bent: upsample_linear1d_backward: no deterministic kernel" in dry, dry
    assert "median: median: no deterministic kernel" in dry, dry
    assert "straight: upsample" not in dry
    done = run_here(sweep, folder / "run")
    assert "retr" not in done.stderr, done.stderr
    said = [line.partition(":")[0] for line in done.stderr.splitlines() if "promise" in line]
    assert sorted(said) == ["arm bent", "arm half", "arm median"], done.stderr
    rows = pq.read_table(folder / "run" / "trials.parquet").to_pylist()
    assert len(rows) == 8, (done.stdout, done.stderr)
    names = {"straight": "", "median": "median CUDA with indices output"}
    for row in rows:
        wanted = names.get(row["arm"], "upsample_linear1d_backward_out_cuda")
        told = (row["deterministic"], row["nondeterministic_operation"], row["attempts"])
        assert told == (not wanted, wanted, 1), (row["arm"], told, row["error"])
        assert row["status"] in ("done", "diverged")
    assert torch.get_deterministic_debug_mode() in (1, 2)
    print("all of it", flush=True)
"""


@pytest.mark.slow
def test_trials_on_a_card_run_with_what_it_refuses(card, tmp_path):
    """Slow: a process on the stand-in for a card trains several networks."""
    code = ON_A_CARD.replace("FOLDER", repr(str(tmp_path)))
    assert card.run(code, memory_gb=4).stdout.strip() == "all of it"


class RefusedOnce(SoloSteps):
    """Steps of which the twelfth meets an operation that the step on noise did not meet."""

    def make(self, trainers, is_due, wants_pause):
        (trainer,) = trainers
        if trainer.step_count >= 12 and torch.get_deterministic_debug_mode() == 2:
            raise RuntimeError(
                "made_up_backward_cuda does not have a deterministic implementation, but you set …"
            )
        super().make(trainers, is_due, wants_pause)


@pytest.fixture
def trial(write_sweep, tmp_path, monkeypatch):
    """Run one trial with these steps in a folder of this name; its events."""
    monkeypatch.setattr(determinism, "_known", {})
    catalogue = DataCatalogue()
    spec = next(
        t for t in make_plan(load_sweep(write_sweep()), catalogue).trials if t.arm == "scratch"
    )

    def run(name, steps=None, **context):
        with RunFolder(tmp_path / name) as folder:
            events = list(
                run_trial(
                    spec, folder.trial_folder(spec.id), TrialContext(catalogue, **context),
                    steps or SoloSteps(),
                )
            )  # fmt: skip
            if isinstance(events[-1], Ended):
                folder.publish(spec.id, events[-1].row)
        return events

    run.weights = lambda name: load_file(tmp_path / name / "trials" / spec.id / "model.safetensors")
    run.row = lambda name: json.loads(
        (tmp_path / name / "trials" / spec.id / "trial.json").read_text()
    )
    run.spec = spec
    return run


def test_an_operation_that_is_met_late_lets_the_trial_go_on_from_its_last_state(trial):
    assert not [e for e in trial("plain") if isinstance(e, NotDeterministic)]
    said = [
        e
        for e in trial("late", RefusedOnce(), state_every_s=0.0)
        if isinstance(e, NotDeterministic)
    ]
    assert [event.operations for event in said] == [("made_up_backward_cuda",)]
    row = trial.row("late")
    assert (row["deterministic"], row["nondeterministic_operation"]) == (
        False, "made_up_backward_cuda",
    )  # fmt: skip
    plain, late = trial.weights("plain"), trial.weights("late")
    assert all(torch.equal(plain[name], late[name]) for name in plain)
    row = trial.row("plain")
    assert (row["deterministic"], row["nondeterministic_operation"]) == (True, "")


def test_a_state_remembers_it(trial, monkeypatch):
    class Asked:
        """Asked to stop once the trial has made some steps without promise of its bits."""

        n = 0

        def __call__(self):
            self.n += torch.get_deterministic_debug_mode() == 1
            return self.n > 6

    events = trial("run", RefusedOnce(), should_stop=Asked())
    assert isinstance(events[-1], Stopped)
    assert events[-1].step > 0
    monkeypatch.setattr(determinism, "_known", {})  # another process
    trial("run", RefusedOnce())
    assert trial.row("run")["nondeterministic_operation"] == "made_up_backward_cuda"


def test_other_errors_stay_errors_and_a_refusal_in_vain_is_one(trial):
    spec = trial.spec
    refusal = RuntimeError("x_cuda does not have a deterministic implementation, but you set")
    assert not determinism.learn_from(RuntimeError("something else"), spec)
    assert determinism.learn_from(refusal, spec)
    assert not determinism.learn_from(refusal, spec), "else it would begin again without end"


def test_on_cpus_nothing_is_tried(trial, monkeypatch):
    monkeypatch.setattr(determinism, "_try", lambda *_: pytest.fail("a step on noise"))
    refused = determinism.refused_operations(trial.spec, torch.nn.Linear(1, 1), torch.device("cpu"))
    assert refused == ()
