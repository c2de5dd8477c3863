"""One quantity has one estimate and one interval, in whatever table and unit a report has it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.findings.findings import Findings, find
from analysis.findings.load import load_runs
from analysis.report.displays_classes import confusion_tables
from analysis.report.evaluations import evaluation_table
from analysis.report.sections import build_tables

Rows = Sequence[Mapping[str, Any]]
Place = tuple[object, ...]
Number = tuple[float, ...]


def quantities(findings: Findings) -> Iterator[tuple[Place, str, Number]]:
    """Each quantity that a table has: what it is, where it stands, estimate and ends."""
    tables: dict[str, Rows] = {
        table.name: table.frame.to_dict("records")
        for tables in build_tables(findings).values()
        for table in tables
    }
    yield from _of_arms(tables, findings)
    yield from _of_classes(tables, findings)
    yield from _of_pairs(tables, findings)


def _three(row: Mapping[str, Any], name: str, prefix: str | None = None) -> Number:
    prefix = f"{name}_" if prefix is None else prefix
    return (row[name], row[f"{prefix}low"], row[f"{prefix}high"])


def _of_arms(tables: Mapping[str, Rows], findings: Findings) -> Iterator[tuple[Place, str, Number]]:
    accuracy = findings.score == "test_accuracy"
    for row in tables.get("by_arm", ()):
        if accuracy:
            yield ("accuracy", row["task"], row["arm"]), "by_arm", _three(row, "score")
    for row in tables.get("averages", ()):
        yield ("accuracy", row["task"], row["arm"]), "averages", _three(row, "all_accuracy")
        for metric in ("precision", "recall", "f1"):
            place = (f"macro {metric}", row["task"], row["arm"])
            yield place, "averages", _three(row, f"macro_{metric}")
    for row in tables.get("overfitting", ()):
        place = (row["task"], row["arm"])
        yield ("accuracy", *place), "overfitting", _three(row, "test_accuracy")
        if row["n_gap"] == row["n"]:
            parts = row["train_accuracy"] - row["validation_accuracy"]
            yield ("gap", *place), "overfitting", (row["accuracy_gap"],)
            yield ("gap", *place), "training less validation", (parts,)
    for row in evaluation_table(findings).frame.to_dict("records"):
        if row["arm"] in findings.arm_names and len(findings.tasks) == 1:
            place = ("accuracy", findings.tasks[0], row["arm"])
            yield place, "evaluations", _three(row, "accuracy", "")


def _of_classes(
    tables: Mapping[str, Rows], findings: Findings
) -> Iterator[tuple[Place, str, Number]]:
    for row in tables.get("by_class", ()):
        place = (row["task"], row["arm"])
        if row["scope"] == "all":
            yield ("accuracy", *place), "by_class", _three(row, "f1")
        for metric in ("precision", "recall", "f1"):
            if row["scope"] == "macro":
                yield (f"macro {metric}", *place), "by_class", _three(row, metric)
            if row["scope"] == "class" and metric == "recall":
                yield ("recall", *place, row["class_name"]), "by_class", (row["recall"],)
    for table in confusion_tables(findings):
        for row in table.frame.to_dict("records"):
            place = ("recall", row["task"], row["arm"], row["true_class"])
            yield place, "confusion", (row["right"],)


def _of_pairs(
    tables: Mapping[str, Rows], findings: Findings
) -> Iterator[tuple[Place, str, Number]]:
    known: dict[Place, Mapping[str, Any]] = {}
    for row in tables.get("comparisons", ()):
        pair = (row["task"], row["treatment"], row["control"])
        if row["metric"] == "test_accuracy" and row["estimate"] is not None:
            known[pair] = row
            yield ("difference", *pair), "comparisons", _three(row, "estimate", "")
        if row["metric"] == "steps_to_target":
            place = ("speedup", *pair, row["target"])
            yield place, "comparisons", _three(row, "estimate", "")
        if row["metric"] == findings.score:
            place = ("seeds missing", *pair)
            yield place, "comparisons", (row["n_more_low"], row["n_more_high"])
            yield ("spread", *pair), "comparisons", (row["sd_score"],)
    for row in tables.get("seeds_needed", ()):
        pair = (row["task"], row["treatment"], row["control"])
        yield ("seeds missing", *pair), "seeds_needed", (row["more_low"], row["more_high"])
        yield ("spread", *pair), "seeds_needed", (row["sd"],)
    for row in tables.get("images", ()):
        pair = (row["task"], row["treatment"], row["control"])
        if pair in known and known[pair]["n_pairs"] == row["n_pairs"]:
            yield ("difference", *pair), "images", _three(row, "difference", "")
    for row in tables.get("speedups", ()):
        place = ("speedup", row["task"], row["treatment"], row["control"], row["target"])
        if row["unit"] == "step" or (row["unit"] == "samples" and _alike(findings, row)):
            yield place, f"speedups in {row['unit']}", _three(row, "estimate", "")


def _alike(findings: Findings, row: Mapping[str, Any]) -> bool:
    trials = findings.evidence
    arms = trials["arm"].isin([row["treatment"], row["control"]])
    rows = trials[(trials["task"] == row["task"]) & arms]
    return len(rows[["batch_size", "n_train"]].drop_duplicates()) == 1


def disagreements(findings: Findings) -> tuple[int, list[str]]:
    """How many quantities stand in several places, and those with different numbers there."""
    places: dict[Place, list[tuple[str, Number]]] = {}
    for what, where, numbers in quantities(findings):
        if any(not math.isnan(float(number)) for number in numbers):
            places.setdefault(what, []).append((where, numbers))
    several = {what: values for what, values in places.items() if len(values) > 1}
    wrong = [
        f"{what}: {json.dumps(values, default=str)}"
        for what, values in several.items()
        if any(
            not np.allclose(np.array(numbers, float), np.array(values[0][1], float), equal_nan=True)
            for _, numbers in values
        )
    ]
    return len(several), wrong


RUNS: dict[str, Made] = {
    "nine seeds, whose draws could differ": Made(seeds=9, n_test=100, images=False),
    "splits drawn anew from one pool": Made(
        seeds=5, pool=300, n_train=200, n_test=60, images=False, extra={"vary": ["split"]}
    ),
    "a seed without predictions": Made(
        arms=(Arm("scratch"), Arm("last", 0.98, 200, 0.4, "last_layer", "digits", diverged=(1,))),
        seeds=6, n_test=80, images=False,
    ),
}  # fmt: skip


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in RUNS if "pool" not in name]


@pytest.mark.parametrize("name", ["splits drawn anew from one pool", *SLOW])
def test_a_quantity_has_one_estimate_and_one_interval(name: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", RUNS[name])
    n, wrong = disagreements(find(load_runs([folder])))
    assert n > 25
    assert not wrong, "\n".join(wrong)
