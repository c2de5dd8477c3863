"""The brief form: two pages whatever the run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from synthetic_runs import Arm, Made

from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.essay import surest
from analysis.report.report import compose, write_pdf_report


@pytest.mark.slow
def test_the_brief_form_fits_two_pages_with_many_arms(run_of, tmp_path: Path) -> None:
    arms = tuple(Arm(f"an arm with a rather long name, number {k}") for k in range(12))
    made = Made(arms=arms, seeds=2, evaluations=6, predictions=False, images=False)
    findings = find(load_runs([run_of(made)]))
    content = compose(findings, arm_styles(findings.arm_names))
    write_pdf_report(content, tmp_path / "a.pdf", brief=True)
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 2


def test_the_surest_comparisons_keep_their_paragraphs(run_of) -> None:
    arms = (Arm("a"), Arm("like a"), Arm("also like a"), Arm("faster", 0.98, 100, 0.5))
    findings = find(load_runs([run_of(Made(arms=arms, seeds=5, predictions=False))]))
    answers = compose(findings, arm_styles(findings.arm_names)).answers
    assert [answer.treatment for answer in surest(findings, answers, 1)] == ["faster"]
    assert surest(findings, answers, 9) == list(answers)


def test_arms_that_differ_in_their_layers_alone_have_a_brief_form_too(run_of, tmp_path) -> None:
    arms = (Arm("head", 0.95, fine_tune="last_layer"), Arm("whole", 0.98, fine_tune="all"))
    folder = run_of(Made(arms=arms, seeds=4, n_test=40, images=False))
    findings = find(load_runs([folder]))
    assert len(findings.layers.table) == 2
    content = compose(findings, arm_styles(findings.arm_names))
    write_pdf_report(content, tmp_path / "brief.pdf", brief=True)
    assert (tmp_path / "brief.pdf").read_bytes().startswith(b"%PDF")
