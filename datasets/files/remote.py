"""Files of a remote store (`s3://bucket/set`) → the same files in the cache, brought there once.

In: an address that fsspec knows. Out: a local path, so every set reads it like any other. What is
here already is known by size and by what the store says of a version; only what differs is fetched.
It stands alone because fsspec and its stores are extras, and because a store is a stranger: its
names, its sizes and its errors are.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from headstart.digests import check_sealed, is_sealed, write_sealed_json
from headstart.errors import DataError, DataNotFoundError, HeadstartError, MissingPackageError
from headstart.files import make_folder, read_mapping, remove, temporary_beside
from headstart.private import without_secrets

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)  # a Path has one `/` of two left
_LIST = ".files.json"
_MOST_FILES = 2_000_000


def address_of(path: Path) -> str | None:
    """`s3://bucket/set` of a path that was written so; None where it is a path of this machine."""
    match = _ADDRESS.fullmatch(str(path))
    if match is None or os.path.exists(path):
        return None
    scheme, rest = match.groups()
    return f"{scheme}://{'/' if scheme in ('file', 'local') else ''}{rest}"


def mirror_of(address: str, cache_dir: Path) -> Path:
    """Where the files of an address are in the cache, whether or not they are there yet."""
    key = hashlib.blake2b(address.encode(), digest_size=8).hexdigest()
    return cache_dir / "remote" / key / (PurePosixPath(address).name or "files")


def fetched(address: str, cache_dir: Path, may_fetch: bool) -> Path:
    """The local copy of a file or a folder of a store, as the store has it now.

    Args:
        address: of one file or folder, with its scheme.
        cache_dir: of the copies.
        may_fetch: whether the store may be asked; else what is here counts.

    Raises:
        MissingPackageError: what reads such a store is not installed.
        DataNotFoundError: there is nothing at the address, or it may not be asked.
        DataError: the store cannot be read, or holds names that would leave the folder.
        StorageError: the cache cannot be written.
    """
    mirror = mirror_of(address, cache_dir)
    if not may_fetch:
        if _known(mirror):
            return mirror
        raise DataNotFoundError(
            f"{without_secrets(address)}: not fetched yet; --fetch brings it to this machine",
            "fetch it with --fetch",
            is_named=True,
        )
    if "@" in address.partition("://")[2].partition("/")[0]:
        raise DataError(
            f"{without_secrets(address)}: no password belongs into a sweep file; give it in the "
            "way that the store's package documents, as in the environment"
        )
    try:
        return _synchronised(address, mirror)
    except (HeadstartError, MemoryError):
        raise
    except ImportError as err:
        raise MissingPackageError(
            f"{address}: needs a package that is not installed: uv pip install -r pyproject.toml "
            f"--extra remote ({' '.join(str(err).split())})"
        ) from err
    except FileNotFoundError as err:
        raise DataNotFoundError(
            f"{address}: no such file or folder in the store", is_named=True
        ) from err
    except Exception as err:  # each store has errors of its own
        said = " ".join(str(err).split())[:300] or type(err).__name__
        raise DataError(without_secrets(f"{address}: cannot be fetched: {said}")) from err


def _synchronised(address: str, mirror: Path) -> Path:
    from fsspec.core import url_to_fs

    store, root = url_to_fs(address)
    there = store.find(root, detail=True)
    if not there:
        raise FileNotFoundError(address)
    if len(there) > _MOST_FILES:
        raise DataError(f"{address}: holds over {_MOST_FILES:,} files; pack them as tar files")
    is_file = list(there) == [root]
    wanted = {"" if is_file else _relative(name, root, address): name for name in there}
    versions = {name: _version(there[full]) for name, full in wanted.items()}
    known = _known(mirror)
    new = [name for name in versions if versions[name] != known.get(name)]
    _check_room(address, mirror, sum(int(there[wanted[name]].get("size") or 0) for name in new))
    for name in new:
        _bring(store, wanted[name], mirror / name if name else mirror)
    for name in known.keys() - versions.keys():
        remove(mirror / name)
    if new or known.keys() != versions.keys():
        write_sealed_json(mirror.parent / _LIST, {"files": versions})
    return mirror


def _relative(name: str, root: str, address: str) -> str:
    relative = PurePosixPath(name).relative_to(PurePosixPath(root))
    if ".." in relative.parts or "\0" in name:
        raise DataError(f"{address}: the name '{name}' would lie outside its folder; rename it")
    return str(relative)


def _version(info: Mapping[str, Any]) -> str:
    """What a store says of one file's content, as far as it says anything."""
    keys = ("size", "ETag", "etag", "md5Hash", "crc32c", "content_md5", "mtime", "LastModified")
    said = {key: str(info[key]) for key in (*keys, "last_modified", "created") if key in info}
    return hashlib.blake2b(repr(sorted(said.items())).encode(), digest_size=8).hexdigest()


def _known(mirror: Path) -> dict[str, str]:
    """Versions of the files that are here whole."""
    kept = read_mapping(mirror.parent / _LIST)
    with suppress(ValueError):
        check_sealed(kept)
        if is_sealed(kept) and isinstance(kept.get("files"), dict):
            return {
                n: v for n, v in kept["files"].items() if (mirror / n if n else mirror).is_file()
            }
    return {}


def _check_room(address: str, mirror: Path, n_bytes: int) -> None:
    make_folder(mirror.parent)
    free = shutil.disk_usage(mirror.parent).free
    if n_bytes > free:
        raise DataError(
            f"{address}: {n_bytes / 1e9:,.2f} GB are to be fetched, and {free / 1e9:,.2f} GB are "
            f"free in {mirror.parent}; free some space, or set HEADSTART_CACHE elsewhere"
        )


def _bring(store: Any, name: str, to: Path) -> None:
    """One file, which gets its name when it is whole."""
    make_folder(to.parent)
    temporary = temporary_beside(to)
    try:
        store.get_file(name, str(temporary))
        os.replace(temporary, to)
    finally:
        remove(temporary)
