"""Figures of single arms: final accuracy with every seed, and how much results move.

In: `Findings` and the look of each arm. Out: a `Drawing` of each, by task. They stand apart from
the figures of pairs because each arm is shown by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from analysis.figures import style
from analysis.figures.drawing import Drawing
from analysis.figures.focus import file_name, focus_tasks, titled
from analysis.figures.rows import spread_frame
from analysis.findings.findings import Findings
from analysis.statistics.times.course import ACCURACY, Course

MOST_DOTS = 400  # of one arm; more would hide each other
NOISE = "The grey bar is the spread that a test set of this size causes by itself (binomial). "


def final_accuracy(
    ax: Axes,
    arms: pd.DataFrame,
    evidence: pd.DataFrame,
    score: str,
    styles: style.Styles,
    course: Course = ACCURACY,
) -> Axes:
    """Every seed a dot, the mean with its interval, one row an arm.

    arms: rows of one task, as `Findings.arms`; evidence: its trials.
    """
    rows = arms[arms["score"].notna()].reset_index(drop=True)
    order = rows["arm"].tolist()
    dots = evidence[(evidence["status"] == "done") & evidence["arm"].isin(order)]
    dots = dots.groupby("arm", sort=False).head(MOST_DOTS)
    place = dots["arm"].map({arm: k for k, arm in enumerate(order)})
    jitter = (dots.groupby("arm").cumcount() * 0.618034) % 1 - 0.5  # spreads without a generator
    sns.scatterplot(
        x=dots[score],
        y=place + 0.4 * jitter,
        hue=dots["arm"],
        hue_order=order,
        legend=False,
        palette=[styles[a].hex for a in order],
        alpha=0.45,
        s=13,
        linewidth=0,
        ax=ax,
        rasterized=len(dots) > 4000,
    )
    for k, row in enumerate(rows.itertuples()):
        ends = (row.score, row.score_low, row.score_high)
        edge = {"markeredgecolor": "white", "markeredgewidth": 0.8}
        style.interval_mark(ax, k, ends, styles[row.arm], lw=2.2, markersize=6.5, zorder=4, **edge)
    style.list_axis(ax, [style.short(a) for a in order], room=0.5)
    ax.set_ylabel("")
    part = "Test" if score.startswith("test_") else "Best validation"
    ax.set_xlabel(f"{part} {course.words}{course.of_unit}")
    if course.is_share:
        style.percent_axis(ax.xaxis)
    return ax


NO_SPREAD = 0.01  # as far an axis goes where all runs of an arm end alike


def spread(
    ax: Axes, stability: pd.DataFrame, styles: style.Styles, course: Course = ACCURACY
) -> Axes:
    """SD of final accuracy over seeds with its interval, beside the noise of the test set alone.

    stability: rows of one task, as `stability.spread_over_seeds`.
    """
    rows = stability[stability["sd"].notna()].reset_index(drop=True)
    names = {"sd": "value", "sd_low": "low", "sd_high": "high", "binomial_sd": "noise"}
    frame = spread_frame(rows.rename(columns=names))
    for k, row in enumerate(rows.itertuples()):
        if frame is not None:
            _cut_interval(ax, k, row.sd, (row.sd_low, row.sd_high), styles[row.arm], frame)
        else:
            ax.plot([row.sd], [k], **styles[row.arm].look)
        if not np.isnan(row.binomial_sd):
            ax.plot([row.binomial_sd], [k], color=style.SOFT, marker="|", markersize=13)
    style.list_axis(ax, [style.short(a) for a in rows["arm"]])
    if frame is not None:
        ax.set_xscale("log")
        ax.set_xlim(*frame)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_xlim(0, NO_SPREAD)
    factor = 100 if course.is_share else 1
    ax.xaxis.set_major_formatter(lambda v, _: f"{factor * v:.3g}")
    noise = "; bar |: noise of a test set of this size" * (course is ACCURACY)
    ax.set_xlabel(f"SD of {course.words} over seeds{course.of_difference}{noise}")
    return ax


def _cut_interval(
    ax: Axes,
    place: float,
    value: float,
    ends: tuple[float, float],
    look: style.ArmStyle,
    frame: tuple[float, float],
) -> None:
    """A spread and its interval, cut to the frame; an arrow where it goes on."""
    low, high = (float(np.clip(end, *frame)) for end in ends)
    style.interval_mark(ax, place, (float(np.clip(value, *frame)), low, high), look)
    for end, marker, goes_on in (
        (frame[0], "<", min(value, ends[0]) < frame[0]),
        (frame[1], ">", ends[1] > frame[1]),
    ):
        if goes_on:
            ax.plot([end], [place], marker, color=look.hex, markersize=6, clip_on=False)


def draw(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    """Final accuracy and the spread over seeds, by task."""
    for task in focus_tasks(findings):
        rows = findings.arms[(findings.arms["task"] == task) & findings.arms["score"].notna()]
        if rows.empty:
            continue
        figure, axes = style.new_figure(6.4, 1.1 + 0.36 * len(rows))
        evidence = findings.evidence[findings.evidence["task"] == task]
        final_accuracy(axes[0, 0], rows, evidence, findings.score, styles, findings.course)
        yield Drawing(
            file_name("final_accuracy", findings, task),
            "arms",
            titled(f"Final {findings.course.words} by arm", findings, task),
            f"Every seed a dot (at most {MOST_DOTS} an arm); mean over seeds with its 95 % "
            "interval.",
            figure,
            in_page=False,
        )
        steady = findings.stability[findings.stability["task"] == task]
        if steady["sd"].notna().any():
            figure, axes = style.new_figure(6.4, 1.1 + 0.3 * len(steady))
            spread(axes[0, 0], steady, styles, findings.course)
            yield Drawing(
                file_name("stability", findings, task),
                "stability",
                titled(
                    f"How much the final {findings.course.words} moves from seed to seed",
                    findings,
                    task,
                ),
                "Standard deviation over seeds with its 95 % interval. "
                f"{NOISE if steady['binomial_sd'].notna().any() else ''}An arrow: the interval "
                "goes on beyond the axis.",
                figure,
                in_page=False,
            )
