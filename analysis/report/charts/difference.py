"""The difference of two learning curves with the band that holds for all of it, pair by pair.

In: the `Ahead`s of one task. Out: a `Spec`; the reader chooses the pair. Where the whole band
leaves 0, the mean is drawn thick. The pair stands over the chart, on paper too.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np

from analysis.figures.rows import until_where
from analysis.figures.style import Styles
from analysis.findings.ahead import Ahead
from analysis.report.charts.base import (
    INK,
    SOFT,
    Row,
    Spec,
    arm_color,
    choice,
    finish,
    named,
    plain,
)
from analysis.report.charts.forest import pair_words
from analysis.statistics.times.course import Course

FIELDS = ("step", "mean", "low", "high", "bottom", "top", "sure")


def difference_chart(rows: Sequence[Ahead], styles: Styles, course: Course) -> Spec | None:
    """The chart of one task; None where no pair has enough seeds for a band."""
    if not rows:
        return None
    pairs = {k: pair_words(*row.pair) for k, row in enumerate(rows)}
    styles = {arm: styles[arm] for arm in styles if any(row.pair.treatment == arm for row in rows)}
    words = (
        f"Mean paired difference in {course.words} on validation images by training step, with a "
        "band that holds for the whole curve at once: where it leaves 0, one arm is ahead."
    )
    data = {"pairs": [_row(k, row, course) for k, row in enumerate(rows)], "zero": [{"y": 0}]}
    return finish(
        _layers(styles),
        data,
        styles,
        words,
        title=f"Ahead in {course.words}{course.of_difference}",
        height=250,
        params=choice("pair", "Pair", pairs),
        legend=False,
    )


def _row(number: int, ahead: Ahead, course: Course) -> Row:
    band = ahead.band
    factor = 100 if course.is_share else 1
    mean, low, high = (factor * np.asarray(v) for v in (band.mean, band.low, band.high))
    room = factor * until_where(band.mean)  # the drawing is cut, the tooltip is not
    return {
        "arm": ahead.pair.treatment,
        "pair": number,
        "name": pair_words(*ahead.pair),
        "step": plain(ahead.steps),
        "mean": plain(mean, 4),
        "low": plain(low, 4),
        "high": plain(high, 4),
        "bottom": plain(np.fmax(low, -room), 4),
        "top": plain(np.fmin(high, room), 4),
        "sure": (band.ahead | band.behind).astype(int).tolist(),
        "n": band.n,
    }


def _layers(styles: Styles) -> list[alt.Chart]:
    base = alt.Chart(named("pairs")).transform_filter("datum.pair === pair")
    base = base.transform_flatten(list(FIELDS))
    signed = alt.Axis(labelExpr="format(datum.value, '+.4~g')", title=None, tickCount=6)
    x = alt.X("step:Q", title="Training steps", axis=alt.Axis(grid=False, tickCount=8))
    mean, bottom, sure = (alt.Y(f"{key}:Q", axis=signed) for key in ("mean", "bottom", "part"))
    color = arm_color(styles, legend=None)
    tooltip = [
        alt.Tooltip("step:Q", title="step", format=","),
        alt.Tooltip("mean:Q", title="difference", format="+.3~g"),
        alt.Tooltip("low:Q", title="band from", format="+.3~g"),
        alt.Tooltip("high:Q", title="to", format="+.3~g"),
        alt.Tooltip("n:Q", title="pairs"),
    ]
    thick = base.transform_calculate(part="datum.sure ? datum.mean : null")
    chosen = alt.Chart(named("pairs")).transform_filter("datum.pair === pair")
    name = chosen.mark_text(
        align="right", dy=-14, fontSize=12, color=INK, limit=alt.ExprRef("width - 175"), aria=False
    )
    return [
        name.encode(alt.Text("name:N"), x=alt.value(alt.ExprRef("width")), y=alt.value(0)),
        base.mark_area(opacity=0.17, aria=False).encode(x=x, y=bottom, y2="top:Q", color=color),
        alt.Chart(named("zero")).mark_rule(color=SOFT, aria=False).encode(y="y:Q"),
        base.mark_line(strokeWidth=1.6, aria=False).encode(x=x, y=mean, color=color),
        thick.mark_line(strokeWidth=4.2, strokeCap="round", aria=False).encode(
            x=x, y=sure, color=color
        ),
        base.mark_circle(size=90, opacity=0, aria=False).encode(x=x, y=mean, tooltip=tooltip),
    ]
