"""The head start along a grid: which numbers it stands against, and what is drawn of it."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.figures.head_start import along_grid, difference_along, draw
from analysis.figures.style import arm_styles, drawing, new_figure
from analysis.findings.findings import find
from analysis.findings.load import load_runs


def evidence_of(points: dict[str, dict]) -> pd.DataFrame:
    rows = [("t", arm, json.dumps(point) if point else "") for arm, point in points.items()]
    return pd.DataFrame(rows, columns=["task", "arm", "grid"])


def test_numbers_of_a_grid_by_hand():
    evidence = evidence_of(
        {
            "a [train=100]": {"data.train": 100},
            "a [train=50]": {"data.train": 50},
            "b [name=x, train=50]": {"model.name": "x", "data.train": 50},
            "my [own] b [train=7]": {"data.train": 7},
            "c": {},
        }
    )
    table = evidence[["task", "arm"]].rename(columns={"arm": "treatment"})
    found = along_grid(table, "treatment", evidence)
    assert found[["key", "line", "x"]].to_numpy().tolist() == [
        ["data.train", "my [own] b", 7.0],
        ["data.train", "a", 50.0],
        ["data.train", "b [name=x]", 50.0],
        ["data.train", "a", 100.0],
    ]


def test_differences_are_drawn_in_points_where_they_are():
    rows = pd.DataFrame(
        {
            "line": "a", "control_line": "b", "x": [100.0, 1000.0, 10000.0],
            "estimate": [0.2, 0.01, -0.001], "low": [0.1, 0.0, -0.002], "high": [0.3, 0.02, 0.0],
        }
    )  # fmt: skip
    with drawing():
        _, axes = new_figure(4, 3)
        ax = difference_along(axes[0, 0], rows, 0.001, arm_styles(["a"]), "n")
    (line,) = [one for one in ax.lines if len(one.get_xdata()) == 3]
    assert line.get_ydata() == pytest.approx([20, 1, -0.1])
    assert [text.get_text() for text in ax.texts] == ["+20.00", "+1.00", "−0.10"]


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "n_figures"), [((100, 1000, 10_000), 1), ((100, 1000), 0)])
def test_a_sweep_over_image_counts_has_the_figure(tmp_path, sizes, n_figures):
    """Slow: it draws whole figures."""
    arms = [
        Arm(f"{name} [train={n}]", 0.8 + gain + n / 100_000)
        for n in sizes
        for name, gain in (("scratch", 0.0), ("pretrained", 0.05))
    ]
    pairs = tuple((f"pretrained [train={n}]", f"scratch [train={n}]") for n in sizes)
    made = Made(arms=tuple(arms), compare=pairs, seeds=4, predictions=False, images=False)
    folder = write_run(tmp_path / "run", made)
    trials = pd.read_parquet(folder / "trials.parquet")
    train = trials["arm"].str.extract(r"train=(\d+)")[0]
    trials["grid"] = [json.dumps({"data.train": int(n)}) for n in train]
    trials.to_parquet(folder / "trials.parquet")
    findings = find(load_runs([folder]))
    with drawing():
        drawn = list(draw(findings, arm_styles(findings.arm_names)))
    assert [one.name for one in drawn] == ["head_start_train"] * n_figures
    if n_figures:
        accuracy, difference = drawn[0].figure.axes
        assert [line.get_label() for line in accuracy.lines] == ["scratch", "pretrained"]
        (line,) = [one for one in difference.lines if len(one.get_xdata()) == 3]
        assert line.get_xdata() == pytest.approx(sizes)
        assert line.get_ydata() == pytest.approx([5, 5, 5], abs=1)
