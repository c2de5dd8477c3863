"""Run folders in, one set of tidy tables out: the only file of the analysis that reads runs.

Comes in: one or more run folders as the harness writes them (`trials.parquet`,
`curves.parquet`, `sweep.yaml`, `provenance.json`, `trials/ID/predictions.npz`,
`images/FINGERPRINT.npz`, `packs/`). Goes out: `Runs`, whose tables are sorted, so that the order in
which folders were named changes nothing. Runs of one sweep merge by trial id; different sweeps,
and the points of a grid, are different tasks.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from analysis.statistics.samples.predictions import Predictions
from analysis.statistics.samples.redrawn import overlaps
from headstart.archives import Archives
from headstart.errors import RunFolderError
from headstart.grid import from_column
from headstart.records import read_row
from headstart.rows import TrialRow

Content = dict[str, Any]  # of a YAML or JSON file, as it was written
TRIAL_KEYS = ("trial_id", "sweep", "stage", "arm", "seed", "status")
CURVE_KEYS = ("trial_id", "arm", "seed", "step", "samples", "train_time_s", "val_accuracy")
# A finished record wins over one that ended early, that over one that broke.
_RANK = {"done": 0, "diverged": 1, "failed": 2}


@dataclass(frozen=True)
class Images:
    """Test images for galleries: indices int64 (n,), images uint8 (n, C, H, W)."""

    indices: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class Runs:
    """All that was read, one row a trial and one row an evaluation.

    `trials` and `curves` have a column `task` (the sweep's name, and the grid point where an arm
    has several) beside the columns of the run folder; `folder` in `trials` says where a trial lies.
    """

    trials: pd.DataFrame
    curves: pd.DataFrame
    sweeps: list[Content]
    provenance: list[Content]
    folders: tuple[Path, ...]

    def predictions(self, trial_id: str) -> Predictions | None:
        """The predictions of one trial; None where it left none (failed, or never tested).

        Raises:
            RunFolderError: the file is damaged.
        """
        folder = self._folder(trial_id)
        path = folder / "trials" / trial_id / "predictions.npz"
        archived = None if path.is_file() else self._archives(folder).read(trial_id, path.name)
        if archived is None and not path.is_file():
            return None
        arrays = _read_npz(path, archived, ("indices", "labels", "predicted", "probabilities"))
        return Predictions(**arrays)

    def record(self, trial_id: str) -> TrialRow | None:
        """What `trial.json` holds of one trial; None where the file is not there."""
        folder = self._folder(trial_id)
        row = read_row(folder / "trials" / trial_id / "trial.json")
        return row or dict(self._archives(folder).rows([trial_id])).get(trial_id)

    def images(self, fingerprint: str) -> Images | None:
        """The test images kept for one data set; None where none were kept (too large)."""
        for folder in self.folders:
            path = folder / "images" / f"{fingerprint}.npz"
            if path.is_file():
                return Images(**_read_npz(path, None, ("indices", "images")))
        return None

    def _folder(self, trial_id: str) -> Path:
        folder = self.trials.loc[self.trials["trial_id"] == trial_id, "folder"]
        return Path(folder.iloc[0])

    def _archives(self, folder: Path) -> Archives:
        """The archives of a run folder, listed once."""
        if folder not in self._listed:
            self._listed[folder] = Archives(folder)
        return self._listed[folder]

    @cached_property
    def _listed(self) -> dict[Path, Archives]:
        return {}


def load_runs(dirs: Iterable[Path | str]) -> Runs:
    """Read run folders and merge them.

    Raises:
        RunFolderError: a folder has no `trials.parquet`, a table lacks a column, or a file is
            damaged; the message names the file.
    """
    folders = tuple(Path(d) for d in dirs)
    parts = [_read_folder(folder) for folder in folders]
    trials = _merge_trials([part[0] for part in parts])
    curves = _merge_curves([part[1] for part in parts], folders, trials)
    sweeps = _merge_sweeps([part[2] for part in parts])
    provenance = sorted((part[3] for part in parts), key=json.dumps)
    return Runs(trials, curves, sweeps, provenance, folders)


def task_name(sweep: str, grid: str) -> str:
    """`part2`, or `part2 (data.train=1000, model.name=lenet5)` for a point of a grid."""
    point = from_column(grid)
    shown = ", ".join(f"{key}={value}" for key, value in point.items()) or grid
    return f"{sweep} ({shown})" if shown else sweep


Part = tuple[pd.DataFrame, pd.DataFrame, Content, Content]


def _read_folder(folder: Path) -> Part:
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: no such folder; give the folder of a run (runs/NAME)")
    trials = _read_table(folder / "trials.parquet", TRIAL_KEYS)
    if (folder / "curves.parquet").is_file() or len(trials):
        curves = _read_table(folder / "curves.parquet", CURVE_KEYS)
    else:
        curves = pd.DataFrame(columns=list(CURVE_KEYS))
    sweep_file, provenance = folder / "sweep.yaml", folder / "provenance.json"
    sweep = read_mapping(sweep_file) if sweep_file.is_file() else {}
    sweep.setdefault("name", str(trials["sweep"].iloc[0]) if len(trials) else folder.name)
    trials = trials.assign(folder=str(folder), overlap=overlaps(trials, sweep))
    return trials, curves, sweep, read_mapping(provenance) if provenance.is_file() else {}


def _read_table(path: Path, needed: Sequence[str]) -> pd.DataFrame:
    if not path.is_file():
        raise RunFolderError(
            f"{path}: not there, so this is no run folder (or nothing in it has finished yet); "
            "a run folder has trials.parquet and curves.parquet"
        )
    try:
        table = pd.read_parquet(path)
    except Exception as err:
        raise RunFolderError(
            f"{path}: cannot be read as a Parquet table ({_one_line(err)}); run the sweep's "
            "command again, which writes it anew"
        ) from err
    lacking = [key for key in needed if key not in table.columns]
    if lacking:
        raise RunFolderError(
            f"{path}: lacks the column{'s' * (len(lacking) > 1)} "
            f"{', '.join(lacking)}; it was not written by this harness"
        )
    return table


def _merge_trials(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One row a trial id (the best ended of several), sorted by task, arm as planned, seed."""
    trials = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0].copy()
    for column in ("grid", "stand_in_for", "error", "parent_id"):
        trials[column] = trials[column].fillna("").astype(str) if column in trials else ""
    # Where arms are named for their grid points, one task holds them all: pairs may cross points.
    # What a search trial drew is no task either.
    arms = trials[trials["stage"] == "arm"]
    n_points = arms.groupby(["sweep", "arm"])["grid"].nunique()
    split = set(n_points.index[n_points > 1].get_level_values("sweep"))
    is_task = (trials["stage"] != "search") & trials["sweep"].isin(list(split))
    point = trials["grid"].where(is_task, "")
    names = {pair: task_name(*pair) for pair in set(zip(trials["sweep"], point, strict=True))}
    trials["task"] = [names[pair] for pair in zip(trials["sweep"], point, strict=True)]
    rank = trials["status"].map(_RANK).fillna(len(_RANK))
    trials = trials.assign(_rank=rank).sort_values(
        ["task", "stage", "arm", "seed", "trial_id", "_rank", "folder"], kind="stable"
    )
    return trials.drop_duplicates("trial_id").drop(columns="_rank").reset_index(drop=True)


def _merge_curves(
    tables: list[pd.DataFrame], folders: tuple[Path, ...], trials: pd.DataFrame
) -> pd.DataFrame:
    """The curves of the trials that were kept, each from the folder its row came from."""
    chosen = [
        table[table["trial_id"].isin(trials.loc[trials["folder"] == str(folder), "trial_id"])]
        for table, folder in zip(tables, folders, strict=True)
    ]
    curves = pd.concat(chosen, ignore_index=True) if len(chosen) > 1 else chosen[0]
    identity = trials.set_index("trial_id")[["task", "stage"]]
    curves = curves.assign(**{key: curves["trial_id"].map(identity[key]) for key in identity})
    return curves.sort_values(["trial_id", "step"], kind="stable", ignore_index=True)


def _merge_sweeps(sweeps: list[Content]) -> list[Content]:
    """One entry a sweep name: the first folder's, with arms, pairs and seeds of all."""
    merged: dict[str, Content] = {}
    for sweep in sweeps:
        name = str(sweep["name"])
        if name not in merged:
            merged[name] = dict(sweep)
            continue
        known = merged[name]
        known["arms"] = {**(known.get("arms") or {}), **(sweep.get("arms") or {})}
        pairs = list(known.get("compare") or [])
        known["compare"] = pairs + [p for p in sweep.get("compare") or [] if p not in pairs]
        seeds, others = known.get("seeds"), sweep.get("seeds")
        if isinstance(seeds, int) and isinstance(others, int):
            known["seeds"] = max(seeds, others)
        if isinstance(seeds, list) and isinstance(others, list):
            known["seeds"] = sorted({*seeds, *others})
    return [merged[name] for name in sorted(merged)]


def _read_npz(path: Path, archived: bytes | None, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of a file, or of what a pack holds in its place."""
    try:
        with np.load(path if archived is None else BytesIO(archived), allow_pickle=False) as file:
            return {key: file[key] for key in keys}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as err:
        raise RunFolderError(
            f"{path}: damaged ({_one_line(err)}); remove the trial's folder and run the sweep's "
            "command again, which makes it anew"
        ) from err


def read_mapping(path: Path) -> Content:
    """What a YAML or JSON file holds; the names of its keys are not looked at.

    Raises:
        RunFolderError: it cannot be read, or holds something else than a mapping.
    """
    is_json = path.suffix == ".json"
    kind, wanted = ("JSON", "an object") if is_json else ("YAML", "a mapping of keys")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if is_json else yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as err:
        raise RunFolderError(f"{path}: cannot be read as {kind} ({_one_line(err)})") from err
    if not isinstance(content, dict):
        raise RunFolderError(f"{path}: holds {type(content).__name__}, not {wanted}")
    return content


def _one_line(err: BaseException) -> str:
    return " ".join(str(err).split())[:200] or type(err).__name__
