"""Parquet files that hold encoded images → their bytes, labels and names of classes.

In: files that a stranger may have made. Out: rows, each with a label and the place of its image,
and what reads images in their places. Memory holds some row groups, and an image that many rows
repeat is kept once, as the file keeps it, so a small file stays small in memory. It stands alone
because it knows columns and what pyarrow may be trusted with, and nothing of options.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from datasets.files.places import Place
from datasets.files.shards import words_of
from datasets.files.trees import MAX_TOTAL_BYTES
from datasets.images.labelled import Label
from datasets.locations import check_plain
from headstart.errors import DataError, did_you_mean
from headstart.packed import SMALL_BYTES
from headstart.parquet_pages import n_unpacked, read_footer

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_LABEL_WORDS = {
    "label",
    "labels",
    "class",
    "classes",
    "target",
    "y",
    "category",
    "breed",
    "species",
}
_ROW_BYTES = 16  # a row takes more, however often its image is repeated
_SMALL_ROWS = 10_000  # so many rows may any file have
_STRING_BYTES = 16 << 20  # of the footer; the names of 20,000 classes take less than 1
_RATIO = 24  # unpacked to packed; images are packed already, and snappy reaches 22
_KEPT_BYTES = 256 << 20  # of images of row groups that were read last
_MOST_KEPT = 32  # row groups
_SHOWN = 12
_MANY = 48  # columns, as of pixels


@dataclass(frozen=True)
class Columns:
    """Which columns to read; `names` are those of the classes, where the file says them."""

    image: str
    is_struct: bool
    label: str
    names: tuple[str, ...] | None
    group: str | None


@dataclass(frozen=True)
class Rows:
    """What the chosen columns hold but for the images, which `Images` reads.

    Attributes:
        places: of the image of each row: the file, the row group, the row in it.
    """

    places: tuple[Place, ...]
    labels: tuple[Label, ...]
    groups: tuple[str, ...]


class Images:
    """The bytes of images, read a row group at a time; a few of these are kept for the next rows.

    Several threads may read. An image that many rows repeat is kept once, as the file keeps it.
    """

    def __init__(self, columns: Callable[[Path], Columns]) -> None:
        self._columns = columns
        self._kept: OrderedDict[tuple[Path, int], _Group] = OrderedDict()
        self._n_read: dict[Path, dict[int, int]] = {}  # bytes of the images of each row group
        self._lock = Lock()

    def read(self, place: Place, where: str) -> bytes:
        """The file in a row.

        Raises:
            DataError: the row has none, or the Parquet file cannot be read.
        """
        content = self._group(place.path, place.at).read(place.n_packed)
        if content is None:
            name = self._columns(place.path).image
            raise DataError(
                f"{where} has no bytes in the column '{name}'; images must be inside the file, a "
                "path beside it is not followed"
            )
        return content

    def _group(self, path: Path, number: int) -> _Group:
        key = (path, number)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        group = self._read_group(path, number)
        with self._lock:
            self._kept[key] = group
            n_bytes = sum(each.n_kept for each in self._kept.values())
            while len(self._kept) > 1 and (n_bytes > _KEPT_BYTES or len(self._kept) > _MOST_KEPT):
                n_bytes -= self._kept.popitem(last=False)[1].n_kept
        return group

    def _read_group(self, path: Path, number: int) -> _Group:
        import pyarrow as pa

        columns = self._columns(path)
        wanted = f"{columns.image}.bytes" if columns.is_struct else columns.image
        group = _Group()
        with _opened(path, [wanted]) as file:
            column = file.read_row_group(number, [wanted], use_threads=False).column(columns.image)
            for chunk in column.chunks:
                group.add(chunk.flatten()[0] if pa.types.is_struct(chunk.type) else chunk)
        most = max(SMALL_BYTES, _RATIO * path.stat().st_size)
        with self._lock:
            of_file = self._n_read.setdefault(path, {})
            of_file[number] = max(group.n_kept, group.n_read)
            if sum(of_file.values()) > min(MAX_TOTAL_BYTES, most):
                raise DataError(
                    f"{path}: its images take over {most >> 20:,} MB, repeated ones counted each "
                    "time, which is the limit"
                )
        return group


class _Group:
    """The images of one row group, kept packed together."""

    def __init__(self) -> None:
        self._distinct: list[pa.Array] = []
        self._places: list[tuple[int, int]] = []  # of each row: which array, which of its values
        self.n_kept = 0  # bytes in memory
        self.n_read = 0  # bytes of all rows, each time that an image is repeated

    def add(self, column: pa.DictionaryArray) -> None:
        """The next rows."""
        import pyarrow.compute as pc

        self.n_kept += column.dictionary.nbytes
        lengths = pc.binary_length(column.dictionary).fill_null(0).to_numpy()
        indices = column.indices.fill_null(-1).to_numpy()
        self.n_read += int(lengths[indices[(indices >= 0) & (indices < len(lengths))]].sum())
        self._places += [(len(self._distinct), index) for index in indices.tolist()]
        self._distinct.append(column.dictionary)

    def read(self, row: int) -> bytes | None:
        """The file in this row."""
        if row >= len(self._places):
            return b""  # of a file that was replaced; no image is
        array, index = self._places[row]
        if index < 0:
            return None
        if index >= len(self._distinct[array]):
            return b""  # of a damaged file
        content = self._distinct[array][index].as_buffer()
        return None if content is None else bytes(content.to_pybytes())


def find_columns(path: Path, image: str | None, label: str | None, group: str | None) -> Columns:
    """The columns of images, labels and groups, by the file's schema.

    Args:
        path: the Parquet file.
        image, label, group: their names, where a person gave them.

    Raises:
        DataError: no such column, or several that may be it; or several labels an image.
    """
    with _opened(path, ()) as file:
        schema = file.schema_arrow
    features = _features(schema)
    images = [field.name for field in schema if _holds_images(field.type)]
    image_column = _the_image(path, schema, images, image)
    label_column = _the_label(path, schema, features, label, {image_column, *images})
    if group is not None and group not in schema.names:
        raise _no_column(path, "group", group, schema)
    return Columns(
        image=image_column,
        is_struct=_is_struct(schema.field(image_column).type),
        label=label_column,
        names=_class_names(features.get(label_column), path),
        group=group,
    )


def read_rows(path: Path, columns: Columns) -> Rows:
    """All rows of a file, their images still in it.

    Raises:
        DataError: it is damaged, takes more memory than its size warrants, or has not the columns.
    """
    image = f"{columns.image}.bytes" if columns.is_struct else columns.image
    others = [columns.label, *([columns.group] if columns.group else [])]
    places, labels, groups = list[Place](), list[Label](), list[str]()
    with _opened(path, others) as file:
        _check_size(path, [image, *others])
        for column in (columns.image, columns.label):
            if column not in file.schema_arrow.names:
                raise DataError(f"{path}: no column '{column}', which the other files have")
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=others, use_threads=False)
            n = len(table)
            places += [Place(path.absolute(), group, row, 0) for row in range(n)]
            labels += _values(table.column(columns.label), path, columns.label)
            if columns.group:
                groups += [
                    str(v) for v in _values(table.column(columns.group), path, columns.group)
                ]
    return Rows(tuple(places), tuple(labels), tuple(groups))


@contextmanager
def _opened(path: Path, kept_packed: Sequence[str]) -> Iterator[pq.ParquetFile]:
    """The file, columns of texts and bytes among `kept_packed` as dictionaries; errors in words."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_plain(path)
    limits = {"thrift_string_size_limit": _STRING_BYTES, "memory_map": False}
    try:
        with open(path, "rb") as plain:
            read_footer(plain)
        with pq.ParquetFile(path, **limits) as file:
            schema, metadata = file.schema, file.metadata
        leaves = {schema.column(k).path: schema.column(k) for k in range(len(schema))}
        packed = [n for n in kept_packed if n in leaves and leaves[n].physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=packed, **limits) as file:
            yield file
    except (pa.ArrowException, OSError, MemoryError, OverflowError, ValueError) as err:
        reason = " ".join(str(err).split())[:200] or type(err).__name__
        raise DataError(f"{path}: cannot be read as a Parquet file: {reason}") from err


def _check_size(path: Path, wanted: Collection[str]) -> int:
    """How many bytes the `wanted` columns may unpack to; refuses what the size does not warrant."""
    size = path.stat().st_size
    most_rows, most = _SMALL_ROWS + size // _ROW_BYTES, max(SMALL_BYTES, _RATIO * size)
    with open(path, "rb") as file:
        footer = read_footer(file)
        chunks = [chunk for chunk in footer.chunks if chunk.column in wanted]
        n_rows = max(footer.n_rows, *(chunk.n_values for chunk in chunks), 0)
        if n_rows > most_rows:
            raise ValueError(f"announces {n_rows:,} rows; the limit is {most_rows:,}")
        n_bytes = n_unpacked(file, chunks)
    if n_bytes > min(most, MAX_TOTAL_BYTES):
        raise ValueError(f"its images unpack to {n_bytes:,} bytes; the limit is {most:,}")
    return most


def _is_struct(kind: pa.DataType) -> bool:
    import pyarrow as pa

    names = [kind.field(k).name for k in range(kind.num_fields)] if pa.types.is_struct(kind) else []
    return "bytes" in names and _is_bytes(kind.field(names.index("bytes")).type)


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_images(kind: pa.DataType) -> bool:
    return _is_struct(kind) or _is_bytes(kind)


def _holds_labels(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    t = pa.types
    is_text = t.is_string(kind) or t.is_large_string(kind)
    return bool(is_text or t.is_integer(kind) or t.is_boolean(kind) or t.is_floating(kind))


def _the_image(path: Path, schema: pa.Schema, images: Sequence[str], given: str | None) -> str:
    if given is not None:
        if given in images:
            return given
        if given not in schema.names:
            raise _no_column(path, "image_column", given, schema)
        raise DataError(
            f"{path}: image_column: '{given}' holds {schema.field(given).type}, no encoded images; "
            f"{_such_columns(images)}"
        )
    if len(images) == 1:
        return images[0]
    if images:
        raise DataError(
            f"{path}: the columns {', '.join(images)} may hold the images; choose one of them with "
            "image_column"
        )
    hint = "; a table of pixels is read as .csv" if len(schema) > _MANY else ""
    raise DataError(
        f"{path}: no column of encoded images (bytes, or a structure of bytes and path){hint}; it "
        f"has {_columns(schema)}"
    )


def _the_label(
    path: Path,
    schema: pa.Schema,
    features: Mapping[str, Any],
    given: str | None,
    images: Collection[str],
) -> str:
    import pyarrow as pa

    types = {field.name: field.type for field in schema if field.name not in images}
    if given is not None:
        if given not in types:
            raise _no_column(path, "label_column", given, schema)
        chosen = [given]
    else:
        chosen = [name for name in types if _class_names(features.get(name), path) is not None]
        chosen = chosen or [name for name in types if _LABEL_WORDS & set(words_of(name))]
        chosen = chosen or [name for name, kind in types.items() if _holds_labels(kind)]
        if not chosen:
            raise DataError(f"{path}: no column of labels; it has {_columns(schema)}")
        if len(chosen) > 1:
            raise DataError(
                f"{path}: which of {', '.join(chosen[:_SHOWN])} is the label? Say so with "
                "label_column"
            )
    kind = types[chosen[0]]
    if not _holds_labels(kind):
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        what = "several labels an image (a list)" if is_list else str(kind)
        raise DataError(
            f"{path}: the column '{chosen[0]}' holds {what}; one label an image is needed, a whole "
            "number or a text. Another column is chosen with label_column"
        )
    return chosen[0]


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    """What Hugging Face's `datasets` wrote of each column; empty where it wrote nothing."""
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = said["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(feature: object, path: Path) -> tuple[str, ...] | None:
    """The names of a column of classes; None where it is none, or its classes have no names."""
    if not (isinstance(feature, dict) and feature.get("_type") == "ClassLabel"):
        return None
    names = feature.get("names")
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        return None
    if len(set(names)) < len(names):
        raise DataError(f"{path}: two of the classes that it names have one name")
    return tuple(names)


def _values(column: pa.ChunkedArray, path: Path, name: str) -> list[Label]:
    """Whole numbers, texts and None; each text that is repeated is kept once."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        values: list[Label] = []
        for chunk in column.chunks:
            texts = [_label(value, path, name) for value in chunk.dictionary.to_pylist()]
            indices = chunk.indices.to_pylist()
            if max((k for k in indices if k is not None), default=-1) >= len(texts):
                raise DataError(f"{path}: the column '{name}' is damaged")
            values += [None if k is None else texts[k] for k in indices]
        return values
    return [_label(value, path, name) for value in column.to_pylist()]


def _label(value: object, path: Path, name: str) -> Label:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, (int, float)) and float(value).is_integer():
        return int(value)
    raise DataError(f"{path}: the column '{name}' has {value!r}; labels are whole numbers or texts")


def _no_column(path: Path, option: str, given: str, schema: pa.Schema) -> DataError:
    return DataError(
        f"{path}: {option}: no column '{given}'{did_you_mean(given, schema.names)}; it has "
        f"{_columns(schema)}"
    )


def _columns(schema: pa.Schema) -> str:
    shown = [f"{field.name} ({str(field.type)[:60]})" for field in schema][:_SHOWN]
    return ", ".join(shown) + (" …" if len(schema) > _SHOWN else "") or "no columns"


def _such_columns(images: Sequence[str]) -> str:
    return f"these do: {', '.join(images)}" if images else "no column does"
