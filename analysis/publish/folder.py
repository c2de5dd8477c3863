"""A run folder with what its report needs and nothing private, for a publication.

In: what a run folder holds, and a `Cleaner`. Out: a folder that `load_runs` reads as any other:
tables, sweep, provenance, plan, records of searches and of reports; then the trials whose
predictions or records a report reads. Weights, curves of single trials, states, code of the user's
own and whatever else lies in a run folder stay behind. It stands alone because it is the only
writer of run folders in the analysis.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from analysis.findings.also_tests import read_scores
from analysis.findings.load import Images, Part, Runs, as_kind, read_mapping
from analysis.findings.looked import NAME as LOOKS
from analysis.findings.looked import looks_before
from analysis.publish.private_names import Cleaner
from analysis.statistics.samples.predictions import Predictions
from headstart.digests import (
    digest_of,
    sealed_table,
    sealed_text,
    write_sealed_json,
    write_sealed_pair,
)
from headstart.files import atomic_file
from headstart.records import ALSO_TEST, PlanRecord
from headstart.rows import AlsoTestRow, EvaluationRow, Row, TrialRow

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTIONS = "predictions.npz"


class _Dumper(yaml.SafeDumper):
    """Texts that YAML 1.2 would read as numbers, and PyYAML writes bare, are quoted."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if text[:1] in "+-.0123456789" and text[:1] and "\n" not in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def write_tables_of(source: Path, part: Part, to: Path, cleaner: Cleaner) -> None:
    """Write all but the trials of the run folder `source` to the new folder `to`."""
    trials, curves, sweep, provenance, plan = part
    to.mkdir(parents=True)
    write_sealed_pair(
        to / "trials.parquet", _table(trials, TrialRow, cleaner),
        to / "curves.parquet", _table(curves, EvaluationRow, cleaner),
    )  # fmt: skip
    scores = read_scores(source, None)
    if len(scores):
        with atomic_file(to / ALSO_TEST, "wb") as file:
            file.write(sealed_table(_table(scores, AlsoTestRow, cleaner)))
    text = yaml.dump(
        cleaner.content(sweep), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    with atomic_file(to / "sweep.yaml") as file:
        file.write(sealed_text(text))
    write_sealed_json(to / "provenance.json", cleaner.content(provenance))
    if plan.trials:
        write_sealed_json(to / "plan.json", asdict(_plan(plan, cleaner)))
    looks = [asdict(look) for look in looks_before(source)]
    if looks:
        write_sealed_json(to / LOOKS, cleaner.content({"format": 1, "reports": looks}))
    for path in sorted((source / "search").glob("*.json")):
        (to / "search").mkdir(exist_ok=True)
        n_before = len(list((to / "search").iterdir()))
        record = cleaner.content(read_mapping(path))
        write_sealed_json(to / "search" / f"{n_before + 1:04d}.json", record)


def write_trials(trial_ids: Iterable[str], runs: Runs, published: Runs, cleaner: Cleaner) -> None:
    """Write record and predictions of these trials of `runs` into the folders of `published`."""
    where = dict(zip(published.trials["trial_id"], published.trials["folder"], strict=True))
    for trial_id in trial_ids:
        row = runs.record(trial_id)
        if row is None:
            continue
        folder = Path(where[trial_id]) / "trials" / trial_id
        folder.mkdir(parents=True)
        digests = {}
        predictions = runs.predictions(trial_id)
        if predictions is not None:
            digests[PREDICTIONS] = _write_arrays(folder / PREDICTIONS, _arrays(predictions))
        record = {name: _cleaned(name, value, cleaner) for name, value in row.to_json().items()}
        record |= {"files": ["trial.json", *digests], "digests": digests}
        write_sealed_json(folder / "trial.json", record)


def write_images(images: Images, wanted: Iterable[int], path: Path) -> int:
    """Write those of the images whose indices are `wanted`; returns how many these are."""
    chosen = np.flatnonzero(np.isin(images.indices, sorted(set(wanted))))
    if len(chosen):
        path.parent.mkdir(exist_ok=True)
        arrays = {"indices": images.indices[chosen], "images": images.images[chosen]}
        _write_arrays(path, arrays)
    return len(chosen)


def _table(rows: pd.DataFrame, kind: type[Row], cleaner: Cleaner) -> pa.Table:
    """The columns that this version knows, cleaned; others could hold anything."""
    import pyarrow as pa

    own = pd.DataFrame(index=rows.index)
    for column in kind.columns():
        if column.name not in rows:
            continue
        values = rows[column.name]
        if column.arrow == "string":
            texts = values.fillna("").astype(str)
            clean = {text: cleaner.cell(column.name, text) for text in texts.unique()}
            values = texts.map(clean)
        own[column.name] = values
    table = as_kind(pa.Table.from_pandas(own, preserve_index=False), kind)
    return table.select([column.name for column in kind.columns()]).replace_schema_metadata(None)


def _cleaned(name: str, value: Any, cleaner: Cleaner) -> Any:
    if isinstance(value, str):
        return cleaner.cell(name, value)
    if name == "class_names":
        return [cleaner.text(text) for text in value]
    return cleaner.content(value)


def _plan(plan: PlanRecord, cleaner: Cleaner) -> PlanRecord:
    trials = [replace(trial, arm=cleaner.names[trial.arm]) for trial in plan.trials]
    labels = {cleaner.content(name): cleaner.text(text) for name, text in plan.labels.items()}
    return PlanRecord(cleaner.names[plan.sweep], tuple(trials), labels)


def _arrays(predictions: Predictions) -> dict[str, np.ndarray]:
    return {name: getattr(predictions, name)
            for name in ("indices", "labels", "predicted", "probabilities")}  # fmt: skip


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> str:
    """Write a .npz file; the same arrays give the same bytes. Returns its digest."""
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **arrays)
    with atomic_file(path, "wb") as file:
        file.write(sink.getbuffer())
    return digest_of(sink.getbuffer())
