"""Final value by arm: every seed a dot, the mean with its interval, one row an arm.

In: `Findings.evidence` and `.arms` of one task. Out: a `Spec`.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis import words
from analysis.figures.style import Styles
from analysis.report.charts.base import (
    PAPER,
    PERCENT,
    ROW,
    Row,
    Spec,
    arm_color,
    arm_shape,
    finish,
    named,
    plain,
    rounded,
    row_names,
    row_place,
)
from analysis.statistics.times.course import Course

MOST_DOTS = 12_000  # of all arms: the page must open on a phone


def finals_chart(
    evidence: pd.DataFrame, arms: pd.DataFrame, score: str, styles: Styles, course: Course
) -> Spec | None:
    """The chart of one task; evidence and arms: its rows. None where nothing finished."""
    scored = arms[arms["score"].notna()]
    if scored.empty:
        return None
    order = scored["arm"].tolist()
    done = evidence[(evidence["status"] == "done") & evidence["arm"].isin(order)]
    dots = done[done[score].notna()].groupby("arm", sort=False).head(MOST_DOTS // len(order))
    each = [_seeds(str(arm), rows, score) for arm, rows in dots.groupby("arm", sort=False)]
    part = "Test" if score.startswith("test_") else "Best validation"
    styles = {arm: styles[arm] for arm in order}
    description = f"Final {course.words} by arm: every seed a dot, and the mean with its interval."
    label = f"{part} {course.words}{course.of_unit}"
    return finish(
        _layers(styles, course, label),
        {"seeds": each, "means": [_mean(row, course) for row in scored.to_dict("records")]},
        styles,
        description,
        height=ROW * len(order),
        legend=False,
    )


def _seeds(arm: str, rows: pd.DataFrame, score: str) -> Row:
    """Lists of one arm's values; jitter: a place beside the line that needs no generator."""
    jitter = [rounded((k * 0.618034) % 1 - 0.5, 2) for k in range(len(rows))]
    seeds = rows["seed"].astype(int).tolist()
    return {"arm": arm, "seed": seeds, "y": plain(rows[score]), "jitter": jitter}


def _mean(row: dict[str, object], course: Course) -> Row:
    score, low, high = (float(str(row[key])) for key in ("score", "score_low", "score_high"))
    return {
        "arm": row["arm"],
        "mean": rounded(score),
        "low": rounded(low),
        "high": rounded(high),
        "text": words.interval(course.kind, score, low, high),
        "n": int(str(row["score_n"])),
    }


def _layers(styles: Styles, course: Course, label: str) -> list[alt.Chart]:
    form = PERCENT if course.is_share else "format(datum.value, '~g')"
    axis = alt.Axis(title=label, labelExpr=form, tickCount=7)
    scale = alt.Scale(zero=False, padding=8)
    dots, mean, low = (alt.X(f"{k}:Q", axis=axis, scale=scale) for k in ("y", "mean", "low"))
    y = row_place(list(styles))
    color = arm_color(styles, legend=None)
    spread = alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-1.2, 0.9]))
    tooltip = [
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("text:N", title="mean [95 %]"),
        alt.Tooltip("n:Q", title="n"),
    ]
    seed = [
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("seed:Q", title="seed"),
        alt.Tooltip("y:Q", title=label, format=".2%" if course.is_share else ".4~g"),
    ]
    means = alt.Chart(named("means"))
    shape = arm_shape(styles, legend=None)
    return [
        row_names(means, y),
        alt.Chart(named("seeds"))
        .transform_flatten(["seed", "y", "jitter"])
        .mark_circle(size=26, opacity=0.4, aria=False)
        .encode(x=dots, y=y, yOffset=spread, color=color, tooltip=seed),
        means.mark_rule(strokeWidth=6, color=PAPER, aria=False).encode(x=low, x2="high:Q", y=y),
        means.mark_rule(strokeWidth=3, aria=False).encode(x=low, x2="high:Q", y=y, color=color),
        means.mark_point(size=110, filled=True, stroke=PAPER, strokeWidth=1.2, opacity=1).encode(
            x=mean, y=y, color=color, tooltip=tooltip, shape=shape
        ),
    ]
