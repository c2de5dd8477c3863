"""A saved network's answers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from harness.evaluate import models
from harness.evaluate.models import find_models, own_answers, read_run
from harness.reference.networks import trained_specs
from harness.sweepfile.settings import Train
from harness.trials.catalogue import DataCatalogue
from headstart.records import read_plan
from headstart.rows import TrialRow
from models.info import ModelInfo
from runs import run_here


class Refused(torch.nn.Module):
    """Needs what has no deterministic kernel on a GPU."""

    def forward(self, x):
        if torch.get_deterministic_debug_mode() == 2:
            raise RuntimeError("x_cuda does not have a deterministic implementation, but you set")
        return x.flatten(1)[:, :3]


def test_an_operation_without_a_deterministic_kernel_can_be_evaluated(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "network_of", lambda model: Refused())
    saved = SimpleNamespace(
        condition=SimpleNamespace(train=Train(), runs_others_code=False),
        info=ModelInfo((2, 2), 1, (0.0,), (1.0,), None),
        path=tmp_path / "model.safetensors",
        row=TrialRow(),
    )
    images = np.zeros((4, 1, 2, 2), np.uint8)
    got = models.answers(saved, images, np.zeros(4, np.int64))
    np.testing.assert_allclose(got.probabilities, 1 / 3)


SEARCHED = """\
name: searched
question: Which trials have networks?
model: {name: lenet5}
data: {name: glyphs, count: 100, seed: 1, classes: digits, train: 60, validation: 20, test: 20}
train: {batch_size: 20, epochs: 1}
search: {learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}, samples: 2}
arms: {one: {}}
seeds: 1
"""


def test_of_a_search_only_the_chosen_trial_answers(tmp_path):
    """The trials of a search have no network; the arm has the values that were chosen."""
    sweep, run = tmp_path / "sweep.yaml", tmp_path / "run"
    sweep.write_text(SEARCHED, encoding="utf-8")
    assert run_here(sweep, run).returncode == 0
    plan = read_plan(run)
    assert plan is not None
    assert sorted(trial.stage for trial in plan.trials) == ["arm", "search", "search"]
    (arm,) = [trial.id for trial in plan.trials if trial.stage == "arm"]
    (model,) = find_models(run, read_run(run))
    assert model.id == arm
    assert len(own_answers(model)[0]) == 20
    assert [spec.id for spec in trained_specs(run, DataCatalogue(), None)] == [arm]
