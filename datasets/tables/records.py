"""A table of any usual kind, as bytes → rows of texts under the names of their columns.

In: the content of a file: CSV (comma, semicolon, tab), lines of words (`.txt`), JSON and JSON lines
as annotation tools write them, `.mat`. Out: a `Table`, which knows nothing of images. It stands
alone because what a table means (`datasets.labels.table`) does not depend on how it is
written. Tables are strangers' files: bytes, rows and fields are counted before they are kept.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from datasets.tables.label_studio import are_tasks, flat_tasks
from datasets.tables.matlab_table import columns_of, parts_of
from datasets.tables.text import SEPARATORS, decode, rows
from headstart.errors import DataError
from headstart.packed import BROKEN, most_unpacked, read_pieces

MAX_TABLE_BYTES = 64 << 20
MAX_ROWS = 2_000_000
MAX_COLUMNS = 2_000
MAX_FIELDS = 20_000_000
SUFFIXES = (".csv", ".tsv", ".txt", ".lst", ".json", ".jsonl", ".ndjson", ".mat")
_LONGEST_LINE = 1 << 20
_LISTS = ("labels", "data", "images", "annotations", "items", "samples", "files")
Rows = Iterable[tuple[int, Sequence[object]]]


@dataclass(frozen=True)
class Table:
    """Rows of equally many texts, stripped of spaces; `lines` says where each stands in its file.

    `columns` are their names; empty where the file has none (then the columns are called by their
    number, from 1). The first row of a file of lines may be names or not: who reads the table
    knows (`with_header`).
    """

    where: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    unit: str = "line"  # or "entry", of a file that has no lines of its own

    @property
    def n_columns(self) -> int:
        return len(self.columns) or len(self.rows[0])

    def column(self, index: int) -> list[str]:
        """All values of a column."""
        return [row[index] for row in self.rows]

    def at(self, row: int) -> str:
        """Where a row stands, as the beginning of a message."""
        if self.unit == "line":
            return f"{self.where}:{self.lines[row]}"
        return f"{self.where}: entry {self.lines[row]}"

    def called(self, index: int) -> str:
        """A column as a person would call it in a setting."""
        return self.columns[index] if self.columns else str(index + 1)

    def with_header(self) -> Table:
        """The same with its first row as the names of its columns."""
        return Table(self.where, tuple(self.rows[0]), self.rows[1:], self.lines[1:], self.unit)


def is_table_name(name: str) -> bool:
    """Whether a file of this name may be a table that `read_table` reads."""
    return name.lower().removesuffix(".gz").endswith(SUFFIXES)


def read_table(content: bytes, name: str, where: str, encoding: str = "utf-8") -> Table:
    """The table in a file; `name` decides by its ending how it is written, `encoding` its text.

    Raises:
        DataError: it is no such table, is empty, or holds more than this module's limits.
    """
    if name.lower().endswith(".gz"):
        content, name = _unpacked(content, where), name[:-3]
    if len(content) > MAX_TABLE_BYTES:
        raise DataError(
            f"{where}: over {MAX_TABLE_BYTES >> 20} MB, the limit for a table of labels"
        )
    suffix = PurePosixPath(name.lower()).suffix
    readers: dict[str, Callable[[bytes, str], Table]] = {
        ".json": _from_json, ".jsonl": _from_json_lines, ".ndjson": _from_json_lines,
        ".mat": _from_mat,
    }  # fmt: skip
    reader = readers.get(suffix)
    table = reader(content, where) if reader else _from_lines(content, where, encoding)
    if not table.rows:
        raise DataError(f"{where}: empty; it needs a row for each image")
    return table


def _unpacked(content: bytes, where: str) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as file:
            most = min(MAX_TABLE_BYTES, most_unpacked(len(content)))
            return read_pieces(file, most + 1)  # type: ignore[arg-type]
    except BROKEN as err:
        raise DataError(f"{where}: cannot be unpacked: {err}") from err


def _from_lines(content: bytes, where: str, encoding: str) -> Table:
    try:
        text = decode(content, where, encoding)
    except DataError as err:
        raise DataError(f"{err}; say encoding: cp1252 (or another), or save it as UTF-8") from err
    lines = text.splitlines()
    if any(len(line) > _LONGEST_LINE for line in lines):
        raise DataError(f"{where}: a line of over {_LONGEST_LINE:,} characters; this is no table")
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    if any(separator in first for separator in SEPARATORS):
        return _table(where, (), rows(_without_remarks(lines), where))
    return _table(where, (), _of_words(lines))


def _without_remarks(lines: Sequence[str]) -> str:
    """The text without the first lines that begin with `#`, unless the last names the columns."""
    at = next((k for k, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    names = lines[at - 1].lstrip("# ") if at else ""
    has_names = any(0 < names.count(sign) == lines[at].count(sign) for sign in SEPARATORS)
    return "\n".join([*[""] * (at - 1), *([names * has_names] if at else []), *lines[at:]])


def _of_words(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Lines of words between spaces; only the last word is split off where the first has spaces."""
    words = [(k, line.split()) for k, line in enumerate(lines, 1)
             if line.strip() and not line.startswith("#")]  # fmt: skip
    if len({len(each) for _, each in words}) <= 1:
        yield from words
        return
    for k, _ in words:
        yield k, lines[k - 1].strip().rsplit(None, 1)


def _table(where: str, columns: Sequence[str], given: Rows, unit: str = "line") -> Table:
    """The rows, checked: each as long as the first one."""
    kept: list[list[str]] = []
    lines: list[int] = []
    n_columns = len(columns)
    for line, fields in given:
        n_columns = n_columns or len(fields)
        if n_columns == 0:
            raise DataError(f"{where}: {unit} {line} holds neither a file's name nor a label")
        if len(fields) > MAX_COLUMNS:
            raise DataError(f"{where}: {len(fields):,} columns; the limit is {MAX_COLUMNS:,}")
        while len(fields) > n_columns and not str(fields[-1]).strip():
            fields = fields[:-1]  # separators at a line's end
        if len(fields) != n_columns:
            raise DataError(
                f"{where}:{line}: {len(fields)} fields, the first row has {n_columns}; a text that "
                "holds a separator stands in double quotes"
            )
        kept.append([_as_text(field) for field in fields])
        lines.append(line)
        if len(kept) > MAX_ROWS or len(kept) * n_columns > MAX_FIELDS:
            raise DataError(f"{where}: over {len(kept) - 1:,} rows, the limit for such a table")
    return Table(where, tuple(columns), kept, lines, unit)


def _as_text(field: object) -> str:
    if field is None:
        return ""
    if isinstance(field, float) and field.is_integer():
        field = int(field)
    return str(field).strip()


# -- JSON ---------------------------------------------------------------------------------------


def _from_json(content: bytes, where: str) -> Table:
    given = read_json(content, where)
    if isinstance(given, dict) and {"images", "annotations"} <= given.keys():
        return _from_coco(given, where)
    if isinstance(given, dict):
        lists = [given[name] for name in _LISTS if isinstance(given.get(name), (list, dict))]
        given = lists[0] if len(lists) == 1 else given
    if isinstance(given, dict):
        return _from_mapping(given, where)
    if isinstance(given, list) and given:
        return _from_list(given, where)
    raise DataError(f"{where}: no table: a list of objects, or file names with their labels")


def _from_json_lines(content: bytes, where: str) -> Table:
    entries = [
        (k, read_json(line.encode(), f"{where}:{k}"))
        for k, line in enumerate(decode(content, where).splitlines(), 1)
        if line.strip()
    ]
    return _of_objects(entries, where, "line")


def read_json(content: bytes, where: str) -> object:
    """What a JSON file says; raises DataError where it is none, or says a name twice."""
    try:
        return json.loads(decode(content, where), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as err:
        raise DataError(f"{where}: cannot be read as JSON: {err}") from err


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in entries if names.count(name) > 1)
        raise ValueError(f"'{twice[:80]}' stands twice in one object")
    return entries


def _from_mapping(given: Mapping[str, object], where: str) -> Table:
    """`{file: label}`, `{file: {…}}`, or `{label: [files]}`."""
    values = list(given.values())
    if values and all(isinstance(value, list) for value in values):
        pairs = [(file, label) for label, files in given.items() for file in _list(files)]
        return _table(where, ("file", "label"), enumerate(pairs, 1), "entry")
    if values and all(isinstance(value, dict) for value in values):
        objects = [{"file": file, **_dict(value)} for file, value in given.items()]
        return _of_objects(list(enumerate(objects, 1)), where)
    return _table(where, ("file", "label"), enumerate(given.items(), 1), "entry")


def _from_list(given: list[object], where: str) -> Table:
    """`[{…}, …]` or `[[file, label], …]`."""
    if all(isinstance(entry, list) for entry in given):
        pairs = [(k, _list(entry)) for k, entry in enumerate(given, 1)]
        return _table(where, (), pairs, "entry")
    given = flat_tasks(given) if are_tasks(given) else given
    return _of_objects(list(enumerate(given, 1)), where)


def _of_objects(entries: Sequence[tuple[int, object]], where: str, unit: str = "entry") -> Table:
    odd = next((k for k, entry in entries if not isinstance(entry, dict)), None)
    if odd is not None:
        raise DataError(f"{where}: {unit} {odd} is no object with a file name and a label")
    columns = {name: None for _, entry in entries for name, value in _dict(entry).items()
               if not isinstance(value, (dict, list))}  # fmt: skip
    if len(columns) > MAX_COLUMNS:
        raise DataError(f"{where}: {len(columns):,} columns; the limit is {MAX_COLUMNS:,}")
    if not columns:
        raise DataError(f"{where}: its objects hold neither a file's name nor a label")
    rows_of = ((k, [_scalar(_dict(entry).get(name)) for name in columns]) for k, entry in entries)
    return _table(where, tuple(columns), rows_of, unit)


def _from_coco(given: Mapping[str, object], where: str) -> Table:
    """COCO's annotations, where each image has one category: a row an image."""
    try:
        names = {_dict(c)["id"]: str(_dict(c)["name"]) for c in _list(given.get("categories", []))}
        files = {_dict(i)["id"]: str(_dict(i)["file_name"]) for i in _list(given["images"])}
        labels: dict[object, set[str]] = {image: set() for image in files}
        for each in _list(given["annotations"]):
            labels[_dict(each)["image_id"]].add(names[_dict(each)["category_id"]])
    except (KeyError, TypeError) as err:
        raise DataError(f"{where}: not laid out as COCO's annotations are: {err}") from err
    several = [image for image, categories in labels.items() if len(categories) > 1]
    if several:
        raise DataError(
            f"{where}: annotations of objects (COCO): {len(several):,} of {len(files):,} images "
            f"have several categories, as '{files[several[0]]}' "
            f"({', '.join(sorted(labels[several[0]])[:3])}); a classifier takes one class an image"
        )
    pairs = [(files[image], next(iter(categories), "")) for image, categories in labels.items()]
    return _table(where, ("file_name", "category"), enumerate(pairs, 1), "entry")


def _list(given: object) -> list[object]:
    if not isinstance(given, list):
        raise TypeError(f"{str(given)[:40]!r} where a list belongs")
    return given


def _dict(given: object) -> dict[str, object]:
    if not isinstance(given, dict):
        raise TypeError(f"{str(given)[:40]!r} where an object belongs")
    return given


def _scalar(value: object) -> object:
    return "" if isinstance(value, (dict, list)) else value


# -- MATLAB -------------------------------------------------------------------------------------


def _from_mat(content: bytes, where: str) -> Table:
    columns = columns_of(content, where)
    given = enumerate(zip(*columns.values(), strict=True), 1)
    return _table(where, tuple(columns), given, "entry")


def with_parts(table: Table, content: bytes, where: str) -> Table:
    """A table of positions with the parts that Oxford's `setid.mat` beside it gives them."""
    parts = parts_of(content, where, len(table.rows))
    rows_of = [[*row, part] for row, part in zip(table.rows, parts, strict=True)]
    kept = [k for k, part in enumerate(parts) if part]
    columns = (*table.columns, "part")
    lines = [table.lines[k] for k in kept]
    return Table(table.where, columns, [rows_of[k] for k in kept], lines, table.unit)
