"""Learning curves: validation solid, training dashed, the interval a band, single runs faint.

In: `Learning` of one task. Out: a `Spec` whose reader chooses what is drawn (accuracy, loss),
against what (steps, images, seconds, epochs) and of which part of the training. Values lie in
lists, one row an arm and metric, which the browser takes apart, so that places are written once for
all curves.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from analysis.figures.rows import QUANTITIES
from analysis.figures.style import Styles
from analysis.findings.learning import Learning
from analysis.report.charts.base import (
    PAPER,
    PERCENT,
    SOFT,
    Row,
    Spec,
    arm_color,
    arm_shape,
    by_value,
    choice,
    finish,
    named,
    plain,
    shown,
)
from analysis.statistics.times.course import ACCURACY, COURSES, Course

MOST_VALUES = 40_000  # of single runs, over all metrics: the page must open on a phone
MARKS = 6  # on one curve
FEW, MANY = 3, 6  # so few seeds, or more arms than this: wide bands lie over each other
UNITS = {
    "step": "Training steps",
    "samples": "Training images seen",
    "train_time_s": "Training seconds (mean over seeds)",
    "epoch": "Epochs",
}
PHASES = {"whole": "whole training", "early": "its first fifth", "late": "its last two thirds"}
PARTS = ("validation", "training", "right labels")
DASHES = ([1, 0], [5, 4], [1, 3])
WITHIN = {
    "whole": "true",
    "early": "datum.x <= datum.x0 + 0.2 * (datum.x1 - datum.x0)",
    "late": "datum.x >= datum.x0 + (datum.x1 - datum.x0) / 3",
}
CHOSEN = f"({' || '.join(f'(phase === {key!r} && {rule})' for key, rule in WITHIN.items())})"
SHARES = [name for name in QUANTITIES if COURSES[name].is_share]
IS_SHARE = f"indexof({SHARES}, quantity) >= 0"


def learning_chart(
    learning: Learning, task: str, styles: Styles, course: Course = ACCURACY
) -> Spec | None:
    """The chart of one task, which begins with what is measured; None without evaluations."""
    bands = learning.bands[learning.bands["task"] == task]
    runs = learning.runs[learning.runs["task"] == task]
    curves, keys = _curves(bands, styles)
    if not curves:
        return None
    styles = {arm: styles[arm] for arm in styles if any(row["arm"] == arm for row in curves)}
    single = _single(runs, curves, keys)
    drawn = sorted({row["quantity"] for row in curves}, key=[course.name, *QUANTITIES].index)
    quantities = {key: QUANTITIES[key][0] for key in drawn}
    units = {key: label for key, label in UNITS.items() if key in curves[0]}
    fields = [*units, "mean", "low", "high", "n"]
    params = [
        *choice("quantity", "Show", quantities),
        *choice("unit", "against", units),
        *choice("phase", "of", PHASES),
        *_switch(bool(single)),
    ]
    n_seeds = runs["seed"].nunique()
    shade = 0.16 if n_seeds > FEW and len(styles) <= MANY else 0.08
    layers = [_faint(styles, list(units)), *_means(styles, fields, shade), _x_title(units)]
    data: dict[str, list[Row]] = {"curves": curves, "runs": single, "title": [{}]}
    is_watched = any(row["part"] == "right labels" for row in curves)
    words = (
        "Learning curves by arm: the mean over seeds with its 95 % interval, solid on validation "
        "images, dashed on training images"
    ) + (", dotted on validation images by their right labels." if is_watched else ".")
    return finish(
        layers,
        data,
        styles,
        words,
        title=alt.ExprRef(by_value("quantity", _titles(curves, course))),
        height=330,
        params=params,
    )


def _curves(bands: pd.DataFrame, styles: Styles) -> tuple[list[Row], dict[tuple[str, str], int]]:
    """One row an arm and metric, with lists of places, means, ends and counts; their numbers."""
    rows: list[Row] = []
    keys: dict[tuple[str, str], int] = {}
    of_arm = dict(iter(bands.groupby(["arm", "metric"], sort=False)))
    for quantity, (_, *columns) in QUANTITIES.items():
        for part, column in zip(PARTS, columns, strict=True):
            for arm in styles:
                if (band := of_arm.get((arm, column))) is None:
                    continue
                keys[arm, column] = len(rows)
                identity = {"k": len(rows), "arm": arm, "quantity": quantity, "part": part}
                places = {u: plain(band[u]) for u in UNITS if u in band}
                values = {key: plain(band[key]) for key in ("mean", "low", "high", "n")}
                rows.append(identity | places | values)
    return rows, keys


def _single(runs: pd.DataFrame, curves: list[Row], keys: dict[tuple[str, str], int]) -> list[Row]:
    """Validation values of single runs at the places of their arm's mean; thinned where many."""
    columns = {columns[0] for _, *columns in QUANTITIES.values()}
    runs = runs[runs["metric"].isin(columns)]
    thin = -(-len(runs) // MOST_VALUES) or 1
    rows: list[Row] = []
    for (arm, column), own in runs.groupby(["arm", "metric"], sort=False):
        if (key := keys.get((str(arm), str(column)))) is None or own["seed"].nunique() < 2:
            continue
        curve = curves[key]
        table = own.set_index(["step", "seed"])["value"].unstack()  # noqa: PD010
        table = table.reindex(curve["step"])
        rows += [
            {"k": key, "arm": curve["arm"], "seed": int(seed), "y": plain(table[seed], 4)}
            for seed in table.columns[::thin]
        ]
    return rows


def _titles(curves: list[Row], course: Course) -> dict[str, str]:
    """What stands over the chart: the quantity, and which line is which where there are two."""
    titles = {}
    for key in dict.fromkeys(row["quantity"] for row in curves):
        parts = {row["part"] for row in curves if row["quantity"] == key}
        lines = "; dashed: training" if "training" in parts else f" on {min(parts)} images"
        lines += "; dotted: validation on right labels" * ("right labels" in parts)
        unit = course.of_unit if key == course.name else ""
        titles[key] = f"{QUANTITIES[key][0]}{unit}{lines}"
    return titles


def _switch(any_single: bool) -> list[alt.VariableParameter]:
    if not any_single:
        return [alt.VariableParameter(name="single", value=False)]
    box = alt.binding_checkbox(name="single runs ")
    return [alt.VariableParameter(name="single", value=True, bind=box)]


def _faint(styles: Styles, units: list[str]) -> alt.Chart:
    color = arm_color(styles)
    base = shown("runs").transform_filter("single")
    lines: alt.Chart = (
        base.transform_lookup(
            "k", alt.LookupData(data=named("curves"), key="k", fields=["quantity", *units])
        )
        .transform_filter("datum.quantity === quantity")
        .transform_calculate(x="datum[unit]")
        .transform_flatten(["x", "y"])
        .transform_joinaggregate(x0="min(x)", x1="max(x)")
        .transform_filter(CHOSEN)
        .mark_line(strokeWidth=0.7, opacity=0.22, aria=False)
        .encode(x=_x(), y=_y("y"), color=color, detail="seed:N")
    )
    return lines


def _of_curves(fields: Sequence[str]) -> alt.Chart:
    """The points of all curves that the menus choose, their bands cut to the room of the means."""
    base: alt.Chart = (
        shown("curves")
        .transform_filter("datum.quantity === quantity")
        .transform_flatten(list(fields))
        .transform_calculate(x="datum[unit]")
        .transform_filter("isValid(datum.mean)")
        .transform_joinaggregate(x0="min(x)", x1="max(x)")
        .transform_filter(CHOSEN)
        .transform_joinaggregate(y0="min(mean)", y1="max(mean)")
        # Two or three seeds have bands so wide that they would flatten every curve: cut those.
        .transform_calculate(room="0.6 * max(datum.y1 - datum.y0, 1e-9 + 0.02 * abs(datum.y1))")
        .transform_calculate(
            bottom="isValid(datum.low) ? max(datum.low, datum.y0 - datum.room) : datum.mean",
            top="isValid(datum.high) ? min(datum.high, datum.y1 + datum.room) : datum.mean",
        )
        .transform_calculate(
            bottom=f"{IS_SHARE} ? max(0, datum.bottom) : datum.bottom",
            top=f"{IS_SHARE} ? min(1, datum.top) : datum.top",
        )
    )
    return base


def _means(styles: Styles, fields: Sequence[str], shade: float) -> list[alt.Chart]:
    """Band of opacity `shade`, mean, marks that tell arms apart without colour, points to read."""
    base = _of_curves(fields)
    dash = alt.StrokeDash(
        "part:N", scale=alt.Scale(domain=list(PARTS), range=list(DASHES)), legend=None
    )
    band = base.transform_filter("datum.part === 'validation'").mark_area(opacity=shade, aria=False)
    line = base.mark_line(strokeWidth=2.2, aria=False)
    numbered = base.transform_window(
        place="row_number()", groupby=["k"], sort=[alt.SortField("x")]
    ).transform_joinaggregate(length="count()", groupby=["k"])
    every = f"(datum.place + 2 * datum.k) % max(1, round(datum.length / {MARKS})) === 0"
    marked = numbered.transform_filter(
        f"datum.part === 'validation' && (datum.length < 3 || {every})"
    ).mark_point(size=42, filled=True, stroke=PAPER, strokeWidth=0.7, aria=False)
    x, y, color = _x(), _y("mean"), arm_color(styles)
    return [
        band.encode(x=x, y=_y("bottom"), y2="top:Q", color=color),
        line.encode(x=x, y=y, color=color, strokeDash=dash, detail="k:N"),
        marked.encode(x=x, y=y, color=color, shape=arm_shape(styles)),
        _read(base).encode(x=x, y=y),
    ]


def _read(base: alt.Chart) -> alt.Chart:
    """Points that nobody sees, under which stands what a curve says there."""
    form = f"{IS_SHARE} ? format(100 * {{0}}, '.2f') + ' %' : format({{0}}, '.4~g')"
    mean, low, high = (form.format(f"datum.{key}") for key in ("mean", "low", "high"))
    text = f"({mean}) + (isValid(datum.low) ? ' [' + ({low}) + ', ' + ({high}) + ']' : '')"
    read = base.transform_calculate(words=text, where="format(datum.x, ',.5~g')")
    tooltip = [
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("part:N", title="on"),
        alt.Tooltip("where:N", title="at"),
        alt.Tooltip("words:N", title="mean [95 %]"),
        alt.Tooltip("n:Q", title="n"),
    ]
    points: alt.Chart = read.mark_circle(size=110, opacity=0, aria=False).encode(tooltip=tooltip)
    return points


def _x() -> alt.X:
    axis = alt.Axis(title=" ", grid=False, labelExpr="format(datum.value, '.4~s')", tickCount=8)
    return alt.X("x:Q", axis=axis, scale=alt.Scale(zero=False, nice=False))


def _y(field: str) -> alt.Y:
    labels = f"{IS_SHARE} ? ({PERCENT}) : format(datum.value, '.3~g')"
    axis = alt.Axis(title=None, labelExpr=labels, tickCount=7)
    return alt.Y(f"{field}:Q", axis=axis, scale=alt.Scale(zero=False, nice=False))


def _x_title(units: dict[str, str]) -> alt.Chart:
    """The title of the x axis, which follows what was chosen."""
    text = alt.TextValue(alt.ExprRef(by_value("unit", units)))
    mark = alt.Chart(named("title")).mark_text(dy=36, fontSize=12.5, color=SOFT, aria=False)
    center = {"x": alt.value(alt.ExprRef("width / 2")), "y": alt.value(alt.ExprRef("height"))}
    title: alt.Chart = mark.encode(text, **center)
    return title
