"""Share of seeds that reached a target by each step: stairs with their interval, by arm.

In: the Kaplan-Meier curves of `Findings` of one task. Out: a `Spec`; the reader chooses the target.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.figures.rows import time_grain
from analysis.figures.style import Styles
from analysis.report.charts.base import (
    Row,
    Spec,
    arm_color,
    arm_shape,
    choice,
    finish,
    plain,
    shown,
)
from analysis.statistics.times.course import Course

TICKS = [m * 10**e for e in range(9) for m in (1, 2, 5)]  # steps
FIELDS = ("step", "share", "low", "high", "risk", "ended")


def reached_chart(survival: pd.DataFrame, styles: Styles, course: Course) -> Spec | None:
    """The chart of one task; None where no target was asked for."""
    targets = sorted(float(t) for t in survival["target"].unique())
    if not targets:
        return None
    until = float(survival["time"].max())
    rows: list[Row] = []
    for (target, arm), curve in survival.groupby(["target", "arm"], sort=False):
        rows.append({"arm": arm, "target": targets.index(target), **_stairs(curve, until)})
    styles = {arm: styles[arm] for arm in styles if (survival["arm"] == arm).any()}
    first = _telling(survival, targets)
    options = {targets.index(t): course.target_alone(t) for t in [first, *targets]}
    params = choice("target", f"Target (validation {course.words})", options)
    words = (
        "Share of seeds that reached the target by each training step, with 95 % intervals; a "
        "tick marks seeds whose training ended before."
    )
    return finish(
        _layers(styles, time_grain(survival["time"])),
        {"stairs": rows},
        styles,
        words,
        title="Share of seeds that reached the target",
        height=260,
        params=params,
    )


def _telling(survival: pd.DataFrame, targets: list[float]) -> float:
    """The target to begin with: the last in the order of the sweep that any seed reached."""
    reached = survival.groupby("target")["share_reached"].max()
    some = [t for t in targets if reached[t] > 0]
    every = survival.groupby(["target", "arm"])["share_reached"].max().groupby("target").min()
    whole = [t for t in some if every[t] >= 1]
    return (whole or some or targets)[-1]


def _stairs(curve: pd.DataFrame, until: float) -> Row:
    """Lists of one curve; ended: places at which seeds ended without the target."""
    if curve["share_reached"].iloc[-1] >= 1:  # known to the end: a trial reaches a target once
        last = curve.iloc[[-1]]
        last = last.assign(time=max(until, float(last["time"].iloc[0])), at_risk=0, n_censored=0)
        curve = pd.concat([curve, last])
    return {
        "step": plain(curve["time"]),
        "share": plain(curve["share_reached"]),
        "low": plain(curve["low"]),
        "high": plain(curve["high"]),
        "risk": plain(curve["at_risk"]),
        "ended": plain(curve["n_censored"]),
    }


def _layers(styles: Styles, grain: float | None) -> list[alt.Chart]:
    base = (
        shown("stairs").transform_filter("datum.target === target").transform_flatten(list(FIELDS))
    )
    percent = alt.Axis(labelExpr="format(100 * datum.value, '~g') + ' %'", title=None, tickCount=5)
    x = alt.X("step:Q", title="Training steps", axis=alt.Axis(grid=False), scale=alt.Scale())
    if grain is not None:
        ticks = [0, *(t for t in TICKS if grain <= t)]
        x["axis"]["values"] = ticks
        x["scale"] = alt.Scale(type="symlog", constant=grain, nice=False)
    y = alt.Y("share:Q", axis=percent, scale=alt.Scale(domain=[0, 1]))
    color = arm_color(styles)
    ends = {"y": alt.Y("low:Q", axis=percent), "y2": "high:Q"}
    tooltip = [
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("step:Q", title="by step", format=","),
        alt.Tooltip("share:Q", title="reached it", format=".0%"),
        alt.Tooltip("low:Q", title="95 % from", format=".0%"),
        alt.Tooltip("high:Q", title="to", format=".0%"),
        alt.Tooltip("risk:Q", title="seeds not there before"),
    ]
    band = base.mark_area(
        interpolate="step-after", opacity=0.13 if len(styles) < 5 else 0.05, aria=False
    )
    line = base.mark_line(interpolate="step-after", strokeWidth=2.2, aria=False)
    ticks = base.transform_filter("datum.ended > 0").mark_point(
        shape="stroke", angle=90, size=110, strokeWidth=1.8, aria=False
    )
    points = base.mark_point(filled=True, size=34, opacity=1, aria=False)
    return [
        band.encode(x=x, color=color, **ends),
        line.encode(x=x, y=y, color=color),
        ticks.encode(x=x, y=y, color=color),
        points.encode(x=x, y=y, color=color, shape=arm_shape(styles), tooltip=tooltip),
    ]
