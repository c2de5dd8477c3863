"""Arrow tables of a run folder: rows and curves in, one table with the columns of a row out.

In: rows, or the curves that trials of any version left. Out: tables in the plan's order and under
its names. It stands beside `folder.py`, which reads and writes the files, because nothing in this
file touches a disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from headstart.errors import RunFolderError
from headstart.rows import Row

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.trials.spec import Plan

ROWS_AT_ONCE = 5000
TABLES_AT_ONCE = 1000


def as_table(rows: Iterable[Row], kind: type[Row]) -> pa.Table:
    """Rows of one kind as a table, a batch at a time: as objects they take far more memory."""
    import pyarrow as pa

    wanted = schema(kind)
    left = iter(rows)
    batches = [wanted.empty_table()]
    while batch := list(islice(left, ROWS_AT_ONCE)):
        cells = ([column.cell(getattr(r, column.name)) for r in batch] for column in kind.columns())
        columns = [pa.array(values, f.type) for values, f in zip(cells, wanted, strict=True)]
        batches.append(pa.Table.from_arrays(columns, schema=wanted))
    return pa.concat_tables(batches)


def concatenated(tables: Iterable[pa.Table], kind: type[Row]) -> pa.Table:
    """One table of this kind of row; empty where a table of an earlier version lacks a column."""
    import pyarrow as pa

    wanted = schema(kind)
    left = iter(tables)
    joined = [wanted.empty_table()]
    while some := list(islice(left, TABLES_AT_ONCE)):  # thousands of small tables are large
        alike = [t.select([n for n in wanted.names if n in t.schema.names]) for t in some]
        together = pa.concat_tables([joined[0], *alike], promote_options="permissive")
        joined.append(together.select(wanted.names).cast(wanted).combine_chunks())
    return pa.concat_tables(joined)


def named(curves: pa.Table, plan: Plan, place: Mapping[str, int]) -> pa.Table:
    """Curves under the plan's names of arms and seeds, in its order of trials.

    Raises:
        RunFolderError: a curve of a trial that is not in the plan.
    """
    import pyarrow as pa

    curves = in_order(curves, place)
    coded = curves["trial_id"].combine_chunks().dictionary_encode()
    specs = [plan.by_id[trial_id] for trial_id in coded.dictionary.to_pylist()]
    for name, values in (("arm", [s.arm for s in specs]), ("seed", [s.seed for s in specs])):
        position = curves.schema.get_field_index(name)
        field = curves.schema.field(name)
        column = pa.array(values, type=field.type).take(coded.indices)
        curves = curves.set_column(position, field, column)
    return curves


def in_order(table: pa.Table, place: Mapping[str, int]) -> pa.Table:
    """Rows sorted by where their trial stands in the plan; a trial's own rows keep their order."""
    coded = table["trial_id"].combine_chunks().dictionary_encode()
    known = coded.dictionary.to_pylist()
    if foreign := [trial_id for trial_id in known if trial_id not in place]:
        raise RunFolderError(
            f"a trial's files name another trial ({foreign[0]}); remove its folder below trials/ "
            "to run it again"
        )
    places = np.array([place[trial_id] for trial_id in known], dtype=np.int64)
    return table.take(np.argsort(places[coded.indices.to_numpy()], kind="stable"))


def schema(kind: type[Row]) -> pa.Schema:
    """The Arrow schema of a kind of row."""
    import pyarrow as pa

    columns = kind.columns()
    return pa.schema([(column.name, pa.type_for_alias(column.arrow)) for column in columns])
