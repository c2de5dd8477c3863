"""report.pdf: two pages of text whatever the run, and no text is read as markup."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic_runs import HOSTILE, Arm, Made

from analysis.figures.drawing import Drawing
from analysis.figures.style import arm_styles
from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.report import compose, write_pdf_report

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="200pt" height="100pt" viewBox="0 0 200 100">'
    '<rect width="200" height="100"/></svg>'
)


def pdf_of(folder: Path, path: Path) -> bytes:
    findings = find(load_runs([folder]))
    drawn = [Drawing("one", "arms", "First figure", "What it shows.", None, svg=SVG)]
    write_pdf_report(compose(findings, arm_styles(findings.arm_names), drawn), path)
    return path.read_bytes()


def n_pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_text_fits_two_pages_with_many_arms(run_of, tmp_path: Path) -> None:
    arms = tuple(Arm(f"an arm with a rather long name, number {k}") for k in range(12))
    made = Made(arms=arms, seeds=2, evaluations=6, predictions=False, images=False)
    assert n_pages(pdf_of(run_of(made), tmp_path / "a.pdf")) <= 3


def test_nothing_finished_still_gives_a_report(run_of, tmp_path: Path) -> None:
    made = Made(arms=(Arm("a", failed=(0,)),), seeds=1)
    assert n_pages(pdf_of(run_of(made), tmp_path / "a.pdf")) == 2


def test_hostile_names_are_printed_as_they_are(hostile_run: Path, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext: apt-get install poppler-utils")
    pdf_of(hostile_run, tmp_path / "a.pdf")
    done = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "a.pdf"), "-"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert HOSTILE in done.stdout
    assert "$x_1$ #now {here} 100 %?" in done.stdout
    text = " ".join(done.stdout.split())
    assert f"397 images, 31 groups, source: made up, fingerprint {'f' * 32}." in text
    remarks = f"half of {HOSTILE} was not read; the <b>real</b> one is not used"
    assert remarks.replace(" ", "") in "".join(done.stdout.split()), "a line may end in the name"
    for heading in ("Data set", "Network and why", "Tuning process", "Comparison and analysis"):
        assert heading in done.stdout
    assert "that other values do better was not tested" in done.stdout
