"""A sweep that adds seeds until a verdict: which looks it takes, what it says, a rerun."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from runs import run_here

SWEEP = """\
name: looked
question: Does a network that learns end better than one that barely does?
model: {name: lenet5}
data: {name: glyphs, count: 240, seed: 1, train: 120, validation: 40, test: 80}
train: {batch_size: 40, epochs: 2, learning_rate: 2.0e-3}
vary: [init, order]
arms: {slow: {train: {learning_rate: 1.0e-7}}, fast: {}}
seeds: {until: verdict, looks: [2, 3]}
compare: [{treatment: fast, control: slow}]
"""


@pytest.mark.slow
def test_it_looks_where_it_planned_and_stops_for_good(tmp_path):
    """Slow: two commands with a report."""
    (tmp_path / "s.yaml").write_text(SWEEP)
    out = tmp_path / "run"
    first = run_here(tmp_path / "s.yaml", out, report=True)
    assert first.returncode == 0
    n = pd.read_parquet(out / "trials.parquet")["seed"].nunique()
    assert n in (2, 3)
    assert f"stopped after {n} seeds" in first.stderr
    looks = json.loads((out / "looks.json").read_text())["reports"]
    assert looks == [{"sweep": "looked", "n_seeds": n, "planned": "until a rule"}]
    again = run_here(tmp_path / "s.yaml", out, report=True)
    assert again.returncode == 0
    assert pd.read_parquet(out / "trials.parquet")["seed"].nunique() == n
    assert "was raised to" not in (out / "report" / "index.html").read_text()
