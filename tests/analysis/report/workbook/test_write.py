"""Workbooks: what each sheet holds, read back by another library."""

from __future__ import annotations

import math
import re
import zipfile
from pathlib import Path

import openpyxl
import pytest
from openpyxl.workbook.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet
from synthetic_runs import HOSTILE, Arm, Made

from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.document import Content
from analysis.report.exports import report_json
from analysis.report.report import compose
from analysis.report.workbook import book as layout
from analysis.report.workbook.book import sheet_name
from analysis.report.workbook.write import write_workbook

SHEETS = [
    *("Answer", "Charts", "In words", "Comparisons", "By arm", "By trial", "By class"),
    *("Confusion", "Curves", "Speedup"),
]


def content_of(*folders: Path) -> Content:
    findings = find(load_runs(folders))
    return compose(findings, arm_styles(findings.arm_names))


def book_of(content: Content, path: Path) -> Workbook:
    write_workbook(path, content)
    return openpyxl.load_workbook(path)


@pytest.fixture(scope="module")
def hostile_path(hostile_content: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "results.xlsx"
    write_workbook(path, hostile_content)
    return path


@pytest.fixture(scope="module")
def hostile_book(hostile_path: Path) -> Workbook:
    return openpyxl.load_workbook(hostile_path)


def rows_of(sheet: Worksheet, top: int = layout.HEADINGS + 1) -> list[dict[str, object]]:
    values = list(sheet.iter_rows(min_row=top, values_only=True))
    return [dict(zip(map(str, values[0]), row, strict=True)) for row in values[1:]]


def texts_of(sheet: Worksheet) -> list[str]:
    return [cell for row in sheet.values for cell in row if isinstance(cell, str)]


def test_it_opens_on_the_answer(hostile_book: Workbook, hostile_content: Content) -> None:
    assert hostile_book.sheetnames[: len(SHEETS)] == SHEETS
    assert hostile_book.active.title == "Answer"
    glance, texts = hostile_content.glance, texts_of(hostile_book["Answer"])
    assert texts[:3] == [glance.question, glance.stand_in, glance.sentence]
    assert glance.stand_in
    for card in (*glance.cards, *glance.others):
        assert card.arm in texts
        for reading in card.readings:
            assert reading.mark_words in ("", *texts)


def test_cells_of_the_answer_are_the_numbers_of_the_tables(
    hostile_book: Workbook, hostile_content: Content
) -> None:
    sheet = hostile_book["Answer"]
    heads = next(row for row in sheet.iter_rows() if row[0].value == "Arm")
    left = [cell.column for cell in heads if cell.value == "Mean"]
    tables = report_json(hostile_content)["tables"]
    by_arm = {row["arm"]: row for row in tables["by_arm"]}  # type: ignore[index]
    spread = {row["arm"]: row for row in tables["stability"]}  # type: ignore[index]
    for k in range(1, 4):
        row = heads[0].row + k
        arm = sheet.cell(row, 1).value
        final = [sheet.cell(row, left[0] + j).value for j in range(3)]
        assert final == [by_arm[arm][key] for key in ("score", "score_low", "score_high")]
        assert sheet.cell(row, left[0]).number_format == "0.00%"
        two_apart = [sheet.cell(row, left[1] + j).value for j in range(3)]
        keys = ("mean_difference", "mean_difference_low", "mean_difference_high")
        saved = [spread[arm][key] for key in keys]
        assert two_apart == [None if v is None else pytest.approx(100 * v) for v in saved]


def test_every_sheet_has_a_title_and_is_linked_from_the_first(hostile_book: Workbook) -> None:
    answer = hostile_book["Answer"]
    there = {
        cell.hyperlink.location: cell.value
        for row in answer.iter_rows()
        for cell in row
        if cell.hyperlink
    }
    assert there == {f"'{name}'!A1": name for name in hostile_book.sheetnames[1:]}
    for sheet in hostile_book.worksheets[1:]:
        assert str(sheet["A1"].value).strip()
        assert sheet["A2"].hyperlink.location == "'Answer'!A1"


def test_names_are_texts_and_nothing_is_a_formula(hostile_book: Workbook) -> None:
    kinds = {cell.data_type for sheet in hostile_book for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds
    arms = [row["Arm"] for row in rows_of(hostile_book["By arm"])]
    assert arms == ["=1+1", HOSTILE, "<script>alert(1)</script>"]


def test_data_sets_their_notes_and_classes_have_sheets(hostile_book: Workbook) -> None:
    (row,) = rows_of(hostile_book["Data sets"])
    assert (row["Data set"], row["Images"], row["Groups"]) == (f"folder {HOSTILE}", 397, 31)
    assert (row["Source"], row["Fingerprint"]) == ("made up", "f" * 32)
    notes = [(row["What"], row["In words"]) for row in rows_of(hostile_book["Notes on the data"])]
    assert [what for what, _ in notes] == ["Warning", "Not used", "Note", "Note"]
    assert notes[2][1] == f"=2+2 {HOSTILE}"
    classes = rows_of(hostile_book["Classes of the data"])
    assert [(row["Class"], row["Images"], row["Train"]) for row in classes] == [
        ("=1+1", 193, 123), ("<script>alert(2)</script>", 204, 121),
    ]  # fmt: skip


def test_headings_stay_in_sight_and_on_every_page(hostile_book: Workbook) -> None:
    for name in ("Comparisons", "By arm", "By trial", "By class", "Curves", "Speedup"):
        sheet = hostile_book[name]
        assert sheet.freeze_panes.endswith("4"), name
        assert sheet.print_title_rows == "$1:$3", name
        assert sheet.auto_filter.ref.startswith("A3:"), name
        assert sheet.sheet_properties.pageSetUpPr.fitToPage, name
        assert sheet.page_setup.fitToHeight == 0, name


def test_a_column_has_one_unit(hostile_book: Workbook) -> None:
    """Percent cells stand in columns of percent alone; only comparisons say theirs by row."""
    for sheet in hostile_book.worksheets[3:]:
        if sheet.title in ("Comparisons", "Confusion"):
            continue
        for column in sheet.iter_cols(min_row=layout.HEADINGS + 2):
            forms = [c.number_format for c in column if isinstance(c.value, int | float)]
            assert len({"%" in form for form in forms}) <= 1, (sheet.title, column[0].column)
    curves = hostile_book["Curves"]
    heads = [cell.value for cell in curves[3]]
    cell = curves.cell(4, heads.index("Validation accuracy") + 1)
    assert "%" in cell.number_format
    assert 0 < cell.value < 1


def test_a_comparison_shows_its_unit(hostile_book: Workbook, hostile_content: Content) -> None:
    sheet = hostile_book["Comparisons"]
    heads = [cell.value for cell in sheet[3]]
    saved = report_json(hostile_content)["tables"]["comparisons"]  # type: ignore[index]
    for k, row in enumerate(saved, 4):
        cell = sheet.cell(k, heads.index("Estimate") + 1)
        if row["estimate"] is None:
            assert cell.value is None
        elif row["scale"] == "speedup":
            assert cell.value == pytest.approx(row["estimate"])
            assert "×" in cell.number_format
        elif row["unit"] == "fraction":
            assert cell.value == pytest.approx(100 * row["estimate"])
            assert "points" in cell.number_format
        elif row["unit"] == "log ratio":
            assert cell.value == pytest.approx(math.exp(row["estimate"]))


def test_charts_have_titles_axes_and_are_drawn_from_cells(hostile_path: Path) -> None:
    with zipfile.ZipFile(hostile_path) as file:
        names = [name for name in file.namelist() if re.fullmatch(r"xl/charts/chart\d+\.xml", name)]
        texts = [file.read(name).decode() for name in names]
    assert len(texts) == 7
    for text in texts:
        assert len(re.findall("<c:title>", text)) == 3
        assert "=1+1" not in re.sub(r"<c:v>.*?</c:v>", "", text)
    assert sum("Curves!$" in text for text in texts) == 4
    bars = [text for text in texts if "<c:errBars>" in text]
    assert {re.search(r"<c:f>'?(.*?)'?!", text)[1] for text in bars} == {  # type: ignore[index]
        "Answer", "By arm", "Speedup",
    }  # fmt: skip


def test_confusion_has_counts_and_shares_on_one_scale(
    hostile_book: Workbook, hostile_content: Content
) -> None:
    sheet = hostile_book["Confusion"]
    matrices = hostile_content.findings.classes.confusions
    n = len(next(iter(hostile_content.findings.classes.class_names.values())))
    starts = [c.row for c in sheet["A"] if "images of" in str(c.value)]
    assert len(starts) == len(matrices) == 3
    for row, matrix in zip(starts, matrices.values(), strict=True):
        counts = [[sheet.cell(row + 2 + k, n + 4 + j).value for j in range(n)] for k in range(n)]
        assert counts == matrix.pooled.tolist()
        assert sheet.cell(row + 2, 2).value == pytest.approx(matrix.mean[0, 0])
        assert "%" in sheet.cell(row + 2, 2).number_format
    rules = [rule for rules in sheet.conditional_formatting for rule in rules.rules]
    scales = [rule.colorScale.cfvo[1].val for rule in rules if rule.type == "colorScale"]
    assert len(set(scales[::2])) == 1, "shares of all arms have one scale"


@pytest.mark.parametrize(
    "made",
    [
        Made(name="none", arms=(Arm("a", failed=(0, 1)), Arm("b", failed=(0, 1))), seeds=2),
        Made(name="one", seeds=1, predictions=False),
        Made(name="alone", arms=(Arm("a"),), seeds=2, predictions=False),
    ],
    ids=lambda made: made.name,
)
def test_any_run_has_a_workbook(made: Made, run_of, tmp_path: Path) -> None:
    content = content_of(run_of(made))
    texts = texts_of(book_of(content, tmp_path / "r.xlsx")["Answer"])
    assert content.glance.sentence in texts
    assert [a.name for a in made.arms if a.name in texts] or made.name == "none"


@pytest.mark.slow
def test_24_arms_and_their_sheets(run_of, tmp_path: Path) -> None:
    long = "a search over an arm with a rather long name, number"
    arms = tuple(Arm(f"{long} {k}") for k in range(24))
    content = content_of(run_of(Made(arms=arms, seeds=2, evaluations=4, predictions=False)))
    book = book_of(content, tmp_path / "r.xlsx")
    texts = texts_of(book["Answer"])
    assert all(arm.name in texts for arm in arms)
    assert len(rows_of(book["By arm"])) == 24
    assert len({name.casefold() for name in book.sheetnames}) == len(book.sheetnames)


def test_a_table_longer_than_a_sheet_says_so(
    hostile_content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MOST_ROWS", 10)
    sheet = book_of(hostile_content, tmp_path / "r.xlsx")["By trial"]
    n = len(hostile_content.findings.runs.trials)
    assert len(rows_of(sheet)) == 10
    assert str(sheet["B2"].value).startswith(f"A sheet ends here: {n - 10} more rows are in")


def test_sheet_names_are_what_excel_allows() -> None:
    assert sheet_name("a/b[c]:*?" + "x" * 40) == "a-b-c----" + "x" * 22
    assert sheet_name("'") == "Sheet"
    assert sheet_name("History") != "History"


def test_two_sheets_are_never_called_the_same(tmp_path: Path) -> None:
    book = layout.Book(tmp_path / "a.xlsx", "")
    names = [book.sheet("x" * 40)[1], book.sheet("X" * 40)[1], book.sheet("X" * 31)[1]]
    book.file.close()
    assert names == ["x" * 31, "X" * 29 + " 2", "X" * 29 + " 3"]
