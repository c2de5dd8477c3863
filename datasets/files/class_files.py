"""Files that name classes: `classes.txt`, ImageNet's synsets, tables of ids and names, JSON.

In: such a file as a table, and the labels that occur. Out: names by position, or a name for each
label. It stands alone because a table of classes has a row for each class, not for each image.
"""

from __future__ import annotations

from collections.abc import Collection

from datasets.files.label_columns import shown
from datasets.files.records import Table
from headstart.errors import DataError


def names_in(table: Table, labels: Collection[str]) -> tuple[str, ...] | dict[int | str, str]:
    """A tuple where the file has one name a line, else label → name for the labels that occur.

    A table may have more columns and its labels in any of them (`n01440764 tench`, `tench,0`,
    `{"0": ["n01440764", "tench"]}`): the column whose values are the labels is found by content.

    Raises:
        DataError: no column holds all labels, or nothing beside it is a name for each.
    """
    for rows in (table, table.with_header()) if len(table.rows) > 1 else (table,):
        ids = [k for k in range(rows.n_columns) if set(rows.column(k)) >= set(labels)]
        others = [k for k in range(rows.n_columns) if k not in ids[:1]]
        if ids and others:
            return _each(rows, ids[0], others, labels)
    if table.n_columns == 1:
        return tuple(table.column(0))
    raise DataError(
        f"{table.where}: no column of it holds all labels ({shown(list(labels))}); it needs a row "
        "for each label, with its name"
    )


def _each(
    table: Table, label: int, others: list[int], labels: Collection[str]
) -> dict[int | str, str]:
    """Label → name, from the first column that has a different name for each."""
    for k in sorted(others, key=lambda k: all(name.isdigit() for name in table.column(k))):
        names: dict[int | str, str] = {
            row[label]: row[k] for row in table.rows if row[label] in set(labels)
        }
        if len(set(names.values())) == len(names) and "" not in names.values():
            return names
    raise DataError(
        f"{table.where}: no column of it has another name for each label; it needs a row for each "
        "label, with its name"
    )
