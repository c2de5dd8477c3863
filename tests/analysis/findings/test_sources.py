"""The table of sources: by hand from trials and their doubles."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.findings.sources import source_table


class Sweep:
    tasks, arms, n_seeds = ("s",), ("t",), 3


def trial(stage: str, seed: int, score: float, redrawn: str = "", status: str = "done") -> dict:
    return {
        "task": "s", "arm": "t", "stage": stage, "seed": seed, "status": status,
        "test_accuracy": score, "redrawn": redrawn, "n_test": 100,
    }  # fmt: skip


def test_each_source_by_hand() -> None:
    trials = pd.DataFrame([
        *(trial("arm", seed, score) for seed, score in enumerate((0.9, 0.8, 0.7))),
        trial("double", 0, 0.92, "split"), trial("double", 1, 0.76, "split"),
        trial("double", 0, 0.9, "order"), trial("double", 1, 0.82, "order"),
        trial("double", 2, math.nan, "order", "failed"),
    ])  # fmt: skip
    table = source_table([Sweep()], trials, "test_accuracy")  # type: ignore[list-item]
    assert table["source"].tolist() == ["split", "order", ""]
    assert table["n"].tolist() == [2, 2, 3]
    split, order = (0.02**2 + 0.04**2) / 4, 0.02**2 / 4
    assert table["sd"].tolist() == pytest.approx([math.sqrt(split), math.sqrt(order), 0.1])
    assert table["share"].tolist()[:2] == pytest.approx([5 / 6, 1 / 6])
    assert (table["sd_low"] < table["sd"]).all()
    assert (table["sd"] < table["sd_high"]).all()


def test_runs_without_doubles_have_none() -> None:
    assert source_table([], pd.DataFrame({"stage": ["arm"]}), "test_accuracy").empty
    assert source_table([], pd.DataFrame([trial("arm", 0, 0.9)]), "test_accuracy").empty
