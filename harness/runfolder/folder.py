"""The only reader and writer of a run folder.

In: rows, files and events of one command. Out: `trials/`, tables and what the folder is about.
Every file is written under a temporary name, flushed and renamed, and a trial's `trial.json` comes
last: its presence means that the trial ended. Workers write only below
`trials/ID/state/GENERATION/`, where the generation belongs to the command that started them. Only
the command itself moves a finished trial's files up (`publish`). A worker may outlive a command
that was killed; it goes on writing in a generation that nobody reads. The next command has a
generation of its own, and first renames the last complete state of each unfinished trial into it.

No file locks and no appends are used, since network file systems honour neither.

Trials that ran as a pack, or in a shard of an array job, keep their small files in an archive
below `packs/` (`headstart/archives.py`). A trial's file is looked for below `trials/` first, then
in the archives.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.runfolder.checkpoints import FOLDER as CHECKPOINTS
from harness.runfolder.checkpoints import Kept, refuse_linked_folders, write_checkpoints
from harness.runfolder.running import NAME as RUNNING
from harness.runfolder.running import read_running_file
from harness.runfolder.tables import as_table, concatenated, in_order, named
from harness.trials.rows import relabelled
from headstart.archives import Archives
from headstart.digests import (
    check_digest,
    check_listed,
    digest_of,
    digest_of_file,
    sealed_text,
    write_sealed_json,
    write_sealed_pair,
)
from headstart.errors import RunFolderError, StorageError
from headstart.files import (
    atomic_file,
    atomic_path,
    make_folder,
    remove,
    remove_dead_temporaries,
    storage_errors,
    sync_folder,
)
from headstart.foreign import checked_name, copy_inside, is_inside, refuse_links
from headstart.lock import Lock, holders
from headstart.records import (
    CURVE,
    FINAL,
    PlannedTrial,
    PlanRecord,
    check_run_folder,
    curve_table,
    no_curve,
    read_object,
    read_row,
    trial_curve,
    trial_rows,
)
from headstart.rows import EvaluationRow, TrialRow

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.trials.spec import Plan, TrialSpec

LAG_S = 30.0  # how long a file that another node wrote may take to be seen here
CONTROL = ".control-"  # and a generation: what a command tells its workers
# Where a command writes, beside `trials/`.
WRITTEN = ("packs", "images", "search", "tensorboard", "report", "evaluations", "audit")
FOLDERS = (
    "packs", "images", "search", CHECKPOINTS, "report", "report/figures", "report/tables",
)  # fmt: skip
_NUMBERED = re.compile(r"\d{6,}-")
ARCHIVE_SIZE = 256  # trials that an array job's shard keeps in one archive


@dataclass(frozen=True)
class TrialFolder:
    """Where a worker writes one trial, in the generation of its command; workers get it pickled."""

    path: Path  # trials/ID
    generation: str
    earlier_attempts: int = 0

    @property
    def work(self) -> Path:
        return self.path / "state" / self.generation

    @property
    def result(self) -> Path:
        return self.work / "result"

    def begin(self) -> int:
        """Count this start; returns the number of starts so far, this one included."""
        attempts = self.path / "state" / "attempts"
        make_folder(attempts)
        make_folder(self.result)
        number = _n_starts(attempts, self.earlier_attempts) + 1
        with storage_errors(attempts):
            (attempts / f"{number:06d}-{uuid.uuid4().hex}").touch()
        return number

    def state_file(self) -> Path | None:
        """The latest complete mid-trial state of this generation, adopted ones included."""
        return _latest_state(self.work)

    def new_state(self, step: int) -> Path:
        """Where to write (atomically) the state reached at `step`."""
        return self.work / f"state-{step:012d}.pt"

    def drop_states_before(self, step: int) -> None:
        for path in self.work.glob("state-*.pt"):
            if _step_of(path) < step:
                path.unlink(missing_ok=True)


class RunFolder:
    """One command's hold on a run folder: its lock, its generation, and all reading and writing."""

    def __init__(self, path: Path, shard: tuple[int, int] = (1, 1)):
        self.path = Path(path).absolute()  # workers may have another working folder
        self.generation = uuid.uuid4().hex[:12]
        self.n_archives = 0  # written by this command
        self._archives: Archives | None = None
        self.lock = Lock(self.path / f".lock-{shard[0]}-of-{shard[1]}.json", self.generation)

    def __enter__(self) -> RunFolder:
        check_run_folder(self.path, must_exist=False)
        try:
            make_folder(self.path / "trials")
        except OSError as err:
            raise RunFolderError(f"{self.path}: cannot be made: {err.strerror}") from err
        self._refuse_links()
        self.lock.acquire()
        self._remove_what_dead_commands_left()
        return self

    def __exit__(self, *_: object) -> None:
        remove_dead_temporaries(self.path)  # of workers that were ended
        self.lock.release()

    def _refuse_links(self) -> None:
        """What is written in this folder stays in it; trials are looked at when they are begun."""
        refuse_links(self.path / "trials")
        for name in WRITTEN:
            refuse_links(self.path / name, deep=True)
        refuse_linked_folders(self.path)

    def _remove_what_dead_commands_left(self) -> None:
        """Their half-written files, and what they told their workers."""
        for folder in (self.path, *(self.path / name for name in FOLDERS)):
            remove_dead_temporaries(folder)
        # A command has its lock before it makes its control file, and until it has removed it.
        control_files = list(self.path.glob(f"{CONTROL}*"))
        alive = {holder.generation for holder in holders(self.path)}
        for path in control_files:
            if path.name.removeprefix(CONTROL) not in alive:
                remove(path)

    def _remove_what_stopped_commands_said(self) -> None:
        """Of the trials that ran when they were stopped."""
        said = [(p, read_running_file(p).generation) for p in self.path.glob(f"{RUNNING}*.json")]
        alive = {holder.generation for holder in holders(self.path)}  # after they wrote that
        for path, generation in said:
            if generation not in alive:
                remove(path)

    # -- before a run ----------------------------------------------------------------------

    def begin(self, sweep_yaml: str, provenance: Mapping[str, object], plan: Plan) -> None:
        """Write what the folder is about: the resolved sweep, where it runs, the plan."""
        with atomic_file(self.path / "sweep.yaml") as file:
            file.write(sealed_text(sweep_yaml))
        earlier = read_object(self.path / "provenance.json") or {}
        this = {key: provenance[key] for key in ("command", "started_at", "host")}
        known = earlier.get("commands", [])
        commands = [*(known[-99:] if isinstance(known, list) else []), this]
        content = {**provenance, "commands": commands}
        write_sealed_json(self.path / "provenance.json", content)
        self._remove_what_stopped_commands_said()
        trials = [PlannedTrial(t.id, t.stage, t.arm, t.seed, t.parent) for t in plan.trials]
        record = PlanRecord(plan.sweep.name, tuple(trials), plan.sweep.labels)
        write_sealed_json(self.path / "plan.json", asdict(record))

    def finished(self, trial_ids: Iterable[str]) -> dict[str, TrialRow]:
        """Rows of the trials among these that need not run again, by id."""
        rows = trial_rows(self.path, trial_ids, wait_s=LAG_S)
        return {i: row for i, row in rows if row is not None and row.status in FINAL}

    def adopt(self, trial_ids: Iterable[str]) -> dict[str, TrialRow]:
        """Take over what earlier commands left of these unfinished trials.

        The latest complete state moves into this generation. A trial that ended, but whose
        command died before all its files were moved up, is published. Returns the rows of those.
        """
        published = {}
        for trial_id in trial_ids:
            folder = self.path / "trials" / trial_id
            refuse_links(folder, deep=True)
            remove_dead_temporaries(folder)
            state = folder / "state"
            if not state.is_dir():
                continue
            others = [d for d in state.iterdir() if d.is_dir() and d.name != "attempts"]
            others = [d for d in others if d.name != self.generation]
            row = self._adopt_result(folder, others)
            if row is not None:
                published[trial_id] = row
                continue
            self._adopt_state(state, others)
            for other in others:
                shutil.rmtree(other, ignore_errors=True)
        return published

    def _adopt_result(self, folder: Path, others: Sequence[Path]) -> TrialRow | None:
        """Publish the trial if one of these folders holds its record and each file of it."""
        for other in others:
            result = other / "result"
            row = read_row(result / "trial.json")
            if row is None or row.status not in FINAL:
                continue
            if _are_seen(result, folder, row.files):
                _check_result(result, folder, row)
                move_up(result, folder, row.files, was_begun=True)
                return row
            shutil.rmtree(result, ignore_errors=True)  # a file of it is lost: the trial runs again
        return None

    def tidy(self, trial_ids: Iterable[str]) -> None:
        """Remove what a command that died left beside the records of these finished trials."""
        for trial_id in trial_ids:
            folder = self.path / "trials" / trial_id
            try:
                names = os.listdir(folder)
            except FileNotFoundError:
                continue
            if "state" in names:
                shutil.rmtree(folder / "state", ignore_errors=True)
            if any(name.startswith(".") for name in names):
                remove_dead_temporaries(folder)
            if not names:
                with suppress(OSError):
                    folder.rmdir()

    def _adopt_state(self, state: Path, others: Sequence[Path]) -> None:
        """Rename the folder that got furthest.

        A worker of an earlier command may still write. The folder that it writes to has moved, so
        its next write fails.
        """
        states = [path for path in map(_latest_state, others) if path is not None]
        if states:
            with suppress(FileNotFoundError):  # such a worker replaced it just now: start anew
                os.rename(max(states, key=_step_of).parent, state / self.generation)
                sync_folder(state)

    # -- while trials run ------------------------------------------------------------------

    def trial_folder(self, trial_id: str) -> TrialFolder:
        path = self.path / "trials" / trial_id
        failed = read_row(path / "trial.json")
        return TrialFolder(path, self.generation, failed.attempts if failed else 0)

    def take_from(self, other: Path, trial_ids: Iterable[str]) -> dict[str, TrialRow]:
        """Copy the finished trials among these from another run folder; returns their rows.

        A copy is written where a worker would write the trial, and published as a worker's is.
        """
        check_run_folder(other)
        archives = Archives(other)
        taken = {}
        for trial_id, row in trial_rows(other, trial_ids):
            if row is not None and row.status in FINAL:
                self.publish(trial_id, self._take(other, trial_id, row, archives))
                taken[trial_id] = row
        return taken

    def _take(self, other: Path, trial_id: str, row: TrialRow, archives: Archives) -> TrialRow:
        """Copy one trial's files to where a worker would write them; returns its row."""
        result = TrialFolder(self.path / "trials" / trial_id, self.generation).result
        rewritten = {}
        for name in _record_last(row.files)[:-1]:
            digest = self._copy(other, trial_id, name, row, archives)
            if digest is not None:
                rewritten[name] = digest
        if row.digests is None or not rewritten:
            self._copy(other, trial_id, "trial.json", row, archives)
            return row
        row = replace(row, digests={**row.digests, **rewritten})
        write_record(result / "trial.json", row)
        return row

    def _copy(
        self, other: Path, trial_id: str, name: str, row: TrialRow, archives: Archives
    ) -> str | None:
        """Copy one file of a trial, compared with its record.

        Returns its digest where it is not the file that the record has: archives keep curves
        together, so one that is taken out of them is written anew.

        Raises:
            RunFolderError: the file is damaged.
        """
        inside = f"trials/{trial_id}/{checked_name(name, other)}"
        target = TrialFolder(self.path / "trials" / trial_id, self.generation).result / name
        make_folder(target.parent)
        archived = None if is_inside(other, inside) else archives.read(trial_id, name)
        with atomic_path(target) as path:
            if archived is not None:
                path.write_bytes(archived)
                return digest_of(archived)
            try:
                copy_inside(other, inside, path)
            except FileNotFoundError as err:
                raise RunFolderError(
                    f"{other / inside}: is not there, though its trial ended with it; leave this "
                    "folder out of --reuse"
                ) from err
            if name != "trial.json":  # the copy: what is read twice may be another one
                digest = digest_of_file(path) if row.digests else ""
                check_listed(other / "trials" / trial_id, name, row.digests, digest)
        return None

    def publish(self, trial_id: str, row: TrialRow) -> None:
        """Move a finished trial's files up; from here on the trial counts as ended."""
        folder = self.path / "trials" / trial_id
        move_up(folder / "state" / self.generation / "result", folder, row.files)

    def fail(self, trial_id: str, row: TrialRow) -> None:
        """Record a trial that could not finish; its last state stays for the next command."""
        folder = self.path / "trials" / trial_id
        make_folder(folder)
        attempts = folder / "state" / "attempts"
        earlier = read_row(folder / "trial.json")
        row = replace(row, attempts=_n_starts(attempts, earlier.attempts if earlier else 0))
        write_record(folder / "trial.json", row)
        shutil.rmtree(attempts, ignore_errors=True)
        if not any((folder / "state").glob("*/state-*.pt")):
            shutil.rmtree(folder / "state", ignore_errors=True)

    def archive(self, trials: Iterable[TrialSpec], size: int = ARCHIVE_SIZE) -> None:
        """Move the small files of those arm trials among these that are final into `packs/`.

        Stages stay as they are: other trials, perhaps on other nodes, start from them.
        """
        folders = self.path / "trials"
        ids = [trial.id for trial in trials if trial.stage == "arm"]
        rows = ((i, read_row(folders / i / "trial.json")) for i in ids)
        final = [i for i, row in rows if row is not None and row.status in FINAL]
        if final and self._archives is None:  # others' archives are opened once, not every time
            self._archives = Archives(self.path)
        for first in range(0, len(final), size):
            assert self._archives is not None
            name = f"{self.generation}-{self.n_archives:05d}"
            self._archives.write(name, folders, final[first : first + size])
            self.n_archives += 1

    # -- tables ----------------------------------------------------------------------------

    def write_tables(self, plan: Plan, wait_s: float = LAG_S) -> Counter[str]:
        """Merge the records of the plan's trials into `trials.parquet` and `curves.parquet`.

        The links below `checkpoints/` follow, which have the names of the same plan.

        Rows carry the names that the present plan gives them (an arm may have been renamed).
        Returns how many trials have which status.

        Args:
            wait_s: how long to wait for archives that other nodes wrote and that are not seen yet.
        """
        statuses: Counter[str] = Counter()
        ended: dict[str, Mapping[str, str] | None] = {}
        kept: dict[str, Kept] = {}
        place = {spec.id: position for position, spec in enumerate(plan.trials)}
        trials = as_table(self._relabelled(plan, statuses, ended, kept, wait_s), TrialRow)
        curves = named(concatenated(self._curves(ended), EvaluationRow), plan, place)
        write_sealed_pair(
            self.path / "trials.parquet", in_order(trials, place),
            self.path / "curves.parquet", curves,
        )  # fmt: skip
        write_checkpoints(self.path, plan, kept, curves)
        return statuses

    def diverged_arms(self, plan: Plan) -> list[str]:
        """The arms of which every planned trial diverged, as the table of trials has them."""
        from pyarrow.parquet import read_table

        table = read_table(self.path / "trials.parquet", columns=["stage", "arm", "status"])
        rows = Counter(zip(*table.to_pydict().values(), strict=True))
        planned = Counter((trial.stage, trial.arm) for trial in plan.trials)
        return [
            arm
            for (stage, arm), n in planned.items()
            if stage == "arm" and rows[stage, arm, "diverged"] == n
        ]

    def _relabelled(
        self,
        plan: Plan,
        statuses: Counter[str],
        ended: dict[str, Mapping[str, str] | None],
        kept: dict[str, Kept],
        wait_s: float,
    ) -> Iterator[TrialRow]:
        """Rows by the plan; notes the digests of curves, and which files of weights there are."""
        for trial_id, row in trial_rows(self.path, plan.by_id, wait_s=wait_s):
            if row is not None:
                statuses[row.status] += 1
                if row.status in FINAL:
                    digests = row.digests
                    ended[trial_id] = digests and {CURVE: digests.get(CURVE, "none")}
                    if files := Kept.of(row):
                        kept[trial_id] = files
                yield relabelled(row, plan.by_id[trial_id], plan.sweep.name)

    def _curves(self, ended: Mapping[str, Mapping[str, str] | None]) -> Iterator[pa.Table]:
        """Evaluations: of trials that have a folder, then of those in archives, each trial once.

        Raises:
            RunFolderError: a curve is damaged, or a trial that ended has none.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        archives = Archives(self.path)
        left = dict.fromkeys(ended)
        for trial_id, digests in ended.items():
            table = curve_table(self.path / "trials" / trial_id, digests)
            if table is not None:
                yield table
                del left[trial_id]
        archives.refresh()  # another command may have archived a trial just now
        for table in archives.curves():
            ids = set(table["trial_id"].unique().to_pylist())
            wanted = [trial_id for trial_id in ids if trial_id in left]
            if len(wanted) < len(ids):
                table = table.filter(pc.is_in(table["trial_id"], pa.array(wanted, pa.string())))
            yield table
            for trial_id in wanted:
                del left[trial_id]
        for trial_id in left:
            raise no_curve(self.path / "trials" / trial_id)

    def new_curves(self, plan: Plan) -> Iterator[tuple[TrialRow, list[EvaluationRow]]]:
        """Row and evaluations of each trial that has no TensorBoard file yet."""
        logged = {
            path.name.removeprefix("events.out.tfevents.")
            for path in (self.path / "tensorboard").glob("*/*/events.out.tfevents.*")
        }
        archives = Archives(self.path)
        new = [spec.id for spec in plan.trials if spec.id not in logged]
        for trial_id, row in trial_rows(self.path, new):
            if row is not None and row.status in FINAL:
                curve = trial_curve(self.path, trial_id, row, archives)
                yield relabelled(row, plan.by_id[trial_id], plan.sweep.name), curve

    def statuses(self, plan: Plan) -> Counter[str]:
        """How many of the plan's trials have which status; trials without a record count not."""
        rows = trial_rows(self.path, plan.by_id, wait_s=LAG_S)
        return Counter(row.status for _, row in rows if row is not None)

    def write_images(self, fingerprint: str, arrays: Mapping[str, Any]) -> None:
        """Keep a data set's test images beside the records, for galleries of mistakes."""
        import numpy as np

        folder = self.path / "images"
        make_folder(folder)
        path = folder / f"{fingerprint}.npz"
        if not path.exists():
            with atomic_file(path, "wb") as file:
                np.savez_compressed(file, **arrays)


def _record_last(files: Sequence[str]) -> list[str]:
    return [name for name in files if name != "trial.json"] + ["trial.json"]


def write_curve(path: Path, rows: Sequence[EvaluationRow]) -> None:
    """Write one trial's evaluations as Parquet."""
    import pyarrow.parquet as pq

    with atomic_file(path, "wb") as file:
        pq.write_table(as_table(rows, EvaluationRow), file)


def write_record(path: Path, row: TrialRow) -> None:
    """Write a trial's `trial.json`, with its own digest."""
    write_sealed_json(path, row.to_json())


def _check_result(result: Path, folder: Path, row: TrialRow) -> None:
    """Compare the files of a trial whose command died with its record, moved ones included.

    Raises:
        RunFolderError: a file is damaged.
    """
    for name, digest in (row.digests or {}).items():
        path = result / name if (result / name).is_file() else folder / name
        advice = f"remove the folder {folder} and run the same command again"
        check_digest(path, digest_of_file(path), digest, advice)


def _n_starts(attempts: Path, earlier: int) -> int:
    """Starts of a trial so far, of which a failed record counts `earlier`.

    Each start has its number in the name of its file. So a command that died after it wrote the
    record and before it removed the files counts nothing twice. Earlier versions gave no numbers.
    """
    names = os.listdir(attempts) if attempts.is_dir() else []
    numbers = [int(name.partition("-")[0]) for name in names if _NUMBERED.match(name)]
    return max([earlier + len(names) - len(numbers), *numbers])


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("state-"))


def _latest_state(folder: Path) -> Path | None:
    return max(folder.glob("state-*.pt"), key=_step_of, default=None)


def move_up(result: Path, folder: Path, files: Sequence[str], was_begun: bool = False) -> None:
    """Move the files of a finished trial to its folder, the record last; remove its `state`.

    Args:
        was_begun: whether a command may have died while it did the same. A file that is gone from
            `result` and lies in `folder` was moved by it.
    """
    *others, record = _record_last(files)
    for name in others:
        make_folder((folder / name).parent)
        _replace_when_seen(result / name, folder / name, was_begun)
    for parent in {(folder / name).parent for name in others}:
        sync_folder(parent)
    _replace_when_seen(result / record, folder / record)
    sync_folder(folder)
    shutil.rmtree(folder / "state", ignore_errors=True)


def _are_seen(result: Path, folder: Path, files: Sequence[str]) -> bool:
    """Whether each file is in one of the two; waits for what another node wrote a moment ago."""
    deadline = time.monotonic() + LAG_S
    while not all((result / name).exists() or (folder / name).exists() for name in files):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _replace_when_seen(source: Path, target: Path, may_be_moved: bool = False) -> None:
    """`os.replace` that waits for a file which another node wrote a moment ago."""
    deadline = time.monotonic() + LAG_S
    while True:
        try:
            with storage_errors(target):
                os.replace(source, target)
            return
        except FileNotFoundError as err:
            if may_be_moved and target.exists():
                return
            if time.monotonic() > deadline:
                raise StorageError(
                    f"{source}: was written by a worker and is not seen here"
                ) from err
            time.sleep(0.2)
