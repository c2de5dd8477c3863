"""How stable arms are: spread over seeds with its interval, noise within runs, runs that broke.

In: `Findings.stability` of one task. Out: a `Spec`; the reader chooses which of the three.
"""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import pandas as pd

from analysis import words
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
    unit = " (points)" if course.is_share else ""
    titles = {
        "sd": f"SD of the final {course.words} over seeds{unit}",
        "late_sd": f"SD of {course.words} in the last third of a run{unit}",
        "broken": "Share of runs that failed or diverged (%)",
    }
    kinds = {key: MEASURES[key] for key in MEASURES if any(row["kind"] == key for row in rows)}
    chosen = {arm: styles[arm] for arm in order}
    return finish(
        _layers(chosen),
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


def _layers(styles: Styles) -> list[alt.Chart]:
    base = alt.Chart(named("rows")).transform_filter("datum.kind === kind")
    axis = alt.Axis(title=" ", tickCount=7)
    value, low, noise = (alt.X(f"{k}:Q", axis=axis) for k in ("value", "low", "noise"))
    y = row_place(list(styles))
    color = arm_color(styles, legend=None)
    tooltip = [
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("text:N", title="value [95 %]"),
        alt.Tooltip("n:Q", title="n"),
    ]
    test = base.transform_filter("isValid(datum.noise)").mark_tick(
        color=SOFT, thickness=2, height=20, aria=False
    )
    ends = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, aria=False)
    return [
        row_names(base, y),
        test.encode(x=noise, y=y),
        ends.encode(x=low, x2="high:Q", y=y, color=color),
        base.mark_point(filled=True, size=110, opacity=1, stroke=PAPER, strokeWidth=1.2).encode(
            x=value, y=y, color=color, shape=arm_shape(styles, legend=None), tooltip=tooltip
        ),
    ]
