"""The reference of a run folder names every file that a command leaves there."""

from __future__ import annotations

import re

import pytest
from small_sweep import SMALL

from docs.run_folder import FILES, page
from harness.sweep import main
from headstart.rows import EvaluationRow, TrialRow, columns_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that keeps all weights; its report would take most of the time and is left out."""
    folder = tmp_path_factory.mktemp("documented")
    text = SMALL.replace("seeds: 2", "seeds: 1\nsave: {last: true, every: 1}")
    (folder / "sweep.yaml").write_text(text, encoding="utf-8")
    options = ["--out", str(folder / "run"), "--engine", "here", "--no-report"]
    assert main([str(folder / "sweep.yaml"), *options, "--set", "train.epochs=1"]) == 0
    return folder / "run"


def matches(path: str, listed: str) -> bool:
    """Whether a path is one of a listed kind; capitals stand for a name, `*` for any file below."""
    text = re.sub(r"\b[A-Z]+\b", "[^/]+", re.escape(listed).replace(r"\*", ".+"))
    return re.fullmatch(text, path) is not None


def test_every_file_of_a_run_is_in_the_list(run):
    files = [p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()]
    assert {f for f in files if not any(matches(f, kind.path) for kind in FILES)} == set()
    left_by_a_run = {k.path for k in FILES if any(matches(f, k.path) for f in files)}
    assert {"trials/ID/last.safetensors", "images/FINGERPRINT.npz", "sweep.yaml"} < left_by_a_run


def test_the_page_has_every_column_and_every_key():
    text = page()
    for column in (*columns_of(TrialRow), *columns_of(EvaluationRow)):
        assert f"| `{column.name}` |" in text
        assert f" {column.meaning} |" in text
