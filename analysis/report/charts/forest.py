"""Differences in final value as a forest: a row a comparison, coloured by what it shows.

In: rows of `PairTables.table` of one metric. Out: a `Spec` with a line at 0 and the margin as a
strip.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis import words
from analysis.report.charts.base import (
    PAPER,
    ROW,
    SOFT,
    VERDICTS,
    Row,
    Spec,
    finish,
    named,
    rounded,
    row_names,
    row_place,
)
from analysis.statistics.times.course import Course


def forest_chart(comparisons: pd.DataFrame, course: Course) -> Spec | None:
    """The chart of all tasks together; None where nothing was compared."""
    table = comparisons[comparisons["estimate"].notna()]
    if table.empty:
        return None
    several = len(set(table["task"])) > 1
    rows = [_row(k, row, course, several) for k, row in enumerate(table.to_dict("records"))]
    factor = 100 if course.is_share else 1
    margin = float(table["margin"].iloc[0]) * factor
    strip = [] if pd.isna(margin) else [{"from": -margin, "to": margin}]
    axis = f"Difference in {course.words}{course.of_difference}"
    return finish(
        _layers([row["row"] for row in rows], axis),
        {"rows": rows, "zero": [{"x": 0}], "margin": strip},
        {},
        f"{axis}, treatment minus control, with 95 % intervals, by comparison; green is better, "
        "red is worse.",
        height=ROW * len(rows),
    )


def _row(number: int, row: dict[str, object], course: Course, several: bool) -> Row:
    estimate, low, high = (float(str(row[key])) for key in ("estimate", "low", "high"))
    factor = 100 if course.is_share else 1
    kind = "points" if course.is_share else "signed"
    text = words.interval(kind, estimate, low, high)
    verdict = str(row["verdict"])
    known = verdict if verdict in VERDICTS else "not known"
    where = f"{row['task']}: " if several else ""
    pair = pair_words(str(row["treatment"]), str(row["control"]))
    return {
        "row": number,
        "label": f"{where}{pair}: {known}, {text}",
        "pair": pair,
        "estimate": rounded(factor * estimate),
        "low": rounded(factor * low),
        "high": rounded(factor * high),
        "text": text,
        "verdict": known,
        "n": int(str(row["n_pairs"])),
    }


def pair_words(treatment: str, control: str) -> str:
    """`a − b`; of two points of a grid with the same values these are written once."""
    (first, _, point), (second, _, other) = (a.partition(" [") for a in (treatment, control))
    return (
        f"{first} − {second} [{point}" if point and point == other else f"{treatment} − {control}"
    )


def _layers(order: list[Any], title: str) -> list[alt.Chart]:
    axis = alt.Axis(title=title, labelExpr="format(datum.value, '+.3~g')", tickCount=7)
    scale = alt.Scale(padding=14)
    estimate, low = (alt.X(f"{k}:Q", axis=axis, scale=scale) for k in ("estimate", "low"))
    y = row_place(order, "row")
    color = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values())),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("pair:N", title="pair"),
        alt.Tooltip("text:N", title="difference [95 %]"),
        alt.Tooltip("verdict:N", title="it is"),
        alt.Tooltip("n:Q", title="pairs"),
    ]
    base = alt.Chart(named("rows"))
    strip = alt.Chart(named("margin")).mark_rect(color=SOFT, opacity=0.15, aria=False)
    return [
        row_names(base, y, "label"),
        strip.encode(x=alt.X("from:Q", axis=axis, scale=scale), x2="to:Q"),
        alt.Chart(named("zero")).mark_rule(color=SOFT, aria=False).encode(x="x:Q"),
        base.mark_rule(strokeWidth=3, aria=False).encode(x=low, x2="high:Q", y=y, color=color),
        base.mark_point(filled=True, size=110, opacity=1, stroke=PAPER, strokeWidth=1.2).encode(
            x=estimate, y=y, color=color, tooltip=tooltip
        ),
    ]
