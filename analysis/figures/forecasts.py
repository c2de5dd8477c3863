"""Figures of forecasts: each score of the starts against what came out.

In: `Findings.forecasts`. Out: a `Drawing` for each data set. It stands alone because its points are
starts, and those of all other figures are arms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing import Drawing
from analysis.figures.style import (
    Styles,
    arm_styles,
    grid_figure,
    percent_axis,
    shared_legend,
    short,
)
from analysis.findings.by_class import MOST_TASKS
from analysis.findings.findings import Findings
from analysis.statistics.times.course import ACCURACY, Course

LEAST = 2  # starts of a panel


def score_against_result(
    ax: Axes, rows: pd.DataFrame, styles: Styles, course: Course = ACCURACY
) -> Axes:
    """A point a start: one score, and the final value with its interval.

    rows: of `Forecasts.scores`, one data set and score.
    """
    for row in rows.itertuples():
        style = styles[row.start]
        if not math.isnan(row.low):
            ax.plot([row.value, row.value], [row.low, row.high], color=style.hex, lw=1.4)
        ax.plot([row.value], [row.final], **style.look, markersize=6, linestyle="none",
                label=short(row.start))  # fmt: skip
    ax.set(xlabel=rows["label"].iloc[0], ylabel=f"Final {course.words}{course.of_unit}")
    ax.margins(x=0.15)
    if course.is_share:
        percent_axis(ax.yaxis)
    return ax


def draw(findings: Findings, styles: Styles) -> Iterator[Drawing]:
    """A figure a data set, where scores and results of two starts are there."""
    scores = findings.forecasts.scores
    if scores.empty:
        return
    known = scores[scores["value"].notna() & scores["final"].notna()]
    data_sets = list(dict.fromkeys(known["data_set"]))
    for number, data_set in enumerate(data_sets[:MOST_TASKS]):
        own = known[known["data_set"] == data_set]
        groups = [rows for _, rows in own.groupby("label", sort=False) if len(rows) >= LEAST]
        if not groups:
            continue
        looks = arm_styles(list(dict.fromkeys(own["start"])))
        figure, axes = grid_figure(len(groups), columns=3, height=2.3)
        for ax, rows in zip(axes, groups, strict=True):
            score_against_result(ax, rows, looks, findings.course)
        shared_legend(figure, max(axes, key=lambda ax: len(ax.lines)))
        name = "forecasts" if len(data_sets) == 1 else f"forecasts_{number + 1}"
        yield Drawing(
            name, "forecasts", f"Forecast and result: {data_set}",
            "A point a start: the score of its untuned features (more is better), and the "
            f"final {findings.course.words} of its arm, with the 95 % interval over seeds. A "
            "score that orders rightly rises from left to right.",
            figure,
        )  # fmt: skip
