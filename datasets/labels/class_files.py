"""Files that name classes: `classes.txt`, ImageNet's synsets, tables of ids and names, JSON.

In: such a file, and the labels that occur. Out: names by position, or a name for each label. It
stands alone because such a file has a row for each class, not for each image.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from datasets.labels.columns import shown
from datasets.tables.records import read_json, read_table
from datasets.tables.text import decode
from headstart.errors import DataError

Names = tuple[str, ...] | dict[int | str, str]


def names_in(content: bytes, name: str, where: str, labels: Collection[str]) -> Names:
    """A tuple where the file has one name a line, else label → name for the labels that occur.

    Labels may stand in any column (`n01440764 tench, Tinca tinca`, `tench,0`,
    `{"0": ["n01440764", "tench"]}`): the one whose values they are is found by content.

    Raises:
        DataError: no column holds all labels, or nothing beside it is a name for each.
    """
    rows = _rows(content, name, where)
    n_columns = min(map(len, rows), default=0)
    if n_columns == 0:
        raise DataError(f"{where}: empty; it needs a row for each label, with its name")
    for label in range(n_columns):
        if {row[label] for row in rows} >= set(labels) and n_columns > 1:
            return _each(rows, label, n_columns, where, labels)
    if name.lower().endswith((".json", ".csv", ".tsv")) and n_columns > 1:
        raise DataError(
            f"{where}: no column of it holds all labels ({shown(list(labels))}); it needs a row "
            "for each label, with its name"
        )
    return tuple(" ".join(row) for row in rows)


def _rows(content: bytes, name: str, where: str) -> Sequence[Sequence[str]]:
    """A row of texts for each class; of lines of words the first word and the rest."""
    if name.lower().endswith((".csv", ".tsv")):
        return read_table(content, name, where).rows
    if not name.lower().endswith(".json"):
        lines = (line.strip() for line in decode(content, where).splitlines())
        return [line.split(None, 1) for line in lines if line]
    given = read_json(content, where)
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        return [[each] for each in given]
    if isinstance(given, dict) and not any(isinstance(each, dict) for each in given.values()):
        pairs = ((k, v if isinstance(v, list) else [v]) for k, v in given.items())
        return [[str(cell) for cell in (key, *cells)] for key, cells in pairs]
    return read_table(content, name, where).rows


def _each(
    rows: Sequence[Sequence[str]], label: int, n_columns: int, where: str, labels: Collection[str]
) -> dict[int | str, str]:
    """Label → name, from the last column that has a different text for each."""
    others = [k for k in range(n_columns) if k != label]
    for k in sorted(others, key=lambda k: (all(row[k].isdigit() for row in rows), -k)):
        names: dict[int | str, str] = {row[label]: row[k] for row in rows if row[label] in labels}
        if len(set(names.values())) == len(names) and "" not in names.values():
            return names
    raise DataError(
        f"{where}: no column of it has another name for each label; it needs a row for each "
        "label, with its name"
    )
