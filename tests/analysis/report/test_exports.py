"""LaTeX, CSV and JSON: nothing in a name is a command, nothing that is no number is one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from analysis.report.exports import escape_latex, latex_table, write_json, write_tables
from analysis.report.tables import Column, Table


def table(**columns: list[object]) -> Table:
    frame = pd.DataFrame({"arm": ["a_b"], "x": [0.5], "low": [0.4], "high": [math.inf]} | columns)
    shown = (Column("arm", "Arm"), Column("x", "Accuracy & more", "percent", "low", "high"))
    return Table("t", "Title 100 %", frame, shown, "A note.")


@pytest.mark.parametrize("character", list('\\{}$&#%_^~<>|"'))
def test_every_special_character_is_escaped(character: str) -> None:
    assert escape_latex(character) != character


def test_a_table_by_hand() -> None:
    text = latex_table(table(high=[0.6]))
    assert r"\begin{tabular}{lr}" in text
    assert r"Arm & Accuracy \& more (\%) \\" in text
    assert r"a\_b & 50.00 [40.00, 60.00] \\" in text
    assert r"\caption{Title 100 \%. A note.}" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_a_name_in_brackets_is_no_argument_of_the_line_before() -> None:
    assert "\n{}[odd] & " in latex_table(table(arm=["[odd]"]))


def test_csv_keeps_all_columns(tmp_path: Path) -> None:
    write_tables([table()], tmp_path, {"a_b": "ab"})
    assert (tmp_path / "t.csv").read_text() == "arm,x,low,high,arm_name\na_b,0.5,0.4,inf,ab\n"


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"x": math.nan})
    write_json(tmp_path / "y.json", {"x": None})
    assert json.loads((tmp_path / "y.json").read_text()) == {"x": None}
