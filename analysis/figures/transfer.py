"""The matrix of starts and data sets: where which start helps, by how much, what is not known.

In: `Findings.matrix`. Out: a `Drawing`. It stands alone because its rows are starts and its columns
data sets, where other figures show one data set at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from analysis import words
from analysis.figures.drawing import Drawing
from analysis.figures.style import INK, ROLES, RULE, SOFT, Styles, new_figure, short
from analysis.findings.findings import Findings

MOST_STARTS, MOST_DATA_SETS = 20, 8
FAINTEST, DARKEST = 0.12, 0.55  # opacity under numbers
GOOD, BAD, SAME = ROLES["var(--good)"], ROLES["var(--bad)"], ROLES["var(--accent)"]


def transfer_matrix(ax: Axes, table: pd.DataFrame) -> Axes:
    """A row a start, a column a data set: the difference from the control with its interval.

    Green is shown to be better, red worse, the darker the larger; blue equivalent; hatched is not
    known. table: as `findings.transfer` makes it.
    """
    starts, data_sets = (list(dict.fromkeys(table[key])) for key in ("start", "data_set"))
    largest = max(float(table["estimate"].abs().max()), 1e-12)
    for row in table.itertuples():
        x, y = data_sets.index(row.data_set), starts.index(row.start)
        ax.add_patch(Rectangle((x, y), 1, 1, **_look(row, largest)))
        kind = "points" if row.unit == "fraction" else "signed"
        number, *ends = words.interval(kind, row.estimate, row.low, row.high).split(" ", 1)
        ax.text(x + 0.5, y + 0.3, number, ha="center", va="center", fontsize=9, color=INK)
        for place, text in zip((0.55, 0.8), (*ends, _forecast(row))[-2:], strict=False):
            ax.text(x + 0.5, y + place, text, ha="center", va="center", fontsize=6.5, color=INK)
    for x in range(len(data_sets)):
        for y in range(len(starts)):
            known = (table["start"] == starts[y]) & (table["data_set"] == data_sets[x])
            if not known.any():
                ax.text(x + 0.5, y + 0.5, words.NOTHING, ha="center", va="center", color=SOFT)
    ax.set(xlim=(0, len(data_sets)), ylim=(len(starts), 0))
    ax.set_xticks([k + 0.5 for k in range(len(data_sets))], [_broken(t) for t in data_sets])
    ax.set_yticks([k + 0.5 for k in range(len(starts))], [short(s) for s in starts])
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    ax.grid(visible=False)
    ax.spines[["left", "bottom"]].set_visible(False)
    return ax


def _look(row: Any, largest: float) -> dict[str, Any]:
    """How a cell is filled; what is not known has no colour of a verdict."""
    if row.verdict == "inconclusive":
        return {"facecolor": "none", "edgecolor": RULE, "hatch": "////", "linewidth": 1}
    color = {"better": GOOD, "worse": BAD}.get(row.verdict, SAME)
    size = abs(row.estimate) / largest if row.verdict != "equivalent" else 0.0
    alpha = FAINTEST + (DARKEST - FAINTEST) * size
    return {"facecolor": (color, alpha), "edgecolor": "white", "linewidth": 1.5}


def _forecast(row: Any) -> str:
    """`LogME 1 of 3`: the rank of the start in the forecast; nothing without one."""
    if math.isnan(row.forecast_rank):
        return ""
    return f"LogME: {int(row.forecast_rank)} of {row.n_ranked}"


def _broken(data_set: str) -> str:
    """A data set over the number of its training images."""
    name, _, rest = data_set.rpartition(", ")
    return f"{short(name, 20)}\n{rest}"


def draw(findings: Findings, styles: Styles) -> Iterator[Drawing]:
    """The matrix, where one control stands against starts on several data sets."""
    table = findings.matrix
    if table.empty:
        return
    starts, data_sets = (list(dict.fromkeys(table[key])) for key in ("start", "data_set"))
    shown = table[
        table["start"].isin(starts[:MOST_STARTS])
        & table["data_set"].isin(data_sets[:MOST_DATA_SETS])
    ]
    n_rows, n_columns = min(len(starts), MOST_STARTS), min(len(data_sets), MOST_DATA_SETS)
    figure, axes = new_figure(2.2 + 1.25 * n_columns, 0.8 + 0.62 * n_rows)
    transfer_matrix(axes[0, 0], shown)
    control = words.listed(dict.fromkeys(table["control"]))
    unit = " in points" if findings.course.is_share else findings.course.of_unit
    more = len(starts) > n_rows or len(data_sets) > n_columns
    asked = " Below: the rank of the start in the forecast, by LogME."
    yield Drawing(
        "transfer_matrix", "verdicts", "Which start helps on which data",
        f"Final {findings.course.words}{unit} against “{control}”, with the 95 % interval of each "
        "comparison alone. Green: shown to be better, red: worse, the darker the larger; blue: "
        "equivalent; hatched: not known."
        + asked * bool(table["forecast_rank"].notna().any())
        + " The first ones; tables/transfer.csv has all." * more,
        figure, broad=n_columns > 3,
    )  # fmt: skip
