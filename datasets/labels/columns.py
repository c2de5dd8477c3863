"""Which column of a table names the image, which the class, which the part: found by content.

In: a `Table` and the images that its values may name. Out: the numbers of the columns. What is not
clear is refused with the columns that could be meant, and the setting that chooses. It stands
alone because it is a judgement on columns; what the rows then say is `table`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datasets.files.image_kinds import is_image_name
from datasets.files.part_words import part_in
from datasets.labels.named_files import NamedFiles
from datasets.tables.header import Column, plain
from datasets.tables.records import Table
from datasets.target import NUMBER, TargetSettings, as_number
from headstart.errors import DataError, did_you_mean

PATH_NAMES = {
    *("file", "files", "filename", "filenames", "filepath", "filepaths", "image", "images"),
    *("imagename", "imageid", "imagefile", "imagepath", "path", "name", "id", "idcode", "img"),
}
LABEL_NAMES = {
    *("label", "labels", "class", "classes", "classname", "classid", "target", "y", "category"),
    *("categoryname", "categoryid", "species", "breed", "diagnosis", "character", "classlabel"),
    *("dx", "findinglabels", "labelname", "choice"),
}
GROUP_NAMES = {
    *("patient", "patientid", "subject", "subjectid", "writer", "writerid", "lesionid", "animal"),
    *("animalid", "individual", "individualid", "speaker", "scene", "sceneid", "person", "author"),
    *("personid", "location", "locationid", "site", "siteid", "caseid", "studyid", "group"),
}
ONES = {"1", "1.0", "true", "True", "TRUE"}
ZEROS = {"0", "0.0", "false", "False", "FALSE"}
_SAMPLE = 200  # rows that are looked at to find the column of paths
_SHOWN = 3
_MOST_ODD = 10  # a column of 0 and 1 has at most one odd cell in so many


@dataclass(frozen=True)
class Columns:
    """Numbers of columns from 0; `one_hot` has a column a class, `label` is None then.

    Where both are empty, an image's class is the folder that it lies in.
    """

    path: int
    label: int | None
    one_hot: tuple[int, ...]
    part: int | None
    group: int | None


@dataclass(frozen=True)
class Wanted:
    """What a person says of the columns; None: to be found."""

    path: Column | None = None
    label: Column | None = None
    part: Column | None = None
    group: Column | None = None
    is_one_hot: bool = False  # a column a class, by the format's definition
    among: frozenset[str] = frozenset()  # classes that the labels must be of, where that is known
    target: TargetSettings | None = None  # what the labels are, where that is not one class


def with_its_header(table: Table, files: NamedFiles, wanted: Wanted) -> tuple[Table, int]:
    """`table` with the names of its columns where its first row has them, and the path column.

    Sets `files.by_number` where no column names images but by their numbers.

    Raises:
        DataError: no column names images, or two name different ones.
    """
    files.by_number = False
    if table.columns:
        return table, _path_column(table, files, wanted)
    headed = table.with_header()
    has_names = any(plain(cell) in LABEL_NAMES | PATH_NAMES for cell in table.rows[0])
    if isinstance(wanted.path, str) or has_names or not headed.rows:
        path = _path_column(headed, files, wanted) if headed.rows else 0
    else:
        path = _path_column(table, files, wanted)
    first = table.rows[0][path]
    is_header = not files.meant_by(first) and not is_image_name(first)
    if not is_header:
        return table, path
    if not headed.rows:
        raise DataError(f"{table.where}: only the names of columns; it needs a row for each image")
    return headed, path


def find_columns(table: Table, path: int, wanted: Wanted) -> Columns:
    """The other columns of a table whose header is known.

    Raises:
        DataError: a column that is named is not there, or no column or several could be the label.
    """
    group = _named(table, wanted.group, "group")
    part = _named(table, wanted.part, "part_column")
    left = [k for k in range(table.n_columns) if k not in (path, group, part)]
    label = _named(table, wanted.label, "label_column")
    if part is None and wanted.part is None:
        part = next((k for k in left if k != label and _holds_parts(table.column(k))), None)
        left = [k for k in left if k != part]
    if label is not None:
        if wanted.target is not None and wanted.target.kind == "number":
            _check_numbers(table, label)
        return Columns(path, label, (), part, group)
    if wanted.target is not None:
        of_target = _of_target(table, left, wanted.target)
        if of_target is not None:
            return Columns(path, *of_target, part, group)
    if wanted.is_one_hot:
        return Columns(path, None, tuple(left), part, group)
    fitting = [k for k in left if wanted.among and set(table.column(k)) <= wanted.among]
    if len(fitting) == 1:
        return Columns(path, fitting[0], (), part, group)
    label, one_hot = _label_column(table, left)
    return Columns(path, label, one_hot, part, group)


def group_hint(table: Table, columns: Columns) -> str:
    """A note where a column that is called as groups are holds values that repeat."""
    if columns.group is not None or not table.columns:
        return ""
    for k, name in enumerate(table.columns):
        n_values = len(set(table.column(k)))
        taken = (columns.path, columns.label, columns.part)
        if plain(name) in GROUP_NAMES and k not in taken and 1 < n_values < len(table.rows):
            return (
                f"its column '{name}' has {n_values:,} values for {len(table.rows):,} images; "
                f"group: {name} keeps the images of each in one part"
            )
    return ""


def shown(values: Sequence[str]) -> str:
    """How many values a column has, and the first of them."""
    distinct = sorted(set(values))
    first = ", ".join(value[:30] or "'' (empty)" for value in distinct[:_SHOWN])
    return f"{len(distinct):,} values: {first}{' …' if len(distinct) > _SHOWN else ''}"


def _named(table: Table, given: Column | None, setting: str) -> int | None:
    """The number of a column that a person names.

    Raises:
        DataError: there is none such.
    """
    if given is None:
        return None
    if isinstance(given, int):
        if not 1 <= abs(given) <= table.n_columns:
            raise DataError(
                f"{table.where}: {setting}: {given} is no column; they are counted from 1 to "
                f"{table.n_columns} (-1 is the last); a name is written in quotes"
            )
        return given - 1 if given > 0 else table.n_columns + given
    if given in table.columns:
        return table.columns.index(given)
    alike = [k for k, name in enumerate(table.columns) if plain(name) == plain(given)]
    if len(alike) == 1:
        return alike[0]
    there = ", ".join(table.columns) or f"no names; they are counted from 1 to {table.n_columns}"
    raise DataError(
        f"{table.where}: {setting}: there is no column '{given}'"
        f"{did_you_mean(given, table.columns)}; there are {there}"
    )


def _path_column(table: Table, files: NamedFiles, wanted: Wanted) -> int:
    sample = table.rows[:: max(1, len(table.rows) // _SAMPLE)]
    if (given := _named(table, wanted.path, "path_column")) is not None:
        files.by_number = not any(files.meant_by(row[given]) for row in sample)
        return given
    for files.by_number in (False, True):
        meant = [[files.meant_by(row[k]) for row in sample] for k in range(table.n_columns)]
        hits = [sum(map(bool, column)) for column in meant]
        if max(hits):
            break
    if max(hits) == 0:
        images = ", ".join(f"'{name}'" for name in files.names[:2])
        row = ", ".join(sample[len(sample) // 2][:4])
        raise DataError(
            f"{table.where}: no column names images of the set: a row of it is '{row}', images are "
            f"called {images}"
        )
    distinct = [len({name for names in column for name in names}) for column in meant]
    best = max(distinct)
    equal = [k for k in range(table.n_columns) if distinct[k] == best and hits[k] == max(hits)]
    if not equal:
        equal = [k for k in range(table.n_columns) if distinct[k] == best]
    names_of = [plain(name) for name in table.columns] or [""] * table.n_columns
    equal = [k for k in equal if names_of[k] not in LABEL_NAMES | GROUP_NAMES] or equal
    equal.sort(key=lambda k: names_of[k] not in PATH_NAMES)
    others = [k for k in equal[1:] if meant[k] != meant[equal[0]]]
    if others:
        names = " and ".join(f"'{table.called(k)}'" for k in (equal[0], others[0]))
        raise DataError(
            f"{table.where}: the columns {names} name different images; say which: path_column: "
            f"{table.called(equal[0])}"
        )
    return equal[0]


def _holds_parts(values: Sequence[str]) -> bool:
    """Whether a column says the part of each row: two or more, `train` among them."""
    distinct = set(values)
    if len(distinct) > 3:
        return False
    parts = {part_in(value) for value in distinct}
    return len(parts) == len(distinct) > 1 and "" not in parts and "train" in parts


def _label_column(table: Table, left: Sequence[int]) -> tuple[int | None, tuple[int, ...]]:
    """The column of labels, or those of a one-hot table; neither where the folders must say it."""
    known = [k for k in left if table.columns and plain(table.columns[k]) in LABEL_NAMES]
    known = [k for k in known if len(set(table.column(k))) > 1] or known
    if known:
        return _only(table, known), ()
    plausible = [k for k in left if _repeats(table.column(k))]
    plausible = [k for k in plausible if not _is_of_groups(table, k)] or plausible
    binary = tuple(k for k in left if set(table.column(k)) <= ONES | ZEROS)
    if len(binary) > 1 and table.columns and set(plausible) <= set(binary):
        sums = [sum(row[k] in ONES for k in binary) for row in table.rows]
        if all(n == 1 for n in sums) or (len(binary) > 2 and sums.count(1) * 2 > len(sums)):
            return None, binary
    if plausible:
        return _only(table, plausible), ()
    if len(left) == 1 and len(set(table.column(left[0]))) < len(table.rows):
        return left[0], ()
    odd = next((k for k in left if not _are_numbers(table.column(k))), None)
    if odd is not None:
        raise DataError(
            f"{table.where}: no column could be the label: '{table.called(odd)}' has "
            f"{shown(table.column(odd))} in {len(table.rows):,} rows; say which: label_column: NAME"
        )
    return None, ()


def _of_target(
    table: Table, left: Sequence[int], target: TargetSettings
) -> tuple[int | None, tuple[int, ...]] | None:
    """The column of numbers, or those of several labels; None: as a column of classes is found.

    Raises:
        DataError: no column holds numbers, or several do and none is called as labels are.
    """
    called = [k for k in left if table.columns and plain(table.columns[k]) in LABEL_NAMES]
    if target.columns is not None:
        named = (_named(table, name, "target.columns") for name in target.columns)
        return None, tuple(k for k in named if k is not None)
    if target.kind == "labels":
        binary = tuple(k for k in left if _is_binary(table.column(k)))
        if set(called) - set(binary) or len(binary) < 2:
            return None
        for k in binary:
            _check_binary(table, k)
        return None, binary
    if target.kind == "ordered":
        return None
    numeric = [k for k in called or left if _hold_numbers(table.column(k))]
    if len(numeric) == 1:
        return numeric[0], ()
    mostly = [k for k in called or left if _are_mostly_numbers(table.column(k))]
    if not numeric and len(mostly) == 1:
        _check_numbers(table, mostly[0])
    could_be = ", ".join(f"'{table.called(k)}'" for k in numeric or left)
    raise DataError(
        f"{table.where}: target: number: {len(numeric) or 'none'} of its columns could be the "
        f"number ({could_be}); say which: label_column: NAME"
    )


def _hold_numbers(values: Sequence[str]) -> bool:
    """Whether a column holds numbers alone, one or more, in the cells that are not empty."""
    texts = set(values) - {""}
    return bool(texts) and all(re.fullmatch(NUMBER, value) for value in texts)


def _are_mostly_numbers(values: Sequence[str]) -> bool:
    said = [value for value in values if value]
    return 2 * sum(bool(re.fullmatch(NUMBER, value)) for value in said) > len(said)


def _is_binary(values: Sequence[str]) -> bool:
    """Whether a column is meant to hold 0 and 1, though a few cells may hold something else."""
    n_odd = sum(value not in ONES | ZEROS for value in values)
    return _MOST_ODD * n_odd <= len(values)


def _check_numbers(table: Table, column: int) -> None:
    for k, value in enumerate(table.column(column)):
        if value:
            as_number(value, table.at(k))


def _check_binary(table: Table, column: int) -> None:
    for k, value in enumerate(table.column(column)):
        if value not in ONES | ZEROS | {""}:
            raise DataError(
                f"{table.at(k)}: '{value}' in the column '{table.called(column)}', whose other "
                "cells are 0 and 1; target.columns names the columns of labels, if it is none"
            )


def _is_of_groups(table: Table, column: int) -> bool:
    return bool(table.columns) and plain(table.columns[column]) in GROUP_NAMES


def _only(table: Table, columns: Sequence[int]) -> int:
    """The one column, or of several that say the same (ids and names of classes) the texts."""
    first = table.column(columns[0])
    if all(_say_the_same(first, table.column(k)) for k in columns[1:]):
        return next((k for k in columns if not _are_numbers(table.column(k))), columns[0])
    could_be = "; ".join(f"'{table.called(k)}' ({shown(table.column(k))})" for k in columns)
    raise DataError(
        f"{table.where}: {len(columns)} columns could be the label: {could_be}; say which: "
        f"label_column: {table.called(columns[0])}"
    )


def _say_the_same(first: Sequence[str], second: Sequence[str]) -> bool:
    pairs = set(zip(first, second, strict=True))
    return len(pairs) == len(set(first)) == len(set(second))


def _repeats(values: Sequence[str]) -> bool:
    """Whether a column may be a label: two values or more, at most half as many as rows."""
    distinct = set(values) - {""}
    if not 2 <= len(distinct) <= max(2, len(values) // 2) or len(distinct) == len(values):
        return False
    return not any(re.fullmatch(r"-?\d*\.\d*[1-9]\d*(e-?\d+)?", value) for value in distinct)


def _are_numbers(values: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-?\d+", value) for value in values)
