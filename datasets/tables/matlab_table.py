"""Labels in a .mat file → a `Table`: lists of annotations, or vectors beside each other.

In: the variables of a file. Out: rows of texts under the names of fields or variables; where none
of them names files (Oxford's flowers: `labels`, and images numbered from 1), a column of positions
is added. It stands alone because MATLAB keeps a table in three ways.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from datasets.files.matlab import read_matlab
from headstart.errors import DataError

POSITION = "#"
_PARTS = {"trnid": "train", "valid": "validation", "tstid": "test"}
Columns = Mapping[str, Sequence[object]]


def columns_of(content: bytes, where: str) -> Columns:
    """The columns of the table in a .mat file, equally long.

    Raises:
        DataError: as `read_matlab` does, or no variable is a list of labels.
    """
    variables = read_matlab(io.BytesIO(content), where)
    columns = _records(variables) or _vectors(variables)
    if not columns:
        shown = ", ".join(f"{name} {array.shape}" for name, array in list(variables.items())[:5])
        raise DataError(f"{where}: no list of labels in it; it holds {shown or 'nothing'}")
    if any(isinstance(value, str) for column in columns.values() for value in column[:1]):
        return columns
    n = len(next(iter(columns.values())))
    return {POSITION: range(1, n + 1), **columns}


def parts_of(content: bytes, where: str, n: int) -> list[str]:
    """The part of each position from 1 to `n`, of a file with `trnid`, `valid` and `tstid`.

    Raises:
        DataError: it is no such file, or two of them hold a position.
    """
    variables = read_matlab(io.BytesIO(content), where)
    parts = [""] * n
    for name, part in _PARTS.items():
        for position in np.ravel(variables.get(name, [])).astype(np.int64).tolist():
            if not 1 <= position <= n or parts[position - 1]:
                raise DataError(f"{where}: {name}: {position} is no image, or of two parts")
            parts[position - 1] = part
    if not any(parts):
        raise DataError(f"{where}: no lists trnid, valid and tstid in it")
    return parts


def _records(variables: Mapping[str, np.ndarray]) -> Columns:
    """The fields of the longest array of structures."""
    arrays: list[np.ndarray] = [
        array.reshape(-1) for array in variables.values() if array.dtype.names
    ]
    longest: np.ndarray = max(arrays, key=len, default=np.empty(0))
    names: Sequence[str] = longest.dtype.names or ()
    if len(longest) < 2:
        return {}
    fields = {name: [_plain(record[name]) for record in longest] for name in names}
    return {name: values for name, values in fields.items() if None not in values}


def _vectors(variables: Mapping[str, np.ndarray]) -> Columns:
    """The variables that are lists, of the length that most values have."""
    lists = {name: list(_listed(array)) for name, array in variables.items()}
    lists = {name: values for name, values in lists.items() if values and None not in values}
    lengths = Counter({len(values): 0 for values in lists.values()})
    for values in lists.values():
        lengths[len(values)] += len(values)
    if not lengths:
        return {}
    (length, _) = max(lengths.items(), key=lambda each: each[1])
    return {name: values for name, values in lists.items() if len(values) == length > 1}


def _listed(array: np.ndarray) -> Iterator[object]:
    """The elements of an array that is one list; nothing of any other."""
    if array.dtype.kind == "U" and array.ndim == 1:
        yield from (str(text).strip() for text in array)
    elif array.ndim == 2 and 1 in array.shape and array.dtype.kind in "biufO":
        yield from (_plain(value) for value in np.ravel(array))


def _plain(value: object) -> object:
    """A text or a number in as many arrays as MATLAB put around it; None where it is more."""
    for _ in range(4):
        if not isinstance(value, np.ndarray):
            break
        if value.size == 0:
            return ""
        if value.size != 1 or value.dtype.names:
            return None
        value = value.reshape(-1)[0]
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (str, int, float)) else None
