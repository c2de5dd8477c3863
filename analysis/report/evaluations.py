"""The four evaluations of Assignment 4, in its order, and the workbook that lists them.

1. the pretrained network on the test images of what it was pretrained on, 2. the same network,
not trained further, on one's own test images, 3. with its last layer fine-tuned, 4. with its last
n layers fine-tuned. They are recognised by their stage and `fine_tune`. What the run does not have
is listed as not tested.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.findings.by_arm import final_interval
from analysis.findings.findings import Findings
from analysis.report.displays import SCORE_WORDS
from analysis.report.methods import describe_methods
from analysis.report.tables import Column, Table, of_kind, with_interval
from analysis.report.workbook.book import Book, Placed, Sheet
from analysis.report.workbook.sheets import comparison_sheet
from analysis.statistics.samples.intervals import sd_interval
from headstart.files import atomic_path
from headstart.four_evaluations import titles

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
    evaluations: list[Evaluation] = []
    for k, rows in enumerate(_recognised(trials)):
        groups = list(rows.groupby("arm", sort=False))
        if not groups:
            evaluations.append(Evaluation(str(k + 1), titles()[k], "", rows))
        for j, (arm, part) in enumerate(groups):
            letter = chr(ord("a") + j) if len(groups) > 1 else ""
            evaluations.append(Evaluation(f"{k + 1}{letter}", _title(k, part), str(arm), part))
    return evaluations


def _title(k: int, trials: pd.DataFrame) -> str:
    first = trials.iloc[0]
    n_layers = re.sub(r"\D", "", str(first.get("fine_tune", ""))) or "n"
    return titles(str(first["dataset"]), n_layers)[k]


def named_seed(evaluations: Sequence[Evaluation]) -> int | None:
    """The first seed of which the arms have a result; None where there is none."""
    seeds = [s for e in evaluations[1:] for s in _done(e)["seed"]]
    return int(min(seeds)) if seeds else None


def accuracy_of(evaluation: Evaluation, seed: int | None) -> float:
    """Test accuracy of one seed, a fraction; NaN where it has none."""
    done = _done(evaluation)
    values = done.loc[done["seed"] == seed, "test_accuracy"]
    return float(values.iloc[0]) if len(values) else math.nan


def _done(evaluation: Evaluation) -> pd.DataFrame:
    trials = evaluation.trials
    return trials[(trials["status"] == "done") & trials["test_accuracy"].notna()]


def _recognised(trials: pd.DataFrame) -> Iterator[pd.DataFrame]:
    arms = trials[trials["stage"] == "arm"]
    started = arms[~arms["initialize"].fillna("").astype(str).isin(["", "random"])]
    setting = started["fine_tune"].fillna("").astype("str")
    tested = trials[(trials["stage"] == "pretrain") & trials["test_accuracy"].notna()]
    used = tested["arm"].isin(set(started["initialize"].astype(str)))  # not those for comparison
    yield tested[used] if used.any() else tested
    yield started[(setting == "none") | (started["n_trainable"] == 0) | (started["steps"] == 0)]
    yield started[setting.isin(["last_layer", "last_1"]) & (started["steps"] > 0)]
    yield started[setting.str.fullmatch(r"last_([2-9]|\d\d+)")]


def evaluation_table(findings: Findings) -> Table:
    """The evaluations with those columns that a page has room for."""
    columns = (
        *of_kind("text", number="No.", title="Evaluation", arm="Arm or stage"),
        *of_kind("count", n_test="Test images", n="Seeds"),
        with_interval("accuracy", "Test accuracy", "percent", ""),
    )
    evaluations = list_evaluations(findings)
    frame = _frame(evaluations, named_seed(evaluations))
    return Table("evaluations", "The four evaluations", frame, columns, NOTE)


def write_evaluations(path: Path, findings: Findings, seed: int | None = None) -> None:
    """The named export: the evaluations with intervals, the seeds of each, comparisons, methods.

    seed: whose numbers stand first; None: the first that has any.
    """
    evaluations = list_evaluations(findings)
    seed = named_seed(evaluations) if seed is None else seed
    frame = _frame(evaluations, seed)
    with atomic_path(path) as temporary:
        book = Book(temporary, findings.stamp, "Headstart: the four evaluations")
        note = f"Test accuracy of seed {seed}, then the mean over seeds with its 95 % interval."
        columns = (*_COLUMNS[:4], Column("of_seed", f"Seed {seed}", "percent"), *_COLUMNS[5:])
        placed = book.table(Sheet("Evaluations", "The four evaluations", frame, columns, note))
        _chart(book, placed, seed)
        for evaluation in evaluations:
            _seed_sheet(book, evaluation)
        book.table(comparison_sheet(findings))
        terms = [(t.name, f"{t.text} {t.source}".strip()) for t in describe_methods(findings)]
        book.texts("Methods", "How it was computed", terms)
        book.file.close()


_COLUMNS = (
    *of_kind("text", number="No.", title="Evaluation", dataset="Test images of"),
    Column("n_test", "Test images", "count"),
    *of_kind("percent", of_seed="Seed", accuracy="Mean over seeds", low="From", high="To"),
    Column("n", "Seeds", "count"),
    Column("sd", "SD over seeds (points)", "points_plain"),
    *of_kind("percent", lowest="Lowest seed", highest="Highest seed"),
    *of_kind("text", arm="Arm or stage", note="Note"),
    *of_kind("percent", minus="Error bar, down", plus="Error bar, up"),
)


def _frame(evaluations: Sequence[Evaluation], seed: int | None) -> pd.DataFrame:
    frame = pd.DataFrame([_row(evaluation, seed) for evaluation in evaluations])
    measured = [column.key for column in _COLUMNS if column.kind not in ("text", "count")]
    return frame.astype(dict.fromkeys(measured, float))  # numbers where none was tested too


def _row(evaluation: Evaluation, seed: int | None) -> dict[str, object]:
    done = _done(evaluation)
    row: dict[str, object] = dict.fromkeys((column.key for column in _COLUMNS), None)
    row |= {"number": evaluation.number, "title": evaluation.title, "arm": evaluation.arm}
    row |= {"n": len(done)}
    if done.empty:
        return row | {"note": "not tested"}
    values = done["test_accuracy"].to_numpy(dtype=float)
    mean = final_interval(done, "test_accuracy")
    spread = sd_interval(values)
    return row | {
        "dataset": ", ".join(sorted(_images_of(done))),
        "n_test": int(done["n_test"].median()),
        "of_seed": accuracy_of(evaluation, seed),
        **mean.columns("accuracy", also=("note",)),
        "minus": mean.estimate - mean.low,
        "plus": mean.high - mean.estimate,
        "sd": spread.estimate,
        "lowest": values.min(),
        "highest": values.max(),
    }


def _images_of(trials: pd.DataFrame) -> set[str]:
    """`optdigits in place of sheets` where one set stands in for another."""
    return {
        f"{used} in place of {wanted}" if wanted else str(used)
        for used, wanted in zip(trials["dataset"], trials["stand_in_for"], strict=True)
    }


def _chart(book: Book, placed: Placed, seed: int | None) -> None:
    """The seed's accuracies as columns, beside them the means with their intervals."""
    last = placed.n_rows - 1
    chart = book.file.add_chart({"type": "column"})
    bars = {
        "type": "custom",
        "minus_values": placed.formula("minus", 0, last),
        "plus_values": placed.formula("plus", 0, last),
    }
    shown: tuple[tuple[str, str, str, dict[str, object]], ...] = (
        (f"Seed {seed}", "of_seed", "#8FB4D6", {}),
        ("Mean over seeds, 95 % interval", "accuracy", "#0072B2", {"y_error_bars": bars}),
    )
    for name, key, color, more in shown:
        series = {"categories": placed.cells("number"), "values": placed.cells(key)}
        chart.add_series({"name": name, "fill": {"color": color}, **series, **more})
    chart.set_title({"name": "Test accuracy of each evaluation", "name_font": {"size": 12}})
    chart.set_x_axis({"name": "Evaluation"})
    chart.set_y_axis({"name": "Test accuracy", "num_format": "0%", "min": 0, "max": 1})
    chart.set_legend({"position": "bottom"})
    chart.set_size({"width": 640, "height": 380})
    placed.sheet.insert_chart(placed.top + placed.n_rows + 2, 1, chart)


def _seed_sheet(book: Book, evaluation: Evaluation) -> None:
    name, trials = f"{evaluation.number} {evaluation.arm or 'not tested'}", evaluation.trials
    if trials.empty:
        text = "The run has no such trials."
        book.texts(name, evaluation.title, [("Not tested", text)])
        return
    columns = (
        Column("seed", "Seed", "count"),
        Column("status", "Status"),
        *(
            Column(key, label, "number" if key.endswith("loss") else "percent")
            for key, label in SCORE_WORDS.items()
        ),
        *of_kind("count", n_test="Test images", steps="Training steps"),
        Column("learning_rate", "Learning rate", "setting"),
        Column("batch_size", "Batch size", "count"),
        Column("trial_id", "Trial"),
    )
    present = tuple(column for column in columns if column.key in trials)
    book.table(Sheet(name, evaluation.title, trials, present))
