"""CSV and JSON: nothing is left out, nothing that is no number is one."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import pandas as pd
import pytest

from analysis.report.exports import write_json, write_tables
from analysis.report.tables import Column, Table


def table(**columns: list[object]) -> Table:
    frame = pd.DataFrame({"arm": ["a_b"], "x": [0.5], "low": [0.4], "high": [math.inf]} | columns)
    shown = (Column("arm", "Arm"), Column("x", "Accuracy & more", "percent", "low", "high"))
    return Table("t", "Title 100 %", frame, shown, "A note.")


def test_csv_keeps_all_columns(tmp_path: Path) -> None:
    write_tables([table()], tmp_path, {"a_b": "ab"})
    assert (tmp_path / "t.csv").read_text() == "arm,x,low,high,arm_name\na_b,0.5,0.4,inf,ab\n"


def test_a_table_that_grew_column_by_column_is_written_without_a_warning(tmp_path: Path) -> None:
    grown = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of a frame of more than 100 blocks
        for number in range(110):
            grown.frame[f"c{number}"] = number
        warnings.simplefilter("error")
        write_tables([grown], tmp_path, {"a_b": "ab"})
    header, row = (tmp_path / "t.csv").read_text().splitlines()
    assert header.endswith("c109,arm_name")
    assert row.endswith("109,ab")


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"x": math.nan})
    write_json(tmp_path / "y.json", {"x": None})
    assert json.loads((tmp_path / "y.json").read_text()) == {"x": None}
