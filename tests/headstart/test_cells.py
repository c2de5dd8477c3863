"""Texts in CSV files: what a spreadsheet would compute is a text."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.cells import harmless, write_frame

FORMULAS = (
    '=HYPERLINK("http:evil")', "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=", "+", "-",
    "@", " =1", "＝1+1", "＋1", "－1", "＠x", "--1", "-x", "+cmd|' /C calc'!A0", "=1;2", "-0x1",
    "+∞", "\tplain", "\rplain",
)  # fmt: skip
PLAIN = (
    "plain", "", "a=b", "a+b", "a-b", "x@y", "b [lr=-0.1]", "'", "1e-5", "−0.3", "“=”", "a; b",
    "2026-01-02", "last_2", "0.5 [−0.1, 0.2]",
)  # fmt: skip
NUMBERS = ("-1", "+1", "-0.5", "+2.5e-3", "-1E5", "-.5", "7")


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_a_formula_becomes_a_text(text):
    assert harmless(text).startswith("'")
    assert harmless(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("value", [*PLAIN, *NUMBERS, 1, -1.5, None, float("nan"), True, b"=1"])
def test_everything_else_stays_as_it_is(value):
    assert harmless(value) is value


@pytest.mark.parametrize("separator", [";", "\t", "\n", "|", ","])
def test_what_another_language_takes_for_the_next_cell_is_a_text_too(separator):
    assert harmless(f"a{separator}=1+1") == f"a{separator}'=1+1"


@given(st.text())
def test_no_text_is_computed_however_it_is_split(text):
    safe = harmless(text)
    for separators in (",", ";", "\t", "|", "\n"):
        for cell in str(safe).split(separators):
            assert cell[:1] not in tuple("=+-@") or harmless(cell) is cell
    if safe is not text:
        assert safe.replace("'", "") == text.replace("'", "")


def test_a_table_keeps_its_numbers_and_loses_its_formulas(tmp_path):
    frame = pd.DataFrame(
        {
            "=1+1": ["@a", "plain"], "x": [-0.5, np.nan], "n": [-3, 4], "is": [True, False],
            "group": pd.Categorical(["+a", "b"]), "mixed": [-1, "-1+1"], "none": [None, "=a"],
        }
    )  # fmt: skip
    frame.insert(0, "twice", ["=a", "b"])
    frame.insert(0, "twice", ["c", "=d"], allow_duplicates=True)
    before = frame.copy()
    write_frame(tmp_path / "t.csv", frame)
    pd.testing.assert_frame_equal(frame, before)
    lines = list(csv.reader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert lines == [
        ["twice", "twice", "'=1+1", "x", "n", "is", "group", "mixed", "none"],
        ["c", "'=a", "'@a", "-0.5", "-3", "True", "'+a", "-1", ""],
        ["'=d", "b", "plain", "", "4", "False", "b", "'-1+1", "'=a"],
    ]


@pytest.mark.timeout(120)  # a pattern that looks at each letter again takes many minutes
@pytest.mark.parametrize("text", ["\t\n", " ", "=\t", ";  ", "a "])
def test_a_long_text_takes_no_longer_for_each_letter(text: str) -> None:
    assert harmless(text * 200_000 + "a").endswith("a")
