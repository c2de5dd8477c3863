"""From a valid file to a damaged or hostile one: changes of bytes, and changes of structure.

In: the bytes of a sample and a generator of random numbers. Out: other bytes. Changes of bytes know
nothing of a format; changes of structure take a file apart, change a value and put it together
again with right checksums, since a reader looks at most of a file only when those are right. It
stands alone because the fuzzer and the property tests make their inputs with it.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import yaml

Change = Callable[[Random, bytes], bytes]

NUMBERS = (
    *(0, -1, 1, 2, 7, 255, 256, 65_536, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64),
    *(10**18, 10**400, -(2**63), 0.5, 1e300, -0.0, float("nan"), float("inf"), float("-inf")),
)
TEXTS = (
    *("", " ", "a", "1", "x" * 5000, "é", "\ud800", "\x00", "a\nb", "\x1b[2J", "\u202e", "None"),
    *("../../escaped", "/etc/passwd", "~nosuchuser/x", "C:\\x", "a/b", ".", "..", "$HOME", "=1+1"),
    *("1e-5", "nan", "last_2", "last_" + "9" * 5000, "2026-13-45T99:99", "<b>&", "%s{0}"),
)
VALUES: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"a": 1}, *NUMBERS, *TEXTS)
MEMBER_NAMES = ("../x", "/x", "a", "a/", "a/../b.png", "C:/x", "a\\b", "\udcff.png", "a\nb.png", "")


def change_bytes(rng: Random, content: bytes, others: Sequence[bytes], tokens: Sequence[bytes]):
    """One to four changes that know nothing of the format; `others` are spliced in."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change_bytes_once(rng, data, others, tokens)
    return bytes(data)


def _change_bytes_once(
    rng: Random, data: bytearray, others: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    at, end = rng.randrange(len(data) + 1), len(data)
    stop = min(end, at + rng.choice((1, 2, 4, 8, 64, 1024)))
    kind = rng.randrange(8)
    if kind == 0 and at < end:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and at < end:
        data[at:stop] = bytes(rng.choice((0, 1, 127, 128, 255)) for _ in range(stop - at))
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        del data[at:stop]
    elif kind == 4:
        data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 64))))
    elif kind == 5:
        data[at:at] = data[at:stop] * rng.choice((1, 2, 200))
    elif kind == 6 and tokens:
        token = rng.choice(tokens)
        data[at : at + len(token) * rng.randrange(2)] = token
    elif others:
        other = rng.choice(others)
        data[at:] = other[rng.randrange(len(other) + 1) :]


def change_tree(rng: Random, tree: Any) -> Any:
    """A tree of dicts and lists with one value, key or branch of it changed."""
    if isinstance(tree, dict) and tree and rng.random() < 0.9:
        return _change_mapping(rng, dict(tree))
    if isinstance(tree, list) and tree and rng.random() < 0.9:
        return _change_list(rng, list(tree))
    if isinstance(tree, int | float) and rng.random() < 0.7:
        return rng.choice(NUMBERS)
    if isinstance(tree, str) and rng.random() < 0.5:
        return rng.choice((*TEXTS, tree + tree, tree[:-1]))
    return rng.choice(VALUES)


def _change_mapping(rng: Random, tree: dict[Any, Any]) -> dict[Any, Any]:
    key = rng.choice(list(tree))
    kind = rng.randrange(12)
    if kind == 0:
        del tree[key]
    elif kind == 1:
        tree[rng.choice(TEXTS)] = tree.pop(key)
    elif kind == 2:
        tree[key] = tree[rng.choice(list(tree))]
    elif kind == 3:
        tree[rng.choice(TEXTS)] = rng.choice(VALUES)
    else:
        tree[key] = change_tree(rng, tree[key])
    return tree


def _change_list(rng: Random, tree: list[Any]) -> list[Any]:
    at = rng.randrange(len(tree))
    kind = rng.randrange(6)
    if kind == 0:
        del tree[at]
    elif kind == 1:
        tree *= rng.choice((2, 3, 50))
    elif kind == 2:
        tree.insert(at, rng.choice(VALUES))
    else:
        tree[at] = change_tree(rng, tree[at])
    return tree


def change_json(rng: Random, content: bytes) -> bytes:
    """A JSON file with a value changed, or with far too many brackets."""
    if rng.random() < 0.02:
        return b"[" * 100_000
    return json.dumps(change_tree(rng, json.loads(content))).encode("utf-8", "surrogatepass")


def change_yaml(rng: Random, content: bytes) -> bytes:
    """A YAML file with a value changed, or with a line that stands for a trap of the language."""
    if rng.random() < 0.3:
        lines = content.decode().splitlines()
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(YAML_TRAPS))
        return "\n".join(lines).encode("utf-8", "surrogatepass")
    tree = change_tree(rng, yaml.safe_load(content))
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=rng.random() < 0.5).encode(
        "utf-8", "surrogatepass"
    )


YAML_TRAPS = (
    *("why: &a [*a]", "why: &a {b: *a}", "seeds: !!int abc", "seeds: !!float x", "a: !!binary x"),
    *("why: " + "[" * 3000, "why: " + "[" * 400 + "]" * 400, "seeds: " + "9" * 5000, "? [a]\n: b"),
    *("seeds: 0o8", "seeds: 0x", "<<: {a: 1}", "- a", "\t", "---", "...", "%YAML 9.9", "&", "*"),
    *("seeds: !!python/object:os.system x", '"\\ud800": 1', "seeds: 1_000", "seeds: .inf"),
    *("grid: {train.epochs: [1, 1]}", "seeds: {until: {half_width: 0.1}, at_least: 5}", "a: []"),
    *("vary: [split]", "profiles: {a: {seeds: 1}}", "compare: [{treatment: a}]", "arms: {a: null}"),
    *("  extra: {deep: {deeper: [1, {a: b}]}}", "why: >\n", "why: |9", "'", '"', "{", "}", "\x00"),
)  # fmt: skip


def change_zip(inner: Change) -> Change:
    """A zip file with a member changed by `inner`, renamed, doubled, or lied about."""

    def change(rng: Random, content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [
                (info.filename, archive.read(info))
                for info in archive.infolist()
                if info.file_size < TOO_LARGE
            ]
        at = rng.randrange(len(members))
        name, data = members[at]
        kind = rng.randrange(10)
        if kind == 0:
            members[at] = (rng.choice(MEMBER_NAMES), data)
        elif kind == 1:
            members.insert(0, (name, members[rng.randrange(len(members))][1]))
        elif kind == 2:
            del members[at]
        elif kind == 3:
            members[at] = (name, bytes(rng.choice((10, 2 << 20))))
        elif kind < 8:
            members[at] = (name, inner(rng, data))
        method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED,
                             zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))  # fmt: skip
        whole = _zip_of(members, method)
        return _lie_in_zip(rng, whole) if kind >= 8 else whole

    return change


def _zip_of(members: Sequence[tuple[str, bytes]], method: int) -> bytes:
    buffer = io.BytesIO()
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for name, data in members:
            with suppress(UnicodeEncodeError):
                archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def _lie_in_zip(rng: Random, content: bytes) -> bytes:
    """Change a field of a local header, of the directory, or of the end of a zip file."""
    mark, length = rng.choice(((b"PK\1\2", 46), (b"PK\1\2", 46), (b"PK\3\4", 30), (b"PK\5\6", 22)))
    places = [at for at in range(len(content) - 3) if content[at : at + 4] == mark]
    if not places:
        return content
    data = bytearray(content)
    at = rng.choice(places) + 4 + 2 * rng.randrange((length - 4) // 2)
    value = rng.choice((0, 1, 8, 9, 12, 14, 0x41, 0xFF, 0x7FFF, 0xFFFF))
    data[at : at + 2] = struct.pack("<H", value)
    return bytes(data)


TOO_LARGE = 32 << 20  # a member that an earlier change made huge is not taken apart
PAX_HEADERS = ("path", "size", "GNU.sparse.size", "GNU.sparse.major", "hdrcharset", "a" * 5000)


def change_tar(inner: Change) -> Change:
    """A tar file, packed or not, with a member changed by `inner`, renamed, or of another kind."""

    def change(rng: Random, content: bytes) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = [
                (member, file.read())
                for member in archive
                if member.size < TOO_LARGE and (file := archive.extractfile(member)) is not None
            ]
        at = rng.randrange(len(members))
        info, data = members[at]
        kind = rng.randrange(8)
        if kind == 0:
            info.name = rng.choice(MEMBER_NAMES)
        elif kind == 1:
            info.type = bytes([rng.choice(b"0123456789LKxgSX")])
            info.linkname = "../../x"
        elif kind == 2:
            info.pax_headers = {rng.choice(PAX_HEADERS): str(rng.choice(VALUES))}
        elif kind == 3:
            data = bytes(rng.choice((10, 2 << 20)))
        else:
            data = inner(rng, data)
        members[at] = (info, data)
        return _tar_of(members, rng.choice(("w", "w:gz", "w:bz2", "w:xz")))

    return change


def _tar_of(members: Sequence[tuple[tarfile.TarInfo, bytes]], mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            with suppress(UnicodeEncodeError, ValueError):
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def change_gzip(inner: Change) -> Change:
    """A packed file whose content is changed by `inner` and packed again."""

    def change(rng: Random, content: bytes) -> bytes:
        import gzip

        return gzip.compress(inner(rng, gzip.decompress(content)), 1)

    return change


def change_array(rng: Random, content: bytes) -> bytes:
    """A .npy file of another kind, shape or content, or with a header that lies."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    kind = rng.randrange(7)
    if kind == 0:
        return _npy_that_lies(rng)
    if kind == 1:
        with np.errstate(all="ignore"):
            types = ("u1", "i8", "<f2", ">f4", "f8", "U3", "S2", "?", "c8", "M8[s]", "V4")
            with suppress(ValueError, TypeError, OverflowError):
                array = array.astype(rng.choice(types))
    elif kind == 2:
        shapes = ((), (0,), (array.size,), (1, *array.shape), (*array.shape, 1), array.shape[::-1])
        array = np.resize(array, rng.choice(shapes))
    elif kind == 3 and array.ndim:
        array = array[: rng.randrange(len(array) + 1)]
    elif kind == 4 and array.ndim:
        array = np.concatenate([array, array])
    elif array.size and array.dtype.kind in "iufb":
        array = array.copy()
        with np.errstate(all="ignore"), suppress(OverflowError, ValueError, TypeError):
            array.reshape(-1)[rng.randrange(array.size)] = np.array(
                rng.choice((-1, 0, 1, 300, 1e9, float("nan"), float("inf")))
            ).astype(array.dtype)
    return _npy_of(array)


def _npy_of(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _npy_that_lies(rng: Random) -> bytes:
    shape = rng.choice(((1 << 50, 8, 8), (1 << 28,), (-1,), (2, -2), (), (1,) * 70, "x", (2.0,)))
    kind = rng.choice(("|u1", "<f8", "|O", "|S1000000", "[('a', '<i4')]", "<U100000", "bad"))
    header = repr({"descr": kind, "fortran_order": rng.random() < 0.3, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(256)


def change_table(rng: Random, content: bytes) -> bytes:
    """A Parquet file with a column that is missing, of another kind, or holds other values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content), use_threads=False)
    if not table.num_columns:
        return content
    at = rng.randrange(table.num_columns)
    name, rows = table.column_names[at], table.num_rows
    kind = rng.randrange(8)
    if kind == 0:
        table = table.remove_column(at)
    elif kind == 1:
        table = table.slice(0, rng.randrange(rows + 1))
    elif kind == 2:
        table = pa.concat_tables([table, table])
    elif kind == 3:
        table = table.append_column(rng.choice((name, "extra")), table.column(at))
    else:
        table = table.set_column(at, name, _other_column(rng, table.column(at)))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _other_column(rng: Random, column: Any) -> Any:
    """A column with one value changed, or with the same changed value everywhere."""
    import pyarrow as pa

    values = column.to_pylist()
    places = range(len(values)) if rng.random() < 0.5 else [rng.randrange(len(values) or 1)]
    value = rng.choice((None, *NUMBERS, *TEXTS, [1], {"a": 1}, b"\xff"))
    changed = [value if at in places else old for at, old in enumerate(values)]
    for kind in (column.type, None):
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            return pa.array(changed, kind)
    return pa.nulls(len(values))


def change_png(rng: Random, content: bytes) -> bytes:
    """A PNG file with a field of a chunk changed and its checksum right, or its pixels changed."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    place = rng.randrange(len(chunks))
    kind, data = chunks[place]
    if kind == b"IHDR":
        data = bytearray(data)
        if rng.random() < 0.6:
            number = rng.choice((0, 1, 60, 10_000, 20_000, 2**31 - 1, 2**32 - 1))
            struct.pack_into(">I", data, rng.choice((0, 4)), number)
        else:
            data[rng.randrange(8, 13)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    elif kind == b"IDAT":
        raw = zlib.decompress(data)
        data = zlib.compress(change_bytes(rng, raw, (), ()) * rng.choice((1, 1, 100)))
    extra = rng.choice((None, b"tRNS", b"eXIf", b"iCCP", b"zTXt", b"PLTE", b"acTL", b"gAMA"))
    chunks[place] = (kind, bytes(data))
    if extra:
        chunks.insert(1, (extra, bytes(rng.randrange(256) for _ in range(rng.randrange(30)))))
    return content[:8] + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def change_text(rng: Random, content: bytes) -> bytes:
    """A table or listing with a field changed, doubled or taken out, or with a line end inside."""
    lines = content.decode("utf-8", "replace").split("\n")
    at = rng.randrange(len(lines))
    mark = next((mark for mark in ("|", "\t", ";", ",", " ") if mark in lines[at]), ",")
    fields = lines[at].split(mark)
    place = rng.randrange(len(fields))
    kind = rng.randrange(6)
    if kind == 0:
        del fields[place]
    elif kind == 1:
        fields.insert(place, fields[place])
    elif kind == 2:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif kind == 3:
        lines = lines[:at]
        return "\n".join(lines).encode("utf-8", "replace")
    else:
        fields[place] = str(rng.choice((*NUMBERS[:-4], *TEXTS, "1e300", '"', "'", "1_0", "٣")))
    lines[at] = mark.join(fields)
    return "\n".join(lines).encode("utf-8", "replace")
