"""Further test sets: one question of their own, which changes no other one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from synthetic_runs import Arm, Made, write_run

from analysis.figures import each_drawing
from analysis.figures.style import arm_styles
from analysis.findings.findings import Findings, find
from analysis.findings.load import load_runs
from analysis.findings.outside import set_warnings
from analysis.report.displays_outside import outside_pairs, outside_words
from analysis.report.sections import build_tables
from headstart.digests import sealed_table
from headstart.errors import RunFolderError

ARMS = (Arm("scratch", 0.95), Arm("tuned", 0.97, failed=(7,)))


def with_scores(
    run: Path, sets: Mapping[str, tuple[float, float]], corrupted: str = "", skip: int = -1
) -> Path:
    """Adds scores: by set the means of both arms; seed `skip` has none."""
    trials = pd.read_parquet(run / "trials.parquet")
    rows = []
    for k, (name, means) in enumerate(sets.items()):
        rng = np.random.default_rng(k)
        for trial in trials[trials["status"] == "done"].itertuples():
            value = means[trial.arm != "scratch"] + rng.normal(0, 0.004)
            if trial.seed != skip:
                rows.append(
                    {"trial_id": trial.trial_id, "arm": trial.arm, "seed": trial.seed}
                    | {"test_set": name, "corruption": "blur" if name == corrupted else ""}
                    | {"fingerprint": "f" * 32, "n_images": 500, "accuracy": value, "loss": 1.0}
                    | {"balanced_accuracy": value, "macro_f1": value, "device": "cpu"}
                )
    (run / "also_test.parquet").write_bytes(sealed_table(pa.Table.from_pylist(rows)))
    path = run / "provenance.json"
    content = json.loads(path.read_text("utf-8"))
    content["also_test"] = [{"called": name} for name in sets]
    path.write_text(json.dumps(content), "utf-8")
    return run


def found(run: Path) -> Findings:
    return find(load_runs([run]))


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> tuple[Findings, Findings]:
    """One run without further sets, and with two: a gain on one, a loss on the other."""
    run = write_run(tmp_path_factory.mktemp("runs") / "made", Made(arms=ARMS, equivalence=0.01))
    before = found(run)
    return before, found(with_scores(run, {"pages": (0.8, 0.7), "blur 3": (0.9, 0.93)}, "blur 3"))


def test_a_row_is_the_paired_t_test_of_its_set(outside):
    _, findings = outside
    scores = findings.runs.outside
    row = next(r for r in findings.pairs.comparisons if r.test_set == "pages")
    values = scores[scores["test_set"] == "pages"].pivot_table(
        index="seed", columns="arm", values="accuracy"
    ).dropna()  # fmt: skip
    wanted = stats.ttest_rel(values["tuned"], values["scratch"])
    assert (row.metric, row.question, row.n_pairs) == ("outside_accuracy", "outside", 7)
    assert row.estimate == pytest.approx((values["tuned"] - values["scratch"]).mean())
    assert row.p_value == pytest.approx(wanted.pvalue)
    assert (row.verdict, row.n_question) == ("worse", 2)
    assert row.p_question >= row.p_value


def test_the_other_questions_are_as_without_further_sets(outside):
    before, after = outside
    own = [row for row in after.pairs.comparisons if row.question != "outside"]
    assert [str(asdict(row)) for row in own] == [str(asdict(r)) for r in before.pairs.comparisons]
    assert len(after.pairs.comparisons) == len(own) + 2


def test_what_is_gained_inside_and_lost_outside_is_told(outside):
    _, findings = outside
    text = " ".join(outside_words(findings))
    assert "Of 2 comparisons on further test sets" in text
    assert "“tuned” is better than “scratch” on the arms’ own test images" in text
    assert "and worse on pages" in text
    assert "worse on blur 3" not in text


def test_tables_and_figures_have_each_set_and_arm(outside):
    _, findings = outside
    table = findings.outside
    assert list(zip(table["test_set"], table["arm"], strict=True)) == [
        ("pages", "scratch"), ("pages", "tuned"), ("blur 3", "scratch"), ("blur 3", "tuned")
    ]  # fmt: skip
    assert (table["score_low"] < table["score"]).all()
    np.testing.assert_allclose(table["change"], table["score"] - table["inside"])
    assert table["n"].tolist() == [8, 7, 8, 7]
    names = [each.name for each in build_tables(findings)["outside"]]
    assert names == ["further_tests", "further_comparisons"]
    assert outside_pairs(findings).frame["inside_verdict"].tolist() == ["better", "better"]
    styles = arm_styles(findings.arm_names)
    drawn = [each.name for _, each in each_drawing(findings, styles, ("outside", "cost"))]
    assert drawn == ["further_tests", "cost"]


def test_a_run_without_further_sets_has_none_of_it(outside):
    before, _ = outside
    assert before.outside.empty
    assert "outside" not in {key for key, tables in build_tables(before).items() if tables}
    assert list(outside_words(before)) == []


def test_only_images_of_the_pool_have_the_correction_for_redrawn_splits(tmp_path):
    made = Made(arms=ARMS, pool=1000, n_train=800)
    run = with_scores(write_run(tmp_path / "pool", made), {"a": (0.5, 0.6), "b": (0.5, 0.6)}, "b")
    rows = {r.test_set: r for r in found(run).pairs.comparisons if r.test_set}
    assert rows["b"].overlap > 0
    assert rows["a"].overlap == 0
    assert "other splits of this pool" in rows["a"].note


def test_scores_that_are_missing_are_counted_and_sets_that_went_are_left_out(tmp_path):
    run = with_scores(write_run(tmp_path / "made", Made(arms=ARMS)), {"a": (0.5, 0.6)}, skip=2)
    findings = found(run)
    assert list(outside_words(findings))[-1] == "13 of 15 scores on further test sets were made."
    path = run / "provenance.json"
    content = json.loads(path.read_text("utf-8"))
    del content["also_test"]
    path.write_text(json.dumps(content), "utf-8")
    assert found(run).outside.empty


def test_a_damaged_table_of_scores_is_named(tmp_path):
    run = with_scores(write_run(tmp_path / "made", Made(arms=ARMS, seeds=3)), {"a": (0.5, 0.6)})
    path = run / "also_test.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunFolderError, match=r"also_test\.parquet: damaged"):
        load_runs([run])


def test_what_was_warned_of_in_a_set_is_said_once() -> None:
    warned = {"called": "photos", "warnings": ["9 of 90 images are among /srv/ann/own.csv"]}
    sets = [warned, {"called": "blur 3", "warnings": []}, "damaged", {"warnings": "damaged"}]
    said = set_warnings([{"also_test": sets}, {"also_test": [warned]}, {"also_test": 3}, {}])
    assert said == ["Photos: 9 of 90 images are among …/own.csv."]
