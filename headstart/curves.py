"""Evaluations from a Parquet file that anybody may have made: checked, in the types of their rows.

In: the bytes of a trial's `curve.parquet`, or of the `curves.parquet` of an archive, of any
version. Out: a table of evaluations. It stands alone because records and archives read the same
tables.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from headstart.packed import read_table
from headstart.rows import EvaluationRow

if TYPE_CHECKING:
    import pyarrow as pa

_NEEDED = ("trial_id", "step", "val_accuracy")


def read_evaluations(content: bytes, trial_id: str = "") -> pa.Table:
    """Evaluations of any version, in the types of their columns; columns not known are left out.

    Args:
        trial_id: the trial that all of them must be of; empty: any trials.

    Raises:
        ValueError: it is no table of evaluations, or not of that trial.
    """
    import pyarrow as pa

    types = {column.name: column.arrow for column in EvaluationRow.columns()}
    table = read_table(io.BytesIO(content))
    given = [(n, pa.type_for_alias(types[n])) for n in table.schema.names if n in types]
    for name in _NEEDED:
        if name not in table.schema.names:
            raise ValueError(f"it lacks the column {name}")
        if table[name].null_count:
            raise ValueError(f"its column {name} has empty cells")
    try:
        evaluations = table.select([name for name, _ in given]).cast(pa.schema(given))
    except pa.ArrowException as err:
        raise ValueError(" ".join(str(err).split())[:200]) from err
    others = set(evaluations["trial_id"].unique().to_pylist()) - {trial_id}
    if trial_id and others:
        raise ValueError(f"it is the curve of trial {min(others)[:80]}")
    return evaluations
