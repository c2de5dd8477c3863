"""Comparisons of whole run folders: what is asked is tested, and all that is said agrees."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.findings.findings import Findings, compare_runs, find
from analysis.findings.load import load_runs
from analysis.measures.pairs.until_verdict import decide_verdict, final_comparisons
from analysis.report.answers import answer_all
from analysis.statistics.pairs.until_verdict import UntilVerdict
from analysis.statistics.samples.pairing import Pair
from headstart.settings import LOOKS


def findings_of(*folders: Path) -> Findings:
    return find(load_runs(folders))


def agrees(table: pd.DataFrame) -> None:
    """Every interval excludes no difference exactly where its p is at most 5 %."""
    nothing = table["scale"].eq("speedup").astype(float)
    for p, low, high in (
        ("p_value", "low", "high"),
        ("p_question", "low_question", "high_question"),
    ):
        rows = table[table[p].notna()]
        excluded = (rows[low] > nothing[rows.index]) | (rows[high] < nothing[rows.index])
        assert excluded.eq(rows[p] <= 0.05).all()
        assert (rows[low] < rows[high]).all()


def test_two_sweeps_in_one_report_are_tested_only_where_they_asked(tmp_path: Path) -> None:
    """Both sweeps have all three arms; each asks for one pair."""
    arms = (Arm("a", 0.975), Arm("b", 0.98, 200), Arm("c", 0.98, 250))
    folders = [
        write_run(
            tmp_path / name,
            Made(name=name, arms=arms, seeds=6, compare=(pair,), predictions=False, root=k),
        )
        for k, (name, pair) in enumerate((("one", ("b", "a")), ("two", ("c", "a"))))
    ]
    table = findings_of(*folders).pairs.table
    assert table[["task", "treatment"]].drop_duplicates().to_numpy().tolist() == [
        ["one", "b"], ["two", "c"],
    ]  # fmt: skip
    way = table[table["question"] == "way"]
    assert (way["p_question"] <= 2.6 * way["p_value"] + 0.05).all()  # not times all 20 rows
    # accuracy, area, three targets, two of stability, the loss's rise, of each pair once
    assert len(table) == 16
    agrees(table)


def test_a_run_in_which_treatments_diverged_says_of_trials_that_finished(tmp_path: Path) -> None:
    arms = (Arm("scratch", 0.90), Arm("new", 0.98, 200, diverged=(0, 3, 4, 8)))
    made = Made(arms=arms, seeds=10, compare=(("new", "scratch"),), predictions=False)
    findings = findings_of(write_run(tmp_path / "run", made))
    final = findings.pairs.table.set_index("metric").loc["test_accuracy"]
    assert (final["verdict"], final["n_failed_treatment"]) == ("better", 4)
    assert final["among_finished"]
    [answer] = answer_all(findings)
    assert "of trials that finished" in answer.words.lead
    assert "4 of 10 of “new”" in answer.words.rest
    assert "at chance the verdict on final values does not hold" in answer.words.rest
    agrees(findings.pairs.table)


def test_arms_of_different_length_say_who_came_later(tmp_path: Path) -> None:
    arms = (Arm("short", 0.98, 400, steps=400), Arm("long", 0.98, 300, steps=1000))
    made = Made(
        arms=arms, seeds=6, compare=(("short", "long"),), targets=(0.5, 0.9), predictions=False
    )
    [answer] = answer_all(findings_of(write_run(tmp_path / "run", made)))
    assert "steps to 90 %: no trial of either got there in 400 steps, the common budget; " in (
        answer.words.text
    )
    assert "later 6 of 6 of “long” did" in answer.words.text
    assert "later 6 of 6 of “short” did" not in answer.words.text


def test_the_strict_form_is_asked_for_by_the_sweep(tmp_path: Path) -> None:
    measure = {"targets": [0.8, 0.9, 0.95], "equivalence": 0.001}
    loose = write_run(tmp_path / "loose", Made(seeds=6, predictions=False))
    strict = write_run(
        tmp_path / "strict",
        Made(seeds=6, predictions=False, extra={"measure": measure | {"error": "report"}}),
    )
    tables = [findings_of(folder).pairs.table for folder in (loose, strict)]
    assert findings_of(strict).asked[0].errors == "report"
    first = tables[0]["p_question"].idxmin()
    n_questions = tables[0].loc[tables[0]["p_question"].notna(), "question"].nunique()
    assert n_questions == 4, "of overfitting the rise of the loss, which needs no training accuracy"
    expected = n_questions * tables[0]["p_question"][first]
    assert tables[1]["p_question"][first] == pytest.approx(expected)
    agrees(tables[1])


def test_one_quantity_has_one_interval_in_every_unit(tmp_path: Path) -> None:
    findings = findings_of(write_run(tmp_path / "run", Made(seeds=6, predictions=False)))
    times = findings.pairs.table[findings.pairs.table["scale"] == "speedup"].set_index("target")
    for unit in ("step", "samples"):
        rows = findings.pairs.speedups.query("unit == @unit").set_index("target")
        for target in times.index:
            expected = times.loc[target, ["estimate", "low", "high"]].astype(float)
            found = rows.loc[target, ["estimate", "low", "high"]].astype(float)
            assert found.to_numpy() == pytest.approx(expected.to_numpy()), (unit, target)


def test_uses_are_counted_only_after_sooner(tmp_path: Path) -> None:
    """Equal arms: something is saved by chance, and no number of uses is said."""
    arms = (
        Arm("digits", stage="pretrain"),
        Arm("scratch", 0.98, 300),
        Arm("pretrained", 0.98, 296, initialize="digits"),
    )
    made = Made(arms=arms, seeds=5, compare=(("pretrained", "scratch"),), predictions=False)
    folder = write_run(tmp_path / "run", made)
    trials = pd.read_parquet(folder / "trials.parquet")
    parents = trials[trials["arm"] == "digits"].set_index("seed")["trial_id"]
    descends = trials["arm"] == "pretrained"
    trials.loc[descends, "parent_id"] = trials["seed"].map(parents)[descends]
    trials.to_parquet(folder / "trials.parquet")
    findings = findings_of(folder)
    table = findings.pairs.break_evens
    sooner = findings.pairs.table.query("scale == 'speedup' and verdict == 'better'")["target"]
    unsure = table[~table["target"].isin(sooner)]
    assert len(unsure)
    assert unsure["saved"].notna().any()
    assert unsure["uses"].isna().all()
    assert unsure["note"].str.contains("not shown to be sooner").all()
    for answer in answer_all(findings):
        if not len(sooner):
            assert "paid for" not in answer.words.text


def test_accuracy_1_everywhere_claims_nothing(tmp_path: Path) -> None:
    arms = (Arm("a", 1.0, 100), Arm("b", 1.0, 100))
    made = Made(arms=arms, seeds=5, compare=(("b", "a"),), predictions=False, noise=0.0)
    folder = write_run(tmp_path / "run", made)
    trials = pd.read_parquet(folder / "trials.parquet")
    trials.assign(test_accuracy=1.0).to_parquet(folder / "trials.parquet")
    row = findings_of(folder).pairs.table.set_index("metric").loc["test_accuracy"]
    assert row["low"] < 0 < row["high"]
    assert not math.isnan(row["p_value"])
    assert row["verdict"] in ("inconclusive", "equivalent")


def test_what_decides_between_batches_of_seeds_is_what_the_report_says(tmp_path: Path) -> None:
    """In the strict form the final question has a third of 5 % beside two others, not all of it."""
    extra = {"measure": {"targets": [0.9], "error": "report"}, "seeds": {"until": "verdict"}}
    runs = load_runs([write_run(tmp_path / "run", Made(seeds=5, noise=0.003, extra=extra))])
    report = find(runs).pairs.comparisons
    rows = compare_runs(runs)
    assert [(row.metric, row.verdict) for row in rows] == [(r.metric, r.verdict) for r in report]
    (final,) = [row for row in rows if row.question == "final"]
    rule = UntilVerdict(LOOKS, errors="report")
    (by_itself,) = final_comparisons(
        runs.trials, runs.curves, [Pair("pretrained", "scratch")], rule
    )
    assert final.p_question > by_itself.p_question
    pair = [Pair(final.treatment, final.control)]
    shown = [replace(row, verdict="better") for row in rows]
    for given in (shown, [replace(row, verdict="inconclusive") for row in rows]):
        decision = decide_verdict(runs.trials, runs.curves, pair, rule, given)
        assert decision.met == (given is shown)
