"""Native charts, drawn from the cells of other sheets: curves, final values, speedup.

In: tables that were placed. Out: charts of xlsxwriter. It stands alone because what a chart of a
spreadsheet can show differs from what the page can: it has no bands and no arrows. Where there are
many arms it shows those that the figures show (the controls and the best), never the first rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from analysis.figures import focus
from analysis.figures.style import ArmStyle, Styles
from analysis.findings.findings import Findings
from analysis.report.displays import curve_kind, curve_names, score_heading
from analysis.report.workbook.book import ACCENT, RULE, SOFT, Book, Placed, Sheet, Worksheet

Chart: TypeAlias = Any  # xlsxwriter comes without types
WIDTH, HEIGHT, LINE = 620, 360, 20  # points of the screen; a row of cells has 20
HIGH = 0.8  # accuracies above it have an axis that ends at 100 %
LONGEST_NAME = 120  # characters of a series
MOST_FINALS = 40  # arms along one axis
_MOST_ZEROS = 6  # of a number on an axis; others are written as 1.0E+09


@dataclass(frozen=True)
class Native:
    """A chart that is not in a sheet yet, and its height on the screen."""

    chart: Chart
    height: int


def curve_charts(
    book: Book, placed: Placed, sheet: Sheet, findings: Findings, styles: Styles
) -> list[Native]:
    """A chart for each task and measure."""
    charts = []
    for task in focus.focus_tasks(findings):
        rows = sheet.frame[sheet.frame["task"] == task]
        arms = [arm for arm in focus.focus_arms(findings, task) if (rows["arm"] == arm).any()]
        for metric, name in curve_names(findings).items():
            if metric not in placed.keys or rows[metric].isna().all():
                continue
            chart = book.file.add_chart({"type": "scatter", "subtype": "straight"})
            for arm in arms:
                chart.add_series(
                    _curve(placed, metric, rows.index[rows["arm"] == arm], styles[arm])
                )
            form = "0%" if curve_kind(findings, metric) == "percent" else "0.00"
            most = {"max": 1} if form == "0%" and rows[metric].max() > HIGH else {}
            chart.set_x_axis(_axis("Training steps", "#,##0") | {"min": 0})
            chart.set_y_axis(_axis(name, form) | _GRID | most)
            title = focus.titled(name, findings, task)
            charts.append(_dressed(chart, title, _legend_lines(arms)))
    return charts


def _curve(placed: Placed, metric: str, rows: pd.Index, style: ArmStyle) -> dict[str, object]:
    first, last = int(rows[0]), int(rows[-1])
    return {
        "name": placed.cell("arm", first),
        "categories": placed.cells("step", first, last),
        "values": placed.cells(metric, first, last),
        "line": {"color": style.hex, "width": 1.75},
    }


def final_charts(book: Book, placed: Placed, sheet: Sheet, findings: Findings) -> list[Native]:
    """Final values by arm, a chart for each task that has not too many arms for an axis."""
    charts = []
    for task in focus.focus_tasks(findings):
        rows = sheet.frame[(sheet.frame["task"] == task) & sheet.frame["score"].notna()]
        if 0 < len(rows) <= MOST_FINALS:
            title = focus.titled(f"{score_heading(findings)} by arm", findings, task)
            charts.append(final_chart(book, placed, rows, "score", findings, title))
    return charts


def final_chart(
    book: Book, placed: Placed, rows: pd.DataFrame, key: str, findings: Findings, title: str
) -> Native:
    """The values in `key` of these rows, with the error bars of `key`_down and `key`_up.

    rows: of the placed frame, one below the other, with columns arm, `key`, `key`_low, `key`_high.
    """
    first, last = int(rows.index[0]), int(rows.index[-1])
    chart = book.file.add_chart({"type": "line"})
    chart.add_series(
        {
            "name": score_heading(findings),
            "categories": placed.cells("arm", first, last),
            "values": placed.cells(key, first, last),
            "line": {"none": True},
            "marker": _marker("diamond", ACCENT),
            "y_error_bars": _bars(placed, key, first, last, ACCENT),
        }
    )
    low, high = (rows[f"{key}_{end}"].fillna(rows[key]) for end in ("low", "high"))
    first_tick, last_tick, form = _ends(low.min(), high.max(), findings.course.is_share)
    chart.set_x_axis(_axis("Arm", "General"))
    axis = _axis(score_heading(findings), form)
    chart.set_y_axis(axis | _GRID | {"min": first_tick, "max": last_tick})
    longest = max(len(str(arm)) for arm in rows["arm"])
    turned = len(rows) * longest > WIDTH / 8  # names that do not fit side by side
    native = _dressed(chart, f"{title}, with 95 % intervals", 0, min(160, 5 * longest) * turned)
    chart.set_legend({"none": True})
    return native


def speedup_charts(
    book: Book, placed: Placed, sheet: Sheet, findings: Findings, styles: Styles
) -> list[Native]:
    """Speedup in steps at each target, a chart for each task.

    No line joins the points: between them nothing was measured. A bound has a mark of its own, and
    `at least` or `at most` in the legend.
    """
    charts = []
    for task in focus.focus_tasks(findings):
        rows = sheet.frame[(sheet.frame["task"] == task) & (sheet.frame["unit"] == "step")]
        arms = focus.focus_arms(findings, task)
        rows = rows[rows["estimate"].notna() & rows["treatment"].isin(arms)]
        if rows.empty:
            continue
        chart = book.file.add_chart({"type": "scatter"})
        series = list(rows.groupby(["treatment", "control", "bound"], sort=False))
        for key, part in series:
            chart.add_series(_speedup(placed, key, part.index, styles))
        low, high, form = _ends(rows["place"].min(), rows["place"].max(), findings.course.is_share)
        name = f"Target (validation {findings.course.words})"
        chart.set_x_axis(_axis(name, form) | {"min": low, "max": high})
        most = {"max": _most(rows)}
        chart.set_y_axis(_axis("Times as fast", '0.#"×"') | _GRID | {"min": 0} | most)
        title = focus.titled("Speedup in steps at each target", findings, task)
        names = [" against ".join(names) for names, _ in series]
        charts.append(_dressed(chart, title, _legend_lines(names)))
    return charts


def _speedup(
    placed: Placed, key: Iterable[object], rows: pd.Index, styles: Styles
) -> dict[str, object]:
    treatment, control, bound = map(str, key)
    first, last = int(rows[0]), int(rows[-1])
    color = styles[treatment].hex
    name = f"{treatment} against {control}" + (f" ({bound})" if bound else "")
    mark = {"": "circle", "at least": "triangle"}.get(bound, "x")
    return {
        "name": name[:LONGEST_NAME],
        "categories": placed.cells("place", first, last),
        "values": placed.cells("estimate", first, last),
        "marker": _marker(mark, color),
        "y_error_bars": _bars(placed, "estimate", first, last, color),
    }


def _most(rows: pd.DataFrame) -> float:
    """The end of an axis of ratios: the largest that is not far from the others."""
    ends = rows[["estimate", "high"]].to_numpy(dtype=float)
    largest = float(ends[np.isfinite(ends)].max())
    return math.ceil(min(largest, 4 * float(rows["estimate"].max())))


def insert(sheet: Worksheet, charts: Sequence[Native], row: int, columns: tuple[int, ...]) -> int:
    """Charts side by side from `row` on, at these columns; returns the row below them."""
    for k in range(0, len(charts), len(columns)):
        beside = charts[k : k + len(columns)]
        for native, column in zip(beside, columns, strict=False):
            sheet.insert_chart(row, column, native.chart)
        row += 1 + math.ceil(max(native.height for native in beside) / LINE)
    return row


def _ends(low: float, high: float, is_share: bool) -> tuple[float, float, str]:
    """Round ends of an axis around two values, and the format of its numbers.

    A program that draws the chart leaves room for the points, and not for their error bars.
    """
    least = 0.002 if is_share else max(abs(low), abs(high)) / 1000 or 1.0
    least = max(high - low, least) / 5
    power = math.floor(math.log10(least))
    step = next(s for s in (m * 10.0**power for m in (1, 2, 5, 10)) if s >= least)
    first, last = math.floor(low / step) * step, math.ceil(high / step) * step
    first, last = (first, last) if last > first else (first - step, last + step)
    if is_share:
        first, last = max(0.0, first), min(1.0, last)
    first, last = (float(f"{end:.12g}") for end in (first, last))  # 0.1 + 0.2 is 0.3
    if not is_share and not -_MOST_ZEROS <= power <= _MOST_ZEROS:
        return first, last, "0.0E+00"
    places = max(0, -math.floor(math.log10(step)) - (2 if is_share else 0))
    zeros = "0." + "0" * places if places else "0"
    return first, last, zeros + "%" * is_share


def _marker(kind: str, color: str) -> dict[str, object]:
    return {"type": kind, "size": 8, "border": {"color": color}, "fill": {"color": color}}


def _bars(placed: Placed, key: str, first: int, last: int, color: str) -> dict[str, object]:
    return {
        "type": "custom",
        "minus_values": placed.formula(f"{key}_down", first, last),
        "plus_values": placed.formula(f"{key}_up", first, last),
        "line": {"color": color, "width": 1.25},
    }


_GRID = {"major_gridlines": {"visible": True, "line": {"color": RULE, "width": 0.5}}}


def _axis(name: str, form: str) -> dict[str, object]:
    font = {"bold": False, "color": SOFT}
    return {"name": name, "name_font": font, "num_format": form, "num_font": {"color": SOFT}}


def _legend_lines(names: Sequence[str]) -> int:
    """Lines of a legend that has so many names beside each other as fit."""
    beside = max(1, WIDTH // (7 * max(map(len, names)) + 40))
    return math.ceil(len(names) / beside)


def _dressed(chart: Chart, title: str, n_lines: int, more: float = 0) -> Native:
    """With a title, a legend below of so many lines, and room for both."""
    chart.set_title({"name": title, "name_font": {"size": 12, "bold": True}, "overlay": False})
    chart.set_legend({"position": "bottom"})
    chart.show_na_as_empty_cell()
    height = HEIGHT + round(more) + LINE * max(0, n_lines - 2)
    chart.set_size({"width": WIDTH, "height": height})
    return Native(chart, height)
