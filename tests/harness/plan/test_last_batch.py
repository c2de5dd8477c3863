"""A batch of one image is told before any trial runs, where batch normalisation cannot take it."""

from __future__ import annotations

import pytest

from harness.plan.last_batch import check_last_batch
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from headstart.errors import SpecError

SWEEP = """\
name: own
question: Does it train?
model: {name: "my_nets.py:Net"}
data: {name: glyphs, count: 60, seed: 1, classes: digits, train: 41, validation: 9, test: 10}
train: {batch_size: 8, epochs: 1}
arms: {one: {}, two: {train: {batch_size: 7}}}
seeds: 1
"""
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, n_classes):
        super().__init__(nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8),
                         nn.Linear(8, n_classes))

class Wide(nn.Sequential):
    def __init__(self, n_classes):
        super().__init__(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(),
                         nn.Linear(1352, n_classes))
"""
RESNET = "{name: resnet18, image_size: 32, channels: 3}"


@pytest.mark.parametrize(
    ("model", "batch_size", "is_refused"),
    [
        ('{name: "my_nets.py:Net"}', 8, True),
        ('{name: "my_nets.py:Net"}', 1, True),
        ('{name: "my_nets.py:Net"}', 9, False),
        ('{name: "my_nets.py:Wide"}', 8, False),
        (RESNET, 8, True),
        ("{name: lenet5}", 8, False),
    ],
)
def test_a_last_batch_of_one_image(write_sweep, context, model, batch_size, is_refused) -> None:
    path = write_sweep(
        ('{name: "my_nets.py:Net"}', model),
        ("{batch_size: 8,", f"{{batch_size: {batch_size},"),
        text=SWEEP,
    )
    path.with_name("my_nets.py").write_text(NET, encoding="utf-8")
    plan = make_plan(load_sweep(path), context.catalogue)
    if not is_refused:
        check_last_batch(plan)
        return
    with pytest.raises(SpecError, match=r"set another train\.batch_size") as caught:
        check_last_batch(plan)
    assert str(caught.value).startswith(
        f"own: one: 41 training images in batches of {batch_size} leave a batch of one image"
    )
    assert "\n" not in str(caught.value)
