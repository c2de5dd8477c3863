"""How stable arms are: spread over seeds with its interval, noise within runs, runs that broke.

In: `Findings.stability` of one task. Out: a `Spec`; the reader chooses which of the three. Spreads
stand on logarithms, shares do not: rows hold their place on the axis (`x`, `from`, `to`), so that
one axis serves both. An arrow says that an interval goes on beyond the frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from analysis import words
from analysis.figures.rows import spread_frame
from analysis.figures.style import Styles
from analysis.report.charts.base import (
    PAPER,
    ROW,
    SOFT,
    Row,
    Spec,
    arm_color,
    arm_shape,
    by_value,
    choice,
    finish,
    log_ticks,
    named,
    rounded,
    row_names,
    row_place,
)
from analysis.statistics.times.course import Course

MEASURES = {"sd": "spread over seeds", "late_sd": "noise within a run", "broken": "runs that broke"}


def steadiness_chart(stability: pd.DataFrame, styles: Styles, course: Course) -> Spec | None:
    """The chart of one task; None where no arm has two seeds, and nothing broke."""
    rows = [row for kind in MEASURES for row in _rows(kind, stability, course)]
    if not rows:
        return None
    order = [arm for arm in styles if any(row["arm"] == arm for row in rows)]
    titles = {
        "sd": f"SD of the final {course.words} over seeds{course.of_difference}",
        "late_sd": f"SD of {course.words} in the last third of a run{course.of_difference}",
        "broken": "Share of runs that failed or diverged (%)",
    }
    kinds = {key: MEASURES[key] for key in MEASURES if any(row["kind"] == key for row in rows)}
    chosen = {arm: styles[arm] for arm in order}
    frames = {kind: _place([row for row in rows if row["kind"] == kind]) for kind in kinds}
    return finish(
        _layers(chosen, frames),
        {"rows": rows},
        chosen,
        "How much results move by arm: spread over seeds with its 95 % interval, noise within a "
        "run, share of runs that broke. Less is steadier.",
        title=alt.ExprRef(by_value("kind", titles)),
        height=ROW * len(order),
        params=choice("kind", "Show", kinds),
        legend=False,
    )


def _rows(kind: str, stability: pd.DataFrame, course: Course) -> Iterator[Row]:
    ends = {"sd": ("sd", "sd_low", "sd_high"), "late_sd": ("late_sd",)}.get(
        kind, ("broken_share", "broken_low", "broken_high")
    )
    factor = 100 if course.is_share or kind == "broken" else 1
    if kind == "broken" and not stability["broken_share"].any():
        return
    write = "percent" if kind == "broken" else "points_plain" if course.is_share else "number"
    for row in stability.to_dict("records"):
        value, low, high = ([float(row[key]) for key in ends] + [float("nan")] * 2)[:3]
        if pd.isna(value):
            continue
        noise = float(row.get("binomial_sd", float("nan"))) if kind == "sd" else float("nan")
        yield {
            "arm": row["arm"],
            "kind": kind,
            "value": rounded(factor * value),
            "low": rounded(factor * low),
            "high": rounded(factor * high),
            "noise": rounded(factor * noise),
            "text": words.interval(write, value, low, high),
            "n": int(row["n_trials"] if kind == "broken" else row["n"]),
        }


@dataclass(frozen=True)
class _Frame:
    """The part of an axis that is drawn, in its own units (log10 of a spread), and its ticks."""

    first: float
    last: float
    ticks: tuple[float, ...]
    is_log: bool


def _place(rows: list[Row]) -> _Frame:
    """Gives each row its place on the axis, cut to the frame; all rows are of one kind."""
    table = pd.DataFrame(rows)[["value", "low", "high", "noise"]].astype(float)
    ends = None if rows[0]["kind"] == "broken" else spread_frame(table)
    if ends is None:
        most = max(float(np.nanmax(table.to_numpy())), 1)
        frame = _Frame(0, most, tuple(np.linspace(0, most, 6).tolist()), False)
    else:
        ticks = tuple(math.log10(tick) for tick in log_ticks(*ends))
        frame = _Frame(math.log10(ends[0]), math.log10(ends[1]), ticks, True)
    for row in rows:
        for key, name in (("value", "x"), ("low", "from"), ("high", "to"), ("noise", "test")):
            row[name] = _on(frame, row[key])
        row["cut_low"] = int(
            _is_beyond(frame, row["low"], -1) or _is_beyond(frame, row["value"], -1)
        )
        row["cut_high"] = int(_is_beyond(frame, row["high"], 1))
    return frame


def _units(frame: _Frame, value: float) -> float:
    if not frame.is_log:
        return value
    return math.log10(value) if value > 0 else -math.inf


def _on(frame: _Frame, value: float | None) -> float | int | None:
    if value is None:
        return None
    return rounded(min(max(_units(frame, value), frame.first), frame.last))


def _is_beyond(frame: _Frame, value: float | None, side: int) -> bool:
    if value is None:
        return False
    place = _units(frame, value)
    return place < frame.first if side < 0 else place > frame.last


def _layers(styles: Styles, frames: Mapping[str, _Frame]) -> list[alt.Chart]:
    base = alt.Chart(named("rows")).transform_filter("datum.kind === kind")
    logs = {kind: frame.is_log for kind, frame in frames.items()}
    is_log = by_value("kind", logs)
    label = f"format(({is_log}) ? pow(10, datum.value) : datum.value, '.3~g')"
    ticks = alt.ExprRef(
        by_value("kind", {kind: list(frame.ticks) for kind, frame in frames.items()})
    )
    axis = alt.Axis(title=" ", labelExpr=label, values=ticks)
    scale = alt.Scale(
        zero=False,
        nice=False,
        domainMin=alt.ExprRef(by_value("kind", {kind: f.first for kind, f in frames.items()})),
        domainMax=alt.ExprRef(by_value("kind", {kind: f.last for kind, f in frames.items()})),
    )
    value, low, high, noise = (
        alt.X(f"{key}:Q", axis=axis, scale=scale) for key in ("x", "from", "to", "test")
    )
    y = row_place(list(styles))
    color = arm_color(styles, legend=None)
    tooltip = [
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("text:N", title="value [95 %]"),
        alt.Tooltip("n:Q", title="n"),
    ]
    test = base.transform_filter("isValid(datum.test)").mark_tick(
        color=SOFT, thickness=2, height=20, aria=False
    )
    ends = base.transform_filter("isValid(datum.from)").mark_rule(strokeWidth=3, aria=False)
    arrows = [
        base.transform_filter(f"datum.{cut} === 1")
        .mark_point(shape=shape, filled=True, size=90, opacity=1, aria=False)
        .encode(x=place, y=y, color=color)
        for cut, shape, place in (
            ("cut_low", "triangle-left", low),
            ("cut_high", "triangle-right", high),
        )
    ]
    return [
        row_names(base, y),
        test.encode(x=noise, y=y),
        ends.encode(x=low, x2="to:Q", y=y, color=color),
        *arrows,
        base.mark_point(filled=True, size=110, opacity=1, stroke=PAPER, strokeWidth=1.2).encode(
            x=value, y=y, color=color, shape=arm_shape(styles, legend=None), tooltip=tooltip
        ),
    ]
