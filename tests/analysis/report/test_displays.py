"""Units and names of what a report measures, in each table that shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_rows import row

from analysis.report.displays import curve_kind, curve_names, score_heading, target_column
from analysis.report.displays_arms import reached_table
from analysis.report.displays_outside import cost_table, outside_table
from analysis.report.displays_pairs import speedup_table
from analysis.report.document import Content
from analysis.report.workbook.sheets import _unit_words
from analysis.statistics.times.course import ACCURACY, COURSES

YEARS = replace(COURSES["mae"], measured_in="years")


def test_errors_have_their_unit_in_every_table(made_content: Content) -> None:
    made = made_content.findings
    findings = replace(made, course=YEARS, score="test_mae")
    error = "Test mean absolute error (years)"
    assert score_heading(findings) == error
    cost = {column.key: column.heading for column in cost_table(findings).columns}
    assert cost["score"] == error
    outside = {column.key: column.heading for column in outside_table(findings).columns}
    assert outside["score"] == "Mean absolute error (years)"
    assert (outside["inside"], outside["change"]) == (error, "Change (years)")
    for table in (reached_table(findings), speedup_table(findings)):
        targets = next(column for column in table.columns if column.key == "target")
        assert (targets.heading, targets.kind) == ("Target (years)", "chosen")
    assert target_column(made).kind == "target"


def test_the_curve_of_what_is_measured_comes_first(made_content: Content) -> None:
    made = made_content.findings
    assert next(iter(curve_names(made).items())) == ("val_accuracy", "Validation accuracy")
    findings = replace(made, course=YEARS)
    names = curve_names(findings)
    assert next(iter(names.items())) == ("val_mae", "Validation mean absolute error (years)")
    assert len(names) == len(curve_names(made)) + 1
    kinds = [curve_kind(findings, metric) for metric in ("val_mae", "val_accuracy", "val_loss")]
    assert kinds == ["number", "percent", "number"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "points"),
        (
            {"metric": "test_mae", "unit": YEARS.unit, "course": "mae", "measured_in": "years"},
            "years",
        ),
        ({"metric": "loss_gap", "unit": "nats", "course": "mae", "measured_in": "years"}, "loss"),
        ({"metric": "test_quadratic_kappa", "unit": "kappa", "course": "quadratic_kappa"}, "–"),
        ({"metric": "spread_over_seeds", "unit": "log ratio"}, "ratio"),
    ],
)
def test_a_comparison_in_the_workbook_says_its_unit(changes: dict[str, object], words: str) -> None:
    assert _unit_words(row(**{"course": ACCURACY.name, **changes})) == words
