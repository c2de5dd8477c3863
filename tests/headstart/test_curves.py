"""Tables of evaluations: of any version, in the types of their columns, or a reason."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstart.curves import read_evaluations

POINTS = {"trial_id": ["a", "a"], "step": [0, 4], "val_accuracy": [0.5, 0.75]}


def parquet(**columns: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({**POINTS, **columns}), out)
    return out.getvalue()


def test_evaluations_have_the_types_of_their_columns() -> None:
    content = parquet(
        epoch=[0, 1], val_accuracy=pa.array([0.5, 0.75], pa.float32()), unknown=[1, 2]
    )
    table = read_evaluations(content, "a")
    assert table.schema.names == ["trial_id", "step", "val_accuracy", "epoch"]
    assert [str(kind) for kind in table.schema.types] == ["string", "int64", "double", "double"]
    assert table["step"].to_pylist() == [0, 4]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"trial_id": ["a", "b"]}, "it is the curve of trial b"),
        ({"trial_id": pa.nulls(2, pa.string())}, "its column trial_id has empty cells"),
        ({"step": [0, None]}, "its column step has empty cells"),
        ({"val_accuracy": [0.5, None]}, "its column val_accuracy has empty cells"),
        ({"step": ["0", "four"]}, "four"),
        ({"step": [[0], [4]]}, "lists or structures"),
    ],
)
def test_what_is_no_curve_of_the_trial_is_said(columns: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_evaluations(parquet(**columns), "a")


@pytest.mark.parametrize("name", POINTS)
def test_a_column_that_is_needed_is_missed(name: str) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({k: v for k, v in POINTS.items() if k != name}), out)
    with pytest.raises(ValueError, match=f"it lacks the column {name}"):
        read_evaluations(out.getvalue())


def test_any_trials_where_none_is_named() -> None:
    table = read_evaluations(parquet(trial_id=["a", "b"]))
    assert table["trial_id"].to_pylist() == ["a", "b"]
