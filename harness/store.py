"""The only reader and writer of a run folder.

Every file is written under a temporary name, flushed and renamed, and a trial's `trial.json` comes
last: its presence means that the trial ended. Workers never write there. A worker writes below
`trials/ID/state/GENERATION/`, where the generation belongs to the command that started it; only
the command itself moves a finished trial's files up (`publish`). So a worker that outlives a killed
command goes on writing where nobody looks: the next command, of another generation, first adopts
the last complete state of each unfinished trial by renaming it into its own generation.

No file locks and no appends are used, since network file systems honour neither.

Trials that ran as a pack, or in a shard of an array job, keep their small files in `packs/`
(`packs.py`). A trial's file is looked for below `trials/` first and in the packs after that.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.lock import Lock
from harness.packs import Packs
from harness.rows import relabelled
from harness.tables import as_table, concatenated, in_order, named, schema
from headstart.errors import RunFolderError, StorageError
from headstart.files import atomic_file, atomic_path, read_mapping, write_json

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.plan import Plan, TrialSpec

FINAL = ("done", "diverged")  # `failed` runs again
LAG_S = 30.0  # how long a file that another node wrote may take to be seen here
PACK_SIZE = 256  # trials that an array job's shard keeps in one file

# Column → Arrow type; the order is the order in the tables.
TRIAL_COLUMNS = {
    "trial_id": "string", "sweep": "string", "stage": "string", "arm": "string", "seed": "int64",
    "status": "string", "error": "string", "model": "string", "dataset": "string",
    "dataset_fingerprint": "string", "stand_in_for": "string", "initialize": "string",
    "parent_id": "string", "fine_tune": "string", "grid": "string", "n_parameters": "int64",
    "n_trainable": "int64", "n_classes": "int64", "n_train": "int64", "n_validation": "int64",
    "n_test": "int64", "n_pool": "int64", "learning_rate": "double", "batch_size": "int64",
    "epochs": "int64",
    "steps": "int64", "best_step": "int64", "best_val_accuracy": "double",
    "final_val_accuracy": "double", "test_accuracy": "double", "test_loss": "double",
    "train_time_s": "double", "eval_time_s": "double", "setup_time_s": "double",
    "prefix_time_s": "double", "state_time_s": "double", "images_per_s": "double",
    "device": "string", "host": "string",
    "n_workers": "int64", "ran_as": "string", "attempts": "int64", "finished_at": "string",
}  # fmt: skip
CURVE_COLUMNS = {
    "trial_id": "string", "arm": "string", "seed": "int64", "step": "int64", "epoch": "double",
    "samples": "int64", "train_time_s": "double", "learning_rate": "double",
    "train_loss": "double", "val_loss": "double", "val_accuracy": "double",
}  # fmt: skip


@dataclass(frozen=True)
class TrialFolder:
    """Where one worker of one generation writes one trial; picklable, sent to workers."""

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
        attempts.mkdir(parents=True, exist_ok=True)
        self.result.mkdir(parents=True, exist_ok=True)
        (attempts / uuid.uuid4().hex).touch()
        return self.earlier_attempts + len(os.listdir(attempts))

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
        self.n_packs = 0  # written by this command
        self._packs: Packs | None = None
        self.lock = Lock(self.path / f".lock-{shard[0]}-of-{shard[1]}.json", self.generation)

    def __enter__(self) -> RunFolder:
        check_run_folder(self.path, must_exist=False)
        try:
            (self.path / "trials").mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise RunFolderError(f"{self.path}: cannot be made: {err.strerror}") from err
        self.lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    # -- before a run ----------------------------------------------------------------------

    def begin(self, sweep_yaml: str, provenance: Mapping[str, Any], plan: Any) -> None:
        """Write what the folder is about: the resolved sweep, where it runs, the plan."""
        with atomic_file(self.path / "sweep.yaml") as file:
            file.write(sweep_yaml)
        history = read_json(self.path / "provenance.json", {}).get("commands", [])
        commands = [*history[-99:], {k: provenance[k] for k in ("command", "started_at", "host")}]
        write_json(self.path / "provenance.json", {**provenance, "commands": commands})
        write_json(
            self.path / "plan.json",
            {
                "sweep": plan.sweep.name,
                "trials": [
                    {"id": t.id, "stage": t.stage, "arm": t.arm, "seed": t.seed,
                     "parent": t.parent}
                    for t in plan.trials
                ],
            },
        )  # fmt: skip

    def finished(self, trial_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Rows of the trials among these that need not run again, by id."""
        found = trial_rows(self.path, trial_ids, wait_s=LAG_S)
        return {i: row for i, row in found if row is not None and row.get("status") in FINAL}

    def adopt(self, trial_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Take over what earlier commands left of these unfinished trials.

        The latest complete state moves into this generation. A trial that ended, but whose
        command died before moving its files up, is published. Returns the rows of those.
        """
        published = {}
        for trial_id in trial_ids:
            state = self.path / "trials" / trial_id / "state"
            if not state.is_dir():
                continue
            others = [d for d in state.iterdir() if d.is_dir() and d.name != "attempts"]
            others = [d for d in others if d.name != self.generation]
            for other in others:
                row = read_json(other / "result" / "trial.json", None)
                if row is not None and row.get("status") in FINAL:
                    self._move_up(trial_id, other / "result", row["files"])
                    published[trial_id] = row
                    break
            else:
                self._adopt_state(state, others)
            for other in others:
                shutil.rmtree(other, ignore_errors=True)
        return published

    def _adopt_state(self, state: Path, others: Sequence[Path]) -> None:
        """Rename the folder that got furthest; its writer, if it lives, loses its way there."""
        found = [path for path in map(_latest_state, others) if path is not None]
        if found:
            with suppress(FileNotFoundError):  # an orphan replaced it just now: start anew
                os.rename(max(found, key=_step_of).parent, state / self.generation)

    # -- while trials run ------------------------------------------------------------------

    def trial_folder(self, trial_id: str) -> TrialFolder:
        path = self.path / "trials" / trial_id
        failed = read_json(path / "trial.json", {})
        return TrialFolder(path, self.generation, 0 if not failed else int(failed["attempts"]))

    def take_from(self, other: Path, trial_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Copy the finished trials among these from another run folder; returns their rows."""
        check_run_folder(other)
        packs = Packs(other)
        taken = {}
        for trial_id, row in trial_rows(other, trial_ids):
            if row is not None and row.get("status") in FINAL:
                for name in _record_last(row["files"]):
                    self._copy(other, trial_id, name, packs)
                taken[trial_id] = row
        return taken

    def _copy(self, other: Path, trial_id: str, name: str, packs: Packs) -> None:
        source, target = (run / "trials" / trial_id / name for run in (other, self.path))
        target.parent.mkdir(parents=True, exist_ok=True)
        packed = None if source.is_file() else packs.read(trial_id, name)
        with atomic_path(target) as path:
            if packed is None:
                shutil.copyfile(source, path)
            else:
                path.write_bytes(packed)

    def publish(self, trial_id: str, row: Mapping[str, Any]) -> None:
        """Move a finished trial's files up; from here on the trial counts as ended."""
        result = self.path / "trials" / trial_id / "state" / self.generation / "result"
        self._move_up(trial_id, result, row["files"])

    def _move_up(self, trial_id: str, result: Path, files: Sequence[str]) -> None:
        folder = self.path / "trials" / trial_id
        for name in _record_last(files):
            (folder / name).parent.mkdir(exist_ok=True)
            _replace_when_seen(result / name, folder / name)
        shutil.rmtree(folder / "state", ignore_errors=True)

    def fail(self, trial_id: str, row: Mapping[str, Any]) -> None:
        """Record a trial that could not finish; its last state stays for the next command."""
        folder = self.path / "trials" / trial_id
        folder.mkdir(parents=True, exist_ok=True)
        attempts = folder / "state" / "attempts"
        n_attempts = len(os.listdir(attempts)) if attempts.is_dir() else 0
        earlier = read_json(folder / "trial.json", {}).get("attempts", 0)
        write_json(folder / "trial.json", {**row, "attempts": earlier + n_attempts})
        shutil.rmtree(attempts, ignore_errors=True)
        if not any((folder / "state").glob("*/state-*.pt")):
            shutil.rmtree(folder / "state", ignore_errors=True)

    def pack(self, trials: Iterable[TrialSpec], size: int = PACK_SIZE) -> None:
        """Move the small files of those arm trials among these that are final into `packs/`.

        Stages stay as they are: other trials, perhaps on other nodes, start from them.
        """
        folders = self.path / "trials"
        ids = [trial.id for trial in trials if trial.stage == "arm"]
        rows = ((i, read_json(folders / i / "trial.json", None)) for i in ids)
        final = [i for i, row in rows if row is not None and row.get("status") in FINAL]
        if final and self._packs is None:  # those of others are opened once, not for every pack
            self._packs = Packs(self.path)
        for first in range(0, len(final), size):
            assert self._packs is not None
            self._packs.write(
                f"{self.generation}-{self.n_packs:05d}", folders, final[first : first + size]
            )
            self.n_packs += 1

    # -- tables ----------------------------------------------------------------------------

    def write_tables(self, plan: Plan) -> Counter[str]:
        """Merge the records of the plan's trials into `trials.parquet` and `curves.parquet`.

        Rows carry the names that the present plan gives them (an arm may have been renamed).
        Returns how many trials have which status.
        """
        import pyarrow.parquet as pq

        statuses: Counter[str] = Counter()
        place = {spec.id: position for position, spec in enumerate(plan.trials)}
        trials = as_table(self._relabelled(plan, statuses), TRIAL_COLUMNS)
        curve = named(concatenated(self._curves(plan), CURVE_COLUMNS), plan, place)
        for table, name in (
            (in_order(trials, place), "trials.parquet"),
            (curve, "curves.parquet"),
        ):
            with atomic_file(self.path / name, "wb") as file:
                pq.write_table(table, file)
        return statuses

    def _relabelled(self, plan: Plan, statuses: Counter[str]) -> Iterator[dict[str, Any]]:
        for trial_id, row in trial_rows(self.path, plan.by_id, wait_s=LAG_S):
            if row is not None:
                statuses[str(row["status"])] += 1
                named = relabelled(row, plan.by_id[trial_id], plan.sweep.name)
                yield {column: named.get(column) for column in TRIAL_COLUMNS}

    def _curves(self, plan: Plan) -> Iterator[pa.Table]:
        """Evaluations: of trials that have a folder, then of those in packs, each trial once."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        packs = Packs(self.path)
        left = dict.fromkeys(plan.by_id)
        for trial_id in plan.by_id:
            with suppress(FileNotFoundError):
                content = (self.path / "trials" / trial_id / "curve.parquet").read_bytes()
                yield pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
                del left[trial_id]
        for table in packs.curves():
            ids = set(table["trial_id"].unique().to_pylist())
            wanted = [trial_id for trial_id in ids if trial_id in left]
            if len(wanted) < len(ids):
                table = table.filter(pc.is_in(table["trial_id"], pa.array(wanted, pa.string())))
            yield table
            for trial_id in wanted:
                del left[trial_id]

    def new_curves(self, plan: Plan) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Row and evaluations of each trial that has no TensorBoard file yet."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        logged = {
            path.name.removeprefix("events.out.tfevents.")
            for path in (self.path / "tensorboard").glob("*/*/events.out.tfevents.*")
        }
        packs = Packs(self.path)
        new = [spec.id for spec in plan.trials if spec.id not in logged]
        for trial_id, row in trial_rows(self.path, new):
            path = self.path / "trials" / trial_id / "curve.parquet"
            curve = path.read_bytes() if path.is_file() else packs.read(trial_id, "curve.parquet")
            if row is not None and curve is not None:
                points = pq.ParquetFile(pa.BufferReader(curve)).read().to_pylist()
                yield relabelled(row, plan.by_id[trial_id], plan.sweep.name), points

    def statuses(self, plan: Plan) -> Counter[str]:
        """How many of the plan's trials have which status; trials without a record count not."""
        rows = trial_rows(self.path, plan.by_id, wait_s=LAG_S)
        return Counter(str(row["status"]) for _, row in rows if row is not None)

    def write_images(self, fingerprint: str, arrays: Mapping[str, Any]) -> None:
        """Keep a data set's test images beside the records, for galleries of mistakes."""
        import numpy as np

        folder = self.path / "images"
        folder.mkdir(exist_ok=True)
        path = folder / f"{fingerprint}.npz"
        if not path.exists():
            with atomic_file(path, "wb") as file:
                np.savez_compressed(file, **arrays)


def trial_rows(
    run: Path, trial_ids: Iterable[str], wait_s: float = 0.0, strict: bool = True
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Each trial's id and row: of those with a folder in the order given, then of the others.

    Args:
        run: the run folder.
        trial_ids: which trials; a trial without a record gives None.
        wait_s: how long to wait for packs that other nodes wrote and that are not listed here
            yet. A trial that has weights and no record lies in one.
        strict: whether a record that cannot be read is an error or not there (yet).

    Raises:
        RunFolderError: a record or a pack is damaged.
    """
    elsewhere = []
    for trial_id in trial_ids:
        path = run / "trials" / trial_id / "trial.json"
        row = read_json(path, None) if strict else read_mapping(path) or None
        if row is None:
            elsewhere.append(trial_id)
        else:
            yield trial_id, row
    if not elsewhere:
        return
    packs = Packs(run)
    until = time.monotonic() + wait_s
    while time.monotonic() < until and any(
        i not in packs and _left_its_record(run / "trials" / i) for i in elsewhere
    ):
        time.sleep(0.5)
        packs.refresh()
    yield from packs.rows(elsewhere)
    yield from ((trial_id, None) for trial_id in elsewhere if trial_id not in packs)


def trial_row(folder: Path) -> dict[str, Any] | None:
    """The row of one trial, given its folder `RUN/trials/ID`; None where it has none."""
    row: dict[str, Any] | None = read_json(folder / "trial.json", None)
    if row is None:
        row = dict(Packs(folder.parent.parent).rows([folder.name])).get(folder.name)
    return row


def trial_file(path: Path) -> Path | io.BytesIO:
    """What to open for the file `RUN/trials/ID/NAME`: it, or its content where a pack holds it."""
    if not path.is_file():
        packed = Packs(path.parents[2]).read(path.parent.name, path.name)
        if packed is not None:
            return io.BytesIO(packed)
    return path


def _left_its_record(folder: Path) -> bool:
    return (folder / "model.safetensors").is_file() and not (folder / "state").is_dir()


def _record_last(files: Sequence[str]) -> list[str]:
    return [name for name in files if name != "trial.json"] + ["trial.json"]


def write_curve(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one trial's evaluations (`CURVE_COLUMNS`) as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_file(path, "wb") as file:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema(CURVE_COLUMNS)), file)


def check_run_folder(path: Path, must_exist: bool = True) -> None:
    """Refuse a path that is no run folder, so that nobody's other files are written among.

    Raises:
        RunFolderError: a file, a folder with other content, or (`must_exist`) no run folder.
    """
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"{path}: is a file; a run folder is expected")
    is_run = (path / "sweep.yaml").is_file() or (path / "trials").is_dir()
    if must_exist and not is_run:
        raise RunFolderError(f"{path}: is no run folder (no sweep.yaml there)")
    if not must_exist and path.is_dir() and not is_run:
        other = [entry.name for entry in path.iterdir() if not entry.name.startswith(".")]
        if other:
            raise RunFolderError(
                f"{path}: holds other things ({', '.join(sorted(other)[:3])}) and is no run "
                "folder; give an empty or new folder as --out"
            )


def finished_rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a run folder, failed ones included, read from the trials themselves.

    Raises:
        RunFolderError: `path` is no run folder.
    """
    check_run_folder(path)
    ids = {folder.name for folder in (path / "trials").iterdir() if folder.is_dir()}
    rows = dict(trial_rows(path, ids | set(Packs(path))))
    return [row for _, row in sorted(rows.items()) if row is not None]


def read_json(path: Path, default: Any) -> Any:
    """The file's content, or `default` where there is no such file.

    Raises:
        RunFolderError: the file is there and is not JSON: it was damaged by something else.
    """
    try:
        return json.loads(_read_text(path))
    except (FileNotFoundError, NotADirectoryError):
        return default
    except (ValueError, OSError) as err:
        raise RunFolderError(f"{path}: cannot be read ({err}); remove it to run it again") from err


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as err:
        if err.errno != errno.ESTALE:
            raise
        return path.read_text(encoding="utf-8")  # replaced on another node while it was open here


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("state-"))


def _latest_state(folder: Path) -> Path | None:
    return max(folder.glob("state-*.pt"), key=_step_of, default=None)


def _replace_when_seen(source: Path, target: Path) -> None:
    """`os.replace` that waits for a file which another node wrote a moment ago."""
    deadline = time.monotonic() + LAG_S
    while True:
        try:
            os.replace(source, target)
            return
        except FileNotFoundError as err:
            if time.monotonic() > deadline:
                raise StorageError(
                    f"{source}: was written by a worker and is not seen here"
                ) from err
            time.sleep(0.2)
