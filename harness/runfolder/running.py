"""What a command says, while it runs, of the trials that have not ended: one small file a shard.

In: the curves of running trials and the estimate of the time left. Out: `.running-K-of-N.json` in
the run folder, and what a reader makes of it. Workers write nothing for it: they send each
evaluation to their command anyway, from other nodes too. So it costs a trial nothing and no bit of
it. The file is replaced as a whole and not flushed to the disk, because nothing is lost with it:
the curves stand in the saved states. It stands alone because the writer (the command) and its
readers (`harness.status`, `harness.watch`) must agree on its form.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headstart.files import read_mapping, storage_errors, temporary_beside
from headstart.foreign import is_plain
from headstart.rows import EvaluationRow

NAME = ".running-"
MOST_POINTS = 200  # of a curve: what a chart can show
VALUES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
WATCHED = ("val_right_loss", "val_right_accuracy")  # where they are asked for
_COLUMNS = ("step", "epoch", *VALUES)
_MOST_TRIALS = 10_000
Number = int | float | None


@dataclass(frozen=True)
class RunningTrial:
    """One trial that runs, as far as it was evaluated: the same number of values in each column."""

    n_steps: int = 0
    images_per_s: float = 0.0
    curve: Mapping[str, Sequence[Number]] = field(default_factory=dict)  # by column

    @property
    def step(self) -> int:
        steps = self.curve.get("step") or [0]
        return int(steps[-1] or 0)


@dataclass(frozen=True)
class Running:
    """What the file of one command says."""

    generation: str = ""  # of the command; its lock has the same
    written_at: float = 0.0  # seconds since 1970, by the clock of the command's machine
    time_left_s: float | None = None
    n_slots: int = 0
    trials: Mapping[str, RunningTrial] = field(default_factory=dict)  # by id


def running_path(run: Path, shard: tuple[int, int]) -> Path:
    return run / f"{NAME}{shard[0]}-of-{shard[1]}.json"


def write_running(path: Path, running: Running) -> None:
    """Replace the file.

    Raises:
        StorageError: the disk is full or may not be written.
    """
    trials = {
        trial_id: {
            "n_steps": trial.n_steps,
            "images_per_s": round(trial.images_per_s, 1),
            "curve": {name: list(map(_written, trial.curve[name])) for name in trial.curve},
        }
        for trial_id, trial in running.trials.items()
    }
    content = {**running.__dict__, "trials": trials}
    temporary = temporary_beside(path)
    try:
        with storage_errors(path):
            temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def read_running(run: Path) -> list[Running]:
    """What each command of a run folder said last; anybody may have written these files."""
    return [read_running_file(path) for path in sorted(run.glob(f"{NAME}*.json"))]


def read_running_file(path: Path) -> Running:
    """One command's file; what is not of its form counts as not said."""
    content = read_mapping(path)
    trials = content.get("trials")
    known = list(trials.items())[:_MOST_TRIALS] if isinstance(trials, dict) else []
    return Running(
        generation=str(content.get("generation", ""))[:80],
        written_at=_number(content.get("written_at")) or 0.0,
        time_left_s=_number(content.get("time_left_s")),
        n_slots=int(_number(content.get("n_slots")) or 0),
        trials={i: _trial(each) for i, each in known if is_plain(i) and isinstance(each, dict)},
    )


def time_left_now(said: Iterable[Running], alive: Collection[str], now: float) -> float | None:
    """Seconds until the last of the commands that run is done, as they said; None where none did.

    Args:
        alive: the generations of the commands that run.
        now: the clock's time.
    """
    lefts = [
        max(0.0, running.time_left_s - max(0.0, now - running.written_at))
        for running in said
        if running.generation in alive and running.time_left_s is not None
    ]
    return max(lefts, default=None)


def columns_of_curve(points: Sequence[EvaluationRow]) -> dict[str, list[Number]]:
    """A curve by column; of a long one every so many points, and always the last."""
    every = math.ceil(len(points) / MOST_POINTS)
    kept = list(points[:: every or 1])
    if points and kept[-1] is not points[-1]:
        kept.append(points[-1])
    watched = [w for w in WATCHED if kept and getattr(kept[-1], w) is not None]
    return {name: [getattr(point, name) for point in kept] for name in (*_COLUMNS, *watched)}


def _trial(content: Mapping[str, Any]) -> RunningTrial:
    curve = content.get("curve")
    columns = dict(_numbers(curve)) if isinstance(curve, dict) else {}
    lengths = {len(values) for values in columns.values()}
    whole = set(columns) >= set(_COLUMNS) and len(lengths) == 1 and None not in columns["step"]
    return RunningTrial(
        n_steps=int(_number(content.get("n_steps")) or 0),
        images_per_s=_number(content.get("images_per_s")) or 0.0,
        curve=columns if whole else {},
    )


def _numbers(curve: Mapping[str, Any]) -> Iterator[tuple[str, list[Number]]]:
    for name in (*_COLUMNS, *WATCHED):
        values = curve.get(name)
        if isinstance(values, list):
            yield name, [_number(value) for value in values[: MOST_POINTS + 1]]


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    with suppress(OverflowError):
        if is_number and math.isfinite(value):  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
    return None


def _written(value: Number) -> Number:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
