"""The reading half of a run folder: rows of trials, wherever they lie.

In: a run folder. Out: the row of each trial, from `trials/ID/trial.json` or from an archive of
finished trials. It stands apart from the writing half (`harness/runfolder/`), so that the
analysis reads run folders and knows nothing of what runs trials.
"""

from __future__ import annotations

import errno
import io
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from headstart.archives import Packs
from headstart.errors import RunFolderError
from headstart.files import read_mapping

FINAL = ("done", "diverged")  # `failed` runs again
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
