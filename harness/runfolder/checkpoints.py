"""`checkpoints/ARM/seed-N/`: the weights of a run under the names that a person looks for.

In: the plan, which files of weights its finished trials have, and their evaluations. Out: links to
these files, and `checkpoints.csv`, which says of each where it lies, what validation said of it,
and its digest. The files themselves lie below `trials/`, by ids. All of it is made again whenever
tables are, so it is right after kills, further seeds and renamed arms. It stands alone because
nothing reads it but people.

Links are symbolic, so a copied run holds the files once; where the file system has none, hard ones;
where it has neither, or the files are very many, the table says it all.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.cells import harmless
from headstart.files import atomic_file, distinct_name, storage_errors, temporary_beside
from headstart.foreign import is_inside, own_folder, refuse_links
from headstart.records import MODEL
from headstart.rows import TrialRow

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.trials.spec import Plan, TrialSpec

FOLDER, TABLE = "checkpoints", "checkpoints.csv"
COLUMNS = (
    "arm", "label", "stage", "seed", "weights", "epoch", "step", "val_accuracy", "val_loss",
    "link", "file", "sha256",
)  # fmt: skip
LAST = "last.safetensors"
MOST_LINKS = 2_000  # nobody browses more, and clusters count each file against a quota
_LINK = re.compile(r"(best|last|refit|epoch-\d+)\.safetensors|\..*\.tmp", re.DOTALL)
_EPOCH = re.compile(r"checkpoints/epoch-(\d{1,9})\.safetensors")
_NO_LINKS = {
    errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL,
    errno.EMLINK, errno.EXDEV,
}  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """The files of weights that a finished trial has, and its steps that they are of.

    Attributes:
        digests: by file; empty in a record of a version before digests.
        best_step, steps: of the chosen weights, and all that were made.
        epochs: planned.
    """

    files: tuple[str, ...]
    digests: Mapping[str, str]
    best_step: int
    steps: int
    epochs: int

    @staticmethod
    def of(row: TrialRow) -> Kept | None:
        """None where it has none."""
        files = tuple(n for n in row.files if n in (MODEL, LAST) or _EPOCH.fullmatch(n))
        if not files:
            return None
        digests = {name: (row.digests or {}).get(name, "") for name in files}
        return Kept(files, digests, row.best_step or 0, row.steps or 0, row.epochs or 0)


@dataclass(frozen=True)
class Checkpoint:
    """One file of weights: its name for people, and where it lies in the run folder."""

    spec: TrialSpec
    weights: str  # `best`, `last`, `refit` or `epoch`
    link: str
    file: str
    sha256: str
    step: int | None  # None: the last one of `epoch`
    epoch: int | None  # None: not known from the name


def write_checkpoints(run: Path, plan: Plan, kept: Mapping[str, Kept], curves: pa.Table) -> None:
    """Bring the folder up to date.

    Args:
        kept: by trial, of those of the plan that ended.
        curves: the evaluations of these trials.

    Raises:
        RunFolderError: a folder of it is a link.
        StorageError: the disk is full or cannot be written.
    """
    checkpoints = [c for c in _checkpoints(plan, kept) if is_inside(run, c.file)]
    if not checkpoints and not (run / FOLDER).is_dir():
        return
    to_link = checkpoints if len(checkpoints) <= MOST_LINKS else []
    with storage_errors(run / FOLDER):
        own_folder(run, FOLDER)
        links = _Links(run / FOLDER)
        links.remove_others({checkpoint.link for checkpoint in to_link})
        linked = {c.link for c in to_link if links.make(c.link, c.file)}
    with atomic_file(run / FOLDER / TABLE) as file:
        file.write(_table(plan, checkpoints, linked, curves))


def refuse_linked_folders(run: Path) -> None:
    """Raise RunFolderError where a folder for links is a link: what is made would lie elsewhere."""
    refuse_links(run / FOLDER)
    with suppress(FileNotFoundError, NotADirectoryError):
        for arm in _folders(run / FOLDER):
            refuse_links(arm)


# -- names -----------------------------------------------------------------------------------


def folder_names(plan: Plan) -> dict[tuple[bool, str], str]:
    """A folder for each stage and arm, by whether it is a stage and its name.

    No two are the same where capitals are not told apart. A stage that is called as an arm is has
    `pretrain-` before its name.
    """
    keys = dict.fromkeys((trial.stage == "pretrain", trial.arm) for trial in plan.trials)
    taken = {TABLE}
    names: dict[tuple[bool, str], str] = {}
    for key in sorted(keys):  # arms first
        is_stage, arm = key
        name = distinct_name(arm)
        if is_stage and name.casefold() in taken:
            name = f"pretrain-{name}"
        if name.casefold() in taken:
            name = distinct_name(f"{name} ({'stage' if is_stage else 'arm'} {arm})")
        taken.add(name.casefold())
        names[key] = name
    return names


def _checkpoints(plan: Plan, kept: Mapping[str, Kept]) -> Iterator[Checkpoint]:
    names = folder_names(plan)
    for spec in plan.trials:
        if (its := kept.get(spec.id)) is None:
            continue
        is_one = spec.stage in ("arm", "pretrain", "refit")  # of a search, several are of one seed
        trial = f"seed-{spec.seed}" if is_one else f"{spec.stage}-{spec.seed}-{spec.id[:8]}"
        folder = f"{names[spec.stage == 'pretrain', spec.arm]}/{trial}"
        width = max(3, len(str(its.epochs)))
        for file in sorted(its.files):
            place, sha256 = f"trials/{spec.id}/{file}", its.digests[file]
            if spec.stage == "refit":  # beside those of the trial that it repeats
                if file == MODEL:
                    link = f"{folder}/refit.safetensors"
                    yield Checkpoint(spec, "refit", link, place, sha256, its.best_step, None)
            elif match := _EPOCH.fullmatch(file):
                epoch = int(match[1])
                link = f"{folder}/epoch-{epoch:0{width}d}.safetensors"
                yield Checkpoint(spec, "epoch", link, place, sha256, None, epoch)
            elif file == LAST:
                link = f"{folder}/last.safetensors"
                yield Checkpoint(spec, "last", link, place, sha256, its.steps, None)
            else:
                link = f"{folder}/best.safetensors"
                yield Checkpoint(spec, "best", link, place, sha256, its.best_step, None)


# -- links -----------------------------------------------------------------------------------


@dataclass
class _Links:
    """Links below one folder; what is no link of ours there stays."""

    folder: Path
    ways: list[str] = field(default_factory=lambda: ["symbolic", "hard"])

    def make(self, name: str, file: str) -> bool:
        """Let `name` lead to `file` of the run folder; whether it does."""
        link, source = self.folder / name, self.folder.parent / file
        target = "/".join([*[".."] * len(Path(name).parts), file])
        try:
            own_folder(self.folder.parent, FOLDER, *Path(name).parts[:-1])
            while self.ways and not _leads_to(link, target, source):
                self._replace(link, target, source)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            return (
                False  # something of somebody's own has its name: the table says where the file is
            )
        return _leads_to(link, target, source)

    def _replace(self, link: Path, target: str, source: Path) -> None:
        """Make the link in the first way that is left; one that the disk refuses is taken out."""
        temporary = temporary_beside(link)
        try:
            if self.ways[0] == "symbolic":
                os.symlink(target, temporary)
            else:
                os.link(source, temporary)
            os.replace(temporary, link)
        except OSError as err:
            with suppress(OSError):
                temporary.unlink()
            if err.errno not in _NO_LINKS:
                raise
            del self.ways[0]

    def remove_others(self, wanted: set[str]) -> None:
        """Remove links of trials that are not in the plan any more, and folders without any."""
        for arm in _folders(self.folder):
            for trial in _folders(arm):
                for path in trial.iterdir():
                    name = path.relative_to(self.folder).as_posix()
                    if name not in wanted and _is_ours(path):
                        path.unlink(missing_ok=True)
                with suppress(OSError):
                    trial.rmdir()
            with suppress(OSError):
                arm.rmdir()


def _folders(folder: Path) -> Iterator[Path]:
    """Folders in it that are no links."""
    with os.scandir(folder) as entries:
        yield from [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]


def _is_ours(path: Path) -> bool:
    """Whether it is a link as this file makes them; a file that lies nowhere else is none."""
    if not _LINK.fullmatch(path.name):
        return False
    with suppress(OSError):
        if path.is_symlink():
            return os.readlink(path).startswith("../../../trials/")
        status = path.lstat()
        return stat.S_ISREG(status.st_mode) and status.st_nlink > 1
    return False


def _leads_to(link: Path, target: str, source: Path) -> bool:
    with suppress(OSError):
        if link.is_symlink():
            return os.readlink(link) == target
        return os.path.samestat(link.lstat(), source.lstat())
    return False


# -- the table -------------------------------------------------------------------------------


Point = tuple[int | None, float | None, float | None, float | None]


def _table(plan: Plan, checkpoints: list[Checkpoint], linked: set[str], curves: pa.Table) -> str:
    """As CSV, a row a file: what it is of, what validation said then, and where it lies."""
    points = _evaluations({c.spec.id for c in checkpoints}, curves)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for c in checkpoints:
        unknown: Point = (c.step, c.epoch, None, None)
        step, epoch, accuracy, loss = points.get((c.spec.id, c.step, c.epoch), unknown)
        link = f"{FOLDER}/{c.link}" if c.link in linked else ""
        row = (
            c.spec.arm, plan.shown_arm(c.spec), c.spec.stage, c.spec.seed, c.weights,
            "" if epoch is None else f"{epoch:g}", step,
            accuracy, loss, link, c.file, c.sha256,
        )  # fmt: skip
        writer.writerow(map(harmless, row))
    return text.getvalue()


def _evaluations(
    ids: set[str], curves: pa.Table
) -> dict[tuple[str, int | None, int | None], Point]:
    """Step, epoch, accuracy and loss, by trial and step, and by trial and whole epoch."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(ids), pa.string())
    table = curves.filter(pc.is_in(curves["trial_id"].cast(pa.string()), wanted))
    columns = ("trial_id", "step", "epoch", "val_accuracy", "val_loss")
    points: dict[tuple[str, int | None, int | None], Point] = {}
    for trial, *point in zip(*(table[name].to_pylist() for name in columns), strict=True):
        step, epoch, accuracy, loss = point
        points[trial, step, None] = (step, epoch, accuracy, loss)
        if epoch is not None and epoch % 1 == 0:
            points[trial, None, int(epoch)] = (step, epoch, accuracy, loss)
    return points
