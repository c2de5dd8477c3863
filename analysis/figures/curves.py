"""Figures along training: learning curves, and the share of seeds that reached a target.

In: the learning and survival curves of `Findings`. Out: a `Drawing` of each, by task. They stand
apart because their axis is the training step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.figures.drawing import Drawing
from analysis.figures.focus import arms_note, file_name, focus_styles, focus_tasks, titled
from analysis.figures.style import SOFT, Styles, grid_figure, percent_axis, shared_legend, short
from analysis.findings.findings import Findings
from analysis.findings.learning import METRICS
from analysis.statistics.times.course import ACCURACY, Course


def learning_curves(
    ax: Axes,
    bands: pd.DataFrame,
    runs: pd.DataFrame,
    styles: Styles,
    metric: str,
    until: float | None = None,
) -> Axes:
    """Mean curve of each arm in `styles`, its interval as a band, single runs faint behind.

    bands, runs: of one task, as `learning.Learning`. `until`: the last step shown (early phase).
    """
    bands = bands[(bands["metric"] == metric) & bands["arm"].isin(list(styles))]
    runs = runs[(runs["metric"] == metric) & runs["arm"].isin(list(styles))]
    if until is not None:
        bands, runs = bands[bands["step"] <= until], runs[runs["step"] <= until]
    if len(runs) and bands["n"].max() > 1:
        sns.lineplot(
            runs,
            x="step",
            y="value",
            hue="arm",
            units=runs["arm"] + runs["seed"].astype(str),
            estimator=None,
            palette={a: s.hex for a, s in styles.items()},
            ax=ax,
            legend=False,
            linewidth=0.5,
            alpha=0.22,
            rasterized=len(runs) > 4000,
        )
    for arm, style in styles.items():
        band = bands[bands["arm"] == arm]
        if band.empty:
            continue
        ax.fill_between(band["step"], band["low"], band["high"], color=style.hex, alpha=0.18, lw=0)
        mark = style.look | {"markevery": max(1, len(band) // 7), "markersize": 3.5}
        ax.plot(band["step"], band["mean"], **mark, label=short(arm))
    _frame(ax, bands, metric, until)
    return ax


def _frame(ax: Axes, bands: pd.DataFrame, metric: str, until: float | None) -> None:
    ax.set(xlabel="Training steps", ylabel=METRICS[metric])
    ax.set_xlim(left=0, right=until)
    if bands.empty:
        return
    # Two or three seeds have bands so wide that they would flatten every curve: cut those.
    low, high = bands["mean"].min(), bands["mean"].max()
    room = 0.6 * (high - low) or 0.02
    least = max(low - room, min(low, bands["low"].min()) - 0.03 * room)
    most = min(high + room, max(high, bands["high"].max()) + 0.03 * room)
    if metric.endswith("accuracy"):
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
        ax.step(time, share, where="post", **style.stroke, label=short(arm))
        censored = curve[curve["n_censored"] > 0]
        (ticks,) = ax.plot(censored["time"], censored["share_reached"], "|", color=style.hex)
        ticks.set(markersize=9, markeredgewidth=1.4)
    ax.set(xlabel="Training steps", ylabel="Share of seeds", ylim=(-0.02, 1.04))
    ax.set_xlim(0, until * 1.02 or 1)  # 0: nothing was trained
    ax.set_title(f"Validation {course.words} of {course.target(target)}", color=SOFT)
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
    metrics = [m for m in METRICS if (bands["metric"] == m).any()]
    if not metrics:
        return
    chosen = focus_styles(findings, task, styles)
    note = (
        "Mean over seeds, pointwise 95 % interval (Student's t), single runs faint. A trial that "
        "stopped early counts with its last value." + arms_note(findings, task)
    )
    for name, title, share in (
        ("learning_curves", "Learning curves", None),
        ("learning_curves_early", "Learning curves, the first fifth enlarged", 0.2),
    ):
        until = None if share is None else float(bands["step"].max()) * share
        if until is not None and (bands["step"] <= until).sum() < 3 * len(chosen):
            continue
        figure, axes = grid_figure(len(metrics))
        for ax, metric in zip(axes, metrics, strict=True):
            learning_curves(ax, bands, runs, chosen, metric, until)
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
