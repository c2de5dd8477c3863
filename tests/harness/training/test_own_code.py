"""Trials whose network, optimizer or loss is of the user's own file."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from stopped_trials import run_with_stops

from harness.joint.fused import reason_against
from harness.joint.heads import can_batch
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from headstart.records import trial_row
from models.catalog import SHIPPED, is_users, model_names
from runs import fingerprints

SWEEP = """\
name: own
question: Does it train?
model: {name: "my_nets.py:Net"}
data: {name: glyphs, count: 90, seed: 1, classes: digits, train: 60, validation: 15, test: 15}
train: {batch_size: 16, epochs: 2, optimizer: "my_nets.py:Signs", loss: "my_nets.py:focal"}
arms: {one: {}}
seeds: 2
"""
NETS = """
import random
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4 * 13 * 13, n_classes)
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        x = x.view(len(x), -1)
        if self.training:
            x = F.dropout(x, 0.3) + 0.1 * torch.randn_like(x) * np.random.rand()
            x = -x if random.random() < 0.5 else x
        return self.fc(x + 0.01 * torch.rand(1))  # in evaluation too

class Plain(Net):
    def forward(self, x):
        return self.fc(F.max_pool2d(F.relu(self.conv(x)), 2).flatten(1))

class Signs(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.lerp_(p.grad, 0.1)
                p.sub_(group["lr"] * m.sign() * torch.rand(1))

def focal(logits, labels, gamma=2.0):
    p = logits.log_softmax(1).gather(1, labels[:, None])[:, 0]
    return (-(1 - p.exp()) ** gamma * p).mean()
"""


@pytest.fixture
def plan_of(write_sweep, context):
    def make(*replacements: tuple[str, str]):
        path = write_sweep(*replacements, text=SWEEP)
        path.with_name("my_nets.py").write_text(NETS, encoding="utf-8")
        return make_plan(load_sweep(path), context.catalogue)

    return make


def test_global_draws_are_the_same_when_it_is_stopped_and_goes_on(plan_of, tmp_path) -> None:
    spec = plan_of().trials[0]
    assert run_with_stops(spec, DataCatalogue(), tmp_path / "straight", None) == 0
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - as another program of this process might have left them
    random.seed(5)
    assert run_with_stops(spec, DataCatalogue(), tmp_path / "stopped", 3) >= 2
    assert fingerprints(tmp_path / "straight") == fingerprints(tmp_path / "stopped")
    row = trial_row(tmp_path / "straight" / "trials" / spec.id)
    assert row is not None
    assert row.model == "my_nets.py:Net"
    assert [text.partition(" ")[0] for text in row.code] == [
        "my_nets.py:Net", "my_nets.py:Signs", "my_nets.py:focal",
    ]  # fmt: skip
    assert (row.image_height, row.image_width, row.channels) == (28, 28, 1)


@pytest.mark.parametrize(
    ("name", "is_cached", "note"),
    [("Plain", True, None), ("Net", False, "draws from global random generators")],
)
def test_what_is_frozen_is_computed_once_where_the_code_allows_it(
    plan_of, tmp_path, name, is_cached, note
) -> None:
    spec = plan_of(
        ("arms: {one: {}}", "arms: {one: {fine_tune: last_layer}}"),
        ('"my_nets.py:Net"', f'"my_nets.py:{name}"'),
        (', optimizer: "my_nets.py:Signs", loss: "my_nets.py:focal"', ""),
    ).trials[0]
    run_with_stops(spec, DataCatalogue(), tmp_path / "out", None)
    row = trial_row(tmp_path / "out" / "trials" / spec.id)
    assert row is not None
    assert row.frozen["cached"] is is_cached
    assert any(note in text for text in row.notes) if note else not row.notes


def test_its_seeds_train_one_after_another(plan_of) -> None:
    unit = plan_of().trials
    assert not can_batch(unit)
    reason = reason_against(unit, "cpu", "always")
    assert reason is not None
    assert "my_nets.py:Net, my_nets.py:Signs, my_nets.py:focal" in reason


def test_the_networks_that_are_shipped_are_no_users() -> None:
    assert model_names() == SHIPPED
    assert not any(is_users(name) for name in (*SHIPPED, "resnet18"))
