"""Search trials: a setting against the validation score that chose, the chosen trials marked.

In: a `Tried` and one of its settings. Out: a `Spec`. Numbers run along an axis; texts and few
values are a list, a row each, so that long ones can be read on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from analysis.figures.focus import searched_styles
from analysis.figures.rows import Tried, in_list, is_wide, setting_axis
from analysis.figures.style import Styles
from analysis.findings.searches import setting_text
from analysis.report.charts.base import (
    INK,
    PERCENT,
    Row,
    Spec,
    arm_color,
    arm_shape,
    finish,
    log_axis,
    named,
    rounded,
    row_names,
    row_place,
    shown,
)
from analysis.words import spaced

LISTED = 58  # pixels of a row: its name, and trials below it
MOST_POINTS = 1500  # of all arms: each has a text that names all its settings


def search_chart(tried: Tried, setting: str, styles: Styles) -> Spec | None:
    """The chart of one setting; None where no trial has a score."""
    rows = tried.rows[tried.rows[setting].notna()]
    if rows.empty:
        return None
    looks = searched_styles(tried, styles)
    first = rows.sort_values("chosen", ascending=False, kind="stable")
    rows = rows.loc[
        first.groupby("arm").head(max(1, MOST_POINTS // len(looks))).index.sort_values()
    ]
    kind = setting_axis(setting, rows[setting])
    texts: Sequence[str] = ()
    places = rows[setting]
    if kind == "list":
        texts, places = in_list(rows[setting])
    data = {"tried": _points(tried, rows, places)}
    if texts:
        data["values"] = [{"x": k, "text": text} for k, text in enumerate(texts)]
    score = _score_axis(tried, rows["score"])
    layers = _listed(tried, looks, texts, score) if texts else _along(tried, looks, setting, score)
    return finish(
        layers,
        data,
        looks,
        f"{tried.score.capitalize()} of search trials by {spaced(setting)}; a ring marks what a "
        "search chose.",
        title=spaced(setting).capitalize(),
        height=LISTED * len(texts) if texts else 260,
    )


def _points(tried: Tried, rows: pd.DataFrame, places: pd.Series) -> list[Row]:
    settings = [
        ", ".join(f"{spaced(key)} {setting_text(row[key])}" for key in tried.settings if key in row)
        for row in ({k: v for k, v in r.items() if not pd.isna(v)} for r in rows.to_dict("records"))
    ]
    beside = [(k * 0.618034) % 1 - 0.5 for k in range(len(rows))]  # needs no generator
    columns = zip(rows["arm"], rows["seed"], rows["score"], rows["chosen"], strict=True)
    return [
        {
            "arm": arm,
            "seed": int(seed),
            "x": rounded(place),
            "score": rounded(score),
            "chosen": int(chosen),
            "jitter": rounded(jitter, 2),
            "text": text,
        }
        for (arm, seed, score, chosen), place, jitter, text in zip(
            columns, places, beside, settings, strict=True
        )
    ]


def _score_axis(tried: Tried, scores: pd.Series) -> tuple[alt.Axis, alt.Scale]:
    form = PERCENT if tried.is_share else "format(datum.value, '~g')"
    title = f"Best {tried.score}" + ("" if tried.is_share else " (less is better)")
    if not tried.is_share and is_wide(scores):
        scale, ticks = log_axis(scores.min(), scores.max())
        return alt.Axis(title=title, labelExpr=form, values=ticks), scale
    axis = alt.Axis(title=title, labelExpr=form, tickCount=6)
    return axis, alt.Scale(zero=False, padding=12)


def _along(
    tried: Tried, styles: Styles, setting: str, score: tuple[alt.Axis, alt.Scale]
) -> list[alt.Chart]:
    """A numeric setting along x, the score along y."""
    form = "format(datum.value, '~g')"
    axis = alt.Axis(title=None, tickCount=6, labelExpr=form)
    scale = alt.Scale(zero=False, padding=14)
    values = tried.rows[setting].dropna()
    if setting_axis(setting, values) == "log":
        scale, ticks = log_axis(values.min(), values.max())
        axis = alt.Axis(title=None, values=ticks, labelExpr=form)
    x = alt.X("x:Q", axis=axis, scale=scale)
    return _marks(tried, styles, x, alt.Y("score:Q", axis=score[0], scale=score[1]))


def _listed(
    tried: Tried, styles: Styles, texts: Sequence[str], score: tuple[alt.Axis, alt.Scale]
) -> list[alt.Chart]:
    """A row for each value of the setting, the score along x."""
    y = row_place(list(range(len(texts))), "x")
    beside = alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-1.6, 0.6]))  # below the name
    marks = _marks(
        tried, styles, alt.X("score:Q", axis=score[0], scale=score[1]), y, yOffset=beside
    )
    return [row_names(alt.Chart(named("values")), y, "text"), *marks]


def _marks(
    tried: Tried, styles: Styles, x: alt.X, y: alt.Y, **more: alt.YOffset
) -> list[alt.Chart]:
    base = shown("tried")
    tooltip = [
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("seed:Q", title="seed"),
        alt.Tooltip("score:Q", title=tried.score, format=".2%" if tried.is_share else ".4~g"),
        alt.Tooltip("text:N", title="settings"),
    ]
    place = {"x": x, "y": y, **more}
    points = base.mark_point(filled=True, size=48, opacity=0.6).encode(
        color=arm_color(styles), shape=arm_shape(styles), tooltip=tooltip, **place
    )
    ring = base.transform_filter("datum.chosen === 1").mark_point(
        shape="circle", size=190, color=INK, strokeWidth=1.8, opacity=1, aria=False
    )
    return [points, ring.encode(tooltip=tooltip, **place)]
