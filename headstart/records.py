"""The reading half of a run folder: its plan, and the row of each trial, wherever it lies.

In: a run folder. Out: the plan, and the row of each trial, from `trials/ID/trial.json` or from an
archive of finished trials. It stands apart from the writing half (`harness/runfolder/`), so that
the analysis reads run folders and knows nothing of what runs trials.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.archives import Archives
from headstart.curves import read_evaluations
from headstart.digests import check_listed, check_sealed, digest_of, digest_of_open
from headstart.errors import RunFolderError
from headstart.files import read_mapping
from headstart.foreign import (
    is_plain,
    open_below,
    open_plain,
    open_record,
    read_inside,
    read_limited,
    refuse_huge,
)
from headstart.rows import EvaluationRow, TrialRow

if TYPE_CHECKING:
    import pyarrow as pa

CURVE = "curve.parquet"
MODEL = "model.safetensors"  # the weights that validation chose
ALSO_TEST = "also_test.parquet"
FORECAST = "forecast"  # the folder of a forecast, and the name of its files
CONTACT_SHEETS = "contact-sheets"  # beside a report: what was cut from photographs
MAX_BYTES = 4 << 30  # of a curve or of predictions
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
    """What `plan.json` holds: the trials of the sweep as it was when a command last ran.

    `labels`: of the arms that have one, by name; an earlier version wrote none.
    """

    sweep: str
    trials: tuple[PlannedTrial, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


def read_plan(run: Path, strict: bool = True) -> PlanRecord | None:
    """The plan of a run folder; None where no command has made one.

    Raises:
        RunFolderError: the file is damaged; where not `strict`, it is no plan (yet).
    """
    path = run / "plan.json"
    content = read_object(path) if strict else read_mapping(path) or None
    if content is None:
        return None
    try:
        labels = {str(k): str(v) for k, v in dict(content.get("labels") or {}).items()}
        return PlanRecord(str(content["sweep"]), tuple(map(_planned, content["trials"])), labels)
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        if not strict:
            return None
        reason = f"it is no plan: {type(err).__name__}: {err}"
        raise RunFolderError(
            f"{path}: cannot be read ({reason}); run the sweep's command again, which writes it "
            "anew"
        ) from err


def _planned(trial: Mapping[str, Any]) -> PlannedTrial:
    parent = trial.get("parent")
    if not is_plain(str(trial["id"])):
        raise ValueError(f"the id {trial['id']!a:.80} is not used as a path")
    return PlannedTrial(
        id=str(trial["id"]),
        stage=str(trial.get("stage", "")),
        arm=str(trial.get("arm", "")),
        seed=int(trial.get("seed", 0)),
        parent=None if parent is None else str(parent),
    )


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
        elif row.trial_id in ("", trial_id):
            yield trial_id, row
        elif strict:
            path = run / "trials" / trial_id / "trial.json"
            raise _damaged(path, ValueError(f"it is the record of trial {row.trial_id[:80]}"))
        else:
            yield trial_id, None
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
    content = _read_json(path) if strict else read_mapping(path) or None
    try:
        return None if content is None else TrialRow.from_record(content)
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


def checked_bytes(
    run: Path, trial_id: str, name: str, row: TrialRow, archives: Archives | None = None
) -> bytes | None:
    """The content of one of a trial's files, as its record has it; None where it left none.

    Args:
        archives: of the run folder, where they were listed already.

    Raises:
        RunFolderError: the file is damaged.
    """
    folder = run / "trials" / trial_id
    try:
        content = read_inside(run, f"trials/{trial_id}/{name}", MAX_BYTES)
    except FileNotFoundError:
        return (archives or Archives(run)).read(trial_id, name)
    except OSError as err:
        raise _damaged_file(folder, name, err) from err
    check_listed(folder, name, row.digests, digest_of(content))
    return content


def checked_file(folder: Path, name: str, row: TrialRow) -> Path:
    """The path of a file in a trial's folder, its content compared with the trial's record.

    Raises:
        RunFolderError: the file is damaged, or not there.
    """
    path = folder / name
    try:
        with _open_of_trial(folder, name) as file:
            refuse_huge(file, path)
            check_listed(folder, name, row.digests, digest_of_open(file) if row.digests else "")
    except OSError as err:
        raise _damaged_file(folder, name, err) from err
    return path


def kept_weights(folder: Path, row: TrialRow) -> Path:
    """The path of the weights that validation chose, compared with the trial's record.

    `models.weights.read_weights` reads them: the file may hold only what differs from a start.

    Raises:
        RunFolderError: the trial kept none, or they are damaged or not there.
    """
    check_kept(folder, row)
    return checked_file(folder, MODEL, row)


def check_kept(folder: Path, row: TrialRow) -> None:
    """Raise where a trial that ended kept no weights.

    Raises:
        RunFolderError: the sweep said `save: {weights: none}`.
    """
    if row.files and MODEL not in row.files:
        raise RunFolderError(
            f"{folder}: {row.arm}, seed {row.seed}, has no weights (save: {{weights: none}}); with "
            "weights: best, remove this folder and run the sweep's command again: it trains anew"
        )


def _open_of_trial(folder: Path, name: str) -> BufferedReader:
    """A file of `RUN/trials/ID`; of any other folder, where weights may lie with their record."""
    if folder.parent.name == "trials":
        return open_below(folder.parents[1], f"trials/{folder.name}/{name}")
    return open_plain(folder / name)


def trial_curve(
    run: Path, trial_id: str, row: TrialRow, archives: Archives | None = None
) -> list[EvaluationRow]:
    """The evaluations of a trial that ended, by step.

    Raises:
        RunFolderError: its curve is damaged, or not there.
    """
    folder = run / "trials" / trial_id
    content = checked_bytes(run, trial_id, CURVE, row, archives)
    if content is None:
        raise no_curve(folder)
    try:
        return read_curve(content, trial_id)
    except ValueError as err:
        raise _damaged_file(folder, CURVE, err) from err


def read_curve(content: bytes, trial_id: str = "") -> list[EvaluationRow]:
    """The evaluations that a `curve.parquet` of any version holds, by step.

    Raises:
        ValueError: it is no table of evaluations, or not of that trial.
    """
    points = read_evaluations(content, trial_id).to_pylist()
    return [EvaluationRow.from_json(point) for point in points]


def curve_table(folder: Path, digests: Mapping[str, str] | None) -> pa.Table | None:
    """The curve that lies in a trial's folder, as its record's `digests` have it; None without one.

    Raises:
        RunFolderError: it is damaged.
    """
    try:
        content = read_inside(folder.parents[1], f"trials/{folder.name}/{CURVE}", MAX_BYTES)
        check_listed(folder, CURVE, digests, digest_of(content))
        return read_evaluations(content, folder.name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise _damaged_file(folder, CURVE, err) from err


def no_curve(folder: Path) -> RunFolderError:
    """What to raise where a trial that ended has no curve: it is never one that reached nothing."""
    return _damaged_file(folder, CURVE, ValueError("it is not there, though its trial ended"))


def _damaged_file(folder: Path, name: str, err: Exception) -> RunFolderError:
    return RunFolderError(
        f"{folder / name}: cannot be read ({err}); remove the folder {folder} and run the sweep's "
        "command again, which makes it anew"
    )


def _left_its_record(folder: Path) -> bool:
    return (folder / MODEL).is_file() and not (folder / "state").is_dir()


def check_run_folder(path: Path, must_exist: bool = True) -> None:
    """Refuse a path that is no run folder, so that nobody's other files are written among.

    Raises:
        RunFolderError: a file, a folder with other content, or (`must_exist`) no run folder.
    """
    above = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if above == path and not path.is_dir():
        raise RunFolderError(f"{path}: is a file; a run folder is expected")
    if not must_exist and not above.is_dir():
        raise RunFolderError(f"{path}: {above} is no folder, so nothing can lie below it")
    has_trials = (path / "trials").is_dir()
    # a sweep.yaml alone may be the user's own, beside his other files
    is_run = has_trials or (path / ("sweep.yaml" if must_exist else "provenance.json")).is_file()
    if must_exist and not is_run:
        raise RunFolderError(f"{path}: is no run folder (no sweep.yaml there)")
    if not must_exist and path.is_dir() and not is_run:
        other = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
        if (path / FORECAST / f"{FORECAST}.parquet").is_file():
            other -= {FORECAST}  # which is made before the trials
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
    ids = {folder.name for folder in (path / "trials").glob("*/") if is_plain(folder.name)}
    rows = dict(trial_rows(path, ids | set(Archives(path))))
    return [row for _, row in sorted(rows.items()) if row is not None]


def read_object(path: Path) -> Mapping[str, Any] | None:
    """The JSON object in a file, its digest checked where it has one; None without such a file.

    Raises:
        RunFolderError: the file is there and holds none: it was damaged by something else.
    """
    content = _read_json(path)
    try:
        check_sealed(content or {})
    except ValueError as err:
        raise _damaged(path, err) from err
    return content


def _read_json(path: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(_read_text(path))
    except FileNotFoundError:
        return None
    except (ValueError, OSError, RecursionError) as err:
        raise _damaged(path, err) from err
    if not isinstance(content, dict):
        raise _damaged(path, ValueError(f"it holds {type(content).__name__}, not an object"))
    return content


def _damaged(path: Path, err: Exception) -> RunFolderError:
    return RunFolderError(f"{path}: cannot be read ({err}); remove it to run it again")


def _read_text(path: Path) -> str:
    try:
        return _read_record(path)
    except OSError as err:
        if err.errno != errno.ESTALE:
            raise
        return _read_record(path)  # another node replaced it while it was open


def _read_record(path: Path) -> str:
    with open_record(path) as file:
        return read_limited(file, path).decode()
