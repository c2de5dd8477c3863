"""What a run folder costs as trials grow: records made as a trial writes them, then read back.

In: a plan and how many of its trials are finished. Out: seconds, files and bytes, with a folder for
each trial and with packs. Only the first trials go through a worker's folder and `publish`, which
flush every file; the others are laid down without, so that 100,000 take minutes and not hours.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.runfolder.folder import RunFolder, write_curve
from harness.trials.rows import planned_row
from harness.trials.spec import Plan, TrialSpec
from headstart.files import write_json
from headstart.rows import EvaluationRow, TrialRow
from slurm.status import count_trials

N_PUBLISHED = 500  # trials that take the real way
CURVE_POINTS = 40
N_TEST = 100  # images of which the predictions are kept
MODEL_BYTES = 247_560  # LeNet-5; 1,000 in trials that are laid down
VERSIONS = {"python": "3.11.7", "torch": "2.15.0", "accelerate": "1.15.0", "numpy": "2.4.1"}
FILES = ("curve.parquet", "model.safetensors", "predictions.npz", "trial.json")


class Seconds(NamedTuple):
    """As a clock on the wall counts them, and as the processor does (others may use it too)."""

    wall: float
    cpu: float

    def of_one(self, n: int) -> Seconds:
        return Seconds(self.wall / n, self.cpu / n)


@dataclass(frozen=True)
class FolderCost:
    """One layout of a run folder of `n` trials, on this machine's disk.

    Attributes:
        layout: `folders`, or `packs`.
        publish: a trial's, from its worker's first file to its record.
        pack: of moving the small files into packs, a trial's.
        look_up: `RunFolder.finished`, as a command that goes on does.
        status: `slurm.status`.
        merge: `RunFolder.write_tables`.
        peak_gb: of memory, of a process that does the last three.
        n_bytes: of all files but weights.
    """

    layout: str
    n: int
    publish: Seconds
    pack: Seconds
    look_up: Seconds
    status: Seconds
    merge: Seconds
    peak_gb: float
    n_files: int
    n_folders: int
    n_bytes: int


def folder_costs(plan: Plan, n: int, scratch: Path) -> list[FolderCost]:
    """Let `n` trials leave their files in a run folder, and read them back, packed and not.

    Only arms are packed, so a part of the plan that has stages keeps folders of those.
    """
    part = Plan(plan.sweep, by_seed(plan)[:n])
    run = scratch / f"run-{n}"
    with RunFolder(run) as folder:
        folder.begin("name: scale\n", {"command": "", "started_at": "", "host": ""}, part)
        publish = timed(lambda: _publish(folder, part.trials[:N_PUBLISHED]))
        publish = publish.of_one(min(n, N_PUBLISHED))
        _lay_down(run, part.trials[N_PUBLISHED:])
    before = _cost("folders", part, run, publish, Seconds(0.0, 0.0))
    with RunFolder(run) as folder:
        pack = timed(lambda: folder.archive(part.trials)).of_one(n)
    return [before, _cost("packs", part, run, publish, pack)]


def made_row(spec: TrialSpec) -> TrialRow:
    """A finished trial's row with all that a real one has."""
    return replace(
        planned_row(spec, "scale"), status="done", n_parameters=61_706, n_trainable=61_706,
        n_train=300, n_validation=100, n_test=N_TEST, steps=400, best_step=390,
        best_val_accuracy=0.97, final_val_accuracy=0.96, test_accuracy=0.95, test_loss=0.2,
        train_time_s=41.3, eval_time_s=2.1, setup_time_s=0.4, prefix_time_s=0.0, state_time_s=0.2,
        images_per_s=20_000.0, device="cuda", n_workers=1, ran_as="solo", attempts=1,
        load_report={"from": spec.parent or "random initialisation"},
        frozen={"cached": False, "reason": "nothing is frozen"}, versions=dict(VERSIONS),
        files=FILES,
    )  # fmt: skip


def by_seed(plan: Plan) -> tuple[TrialSpec, ...]:
    """Stages and arms in the plan's proportion, whatever number of them is taken."""
    return tuple(sorted(plan.trials, key=lambda trial: trial.seed))


def _publish(folder: RunFolder, trials: Sequence[TrialSpec]) -> None:
    for spec in trials:
        place = folder.trial_folder(spec.id)
        place.begin()
        write_curve(place.result / "curve.parquet", _curve(spec))
        (place.result / "model.safetensors").write_bytes(bytes(MODEL_BYTES))
        (place.result / "predictions.npz").write_bytes(_predictions())
        row = made_row(spec)
        write_json(place.result / "trial.json", row.to_json())
        folder.publish(spec.id, row)


def _lay_down(run: Path, trials: Sequence[TrialSpec]) -> None:
    predictions = _predictions()
    for spec in trials:
        folder = run / "trials" / spec.id
        folder.mkdir()
        write_curve(folder / "curve.parquet", _curve(spec))
        (folder / "model.safetensors").write_bytes(bytes(1000))
        (folder / "predictions.npz").write_bytes(predictions)
        (folder / "trial.json").write_text(json.dumps(made_row(spec).to_json(), indent=1))


def _curve(spec: TrialSpec) -> list[EvaluationRow]:
    rng = np.random.default_rng(spec.streams["order"])
    names = [c.name for c in EvaluationRow.columns() if c.arrow == "double"]
    return [
        EvaluationRow(
            trial_id=spec.id, arm=spec.arm, seed=spec.seed, step=step, samples=step * 32,
            **dict(zip(names, rng.random(len(names)).tolist(), strict=True)),
        )
        for step in range(0, CURVE_POINTS * 10, 10)
    ]  # fmt: skip


def _predictions() -> bytes:
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=N_TEST)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, indices=np.arange(N_TEST), labels=labels, predicted=labels,
        probabilities=rng.random((N_TEST, 10)).astype(np.float16),
    )  # fmt: skip
    return buffer.getvalue()


def _cost(layout: str, part: Plan, run: Path, publish: Seconds, pack: Seconds) -> FolderCost:
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # for a peak of memory of its own
        look_up, status, merge, peak_gb = pool.apply(_read_back, (part, run))
    n_files = n_folders = n_bytes = 0
    for _, folders, files in (walk := list(os.walk(run))):
        n_folders += len(folders)
        n_files += len(files)
    for path, _, files in walk:
        n_bytes += sum(os.stat(f"{path}/{f}").st_size for f in files if f != "model.safetensors")
    n = len(part.trials)
    return FolderCost(
        layout, n, publish, pack, look_up, status, merge, peak_gb, n_files, n_folders,
        n_bytes,
    )  # fmt: skip


def _read_back(part: Plan, run: Path) -> tuple[Seconds, Seconds, Seconds, float]:
    n = len(part.trials)
    with RunFolder(run) as folder:
        counts: list[int] = []
        look_up = timed(lambda: counts.append(len(folder.finished(t.id for t in part.trials))))
        status = timed(lambda: counts.append(getattr(count_trials(run, time.time()), "n_done", 0)))
        merge = timed(lambda: counts.append(folder.write_tables(part)["done"]))
    if counts != [n, n, n]:
        raise AssertionError(f"of {n} trials, {counts} were found again")
    return look_up, status, merge, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def timed(what: Callable[[], Any]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)
