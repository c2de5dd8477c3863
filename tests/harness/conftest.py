"""Small sweeps on drawn characters: they need no files, no network and a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = """\
name: small
question: Does pretraining on drawn digits help on other drawn digits?
model: {name: lenet5}
data: {name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 3, evaluate_every: {steps: 4}}
pretrain:
  drawn:
    data: {name: glyphs, count: 300, seed: 2, train: 200, validation: 50}
    train: {epochs: 2, augment: {rotate: 15}}
arms:
  scratch: {}
  pretrained: {initialize: drawn}
seeds: 2
compare: [{treatment: pretrained, control: scratch}]
measure: {targets: [0.3, 0.5], equivalence: 0.01}
profiles:
  longer: {train: {epochs: 12}}
"""


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """Write a sweep file; replacements are (old, new) texts in the small one."""

    def write(*replacements: tuple[str, str], text: str = SMALL) -> Path:
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
