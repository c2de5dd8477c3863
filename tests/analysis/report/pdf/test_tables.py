"""Tables on paper: which rows stay where there is no room for all, and what is said of the rest."""

from __future__ import annotations

import math

import pandas as pd

from analysis.report.pdf.tables import keep_surest, table_data
from analysis.report.tables import Column, Table


def table_of(ps: list[float]) -> Table:
    frame = pd.DataFrame({"what": [f"row {k}" for k in range(len(ps))], "p_question": ps})
    columns = (Column("what", "What"), Column("p_question", "p", "probability", more=True))
    return Table("comparisons", "Every comparison", frame, columns, "How to read it.")


def test_the_surest_rows_stay_in_their_order_and_the_others_are_named() -> None:
    kept, said = keep_surest(table_of([0.5, math.nan, 0.001, 0.2, 0.03]), 3)
    assert kept.frame["what"].tolist() == ["row 2", "row 3", "row 4"]
    assert said == (
        "These are the 3 of 5 that are surest; 2 more are in results.xlsx, sheet Comparisons."
    )


def test_a_table_that_fits_is_whole() -> None:
    kept, said = keep_surest(table_of([0.5, 0.1]), 2)
    assert len(kept.frame) == 2
    assert said == ""


def test_a_page_has_the_first_columns_alone() -> None:
    data = table_data(table_of([0.5]), 9)
    assert [column["label"] for column in data["columns"]] == ["What"]
    assert data["rows"] == [["row 0"]]
