"""Run folders in, one set of tidy tables out: the only file of the analysis that reads runs.

Comes in: one or more run folders as the harness writes them (`trials.parquet`,
`curves.parquet`, `sweep.yaml`, `provenance.json`, `trials/ID/predictions.npz`,
`images/FINGERPRINT.npz`, `packs/`). Goes out: `Runs`, whose tables are sorted, so that the order in
which folders were named changes nothing. Runs of one sweep merge by trial id; different sweeps,
and the points of a grid, are different tasks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from io import BytesIO
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from analysis.findings.alike import Side, Sides, check_merge, merge_remarks
from analysis.findings.also_tests import read_scores
from analysis.findings.shown_names import with_shown_names
from analysis.findings.unfinished import Unfinished, rows_since, unfinished
from analysis.measures.redrawn import overlaps
from analysis.statistics.samples.predictions import Predictions
from headstart.archives import Archives
from headstart.data_records import DataRecord
from headstart.digests import KEY, PARTNER_KEY, check_table, digest_of, read_sealed_text
from headstart.errors import RunFolderError, SpecError
from headstart.foreign import open_plain, read_inside, read_limited
from headstart.grid import from_column
from headstart.metrics import WITHOUT_ACCURACY
from headstart.packed import read_table
from headstart.predictions import read_images, read_predictions
from headstart.private import publishable
from headstart.records import (
    FINAL,
    PlanRecord,
    checked_bytes,
    no_curve,
    read_object,
    read_plan,
    read_row,
    trial_curve,
    trial_rows,
)
from headstart.rows import EvaluationRow, Row, TrialRow
from headstart.settings import Compare, Measure
from headstart.yaml12 import RECORD, parse_yaml

if TYPE_CHECKING:
    import pyarrow as pa

P = ParamSpec("P")
Result = TypeVar("Result")
Content = dict[str, Any]  # of a YAML or JSON file, as it was written
MAX_TABLE_BYTES = 64 << 30  # curves of 200,000 trials take some
TRIAL_KEYS = ("trial_id", "sweep", "stage", "arm", "seed", "status")
VALIDATED = "val_accuracy"
CURVE_KEYS = ("trial_id", "arm", "seed", "step", "samples", "train_time_s", VALIDATED)
AGAIN = "run the sweep's command again, which writes it anew"
SWEEP_TYPES: dict[str, tuple[type, ...]] = {  # of the keys of a sweep.yaml that are looked at
    "name": (str,), "question": (str,), "why": (str,), "choices": (dict,), "arms": (dict,),
    "pretrain": (dict,), "compare": (list,), "measure": (dict,), "seeds": (int, list, dict),
    "vary": (list,), "train": (dict,),
}  # fmt: skip
Part = tuple[
    pd.DataFrame, pd.DataFrame, Content, Content, PlanRecord
]  # trials, curves, sweep, provenance
_RECORDS = TypeAdapter(list[DataRecord])
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
    has several) beside the columns of the run folder; `folder` in `trials` says where a trial lies,
    and `arm_name` is what the sweep calls its arm, where `arm` is a label. `remarks`: what is not
    alike in folders that were merged.
    """

    trials: pd.DataFrame
    curves: pd.DataFrame
    sweeps: list[Content]
    provenance: list[Content]
    folders: tuple[Path, ...]
    data: tuple[DataRecord, ...] = ()
    remarks: tuple[str, ...] = ()
    unfinished: Unfinished | None = None  # where planned trials have not ended
    outside: pd.DataFrame = field(default_factory=pd.DataFrame)  # scores on further test sets

    def predictions(self, trial_id: str) -> Predictions | None:
        """The classes that one trial predicted; None where it left none (failed, never tested, or
        of a target without classes).

        Raises:
            RunFolderError: the file is damaged.
        """
        folder, row = self._folder(trial_id), self.record(trial_id)
        name = "predictions.npz"
        if row is None or row.target in WITHOUT_ACCURACY:
            return None
        content = checked_bytes(folder, trial_id, name, row, self._archives(folder))
        if content is None:
            return None
        return Predictions(**read_predictions(folder / "trials" / trial_id / name, content))

    def record(self, trial_id: str) -> TrialRow | None:
        """What `trial.json` holds of one trial; None where the file is not there."""
        folder = self._folder(trial_id)
        row = read_row(folder / "trials" / trial_id / "trial.json")
        return row or dict(self._archives(folder).rows([trial_id])).get(trial_id)

    def images(self, fingerprint: str) -> Images | None:
        """The test images kept for one data set; None where none were kept (too large)."""
        for folder in self.folders if fingerprint else ():
            with suppress(FileNotFoundError):
                content = read_inside(folder, f"images/{fingerprint}.npz")
                return Images(**read_images(folder / "images" / f"{fingerprint}.npz", content))
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


def python_texts(work: Callable[P, Result]) -> Callable[P, Result]:
    """The same work, with texts as Python keeps them.

    Of tables as short as these, Arrow takes half as long again.
    """

    @wraps(work)
    def in_python(*given: P.args, **named: P.kwargs) -> Result:
        with pd.option_context("mode.string_storage", "python"):
            return work(*given, **named)

    return in_python


@python_texts
def load_runs(dirs: Iterable[Path | str], *, names_as_planned: bool = False) -> Runs:
    """Read run folders and merge them.

    Args:
        names_as_planned: whether arms keep the names of the plan; reports show no path in them.

    Raises:
        RunFolderError: a folder has no `trials.parquet`, a table lacks a column, or a file is
            damaged; the message names the file. Or folders of one sweep have an arm that is not
            one thing in all of them.
    """
    folders = tuple(Path(d) for d in dirs)
    parts = [_read_folder(folder) for folder in folders]
    _check_ended(folders, parts)
    return _merged(folders, parts if names_as_planned else _as_shown(parts))


def read_parts(dirs: Iterable[Path | str]) -> list[Part]:
    """What each run folder holds, in the order of their paths, not yet merged, arms as planned.

    Raises:
        RunFolderError: as of `load_runs`, but that folders are not set against each other.
    """
    return [_read_folder(Path(d)) for d in sorted(map(Path, dirs))]


@python_texts
def load_apart(*dirs: Path | str) -> tuple[Runs, ...]:
    """Each run folder by itself, for what is set against another one: arms are named alike in all.

    Raises:
        RunFolderError: as of `load_runs`.
    """
    folders = [Path(d) for d in dirs]
    parts = [_read_folder(folder) for folder in folders]
    for folder, part in zip(folders, parts, strict=True):
        _check_ended([folder], [part])
    shown = zip(folders, _as_shown(parts), strict=True)
    return tuple(_merged((folder,), [part]) for folder, part in shown)


def _check_ended(folders: Sequence[Path], parts: Sequence[Part]) -> None:
    if not any(len(part[0]) for part in parts):
        raise RunFolderError(
            f"{folders[0]}: no trial has ended yet, so there is nothing to analyse; what runs: "
            f"python -m harness.status {folders[0]}"
        )


def _as_shown(parts: Sequence[Part]) -> list[Part]:
    """The parts with arms named as a report shows them, alike in all."""
    tables = [p[0] for p in parts], [p[1] for p in parts], [p[2] for p in parts]
    named = zip(*with_shown_names(*tables), strict=True)
    return [(*shown, part[3], part[4]) for shown, part in zip(named, parts, strict=True)]


def _merged(folders: tuple[Path, ...], parts: Sequence[Part]) -> Runs:
    sides = [_side(*each) for each in sorted(zip(folders, parts, strict=True), key=lambda e: e[0])]
    check_merge(sides)
    trials = _merge_trials([part[0] for part in parts])
    curves = _merge_curves([part[1] for part in parts], folders, trials)
    sweeps = _merge_sweeps([part[2] for part in parts])
    provenance = sorted((part[3] for part in parts), key=json.dumps)
    data = [record for folder, part in zip(folders, parts, strict=True)
            for record in _data_records(folder, part[3])]  # fmt: skip
    remarks = tuple(merge_remarks(sides))
    planned = {trial.id for part in parts for trial in part[4].trials}
    left = unfinished(planned, set(trials["trial_id"]))
    scores = [read_scores(folder, _called(part[3])) for folder, part in zip(
        folders, parts, strict=True)]  # fmt: skip
    known = [table for table in scores if len(table)]
    outside = pd.concat(known, ignore_index=True) if known else scores[0]
    outside = outside.drop_duplicates(["trial_id", "test_set"])
    return Runs(trials, curves, sweeps, provenance, folders, tuple(data), remarks, left, outside)


def _called(provenance: Content) -> list[str] | None:
    """What the further test sets of a run are called, in the order of its sweep; None: not said."""
    sets = provenance.get("also_test")
    if not isinstance(sets, list):
        return [] if provenance else None
    return [str(each["called"]) for each in sets if isinstance(each, dict) and "called" in each]


def sides_of(paths: tuple[Path | str, Path | str], runs: tuple[Runs, Runs]) -> Sides:
    """Two runs of one sweep each, to be set against each other arm by arm."""
    first, second = (
        Side(
            path,
            run.trials[run.trials["stage"] == "arm"],
            run.sweeps[0] if run.sweeps else {},
            run.provenance[0] if run.provenance else {},
        )
        for path, run in zip(paths, runs, strict=True)
    )
    return first, second


def with_tasks_of(other: Runs, runs: Runs) -> Runs:
    """The runs of one sweep with tasks called as those of another sweep, whatever its name."""
    if len(other.sweeps) != 1 or len(runs.sweeps) != 1:
        return runs
    name, wanted = (str(r.sweeps[0]["name"]) for r in (runs, other))

    def renamed(table: pd.DataFrame) -> pd.DataFrame:
        tasks = [wanted + str(task).removeprefix(name) for task in table["task"]]
        return table.assign(task=tasks)

    return replace(runs, trials=renamed(runs.trials), curves=renamed(runs.curves))


def task_name(sweep: str, grid: str) -> str:
    """`part2`, or `part2 (data.train=1000, model.name=lenet5)` for a point of a grid."""
    point = from_column(grid)
    shown = ", ".join(f"{key}={value}" for key, value in point.items()) or grid
    return f"{sweep} ({shown})" if shown else sweep


def _side(folder: Path, part: Part) -> Side:
    arms = part[0][part[0]["stage"] == "arm"]
    return Side(folder, arms.assign(grid=arms["grid"].fillna("")), part[2], part[3])


def _read_folder(folder: Path) -> Part:
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: no such folder; give the folder of a run (runs/NAME)")
    plan = read_plan(folder) or PlanRecord(folder.name, ())
    table = _read_trials(folder, plan)
    trials, curves = table.rows, _read_curves(folder, table)
    sweep_file, provenance = folder / "sweep.yaml", folder / "provenance.json"
    sweep = _read_sweep(sweep_file) if sweep_file.exists() else {}
    sweep.setdefault("name", str(trials["sweep"].iloc[0]) if len(trials) else folder.name)
    trials = trials.assign(
        folder=str(folder), overlap=overlaps(trials, sweep), arm_name=trials["arm"]
    )
    return trials, curves, sweep, read_mapping(provenance) if provenance.exists() else {}, plan


def _read_trials(folder: Path, plan: PlanRecord) -> _Table:
    """The table of trials, with what has ended since it was written; without one, that alone.

    Raises:
        RunFolderError: there is neither, or a file is damaged.
    """
    path = folder / "trials.parquet"
    table = None
    if path.exists() or not plan.trials:
        table = _read_table(path, TrialRow, TRIAL_KEYS)
    final = [] if table is None else table.rows[table.rows["status"].isin(FINAL)]["trial_id"]
    since = list(rows_since(folder, plan, set(final)))
    if table is not None and not since:
        return table
    rows = _as_frame(since)
    if table is None:
        return _Table(rows, "", None)
    kept = table.rows[~table.rows["trial_id"].isin(rows["trial_id"])]
    return replace(table, rows=pd.concat([kept, rows], ignore_index=True) if len(kept) else rows)


def _as_frame(rows: Sequence[TrialRow]) -> pd.DataFrame:
    """Rows as the table of trials has them."""
    import pyarrow as pa

    columns = TrialRow.columns()
    cells = {c.name: [c.cell(getattr(row, c.name)) for row in rows] for c in columns}
    wanted = pa.schema([(c.name, pa.type_for_alias(c.arrow)) for c in columns])
    return pa.table(cells, schema=wanted).to_pandas()


def _data_records(folder: Path, provenance: Content) -> list[DataRecord]:
    """What a run says of its data sets, taken out of its provenance; a version before said nothing.

    Raises:
        RunFolderError: it says something else.
    """
    try:
        return _RECORDS.validate_python(provenance.pop("data", []))
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, ("data", *first["loc"])))
        raise RunFolderError(f"{folder / 'provenance.json'}: {where}: {first['msg']}") from err


def _read_curves(folder: Path, trials: _Table) -> pd.DataFrame:
    """The evaluations of every trial that ended, from the table or from the trials themselves.

    A command may have died after it replaced one of the two tables, or be about to replace the
    other one. A trial without its curve would pass for one that reached nothing.

    Raises:
        RunFolderError: a trial ended and has no curve anywhere, or a file is damaged.
    """
    path = folder / "curves.parquet"
    ended = trials.rows[trials.rows["status"].isin(FINAL)]
    if not path.exists() and (ended.empty or (folder / "trials").is_dir()):
        return _own_curves(folder, ended)
    curves = _read_table(path, EvaluationRow, CURVE_KEYS)
    if curves.written_with not in (None, trials.digest):
        return _own_curves(folder, ended)
    _check_validated(curves.rows, trials.rows, path)
    lacking = ended[~ended["trial_id"].isin(curves.rows["trial_id"])]
    if lacking.empty:
        return curves.rows
    return pd.concat([curves.rows, _own_curves(folder, lacking)], ignore_index=True)


def _own_curves(folder: Path, trials: pd.DataFrame) -> pd.DataFrame:
    """The evaluations of these trials, read from their folders and archives."""
    import pyarrow as pa

    rows, archives = dict(trial_rows(folder, trials["trial_id"])), Archives(folder)
    points = []
    for trial_id, arm, seed in zip(trials["trial_id"], trials["arm"], trials["seed"], strict=True):
        row = rows[trial_id]
        if row is None:
            raise no_curve(folder / "trials" / trial_id)
        for point in trial_curve(folder, trial_id, row, archives):
            points.append({**point.to_json(), "arm": arm, "seed": seed})
    empty = pa.table({column.name: [] for column in EvaluationRow.columns()})
    table = pa.Table.from_pylist(points) if points else empty
    return as_kind(table, EvaluationRow).to_pandas()


@dataclass(frozen=True)
class _Table:
    """A table of a run folder."""

    rows: pd.DataFrame
    digest: str  # of the file
    written_with: str | None  # the digest of the other table, where it says that


def read_rows(path: Path, kind: type[Row], needed: Sequence[str]) -> pd.DataFrame:
    """The rows of another table of a run folder; as of `_read_table`.

    Raises:
        RunFolderError: it is damaged, or holds something else.
    """
    return _read_table(path, kind, needed).rows


def _read_table(path: Path, kind: type[Row], needed: Sequence[str]) -> _Table:
    """A table of a run folder, compared with the digest that it carries.

    Columns that an earlier version did not know are empty.

    Raises:
        RunFolderError: it is not there, is damaged, or holds something else than rows of this kind.
    """
    if not path.exists():
        raise RunFolderError(
            f"{path}: not there, so this is no run folder (or nothing in it has finished yet); "
            "a run folder has trials.parquet and curves.parquet"
        )
    try:
        with open_plain(path) as file:
            content = read_limited(file, path, MAX_TABLE_BYTES)
        check_table(path, content)
        table = read_table(BytesIO(content))
    except (OSError, ValueError) as err:
        raise RunFolderError(
            f"{path}: cannot be read as a Parquet table ({_one_line(err)}); {AGAIN}"
        ) from err
    lacking = [key for key in needed if key not in table.schema.names]
    if lacking:
        raise RunFolderError(
            f"{path}: lacks the column{'s' * (len(lacking) > 1)} "
            f"{', '.join(lacking)}; it was not written by this harness"
        )
    partner = (table.schema.metadata or {}).get(PARTNER_KEY)
    try:
        rows = as_kind(table, kind).to_pandas()
        _check_keys(rows, needed, kind)
    except ValueError as err:
        raise RunFolderError(f"{path}: {_one_line(err)}; {AGAIN}") from err
    return _Table(rows, digest_of(content), partner and partner.decode("ascii", "replace"))


def _check_keys(rows: pd.DataFrame, needed: Sequence[str], kind: type[Row]) -> None:
    """Whether rows say what they are of, and no two evaluations of a trial have one step.

    Raises:
        ValueError: the column that is empty somewhere, or the trial that was evaluated twice.
    """
    for name in needed:
        if name == VALIDATED:
            continue  # `_check_validated` knows of which trials
        _refuse_gaps(rows[name])
    if kind is EvaluationRow and len(twice := rows[rows.duplicated(["trial_id", "step"])]):
        trial_id, step = twice.iloc[0][["trial_id", "step"]]
        raise ValueError(f"trial {trial_id} has two evaluations at step {step}")


def _check_validated(rows: pd.DataFrame, trials: pd.DataFrame, path: Path) -> None:
    """Whether each evaluation has a validation accuracy; those of refits have none, and those of
    targets that are no classes.

    Raises:
        RunFolderError: another one lacks it.
    """
    lacks = trials["stage"] == "refit"
    if "target" in trials:
        lacks |= trials["target"].isin(WITHOUT_ACCURACY)
    without = trials[lacks]["trial_id"]
    try:
        _refuse_gaps(rows[~rows["trial_id"].isin(without)][VALIDATED])
    except ValueError as err:
        raise RunFolderError(f"{path}: {err}; {AGAIN}") from err


def _refuse_gaps(column: pd.Series) -> None:
    if column.isna().any():
        raise ValueError(f"column {column.name}: is empty in {int(column.isna().sum())} rows")


def as_kind(table: pa.Table, kind: type[Row]) -> pa.Table:
    """The table with every column of this kind of row, in its type; other columns stay.

    Raises:
        ValueError: a column's values are of another type; the message names it.
    """
    import pyarrow as pa

    for column in kind.columns():
        wanted = pa.type_for_alias(column.arrow)
        position = table.schema.get_field_index(column.name)
        if position < 0:
            empty = pa.scalar("" if column.arrow == "string" else None, wanted)
            table = table.append_column(column.name, pa.repeat(empty, len(table)))
        elif table.schema.field(position).type != wanted:
            try:
                values = table.column(position).cast(wanted)
            except pa.ArrowException as err:
                raise ValueError(f"column {column.name}: {err}") from err
            table = table.set_column(position, column.name, values)
    return table


def _merge_trials(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One row a trial id (the best ended of several), sorted by task, arm as planned, seed."""
    trials = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0].copy()
    for column in ("grid", "stand_in_for", "error", "parent_id", "notes", "warnings"):
        trials[column] = trials[column].fillna("").astype(str) if column in trials else ""
    for column in {"error", "initialize", "notes", "warnings"} & set(trials):  # it is published
        trials[column] = trials[column].map(publishable)
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
        ["task", "stage", "arm_name", "seed", "trial_id", "_rank", "folder"], kind="stable"
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


def read_mapping(path: Path) -> Content:
    """What a YAML or JSON file of a run folder holds, compared with the digest that it carries.

    Raises:
        RunFolderError: it cannot be read, is damaged, or holds no mapping.
    """
    if path.suffix == ".json":
        return {key: value for key, value in (read_object(path) or {}).items() if key != KEY}
    try:
        return dict(parse_yaml(read_sealed_text(path), str(path), limits=RECORD).plain())
    except SpecError as err:
        raise RunFolderError(f"{path}: cannot be read as YAML ({_one_line(err)})") from err


def _read_sweep(path: Path) -> Content:
    """The parts of a `sweep.yaml` that the analysis looks at have the types that it expects.

    Raises:
        RunFolderError: it cannot be read, or a key holds something else.
    """
    sweep = read_mapping(path)
    for key, types in SWEEP_TYPES.items():
        if not isinstance(sweep.get(key), (*types, NoneType)):
            kinds = " or ".join(kind.__name__ for kind in types)
            raise RunFolderError(f"{path}: {key}: holds no {kinds}, which a sweep has there")
    try:
        for pair in sweep.get("compare") or []:
            Compare.model_validate(pair)
        Measure.of_run(sweep.get("measure"))
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunFolderError(f"{path}: compare or measure: {where}: {first['msg']}") from err
    return sweep


def _one_line(err: BaseException) -> str:
    return " ".join(str(err).split())[:200] or type(err).__name__
