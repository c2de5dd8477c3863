"""Run folders of a version before: what they lack is said, and nothing is made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_runs import Made, write_run

from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.sections import paragraphs_of
from headstart.errors import InputError


def test_a_folder_without_the_new_columns_says_so(tmp_path: Path) -> None:
    made = Made(seeds=4, predictions=False)
    findings = find(load_runs([write_run(tmp_path / "run", made)]))
    assert not findings.gaps["n_gap"].any()
    assert findings.gaps["accuracy_gap"].isna().all()
    assert findings.gaps["test_accuracy"].tolist() == findings.arms["score"].tolist()
    assert findings.sources.empty
    further = [row for row in findings.pairs.comparisons if row.question == "overfitting"]
    assert {row.metric for row in further} == {"loss_rise"}, "of the validation loss there is one"
    said = [*paragraphs_of("stability", findings)]
    assert any("The gap between training and validation is not known" in text for text in said)


def test_a_metric_that_it_did_not_record_is_refused_in_one_line(tmp_path: Path) -> None:
    measure = {"metric": "macro_f1", "targets": [0.9], "equivalence": 0.001}
    made = Made(seeds=4, predictions=False, extra={"measure": measure})
    folder = write_run(tmp_path / "run", made)
    with pytest.raises(InputError, match=r"measure.metric: macro_f1: none of \d+ finished trials"):
        find(load_runs([folder]))
