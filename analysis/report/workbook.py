"""results.xlsx: the tables of the report as sheets, numbers as numbers, with native charts.

In: the content of a report. Out: a workbook. It stands alone because it alone needs xlsxwriter.
Texts are written as texts (a name that begins with `=` is no formula), and the file's dates are
the stamp of the report, so that a run analysed twice gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from analysis.figures.style import Styles
from analysis.findings.findings import Findings
from analysis.findings.learning import METRICS
from analysis.report.displays import PAIR, metric_words
from analysis.report.document import Content
from analysis.report.methods import describe_methods
from analysis.report.pdf import stamp_time
from analysis.report.tables import Column, Table, of_kind
from headstart.files import atomic_path

FORMATS = {
    "percent": "0.00%",
    "target": "0.###%",
    "share": "0%",
    "points": "+0.00;-0.00;0.00",
    "points_plain": "0.00",
    "signed": "+0.000;-0.000;0.000",
    "count": "#,##0",
    "ratio": '0.00"×"',
    "number": "0.000",
    "setting": "General",
    "seconds": "0.00",
    "probability": "0.0000",
    "text": "@",
}
IN_POINTS = ("points", "points_plain")  # fractions that are shown in hundredths
Worksheet: TypeAlias = Any  # xlsxwriter comes without types
Chart: TypeAlias = Any
MOST_CHARTS = 12
MOST_SERIES = 12
WIDEST = 60


@dataclass(frozen=True)
class Sheet:
    """A sheet that holds one table; `note` stands above it."""

    name: str
    frame: pd.DataFrame
    columns: tuple[Column, ...]
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

    def sheet(self, name: str) -> Worksheet:
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

    def methods(self, findings: Findings) -> None:
        """The sheet that says how everything was computed."""
        terms = describe_methods(findings)
        self.texts("Methods", [(t.name, f"{t.text} {t.source}".strip()) for t in terms])

    def table(self, content: Sheet) -> Worksheet:
        """A sheet with one table: frozen headings, a filter, widths that fit."""
        sheet = self.sheet(content.name)
        top = 1 if content.note else 0
        if content.note:
            sheet.write_string(0, 0, content.note, self.soft)
        for k, column in enumerate(content.columns):
            sheet.write_string(top, k, column.label, self.head)
            values = content.frame[column.key].tolist()
            widest = self._column(sheet, top + 1, k, values, column.kind)
            sheet.set_column(k, k, min(WIDEST, max(widest, len(column.label) * 0.75, 8) + 2))
        sheet.set_row(top, 32)
        sheet.freeze_panes(top + 1, 1)
        if len(content.frame) and content.columns:
            sheet.autofilter(top, 0, top + len(content.frame), len(content.columns) - 1)
        return sheet

    def _column(self, sheet: Worksheet, top: int, k: int, values: Sequence[Any], kind: str) -> int:
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


def plain_sheet(table: Table, name: str = "") -> Sheet:
    """A table as a sheet, each interval as three columns of numbers.

    A text that stands for a number (it has a column to sort by) is followed by that number.
    """
    columns: list[Column] = []
    for column in table.columns:
        columns.append(Column(column.key, column.label, column.kind))
        if column.low:
            ends = {column.low: f"{column.label}, low", column.high: f"{column.label}, high"}
            columns += of_kind(column.kind, **ends)
        elif column.sort:
            columns.append(Column(column.sort, f"{column.label}, as a number", "number"))
    return Sheet(name or table.title, table.frame, tuple(columns), table.note)


FIRST_SHEETS = {"by_arm": "By arm", "by_trial": "By trial", "by_class": "By class"}


def write_workbook(path: Path, content: Content) -> None:
    """Answer, Comparisons, By arm, By trial, By class, Curves, Methods, then the other tables."""
    findings = content.findings
    by_name = {table.name: table for table in content.each_table}
    with atomic_path(path) as temporary:
        book = Book(temporary, findings.stamp)
        book.texts("Answer", _answer_rows(content))
        book.table(comparison_sheet(findings))
        for name, title in FIRST_SHEETS.items():
            if name in by_name:
                book.table(plain_sheet(by_name[name], title))
            else:
                book.texts(title, [("Not tested", "The run left nothing for this sheet.")])
        _curves(book, findings, content.styles)
        book.methods(findings)
        for table in by_name.values():
            if table.name not in ("comparisons", *FIRST_SHEETS):
                book.table(plain_sheet(table))
        book.file.close()


def _answer_rows(content: Content) -> Iterator[tuple[str, str]]:
    top = content.top
    yield "Question", content.title
    for name, texts in (
        ("Answer", [paragraph.text for paragraph in top]),
        ("Before you read", content.caveats),
        ("Each comparison", [a.words.text for a in content.answers if a.words not in top]),
    ):
        yield from ((name if k == 0 else "", text) for k, text in enumerate(texts))


def comparison_sheet(findings: Findings) -> Sheet:
    """Comparisons with plain numbers: differences in points, speedups as ratios."""
    rows = findings.pairs.table
    in_points = (rows["scale"] == "difference") & (rows["unit"] == "fraction")
    factor = in_points.map({True: 100.0, False: 1.0}).astype(float)
    frame = rows.assign(
        what=[metric_words(row.metric, row.target) for row in findings.pairs.comparisons],
        shown_in=np.where(
            in_points, "points", np.where(rows["scale"] == "speedup", "ratio", rows["unit"])
        ),
        **{
            key: rows[key].astype(float) * factor
            for key in ("estimate", "low", "high", "low_question", "high_question")
        },
    )
    columns = (
        Column("task", "Task"),
        *PAIR,
        *of_kind("text", what="What", shown_in="In"),
        *of_kind("number", estimate="Estimate", low="Low", high="High"),
        *of_kind("text", bound="Bound", question="Question", state="State", verdict="Verdict"),
        Column("n_pairs", "Pairs", "count"),
        *of_kind("probability", p_value="p alone", p_question="p among its question"),
        *of_kind("number", low_question="Low, simultaneous", high_question="High, simultaneous"),
        *of_kind("count", n_won="Pairs in favour", n_lost="Pairs against"),
        *of_kind("probability", p_sign_flip="p (sign flips)", p_sign_flip_floor="its floor"),
        Column("p_wilcoxon", "p (Wilcoxon)", "probability"),
        *of_kind("share", p_better="P(better)", p_better_low="P(better), low"),
        Column("p_better_high", "P(better), high", "share"),
        Column("p_equivalence_holm", "p (equivalence)", "probability"),
        Column("effect_size", "Effect size (g)", "number"),
        Column("p_worse_beyond", "P(worse by more than the margin)", "probability"),
        *of_kind("probability", p_inside="P(inside it)", p_better_beyond="P(better by more)"),
        Column("worth", "Pairing was worth … times the seeds", "number"),
        *of_kind("count", n_more_low="More seeds, from", n_more_high="More seeds, to"),
        *of_kind("text", verdict_words="In words", note="Note"),
    )
    note = (
        "Differences are treatment minus control in points; ratios are control over treatment. Low "
        "and High are of one comparison alone; the simultaneous ones hold for all of its question."
    )
    return Sheet("Comparisons", frame, columns, note)


CURVE_COLUMNS = (
    *of_kind("text", task="Task", arm="Arm", metric="Metric"),
    *of_kind("count", step="Step", samples="Images"),
    Column("train_time_s", "Seconds", "seconds"),
    *of_kind("number", mean="Mean", low="Low", high="High"),
    Column("n", "Trials", "count"),
)


def _curves(book: Book, findings: Findings, styles: Styles) -> None:
    """The learning curves as a table, and a native chart of each metric beside it."""
    bands = findings.learning.bands
    if bands.empty:
        book.texts("Curves", [("Not tested", "No trial left a learning curve.")])
        return
    bands = bands.sort_values(["task", "metric"], kind="stable", ignore_index=True)
    sheet = book.table(Sheet("Curves", bands, CURVE_COLUMNS))
    for k, ((task, metric), rows) in enumerate(bands.groupby(["task", "metric"], sort=False)):
        if k >= MOST_CHARTS:
            break
        chart = _curve_chart(book, rows, styles, metric, str(task))
        sheet.insert_chart(1 + 21 * k, len(CURVE_COLUMNS) + 1, chart)


def _curve_chart(book: Book, rows: pd.DataFrame, styles: Styles, metric: str, task: str) -> Chart:
    chart = book.file.add_chart({"type": "scatter", "subtype": "straight"})
    keys = [column.key for column in CURVE_COLUMNS]
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
