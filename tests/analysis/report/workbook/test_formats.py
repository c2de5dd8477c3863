"""Formats of cells: what a reader sees of a number agrees with how `words` writes it."""

from __future__ import annotations

import math

import pytest

from analysis.report.workbook.charts import _ends
from analysis.report.workbook.formats import held, look_of


@pytest.mark.parametrize(
    ("kind", "values", "form"),
    [
        ("percent", (0.98123, 0.5), "0.00%"),
        ("share", (0.934,), "0%"),
        ("target", (0.9, 0.95), "0%"),
        ("target", (0.9, 0.975), "0.0%"),
        ("count", (1320, 79), "#,##0"),
        ("count", (0.3, 79), "#,##0.0"),
        ("number", (0.0123, 0.0456, 0.9), "#,##0.0000"),
        ("number", (1234.5, 2000.0), "#,##0"),
        ("seconds", (12.34, 9.1), '#,##0.0" s"'),
        ("signed", (-0.25, 0.5), "+0.000;-0.000;0.000"),
        ("setting", (0.0003,), "General"),
    ],
)
def test_a_column_has_one_format_with_the_digits_that_count(
    kind: str, values: tuple[float, ...], form: str
) -> None:
    look = look_of(kind, values)
    assert {look.form(held(kind, value)) for value in values} == {form}


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        ("points", 0.0034, "+0.00;-0.00;0.00"),
        ("points", -0.00002, "+0.000;-0.000;0.00"),
        ("points_named", 0.0, '+0.00" points";-0.00" points";0.00" points"'),
        ("ratio", 1.43, '0.00"×"'),
        ("ratio", 1.0004, '0.0000"×"'),
        ("ratio", 1.0, '0.00"×"'),
        ("probability", 0.05, '[<0.001]"<0.001";0.000'),
        ("probability", 0.05001, '[<0.001]"<0.001";0.00000'),
    ],
)
def test_what_is_not_zero_nor_one_nor_five_percent_is_not_shown_as_that(
    kind: str, value: float, form: str
) -> None:
    assert look_of(kind, [value]).form(held(kind, value)) == form


def test_a_cell_holds_points_and_ratios() -> None:
    assert held("points", 0.0123) == pytest.approx(1.23)
    assert held("log_ratio", math.log(2)) == pytest.approx(2)
    assert held("percent", 0.98) == 0.98


@pytest.mark.parametrize(
    ("low", "high", "is_share", "axis"),
    [
        (0.912, 0.934, True, (0.91, 0.935, "0.0%")),
        (0.5, 0.5, True, (0.4995, 0.5005, "0.00%")),
        (-3.2, 11.0, False, (-5.0, 15.0, "0")),
        (2.26e30, 1.91e31, False, (0.0, 2e31, "0.0E+00")),
        (1.3e-12, 1.9e-12, False, (1.2e-12, 2e-12, "0.0E+00")),
        (0.0, 0.0, False, (-0.2, 0.2, "0.0")),
    ],
)
def test_an_axis_has_round_ends_whatever_the_size(
    low: float, high: float, is_share: bool, axis: tuple[float, float, str]
) -> None:
    assert _ends(low, high, is_share) == axis
