"""results.xlsx: the tables of the report as sheets, numbers as numbers, with native charts.

Texts are written as texts (a name that begins with `=` is no formula), and the file's dates are
the stamp of the report, so that a run analysed twice gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.style import Styles
from analysis.findings.findings import Findings
from analysis.findings.learning import METRICS
from analysis.report import methods
from analysis.report.answers import Answer, Paragraph
from analysis.report.pdf import stamp_time
from analysis.report.tables import Table
from headstart.files import atomic_path

FORMATS = {
    "percent": "0.00%",
    "target": "0.###%",
    "share": "0%",
    "points": "+0.00;-0.00;0.00",
    "points_plain": "0.00",
    "count": "#,##0",
    "ratio": '0.00"×"',
    "number": "0.000",
    "setting": "General",
    "seconds": "0.00",
    "probability": "0.0000",
    "text": "@",
}
IN_POINTS = ("points", "points_plain")  # fractions that are shown in hundredths
MOST_CHARTS = 12
MOST_SERIES = 12
WIDEST = 60


@dataclass(frozen=True)
class Field:
    """One column of a sheet: the frame's column, its heading, the kind of number."""

    key: str
    label: str
    kind: str = "text"


@dataclass(frozen=True)
class Sheet:
    """A sheet that holds one table; `note` stands above it."""

    name: str
    frame: pd.DataFrame
    fields: tuple[Field, ...]
    note: str = ""


class Book:
    """An open workbook and its formats."""

    def __init__(self, path: Path, stamp: str):
        import xlsxwriter

        self.file = xlsxwriter.Workbook(
            str(path),
            {"strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": False},
        )
        self.file.set_properties(
            {"title": "Headstart results", "created": stamp_time(stamp).replace(tzinfo=None)}
        )
        add = self.file.add_format
        self.head = add({"bold": True, "bottom": 1, "text_wrap": True, "valign": "vcenter"})
        self.title = add({"bold": True, "font_size": 14, "text_wrap": True, "valign": "top"})
        self.bold = add({"bold": True, "text_wrap": True, "valign": "top"})
        self.wrap = add({"text_wrap": True, "valign": "top"})
        self.soft = add({"font_color": "#5A6169", "italic": True})
        self.of_kind = {
            kind: add({"num_format": form, "valign": "top"}) for kind, form in FORMATS.items()
        }

    def sheet(self, name: str) -> Any:
        """A new sheet, set up to print one page wide."""
        sheet = self.file.add_worksheet(sheet_name(name))
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        return sheet

    def texts(self, name: str, rows: Iterable[tuple[str, str]]) -> None:
        """A sheet of headings (bold) and texts, two columns."""
        sheet = self.sheet(name)
        sheet.set_column(0, 0, 28)
        sheet.set_column(1, 1, 110)
        for k, (head, text) in enumerate(rows):
            sheet.write_string(k, 0, head, self.bold)
            sheet.write_string(k, 1, text, self.wrap)
            sheet.set_row(k, 15.5 * max(1, math.ceil(len(text) / 112), math.ceil(len(head) / 26)))

    def table(self, content: Sheet) -> Any:
        """A sheet with one table: frozen headings, a filter, widths that fit."""
        sheet = self.sheet(content.name)
        top = 1 if content.note else 0
        if content.note:
            sheet.write_string(0, 0, content.note, self.soft)
        for k, field in enumerate(content.fields):
            sheet.write_string(top, k, field.label, self.head)
            values = content.frame[field.key].tolist()
            widest = self._column(sheet, top + 1, k, values, field.kind)
            sheet.set_column(k, k, min(WIDEST, max(widest, len(field.label) * 0.75, 8) + 2))
        sheet.set_row(top, 32)
        sheet.freeze_panes(top + 1, 1)
        if len(content.frame) and content.fields:
            sheet.autofilter(top, 0, top + len(content.frame), len(content.fields) - 1)
        return sheet

    def _column(self, sheet: Any, top: int, k: int, values: Sequence[Any], kind: str) -> int:
        """Write the values of one column; returns the length of the longest text."""
        form, widest = self.of_kind[kind], 0
        for row, value in enumerate(values, top):
            if isinstance(value, str):
                sheet.write_string(row, k, value[:32_000], form)
                widest = max(widest, len(value))
            elif value is None or value is pd.NA or value != value:
                sheet.write_blank(row, k, None, form)
            elif isinstance(value, float) and math.isinf(value):
                sheet.write_string(row, k, "∞" if value > 0 else "−∞", form)
            elif isinstance(value, bool):
                sheet.write_boolean(row, k, value)
            else:
                sheet.write_number(row, k, 100 * value if kind in IN_POINTS else value, form)
                widest = max(widest, 9)
        return widest


def sheet_name(name: str) -> str:
    """`name` as Excel allows it: at most 31 characters, none of []:*?/\\ and no quote at an end."""
    kept = "".join("-" if c in "[]:*?/\\" else c for c in name)
    return kept[:31].strip("'") or "Sheet"


def fields_of(table: Table) -> tuple[Field, ...]:
    """A table's columns with each interval as three columns of numbers.

    A text that stands for a number (it has a column to sort by) is followed by that number.
    """
    fields: list[Field] = []
    for column in table.columns:
        if column.low:
            fields += [
                Field(column.key, column.label, column.kind),
                Field(column.low, f"{column.label}, low", column.kind),
                Field(column.high, f"{column.label}, high", column.kind),
            ]
        else:
            fields.append(Field(column.key, column.label, column.kind))
            if column.sort:
                fields.append(Field(column.sort, f"{column.label}, as a number", "number"))
    return tuple(fields)


def write_workbook(
    path: Path,
    findings: Findings,
    styles: Styles,
    title: str,
    top: Sequence[Paragraph],
    caveats: Sequence[str],
    answers: Sequence[Answer],
    tables: Mapping[str, Sequence[Table]],
) -> None:
    """Answer, Comparisons, By arm, By trial, By class, Curves, Methods, then the other tables."""
    by_name = {table.name: table for found in tables.values() for table in found}
    with atomic_path(path) as temporary:
        book = Book(temporary, findings.stamp)
        book.texts("Answer", _answer_rows(title, top, caveats, answers))
        book.table(comparison_sheet(findings))
        for name, sheet in (
            ("by_arm", "By arm"),
            ("by_trial", "By trial"),
            ("by_class", "By class"),
        ):
            if name in by_name:
                book.table(
                    Sheet(sheet, by_name[name].frame, fields_of(by_name[name]), by_name[name].note)
                )
            else:
                book.texts(sheet, [("Not tested", "The run left nothing for this sheet.")])
        _curves(book, findings, styles)
        terms = methods.describe_methods(findings)
        book.texts("Methods", [(t.name, f"{t.text} {t.source}".strip()) for t in terms])
        told = {"comparisons", "by_arm", "by_trial", "by_class"}
        for table in by_name.values():
            if table.name not in told:
                book.table(Sheet(table.title, table.frame, fields_of(table), table.note))
        book.file.close()


def _answer_rows(
    title: str, top: Sequence[Paragraph], caveats: Sequence[str], answers: Sequence[Answer]
) -> list[tuple[str, str]]:
    rows = [("Question", title)]
    rows += [("Answer" if k == 0 else "", p.text) for k, p in enumerate(top)]
    rows += [("Before you read" if k == 0 else "", text) for k, text in enumerate(caveats)]
    rest = [answer.words.text for answer in answers if answer.words not in top]
    return rows + [("Each comparison" if k == 0 else "", text) for k, text in enumerate(rest)]


def comparison_sheet(findings: Findings) -> Sheet:
    """Comparisons with plain numbers: differences in points, speedups as ratios."""
    from analysis.report.displays import metric_words

    rows = findings.pairs.comparisons
    in_points = (rows["scale"] == "difference") & (rows["unit"] == "fraction")
    factor = in_points.map({True: 100.0, False: 1.0}).astype(float)
    frame = rows.assign(
        what=[metric_words(m, t) for m, t in zip(rows["metric"], rows["target"], strict=True)],
        shown_in=[
            "points" if p else ("ratio" if s == "speedup" else u)
            for p, s, u in zip(in_points, rows["scale"], rows["unit"], strict=True)
        ],
        **{key: rows[key].astype(float) * factor for key in ("estimate", "low", "high")},
    )
    fields = (
        Field("task", "Task"),
        Field("treatment", "Treatment"),
        Field("control", "Control"),
        Field("what", "What"),
        Field("shown_in", "In"),
        Field("estimate", "Estimate", "number"),
        Field("low", "Low", "number"),
        Field("high", "High", "number"),
        Field("bound", "Bound"),
        Field("verdict", "Verdict"),
        Field("n_pairs", "Pairs", "count"),
        Field("p_holm", "p (Holm)", "probability"),
        Field("p_value", "p (t-test)", "probability"),
        Field("p_sign_flip", "p (sign flips)", "probability"),
        Field("p_sign_flip_floor", "its floor", "probability"),
        Field("p_wilcoxon", "p (Wilcoxon)", "probability"),
        Field("p_better", "P(better)", "share"),
        Field("p_better_low", "P(better), low", "share"),
        Field("p_better_high", "P(better), high", "share"),
        Field("p_equivalence_holm", "p (equivalence)", "probability"),
        Field("effect_size", "Effect size (g)", "number"),
        Field("n_more", "More seeds", "count"),
        Field("verdict_words", "In words"),
        Field("note", "Note"),
    )
    return Sheet(
        "Comparisons",
        frame,
        fields,
        "Differences are treatment minus control in points; ratios are control over treatment.",
    )


CURVE_FIELDS = (
    Field("task", "Task"),
    Field("arm", "Arm"),
    Field("metric", "Metric"),
    Field("step", "Step", "count"),
    Field("samples", "Images", "count"),
    Field("train_time_s", "Seconds", "seconds"),
    Field("mean", "Mean", "number"),
    Field("low", "Low", "number"),
    Field("high", "High", "number"),
    Field("n", "Trials", "count"),
)


def _curves(book: Book, findings: Findings, styles: Styles) -> None:
    """The learning curves as a table, and a native chart of each metric beside it."""
    bands = findings.learning.bands
    if bands.empty:
        book.texts("Curves", [("Not tested", "No trial left a learning curve.")])
        return
    bands = bands.sort_values(["task", "metric"], kind="stable").reset_index(drop=True)
    sheet = book.table(Sheet("Curves", bands, CURVE_FIELDS))
    for k, ((task, metric), rows) in enumerate(bands.groupby(["task", "metric"], sort=False)):
        if k >= MOST_CHARTS:
            break
        chart = _curve_chart(book, rows, styles, metric, str(task))
        sheet.insert_chart(1 + 21 * k, len(CURVE_FIELDS) + 1, chart)


def _curve_chart(book: Book, rows: pd.DataFrame, styles: Styles, metric: str, task: str) -> Any:
    chart = book.file.add_chart({"type": "scatter", "subtype": "straight"})
    keys = [field.key for field in CURVE_FIELDS]
    for arm, part in list(rows.groupby("arm", sort=False))[:MOST_SERIES]:
        first, last = int(part.index[0]) + 1, int(part.index[-1]) + 1
        chart.add_series(
            {
                "name": ["Curves", first, keys.index("arm")],
                "categories": ["Curves", first, keys.index("step"), last, keys.index("step")],
                "values": ["Curves", first, keys.index("mean"), last, keys.index("mean")],
                "line": {
                    "color": styles[str(arm)].hex,
                    "width": 1.75,
                    "dash_type": "dash" if styles[str(arm)].dash else "solid",
                },
            }
        )
    chart.set_title(
        {"name": f"{METRICS[metric]}, {task}", "name_font": {"size": 12}, "overlay": False}
    )
    chart.set_x_axis({"name": "Training steps", "min": 0, "num_format": "#,##0"})
    form = "0%" if metric.endswith("accuracy") else "0.00"
    chart.set_y_axis(
        {
            "name": METRICS[metric],
            "num_format": form,
            "major_gridlines": {"visible": True, "line": {"color": "#DCDFE3"}},
        }
    )
    chart.set_legend({"position": "bottom"})
    chart.set_size({"width": 640, "height": 400})
    return chart
