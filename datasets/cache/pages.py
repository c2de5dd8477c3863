"""A set's images on their way to one file, block by block; what a killed command wrote is kept.

In: blocks of images in their order, each with what is to be remembered of it. Out: `images.npy`,
its rows' checksums and digests, and the file as a read-only memory map. Memory holds a few blocks,
whatever the set. Each block is written, and then a line of a journal, so the next command continues
after the last block that is whole. Nothing is written through a map: on a full disk that kills the
process. Of a set that has no room, the blocks are measured and the journal alone is written.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast
from zlib import crc32

import numpy as np

from datasets.base import Measured
from datasets.cache.packed import Decode, PackedImages, Places
from datasets.cache.said import Progress
from datasets.files.places import Place
from datasets.near_duplicates import Looks
from headstart.processes import n_cores

IMAGES = "images.npy"
_JOURNAL = "journal.jsonl"
_HEADER_BYTES = 128  # of every .npy file of four dimensions
_BLOCK_BYTES = 4 << 20
_MOST_ROWS = 256  # of a block


Shape = Callable[[np.ndarray], np.ndarray]


def rows_of_a_block(row_bytes: int) -> int:
    """How many rows make a block of some megabytes."""
    return max(1, min(_MOST_ROWS, _BLOCK_BYTES // max(1, row_bytes)))


def measured(images: np.ndarray, looks: Looks | None = None) -> Measured:
    """uint8 (n, C, H, W) with a digest of each image and a checksum of each row of the file."""
    rows = [np.ascontiguousarray(image).data for image in images]
    digests = [hashlib.blake2b(row, digest_size=16).digest() for row in rows]
    return Measured(images, digests, [crc32(row) for row in rows], looks)


@dataclass(eq=False)
class Pages:
    """One table of images that is being written into `folder`, which exists.

    Attributes:
        say: shows how far it is.
        make_room: called with the bytes that the whole table takes, before anything is written; and
            with whether the images can stay in their files. Says whether there is room.
        images: uint8 (N, C, H, W), the file as a map, once it is whole; or what decodes them.
        is_kept: whether images are written; False: they stay in their files.
        digests: 16 bytes for each image, as `datasets.base.image_digests` gives them.
        crcs: CRC-32 of each row.
        wants_looks: whether they will be searched for near-duplicates.
        looks: what that search needs of them, where blocks came with it, so that they are not read
            again for it; of the last ones, where a killed command went before.
    """

    folder: Path
    say: Progress
    make_room: Callable[[int, bool], bool]
    images: np.ndarray | None = None
    is_kept: bool = True
    wants_looks: bool = True
    digests: list[bytes] = field(default_factory=list)
    crcs: list[int] = field(default_factory=list)
    looks: list[Looks] = field(default_factory=list)
    _row: tuple[int, ...] = ()
    _n: int = 0
    _n_said: int = 0
    _files: tuple[IO[bytes], IO[bytes]] | None = None

    def begin(
        self, n: int, row: tuple[int, int, int], can_stay: bool = False
    ) -> list[Mapping[str, Any]]:
        """Start a table of at most `n` rows (C, H, W), or go on with one.

        `can_stay`: whether the images can be decoded from their files whenever they are read.

        Returns:
            What was remembered of each block that is whole already.

        Raises:
            OSError: the disk has no room for it.
        """
        self._n, self._row = n, row
        self.crcs, self.digests, self.looks = [], [], []
        self.is_kept = self.is_kept and self.make_room(self._at(n), can_stay)
        records, n_bytes = self._kept()
        self._n_said = sum(int(record["names"]) for record in records)
        self.say.begin(self._n_said, n)
        if self.is_kept:
            self._check_room(n - len(self.crcs))
        self._files = (
            _opened_at(self.folder / IMAGES, self._at(self._n_written) if records else 0),
            _opened_at(self.folder / _JOURNAL, n_bytes if records else 0),
        )
        if not records:
            self._files[0].write(bytes(_HEADER_BYTES))
            self._files[1].write(self._first())
        return records

    def append(self, block: Measured, record: Mapping[str, Any]) -> None:
        """Write one block, and remember `record` of it; its `names` counts the files it is of."""
        assert self._files is not None, "begin first"
        pages, journal = self._files
        if self.is_kept:
            pages.write(np.ascontiguousarray(block.images).data)
            pages.flush()
        if block.looks is not None:
            self.looks.append(Looks(*block.looks))
        line = {**record, "crcs": block.crcs, "digests": b"".join(block.digests).hex()}
        journal.write(json.dumps(line).encode() + b"\n")
        journal.flush()
        self.crcs += block.crcs
        self.digests += block.digests
        self._n_said += int(record["names"])
        self.say(self._n_said, self._n)

    def put(self, images: np.ndarray, shape: Shape = lambda block: block) -> None:
        """Write all of an array, each block as `shape` makes it: uint8 (n, C, H, W)."""
        first = shape(images[:1])
        self.begin(len(images), (first.shape[1], first.shape[2], first.shape[3]))
        step = rows_of_a_block(first.nbytes)
        starts = range(len(self.crcs), len(images), step)
        with ThreadPoolExecutor(n_cores()) as pool:
            ahead = 2 * n_cores()
            for at_once in range(0, len(starts), ahead):
                some = starts[at_once : at_once + ahead]
                blocks = pool.map(lambda at: measured(shape(images[at : at + step])), some)
                for block in blocks:
                    self.append(block, {"names": len(block.crcs)})
        self.finish()

    def stay(self, decode: Decode, places: Sequence[Place]) -> None:
        """Of images that are not kept: they are decoded where they lie from now on."""
        assert not self.is_kept
        self.close()
        (self.folder / IMAGES).unlink()
        shape = (len(self.crcs), self._row[0], self._row[1], self._row[2])
        packed = PackedImages(shape, Places.of(places), np.array(self.crcs, np.uint32), decode)
        self.images = cast("np.ndarray", packed)  # it is indexed alike

    def finish(self) -> None:
        """Make the file whole, and open it."""
        assert self._files is not None, "begin first"
        pages, journal = self._files
        journal.close()
        pages.seek(0)
        pages.write(_header((len(self.crcs), *self._row)))
        pages.flush()
        os.fsync(pages.fileno())
        pages.close()
        self._files = None
        self._open()

    def narrow(self) -> None:
        """Keep the first of three equal channels."""
        assert self.images is not None, "finish first"
        wide = self.images
        narrow = Pages(self.folder / "narrow", self.say.silent(), lambda n_bytes, can_stay: True)
        narrow.folder.mkdir(exist_ok=True)
        narrow.put(wide[:, :1])
        os.replace(narrow.folder / IMAGES, self.folder / IMAGES)
        shutil.rmtree(narrow.folder)
        self.digests, self.crcs, self._row = narrow.digests, narrow.crcs, narrow._row
        self._open()

    def close(self) -> None:
        """Let go of the files; what is written is kept for the next command."""
        for file in self._files or ():
            with suppress(OSError):
                file.close()
        self._files = None

    def forget(self) -> None:
        """Remove the journal, which a whole entry does not need."""
        (self.folder / _JOURNAL).unlink(missing_ok=True)

    def _open(self) -> None:
        images = np.load(self.folder / IMAGES, mmap_mode="r", allow_pickle=False)
        self.images = images.view(np.ndarray)

    def _at(self, row: int) -> int:
        return _HEADER_BYTES + row * int(np.prod(self._row))

    @property
    def _n_written(self) -> int:
        return len(self.crcs) if self.is_kept else 0

    def _first(self) -> bytes:
        said = {"rows": self._n, "row": list(self._row), **({} if self.is_kept else {"stay": True})}
        return json.dumps(said).encode() + b"\n"

    def _kept(self) -> tuple[list[Mapping[str, Any]], int]:
        """Of each block that a killed command has written whole; and where the journal goes on."""
        records: list[Mapping[str, Any]] = []
        n_bytes = 0
        with (
            suppress(OSError, ValueError, KeyError, TypeError),
            open(self.folder / _JOURNAL, "rb") as journal,
            open(self.folder / IMAGES, "rb") as pages,
        ):
            pages.seek(_HEADER_BYTES)
            n_bytes = len(self._first())
            lines = iter(journal) if journal.readline() == self._first() else iter(())
            for line in lines:
                record = json.loads(line)
                crcs, digests = list(record.pop("crcs")), bytes.fromhex(record.pop("digests"))
                is_whole = not self.is_kept or self._crcs_of(pages, len(crcs)) == crcs
                if not line.endswith(b"\n") or not is_whole:
                    break
                self.crcs += crcs
                self.digests += [digests[at : at + 16] for at in range(0, len(digests), 16)]
                records.append(record)
                n_bytes += len(line)
        return records, n_bytes

    def _crcs_of(self, pages: IO[bytes], n_rows: int) -> list[int]:
        """Of the next rows of the file."""
        size = int(np.prod(self._row))
        rows = pages.read(size * n_rows)
        return [crc32(rows[at : at + size]) for at in range(0, len(rows), size)]

    def _check_room(self, n_rows: int) -> None:
        needed, free = n_rows * int(np.prod(self._row)), shutil.disk_usage(self.folder).free
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"{n_rows:,} decoded images take {needed / 1e9:,.2f} GB, and {free / 1e9:,.2f} GB "
                "are free",
            )


def _opened_at(path: Path, at: int) -> IO[bytes]:
    """A file to go on with at a byte; what it holds after that goes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    file = os.fdopen(descriptor, "r+b")
    file.truncate(at)
    file.seek(at)
    return file


def _header(shape: tuple[int, ...]) -> bytes:
    """Of a .npy file of uint8."""
    content = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, described)
    header = content.getvalue()
    assert len(header) == _HEADER_BYTES, len(header)
    return header
