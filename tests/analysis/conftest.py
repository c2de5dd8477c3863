"""Run folders made up for the tests of the report, written once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from synthetic_runs import HOSTILE, Arm, Made, data_record, write_run


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms, eight paired seeds; one target that only some control trials reach."""
    return write_run(tmp_path_factory.mktemp("runs") / "made")


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names that would break HTML, LaTeX, typst and spreadsheets; failures; a stand-in."""
    arms = (
        Arm("=1+1"),
        Arm(HOSTILE, 0.985, 200, 0.4, failed=(2,)),
        Arm("<script>alert(1)</script>", 0.975, diverged=(1,), absent=(3,)),
    )
    question = 'Is a<b & "c" true for $x_1$ #now {here} 100 %?'
    data = data_record(
        name=f"folder {HOSTILE}", class_names=["=1+1", "<script>alert(2)</script>"], n_groups=31,
        notes=[f"=2+2 {HOSTILE}", "#now {here}"], warnings=[f"half of {HOSTILE} was not read"],
        not_used=[{"name": "the <b>real</b> one", "reason": "it is on the moon"}],
    )  # fmt: skip
    real = "the <b>real</b> one"
    made = Made(question=question, arms=arms, seeds=5, stand_in_for=real, data=(data,))
    return write_run(tmp_path_factory.mktemp("runs") / "hostile", made)


@pytest.fixture
def run_of(tmp_path: Path) -> Callable[[Made], Path]:
    """Writes the run folder of a `Made`, each under its own name."""

    def write(made: Made) -> Path:
        return write_run(tmp_path / made.name, made)

    return write
