"""Workbooks: what each sheet holds, read back by another library."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import openpyxl
import pytest
from synthetic_runs import HOSTILE, Arm, Made

from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.evaluations import list_evaluations, write_evaluations
from analysis.report.report import compose
from analysis.report.workbook.book import sheet_name
from analysis.report.workbook.write import write_workbook

SHEETS = ["Answer", "Comparisons", "By arm", "By trial", "By class", "Curves", "Methods"]


def workbook_of(folder: Path, path: Path) -> Path:
    findings = find(load_runs([folder]))
    content = compose(findings, arm_styles(findings.arm_names))
    write_workbook(path, content)
    return path


@pytest.fixture(scope="module")
def hostile_book(hostile_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workbook_of(hostile_run, tmp_path_factory.mktemp("book") / "results.xlsx")


def rows_of(sheet, top: int) -> list[dict[str, object]]:
    values = list(sheet.iter_rows(min_row=top, values_only=True))
    return [dict(zip(values[0], row, strict=True)) for row in values[1:]]


def test_sheets_stand_in_their_order(hostile_book: Path) -> None:
    assert openpyxl.load_workbook(hostile_book).sheetnames[:7] == SHEETS


def test_names_are_texts_and_nothing_is_a_formula(hostile_book: Path) -> None:
    book = openpyxl.load_workbook(hostile_book)
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds
    arms = [row["Arm"] for row in rows_of(book["By arm"], 2)]
    assert arms == ["=1+1", HOSTILE, "<script>alert(1)</script>"]


def test_data_sets_their_notes_and_classes_have_sheets(hostile_book: Path) -> None:
    book = openpyxl.load_workbook(hostile_book)
    (row,) = rows_of(book["Data sets"], 2)
    assert (row["Data set"], row["Images"], row["Groups"]) == (f"folder {HOSTILE}", 397, 31)
    assert (row["Source"], row["Fingerprint"]) == ("made up", "f" * 32)
    notes = [(row["What"], row["In words"]) for row in rows_of(book["Notes on the data"], 1)]
    assert [what for what, _ in notes] == ["Warning", "Not used", "Note", "Note"]
    assert notes[2][1] == f"=2+2 {HOSTILE}"
    classes = rows_of(book["Classes of the data"], 2)
    assert [(row["Class"], row["Images"], row["Train"]) for row in classes] == [
        ("=1+1", 193, 123), ("<script>alert(2)</script>", 204, 121),
    ]  # fmt: skip


def test_numbers_are_numbers_with_formats(hostile_book: Path) -> None:
    sheet = openpyxl.load_workbook(hostile_book)["By arm"]
    heads = [cell.value for cell in sheet[2]]
    cell = sheet.cell(3, heads.index("Test accuracy") + 1)
    assert isinstance(cell.value, float)
    assert 0 < cell.value < 1
    assert cell.number_format == "0.00%"
    assert sheet.freeze_panes == "B3"


def test_learning_curves_are_native_charts_of_the_cells(hostile_book: Path) -> None:
    with zipfile.ZipFile(hostile_book) as file:
        charts = [
            name for name in file.namelist() if re.fullmatch(r"xl/charts/chart\d+\.xml", name)
        ]
        text = file.read(charts[0]).decode()
    assert len(charts) == 3
    assert "Curves!$G$" in text
    assert "=1+1" not in re.sub(r"<c:v>.*?</c:v>", "", text)


def test_sheet_names_are_what_excel_allows() -> None:
    assert sheet_name("a/b[c]:*?" + "x" * 40) == "a-b-c----" + "x" * 22
    assert sheet_name("'") == "Sheet"


def assignment(run_of) -> Path:
    arms = (
        Arm("mnist", 0.985, stage="pretrain"),
        Arm("as_is", 0.75, 100, 0.7, initialize="mnist", fine_tune="none"),
        Arm("last_layer", 0.8, 100, 0.7, initialize="mnist", fine_tune="last_layer"),
        Arm("last_2", 0.85, 100, 0.7, initialize="mnist", fine_tune="last_2"),
        Arm("last_3", 0.86, 100, 0.7, initialize="mnist", fine_tune="last_3"),
        Arm("scratch", 0.6, 500),
    )
    return run_of(Made(arms=arms, seeds=3, n_test=20, targets=(0.5,)))


def test_the_four_evaluations_in_their_order(run_of, tmp_path: Path) -> None:
    findings = find(load_runs([assignment(run_of)]))
    found = [(one.number, one.arm) for one in list_evaluations(findings)]
    expected = [
        ("1", "mnist"),
        ("2", "as_is"),
        ("3", "last_layer"),
        ("4a", "last_2"),
        ("4b", "last_3"),
    ]
    assert found == expected
    write_evaluations(tmp_path / "a4.xlsx", findings)
    sheet = openpyxl.load_workbook(tmp_path / "a4.xlsx")["Evaluations"]
    rows = rows_of(sheet, 2)
    means = findings.runs.trials.query("stage == 'arm'").groupby("arm")["test_accuracy"].mean()
    assert rows[2]["Test accuracy"] == pytest.approx(means["last_layer"])
    assert [row["Seeds"] for row in rows[:5]] == [3] * 5


def test_an_evaluation_that_was_not_run_is_not_tested(made_run: Path, tmp_path: Path) -> None:
    write_evaluations(tmp_path / "a4.xlsx", find(load_runs([made_run])))
    rows = rows_of(openpyxl.load_workbook(tmp_path / "a4.xlsx")["Evaluations"], 2)
    assert [row["Note"] for row in rows[:4]] == ["not tested"] * 4
