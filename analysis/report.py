"""`write_report`: run folders in, a folder with the whole report out.

The only part of the analysis that writes files, besides the renderers it calls. Analysing a run
twice writes the same bytes: nothing here reads a clock, and the stamp is the end of the last trial.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from analysis import caveats, words
from analysis.figures.style import arm_styles
from analysis.findings import Findings, find
from analysis.load import load_runs
from analysis.page import MOST_SHOWN, Page, render_page
from analysis.sections import build_sections
from headstart.files import atomic_file


@dataclass(frozen=True)
class ReportResult:
    """Where the report is, and the sentences that answer the question."""

    index: Path
    answer: str


def write_report(
    dirs: Iterable[Path | str], out: Path | str | None = None
) -> ReportResult:
    """Analyse the run folders `dirs` and write the report to `out` (DIR/report of the first).

    Raises:
        RunFolderError: a folder is no run folder or is damaged; nothing is written then.
        StorageError: the disk is full.
    """
    folders = [Path(d) for d in dirs]
    findings = find(load_runs(folders))
    out = Path(out) if out is not None else folders[0] / "report"
    out.mkdir(parents=True, exist_ok=True)
    styles = arm_styles(findings.arm_names)
    answers = ["not compared yet"]
    page = _page(findings, answers, build_sections(findings, styles))
    with atomic_file(out / "index.html") as file:
        file.write(render_page(page, styles, findings.arm_names[:MOST_SHOWN]))
    return ReportResult(out / "index.html", "\n".join(answers))


def _page(findings: Findings, answers: list[str], sections: list) -> Page:
    questions = [a.question or a.name for a in findings.asked]
    return Page(
        title=" ".join(questions),
        kicker=f"Headstart report · {words.listed(a.name for a in findings.asked)}",
        facts="",
        caveats=caveats.find_caveats(findings),
        answers=answers,
        files=[],
        sections=sections,
        footer=f"Written from trials that ended by {findings.stamp}.",
    )
