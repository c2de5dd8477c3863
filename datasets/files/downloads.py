"""One file from a public address: short to give up, resumed where it broke off, checked.

In: addresses, a place in the cache folder, a checksum. Out: the file's path, which exists only
once its checksum was right; until then the bytes wait beside it under a name that begins with `.`.
Two commands that fetch the same file, perhaps on two nodes, each write one of their own.

It is ours, on `requests`, because pooch and torch.hub begin a broken download anew and try one
address only.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from headstart.errors import DataError, DataNotFoundError
from headstart.files import dead_temporaries, make_folder, sync_folder, temporary_beside
from headstart.private import without_secrets

if TYPE_CHECKING:
    from requests import Response

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 30.0
_ATTEMPTS = 4  # for each address: a broken connection is taken up where it broke
_CHUNK_BYTES = 1 << 14
_NO_CONNECTION = "no connection"
SLOW_S = 60.0
LEAST_BYTES = 1 << 17  # in so long: a server that sends less would never end


@dataclass(frozen=True)
class Download:
    """What to fetch.

    Attributes:
        addresses: tried in this order.
        path: where the whole file goes.
        checksum: `md5:…` or `sha256:…` of the file, hexadecimal; None: the caller checks the
            content itself.
        limit_bytes: a longer file is refused.
    """

    addresses: Sequence[str]
    path: Path
    checksum: str | None
    limit_bytes: int = 1 << 30


def fetch(download: Download, missing: DataNotFoundError) -> Path:
    """Fetch the file unless it is there already.

    Args:
        download: what to fetch.
        missing: the error that says what to put where; raised, with the reason added, if no
            address answers.

    Raises:
        DataNotFoundError: no address could be reached.
        DataError: the file arrived, with another checksum or longer than allowed.
    """
    if download.path.exists():
        return download.path
    make_folder(download.path.parent)
    reasons, no_connection = [], True
    with _partial(download.path) as partial:
        for address in download.addresses:
            reason = _fetch_from(address, partial, download.limit_bytes)
            if reason is None:
                _accept(partial, download, address)
                return download.path
            reasons.append(without_secrets(f"{address}: {reason}"))
            no_connection &= reason.startswith(_NO_CONNECTION)
    failed = f"fetching it failed: {'; '.join(reasons)}"
    why = f"{_NO_CONNECTION} to fetch it" if no_connection else "fetching it failed"
    put = missing.put and f"{missing.put}; {failed}"
    raise DataNotFoundError(f"{missing}; {failed}", put, why=why)


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """Where this command writes; what an earlier one left of the file is taken up.

    What is there in the end waits for a later command.
    """
    waiting, partial = path.with_name(f".{path.name}.part"), temporary_beside(path)
    for dead in dead_temporaries(path.parent, path.name):
        _rename(dead, waiting)
    _rename(waiting, partial)
    try:
        yield partial
    finally:
        _rename(partial, waiting)


def _rename(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):  # there is none, or another command was first
        os.replace(source, target)


def _fetch_from(address: str, partial: Path, limit_bytes: int) -> str | None:
    """Append to `partial` until it is whole; the reason in words if that did not work."""
    import requests

    reason = "no attempt"
    for _ in range(_ATTEMPTS):
        try:
            if _continue(address, partial, limit_bytes):
                return None
            reason = "the connection broke off again and again"
        except requests.ConnectionError as err:
            if not _has_begun(partial):
                return f"{_NO_CONNECTION} ({_innermost(err)})"
            reason = "the connection broke off again and again"
        except requests.RequestException as err:
            return str(err)
    return reason


def _continue(address: str, partial: Path, limit_bytes: int) -> bool:
    """One request for what is missing; whether the file is whole now."""
    import requests

    have = partial.stat().st_size if partial.exists() else 0
    # Not packed on the way: what a megabyte unpacks to is the sender's to choose.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with requests.get(
        address, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
    ) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return True  # nothing is missing; the checksum decides
        response.raise_for_status()
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise requests.RequestException("it is sent packed, which was not asked for")
        resumes = response.status_code == requests.codes.partial_content
        start = have if resumes else 0
        length = response.headers.get("Content-Length")
        with open(partial, "ab" if resumes else "wb", buffering=0) as file:
            with _fast_enough(response, file), suppress(requests.exceptions.ChunkedEncodingError):
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    if file.tell() > limit_bytes:
                        raise DataError(
                            f"{without_secrets(address)}: over {limit_bytes >> 20} MB, which is "
                            "the limit"
                        )
            n_written = file.tell()
    return length is None or n_written >= start + int(length)


@contextmanager
def _fast_enough(response: Response, file: FileIO) -> Iterator[None]:
    """End the connection of a server that sends too little: one byte is enough for each read.

    Raises:
        RequestException: it did, instead of what the end of the connection raises.
    """
    import requests

    is_done, is_slow = Event(), Event()
    connection = socket.socket(fileno=os.dup(response.raw.fileno()))

    def watch() -> None:
        before = os.fstat(file.fileno()).st_size
        while not is_done.wait(SLOW_S):
            now = os.fstat(file.fileno()).st_size
            if now - before < LEAST_BYTES:
                is_slow.set()
                with suppress(OSError):  # it has ended by itself
                    connection.shutdown(socket.SHUT_RDWR)
                return
            before = now

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except requests.RequestException:
        if not is_slow.is_set():
            raise
    finally:
        is_done.set()
        watcher.join()
        connection.close()
    if is_slow.is_set():
        raise requests.RequestException(f"it sends less than {LEAST_BYTES >> 10} kB in a minute")


def _has_begun(partial: Path) -> bool:
    return partial.exists() and partial.stat().st_size > 0


def _innermost(err: BaseException) -> str:
    reason = err.args[0] if err.args else err
    return str(getattr(reason, "reason", reason)).split("): ", 1)[-1]


def _accept(partial: Path, download: Download, address: str) -> None:
    """Give the file its name, or throw it away if its checksum is wrong."""
    if download.checksum is not None:
        method, _, wanted = download.checksum.partition(":")
        with open(partial, "rb") as file:
            digest = hashlib.file_digest(file, method).hexdigest()
        if digest != wanted.lower():
            partial.unlink()
            raise DataError(
                f"{without_secrets(address)}: {method} {digest} instead of {wanted}; the file was "
                "thrown away. "
                f"Fetch it from elsewhere and put it at {download.path}"
            )
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, download.path)
    sync_folder(download.path.parent)
