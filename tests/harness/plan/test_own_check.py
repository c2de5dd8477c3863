"""Code of a user's own is tried before any trial runs: the same bits twice, and after a restart."""

from __future__ import annotations

import pytest

from harness.plan.own_check import check_own_code, try_own_code
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from headstart.errors import SpecError

SWEEP = """\
name: own
question: Does it train?
model: {name: "my_nets.py:Net"}
data: {name: glyphs, count: 60, seed: 1, classes: digits, train: 40, validation: 10, test: 10}
train: {batch_size: 8, epochs: 1}
arms: {one: {}}
seeds: 1
"""
BASE = """
import os, random, time
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class Base(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.fc = nn.Linear(784, n_classes)
    def forward(self, x):
        return self.fc(x.flatten(1))
"""
ADAM = "train: {batch_size: 8, epochs: 1}"


@pytest.fixture
def plan_of(write_sweep, context):
    def make(code: str, train: str = ADAM):
        path = write_sweep((ADAM, train), text=SWEEP)
        path.with_name("my_nets.py").write_text(BASE + code, encoding="utf-8")
        return make_plan(load_sweep(path), context.catalogue)

    return make


def net(forward: str, init: str = "pass") -> str:
    return (
        "class Net(Base):\n    def __init__(self, n_classes):\n"
        f"        super().__init__(n_classes)\n        {init}\n"
        f"    def forward(self, x):\n        {forward}\n"
    )


@pytest.mark.parametrize(
    "code",
    [
        net("return super().forward(F.dropout(x, 0.5, self.training))"),
        net("return super().forward(x + torch.randn_like(x) * np.random.rand())"),
        net("return super().forward(-x if random.random() < 0.5 else x)"),
        net("return super().forward(x - 0 * self.mean)",
            "self.register_buffer('mean', torch.zeros(1))"),
        net("self.seen = x; return super().forward(x)"),  # kept, and never used
        net("self.seen = [x]; return super().forward(x)", "self.seen = []"),
        net("self.side = x.shape[-1]; return super().forward(x)"),  # the same in each step
    ],
)  # fmt: skip
def test_what_draws_from_global_generators_may_train(plan_of, code) -> None:
    check_own_code(plan_of(code))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (net("return super().forward(x * torch.rand(1, generator=self.g))",
             "self.g = torch.Generator()"), r"state_dict does not hold \(g\).*torch\.Generator"),
        (net("return super().forward(x + os.urandom(8)[0] / 99 + os.urandom(1)[0])"),
         r"the same step .* other numbers.*my_nets\.py:\d+: os\.urandom"),
        (net("return super().forward(x)",
             "nn.init.constant_(self.fc.bias, time.perf_counter() % 1)"),
         r"start with other weights.*time\.perf_counter"),
        (net("self.calls += 1; return super().forward(x)", "self.calls = 0"), r"hold \(calls\)"),
        # What counts steps, wherever it is, may matter after many of them alone.
        ("N = 0\n" + net("global N; N += 1; return super().forward(x * (2 if N > 60 else 1))"),
         r"hold \(my_nets\.N\)"),
        (net("Net.n += 1; return super().forward(x * (2 if Net.n > 60 else 1))") + "Net.n = 0\n",
         r"hold \(my_nets\.Net\.n\)"),
        (net("self.h.append(0); return super().forward(x * (2 if len(self.h) > 60 else 1))",
             "self.h = []"), r"hold \(len\(h\), h\[3\]\)"),
        (net("self.h['n'] += 1; return super().forward(x * (2 if self.h['n'] > 60 else 1))",
             "self.h = {'n': 0}"), r"hold \(h\['n'\]\)"),
        (net("self.last = x.mean() * next(self.c); return super().forward(x)",
             "import itertools; self.c = itertools.count()"), r"hold \(c\)"),
        (net("self.r.random(); return super().forward(x)", "self.r = random.Random(0)"),
         r"hold \(r\)"),
        (net("\n        with torch.no_grad(): return super().forward(x)"),
         "no gradient reaches a parameter"),
        (net("raise SystemExit(3)"), r"my_nets\.py:\d+: SystemExit: 3"),
        (net("raise SystemExit", "raise SystemExit"), r"cannot be built: .*: SystemExit"),
        (net("\n        if not hasattr(self, 'l'): self.l = nn.Linear(784, 10)\n"
             "        return self.l(x.flatten(1))"), r"forward makes the parameter l\.weight"),
        (net("return super().forward(x)") + "    def get_extra_state(self): return {}\n"
         "    def set_extra_state(self, state): pass\n", "_extra_state, which is dict and no"),
        (net("return super().forward(x)") + "    def state_dict(self, *a, **k): return {}\n",
         "its state_dict lacks fc.weight"),
        (net("return super().forward(x)") + "    def train(self): return self\n",
         "cannot be built: .*train"),
        (net("return super().forward(x)", "self.register_buffer('e', torch.eye(3).to_sparse())"),
         "e is sparse or quantized"),
        (net("return super().forward(x)", "self.s = torch.jit.script(nn.ReLU())"), "s is scripted"),
        (net("self.mean = 0.9 * self.mean + x.mean().detach(); return super().forward(x) * "
             "self.mean", "self.mean = torch.zeros(1)"), "state_dict does not hold, so"),
        (net("return super().forward(x)[:, :1]"), "2×10 is needed"),
        (net("return x.nothing"), r"my_nets\.py:\d+: AttributeError"),
    ],
)  # fmt: skip
def test_what_cannot_be_repeated_is_refused(plan_of, code, message) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        check_own_code(plan_of(code))
    assert str(caught.value).startswith("own: one: ")
    assert "\n" not in str(caught.value)


def test_processes_share_no_trial_that_draws(plan_of) -> None:
    spec = plan_of(net("return super().forward(F.dropout(x, 0.5, self.training))")).trials[0]
    reason = try_own_code(spec, n_workers=2).reason
    assert reason is not None
    assert "set resources.workers: 1" in reason
    assert try_own_code(spec) == (None, None)


def test_a_softmax_before_the_loss_is_said(plan_of) -> None:
    (note,) = check_own_code(plan_of(net("return super().forward(x).softmax(1)")))
    assert note.startswith("my_nets.py:Net gives probabilities")
    assert check_own_code(plan_of(net("return super().forward(x).log_softmax(1)"))) == []


OPTIMIZER = """
class Net(Base): pass
class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, beta=0.9, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, beta=beta, weight_decay=weight_decay))
        BEGIN
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    m = self.state[p].setdefault("m", torch.zeros_like(p))
                    m.mul_(group["beta"]).add_(p.grad)
                    p.add_(m.sign(), alpha=-group["lr"])
                    STEP
def focal(logits, labels, gamma=2.0):
    p = logits.log_softmax(1).gather(1, labels[:, None])[:, 0]
    return (-(1 - p.exp()) ** gamma * p).mean()
class Warm(nn.Module):
    def __init__(self): super().__init__(); self.register_buffer("seen", torch.zeros(1))
    def forward(self, logits, labels):
        self.seen += 1
        return F.cross_entropy(logits * (2 if self.seen > 60 else 1), labels)
class Late:
    def __init__(self): self.n = 0
    def __call__(self, logits, labels):
        self.n += 1
        return F.cross_entropy(logits * (2 if self.n > 60 else 1), labels)
LBFGS = torch.optim.LBFGS
def each(logits, labels): return F.cross_entropy(logits, labels, reduction="none")
class Smooth(nn.Module):
    def __init__(self, by: float): super().__init__(); self.by = by
    def forward(self, logits, labels):
        return F.cross_entropy(logits, labels, label_smoothing=self.by)
"""


@pytest.mark.parametrize(
    ("train", "begin", "step", "message"),
    [
        ("optimizer: my_nets.py:Lion, optimizer_options: {beta: 0.5}", "pass", "pass", None),
        ("loss: my_nets.py:focal, loss_options: {gamma: 1.0}", "pass", "pass", None),
        ("loss: my_nets.py:Smooth, loss_options: {by: 0.1}", "pass", "pass", None),
        ("loss: my_nets.py:each", "pass", "pass", "gives 2, and one number is needed"),
        ("optimizer: my_nets.py:Lion", "self.n = 1", "self.n = self.n * 2; p.add_(self.n)",
         "my_nets.py:Lion: keeps something between steps"),
        ("loss: my_nets.py:Warm", "pass", "pass", r"hold \(loss\.seen\)"),
        ("loss: my_nets.py:Late", "pass", "pass", r"hold \(loss\.n\)"),
        ("optimizer: my_nets.py:LBFGS", "pass", "pass", "called without a closure"),
        ("optimizer: my_nets.py:Lion", "self.n = 1", "self.n += 1", r"hold \(optimizer\.n\)"),
        ("optimizer: my_nets.py:Lion", "pass", "p.nothing",
         r"train\.optimizer Lion: .*my_nets\.py:\d+: AttributeError"),
        ("optimizer: my_nets.py:focal", "pass", "pass", "takes no `lr`"),
        ("optimizer: my_nets.py:Lion, optimizer_options: {bet: 1}", "pass", "pass",
         "bet is none of its options .did you mean 'beta'"),
        ("optimizer: my_nets.py:Lion, momentum: 0.9", "pass", "pass", "momentum"),
        ("optimizer_options: {beta: 1}", "pass", "pass", r"belong to optimizer: FILE\.py:NAME"),
        ("loss: my_nets.py:Smooth", "pass", "pass", r"needs loss_options: \{by: …\}"),
        ("optimizer: adan", "pass", "pass",
         "is not one of adam, adamw, sgd, lion, lamb, muon, FILE.py:NAME"),
    ],
)  # fmt: skip
def test_optimizers_and_losses(plan_of, train, begin, step, message) -> None:
    code = OPTIMIZER.replace("BEGIN", begin).replace("STEP", step)
    train = f"train: {{batch_size: 8, epochs: 1, {train}}}"
    if message is None:
        check_own_code(plan_of(code, train))
        return
    with pytest.raises(SpecError, match=message):
        check_own_code(plan_of(code, train))
