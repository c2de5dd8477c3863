"""Figures of pairs of arms: speedup against target, the forest of differences, seeds needed.

In: the tables of pairs of `Findings`. Out: a `Drawing` of each. They stand apart from the figures
of single arms because their axes are differences and ratios.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis import words
from analysis.figures import style
from analysis.figures.drawing import Drawing
from analysis.figures.focus import arms_note, file_name, focus_arms, focus_tasks, titled
from analysis.figures.rows import speedup_rows, surest_rows
from analysis.findings.findings import Findings
from analysis.statistics.times.course import ACCURACY, Course

UNIT_LABELS = {"step": "steps", "samples": "images seen", "train_time_s": "training seconds"}


def speedup_against_target(
    ax: Axes, speedups: pd.DataFrame, styles: style.Styles, course: Course = ACCURACY
) -> Axes:
    """Ratio of times (control over treatment) at each target, with intervals; arrows are bounds.

    speedups: rows of one task and one unit, as `PairTables.speedups`.
    """
    targets = sorted(speedups["target"].unique())
    pairs = list(dict.fromkeys(zip(speedups["treatment"], speedups["control"], strict=True)))
    known = speedup_rows(speedups)
    for k, (treatment, control) in enumerate(pairs):
        rows = known[(known["treatment"] == treatment) & (known["control"] == control)]
        if rows.empty:
            continue
        of_arm = styles[treatment]
        shift = (k - (len(pairs) - 1) / 2) * min(0.09, 0.7 / max(len(pairs), 1))
        x = np.array([targets.index(t) for t in rows["target"]]) + shift
        label = f"{style.short(treatment)} against {style.short(control)}"
        _marks(ax, x, rows, of_arm, label)
        _whiskers(ax, x, rows, of_arm.hex)
    ax.axhline(1, color=style.SOFT, lw=0.8, linestyle=":")
    ax.set_yscale("log")
    ax.margins(y=0.16)  # room for arrows
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}×"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(-0.5, len(targets) - 0.5)
    ax.set_xticks(range(len(targets)), [course.target_alone(t) for t in targets])
    unit = UNIT_LABELS[speedups["unit"].iloc[0]]
    ax.set(xlabel=f"Target (validation {course.words})", ylabel=f"Speedup in {unit}")
    return ax


def _marks(ax: Axes, x: np.ndarray, rows: pd.DataFrame, of_arm: style.ArmStyle, label: str) -> None:
    """Exact means joined to their neighbours; a ratio of another kind hollow; a bound a foot."""
    kinds = rows["kind"].to_numpy()
    values = rows["estimate"].to_numpy(dtype=float)
    exact = np.where(kinds == "exact", values, np.nan)
    ax.plot(x, exact, **of_arm.look, markersize=5, lw=1.1, label=label)
    alone: dict[str, Any] = {"linestyle": "none", "color": of_arm.hex}
    within, bound = kinds == "within", kinds == "bound"
    hollow: dict[str, Any] = {"marker": of_arm.marker, "markersize": 5, "fillstyle": "none"}
    ax.plot(x[within], values[within], **alone, **hollow)
    ax.plot(x[bound], values[bound], **alone, marker="_", markersize=9, markeredgewidth=1.6)


def _whiskers(ax: Axes, x: np.ndarray, rows: pd.DataFrame, color: str) -> None:
    """Interval bars up to the ends that are known; an open end is an arrow."""
    for place, row in zip(x, rows.itertuples(), strict=True):
        ends = [row.estimate if math.isnan(end) else end for end in (row.low, row.high)]
        if ends[0] != ends[1]:
            ax.plot([place, place], ends, color=color, lw=1.4)
        if row.open_high:
            _arrow(ax, place, row.estimate, 16, color)
        if row.open_low:
            _arrow(ax, place, row.estimate, -16, color)


def _arrow(ax: Axes, x: float, y: float, length: float, color: str) -> None:
    ax.annotate(
        "",
        xy=(x, y),
        xytext=(0, length),
        textcoords="offset points",
        arrowprops={"arrowstyle": "<-", "color": color, "lw": 1.2, "shrinkA": 0, "shrinkB": 0},
    )


def forest(
    ax: Axes, comparisons: pd.DataFrame, styles: style.Styles, course: Course = ACCURACY
) -> Axes:
    """Paired differences in final accuracy with intervals, one line a comparison; margin shaded.

    comparisons: rows of one metric in points of accuracy, as `PairTables.comparisons`.
    """
    rows = comparisons[comparisons["estimate"].notna()].reset_index(drop=True)
    margin = rows["margin"].dropna()
    if len(margin):
        ax.axvspan(-margin.iloc[0], margin.iloc[0], color=style.SOFT, alpha=0.13, lw=0)
    ax.axvline(0, color=style.SOFT, lw=0.8)
    for k, row in enumerate(rows.itertuples()):
        style.interval_mark(ax, k, (row.estimate, row.low, row.high), styles[row.treatment])
        kind = "points" if course.is_share else "signed"
        text = words.interval(kind, row.estimate, row.low, row.high)
        ax.annotate(
            f"{text}   {words.verdict(row.verdict)}",
            (1.02, k),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7.5,
            color=style.INK,
            annotation_clip=False,
        )
    several = len(set(rows["task"])) > 1
    labels = [
        (f"{style.short(r.task, 24)}: " if several else "")
        + f"{style.short(r.treatment)} − {style.short(r.control)}"
        for r in rows.itertuples()
    ]
    style.list_axis(ax, labels)
    factor = 100 if course.is_share else 1
    ax.xaxis.set_major_formatter(lambda v, _: f"{factor * v:+.3g}".replace("-", "−") if v else "0")
    ax.set_xlabel(f"Difference in {course.words}{course.of_difference}, treatment minus control")
    return ax


def seeds_needed(
    ax: Axes, plans: pd.DataFrame, margin: float, styles: style.Styles, course: Course = ACCURACY
) -> Axes:
    """Paired seeds that a difference of the margin needs, by pair, with the pilot's uncertainty."""
    rows = plans[plans["n_needed"].notna()].reset_index(drop=True)
    for k, row in enumerate(rows.itertuples()):
        style.interval_mark(ax, k, (row.n_needed, row.n_low, row.n_high), styles[row.treatment])
        ax.plot([row.n_pilot], [k], color=style.INK, marker="|", markersize=11, linestyle="none")
    labels = [f"{style.short(r.treatment)} − {style.short(r.control)}" for r in rows.itertuples()]
    ax.set_yticks(range(len(rows)), labels)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xscale("log")
    ax.grid(visible=True, axis="x")
    style.plain_log_ticks(ax.xaxis)
    ax.set_xlabel(f"Paired seeds for 80 % power at {course.margin(margin)[1:]} (bar |: seeds run)")
    return ax


MOST_ROWS = 60  # of a forest; a page holds no more


def draw(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    """The forest of differences, speedup by task, and seeds needed."""
    yield from _draw_forest(findings, styles)
    yield from _draw_speedups(findings, styles)
    yield from _draw_seeds(findings, styles)


def _draw_forest(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    rows = findings.pairs.table
    rows = rows[(rows["metric"] == findings.score) & rows["estimate"].notna()]
    if rows.empty:
        return
    shown, left_out = surest_rows(rows, MOST_ROWS)
    margin = findings.pairs.margin
    area = f" The shaded strip is the equivalence margin, {findings.course.margin(margin or 0)}."
    strip = area if margin else ""
    figure, axes = style.new_figure(7.2, 1.1 + 0.3 * len(shown))
    forest(axes[0, 0], shown, styles, findings.course)
    yield Drawing(
        "differences",
        "verdicts",
        f"Differences in final {findings.course.words}",
        "Treatment minus control over paired seeds, with 95 % intervals of one comparison alone."
        f"{strip}{left_out}",
        figure,
        in_page=False,
    )


def _draw_speedups(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    speedups = findings.pairs.speedups
    if speedups.empty:
        return
    for task in focus_tasks(findings):
        rows = speedups[(speedups["task"] == task) & (speedups["unit"] == "step")]
        rows = rows[rows["treatment"].isin(focus_arms(findings, task))]
        if not rows["estimate"].notna().any():
            continue
        figure, axes = style.new_figure(6.4, 3.6)
        speedup_against_target(axes[0, 0], rows, styles, findings.course)
        style.shared_legend(figure, axes[0, 0], columns=2)
        yield Drawing(
            file_name("speedup", findings, task),
            "targets",
            titled("Speedup against target", findings, task),
            "Steps of the control over steps of the treatment to reach each target (geometric "
            "mean over paired seeds, 95 % interval of each alone). An arrow marks a bound: some "
            "trials did not reach the target. Hollow: a ratio within the budget that trials had."
            + arms_note(findings, task),
            figure,
            in_page=False,
        )


def _draw_seeds(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    rows = findings.pairs.seeds_needed
    if rows.empty or not rows["n_needed"].notna().any():
        return
    rows = rows[rows["n_needed"].notna()].head(MOST_ROWS)
    figure, axes = style.new_figure(6.4, 1.1 + 0.28 * len(rows))
    seeds_needed(axes[0, 0], rows, float(rows["value"].iloc[0]), styles, findings.course)
    yield Drawing(
        "seeds_needed",
        "seeds",
        "Seeds that a difference of the margin needs",
        "Paired seeds for 80 % power over this report's comparisons of final accuracy; the "
        "line spans the 95 % interval of the pilot's standard deviation.",
        figure,
    )
