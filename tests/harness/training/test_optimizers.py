from __future__ import annotations

import copy
import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from harness.sweepfile.settings import Train
from harness.training.optimizers import make_optimizer

ADAM = {"betas": (0.9, 0.99), "epsilon": 1e-7}
OPTIONS = {
    "adam": (torch.optim.Adam, ADAM),
    "adamw": (torch.optim.AdamW, ADAM),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
}


def takes_equal_steps(settings, ours, theirs, expected, shape):
    """The optimizer of `settings` steps as `expected` does, also after its state was loaded."""
    optimizer = make_optimizer([{"params": list(ours.parameters())}], settings)
    for _ in range(2):
        for _ in range(3):
            x = torch.randn(shape)
            for network, its in ((ours, optimizer), (theirs, expected)):
                its.zero_grad()
                network(x).square().mean().backward()
                its.step()
        assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
        state = optimizer.state_dict()
        optimizer = make_optimizer([{"params": list(ours.parameters())}], settings)
        optimizer.load_state_dict(state)
    return optimizer


@pytest.mark.parametrize("name", list(OPTIONS))
def test_each_is_torchs_own_also_after_a_state_was_loaded(name):
    kind, options = OPTIONS[name]
    settings = Train(optimizer=name, learning_rate=0.1, weight_decay=0.01, **options)
    options = {"eps" if key == "epsilon" else key: value for key, value in options.items()}
    torch.manual_seed(0)
    ours = nn.Linear(5, 3)
    theirs = copy.deepcopy(ours)
    expected = kind(theirs.parameters(), lr=0.1, weight_decay=0.01, fused=True, **options)
    optimizer = takes_equal_steps(settings, ours, theirs, expected, (8, 5))
    assert isinstance(optimizer, kind)
    assert not any(p.grad_fn for p in ours.parameters())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_what_joins_later_begins_as_torchs_plain_sgd_lets_it_begin(momentum):
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    theirs = copy.deepcopy(ours)
    settings = Train(optimizer="sgd", learning_rate=0.1, momentum=momentum)
    ours[0].requires_grad_(False)
    theirs[0].requires_grad_(False)
    optimizers = (
        make_optimizer([{"params": list(ours.parameters())}], settings),
        torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=momentum, foreach=False),
    )
    for step in range(4):
        if step == 2:
            ours.requires_grad_(True)
            theirs.requires_grad_(True)
        x = torch.randn(8, 5)
        for network, its in zip((ours, theirs), optimizers, strict=True):
            its.zero_grad()
            network(x).square().mean().backward()
            its.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["lion", "lamb", "muon"])
def test_timms_are_timms_own_also_after_a_state_was_loaded(name):
    optim = pytest.importorskip("timm.optim")
    kind = {"lion": optim.Lion, "lamb": optim.Lamb, "muon": optim.Muon}[name]
    own = {"lion": {"betas": (0.9, 0.99)}, "lamb": ADAM, "muon": {"momentum": 0.9}}[name]
    settings = Train(optimizer=name, learning_rate=0.01, weight_decay=0.01, **own)
    own = {"eps" if key == "epsilon" else key: value for key, value in own.items()}
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(27, 3))
    theirs = copy.deepcopy(ours)
    expected = kind(theirs.parameters(), lr=0.01, weight_decay=0.01, **own)
    takes_equal_steps(settings, ours, theirs, expected, (8, 2, 5, 5))


TRIAL = """
import json, sys
from pathlib import Path

from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.training.context import TrialContext
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue

catalogue = DataCatalogue()
spec = make_plan(load_sweep(Path(sys.argv[1])), catalogue).trials[0]
with RunFolder(Path(sys.argv[2])) as folder:
    context = TrialContext(catalogue, state_every_s=0)
    events = list(run_trial(spec, folder.trial_folder(spec.id), context))
print(json.dumps([events[-1].row.status, sorted(sys.modules)]))
"""


@pytest.mark.slow
def test_a_trial_imports_no_compiler_and_no_distributed_tensors(write_sweep, tmp_path):
    """Slow: a process of its own imports PyTorch and trains."""
    sweep = write_sweep(("epochs: 3", "epochs: 3, schedule: {name: cosine}"))
    command = [sys.executable, "-c", TRIAL, str(sweep), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == "done"
    assert "torch.optim.adam" in modules
    assert {"torch._dynamo", "torch.distributed.tensor", "sympy"} & set(modules) == set()
