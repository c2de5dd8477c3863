"""Where trials that ran together keep their small files together: `packs/NAME.zip`.

In: the records of finished trials, as they lie below `trials/ID/`. Out: one archive for many of
them. An archive holds `ID/trial.json` and `ID/predictions.npz` of each trial as the trial wrote
them, and their curves as one `curves.parquet`. Weights stay files, since whoever reads weights
opens a path. `digests.json` holds the digests of the other members. Any zip reader opens an
archive. It stands apart from `harness/runfolder/folder.py`, which decides what is archived and
when, so that the analysis can read archives without a run folder's lock. The folder is named for
packs, the trials that one worker runs together.

An archive is written whole, under a temporary name, before the files that it takes in are removed,
and is never changed. So a reader that looks for a trial's file first, and in the archives after
that, finds it at any moment. A command that is killed in between leaves both, with equal content.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from headstart import packed
from headstart.curves import read_evaluations
from headstart.digests import check_listed, digest_of, say_unchecked
from headstart.errors import RunFolderError
from headstart.files import atomic_path, make_folder
from headstart.foreign import checked_name, is_inside, open_inside, read_inside
from headstart.rows import TrialRow

if TYPE_CHECKING:
    import pyarrow as pa

CURVES = "curves.parquet"
FILES = ("trial.json", "predictions.npz")  # of each trial
DIGESTS = "digests.json"  # of every other member
# What a damaged archive, or the JSON in it, makes their readers raise.
DAMAGES = (*packed.BROKEN, TypeError, RecursionError, RuntimeError, struct.error)
MAX_BYTES = 1 << 30  # of one member; ours are kilobytes


class Archives:
    """The archives of one run folder; each is opened when it is needed and never kept open.

    Whatever reads them raises RunFolderError where one is damaged.
    """

    def __init__(self, run: Path):
        self.folder = run / "packs"
        self._where: dict[str, Path] = {}
        self._known: set[Path] = set()
        self.refresh()

    def refresh(self) -> None:
        """Take note of archives that were written since the last look."""
        for path in sorted(set(self.folder.glob("*.zip")) - self._known):
            if path.name.startswith("."):
                continue
            with _opened(path) as archive:
                names = archive.namelist()
                if (digests := _digests(archive)) is None:
                    say_unchecked(self.folder.parent)
                elif sorted(names) != sorted([*digests, DIGESTS]):
                    raise ValueError(f"its members are not those that {DIGESTS} names")
                for trial_id in _trials_of(names):
                    self._where[checked_name(trial_id, path)] = path
            self._known.add(path)

    def __contains__(self, trial_id: str) -> bool:
        return trial_id in self._where

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def rows(self, trial_ids: Iterable[str]) -> Iterator[tuple[str, TrialRow]]:
        """Id and row of each of these trials that lies in an archive; each is opened once."""
        by_archive: dict[Path, list[str]] = {}
        for trial_id in trial_ids:
            if trial_id in self._where:
                by_archive.setdefault(self._where[trial_id], []).append(trial_id)
        for path, members in by_archive.items():
            with _opened(path) as archive:
                for trial_id in members:
                    content = json.loads(_read(archive, f"{trial_id}/trial.json"))
                    yield trial_id, TrialRow.from_record(content)

    def read(self, trial_id: str, name: str) -> bytes | None:
        """One file of a trial that lies in an archive; None where it is in none."""
        if trial_id not in self._where:
            return None
        with _opened(self._where[trial_id]) as archive:
            digests = _digests(archive)
            if name == "curve.parquet":
                return _one_curve(_checked(archive, CURVES, digests), trial_id)
            member = f"{trial_id}/{name}"
            return _checked(archive, member, digests) if member in archive.NameToInfo else None

    def curves(self) -> Iterator[pa.Table]:
        """The evaluations of all trials of each archive, as the trials wrote them."""
        for path in sorted(self._known):
            with _opened(path) as archive:
                if CURVES in archive.NameToInfo:
                    content = _checked(archive, CURVES, _digests(archive))
                    yield read_evaluations(content)

    def write(self, name: str, trials: Path, trial_ids: Sequence[str]) -> None:
        """Move the small files of these finished trials into one new archive.

        No other archive has that `name`; `trials` is the folder that the trials' folders lie in.

        Raises:
            StorageError: the disk is full; every trial is as it was.
        """
        make_folder(self.folder)
        new = [trial_id for trial_id in trial_ids if trial_id not in self]
        if new:
            path = self.folder / f"{name}.zip"
            with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
                _write_members(archive, trials, new)
            self._known.add(path)
            self._where.update(dict.fromkeys(new, path))
        for trial_id in trial_ids:
            for file in ("curve.parquet", "predictions.npz", "trial.json"):  # the record last
                (trials / trial_id / file).unlink(missing_ok=True)
            with suppress(OSError):  # weights stay
                (trials / trial_id).rmdir()


def _trials_of(names: Iterable[str]) -> list[str]:
    """The ids of an archive's trials.

    An archive that was cut may end in the end of one of its members, which is an archive too: then
    its names are not those of ours.

    Raises:
        ValueError: it holds something else, or no trial.
    """
    trial_ids = []
    for name in names:
        trial_id, _, file = name.rpartition("/")
        if name not in (CURVES, DIGESTS) and (not trial_id or file not in FILES):
            raise ValueError(f"{name[:80]!r} is no file of a trial")
        if file == "trial.json":
            trial_ids.append(trial_id)
    if not trial_ids:
        raise ValueError("it holds no trial")
    return trial_ids


def _write_members(archive: zipfile.ZipFile, trials: Path, trial_ids: Sequence[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    curves, digests = [], {}
    for trial_id in trial_ids:
        for name, content, digest in _checked_files(trials / trial_id):
            if name == "curve.parquet":
                curves.append(packed.read_table(io.BytesIO(content)))
                continue
            kind = zipfile.ZIP_DEFLATED if name == "trial.json" else zipfile.ZIP_STORED
            archive.writestr(f"{trial_id}/{name}", content, kind)
            digests[f"{trial_id}/{name}"] = digest
    if curves:
        sink = io.BytesIO()
        pq.write_table(pa.concat_tables(curves, promote_options="default"), sink)
        archive.writestr(CURVES, sink.getbuffer())
        digests[CURVES] = digest_of(sink.getbuffer())
    archive.writestr(DIGESTS, json.dumps(digests), zipfile.ZIP_DEFLATED)


def _checked_files(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    """Name, content and digest of each small file of a trial, compared with its record."""
    run, inside = folder.parents[1], f"trials/{folder.name}"
    record = read_inside(run, f"{inside}/trial.json")
    row = TrialRow.from_record(json.loads(record))
    yield "trial.json", record, digest_of(record)
    for name in ("predictions.npz", "curve.parquet"):
        if is_inside(run, f"{inside}/{name}"):
            content = read_inside(run, f"{inside}/{name}", MAX_BYTES)
            digest = digest_of(content)
            check_listed(folder, name, row.digests, digest)
            yield name, content, digest


def _one_curve(content: bytes, trial_id: str) -> bytes:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    read_evaluations(content)  # raises ValueError where it is no table of evaluations
    table = packed.read_table(io.BytesIO(content))
    sink = pa.BufferOutputStream()
    pq.write_table(table.filter(pc.equal(table["trial_id"], trial_id)), sink)
    return bytes(sink.getvalue().to_pybytes())


def _digests(archive: zipfile.ZipFile) -> dict[str, str] | None:
    """The digests of an archive's members; None where an earlier version wrote it."""
    if DIGESTS not in archive.NameToInfo:
        return None
    digests = json.loads(_read(archive, DIGESTS))
    return {str(name): str(digest) for name, digest in dict(digests).items()}


def _checked(archive: zipfile.ZipFile, member: str, digests: Mapping[str, str] | None) -> bytes:
    """One member's content, compared with its digest where there is one."""
    content = _read(archive, member)
    if digests is not None and digests.get(member) != digest_of(content):
        raise ValueError(f"{member} is not what was written: its SHA-256 is another one")
    return content


def _read(archive: zipfile.ZipFile, member: str) -> bytes:
    """One member's content, its checksum verified."""
    return packed.read_member(archive, member, MAX_BYTES)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive of a run folder to read; whatever is wrong with it is one line."""
    try:
        with (
            open_inside(path.parents[1], f"packs/{path.name}") as file,
            zipfile.ZipFile(file) as archive,
        ):
            yield archive
    except DAMAGES as err:
        raise RunFolderError(
            f"{path}: damaged ({err}); remove it and run the sweep's command again, which makes "
            "its trials anew"
        ) from err
