"""What all charts share: the look of arms, axes and titles, and the mapping that is handed on.

In: layers built with altair, and rows of plain data. Out: a `Spec`. It stands alone so that each
chart is a few lines about its own marks. Names of arms and classes are values of the data and never
part of an expression, so no name can be read as one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
from altair.utils import schemapi
from numpy.typing import ArrayLike

from analysis.figures.style import Styles

Spec = dict[str, Any]
Row = dict[str, Any]
# Labels of an axis of shares, which may end beyond 100 % to have room, but says no such number.
PERCENT = "datum.value > 1.00001 ? '' : format(100 * datum.value, '.4~g') + ' %'"
HIDDEN = "hidden"  # the parameter with the arms that the reader has switched off
SHAPES = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "<": "triangle-left",
    ">": "triangle-right",
    "*": "M0,-1L.23,-.31L.95,-.31L.36,.12L.59,.81L0,.38L-.59,.81L-.36,.12L-.95,-.31L-.23,-.31Z",
    "X": "M-.5,-.9L0,-.4L.5,-.9L.9,-.5L.4,0L.9,.5L.5,.9L0,.4L-.5,.9L-.9,.5L-.4,0L-.9,-.5Z",
    "p": "M0,-.9L.86,-.28L.53,.73L-.53,.73L-.86,-.28Z",
    "h": "M0,-.9L.78,-.45L.78,.45L0,.9L-.78,.45L-.78,-.45Z",
}
SOFT, RULE, INK, PAPER = "var(--soft)", "var(--rule)", "var(--ink)", "var(--paper)"
VERDICTS = {
    "better": "var(--good)",
    "worse": "var(--bad)",
    "equivalent": "var(--accent)",
    "not known": SOFT,
}
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "domainColor": SOFT,
        "tickColor": SOFT,
        "gridColor": RULE,
        "labelFontSize": 12,
        "titleFontSize": 12.5,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelOverlap": True,
        "labelFlush": False,
    },
    "legend": {
        "labelColor": INK,
        "labelFontSize": 12,
        "titleColor": SOFT,
        "labelLimit": 300,
        "symbolOpacity": 1,
        "symbolStrokeWidth": 2,
        "orient": "bottom",
        "columns": 3,
        "title": None,
    },
    "title": {
        "anchor": "start",
        "color": SOFT,
        "fontSize": 12.5,
        "fontWeight": "normal",
        "frame": "group",
        "offset": 10,
    },
}


def plain(values: ArrayLike, digits: int = 5) -> list[float | int | None]:
    """Numbers with `digits` significant digits; null for what is not finite."""
    return [rounded(v, digits) for v in np.asarray(values, dtype=float).tolist()]


def rounded(value: float, digits: int = 5) -> float | int | None:
    """One number as `plain` writes it; whole numbers without a fraction."""
    if not np.isfinite(value):
        return None
    number = float(f"{value:.{digits}g}")
    return int(number) if number.is_integer() else number


def named(name: str) -> alt.NamedData:
    """The rows of that name in the chart's `data`."""
    return alt.NamedData(name=name)


def shown(name: str, **kwargs: Any) -> alt.Chart:
    """A chart of the rows of `name` whose arm is switched on."""
    chart = alt.Chart(named(name), **kwargs)
    return chart.transform_filter(f"indexof({HIDDEN}, datum.arm) < 0")


def arm_color(styles: Styles, **channel: Any) -> alt.Color:
    """Colour by the field `arm`; its legend is drawn where no page draws one."""
    colors = [f"var(--arm-{style.color})" for style in styles.values()]
    scale = alt.Scale(domain=list(styles), range=colors)
    return alt.Color("arm:N", scale=scale, **channel)


def arm_shape(styles: Styles, **channel: Any) -> alt.Shape:
    """Mark by the field `arm`, told by the same legend as its colour."""
    shapes = [SHAPES[style.marker] for style in styles.values()]
    return alt.Shape("arm:N", scale=alt.Scale(domain=list(styles), range=shapes), **channel)


def row_names(rows: alt.Chart, y: alt.Y, field: str = "arm") -> alt.Chart:
    """Over each row its name, along the whole width, so that long names fit on a phone too."""
    mark = rows.mark_text(
        align="left", dy=-13, fontSize=12, color=INK, limit=alt.ExprRef("width"), aria=False
    )
    names: alt.Chart = mark.encode(alt.Text(f"{field}:N"), x=alt.value(0), y=y)
    return names


def row_place(order: Sequence[Any], field: str = "arm") -> alt.Y:
    """The y axis of a list: a row each, without labels (`row_names` writes them)."""
    return alt.Y(f"{field}:N", sort=list(order), axis=None, scale=alt.Scale(domain=list(order)))


ROW = 46  # pixels of a row with its name


def log_axis(low: float, high: float, room: float = 1.2) -> tuple[alt.Scale, list[float]]:
    """A logarithmic scale from `low` to `high`, both above 0, with `room` around; its ticks."""
    first, last = low / room, high * room
    scale = alt.Scale(type="log", domain=[rounded(first), rounded(last)], nice=False)
    return scale, log_ticks(first, last)


def log_ticks(first: float, last: float) -> list[float]:
    """Round numbers between two numbers above 0, so many that each can be labelled."""
    decades = math.log10(last / first)
    steps = (1, 2, 5) if decades < 2.2 else (1, 3) if decades < 3.5 else (1,)
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    ticks = (float(f"{step}e{power}") for power in powers for step in steps)
    return [tick for tick in ticks if first <= tick <= last]


def choice(name: str, label: str, options: Mapping[Any, str]) -> list[alt.VariableParameter]:
    """A parameter with a menu of `options` (value: words), the first chosen; none to choose: none.

    Where only one option is left, the parameter stays, with its value and without a menu.
    """
    values = list(options)
    if len(values) == 1:
        return [alt.VariableParameter(name=name, value=values[0])]
    menu = alt.binding_select(options=values, labels=list(options.values()), name=f"{label} ")
    return [alt.VariableParameter(name=name, value=values[0], bind=menu)]


def by_value(name: str, options: Mapping[Any, object]) -> str:
    """The expression that gives for the value of parameter `name` what `options` holds for it.

    options: keys and values of our own code (never names from a run): numbers, texts and lists.
    """
    whole = ""
    for value, result in options.items():
        whole += f"{name} === {_literal(value)} ? {_literal(result)} : "
    return f"{whole}null"


def _literal(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def finish(
    layers: Sequence[alt.Chart | alt.LayerChart],
    data: Mapping[str, Sequence[Row]],
    styles: Styles,
    description: str,
    *,
    title: str | alt.ExprRef = "",
    height: float = 320,
    params: Sequence[alt.VariableParameter] = (),
    legend: bool = True,
    **more: Any,
) -> Spec:
    """The whole description: layers on one pair of axes, their data, and what can be chosen.

    usermeta.legend: which arms the page's legend names; none where the axis names them.
    """
    if title:
        more["title"] = alt.TitleParams(title)
    chart = alt.layer(*layers).properties(height=height, width="container", **more)
    spec: Spec = chart.to_dict(validate=schemapi.DEBUG_MODE)
    arms = {row["arm"] for rows in data.values() for row in rows if "arm" in row}
    off = alt.VariableParameter(name=HIDDEN, value=[])
    return {
        **spec,
        "description": description,
        "config": CONFIG,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "params": [param.to_dict() for param in (off, *params)],
        "datasets": {name: list(rows) for name, rows in data.items()},
        "usermeta": {"legend": [arm for arm in styles if arm in arms and legend]},
    }
