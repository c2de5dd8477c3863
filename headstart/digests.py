"""SHA-256 digests of what a run folder holds, so that damage is noticed and never read as numbers.

In: bytes, files, JSON objects, tables. Out: their digests, and objects and tables that carry their
own. The digest of a trial's files stands in its record. A JSON object carries the digest of all its
other keys under `sha256`, a text file in its first line, a Parquet table in the metadata of its own
footer: so each of them is replaced in one step, and stays whole when it is copied alone.

What an earlier version wrote carries no digest; it is read, and the command says so once.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.cli import say_once
from headstart.errors import RunFolderError
from headstart.files import atomic_file, write_json
from headstart.foreign import open_plain, read_limited

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

KEY = "sha256"  # of a JSON object
LINE = "# sha256 of the lines below: "  # the first one of a text file: one that was cut has it
TABLE_KEY = b"headstart.sha256"  # of a table's metadata
PARTNER_KEY = b"headstart.written_with"  # of a table's metadata: the digest of another file
_BLANK = b"0" * 64  # stands in a table where its digest will
_LENGTH = 2  # bytes between a key and its value of 64 bytes in Parquet's footer
RERUN = "remove it and run the sweep's command again, which makes it anew"


def digest_of(content: bytes | bytearray | memoryview) -> str:
    """64 hexadecimal characters."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """The digest of a file's content, which is never held in memory as a whole."""
    with open(path, "rb") as file:
        return digest_of_open(file)


def digest_of_open(file: BufferedReader) -> str:
    """The digest of an open file from where it stands."""
    return hashlib.file_digest(file, hashlib.sha256).hexdigest()


def image_keys(images: np.ndarray) -> np.ndarray:
    """uint64 (n,): equal where two images of the array (n, …) are equal in every byte."""
    import numpy as np

    shape = repr(images.shape[1:]).encode()
    keys = [hashlib.blake2b(image.tobytes() + shape, digest_size=8).digest() for image in images]
    return np.frombuffer(b"".join(keys), "<u8")


def check_digest(path: Path, got: str, wanted: str, advice: str = RERUN) -> None:
    """Raises where a file is not what was written.

    Raises:
        RunFolderError: the two digests differ; the message names the file and says what to do.
    """
    if got != wanted:
        raise RunFolderError(
            f"{path}: damaged, or changed since it was written (SHA-256 {wanted[:12]}… is "
            f"expected, it has {got[:12]}…); {advice}"
        )


def check_listed(folder: Path, name: str, digests: Mapping[str, str] | None, got: str) -> None:
    """Compare the digest of a file of a trial's folder with those that the trial's record holds.

    Raises:
        RunFolderError: the two differ, or the record lacks this one.
    """
    if digests is None:
        say_unchecked(folder.parent.parent)
        return
    advice = f"remove the folder {folder} and run the sweep's command again, which makes it anew"
    check_digest(folder / name, got, str(digests.get(name, "none")), advice)


def say_unchecked(path: Path) -> None:
    """Say once for each run folder that what lies in it cannot be checked."""
    say_once(
        f"{path}: was written by a version without digests, so damage to its files cannot be "
        "noticed"
    )


# -- JSON objects ----------------------------------------------------------------------------


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The object with the digest of all its other keys."""
    plain = {key: value for key, value in content.items() if key != KEY}
    return {**plain, KEY: _digest_of_object(plain)}


def write_sealed_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object that carries its own digest, atomically."""
    write_json(path, sealed(content))


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Whether an object carries a digest; a digest under another name is a damaged key.

    Raises:
        ValueError: the key was damaged.
    """
    if KEY in content:
        return True
    if any(_is_digest(value) for value in content.values()) or content.get("digests") is not None:
        raise ValueError(f"its key {KEY} is damaged")
    return False


def check_sealed(content: Mapping[str, Any]) -> None:
    """Raises where an object that carries a digest is not what was written.

    Raises:
        ValueError: it was damaged or changed.
    """
    plain = {key: value for key, value in content.items() if key != KEY}
    if is_sealed(content) and content[KEY] != _digest_of_object(plain):
        raise ValueError("damaged, or changed since it was written: its SHA-256 is another one")


def _digest_of_object(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return digest_of(text.encode())


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")


# -- text files ------------------------------------------------------------------------------


def sealed_text(text: str) -> str:
    """The text after a line with its digest, which is a comment in YAML."""
    return f"{LINE}{digest_of(text.encode())}\n{text}"


def is_sealed_text(path: Path) -> bool:
    """Whether a regular file can be read and begins with the line of a digest; not compared."""
    with suppress(OSError):
        if path.is_file():
            with open(path, "rb") as file:
                return file.read(len(LINE)) == LINE.encode()
    return False


def read_sealed_text(path: Path) -> str:
    """The text of a file, compared with the digest that it carries.

    Raises:
        RunFolderError: it was damaged or changed, or cannot be read.
    """
    try:
        with open_plain(path) as file:
            content = read_limited(file, path)
        text = content.decode()
    except OSError as err:
        raise RunFolderError(f"{path}: cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise RunFolderError(f"{path}: is not UTF-8 text (byte {err.start})") from err
    first, _, below = content.partition(b"\n")
    if first.startswith(LINE.encode()):
        advice = (
            "run the sweep's command again, which writes it anew; to have it read as it is, "
            "remove its first line"
        )
        check_digest(path, digest_of(below), first[len(LINE) :].decode(), advice)
    else:
        say_unchecked(path.parent)
    return text


# -- tables ----------------------------------------------------------------------------------


def write_sealed_pair(first: Path, table: pa.Table, second: Path, other: pa.Table) -> None:
    """Write two tables that belong together, as Parquet that carries its own digest.

    Both are whole before either is replaced, and the second says which first one it was written
    with: so a reader notices where a command died between the two.
    """
    content = sealed_table(table)
    content_of_other = sealed_table(other, {PARTNER_KEY: digest_of(content).encode()})
    # What is opened last is replaced first.
    with atomic_file(second, "wb") as second_file, atomic_file(first, "wb") as first_file:
        first_file.write(content)
        second_file.write(content_of_other)


def sealed_table(table: pa.Table, more: Mapping[bytes, bytes] | None = None) -> bytearray:
    """A Parquet file whose metadata holds the digest of the file with zeros in its place."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    metadata = {**(table.schema.metadata or {}), **(more or {}), TABLE_KEY: _BLANK}
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    content = bytearray(sink.getbuffer())
    start = _place(content)
    assert content[start : start + len(_BLANK)] == _BLANK
    content[start : start + len(_BLANK)] = digest_of(content).encode()
    return content


def check_table(path: Path, content: bytes) -> None:
    """Raises where a table that carries a digest is not what was written.

    Raises:
        RunFolderError: it was damaged or changed.
    """
    start = _place(content)
    if start < 0:
        say_unchecked(path.parent)
        return
    end = start + len(_BLANK)
    view, running = memoryview(content), hashlib.sha256()
    for part in (view[:start], _BLANK, view[end:]):
        running.update(part)
    wanted = content[start:end].decode("ascii", "replace")
    advice = "run the sweep's command again, which writes it anew"
    check_digest(path, running.hexdigest(), wanted, advice)


def _place(content: bytes | bytearray) -> int:
    """Where the digest stands in a Parquet file; -1 where there is none."""
    at = content.rfind(TABLE_KEY)
    return at if at < 0 else at + len(TABLE_KEY) + _LENGTH
