"""The table of scores on further test sets (`also_test.parquet`) of one run folder.

In: a run folder. Out: its rows on the sets that are asked for. It stands alone because `load` reads
every file of a run, and what is computed of these scores (`outside`) needs what `load` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd

from headstart.digests import check_table
from headstart.errors import RunFolderError
from headstart.foreign import open_plain, read_limited
from headstart.packed import read_table
from headstart.records import ALSO_TEST
from headstart.rows import AlsoTestRow

MOST_BYTES = 1 << 30
COLUMNS = tuple(column.name for column in AlsoTestRow.columns())


def read_scores(folder: Path, called: Sequence[str] | None) -> pd.DataFrame:
    """The scores of a run folder on the sets `called` so, in their order; None: on all.

    Raises:
        RunFolderError: the table is damaged.
    """
    path = folder / ALSO_TEST
    try:
        with open_plain(path) as file:
            content = read_limited(file, path, MOST_BYTES)
    except FileNotFoundError:
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        check_table(path, content)
        rows = [AlsoTestRow.from_json(row) for row in read_table(BytesIO(content)).to_pylist()]
    except ValueError as err:
        raise RunFolderError(
            f"{path}: cannot be read as a Parquet table ({err}); run the sweep's command again, "
            "which writes it anew"
        ) from err
    table = pd.DataFrame([row.to_json() for row in rows], columns=list(COLUMNS))
    if called is None:
        return table
    order = {name: k for k, name in enumerate(called)}
    table = table[table["test_set"].isin(list(order))]
    return table.sort_values("test_set", key=lambda names: names.map(order), kind="stable")
