"""Figure of how good arms end against what they take: seconds, and weights that train.

In: `Findings`. Out: for each task the final score of each arm against its seconds, both with 95 %
intervals, and a line through the arms that no other one beats in both.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures import style
from analysis.figures.drawing import Drawing
from analysis.findings.findings import Findings

MOST_TASKS = 4
DECADE = 10  # arms that differ by more have a logarithmic axis


def score_against_seconds(
    ax: Axes, rows: pd.DataFrame, styles: style.Styles, is_share: bool
) -> Axes:
    """One mark an arm; `rows` as `Costs.table` has them, of one task."""
    on = rows[rows["is_on_frontier"]].sort_values("with_features_s")
    ax.plot(on["with_features_s"], on["score"], color=style.SOFT, lw=1, ls=(0, (4, 2)), zorder=1)
    for row in rows.itertuples():
        look = styles[str(row.arm)]
        x, y = [row.with_features_s] * 2, [row.score] * 2
        ax.plot([row.with_features_s_low, row.with_features_s_high], y, color=look.hex, lw=1.3)
        ax.plot(x, [row.score_low, row.score_high], color=look.hex, lw=1.3)
        ax.plot(x[:1], y[:1], **look.look, markersize=7, ls="none", label=style.short(str(row.arm)))
    if is_share:
        style.percent_axis(ax.yaxis)
    if rows["with_features_s"].max() > DECADE * rows["with_features_s"].min() > 0:
        ax.set_xscale("log")
        style.plain_log_ticks(ax.xaxis)
    else:
        ax.set_xlim(left=0)
    ax.grid(visible=True, axis="both")
    return ax


def draw(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    """A figure of the first tasks in which seconds may be compared."""
    table = findings.cost.table
    if table.empty:
        return
    tasks = [t for t in dict.fromkeys(table["task"])
             if table.loc[table["task"] == t, "is_on_frontier"].any()][:MOST_TASKS]  # fmt: skip
    if not tasks:
        return
    figure, axes = style.grid_figure(len(tasks), height=3.4)
    for ax, task in zip(axes, tasks, strict=True):
        rows = table[table["task"] == task]
        score_against_seconds(ax, rows, styles, findings.course.is_share)
        name = f"{findings.course.words}{findings.course.of_unit}"
        ax.set(xlabel="Seconds of training, cached features included", ylabel=f"Final {name}")
        if len(tasks) > 1:
            ax.set_title(style.short(str(task), 40))
    style.shared_legend(figure, axes[0])
    yield Drawing(
        "cost",
        "cost",
        "How good arms end against what they take",
        "Mean final value against mean seconds over seeds, with 95 % intervals both ways. Dashed: "
        "through the arms that no other one beats in both (by their means; the table says how "
        "sure that is).",
        figure,
    )
