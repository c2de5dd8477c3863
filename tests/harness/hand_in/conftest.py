"""A sweep with the four evaluations, on drawn digits; tests change its text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import Plan

SWEEP = """
name: four
question: Which layers?
model: {name: lenet5}
data: {name: glyphs, count: 200, per_class: true, train: 8, validation: 2, test: 2, as_jpeg: true}
train: {learning_rate: 1.0e-3, batch_size: 16, epochs: 2}
pretrain:
  digits: {data: {name: glyphs, count: 300, train: 200, validation: 50, test: 50}}
arms:
  pretrained: {initialize: digits, fine_tune: none}
  last_layer: {initialize: digits, fine_tune: last_layer}
  last_2: {initialize: digits, fine_tune: last_2}
  scratch: {}
seeds: 2
deliver: {hand_in: Assignment 4}
"""


@pytest.fixture
def plan_of(tmp_path) -> Callable[..., Plan]:
    def plan(*changes: tuple[str, str]) -> Plan:
        text = SWEEP
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "four.yaml"
        path.write_text(text)
        return make_plan(load_sweep(path), DataCatalogue(allow_download=False))

    return plan
