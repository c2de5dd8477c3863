"""Small sweeps on drawn characters: they need no files, no network and a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_sweep import SMALL

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import TrialSpec

if TYPE_CHECKING:
    from harness.training.context import TrialContext


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


@pytest.fixture
def context(tmp_path: Path) -> TrialContext:
    """What a process gives a trial, with a store of features of its own."""
    from harness.training.context import TrialContext
    from harness.training.feature_store import FeatureStore  # torch: not for tests that need none

    return TrialContext(DataCatalogue(), features=FeatureStore(tmp_path / "features", 1.0))


@pytest.fixture
def unit(
    request: pytest.FixtureRequest, write_sweep: Callable[..., Path], context: TrialContext
) -> Callable[..., tuple[TrialSpec, ...]]:
    """The trials of one arm of the test file's `SWEEP`, or of another text, changed."""

    def make(
        arm: str, *replacements: tuple[str, str], text: str = request.module.SWEEP
    ) -> tuple[TrialSpec, ...]:
        plan = make_plan(load_sweep(write_sweep(*replacements, text=text)), context.catalogue)
        return tuple(trial for trial in plan.trials if trial.arm == arm)

    return make
