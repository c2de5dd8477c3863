"""Decoded arrays on disk: a set is decoded once and opened in milliseconds from then on.

In: a function that decodes a set, and all that its result depends on. Out: the `Dataset`, its
images a read-only memory map. An entry is one folder of .npy files and `meta.json`, which is
written last; the folder appears under its final name only when it is whole. Its name depends on
the options and on each source file's path, size and time of change, so an entry that has become
stale is simply not found; one that is torn is found to be so and made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from datasets.base import Dataset, DatasetOptions, Request, Survey
from datasets.files.trees import walk
from datasets.near_duplicates import near_pairs
from headstart.errors import DataError, StorageError
from headstart.files import remove_dead_temporaries, sync_folder, temporary_beside

_PICTURE = "picture-"  # begins the names of such files
_FORMAT = 2  # of the entries themselves; raise it when `_write_entry` changes


def cached(
    name: str,
    version: int,
    options: DatasetOptions,
    request: Request,
    sources: Sequence[Path],
    build: Callable[[], Dataset],
    may_repeat: bool = True,
) -> Dataset:
    """The set from the cache, or from `build()`, which is then cached.

    Args:
        name: the set's name.
        version: of the module that decodes; raise it when the same files give other arrays.
        options: the set's options; all but `corrupt_labels` and `as_jpeg` enter the key.
        request: its image size and channels enter the key; with `prepare` nothing is kept.
        sources: the files that were read, or folders of them; each file's path, size and
            modification time enter the key.
        build: decodes the set; called when there is no whole entry.
        may_repeat: whether it is looked for near-duplicates; not where it is known to have none.

    Raises:
        StorageError: the cache folder cannot be written.
    """
    if request.prepare is not None:
        return build()
    own = options.model_dump(mode="json", exclude={"corrupt_labels", "as_jpeg"})
    wanted = [_FORMAT, version, own, request.image_size, request.channels]
    prefix = f"{name}-{_digest(wanted)}-"
    entry = request.cache_dir / "decoded" / f"{prefix}{_digest(_stamps(sources))}"
    kept = _read_entry(name, entry)
    if kept is not None:
        return kept
    dataset = build()
    if request.most_pixels is not None and _is_sample(dataset):
        return dataset
    if may_repeat:
        dataset = _with_near_pairs(dataset)
    try:
        _store(dataset, entry, prefix)
    except OSError as err:
        raise StorageError(
            f"{entry.parent}: the decoded '{name}' cannot be kept here ({_reason(err)}); free some "
            "space, or set HEADSTART_CACHE to a folder that can be written"
        ) from err
    return _read_entry(name, entry) or dataset


def _is_sample(dataset: Dataset) -> bool:
    """Whether some images only were decoded, on purpose (damaged ones are left out otherwise)."""
    return dataset.survey is not None and dataset.survey.is_sample


def _with_near_pairs(dataset: Dataset) -> Dataset:
    tested = dataset.parts.get("test", np.arange(len(dataset.labels)))  # else any may be drawn
    assert dataset.first_copy is not None, "build_dataset sets it"
    pairs = near_pairs(dataset.images, dataset.first_copy, tested)
    return replace(dataset, near_pairs=pairs)


def _reason(err: OSError) -> str:
    """In words; NumPy tells of a full disk without the system's number of the error."""
    return err.strerror or f"a short write, as on a full disk: {err}"


def _digest(content: object) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()


def _stamps(sources: Sequence[Path]) -> list[tuple[str, int, int]]:
    """(path, bytes, time of change in ns) of each source file, and of all files in a folder."""
    stamps = []
    for source in sources:
        stamps.append(_stamp(str(source.absolute()), source.stat))
        if source.is_dir():
            stamps += sorted(_stamp(entry.path, entry.stat) for entry in walk(source))
    return stamps


def _stamp(path: str, ask: Callable[[], os.stat_result]) -> tuple[str, int, int]:
    """Of the link itself where it leads nowhere; whoever needs the file says so."""
    try:
        status = ask()
    except OSError as err:
        if not os.path.islink(path):
            raise DataError(f"{path}: cannot be read ({err.strerror}); mend or remove it") from err
        status = os.lstat(path)
    return path, status.st_size, status.st_mtime_ns


def _store(dataset: Dataset, entry: Path, prefix: str) -> None:
    """Write the entry under a temporary name, give it its own, remove what it replaces."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    remove_dead_temporaries(entry.parent)
    temporary = temporary_beside(entry)
    try:
        temporary.mkdir()
        _write_entry(dataset, temporary)
        if _read_entry(dataset.name, entry) is None:
            shutil.rmtree(entry, ignore_errors=True)  # torn: no reader can have opened it
            sync_folder(temporary)
            try:
                temporary.rename(entry)
            except OSError:  # where another process was first, with the same content: no mistake
                if _read_entry(dataset.name, entry) is None:
                    raise
            sync_folder(entry.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for stale in entry.parent.glob(f"{prefix}*"):
        if stale != entry:
            shutil.rmtree(stale, ignore_errors=True)


def _write_entry(dataset: Dataset, folder: Path) -> None:
    channels = dataset.images.shape[1]
    replicated = channels == 3 and dataset.images.strides[1] == 0
    arrays = {
        "images": dataset.images[:, :1] if replicated else dataset.images,
        "labels": dataset.labels,
        "first_copy": np.asarray(dataset.first_copy),
        **{f"part-{part}": index for part, index in dataset.parts.items()},
        **({} if dataset.groups is None else {"groups": dataset.groups}),
        **({} if dataset.near_pairs is None else {"near_pairs": dataset.near_pairs}),
    }
    for key, array in arrays.items():
        with open(folder / f"{key}.npy", "wb") as file:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())
    for name, content in dataset.pictures.items():
        with open(folder / f"{_PICTURE}{name}", "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    meta = {
        "channels": channels,
        "class_names": dataset.class_names,
        "fingerprint": dataset.fingerprint,
        "source": dataset.source,
        "notes": dataset.notes,
        "warnings": dataset.warnings,
        "parts": list(dataset.parts),
        "files": _named_files(dataset),
        "survey": None if dataset.survey is None else asdict(dataset.survey),
        "pictures": list(dataset.pictures),
        "sizes": {path.name: path.stat().st_size for path in folder.iterdir()},
    }
    with open(folder / "meta.json", "w", encoding="utf-8") as file:
        json.dump(meta, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _named_files(dataset: Dataset) -> dict[int, str]:
    """Of the images that a note may name."""
    if dataset.near_pairs is None:
        return {}
    indices = np.unique(dataset.near_pairs).tolist()
    return {index: dataset.files[index] for index in indices if index in dataset.files}


def _read_entry(name: str, entry: Path) -> Dataset | None:
    """The entry, opened; None where it is not there or not whole."""
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        if any((entry / file).stat().st_size != size for file, size in meta["sizes"].items()):
            return None
        images = np.load(entry / "images.npy", mmap_mode="r")
        return Dataset(
            name=name,
            images=np.broadcast_to(images, (len(images), meta["channels"], *images.shape[2:])),
            labels=np.load(entry / "labels.npy"),
            class_names=tuple(meta["class_names"]),
            parts={part: np.load(entry / f"part-{part}.npy") for part in meta["parts"]},
            fingerprint=meta["fingerprint"],
            source=meta["source"],
            notes=tuple(meta["notes"]),
            warnings=tuple(meta.get("warnings", ())),  # the version before wrote none
            first_copy=np.load(entry / "first_copy.npy"),
            groups=_if_kept(entry, "groups.npy", meta),
            near_pairs=_if_kept(entry, "near_pairs.npy", meta),
            survey=None if meta["survey"] is None else _survey(meta["survey"]),
            files={int(index): name for index, name in meta["files"].items()},
            pictures=_Pictures(entry, tuple(meta.get("pictures", ()))),
        )
    except (OSError, ValueError, KeyError):
        return None


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


def _if_kept(entry: Path, file: str, meta: Mapping[str, Any]) -> np.ndarray | None:
    return np.load(entry / file) if file in meta["sizes"] else None
