"""Figures over several tasks: performance profiles, and the order of arms by their ranks.

In: the tables over tasks of `Findings`. Out: `Drawing`s. They stand apart from the figures by task
because they show all tasks at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing import Drawing
from analysis.figures.style import SOFT, Styles, new_figure, percent_axis, shared_legend, short
from analysis.findings.by_class import MOST_ARMS
from analysis.findings.findings import Findings


def performance_profiles(ax: Axes, profiles: pd.DataFrame, styles: Styles) -> Axes:
    """Share of runs (task × seed) that score above each accuracy, with its interval, by arm.

    profiles: columns arm, threshold, share, low, high, as `tasks` computes them.
    """
    for arm, style in styles.items():
        rows = profiles[profiles["arm"] == arm]
        if rows.empty:
            continue
        ax.fill_between(
            rows["threshold"], rows["low"], rows["high"], color=style.hex, alpha=0.15, lw=0
        )
        every = max(1, len(rows) // 7)
        look = style.look | {"markevery": every, "markersize": 3.5}
        ax.plot(rows["threshold"], rows["share"], **look, label=short(arm))
    ax.set(xlabel="Accuracy τ", ylabel="Share of runs above τ", ylim=(-0.02, 1.04))
    percent_axis(ax.xaxis)
    percent_axis(ax.yaxis)
    return ax


def ranks(ax: Axes, table: pd.DataFrame, critical: float, styles: Styles) -> Axes:
    """Mean rank of each arm, the best at the right, and the critical difference as a bar.

    table: columns arm, rank, as `ranks_over_tasks` computes them.
    """
    table = table.sort_values("rank", ascending=False, kind="stable").reset_index(drop=True)
    for k, row in table.iterrows():
        ax.plot(row["rank"], k, "o", color=styles[row["arm"]].hex)
    if np.isfinite(critical):
        best = float(table["rank"].min())
        ax.plot([best, best + critical], [len(table), len(table)], color=SOFT, lw=3)
    ax.set_yticks(range(len(table)), [short(arm) for arm in table["arm"]])
    ax.set(xlabel="Mean rank over tasks (1 is best)", ylim=(-0.5, len(table) + 0.5))
    ax.invert_xaxis()
    return ax


def draw(findings: Findings, styles: Styles) -> Iterator[Drawing]:
    """The profiles, where several tasks share arms."""
    over_tasks = findings.over_tasks
    if over_tasks.profiles.empty or not findings.course.is_share:
        return
    figure, axes = new_figure(6.4, 3.8)
    shown = {arm: styles[arm] for arm in over_tasks.arms[:MOST_ARMS]}
    performance_profiles(axes[0, 0], over_tasks.profiles, shown)
    shared_legend(figure, axes[0, 0])
    left_out = f" The first {MOST_ARMS} arms." if len(over_tasks.arms) > MOST_ARMS else ""
    yield Drawing(
        "performance_profiles",
        "tasks",
        "Performance profiles over tasks",
        f"Share of runs, over {over_tasks.n_tasks} tasks and all seeds, that score above each "
        f"accuracy, with pointwise 95 % intervals (stratified bootstrap).{left_out}",
        figure,
    )
    if len(over_tasks.ranks) < 3:
        return
    shown_ranks = over_tasks.ranks[over_tasks.ranks["arm"].isin(list(shown))]
    figure, axes = new_figure(6.4, 1.2 + 0.3 * len(shown_ranks))
    ranks(axes[0, 0], shown_ranks, over_tasks.critical, shown)
    yield Drawing(
        "ranks",
        "tasks",
        "Order of arms over tasks",
        "Mean rank of each arm’s mean over seeds. The bar is as long as the critical difference of "
        "Nemenyi’s test (5 %, all arms; Demšar 2006). A picture: verdicts rest on it nowhere, "
        f"since ranks know neither seeds nor how far arms lie apart.{left_out}",
        figure,
    )
