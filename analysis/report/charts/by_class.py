"""F1 by class and arm, the hardest class first.

In: `ClassTables.scores` of one task. Out: a `Spec`.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis import words
from analysis.figures.style import Styles
from analysis.report.charts.base import Spec, arm_color, arm_shape, finish, rounded, shown

MOST_CLASSES = 40  # the hardest


def f1_chart(scores: pd.DataFrame, styles: Styles) -> Spec | None:
    """F1 of one task, the hardest class first; scores: columns arm, class_name, f1, f1_low, …."""
    scores = scores[scores["f1"].notna()]
    if scores.empty:
        return None
    mean = scores.groupby("class_name")["f1"].mean().sort_values(kind="stable")
    order = [str(name) for name in mean.index[:MOST_CLASSES]]
    arms = {arm: styles[arm] for arm in styles if (scores["arm"] == arm).any()}
    rows = [
        {
            "arm": row["arm"],
            "cls": str(row["class_name"]),
            "f1": rounded(row["f1"]),
            "low": rounded(row["f1_low"]),
            "high": rounded(row["f1_high"]),
            "text": words.interval("number", row["f1"], row["f1_low"], row["f1_high"]),
            "n": int(row["n"]),
        }
        for row in scores.to_dict("records")
        if str(row["class_name"]) in order
    ]
    most = f"; the hardest {MOST_CLASSES} of {len(mean)}" if len(mean) > MOST_CLASSES else ""
    each = max(16, 7 * len(arms) + 6)
    return finish(
        _f1_layers(arms, order),
        {"rows": rows},
        arms,
        "F1 by class and arm, mean over seeds with its 95 % interval, the hardest class first.",
        title=f"F1 by class, the hardest first{most}",
        height=each * len(order),
    )


def _f1_layers(styles: Styles, order: list[str]) -> list[alt.Chart]:
    axis = alt.Axis(title="F1", tickCount=7)
    scale = alt.Scale(zero=False)
    f1, low = (alt.X(f"{k}:Q", axis=axis, scale=scale) for k in ("f1", "low"))
    rows = alt.Axis(title=None, grid=True, ticks=False, labelColor="var(--ink)")
    y = alt.Y("cls:N", sort=order, axis=rows, scale=alt.Scale(domain=order, padding=0.2))
    beside = alt.YOffset("arm:N", scale=alt.Scale(domain=list(styles)))
    color, base = arm_color(styles), shown("rows")
    tooltip = [
        alt.Tooltip("cls:N", title="class"),
        alt.Tooltip("arm:N", title="arm"),
        alt.Tooltip("text:N", title="F1 [95 %]"),
        alt.Tooltip("n:Q", title="n"),
    ]
    ends = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.6, aria=False)
    return [
        ends.encode(x=low, x2="high:Q", y=y, yOffset=beside, color=color),
        base.mark_point(filled=True, size=46, opacity=1, aria=False).encode(
            x=f1, y=y, yOffset=beside, color=color, shape=arm_shape(styles), tooltip=tooltip
        ),
    ]
