"""Figure over several tasks: performance profiles.

In: the profiles of `Findings`. Out: one `Drawing`. It stands apart from the figures by task because
it shows all tasks at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing import Drawing
from analysis.figures.style import Styles, new_figure, percent_axis, shared_legend, short
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
        ax.plot(rows["threshold"], rows["share"], **style.stroke, label=short(arm))
    ax.set(xlabel="Accuracy τ", ylabel="Share of runs above τ", ylim=(-0.02, 1.04))
    percent_axis(ax.xaxis)
    percent_axis(ax.yaxis)
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
