"""CSV and JSON: nothing is left out, nothing that is no number is one."""

from __future__ import annotations

import json
import math
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


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"x": math.nan})
    write_json(tmp_path / "y.json", {"x": None})
    assert json.loads((tmp_path / "y.json").read_text()) == {"x": None}
