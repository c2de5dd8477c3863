"""One entry of the cache: the folder of a decoded set, written whole and read with suspicion.

In: a `Dataset` whose images lie in the folder already. Out: small arrays and `meta.json`, which is
written last and carries the digest of every small file; read back, a `Dataset`. Who wrote an entry
is not known: it may be torn, half copied, another set's, or a stranger's. So nothing is unpickled,
no announced size is believed, no link is followed, and what differs from its digest is damaged.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from datasets.base import Dataset, Survey
from datasets.cache.checked import CheckedImages, RowCheck
from datasets.cache.packed import Decode, PackedImages, Places
from datasets.cache.pages import IMAGES
from datasets.files.trees import MAX_FILE_BYTES
from headstart.digests import check_sealed, is_sealed, sealed
from headstart.errors import StorageError
from headstart.files import sync_folder

META = "meta.json"
_PICTURE = "picture-"  # begins the names of such files
_MOST_META = 256 << 20  # bytes
_ROW_NUMBERS = 128  # bytes of small arrays a row; pairs of near-duplicates are the most, ten a row
_SMALL = 64 << 20  # bytes that any small file may have

_OF_THE_PROCESS = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # a whole file cannot be opened
_END = 1 << 62  # bytes of a file
_PLACES = ("path", "at", "n_packed", "n", "is_deflated")

Repair = Callable[[str, RowCheck, np.ndarray], None]
"""Mends rows of the image file of a set with a fingerprint."""


class DamagedError(Exception):
    """An entry is not what was written; the message says what is wrong, for one line."""


def write_entry(dataset: Dataset, crcs: Sequence[int], folder: Path, name: str) -> None:
    """Write all but the images of `dataset`, whose rows have the checksums `crcs`.

    `name`: of the entry that `folder` will be.
    """
    packed = dataset.images if isinstance(dataset.images, PackedImages) else None
    arrays = {
        "labels": dataset.labels,
        "first_copy": np.asarray(dataset.first_copy),
        "crc32": np.array(crcs, np.uint32),
        **{f"part-{part}": index for part, index in dataset.parts.items()},
        **({} if dataset.groups is None else {"groups": dataset.groups}),
        **({} if dataset.near_pairs is None else {"near_pairs": dataset.near_pairs}),
        **({} if packed is None else {f"place-{k}": getattr(packed.places, k) for k in _PLACES}),
    }
    contents = {f"{key}.npy": _as_npy(array) for key, array in arrays.items()}
    contents |= {f"{_PICTURE}{key}": content for key, content in dataset.pictures.items()}
    for file, content in contents.items():
        _write(folder / file, content)
    images = folder / IMAGES
    shape = np.load(images, mmap_mode="r").shape if packed is None else packed.shape
    image_sizes = {IMAGES: images.stat().st_size} if packed is None else {}
    meta = {
        "entry": name,
        "channels": dataset.images.shape[1],
        "class_names": list(dataset.class_names),
        "fingerprint": dataset.fingerprint,
        "source": dataset.source,
        "notes": list(dataset.notes),
        "warnings": list(dataset.warnings),
        "parts": list(dataset.parts),
        "files": _named_files(dataset),
        "survey": None if dataset.survey is None else asdict(dataset.survey),
        "pictures": list(dataset.pictures),
        "shape": list(shape),
        **({} if packed is None else {"places": list(packed.places.paths)}),
        "sizes": {**image_sizes, **{n: len(c) for n, c in contents.items()}},
        "digests": {file: _digest(content) for file, content in contents.items()},
    }
    _write(folder / META, json.dumps(sealed(meta), indent=1).encode())
    sync_folder(folder)


Decoder = Callable[[tuple[int, int, int]], Decode]
"""From the shape (C, H, W) of a set's images to what makes one of a file."""


def read_entry(
    name: str, entry: Path, repair: Repair, decoder: Decoder | None = None
) -> Dataset | None:
    """The set `name` of a folder; None where there is no entry.

    Args:
        name: the set's name.
        entry: the folder.
        repair: called when rows are read first that are not as they were written; mends the file
            or raises.
        decoder: of images that lie in their own files; None: the entry has them decoded.

    Raises:
        DamagedError: it is not what was written.
        StorageError: this process may not open or map one more file; nothing is wrong with it.
    """
    try:
        return _read(name, entry, repair, decoder)
    except FileNotFoundError as err:
        if not os.path.lexists(entry):
            return None
        raise DamagedError(f"{Path(err.filename or entry).name} is missing") from err
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        if isinstance(err, OSError) and err.errno in _OF_THE_PROCESS:
            raise StorageError(
                f"{entry}: the decoded '{name}' cannot be opened: {err.strerror}; the limits of "
                "this process (ulimit -n, -v) or the machine's memory allow no more"
            ) from err
        raise DamagedError(str(err) or type(err).__name__) from err
    except (MemoryError, OverflowError) as err:
        raise DamagedError("it announces more than it holds") from err


def _read(name: str, entry: Path, repair: Repair, decoder: Decoder | None) -> Dataset:
    meta = json.loads(_content(entry / META, _MOST_META))
    if not isinstance(meta, dict) or not is_sealed(meta):
        raise DamagedError(f"{META} carries no digest")
    check_sealed(meta)
    if meta["entry"] != entry.name:
        raise DamagedError(f"{META} is that of another entry")
    images = _opened(entry / IMAGES, meta) if decoder is None else None
    n = int(meta["shape"][0])
    most = max(_SMALL, _ROW_NUMBERS * n)
    small = {file: _checked(entry / file, meta, most) for file in meta["digests"]}

    def array(key: str) -> np.ndarray:
        return _from_npy(small[f"{key}.npy"], key)

    crcs = _of(array("crc32"), n, 1 << 32)
    if decoder is not None:
        (_, c, h, w), paths = meta["shape"], meta["places"]
        ends = (len(paths), _END, MAX_FILE_BYTES + 1, MAX_FILE_BYTES + 1, 2)
        numbers = (_of(array(f"place-{k}"), n, end) for k, end in zip(_PLACES, ends, strict=True))
        packed = PackedImages(
            (n, c, h, w), Places(tuple(map(str, paths)), *numbers), crcs, decoder((c, h, w))
        )
        shown = cast("np.ndarray", packed)  # it is indexed alike
    else:
        assert images is not None, "opened above"
        check = RowCheck(images, crcs, partial(repair, meta["fingerprint"]))
        shape = (n, meta["channels"], *images.shape[2:])
        shown = CheckedImages.of(np.broadcast_to(images, shape), check)
    return Dataset(
        name=name,
        images=shown,
        labels=_of(array("labels"), n, len(meta["class_names"])),
        class_names=tuple(meta["class_names"]),
        parts={part: _of(array(f"part-{part}"), None, n) for part in meta["parts"]},
        fingerprint=meta["fingerprint"],
        source=meta["source"],
        notes=tuple(meta["notes"]),
        warnings=tuple(meta["warnings"]),
        first_copy=_of(array("first_copy"), n, n),
        groups=_of(array("groups"), n, n) if "groups.npy" in small else None,
        near_pairs=_of(array("near_pairs"), None, n) if "near_pairs.npy" in small else None,
        survey=None if meta["survey"] is None else _survey(meta["survey"]),
        files={int(index): file for index, file in meta["files"].items()},
        pictures=_Pictures(entry, tuple(meta["pictures"])),
    )


def _opened(path: Path, meta: Mapping[str, Any]) -> np.ndarray:
    """The image file as a map; its rows are compared when they are read."""
    with open(_descriptor(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if np.lib.format.read_magic(file) != (1, 0):
            raise DamagedError(f"{IMAGES} has another header")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        if list(shape) != meta["shape"] or by_columns or dtype != np.uint8 or len(shape) != 4:
            raise DamagedError(f"{IMAGES} has another header")
        at = file.tell()
        written = meta["sizes"][IMAGES]
        if not size == written == at + math.prod(shape):
            raise DamagedError(f"{IMAGES} has {size:,} bytes, {written:,} were written")
        # Read-only: a map to which one may write must fit into the memory, as Linux counts it.
        return np.memmap(file, np.uint8, "r", at, tuple(shape)).view(np.ndarray)


def _checked(path: Path, meta: Mapping[str, Any], most: int) -> bytes:
    """The content of a small file, compared with its digest."""
    if Path(path.name).name != path.name or path.name.startswith("."):
        raise DamagedError(f"{META} names a file elsewhere")
    content = _content(path, most)
    if _digest(content) != meta["digests"][path.name]:
        raise DamagedError(f"{path.name} differs from its digest")
    return content


def _content(path: Path, most: int) -> bytes:
    with open(_descriptor(path), "rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise DamagedError(f"{path.name} is too large")
        return file.read(most)


def _descriptor(path: Path) -> int:
    """Of a regular file, opened to read; a link is not followed, a pipe is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DamagedError(f"{path.name} is no file")
    return descriptor


def _from_npy(content: bytes, key: str) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.kind not in "iu":
        raise DamagedError(f"{key}.npy holds no whole numbers")
    return array


def _of(array: np.ndarray, n: int | None, end: int) -> np.ndarray:
    """The array, which must have `n` rows and numbers in 0 … `end` - 1."""
    if (n is not None and array.shape != (n,)) or (array.size and not array.min() >= 0):
        raise DamagedError("its arrays do not fit each other")
    if array.size and int(array.max()) >= end:
        raise DamagedError("its arrays do not fit each other")
    return array


def _as_npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _named_files(dataset: Dataset) -> dict[str, str]:
    """Of the images that a note may name."""
    if dataset.near_pairs is None:
        return {}
    indices = np.unique(dataset.near_pairs).tolist()
    return {str(index): dataset.files[index] for index in indices if index in dataset.files}


@dataclass(frozen=True)
class _Pictures(Mapping[str, bytes]):
    """The pictures of an entry, each read when it is asked for."""

    entry: Path
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> bytes:
        if name not in self.names:
            raise KeyError(name)
        return (self.entry / f"{_PICTURE}{name}").read_bytes()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _survey(kept: Mapping[str, Any]) -> Survey:
    return Survey(**{**kept, "sizes": tuple((width, height) for width, height in kept["sizes"])})
