"""What a Parquet file announces of its columns and pages, read without any Parquet library.

In: an open file that anybody may have made. Out: the rows and the bytes that a reader of it would
take memory for. It stands alone because it must come before the library: pyarrow takes the memory
that a page announces, and the getters of its metadata end the process where a footer is damaged.
The format: https://parquet.apache.org/docs/file-format, in Thrift's compact protocol.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import IO, Any

MAGIC = b"PAR1"
_MAX_FOOTER = 32 << 20
_HEADER = 1 << 16  # bytes read for one page's header; its statistics may be long
_DEEPEST = 32
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(
    13
)
_CODECS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW")
_UNBOUNDED = 7  # DELTA_BYTE_ARRAY: each value may repeat the whole of the last one


@dataclass(frozen=True)
class Chunk:
    """One column of one row group; `start` and `n_bytes` say where its pages lie."""

    column: str
    packing: str
    n_values: int
    start: int
    n_bytes: int


@dataclass(frozen=True)
class Footer:
    """`n_rows` of all row groups together."""

    n_rows: int
    chunks: tuple[Chunk, ...]


def read_footer(file: IO[bytes]) -> Footer:
    """What the file's end says.

    Raises:
        ValueError: it is no Parquet file, is damaged, or its columns lie in other files.
    """
    size = file.seek(0, os.SEEK_END)
    if size < 12:
        raise ValueError("it is too short")
    file.seek(size - 8)
    length, magic = struct.unpack("<I4s", file.read(8))
    if magic != MAGIC:
        raise ValueError("it does not end as a Parquet file does, so it is cut off or is none")
    if not 0 < length <= min(size - 8, _MAX_FOOTER):
        raise ValueError(f"announces {length:,} bytes about itself")
    file.seek(size - 8 - length)
    said = _Compact(file.read(length)).struct()
    groups = _structs(said, 4)
    chunks = tuple(_chunk(column, size) for group in groups for column in _structs(group, 1))
    n_rows = max(_number(said, 3), sum(_number(group, 3) for group in groups))
    return Footer(n_rows, chunks)


def n_unpacked(file: IO[bytes], chunks: Collection[Chunk]) -> int:
    """How many bytes the pages of `chunks` unpack to, as each page's header announces it.

    Raises:
        ValueError: a page is damaged, or packed in a way that bounds nothing.
    """
    return sum(_page_bytes(header) for chunk in chunks for header in _pages(file, chunk))


def _pages(file: IO[bytes], chunk: Chunk) -> Iterator[dict[int, Any]]:
    """The header of each page."""
    at, end = chunk.start, chunk.start + chunk.n_bytes
    while at < end:
        file.seek(at)
        reader = _Compact(file.read(min(_HEADER, end - at)))
        header = reader.struct()
        yield header
        at += reader.at + _number(header, 3)


def _page_bytes(header: dict[int, Any]) -> int:
    for kind, encoding in ((5, 2), (8, 4)):
        page = header.get(kind)
        if isinstance(page, dict) and page.get(encoding) == _UNBOUNDED:
            raise ValueError("a column is encoded by differences of texts, which bounds nothing")
    return _number(header, 2)


def _chunk(column: dict[int, Any], size: int) -> Chunk:
    said = column.get(3)
    if column.get(1) or not isinstance(said, dict):
        raise ValueError("its columns lie in other files")
    path = said.get(3)
    if not (isinstance(path, list) and all(isinstance(piece, bytes) for piece in path)):
        raise ValueError("its footer is damaged")
    starts = [_number(said, 9), *([_number(said, 11)] if said.get(11) else [])]
    codec = said.get(4)
    if not isinstance(codec, int) or not 0 <= codec < len(_CODECS):
        raise ValueError("a column is packed in a way that is unknown")
    chunk = Chunk(
        packing=_CODECS[codec],
        column=b".".join(path).decode(),
        n_values=_number(said, 5),
        start=min(starts),
        n_bytes=_number(said, 7),
    )
    if chunk.start + chunk.n_bytes > size:
        raise ValueError("a column ends beyond the file's end")
    return chunk


def _structs(said: dict[int, Any], field: int) -> list[dict[int, Any]]:
    values = said.get(field, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ValueError("its footer is damaged")
    return values


def _number(said: dict[int, Any], field: int) -> int:
    value = said.get(field)
    if not isinstance(value, int) or value < 0:
        raise ValueError("it announces a number that is none")
    return value


class _Compact:
    """Thrift's compact protocol: structures as mappings from the number of a field to its value."""

    def __init__(self, content: bytes):
        self._content = content
        self.at = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The structure that begins here.

        Raises:
            ValueError: it is damaged.
        """
        if depth > _DEEPEST:
            raise ValueError("its structures lie too deep")
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) & 15 != _STOP:
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind in (_I16, _I32, _I64):
            return self._zigzag()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind in (_LIST, _SET):
            head = self._byte()
            n = head >> 4 if head >> 4 < 15 else self._varint()
            if n > len(self._content) - self.at:
                raise ValueError("a list is longer than what is left")
            return [self._value(head & 15, depth + 1) for _ in range(n)]
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise ValueError("it holds a value of an unknown type")

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _bytes(self, n: int) -> bytes:
        content = self._content[self.at : self.at + n]
        if len(content) != n:
            raise ValueError("it ends too early")
        self.at += n
        return content

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
