"""Who is taken for whom: confusion matrices of arms, and their differences of pairs.

In: `ClassTables` of one task. Out: `Spec`s. Mistakes of all arms are drawn on one scale, and what
was right has no colour of a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from analysis.figures.rows import MOST_CELLS, largest_mistake
from analysis.report.charts.base import INK, RULE, Row, Spec, choice, finish, named, plain
from analysis.report.charts.forest import pair_words
from analysis.statistics.classes.scores import Confusion
from analysis.statistics.samples.arrays import Floats

MOST_WRITTEN = 12
DARKEST = 0.5  # opacity under numbers: more, and neither ink nor paper is legible on it in dark
CELLS = ("t", "p", "share", "count", "right", "sign")
BETTER, WORSE = "var(--good)", "var(--bad)"


def confusion_chart(matrices: Mapping[str, Confusion], names: Sequence[str]) -> Spec | None:
    """Shares of each true class that were given each label; the reader chooses the arm.

    matrices: by arm, all of the classes `names`. None where there are too many classes to see.
    """
    if not matrices or len(names) > MOST_CELLS:
        return None
    largest = largest_mistake(matrix.mean for matrix in matrices.values())
    rows = [
        {"which": k, "seeds": m.n_trials, **_cells(m.mean, m.pooled)}
        for k, m in enumerate(matrices.values())
    ]
    return _matrix(
        rows,
        names,
        dict(enumerate(matrices)),
        "Arm",
        f"Mistakes, % of the true class (up to {100 * largest:.3g} %)",
        largest,
        "Who is taken for whom, by arm: the share of each true class that was given each label.",
    )


def confusion_difference_chart(
    differences: Mapping[tuple[str, str], Floats], names: Sequence[str]
) -> Spec | None:
    """Difference of two arms' shares; green cells are to the treatment's credit, red ones not.

    differences: by (treatment, control).
    """
    if not differences or len(names) > MOST_CELLS:
        return None
    rows = [{"which": k, **_cells(d, None)} for k, d in enumerate(differences.values())]
    largest = max(max((abs(v or 0) for v in row["share"]), default=0) for row in rows)
    pairs = {k: pair_words(*pair) for k, pair in enumerate(differences)}
    return _matrix(
        rows,
        names,
        pairs,
        "Pair",
        "Points of the true class; green is better",
        max(largest, 0.001),
        "Difference of two arms' shares of each true class by label, in points.",
    )


def _cells(shares: Floats, counts: np.ndarray | None) -> Row:
    """Lists of the cells that are not 0; sign: 1 where a cell is good news, −1 where it is bad."""
    true, called = np.nonzero(np.nan_to_num(shares))
    values = shares[true, called]
    right = true == called
    good = (values > 0) == right
    cells: Row = {
        "t": true.tolist(),
        "p": called.tolist(),
        "share": plain(values, 4),
        "right": right.astype(int).tolist(),
        "sign": np.where(good, 1, -1).tolist(),
    }
    return cells | ({} if counts is None else {"count": counts[true, called].tolist()})


def _matrix(
    rows: list[Row],
    names: Sequence[str],
    options: Mapping[int, str],
    label: str,
    title: str,
    largest: float,
    description: str,
) -> Spec:
    unique = [name if names.index(name) == k else f"{name} ({k})" for k, name in enumerate(names)]
    side = 34 if len(names) <= MOST_WRITTEN else max(9, min(26, 620 // len(names)))
    classes = [{"i": k, "name": name} for k, name in enumerate(unique)]
    spec = finish(
        _matrix_layers(unique, "count" in rows[0], largest),
        {"cells": rows, "classes": classes},
        {},
        description,
        title=title,
        height=side * len(names),
        params=choice("which", label, options),
    )
    spec["usermeta"]["width"] = max(420, 2 * side * len(names) if len(names) <= 12 else 760)
    return spec


def _matrix_layers(names: list[str], counted: bool, largest: float) -> list[alt.Chart]:
    fields = tuple(field for field in CELLS if counted or field != "count")
    base = (
        alt.Chart(named("cells"))
        .transform_filter("datum.which === which")
        .transform_flatten(list(fields))
        .transform_lookup("t", alt.LookupData(named("classes"), "i", ["name"]), as_=["true"])
        .transform_lookup("p", alt.LookupData(named("classes"), "i", ["name"]), as_=["called"])
        .transform_calculate(size="abs(datum.share)")
    )
    axis: dict[str, Any] = {"grid": False, "ticks": False, "domain": False, "labelLimit": 90}
    domain = alt.Scale(domain=names, paddingInner=0.06 if len(names) <= MOST_WRITTEN else 0)
    turned = 0 if max(map(len, names)) <= 2 else -90
    place = {
        "x": alt.X(
            "called:N", title="Predicted", scale=domain, axis=alt.Axis(labelAngle=turned, **axis)
        ),
        "y": alt.Y("true:N", title="True", scale=domain, axis=alt.Axis(**axis)),
    }
    darkest = DARKEST if len(names) <= MOST_WRITTEN else 0.9
    shade = alt.Opacity(
        "size:Q", scale=alt.Scale(type="sqrt", domain=[0, largest], range=[0, darkest]), legend=None
    )
    kinds = alt.Color("sign:N", scale=alt.Scale(domain=[1, -1], range=[BETTER, WORSE]), legend=None)
    form = ".2%" if counted else "+.2%"
    tooltip = [
        alt.Tooltip("true:N", title="true"),
        alt.Tooltip("called:N", title="predicted"),
        alt.Tooltip("share:Q", title="share of the true class", format=form),
        *([alt.Tooltip("count:Q", title="images, all seeds", format=",")] if counted else []),
        *([alt.Tooltip("seeds:Q", title="seeds")] if counted else []),
    ]
    diagonal = base.transform_filter("datum.right === 1")
    wrong = base.transform_filter("datum.right === 0") if counted else base
    layers = [
        wrong.mark_rect(aria=False).encode(**place, color=kinds, opacity=shade, tooltip=tooltip)
    ]
    if counted:  # what was right: a frame, and no colour of a mistake
        frame = diagonal.mark_rect(fill="transparent", stroke=RULE, strokeWidth=1.5, aria=False)
        layers.append(frame.encode(**place, tooltip=tooltip))
    if len(names) <= MOST_WRITTEN:
        size = alt.ExprRef(f"min(11, width / {2.7 * len(names)})")
        sign = "" if counted else "+"
        texts = base.transform_calculate(
            words=f"datum.size < 0.0005 ? '' : format(100 * datum.share, '{sign}.1f')"
        ).mark_text(fontSize=size, aria=False)
        ink = alt.value(INK)
        layers.append(texts.encode(alt.Text("words:N"), color=ink, **place, tooltip=tooltip))
    return layers
