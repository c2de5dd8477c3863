"""Run folders made up for tests: any arms, seeds, classes, failures and unreached targets.

`write_run(folder, sweep=…)` writes what a finished sweep leaves behind (sweep.yaml,
provenance.json, trials.parquet, curves.parquet, trials/ID/…, images/…), with learning curves
`ceiling - spread * exp(-step / pace)` that differ from seed to seed as paired runs do: part of
the seed's effect is shared by the arms.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

HOSTILE = 'a<b>&"c_%$#'


@dataclass(frozen=True)
class Arm:
    """One made-up condition: where its curve ends, how fast it gets there, what goes wrong."""

    name: str
    ceiling: float = 0.98
    pace: float = 300.0
    start: float = 0.1
    fine_tune: str = "all"
    initialize: str = "random"
    failed: tuple[int, ...] = ()
    diverged: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()
    steps: int = 1000
    stage: str = "arm"
    test_accuracy: bool = True


@dataclass(frozen=True)
class Made:
    """A made-up sweep."""

    name: str = "made"
    question: str = "Does the treatment help?"
    arms: tuple[Arm, ...] = (
        Arm("scratch", 0.975, 300),
        Arm("pretrained", 0.98, 200, 0.4, initialize="digits"),
    )
    seeds: int = 8
    n_classes: int = 10
    n_test: int = 200
    evaluations: int = 20
    targets: tuple[float, ...] = (0.8, 0.9, 0.95)
    equivalence: float = 0.001
    compare: tuple[tuple[str, str], ...] | None = None
    stand_in_for: str = ""
    predictions: bool = True
    images: bool = True
    grid: str = ""
    noise: float = 0.002
    root: int = 1
    together: bool = False
    search: int = 0
    at_zero: bool = False  # an evaluation before the first step
    pool: int = 0  # images that each seed splits anew
    n_train: int = 50_000
    extra: dict[str, Any] = field(default_factory=dict)
    data: tuple[dict[str, Any], ...] = ()


def data_record(**changed: Any) -> dict[str, Any]:
    """What provenance.json says of the data set of a made-up sweep."""
    return {
        "name": "made photos.zip", "dataset": "made", "fingerprint": "f" * 32,
        "source": "made up", "image_size": [28, 32], "channels": 1, "class_names": ["ants", "bees"],
        "counts": {"train": [123, 121], "validation": [70, 83]}, "n_groups": None, "not_used": [],
        "notes": ["2 of 397 images are exact copies of another one"],
        "warnings": ["40 of 437 files of the folder were not read"],
    } | changed  # fmt: skip


def write_run(folder: Path, made: Made | None = None) -> Path:
    """Write the run folder of `made`; returns `folder`."""
    made = made or Made()
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(made.root)
    shared = rng.normal(0, made.noise, made.seeds)
    rows, curves = [], []
    class_names = [chr(48 + k) if k < 10 else f"class {k}" for k in range(made.n_classes)]
    labels = rng.integers(0, made.n_classes, made.n_test)
    for arm in made.arms:
        for seed in range(made.seeds):
            if seed in arm.absent:
                continue
            row, curve = _trial(made, arm, seed, shared[seed], rng)
            if made.predictions and row["status"] == "done" and arm.test_accuracy:
                row["test_accuracy"] = _predict(folder, row, labels, made, rng)
            rows.append(row)
            curves.append(curve)
            _write_trial_json(folder, row, class_names)
    for k in range(made.search):
        row, curve = _search_trial(made, k, rng)
        rows.append(row)
        curves.append(curve)
    trials = pd.DataFrame(rows)
    trials.to_parquet(folder / "trials.parquet")
    pd.concat(curves, ignore_index=True).to_parquet(folder / "curves.parquet")
    (folder / "sweep.yaml").write_text(yaml.safe_dump(_sweep(made), sort_keys=False))
    (folder / "provenance.json").write_text(
        json.dumps(
            {
                "versions": {"python": "3.11", "torch": "2.15"},
                "hardware": {"cpu": "made up"},
                "commit": "0" * 40,
                "command": "python -m harness.sweep sweeps/made.yaml",
                "data": made.data,
            }
        )
    )
    if made.images and made.predictions:
        _write_images(folder, labels, class_names, rng)
    return folder


def _trial(
    made: Made, arm: Arm, seed: int, shared: float, rng: np.random.Generator
) -> tuple[dict[str, Any], pd.DataFrame]:
    identity = hashlib.sha256(f"{made.name}{arm}{seed}{made.grid}".encode()).hexdigest()[:16]
    status = "failed" if seed in arm.failed else "diverged" if seed in arm.diverged else "done"
    first = 0 if made.at_zero else arm.steps / made.evaluations
    steps = np.linspace(first, arm.steps, made.evaluations + made.at_zero).astype(int)
    if status == "failed":
        steps = steps[:0]
    if status == "diverged":
        steps = steps[: made.evaluations // 3]
    ceiling = arm.ceiling + shared + rng.normal(0, made.noise / 2)
    pace = arm.pace * np.exp(rng.normal(0, 0.1))
    accuracy = ceiling - (ceiling - arm.start) * np.exp(-steps / pace)
    accuracy = np.clip(accuracy + rng.normal(0, made.noise / 4, len(steps)), 0, 1).round(4)
    curve = pd.DataFrame(
        {
            "trial_id": identity,
            "arm": arm.name,
            "seed": seed,
            "step": steps.astype("int64"),
            "epoch": steps / 391,
            "samples": (steps * 128).astype("int64"),
            "train_time_s": steps * 0.004 * np.exp(rng.normal(0, 0.02)),
            "learning_rate": 3e-4,
            "train_loss": (1.02 - accuracy) * 2,
            "val_loss": (1.03 - accuracy) * 2,
            "val_accuracy": accuracy,
        }
    )
    best = int(np.argmax(accuracy)) if len(steps) else -1
    done = status == "done"
    row = {
        "trial_id": identity,
        "sweep": made.name,
        "stage": arm.stage,
        "arm": arm.name,
        "seed": seed,
        "status": status,
        "error": "RuntimeError: made to fail <b>" if status == "failed" else "",
        "model": "lenet5",
        "dataset": "made",
        "dataset_fingerprint": "f" * 32,
        "initialize": arm.initialize,
        "fine_tune": arm.fine_tune,
        "n_parameters": 61706,
        "n_trainable": 850 if arm.fine_tune == "last_layer" else 61706,
        "learning_rate": 3e-4,
        "batch_size": 128,
        "epochs": 3.0,
        "steps": int(steps[-1]) if len(steps) else 0,
        "best_step": int(steps[best]) if best >= 0 else -1,
        "best_val_accuracy": float(accuracy[best]) if best >= 0 else np.nan,
        "final_val_accuracy": float(accuracy[-1]) if best >= 0 else np.nan,
        "test_accuracy": round(float(np.clip(ceiling, 0, 1)), 4) if done else np.nan,
        "test_loss": 0.1 if done else np.nan,
        "train_time_s": float(curve["train_time_s"].iloc[-1]) if len(steps) else 0.0,
        "eval_time_s": 0.5,
        "setup_time_s": 0.1,
        "state_time_s": 0.05,
        "images_per_s": 32000.0,
        "device": "cpu",
        "n_workers": 1,
        "ran_as": "solo",
        "attempts": 1,
        "n_train": made.n_train,
        "n_validation": 10000,
        "n_test": made.n_test,
        "n_classes": made.n_classes,
        "parent_id": "",
        "grid": made.grid,
        "stand_in_for": made.stand_in_for,
        "n_pool": made.pool or None,
        "finished_at": f"2026-01-02T{3 + _order(made, arm):02d}:{seed % 60:02d}:05Z",
    }
    if not arm.test_accuracy:
        row["test_accuracy"] = row["test_loss"] = np.nan
    return row, curve


def _order(made: Made, arm: Arm) -> int:
    """The hour at which an arm's trials end: one arm after the other, unless `together`."""
    names = [one.name for one in made.arms]
    return 0 if made.together or arm.name not in names else names.index(arm.name) % 20


def _search_trial(
    made: Made, k: int, rng: np.random.Generator
) -> tuple[dict[str, Any], pd.DataFrame]:
    row, curve = _trial(made, Arm(made.arms[0].name, stage="search"), k, 0.0, rng)
    rate = float(10 ** rng.uniform(-5, -2))
    score = float(0.97 - 0.02 * (np.log10(rate) + 3.5) ** 2 + rng.normal(0, 0.002))
    changed = {
        "trial_id": f"search{k:010d}",
        "learning_rate": rate,
        "batch_size": int(rng.choice([8, 16, 32])),
        "best_val_accuracy": score,
        "final_val_accuracy": score,
        "test_accuracy": np.nan,
        "test_loss": np.nan,
    }
    return row | changed, curve.assign(trial_id=changed["trial_id"])


def _predict(
    folder: Path, row: dict[str, Any], labels: np.ndarray, made: Made, rng: np.random.Generator
) -> float:
    """Predictions whose accuracy is near the row's; later images are harder than earlier ones."""
    n, wrong_rate = len(labels), max(0.0, 1 - row["test_accuracy"])
    hardness = np.linspace(0, 2 * wrong_rate, n)
    wrong = rng.random(n) < hardness
    shift = 1 if made.n_classes < 3 else rng.integers(1, 3, n)
    predicted = np.where(wrong, (labels + shift) % made.n_classes, labels)
    probabilities = np.full((n, made.n_classes), 0.1 / max(made.n_classes - 1, 1))
    probabilities[np.arange(n), predicted] = 0.9
    target = folder / "trials" / row["trial_id"]
    target.mkdir(parents=True, exist_ok=True)
    np.savez(
        target / "predictions.npz",
        indices=np.arange(n, dtype=np.int64) + 1000,
        labels=labels.astype(np.int64),
        predicted=predicted.astype(np.int64),
        probabilities=probabilities.astype(np.float16),
    )
    return float((predicted == labels).mean())


def _write_trial_json(folder: Path, row: dict[str, Any], class_names: list[str]) -> None:
    target = folder / "trials" / row["trial_id"]
    target.mkdir(parents=True, exist_ok=True)
    record = row | {"class_names": class_names, "notes": [], "versions": {}}
    (target / "trial.json").write_text(json.dumps(record))


def _write_images(
    folder: Path, labels: np.ndarray, class_names: list[str], rng: np.random.Generator
) -> None:
    (folder / "images").mkdir(exist_ok=True)
    np.savez(
        folder / "images" / f"{'f' * 32}.npz",
        indices=np.arange(len(labels), dtype=np.int64) + 1000,
        images=rng.integers(0, 256, (len(labels), 1, 12, 12), dtype=np.uint8),
        labels=labels.astype(np.int64),
        class_names=np.array(class_names),
    )


def _sweep(made: Made) -> dict[str, Any]:
    arms = [a for a in made.arms if a.stage == "arm"]
    pairs = made.compare
    if pairs is None:
        pairs = tuple((a.name, arms[0].name) for a in arms[1:])
    return {
        "name": made.name,
        "question": made.question,
        "model": {"name": "lenet5"},
        "data": {"name": "made", "train": 50000, "validation": 10000},
        "train": {"optimizer": "adam", "learning_rate": 3e-4, "batch_size": 128},
        "arms": {a.name: {"fine_tune": a.fine_tune} for a in arms},
        "seeds": made.seeds,
        "compare": [{"treatment": t, "control": c} for t, c in pairs],
        "measure": {"targets": list(made.targets), "equivalence": made.equivalence},
        **made.extra,
    }
