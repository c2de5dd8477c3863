"""Where the bytes of one image lie, so that it is read without opening what it lies in.

In: a place: a stretch of a plain file, of a tar file or of a zip file. Out: its bytes. It stands
alone because images of a set that is never decoded to the disk are read so, one by one and in any
order, by several threads and processes: nothing is shared, and nothing is kept open.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from headstart.errors import DataError

_LOCAL = struct.Struct("<4s22xHH")  # before a zip's member: its mark, lengths of name and extras
_MOST_EXTRAS = 64  # bytes; programs that pack add a few times and numbers
_OTHERWISE_PACKED = 0x61  # flags of a zip's member: encrypted, or a patch


class Place(NamedTuple):
    """A stretch of a file.

    Attributes:
        path: of the file.
        at: its first byte.
        n_packed: bytes that it has there.
        n: bytes of the content.
        is_deflated: whether it is packed as a zip file packs.
    """

    path: Path
    at: int
    n_packed: int
    n: int
    is_deflated: bool = False


class Reader(NamedTuple):
    """What reads places.

    Attributes:
        read: the content of a place; the text begins messages.
        said: a place as a message shows it.
    """

    read: Callable[[Place, str], bytes]
    said: Callable[[Place], str]


def said_of(place: Place) -> str:
    """Of a stretch of a file."""
    return str(place.path) if place.at == 0 else f"{place.path}, byte {place.at:,}"


def read_place(place: Place, where: str) -> bytes:
    """The content; `where` begins messages.

    Raises:
        DataError: it cannot be read, or is not there in full.
    """
    try:
        # A pipe would be waited for; who put one there has changed the set.
        descriptor = os.open(place.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            packed = _stretch(descriptor, place) if is_file else b""
        finally:
            os.close(descriptor)
    except OSError as err:
        raise DataError(f"{where}: cannot be read: {err.strerror}") from err
    if len(packed) == place.n_packed:
        content = _unpacked(packed, place.n) if place.is_deflated else packed
        if len(content) == place.n:
            return content
    raise DataError(f"{where}: has changed since the set was read; run the same command again")


def place_in_zip(path: Path, file: IO[bytes], info: zipfile.ZipInfo) -> Place:
    """Of a member of an open zip file.

    Raises:
        zipfile.BadZipFile: there is no member at that place.
    """
    file.seek(info.header_offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"'{info.filename}' is not where it is said to be")
    _, n_name, n_extra = _LOCAL.unpack(header)
    at = info.header_offset + _LOCAL.size + n_name + n_extra
    is_deflated = info.compress_type == zipfile.ZIP_DEFLATED
    return Place(path, at, info.compress_size, info.file_size, is_deflated)


def content_in_zip(file: IO[bytes], info: zipfile.ZipInfo) -> bytes | None:
    """The content of a member, its checksum verified, read at once and at the same time by several
    threads; None where anything is unusual or wrong, of which `zipfile` then says what."""
    name = info.orig_filename.encode()
    most = _LOCAL.size + len(name) + _MOST_EXTRAS + info.compress_size
    found = os.pread(file.fileno(), most, info.header_offset)
    if info.flag_bits & _OTHERWISE_PACKED or len(found) < _LOCAL.size:
        return None
    mark, n_name, n_extra = _LOCAL.unpack_from(found)
    begin = _LOCAL.size + n_name + n_extra
    is_same = mark == b"PK\x03\x04" and found[_LOCAL.size : _LOCAL.size + n_name] == name
    packed = found[begin : begin + info.compress_size]
    if not is_same or len(packed) < info.compress_size:
        return None
    is_deflated = info.compress_type == zipfile.ZIP_DEFLATED
    content = _unpacked(packed, info.file_size) if is_deflated else packed
    is_right = len(content) == info.file_size and zlib.crc32(content) == info.CRC
    return content if is_right else None


FILES = Reader(read_place, said_of)


def _stretch(descriptor: int, place: Place) -> bytes:
    content = os.pread(descriptor, place.n_packed, place.at)
    while len(content) < place.n_packed:
        more = os.pread(descriptor, place.n_packed - len(content), place.at + len(content))
        if not more:
            break
        content += more
    return content


def _unpacked(packed: bytes, n: int) -> bytes:
    """At most a byte more than `n`; nothing where it is damaged."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, n + 1)
    except zlib.error:
        return b""
