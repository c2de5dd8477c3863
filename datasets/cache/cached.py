"""Decoded arrays on disk: a set is decoded once a machine and opened in milliseconds from then on.

In: a function that decodes a set, and all that its result depends on. Out: the `Dataset`, its
images a read-only memory map that all processes share. An entry is one folder; its name depends on
the options and on the content of each source file. It is decoded under a name of its own, which a
killed command leaves for the next, and appears under its final name only when it is whole. What is
damaged later is noticed when it is read, said in one line and decoded anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets.base import Dataset, DatasetOptions, Request
from datasets.cache.checked import RowCheck
from datasets.cache.entry import DamagedError, read_entry, write_entry
from datasets.cache.packed import InPlace, PackedImages
from datasets.cache.pages import IMAGES, Pages
from datasets.cache.room import is_used, make_room, mark_used
from datasets.cache.said import Progress, say
from datasets.cache.sources import content_of, stamps_of
from datasets.near_duplicates import Looks, near_pairs
from headstart.errors import DataError, InputError, LockedError, StorageError
from headstart.files import remove, remove_dead_temporaries, sync_folder, temporary_beside
from headstart.lock import Lock

_FORMAT = 3  # of the entries themselves; raise it when `entry.py` changes
_POLL_S = 0.5  # between two looks at what another command decodes
Build = Callable[[Request], Dataset]
"""Decodes a set; its images go to the request's `pages` where it can write them block by block."""


def cached(
    name: str,
    version: int,
    options: DatasetOptions,
    request: Request,
    sources: Sequence[Path],
    build: Build,
    may_repeat: bool = True,
    in_place: InPlace | None = None,
) -> Dataset:
    """The set from the cache, or from `build(request)`, which is then cached.

    Args:
        name: the set's name.
        version: of the module that decodes; raise it when the same files give other arrays.
        options: the set's options; all but `corrupt_labels` and `as_jpeg` enter the key, and
            a `target` where there is one.
        request: its image size and channels enter the key; with `prepare` nothing is kept.
        sources: the files that are read, or folders of them; each file's path and content enter
            the key.
        build: decodes the set; called when there is no whole entry.
        may_repeat: whether it is looked for near-duplicates; not where it is known to have none.
        in_place: how images are decoded from their files whenever they are read, which is done
            where the decoded ones have no room; None: the set cannot do that.

    Raises:
        StorageError: the cache folder cannot be written.
    """
    if request.prepare is not None:
        return build(request)
    applied = {"corrupt_labels", "as_jpeg"} | ({"target"} if options.target is None else set())
    own = options.model_dump(mode="json", exclude=applied)
    prefix = f"{name}-{_digest([_FORMAT, version, own, request.image_size, request.channels])}-"
    content = content_of(sources, request.cache_dir / "sources")
    folder = request.cache_dir / "decoded"
    entry = _Entry(
        name,
        folder / f"{prefix}{_digest(content)}",
        prefix,
        request,
        sources,
        build,
        may_repeat,
        in_place,
    )
    with suppress(DamagedError):
        kept = entry.read()
        if kept is not None:
            return kept
    with entry.alone():  # another command may decode it now, or have decoded it anew
        return entry.read_or_remove() or entry.make()


@dataclass(frozen=True)
class _Entry:
    """One entry, and how it is made."""

    name: str
    folder: Path
    prefix: str  # of the names of entries of the same options
    request: Request
    sources: Sequence[Path]
    build: Build
    may_repeat: bool
    in_place: InPlace | None

    @property
    def places(self) -> Path:
        """The entry that says where images lie and has none itself: of these versions' pixels."""
        assert self.in_place is not None
        return self.folder.with_name(f"{self.folder.name}-{_digest(self.in_place.version())}")

    @property
    def partial(self) -> Path:
        """Where it is decoded; a killed command leaves it, and the next one goes on."""
        return self.folder.with_name(f".{self.folder.name}.partial")

    def read(self) -> Dataset | None:
        """The set, where its entry is there; raises DamagedError where it is not whole."""
        dataset = read_entry(self.name, self.folder, self.repair)
        if dataset is not None:
            mark_used(self.folder)
        elif self.in_place is not None:
            dataset = read_entry(self.name, self.places, self.repair, self.in_place.decoder)
        return dataset

    def read_or_remove(self) -> Dataset | None:
        """The set; a damaged entry is said and removed. Only who holds the lock may do that."""
        try:
            return self.read()
        except DamagedError as err:
            damaged = self.folder if self.folder.exists() else self.places
            say(f"{damaged}: the decoded '{self.name}' is damaged ({err}); it is decoded anew")
        with self._storage():
            aside = temporary_beside(damaged)
            damaged.rename(aside)
            remove(aside)
        return None

    def make(self) -> Dataset:
        """Decode the set and keep it; only the command that holds the lock may."""
        dataset = self._decoded()
        if _is_sample(dataset):
            remove(self.partial)
            return dataset
        stays = isinstance(dataset.images, PackedImages)
        with self._storage():
            self.partial.rename(self.places if stays else self.folder)
            sync_folder(self.folder.parent)
            self._remove_stale()
        kept = self.read()
        assert kept is not None, "it was written just now"
        return kept

    def repair(self, fingerprint: str, check: RowCheck, rows: np.ndarray) -> None:
        """Decode the set anew and write those rows of the entry that are damaged.

        Raises:
            DataError: its files have changed since it was decoded.
            StorageError: the entry cannot be written, or was replaced.
        """
        say(
            f"{self.folder}: {len(rows):,} of the decoded images of '{self.name}' are damaged; "
            "they are decoded anew"
        )
        with self.alone():
            rows = check.differing(rows)  # another command may have mended them
            if len(rows) == 0:
                return
            if self._decoded().fingerprint != fingerprint:
                remove(self.partial)
                raise DataError(f"'{self.name}': its files have changed since they were decoded")
            with self._storage():
                right = np.load(self.partial / IMAGES, mmap_mode="r")
                _write_rows(self.folder / IMAGES, right, rows)
            remove(self.partial)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the entry's lock; wait where another command decodes it, and say so."""
        above = [self.folder.parent, self.request.cache_dir]
        new = [folder for folder in above if not folder.exists()]
        with self._storage():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            lock = self._acquired()
        try:
            yield
        finally:
            lock.release()
            with suppress(OSError):  # they hold something, unless the set could not be decoded
                for folder in new:
                    folder.rmdir()

    def _acquired(self) -> Lock:
        path = self.folder.with_name(f".{self.folder.name}.lock")
        has_said = False
        while True:
            lock = Lock(path, uuid.uuid4().hex, f"another command decodes '{self.name}'")
            try:
                lock.acquire()
            except LockedError as err:
                if not has_said:
                    say(f"{err}; its images are used when they are whole")
                has_said = True
                time.sleep(_POLL_S)
            else:
                return lock

    def _decoded(self) -> Dataset:
        """The set, decoded into the partial folder, which is a whole entry then."""
        pages = self._pages()
        before = stamps_of(self.sources)
        try:
            with self._storage():
                dataset = self.build(replace(self.request, pages=pages))
            if stamps_of(self.sources) != before:
                raise DataError(
                    f"'{self.name}': its files changed while they were read; run the same command "
                    "again"
                )
            if _is_sample(dataset):
                return dataset
            if pages.images is None:
                with self._storage():
                    self._put(pages, dataset)
            elif pages.is_kept:
                channels = dataset.images.shape[1]
                shape = (len(pages.images), channels, *pages.images.shape[2:])
                dataset = replace(dataset, images=np.broadcast_to(pages.images, shape))
            if self.may_repeat:
                dataset = _with_near_pairs(dataset, pages.looks)
            if not pages.is_kept:
                dataset = replace(dataset, notes=(*dataset.notes, self._stays(dataset)))
            with self._storage():
                pages.forget()
                name = self.folder.name if pages.is_kept else self.places.name
                write_entry(dataset, pages.crcs, self.partial, name)
        except Exception:
            pages.close()
            remove(self.partial)
            raise
        return dataset

    def _pages(self) -> Pages:
        with self._storage():
            remove_dead_temporaries(self.folder.parent)
            self.partial.mkdir(exist_ok=True)
        progress = Progress(self.name)
        return Pages(self.partial, progress, self._make_room, wants_looks=self.may_repeat)

    def _put(self, pages: Pages, dataset: Dataset) -> None:
        """Write images that lie in memory; channels that are repeated once."""
        is_repeated = dataset.images.shape[1] == 3 and dataset.images.strides[1] == 0
        pages.put(dataset.images[:, :1] if is_repeated else dataset.images)

    def _make_room(self, n_bytes: int, can_stay: bool) -> bool:
        has_room = make_room(self.folder.parent, n_bytes, self.partial, can_stay)
        if not has_room:
            say(
                f"{self.name}: its decoded images would take {n_bytes / 1e9:,.3g} GB, and "
                f"{self.folder.parent} has no room for them; they stay in their files, and are "
                "decoded while trials read them, with the same bits"
            )
        return has_room

    def _stays(self, dataset: Dataset) -> str:
        assert self.in_place is not None
        return (
            f"its images are decoded while trials read them ({self.in_place.version()}), since all "
            f"of them take {dataset.images.nbytes / 1e9:,.3g} GB"
        )

    def _remove_stale(self) -> None:
        """Entries of the same options whose files have changed since."""
        for stale in self.folder.parent.glob(f"{self.prefix}*"):
            if not stale.name.startswith(self.folder.name) and not is_used(stale, by_others=True):
                shutil.rmtree(stale, ignore_errors=True)
        for begun in self.folder.parent.glob(f".{self.prefix}*.partial"):
            lock = begun.with_name(begun.name.removesuffix(".partial") + ".lock")
            if not lock.exists():
                shutil.rmtree(begun, ignore_errors=True)

    @contextmanager
    def _storage(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except (OSError, StorageError) as err:
            folder = self.folder.parent
            raise StorageError(
                f"{folder}: the decoded '{self.name}' cannot be kept here ({_reason(err)}); free "
                "some space, or set HEADSTART_CACHE to a folder that can be written"
            ) from err


def _is_sample(dataset: Dataset) -> bool:
    """Whether some images only were decoded, on purpose (damaged ones are left out otherwise)."""
    return dataset.survey is not None and dataset.survey.is_sample


def _write_rows(path: Path, right: np.ndarray, rows: np.ndarray) -> None:
    """Write some rows into a file that is mapped: its readers see them at once."""
    n_header = path.stat().st_size - right.nbytes
    with open(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+b") as file:
        for row in rows.tolist():
            file.seek(n_header + row * right[0].nbytes)
            file.write(right[row].tobytes())
        file.flush()
        os.fsync(file.fileno())


def _with_near_pairs(dataset: Dataset, looks: Sequence[Looks]) -> Dataset:
    tested = dataset.parts.get("test", np.arange(len(dataset.labels)))  # else any may be drawn
    assert dataset.first_copy is not None, "build_dataset sets it"
    known = Looks(*map(np.concatenate, zip(*looks, strict=True))) if looks else None
    pairs = near_pairs(dataset.images, dataset.first_copy, tested, known)
    return replace(dataset, near_pairs=pairs)


def _reason(err: OSError | StorageError) -> str:
    """In words; NumPy tells of a full disk without the system's number of the error."""
    if isinstance(err, StorageError):
        return str(err)
    return err.strerror or f"a short write, as on a full disk: {err}"


def _digest(content: object) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()
