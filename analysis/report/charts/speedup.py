"""Speedup against target: an exact mean is a mark, joined to its neighbours; a bound is an arrow.

In: `PairTables.speedups` of one task. Out: a `Spec` with a logarithmic axis; the reader chooses
steps, images or seconds.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.figures.rows import speedup_rows
from analysis.figures.style import Styles
from analysis.report.charts.base import (
    SOFT,
    Row,
    Spec,
    arm_color,
    arm_shape,
    by_value,
    choice,
    finish,
    named,
    rounded,
    shown,
)
from analysis.statistics.times.course import Course

Encoding = dict[str, Any]
UNITS = {"step": "steps", "samples": "images seen", "train_time_s": "training seconds"}
ARROW = 24  # pixels
TOOLTIP = [
    alt.Tooltip("pair:N", title="pair"),
    alt.Tooltip("target:N", title="target"),
    alt.Tooltip("text:N", title="speedup [95 %]"),
    alt.Tooltip("n:Q", title="pairs"),
    alt.Tooltip("reached:N", title="of them reached it"),
]
MOST = 100  # beyond, and below its inverse, intervals run to the edge of the chart
LEAST = (0.8, 1.25)  # the axis spans: where all is 1, a logarithm has no length
TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 50, 100, 200, 500]


def speedup_chart(speedups: pd.DataFrame, task: str, styles: Styles, course: Course) -> Spec | None:
    """The chart of one task; None where nothing is known of any speedup."""
    table = speedup_rows(speedups[speedups["task"] == task])
    if table.empty:
        return None
    rows = [_row(row, course) for row in table.to_dict("records")]
    units = {unit: UNITS[unit] for unit in UNITS if (table["unit"] == unit).any()}
    arms = {arm: styles[arm] for arm in styles if (table["treatment"] == arm).any()}
    words = (
        "How many times sooner the treatment reaches each target than the control, with 95 % "
        "intervals. Above 1 the treatment is sooner; an arrow is a bound, of which only one end "
        "is known."
    )
    is_wide = any(
        end is not None and not 1 / MOST <= end <= MOST
        for row in rows
        for end in (row["estimate"], row["low"], row["high"])
    )
    cut = f", drawn up to {MOST}×" if is_wide else ""
    titles = {
        unit: f"Speedup in {name}: control over treatment{cut}" for unit, name in units.items()
    }
    order = [course.target_alone(t) for t in sorted(table["target"].unique())]
    return finish(
        _layers(arms, order, f"Target (validation {course.words})", is_wide),
        {"speedups": rows, "one": [{"y": 1}], "least": [{"y": y} for y in LEAST]},
        arms,
        words,
        title=alt.ExprRef(by_value("unit", titles)),
        height=290,
        params=choice("unit", "Count", units),
    )


def _row(row: dict[Any, Any], course: Course) -> Row:
    ends = {key: rounded(row[key]) for key in ("estimate", "low", "high")}
    return {
        "arm": row["treatment"],
        "pair": f"{row['treatment']} against {row['control']}",
        "target": course.target_alone(row["target"]),
        "unit": row["unit"],
        **ends,
        "kind": row["kind"],
        "up": row["open_high"],
        "down": row["open_low"],
        "text": row["text"],
        "n": int(row["n_pairs"]),
        "reached": f"{row['n_reached_treatment']:.0f} and {row['n_reached_control']:.0f}",
    }


def _layers(styles: Styles, order: list[str], label: str, is_wide: bool) -> list[alt.Chart]:
    base = shown("speedups").transform_filter("datum.unit === unit")
    axis = alt.Axis(title=label, labelAngle=0, grid=False)
    apart = 0.7 if len(styles) < 5 else 0.3
    band = alt.Scale(domain=order, paddingInner=apart, paddingOuter=apart / 2)
    x = alt.X("target:N", sort=order, axis=axis, scale=band)
    place = {"x": x, "xOffset": alt.XOffset("pair:N"), "color": arm_color(styles)}
    y, low, whole = _ratios(("estimate", "low", "whole"), is_wide)
    one = alt.Chart(named("one")).mark_rule(color=SOFT, strokeDash=[2, 3], aria=False)
    least = alt.Chart(named("least")).mark_point(opacity=0, aria=False)
    exact = base.transform_calculate(whole="datum.kind === 'exact' ? datum.estimate : null")
    joined = exact.mark_line(strokeWidth=1.4, opacity=0.55, aria=False)
    closed = base.mark_rule(strokeWidth=2, aria=False).transform_filter(
        "isValid(datum.low) && isValid(datum.high)"
    )
    return [
        least.encode(y="y:Q"),
        one.encode(y="y:Q"),
        joined.encode(**place, y=whole, detail="pair:N"),
        closed.encode(**place, y=low, y2="high:Q"),
        *_marks(base, {**place, "y": y, "tooltip": TOOLTIP}, arm_shape(styles)),
        *_arrows(base, {**place, "y": y}),
    ]


def _ratios(fields: tuple[str, ...], is_wide: bool) -> list[alt.Y]:
    """Each field along the logarithmic axis."""
    ticks = [0.01, 0.1, 1, 10, 100] if is_wide else TICKS
    log = alt.Axis(values=ticks, labelExpr="format(datum.value, '~g') + '×'", title=None)
    scale = alt.Scale(type="log", nice=False, padding=26)
    if is_wide:  # with two seeds an interval may reach from a millionth to a million
        scale = alt.Scale(type="log", nice=False, domain=[1 / MOST, MOST], clamp=True)
    return [alt.Y(f"{field}:Q", axis=log, scale=scale) for field in fields]


def _marks(base: alt.Chart, place: Encoding, shape: alt.Shape) -> list[alt.Chart]:
    """Exact means, hollow ones within the budget, and the feet of bounds."""
    marks = base.transform_filter("datum.kind === 'exact'").mark_point(filled=True, size=64)
    hollow = base.transform_filter("datum.kind === 'within'").mark_point(size=60, strokeWidth=2)
    feet = base.transform_filter("datum.kind === 'bound'").mark_point(
        shape="stroke", size=150, strokeWidth=2.4
    )
    return [*(each.encode(**place, shape=shape) for each in (marks, hollow)), feet.encode(**place)]


def _arrows(base: alt.Chart, place: Encoding) -> list[alt.Chart]:
    """Where an end is open: a line to the other end, a shaft and a head."""
    layers = []
    for field, sign, shape in (("up", -1, "triangle-up"), ("down", 1, "triangle-down")):
        ends = base.transform_filter(f"datum.{field}")
        half = "low" if field == "up" else "high"
        lines = ends.transform_filter(f"isValid(datum.{half})").mark_rule(strokeWidth=2, aria=False)
        shaft = ends.mark_rule(strokeWidth=2, y2Offset=sign * ARROW, aria=False)
        head = ends.mark_point(shape=shape, filled=True, size=70, yOffset=sign * ARROW, aria=False)
        layers += [
            lines.encode(**place, y2=f"{half}:Q"),
            shaft.encode(**place, y2="estimate:Q"),
            head.encode(**place),
        ]
    return layers
