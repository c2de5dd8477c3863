"""The four evaluations of Assignment 4, in its order, and the workbook that lists them.

1. the pretrained network on the test images of what it was pretrained on, 2. the same network,
not trained further, on one's own test images, 3. with its last layer fine-tuned, 4. with its last
n layers fine-tuned. They are recognised by their stage and `fine_tune`. What the run does not have
is listed as not tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings.findings import SEED, Findings
from analysis.report import methods
from analysis.report.tables import Column, Table
from analysis.report.workbook import Book, Field, Sheet, comparison_sheet
from analysis.statistics.samples.intervals import sd_interval
from analysis.statistics.samples.redrawn import accuracy_interval, overlap_of
from headstart.files import atomic_path

TITLES = (
    "Pretrained network on the test images of its own data",
    "Pretrained network, not trained further, on own test images",
    "Last layer fine-tuned, on own test images",
    "Last n layers fine-tuned, on own test images",
)
NOTE = "Test accuracy, mean over seeds, 95 % interval."


@dataclass(frozen=True)
class Evaluation:
    """One line of the list: what was evaluated, and its trials (none: not tested)."""

    number: str
    title: str
    arm: str
    trials: pd.DataFrame


def list_evaluations(findings: Findings) -> list[Evaluation]:
    """The four evaluations; the fourth once for each number of layers."""
    trials = findings.runs.trials
    found: list[Evaluation] = []
    for k, (title, rows) in enumerate(zip(TITLES, _recognised(trials), strict=True), 1):
        groups = list(rows.groupby("arm", sort=False))
        if not groups:
            found.append(Evaluation(str(k), title, "", rows))
        for j, (arm, part) in enumerate(groups):
            number = str(k) if len(groups) == 1 else f"{k}{chr(ord('a') + j)}"
            found.append(Evaluation(number, title, str(arm), part))
    return found


def _recognised(trials: pd.DataFrame) -> Iterator[pd.DataFrame]:
    arms = trials[trials["stage"] == "arm"]
    started = arms[~arms["initialize"].fillna("").astype(str).isin(["", "random"])]
    setting = started["fine_tune"].fillna("").astype("str")
    pretrained = trials[trials["stage"] == "pretrain"]
    yield pretrained[pretrained["test_accuracy"].notna()]
    yield started[(setting == "none") | (started["n_trainable"] == 0) | (started["steps"] == 0)]
    yield started[setting.isin(["last_layer", "last_1"]) & (started["steps"] > 0)]
    yield started[setting.str.fullmatch(r"last_([2-9]|\d\d+)")]


def evaluation_table(findings: Findings) -> Table:
    """The evaluations with those columns that a page has room for."""
    rng = np.random.default_rng(SEED)
    frame = pd.DataFrame([_row(one, rng) for one in list_evaluations(findings)])
    columns = (
        Column("number", "No."),
        Column("title", "Evaluation"),
        Column("arm", "Arm or stage"),
        Column("n_test", "Test images", "count"),
        Column("n", "Seeds", "count"),
        Column("accuracy", "Test accuracy", "percent", "low", "high"),
    )
    return Table("evaluations", "The four evaluations", frame, columns, NOTE)


def write_evaluations(path: Path, findings: Findings) -> None:
    """The named export: the evaluations with intervals, the seeds of each, comparisons, methods."""
    evaluations = list_evaluations(findings)
    rng = np.random.default_rng(SEED)
    frame = pd.DataFrame([_row(one, rng) for one in evaluations])
    with atomic_path(path) as temporary:
        book = Book(temporary, findings.stamp)
        sheet = book.table(Sheet("Evaluations", frame, _FIELDS, NOTE))
        _chart(book, sheet, frame)
        for one in evaluations:
            _seed_sheet(book, one)
        book.table(comparison_sheet(findings))
        terms = methods.describe_methods(findings)
        book.texts("Methods", [(t.name, f"{t.text} {t.source}".strip()) for t in terms])
        book.file.close()


_FIELDS = (
    Field("number", "Evaluation"),
    Field("title", "What"),
    Field("arm", "Arm or stage"),
    Field("dataset", "Test images of"),
    Field("n_test", "Test images", "count"),
    Field("n", "Seeds", "count"),
    Field("accuracy", "Test accuracy", "percent"),
    Field("low", "Low", "percent"),
    Field("high", "High", "percent"),
    Field("minus", "Error bar, down", "percent"),
    Field("plus", "Error bar, up", "percent"),
    Field("sd", "SD over seeds (points)", "points_plain"),
    Field("lowest", "Lowest seed", "percent"),
    Field("highest", "Highest seed", "percent"),
    Field("note", "Note"),
)


def _row(one: Evaluation, rng: np.random.Generator) -> dict[str, Any]:
    done = one.trials[(one.trials["status"] == "done") & one.trials["test_accuracy"].notna()]
    row: dict[str, Any] = dict.fromkeys((f.key for f in _FIELDS), None)
    row |= {"number": one.number, "title": one.title, "arm": one.arm, "n": len(done)}
    if done.empty:
        return row | {"note": "not tested"}
    values = done["test_accuracy"].to_numpy(dtype=float)
    mean = accuracy_interval(values, overlap_of(done), rng=rng)
    spread = sd_interval(values)
    return row | {
        "dataset": ", ".join(sorted(set(done["dataset"].astype(str)))),
        "n_test": int(done["n_test"].median()),
        "accuracy": mean.estimate,
        "low": mean.low,
        "high": mean.high,
        "minus": mean.estimate - mean.low,
        "plus": mean.high - mean.estimate,
        "sd": spread.estimate,
        "lowest": values.min(),
        "highest": values.max(),
        "note": mean.note,
    }


def _chart(book: Book, sheet: Any, frame: pd.DataFrame) -> None:
    """Columns of mean accuracy with the intervals as error bars."""
    keys = [field.key for field in _FIELDS]
    first, last = 2, 1 + len(frame)
    column = {key: chr(ord("A") + keys.index(key)) for key in ("minus", "plus")}
    chart = book.file.add_chart({"type": "column"})
    chart.add_series(
        {
            "name": "Test accuracy",
            "categories": ["Evaluations", first, 0, last, 0],
            "values": ["Evaluations", first, keys.index("accuracy"), last, keys.index("accuracy")],
            "fill": {"color": "#0072B2"},
            "y_error_bars": {
                "type": "custom",
                **{
                    f"{side}_values": f"=Evaluations!${c}${first + 1}:${c}${last + 1}"
                    for side, c in column.items()
                },
            },
        }
    )
    chart.set_title(
        {"name": "Test accuracy of each evaluation, 95 % intervals", "name_font": {"size": 12}}
    )
    chart.set_x_axis({"name": "Evaluation"})
    chart.set_y_axis({"num_format": "0%", "min": 0, "max": 1})
    chart.set_legend({"none": True})
    chart.set_size({"width": 640, "height": 380})
    sheet.insert_chart(last + 3, 1, chart)


def _seed_sheet(book: Book, one: Evaluation) -> None:
    name = f"{one.number} {one.arm or 'not tested'}"
    if one.trials.empty:
        book.texts(name, [(one.title, "Not tested: the run has no such trials.")])
        return
    fields = (
        Field("seed", "Seed", "count"),
        Field("status", "Status"),
        Field("test_accuracy", "Test accuracy", "percent"),
        Field("best_val_accuracy", "Best validation accuracy", "percent"),
        Field("n_test", "Test images", "count"),
        Field("steps", "Training steps", "count"),
        Field("learning_rate", "Learning rate", "setting"),
        Field("batch_size", "Batch size", "count"),
        Field("trial_id", "Trial"),
    )
    book.table(Sheet(name, one.trials, tuple(f for f in fields if f.key in one.trials), one.title))
