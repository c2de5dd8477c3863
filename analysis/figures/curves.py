"""Figures along training: learning curves, and the share of seeds that reached a target.

In: the learning and survival curves of `Findings`. Out: a `Drawing` of each, by task. They stand
apart because their axis is the training step.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from analysis.figures.drawing import Drawing
from analysis.figures.focus import arms_note, file_name, focus_styles, focus_tasks, titled
from analysis.figures.rows import QUANTITIES, time_grain
from analysis.figures.style import (
    DASHED,
    SOFT,
    Styles,
    grid_figure,
    percent_axis,
    shared_legend,
    short,
)
from analysis.findings.findings import Findings
from analysis.statistics.times.course import ACCURACY, COURSES, Course

MOST_RUNS = 10  # single runs of an arm; more are mud
TITLE_LETTERS = 34  # on a line over one of two panels


def learning_curves(
    ax: Axes,
    bands: pd.DataFrame,
    runs: pd.DataFrame,
    styles: Styles,
    quantity: str,
    until: float | None = None,
) -> Axes:
    """Mean curve of each arm in `styles`, its interval as a band, single runs faint behind.

    Validation is solid, training dashed in the same colour and without a band, validation on right
    labels dotted.

    bands, runs: of one task, as `learning.Learning`. `quantity`: of `rows.QUANTITIES`. `until`:
    the last step shown (early phase).
    """
    label, solid, dashed, dotted = QUANTITIES[quantity]
    bands = bands[bands["metric"].isin([solid, dashed, dotted]) & bands["arm"].isin(list(styles))]
    runs = runs[(runs["metric"] == solid) & runs["arm"].isin(list(styles))]
    if until is not None:
        bands, runs = bands[bands["step"] <= until], runs[runs["step"] <= until]
    _single_runs(ax, runs, styles)
    for arm, style in styles.items():
        own = bands[bands["arm"] == arm]
        band, training = own[own["metric"] == solid], own[own["metric"] == dashed]
        if own.empty:
            continue
        ax.fill_between(band["step"], band["low"], band["high"], color=style.hex, alpha=0.18, lw=0)
        ax.plot(training["step"], training["mean"], color=style.hex, lw=1.1, linestyle=DASHED)
        right = own[own["metric"] == dotted]
        if len(right):
            ax.plot(right["step"], right["mean"], color=style.hex, lw=1.4, linestyle=":")
        mark = style.look | {"markevery": max(1, len(band) // 7), "markersize": 3.5}
        ax.plot(band["step"], band["mean"], **mark, label=short(arm))
    ax.set(xlabel="Training steps", ylabel=label)
    ax.set_xlim(left=0, right=until)
    kinds = {"dashed: training": dashed, "dotted: validation on right labels": dotted}
    if seen := [name for name, metric in kinds.items() if (bands["metric"] == metric).any()]:
        ax.set_title("; ".join(seen), color=SOFT, fontweight="normal", loc="right")
    _frame(ax, bands, COURSES[quantity].is_share)
    return ax


def _single_runs(ax: Axes, runs: pd.DataFrame, styles: Styles) -> None:
    for arm, own in runs.groupby("arm", sort=False):
        if (seeds := sorted(own["seed"].unique())) and len(seeds) > 1:
            of_arm = own[own["seed"].isin(seeds[:MOST_RUNS])]
            for _, run in of_arm.groupby("seed", sort=False):
                ax.plot(run["step"], run["value"], color=styles[arm].hex, lw=0.5, alpha=0.22)


def _frame(ax: Axes, bands: pd.DataFrame, is_share: bool) -> None:
    if bands.empty:
        return
    # Two or three seeds have bands so wide that they would flatten every curve: cut those.
    low, high = bands["mean"].min(), bands["mean"].max()
    room = 0.6 * (high - low) or 0.02
    least = max(low - room, min(low, bands["low"].min()) - 0.03 * room)
    most = min(high + room, max(high, bands["high"].max()) + 0.03 * room)
    if is_share:
        least, most = max(least, 0.0), min(most, 1.002)
        percent_axis(ax.yaxis)
    if np.isfinite([least, most]).all():
        ax.set_ylim(least, most)


def survival_curves(
    ax: Axes, survival: pd.DataFrame, styles: Styles, target: float, course: Course = ACCURACY
) -> Axes:
    """Share of seeds that reached `target` by each step (Kaplan-Meier), ticks where censored."""
    at_target = survival[survival["target"] == target]
    until = float(survival["time"].max())
    for arm, style in styles.items():
        curve = at_target[at_target["arm"] == arm]
        if curve.empty:
            continue
        if curve["share_reached"].iloc[-1] >= 1:  # reached once is reached for good
            curve = pd.concat([curve, curve.iloc[[-1]].assign(time=until, n_censored=0)])
        time, share = curve["time"], curve["share_reached"]
        ax.fill_between(
            time, curve["low"], curve["high"], step="post", color=style.hex, alpha=0.13, lw=0
        )
        ax.step(time, share, where="post", **style.look, markersize=3.5, label=short(arm))
        censored = curve[curve["n_censored"] > 0]
        (ticks,) = ax.plot(censored["time"], censored["share_reached"], "|", color=style.hex)
        ticks.set(markersize=9, markeredgewidth=1.4)
    ax.set(xlabel="Training steps", ylabel="Share of seeds", ylim=(-0.02, 1.04))
    ax.set_xlim(0, until * 1.02 or 1)  # 0: nothing was trained
    if (grain := time_grain(survival["time"])) is not None:
        ax.set_xscale("symlog", linthresh=grain)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        ax.xaxis.set_minor_locator(NullLocator())
    title = f"Validation {course.words} of {course.target_alone(target)}"
    ax.set_title(fill(title, TITLE_LETTERS), color=SOFT)
    percent_axis(ax.yaxis)
    return ax


def draw(findings: Findings, styles: Styles) -> Iterator[Drawing]:
    """Learning curves, their early phase, and the share that reached each target, by task."""
    for task in focus_tasks(findings):
        yield from _draw_learning(findings, styles, task)
        yield from _draw_survival(findings, styles, task)


def _draw_learning(findings: Findings, styles: Styles, task: str) -> Iterator[Drawing]:
    bands = findings.learning.bands
    bands = bands[bands["task"] == task]
    runs = findings.learning.runs[findings.learning.runs["task"] == task]
    metrics = set(bands["metric"])
    quantities = [key for key, (_, *own) in QUANTITIES.items() if metrics & set(own)]
    if not quantities:
        return
    chosen = focus_styles(findings, task, styles)
    note = (
        "Mean over seeds, pointwise 95 % interval (Student's t), single runs faint; dashed: on "
        "training images. A trial that stopped early counts with its last value."
        + arms_note(findings, task)
    )
    for name, title, share in (
        ("learning_curves", "Learning curves", None),
        ("learning_curves_early", "Learning curves, the first fifth enlarged", 0.2),
    ):
        until = None if share is None else float(bands["step"].max()) * share
        if until is not None and (bands["step"] <= until).sum() < 3 * len(chosen):
            continue
        figure, axes = grid_figure(len(quantities))
        for ax, quantity in zip(axes, quantities, strict=True):
            learning_curves(ax, bands, runs, chosen, quantity, until)
            if quantity == findings.course.name:
                ax.set_ylabel(f"{ax.get_ylabel()}{findings.course.of_unit}")
        shared_legend(figure, axes[0])
        yield Drawing(
            file_name(name, findings, task),
            "learning",
            titled(title, findings, task),
            note,
            figure,
            in_page=False,
        )


def _draw_survival(findings: Findings, styles: Styles, task: str) -> Iterator[Drawing]:
    if findings.survival.empty:
        return
    survival = findings.survival[findings.survival["task"] == task]
    targets = sorted(survival["target"].unique())[-6:]
    if not targets:
        return
    figure, axes = grid_figure(len(targets))
    chosen = focus_styles(findings, task, styles)
    for ax, target in zip(axes, targets, strict=True):
        survival_curves(ax, survival, chosen, target, findings.course)
    shared_legend(figure, axes[0])
    yield Drawing(
        file_name("reached", findings, task),
        "targets",
        titled("Share of seeds that reached each target", findings, task),
        "Kaplan–Meier with 95 % intervals (log-log); a tick marks trials whose training ended "
        "before they reached the target." + arms_note(findings, task),
        figure,
        in_page=False,
    )
