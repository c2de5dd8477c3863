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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.plan import Plan, TrialSpec
from harness.rows import identity
from harness.store import CURVE_COLUMNS, RunFolder, write_curve
from headstart.files import write_json
from slurm.status import count_trials

N_PUBLISHED = 500  # trials that take the real way
CURVE_POINTS = 40
N_TEST = 100  # images of which the predictions are kept
MODEL_BYTES = 247_560  # LeNet-5; 1,000 in trials that are laid down
VERSIONS = {"python": "3.11.7", "torch": "2.15.0", "accelerate": "1.15.0", "numpy": "2.4.1"}
FILES = ("curve.parquet", "model.safetensors", "predictions.npz", "trial.json")


@dataclass(frozen=True)
class FolderCost:
    """One layout of a run folder of `n` trials; seconds of this machine's disk.

    Attributes:
        layout: `folders`, or `packs`.
        publish_s: a trial's, from its worker's first file to its record.
        pack_s: of moving all small files into packs, a trial.
        look_up_s: `RunFolder.finished`, as a command that goes on does.
        status_s: `slurm.status`.
        merge_s: `RunFolder.write_tables`.
        peak_gb: of memory, of a process that does these three.
    """

    layout: str
    n: int
    publish_s: float
    pack_s: float
    look_up_s: float
    status_s: float
    merge_s: float
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
        publish_s = _timed(lambda: _publish(folder, part.trials[:N_PUBLISHED]))
        publish_s /= min(n, N_PUBLISHED)
        _lay_down(run, part.trials[N_PUBLISHED:])
    before = _cost("folders", part, run, publish_s, 0.0)
    with RunFolder(run) as folder:
        pack_s = _timed(lambda: folder.pack(part.trials)) / n
    return [before, _cost("packs", part, run, publish_s, pack_s)]


def made_row(spec: TrialSpec) -> dict[str, Any]:
    """A finished trial's row with all that a real one has."""
    names = list(spec.data.class_names)
    return {
        **identity(spec, "scale"), "status": "done", "error": "", "n_parameters": 61_706,
        "n_trainable": 61_706, "n_train": 300, "n_validation": 100, "n_test": N_TEST, "steps": 400,
        "best_step": 390, "best_val_accuracy": 0.97, "final_val_accuracy": 0.96,
        "test_accuracy": 0.95, "test_loss": 0.2, "train_time_s": 41.3, "eval_time_s": 2.1,
        "setup_time_s": 0.4, "prefix_time_s": 0.0, "state_time_s": 0.2, "images_per_s": 20_000.0,
        "device": "cuda", "n_workers": 1, "ran_as": "solo", "attempts": 1, "class_names": names,
        "load_report": {"from": spec.parent or "random initialisation"},
        "frozen": {"cached": False, "reason": "nothing is frozen"}, "notes": list(spec.data.notes),
        "versions": dict(VERSIONS), "files": list(FILES),
    }  # fmt: skip


def by_seed(plan: Plan) -> tuple[TrialSpec, ...]:
    """Stages and arms in the plan's proportion, whatever number of them is taken."""
    return tuple(sorted(plan.trials, key=lambda trial: trial.seed))


def _publish(folder: RunFolder, trials: Sequence[TrialSpec]) -> None:
    for spec in trials:
        place = folder.trial_folder(spec.id)
        place.begin()
        write_curve(place.result / "curve.parquet", _curve(spec).to_pylist())
        (place.result / "model.safetensors").write_bytes(bytes(MODEL_BYTES))
        (place.result / "predictions.npz").write_bytes(_predictions())
        row = made_row(spec)
        write_json(place.result / "trial.json", row)
        folder.publish(spec.id, row)


def _lay_down(run: Path, trials: Sequence[TrialSpec]) -> None:
    predictions = _predictions()
    for spec in trials:
        folder = run / "trials" / spec.id
        folder.mkdir()
        pq.write_table(_curve(spec), folder / "curve.parquet")
        (folder / "model.safetensors").write_bytes(bytes(1000))
        (folder / "predictions.npz").write_bytes(predictions)
        (folder / "trial.json").write_text(json.dumps(made_row(spec), indent=1))


def _curve(spec: TrialSpec) -> pa.Table:
    steps = np.arange(CURVE_POINTS) * 10
    rng = np.random.default_rng(spec.streams["order"])
    values = {name: rng.random(CURVE_POINTS) for name, t in CURVE_COLUMNS.items() if t == "double"}
    names = {"trial_id": [spec.id] * CURVE_POINTS, "arm": [spec.arm] * CURVE_POINTS}
    numbers = {"seed": np.full(CURVE_POINTS, spec.seed), "step": steps, "samples": steps * 32}
    return pa.table({name: {**values, **names, **numbers}[name] for name in CURVE_COLUMNS})


def _predictions() -> bytes:
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=N_TEST)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, indices=np.arange(N_TEST), labels=labels, predicted=labels,
        probabilities=rng.random((N_TEST, 10)).astype(np.float16),
    )  # fmt: skip
    return buffer.getvalue()


def _cost(layout: str, part: Plan, run: Path, publish_s: float, pack_s: float) -> FolderCost:
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # for a peak of memory of its own
        look_up_s, status_s, merge_s, peak_gb = pool.apply(_read_back, (part, run))
    n_files = n_folders = n_bytes = 0
    for _, folders, files in (walk := list(os.walk(run))):
        n_folders += len(folders)
        n_files += len(files)
    for path, _, files in walk:
        n_bytes += sum(os.stat(f"{path}/{f}").st_size for f in files if f != "model.safetensors")
    n = len(part.trials)
    return FolderCost(
        layout, n, publish_s, pack_s, look_up_s, status_s, merge_s, peak_gb, n_files, n_folders,
        n_bytes,
    )  # fmt: skip


def _read_back(part: Plan, run: Path) -> tuple[float, float, float, float]:
    n = len(part.trials)
    with RunFolder(run) as folder:
        found: list[int] = []
        look_up_s = _timed(lambda: found.append(len(folder.finished(t.id for t in part.trials))))
        status_s = _timed(
            lambda: found.append(getattr(count_trials(run, time.time()), "n_done", 0))
        )
        merge_s = _timed(lambda: found.append(folder.write_tables(part)["done"]))
    if found != [n, n, n]:
        raise AssertionError(f"of {n} trials, {found} were found again")
    return look_up_s, status_s, merge_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _timed(what: Callable[[], Any]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began
