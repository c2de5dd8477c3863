"""Figure of the head start along a grid: differences in final accuracy against one number.

In: `Findings` of a sweep whose `grid` has a number with several values, as the count of training
images. Out: both arms' final accuracy and their difference, with intervals, against that number.
It stands apart from the forest because its axis is a quantity and not a list of arms.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from analysis.figures import style
from analysis.figures.drawing import Drawing
from analysis.findings.findings import Findings
from headstart.grid import GridPoint, from_column, own_name

FEWEST = 3  # points of an axis
KEYS = ["task", "arm"]


def along_grid(table: pd.DataFrame, arm: str, evidence: pd.DataFrame) -> pd.DataFrame:
    """`table` with `key`, `x` (a number of the arm's grid point) and `line` (the arm without it).

    A row a number: an arm at a point of two numbers has two rows. Arms outside a grid have none.

    Args:
        table: has a column `task` and one of arm names, called `arm`.
        evidence: trials with task, arm and grid (JSON).
    """
    points = evidence.drop_duplicates(KEYS)[[*KEYS, "grid"]]
    rows = []
    for task, name, grid in points.itertuples(index=False, name=None):
        point = from_column(grid)
        for key, value in point.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                rest = {k: v for k, v in point.items() if k != key}
                line = GridPoint(own_name(name, point), rest).name
                rows.append((task, name, key, float(value), line))
    lines = pd.DataFrame(rows, columns=["task", arm, "key", "x", "line"])
    return table.merge(lines, on=["task", arm]).sort_values(["key", "x"], kind="stable")


def accuracy_along(ax: Axes, arms: pd.DataFrame, styles: style.Styles, label: str) -> Axes:
    """Mean final accuracy of each line of arms with its interval. Columns line, x, score, …"""
    for line, rows in arms.groupby("line", sort=False):
        of_arm = styles[str(line)]
        ax.fill_between(
            rows["x"], rows["score_low"], rows["score_high"], color=of_arm.hex, alpha=0.15, lw=0
        )
        ax.plot(rows["x"], rows["score"], **of_arm.look, markersize=5, label=style.short(str(line)))
    style.percent_axis(ax.yaxis)
    ax.set(ylabel="Final accuracy", xlabel=label)
    return ax


def difference_along(
    ax: Axes, rows: pd.DataFrame, margin: float | None, styles: style.Styles, label: str
) -> Axes:
    """Differences with intervals in points, linear within ±1 point and logarithmic beyond."""
    ax.axhline(0, color=style.SOFT, lw=0.8)
    if margin is not None:
        ax.axhspan(-100 * margin, 100 * margin, color=style.SOFT, alpha=0.13, lw=0)
    for _, own in rows.groupby(["line", "control_line"], sort=False):
        of_arm = styles[own["line"].iloc[0]]
        y, low, high = (100 * own[name].to_numpy(float) for name in ("estimate", "low", "high"))
        ax.plot(own["x"], y, **of_arm.look, markersize=5)
        ax.vlines(own["x"], low, high, color=of_arm.hex, lw=1.6)
        for x, value in zip(own["x"], y, strict=True):
            ax.annotate(
                f"{value:+.2f}".replace("-", "−"), (x, value), (5, 8),
                textcoords="offset points", fontsize=7, color=style.INK,
            )  # fmt: skip
    ax.set_yscale("symlog", linthresh=1)
    top = np.nanmax(np.abs(100 * rows[["estimate", "low", "high"]].to_numpy(float)), initial=1.0)
    ticks = [t for t in (0.5, 1, 2, 5, 10, 20, 50, 100) if t <= top * 1.3]
    below = [-t for t in reversed(ticks) if -t >= 130 * rows["low"].min()]
    shown = [*below, 0, *ticks]
    ax.set_yticks(shown, [f"{t:+g}".replace("-", "−") if t else "0" for t in shown])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set(ylabel="Treatment − control (points)", xlabel=label)
    return ax


def _number_axis(ax: Axes, values: np.ndarray) -> None:
    """Logarithmic over a decade or more; the values of the grid are its ticks."""
    if values.min() > 0 and values.max() >= 10 * values.min():
        ax.set_xscale("log")
    ax.set_xticks(values, [f"{v:,g}" for v in values])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(x=0.09)


def draw(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    """A figure for each number of a grid over which a comparison was made at several values."""
    is_share = findings.course.is_share  # the axes are in percent and points
    if "grid" not in findings.evidence or not findings.pairs.comparisons or not is_share:
        return
    compared = findings.pairs.table
    compared = compared[(compared["metric"] == findings.score) & compared["estimate"].notna()]
    rows = along_grid(compared, "treatment", findings.evidence)
    lines = along_grid(findings.arms[findings.arms["n_done"] > 0], "arm", findings.evidence)
    points = dict(zip(findings.evidence["arm"], findings.evidence["grid"], strict=True))
    rows["control_line"] = [own_name(arm, from_column(points[arm])) for arm in rows["control"]]
    for key in rows["key"].unique():
        pairs, arms = rows[rows["key"] == key], lines[lines["key"] == key]
        values = np.sort(pairs["x"].unique())
        if len(values) < FEWEST:
            continue
        names = style.arm_styles(list(dict.fromkeys([*arms["line"], *pairs["line"]])))
        figure, axes = style.new_figure(7.2, 3.4, 1, 2)
        label = "Training images" if key == "data.train" else key
        accuracy_along(axes[0, 0], arms, names, label)
        margin = findings.pairs.margin
        difference_along(axes[0, 1], pairs, margin, names, label)
        for ax in axes[0]:
            _number_axis(ax, values)
        style.shared_legend(figure, axes[0, 0])
        strip = f" Strip: ±{100 * margin:g} points, the equivalence margin." if margin else ""
        yield Drawing(
            f"head_start_{key.rsplit('.', 1)[-1]}",
            "verdicts",
            f"Head start against {label.lower() if key == 'data.train' else key}",
            "Mean final accuracy of the arms, and the mean paired difference, with 95 % intervals "
            f"(each by itself); linear within ±1 point, logarithmic beyond.{strip}",
            figure,
        )
