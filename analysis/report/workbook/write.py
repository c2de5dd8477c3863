"""results.xlsx: an answer first, then the tables of the report as sheets, with native charts.

In: the content of a report. Out: a workbook. It stands alone because it decides which sheets there
are and in which order; the first one lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analysis.figures.focus import arms_note, focus_tasks
from analysis.report.displays_classes import NO_CLASSES, has_classes
from analysis.report.document import Content
from analysis.report.methods import describe_methods
from analysis.report.tables import Table
from analysis.report.workbook import charts, sheets
from analysis.report.workbook.answer import AnswerSheet, Entry
from analysis.report.workbook.book import HEADINGS, Book, Placed, Sheet, Worksheet
from analysis.report.workbook.confusion import TITLE, confusion_sheet
from headstart.files import atomic_path

UNTESTED = "Not tested: the run left nothing for this sheet."
Places = dict[str, tuple[Placed, Sheet]]


def write_workbook(path: Path, content: Content) -> None:
    """Answer, Charts, In words, Comparisons, By arm, By trial, By class, Curves, the rest."""
    with atomic_path(path) as temporary:
        book = Book(temporary, content.findings.stamp)
        answer = AnswerSheet(book, content)
        drawn, name = book.sheet("Charts")
        places: Places = {}
        entries = [
            Entry(name, "Learning curves, final values and speedups as charts."),
            *_words(book, content),
            *_tables(book, content, places),
            _methods(book, content),
        ]
        _draw(book, drawn, content, places)
        answer.write(entries, _curves(book, content, places)[:1])
        book.file.close()


def _words(book: Book, content: Content) -> Iterator[Entry]:
    """What a reader must know before the numbers, each comparison in words, the methods."""
    rows = [("Before you read" if k == 0 else "", text) for k, text in enumerate(content.caveats)]
    said = [answer.words for answer in content.answers]
    top = [paragraph.text for paragraph in content.top if paragraph not in said]
    rows += [("Answer" if k == 0 else "", text) for k, text in enumerate(top)]
    for answer in content.answers:
        task = f"{answer.task}: " if len(content.findings.tasks) > 1 else ""
        rows.append((f"{task}{answer.treatment} against {answer.control}", answer.words.text))
    name = book.texts("In words", "What came out, in words", rows)
    yield Entry(name, "What to know before the numbers, and each comparison in words.")


def _methods(book: Book, content: Content) -> Entry:
    terms = [(t.name, f"{t.text} {t.source}".strip()) for t in describe_methods(content.findings)]
    title = "How it was computed"
    return Entry(book.texts("Methods", title, terms), f"{title}, with sources.")


def _tables(book: Book, content: Content, places: Places) -> Iterator[Entry]:
    """A sheet for each table; `places` learns where those are that have charts."""
    by_name = {table.name: table for table in content.each_table}
    yield _place(book, "comparisons", sheets.comparison_sheet(content.findings), places)
    for name, title in sheets.FIRST_SHEETS.items():
        if name in by_name:
            yield _place(book, name, _first(by_name[name]), places)
        else:
            text = UNTESTED
            if name == "by_class" and not has_classes(content.findings):
                text = NO_CLASSES
            yield Entry(book.texts(title, title, [("Not tested", text)]), text)
    if confusion := confusion_sheet(book, content.findings):
        yield Entry(confusion, f"{TITLE}, every arm.")
    if content.findings.learning.bands.empty:
        text = "Not tested: no trial left a learning curve."
        yield Entry(book.texts("Curves", "Learning curves", [("Not tested", text)]), text)
    else:
        yield _place(book, "curves", sheets.curve_sheet(content.findings), places)
    if "speedups" in by_name:
        yield _place(book, "speedups", sheets.speedup_sheet(by_name["speedups"]), places)
    for sheet in sheets.others(by_name.values()):
        yield _place(book, "", sheet, places)


def _first(table: Table) -> Sheet:
    if table.name == "by_arm":
        return sheets.arm_sheet(table)
    return sheets.plain_sheet(table, sheets.FIRST_SHEETS[table.name])


def _place(book: Book, key: str, sheet: Sheet, places: Places) -> Entry:
    placed = book.table(sheet)
    if key:
        places[key] = (placed, sheet)
    return Entry(placed.name, sheet.purpose, placed.n_rows)


def _curves(book: Book, content: Content, places: Places) -> list[charts.Native]:
    if "curves" not in places:
        return []
    return charts.curve_charts(book, *places["curves"], content.findings, content.styles)


def _draw(book: Book, sheet: Worksheet, content: Content, places: Places) -> None:
    """The sheet of charts, two in a row."""
    findings = content.findings
    natives = _curves(book, content, places)
    if "by_arm" in places:
        natives += charts.final_charts(book, *places["by_arm"], findings)
    if "speedups" in places:
        natives += charts.speedup_charts(book, *places["speedups"], findings, content.styles)
    notes = (arms_note(findings, task).strip() for task in focus_tasks(findings))
    note = " ".join(dict.fromkeys(filter(None, notes)))
    book.top(sheet, "Charts", note if natives else "No trial has left anything to draw.", ())
    sheet.set_portrait()
    charts.insert(sheet, natives, HEADINGS, (0, 10))
