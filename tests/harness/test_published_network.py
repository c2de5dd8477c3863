"""A network of a user's own file with the weights that its author published: the whole way."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.harness.runs import run_here

NETWORK = """
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.stride, self.n_more = stride, (n_out - n_in) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:  # option A: fewer pixels, and zeros for the further channels
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.n_more, self.n_more))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(Block(n_in, n, stride), Block(n, n, 1), Block(n, n, 1))
            for n_in, n, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        )
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(F.avg_pool2d(x, x.size()[3]).view(x.size(0), -1))
"""
SWEEP = """\
name: published
question: How right is a published network on other copies of its test images?
model: {{name: resnet20.py:ResNet20, normalise: imagenet}}
data: {{name: folder, path: {data}/cifar10/cifar10.zip, train: 100, validation: 100}}
train: {{epochs: 1}}
arms:
  as_it_is:
    {{initialize: {data}/weights/resnet20_cifar10.th, fine_tune: none, head: keep}}
seeds: 1
"""


@pytest.mark.slow
def test_a_published_network_is_as_right_as_measured_elsewhere(
    real_data: Path, tmp_path: Path
) -> None:
    """Slow, since it decodes 60,000 images."""
    (tmp_path / "resnet20.py").write_text(NETWORK)
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP.format(data=real_data))
    done = run_here(path, tmp_path / "out")
    assert "its entry state_dict was taken; left out: best_prec1" in done.stderr
    assert "the prefix module. was taken off its names" in done.stderr
    (row,) = pq.read_table(tmp_path / "out" / "trials.parquet").to_pylist()
    assert row["test_accuracy"] == pytest.approx(0.8103, abs=2e-4)  # two of 10,000 near a tie
