"""LaTeX: nothing in a name is a command, and each table fits a column of two or the page."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from synthetic_runs import HOSTILE, Arm, Made, write_run

from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.latex import escape_latex, latex_table
from analysis.report.sections import build_tables
from analysis.report.tables import Column, Table

PAPER = r"""\documentclass[twocolumn,10pt]{article}
\usepackage{booktabs,array}
\setlength{\textwidth}{17.8cm}\setlength{\columnsep}{0.8cm}\setlength{\textheight}{24cm}
\begin{document}
%s
\end{document}
"""


def table(name: str = "a_b", high: float = 0.6) -> Table:
    frame = pd.DataFrame({"arm": [name], "x": [0.5], "low": [0.4], "high": [high]})
    shown = (
        Column("arm", "Arm"),
        Column("x", "Accuracy & more", "percent", "low", "high"),
        Column("low", "Further", "percent", more=True),
    )
    return Table("t", "Title 100 %", frame, shown, "A note.")


@pytest.mark.parametrize("character", list('\\{}$&#%_^~<>|"'))
def test_every_special_character_is_escaped(character: str) -> None:
    assert escape_latex(character) != character


def test_a_table_by_hand() -> None:
    text = latex_table(table())
    assert r"\begin{table}" in text
    assert r"\begin{tabular}{@{}lr@{}}" in text
    assert r"Arm & \shortstack[r]{Accuracy \& \\ more (\%)} \\" in text
    assert r"a\_b & 50.00 [40.00, 60.00] \\" in text
    assert r"\caption{Title 100 \%. A note.}" in text
    assert "Further" not in text, "what the page shows on request"
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_a_name_in_brackets_is_no_argument_of_the_line_before() -> None:
    assert "\n{}[odd] & " in latex_table(table("[odd]"))
    heading = Column("x", "Estimate [95 % interval, alone]", "percent")
    text = latex_table(Table("t", "T", pd.DataFrame({"x": [0.5]}), (heading,)))
    assert r"\\ {}[95 \%" in text


def test_a_long_table_continues_in_further_floats() -> None:
    frame = pd.DataFrame({"arm": [f"arm {k}" for k in range(100)]})
    text = latex_table(Table("t", "Arms", frame, (Column("arm", "Arm"),)))
    assert text.count(r"\begin{table}") == 3
    assert text.count(r"\label{tab:t}") == 1
    assert text.count("(continued)") == 2


def test_each_float_has_a_label_of_its_own_whatever_arms_are_called() -> None:
    arms = ("a b", "a-b", "continued", "×", "")
    frame = pd.DataFrame({"arm": [arm for arm in arms for _ in range(60)], "x": 0.5})
    shown = (Column("x", "Accuracy", "percent"),)
    text = latex_table(Table("t", "T", frame, shown, paper_by=("arm",)))
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert labels == ["tab:t-a-b-1", "tab:t-a-b-2", "tab:t-continued", "tab:t-4", "tab:t-5"]


def compile_latex(folder: Path, texts: Sequence[str]) -> str:
    """The log of a paper with these tables, one after another."""
    (folder / "paper.tex").write_text(PAPER % "\n\\clearpage\n".join(texts), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False
    )
    log = (folder / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    return log


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex on this machine")
@pytest.mark.parametrize("n_classes", [10, 30])
def test_every_table_of_a_report_compiles_and_fits(n_classes: int, tmp_path: Path) -> None:
    """Slow: it composes whole reports, and runs LaTeX."""
    if not subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).stdout:
        pytest.skip("the LaTeX of this machine has no booktabs (texlive-latex-recommended)")
    arms = (Arm(HOSTILE, 0.95), Arm("[pretrained, a long name] last_2 of them", 0.98, 200))
    made = Made(arms=arms, seeds=2, n_classes=n_classes, images=False, evaluations=4)
    findings = find(load_runs([write_run(tmp_path / "run", made)]))
    tables = [table for tables in build_tables(findings).values() for table in tables]
    log = compile_latex(tmp_path, [latex_table(table) for table in tables])
    assert len(tables) > 10
    assert not re.findall(r"Overfull .hbox \((?!0\.|[1-5]\.).*|Float too large.*", log)
    text = "".join(map(latex_table, tables))
    assert text.count(r"\begin{table}") > 1, "some fit a column"
