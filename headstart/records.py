"""The reading half of a run folder: its plan, and the row of each trial, wherever it lies.

In: a run folder. Out: the plan, and the row of each trial, from `trials/ID/trial.json` or from an
archive of finished trials. It stands apart from the writing half (`harness/runfolder/`), so that
the analysis reads run folders and knows nothing of what runs trials.
"""

from __future__ import annotations

import errno
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.archives import Archives, read_table
from headstart.errors import RunFolderError
from headstart.files import read_mapping
from headstart.rows import EvaluationRow, TrialRow

FINAL = ("done", "diverged")  # `failed` runs again


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of `plan.json`."""

    id: str
    stage: str
    arm: str
    seed: int
    parent: str | None  # id of the trial that it starts from


@dataclass(frozen=True)
class PlanRecord:
    """What `plan.json` holds: the trials of the sweep as it was when a command last ran."""

    sweep: str
    trials: tuple[PlannedTrial, ...]


def read_plan(run: Path, strict: bool = True) -> PlanRecord | None:
    """The plan of a run folder; None where no command has made one.

    Raises:
        RunFolderError: the file is damaged; where not `strict`, it is no plan (yet).
    """
    path = run / "plan.json"
    content = read_object(path) if strict else read_mapping(path) or None
    if content is None:
        return None
    trials = tuple(
        PlannedTrial(
            str(t["id"]), t.get("stage", ""), t.get("arm", ""), t.get("seed", 0), t.get("parent")
        )
        for t in content["trials"]
    )
    return PlanRecord(str(content["sweep"]), trials)


def trial_rows(
    run: Path, trial_ids: Iterable[str], wait_s: float = 0.0, strict: bool = True
) -> Iterator[tuple[str, TrialRow | None]]:
    """Each trial's id and row: of those with a folder in the order given, then of the others.

    Args:
        trial_ids: which trials; a trial without a record gives None.
        wait_s: how long to wait for archives that other nodes wrote and that are not listed here
            yet. A trial that has weights and no record lies in one.
        strict: whether a record that cannot be read is an error or not there (yet).

    Raises:
        RunFolderError: a record or an archive is damaged.
    """
    elsewhere = []
    for trial_id in trial_ids:
        row = read_row(run / "trials" / trial_id / "trial.json", strict)
        if row is None:
            elsewhere.append(trial_id)
        else:
            yield trial_id, row
    if not elsewhere:
        return
    archives = Archives(run)
    until = time.monotonic() + wait_s
    while time.monotonic() < until and any(
        i not in archives and _left_its_record(run / "trials" / i) for i in elsewhere
    ):
        time.sleep(0.5)
        archives.refresh()
    yield from archives.rows(elsewhere)
    yield from ((trial_id, None) for trial_id in elsewhere if trial_id not in archives)


def read_row(path: Path, strict: bool = True) -> TrialRow | None:
    """The row that one `trial.json` holds; None where there is no such file.

    Raises:
        RunFolderError: the file is damaged; where not `strict`, it is not there (yet).
    """
    content = read_object(path) if strict else read_mapping(path) or None
    try:
        return None if content is None else TrialRow.from_json(content)
    except ValueError as err:
        if not strict:
            return None
        raise _damaged(path, err) from err


def trial_row(folder: Path) -> TrialRow | None:
    """The row of one trial, given its folder `RUN/trials/ID`; None where it has none."""
    row = read_row(folder / "trial.json")
    if row is None:
        row = dict(Archives(folder.parent.parent).rows([folder.name])).get(folder.name)
    return row


def trial_file(path: Path) -> Path | io.BytesIO:
    """What to open for the file `RUN/trials/ID/NAME`: it, or its content in an archive."""
    if not path.is_file():
        archived = Archives(path.parents[2]).read(path.parent.name, path.name)
        if archived is not None:
            return io.BytesIO(archived)
    return path


def read_curve(content: bytes) -> list[EvaluationRow]:
    """The evaluations that a trial's `curve.parquet` holds, by step."""
    return [EvaluationRow.from_json(point) for point in read_table(content).to_pylist()]


def _left_its_record(folder: Path) -> bool:
    return (folder / "model.safetensors").is_file() and not (folder / "state").is_dir()


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


def finished_rows(path: Path) -> list[TrialRow]:
    """All rows of a run folder, failed ones included, read from the trials themselves.

    Raises:
        RunFolderError: `path` is no run folder.
    """
    check_run_folder(path)
    ids = {folder.name for folder in (path / "trials").iterdir() if folder.is_dir()}
    rows = dict(trial_rows(path, ids | set(Archives(path))))
    return [row for _, row in sorted(rows.items()) if row is not None]


def read_object(path: Path) -> Mapping[str, Any] | None:
    """The JSON object in a file; None where there is no such file.

    Raises:
        RunFolderError: the file is there and holds none: it was damaged by something else.
    """
    try:
        content = json.loads(_read_text(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, OSError) as err:
        raise _damaged(path, err) from err
    if not isinstance(content, dict):
        raise _damaged(path, ValueError(f"it holds {type(content).__name__}, not an object"))
    return content


def _damaged(path: Path, err: Exception) -> RunFolderError:
    return RunFolderError(f"{path}: cannot be read ({err}); remove it to run it again")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as err:
        if err.errno != errno.ESTALE:
            raise
        return path.read_text(encoding="utf-8")  # another node replaced it while it was open
