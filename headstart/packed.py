"""Zip members, arrays and tables whose headers may lie: read with bounded memory, or refused.

In: the bytes or the open file of a .zip, .npz or Parquet file that anybody may have made. Out: its
content. What a header announces is compared with the file's own size before memory is taken for
it; nothing is unpickled. It stands alone because run folders and data sets need the same checks.
"""

from __future__ import annotations

import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

import numpy as np

from headstart.parquet_pages import read_footer

if TYPE_CHECKING:
    import pyarrow as pa

SMALL_BYTES = 64 << 20  # so much may anything unpack to: it harms nobody
MAX_RATIO = 200  # unpacked to packed, above that; deflate reaches 1,032
MAX_ARRAY_BYTES = 16 << 30
BROKEN = (  # what reading a damaged or hostile zip or .npz file raises
    OSError, ValueError, KeyError, EOFError, MemoryError, OverflowError, zipfile.BadZipFile,
    zlib.error, NotImplementedError,
)  # fmt: skip
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PACKED = ("SNAPPY", "UNCOMPRESSED")  # as we write; others unpack a page to any size
_SNAPPY_RATIO = 22  # at most
_PIECE = 1 << 20
MOST_ROWS = 1 << 20  # of a table of any size; a longer one has at most a row for each of its bytes


def most_unpacked(n_packed: int) -> int:
    """How many bytes a file of `n_packed` may unpack to."""
    return max(SMALL_BYTES, MAX_RATIO * n_packed)


def read_pieces(file: IO[bytes], most: int) -> bytes:
    """What is left of a file, at most `most` bytes; in pieces, so that no announced length counts.

    Readers of packed files unpack all that is packed at once where they are asked for all of it.
    """
    content = bytearray()
    while len(content) < most and (piece := file.read(min(_PIECE, most - len(content)))):
        content += piece
    return bytes(content)


def check_member(info: zipfile.ZipInfo, most: int = MAX_ARRAY_BYTES) -> None:
    """Refuse a zip member that would take more memory than its packed size warrants.

    bzip2 and lzma are refused: Python unpacks each block of them at once, however large it is.

    Raises:
        ValueError: it is packed otherwise, encrypted, or unpacks to too much.
    """
    if info.compress_type not in _METHODS:
        raise ValueError(f"'{info.filename}' is packed otherwise than stored or deflated")
    if info.flag_bits & 1:
        raise ValueError(f"'{info.filename}' is encrypted")
    if info.file_size > min(most, most_unpacked(info.compress_size)):
        raise ValueError(
            f"'{info.filename}' unpacks to {info.file_size:,} bytes from {info.compress_size:,}; "
            f"the limit is {most:,}, and {MAX_RATIO} times the packed size above {SMALL_BYTES:,}"
        )


def read_member(archive: zipfile.ZipFile, name: str, most: int = MAX_ARRAY_BYTES) -> bytes:
    """The content of one member, its checksum verified; raises as `check_member` does, or one of
    `BROKEN`."""
    info = archive.getinfo(name)
    check_member(info, most)
    with archive.open(info) as file:
        content = read_pieces(file, info.file_size + 1)
    if len(content) != info.file_size:
        raise ValueError(f"'{name}' has {len(content):,} bytes instead of {info.file_size:,}")
    return content


def array_names(archive: zipfile.ZipFile) -> list[str]:
    """The names of the arrays in an open .npz file."""
    return [name.removesuffix(".npy") for name in archive.namelist()]


def read_array(archive: zipfile.ZipFile, name: str, most: int = MAX_ARRAY_BYTES) -> np.ndarray:
    """One array of an open .npz file.

    Raises:
        one of BROKEN: it is not there, is damaged, holds Python objects, is too large, or is not
            exactly as long as its header says.
    """
    info = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.NameToInfo else name)
    check_member(info, most)
    with archive.open(info) as file:
        _check_length(file, name, info.file_size)
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def npy_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the values that follow in a .npy file; raises one of `BROKEN`."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"'{name}' is of the unknown format {version}")
    try:
        shape, _, dtype = _HEADERS[version](file)
    except (SyntaxError, TypeError, RecursionError, tokenize.TokenError) as err:
        raise ValueError(f"the header of '{name}' cannot be read") from err
    if dtype.hasobject:
        raise ValueError(f"'{name}' holds Python objects, which are not read")
    return shape, dtype


def read_npy(file: IO[bytes], name: str) -> np.ndarray:
    """The array of an open .npy file.

    Raises:
        one of BROKEN: it is damaged, holds Python objects, or is not exactly as long as its header
            says.
    """
    n_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    _check_length(file, name, n_bytes)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _check_length(file: IO[bytes], name: str, n_bytes: int) -> None:
    """Whether the header of a .npy file of `n_bytes` announces just the values that follow."""
    shape, dtype = npy_header(file, name)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != n_bytes - file.tell():
        raise ValueError(f"'{name}' is not as long as its header says")


def read_arrays(file: IO[bytes], names: Iterable[str]) -> dict[str, np.ndarray]:
    """These arrays of a .npz file; raises one of `BROKEN` where they cannot be read."""
    with zipfile.ZipFile(file) as archive:
        return {name: read_array(archive, name) for name in names}


def read_table(file: IO[bytes]) -> pa.Table:
    """The table that a Parquet file holds.

    Raises:
        ValueError: it is none, is damaged, or would take far more memory than its size warrants.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_bytes = file.seek(0, os.SEEK_END)
    try:
        opened = pq.ParquetFile(file)
        schema, metadata = opened.schema_arrow, opened.metadata
        if any(pa.types.is_nested(field.type) for field in schema):
            raise ValueError("holds lists or structures; plain columns are read")
        if len(set(schema.names)) < len(schema.names):
            raise ValueError("holds two columns of one name")
        _check_metadata(metadata, n_bytes, {chunk.packing for chunk in read_footer(file).chunks})
        long = [f.name for k, f in enumerate(schema) if _may_be_long(metadata, k, f.type, n_bytes)]
        if long:  # kept in their dictionaries until it is known how long they become
            file.seek(0)
            opened = pq.ParquetFile(file, metadata=metadata, read_dictionary=long)
        table = opened.read(use_threads=False)  # small: threads cost more
        for name, column in zip(table.column_names, table.columns, strict=True):
            if pa.types.is_dictionary(column.type):
                _check_text(column, n_bytes, name)
        return table.cast(schema) if long else table
    except (pa.ArrowException, OSError, MemoryError, OverflowError) as err:
        raise ValueError(" ".join(str(err).split())[:200] or type(err).__name__) from err


def _check_metadata(metadata: pa.parquet.FileMetaData, n_bytes: int, packed: set[str]) -> None:
    """Whether the rows and columns are as many as a file of this size may hold.

    `packed`: how its columns are; asking pyarrow would end the process where that is damaged.
    """
    if not 0 <= metadata.num_rows <= max(MOST_ROWS, n_bytes):
        raise ValueError(f"announces {metadata.num_rows:,} rows in {n_bytes:,} bytes")
    n_values = metadata.num_rows * metadata.num_columns
    if n_values > most_unpacked(n_bytes):
        raise ValueError(f"announces {n_values:,} values in {n_bytes:,} bytes")
    if not packed <= set(_PACKED):
        raise ValueError(f"is packed with {', '.join(packed - set(_PACKED))}; snappy is read")


def _of(metadata: pa.parquet.FileMetaData, k: int) -> Iterator[pa.parquet.ColumnChunkMetaData]:
    return (metadata.row_group(group).column(k) for group in range(metadata.num_row_groups))


def _may_be_long(
    metadata: pa.parquet.FileMetaData, k: int, kind: pa.DataType, n_bytes: int
) -> bool:
    """Whether a column of texts may become longer than a file of this size warrants."""
    import pyarrow as pa

    types = pa.types
    is_text = types.is_string(kind) or types.is_large_string(kind)
    if not (is_text or types.is_binary(kind) or types.is_large_binary(kind)):
        return False
    most = sum(c.num_values * c.total_compressed_size * _SNAPPY_RATIO for c in _of(metadata, k))
    return bool(most > max(4 * SMALL_BYTES, MAX_RATIO * n_bytes))


def _check_text(column: pa.ChunkedArray, n_bytes: int, name: str) -> None:
    """Whether the texts that a column repeats take what a file of this size may unpack to."""
    import pyarrow.compute as pc

    lengths = [pc.max(pc.binary_length(c.dictionary)).as_py() or 0 for c in column.chunks]
    longest = max(lengths, default=0)
    if longest * len(column) > max(4 * SMALL_BYTES, MAX_RATIO * n_bytes):
        raise ValueError(f"column {name}: {len(column):,} texts of up to {longest:,} characters")
