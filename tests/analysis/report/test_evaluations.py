"""The four evaluations of Assignment 4 and their workbook, read back by another library."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest
from synthetic_runs import Arm, Made

from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.evaluations import list_evaluations, write_evaluations
from analysis.report.workbook.book import HEADINGS


def rows_of(path: Path) -> list[dict[str, object]]:
    sheet = openpyxl.load_workbook(path)["Evaluations"]
    values = list(sheet.iter_rows(min_row=HEADINGS + 1, values_only=True))
    return [dict(zip(map(str, values[0]), row, strict=True)) for row in values[1:]]


def assignment(run_of, stand_in_for: str = "") -> Path:
    arms = (
        Arm("mnist", 0.985, stage="pretrain"),
        Arm("as_is", 0.75, 100, 0.7, initialize="mnist", fine_tune="none"),
        Arm("last_layer", 0.8, 100, 0.7, initialize="mnist", fine_tune="last_layer"),
        Arm("last_2", 0.85, 100, 0.7, initialize="mnist", fine_tune="last_2"),
        Arm("last_3", 0.86, 100, 0.7, initialize="mnist", fine_tune="last_3"),
        Arm("scratch", 0.6, 500),
    )
    made = Made(arms=arms, seeds=3, n_test=20, targets=(0.5,), stand_in_for=stand_in_for)
    return run_of(made)


def test_the_four_evaluations_in_their_order(run_of, tmp_path: Path) -> None:
    findings = find(load_runs([assignment(run_of)]))
    listed = [(each.number, each.arm) for each in list_evaluations(findings)]
    expected = [
        ("1", "mnist"),
        ("2", "as_is"),
        ("3", "last_layer"),
        ("4a", "last_2"),
        ("4b", "last_3"),
    ]
    assert listed == expected
    write_evaluations(tmp_path / "a4.xlsx", findings)
    rows = rows_of(tmp_path / "a4.xlsx")
    means = findings.runs.trials.query("stage == 'arm'").groupby("arm")["test_accuracy"].mean()
    assert rows[2]["Mean over seeds"] == pytest.approx(means["last_layer"])
    trials = findings.runs.trials
    of_seed = trials[(trials["arm"] == "last_2") & (trials["seed"] == 0)]["test_accuracy"]
    assert rows[3]["Seed 0"] == pytest.approx(of_seed.iloc[0])
    titles = [row["Evaluation"] for row in rows[:5]]
    assert titles[2].startswith("Last layer")
    assert titles[3].startswith("Last 2 layers")
    assert [row["Seeds"] for row in rows[:5]] == [3] * 5


def test_the_seed_that_is_handed_in_stands_first(run_of, tmp_path: Path) -> None:
    findings = find(load_runs([assignment(run_of)]))
    write_evaluations(tmp_path / "a4.xlsx", findings, seed=2)
    trials = findings.runs.trials
    for row in rows_of(tmp_path / "a4.xlsx")[:5]:
        of_seed = trials[(trials["arm"] == row["Arm or stage"]) & (trials["seed"] == 2)]
        assert row["Seed 2"] == pytest.approx(of_seed["test_accuracy"].iloc[0])


def test_a_row_of_a_stand_in_says_what_it_stands_in_for(run_of, tmp_path: Path) -> None:
    write_evaluations(tmp_path / "a4.xlsx", find(load_runs([assignment(run_of, "sheets")])))
    for row in rows_of(tmp_path / "a4.xlsx")[1:5]:
        assert str(row["Test images of"]).endswith(" in place of sheets")


def test_an_evaluation_that_was_not_run_is_not_tested(made_run: Path, tmp_path: Path) -> None:
    write_evaluations(tmp_path / "a4.xlsx", find(load_runs([made_run])))
    rows = rows_of(tmp_path / "a4.xlsx")
    assert [row["Note"] for row in rows[:4]] == ["not tested"] * 4
