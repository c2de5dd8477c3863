"""The table by class is scikit-learn's `classification_report`, the matrix is its confusion."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from synthetic_runs import Arm, Made, write_run

from analysis.findings.findings import Findings, find
from analysis.findings.load import load_runs
from analysis.report.displays_classes import average_table, class_table, confusion_tables
from analysis.statistics.samples.predictions import Predictions

ARMS = (Arm("scratch", 0.8), *(Arm(f"arm {k}", 0.9) for k in range(1, 9)))
NAMES = [str(k) for k in range(6)]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Ten arms: more than the figures show."""
    few = {"targets": (0.8,), "compare": (("arm 8", "scratch"),), "images": False}
    made = Made(arms=ARMS, seeds=2, n_classes=6, n_test=80, evaluations=3, **few)  # type: ignore[arg-type]
    return find(load_runs([write_run(tmp_path_factory.mktemp("classes") / "run", made)]))


def predictions(findings: Findings, arm: str) -> list[Predictions]:
    ids = findings.evidence.loc[findings.evidence["arm"] == arm, "trial_id"]
    read = [findings.runs.predictions(trial_id) for trial_id in ids]
    return [answers for answers in read if answers is not None]


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS])
def test_every_arm_has_the_report_of_scikit_learn_in_its_order(
    findings: Findings, arm: str
) -> None:
    frame = class_table(findings).frame
    rows = frame[frame["arm"] == arm].set_index("class_name")
    reports = [
        metrics.classification_report(
            p.labels, p.predicted, labels=range(6), target_names=NAMES, output_dict=True,
            zero_division=0,
        )
        for p in predictions(findings, arm)
    ]  # fmt: skip
    assert list(rows.index) == list(reports[0])
    for name in (*NAMES, "macro avg", "weighted avg"):
        expected = [[r[name][k] for k in ("precision", "recall", "f1-score")] for r in reports]
        found = rows.loc[name, ["precision", "recall", "f1"]].astype(float)
        assert found.to_numpy() == pytest.approx(np.mean(expected, axis=0))
        assert rows.loc[name, "support"] == np.mean([r[name]["support"] for r in reports])
    assert rows.loc["accuracy", "f1"] == pytest.approx(np.mean([r["accuracy"] for r in reports]))
    assert rows.loc["accuracy", "support"] == 80
    assert np.isnan(rows.loc["accuracy", "recall"])


def test_every_arm_has_its_confusion_matrix_with_counts_and_shares(findings: Findings) -> None:
    (table,) = confusion_tables(findings)
    assert set(table.frame["arm"]) == {arm.name for arm in ARMS}
    for arm in ("scratch", "arm 8"):
        rows = table.frame[table.frame["arm"] == arm]
        each = [
            metrics.confusion_matrix(p.labels, p.predicted, labels=range(6))
            for p in predictions(findings, arm)
        ]
        counts = rows[[f"count_{k}" for k in range(6)]].to_numpy()
        assert counts.tolist() == sum(each).tolist()
        shares = rows[[f"share_{k}" for k in range(6)]].to_numpy()
        expected = np.mean([m / m.sum(axis=1, keepdims=True) for m in each], axis=0)
        assert shares == pytest.approx(expected)
        classes = class_table(findings).frame
        recall = classes[(classes["arm"] == arm) & (classes["scope"] == "class")]["recall"]
        assert np.diag(shares) == pytest.approx(recall.to_numpy()), "one number in both tables"
    cell = next(table.rows())[2 + 3]  # of the first true class, after three columns on request
    assert cell.text.startswith(f"{table.frame['count_0'].iloc[0]} (")


def test_the_page_shows_whole_arms_the_control_first(findings: Findings) -> None:
    table = class_table(findings)
    assert table.frame["arm"].iloc[0] == "scratch"
    assert table.n_page % 9 == 0
    assert set(table.frame.head(table.n_page)["arm"]) <= {arm.name for arm in ARMS}


def test_an_accuracy_has_one_interval_in_both_tables(findings: Findings) -> None:
    averages = average_table(findings).frame.set_index("arm")
    arms = findings.arms.set_index("arm")
    for end in ("", "_low", "_high"):
        accuracy, score = averages[f"all_accuracy{end}"], arms[f"score{end}"]
        assert accuracy.to_dict() == pytest.approx(score.to_dict(), nan_ok=True)
