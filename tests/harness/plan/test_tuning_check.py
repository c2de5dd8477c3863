"""What a sweep says of layers that its networks do not have is told when the plan is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.plan.planner import make_plan
from harness.plan.tuning_check import check_tuning
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from headstart.errors import SpecError
from runs import environment

SWEEP = """\
name: wrong
question: Is each mistake told with its line?
model: {name: lenet5}
data: {name: glyphs, count: 120, seed: 1, train: 64, validation: 20, test: 20}
train: {epochs: 2}
pretrain:
  stage: {fine_tune: {unfreeze: [conv1, nine]}}
arms:
  a: {fine_tune: {surgical: {groups: 99}}}
  b: {fine_tune: {from: conv9}}
  c: {fine_tune: {lora: {rank: 2, targets: [nothing]}}}
  d: {fine_tune: {only: norm}}
  e: {fine_tune: {probe_then: {from: blok}, probe_epochs: 1}}
  f: {train: {learning_rate_factors: {blok: 0.1}}}
  k: {train: {gradient_checkpointing: true, learning_rate_factors: 0.9}}
  g: {fine_tune: {probe: lbfgs}}
  h: {initialize: stage, search: {fine_tune: {choice: [{from: blok}, all]}}}
  right: {fine_tune: surgical, train: {learning_rate_factors: {conv1: 0.1}}}
seeds: 1
"""
HAS = "from input to head there are conv1, conv2, fc1, fc2, fc3"
LINES = [
    f"7: pretrain.stage.fine_tune: 'nine' is no layer group; {HAS}",
    "9: arms.a.fine_tune: surgical chooses 99 groups before the head, and the network has 4: "
    "conv1, conv2, fc1, fc2",
    f"10: arms.b.fine_tune: 'conv9' is no layer group (did you mean 'conv2'?); {HAS}",
    "11: arms.c.fine_tune: lora: targets: no layer before the head that has a weight to adapt is "
    "called 'nothing'; there are conv1, conv2, fc1, fc2",
    "12: arms.d.fine_tune: only: norm: the network has no normalisation layer before its head",
    f"13: arms.e.fine_tune: 'blok' is no layer group; {HAS}",
    "14: arms.f.train.learning_rate_factors: 'conv7' is no layer group (did you mean 'conv2'?); "
    f"{HAS}",
    "15: arms.k.train.gradient_checkpointing: lenet5 has no module of several layers below its "
    "layer groups, so nothing would be computed again; leave it out, or give accumulate",
]


def test_every_mistake_has_its_line_and_what_the_network_has(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    settings = ["arms.i.fine_tune={from: blok}", "train.learning_rate_factors={conv7: 0.5}"]
    plan = make_plan(load_sweep(path, None, settings), DataCatalogue())
    with pytest.raises(SpecError) as err:
        check_tuning(plan, is_apart=False)
    *lines, of_two, searched, own, given = str(err.value).splitlines()
    assert lines == [f"{path}:{line}" for line in LINES]
    assert searched == f"{path}:17: arms.h.search.fine_tune: 'blok' is no layer group; {HAS}"
    factors = "train.learning_rate_factors: 'conv7' is no layer group (did you mean 'conv2'?)"
    assert of_two.startswith(f"--set: {factors}")
    assert of_two.endswith("(arm g, arm h)")
    assert own.startswith(f"{path}:18: arms.right.{factors}")
    assert given == f"--set: arms.i.fine_tune: 'blok' is no layer group; {HAS}"


NET = """\
from torch import nn

class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 5)
        self.head = nn.Linear(4, n_classes)

    def forward(self, images):
        return self.head(self.stem(images).mean((2, 3)))
"""


@pytest.mark.slow
def test_a_dry_run_refuses_networks_of_others_too(tmp_path: Path) -> None:
    """Of the user's own, torchvision's and timm's; the names are shortened. Slow: two processes
    load torch, and three networks are built."""
    text = SWEEP[: SWEEP.index("pretrain:")] + (
        "arms:\n"
        "  own: {model: {name: 'net.py:Net'}, fine_tune: {from: steam}}\n"
        "  torchvision: {model: {name: resnet18}, fine_tune: {from: layr4}}\n"
        "  timm: {model: {name: timm/tf_efficientnet_lite0.in1k}, fine_tune: last_99}\n"
        "seeds: 1\n"
    )
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "harness.sweep", "wrong.yaml", "--dry-run"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    own, torchvision, timm = done.stderr.splitlines()
    assert own == ("wrong.yaml:7: arms.own.fine_tune: 'steam' is no layer group (did you mean "
                   "'stem'?); from input to head there are stem, head")  # fmt: skip
    assert torchvision.startswith("wrong.yaml:8: arms.torchvision.fine_tune: 'layr4' is no layer")
    assert torchvision.endswith("layer3.1, layer4.0 and 2 more")
    assert timm.startswith("wrong.yaml:9: arms.timm.fine_tune: last_99 is deeper than the network, "
                           "which has 19 layer groups: conv_stem")  # fmt: skip
