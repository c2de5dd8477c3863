"""`write_report`: run folders in, a folder with the whole report out.

It stands alone as the only part of the analysis that writes a report, with the renderers that it
calls. Analysing a run twice writes the same bytes: nothing reads a clock, and the stamp is the
end of the last trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis import words
from analysis.figures import draw_figures
from analysis.figures.drawing import Drawing
from analysis.figures.focus import focus_arms, focus_tasks
from analysis.figures.style import Styles, arm_styles
from analysis.findings.findings import Findings, find
from analysis.findings.load import load_runs
from analysis.findings.looked import looks_now, remember
from analysis.report.answers import answer_all, summary
from analysis.report.caveats import find_caveats, n_seeds_text
from analysis.report.chapters import lay_out
from analysis.report.displays import PARTS
from analysis.report.document import Content
from analysis.report.evaluations import write_evaluations
from analysis.report.exports import names_of, report_json, write_json, write_tables
from analysis.report.glance import Glance, at_a_glance
from analysis.report.hand_in.paper import write_paper
from analysis.report.labels import labels_of
from analysis.report.links import Links
from analysis.report.page import render_page
from analysis.report.pdf.brief import write_brief
from analysis.report.pdf.pages import write_report_pdf
from analysis.report.sections import build_tables, in_order
from analysis.report.workbook.write import write_workbook
from headstart.files import atomic_file
from headstart.foreign import own_folder, refuse_links
from headstart.records import CONTACT_SHEETS

HAND_IN_REPORT, HAND_IN_WORKBOOK = "Assignment 4_Report.pdf", "Assignment 4 Results.xlsx"


@dataclass(frozen=True)
class HandIn:
    """The folder that is handed in, which has its images already, and the seed that it is of."""

    folder: Path
    seed: int


@dataclass(frozen=True)
class ReportResult:
    """Where the report is, and what a reader of one screen takes away from it."""

    index: Path
    glance: Glance


def write_report(
    dirs: Iterable[Path | str],
    out: Path | str | None = None,
    workbook: str | None = None,
    pdf: str | None = None,
    hand_in: HandIn | None = None,
) -> ReportResult:
    """Analyse the run folders `dirs` and write the report to `out` (DIR/report of the first).

    `workbook`: also write the four evaluations of Assignment 4 to a file of this name there;
    `pdf`: also write the text of at most two pages, with those evaluations, without the figures;
    `hand_in`: also write the two documents that Assignment 4 asks for into its folder.

    Raises:
        RunFolderError: a folder is no run folder or is damaged; nothing is written then.
        StorageError: the disk is full.
    """
    folders = [Path(d) for d in dirs]
    findings = find(load_runs(folders))
    if out is None:  # in a run folder, which may be a stranger's
        out = own_folder(folders[0], "report")
        refuse_links(out, deep=True)
    result = write_findings(findings, Path(out), workbook, pdf, hand_in)
    remember(looks_now(findings.runs, findings.asked))
    return result


def write_findings(
    findings: Findings,
    out: Path,
    workbook: str | None = None,
    pdf: str | None = None,
    hand_in: HandIn | None = None,
) -> ReportResult:
    """Write the report on what was found to the folder `out`; arguments as of `write_report`."""
    out.mkdir(parents=True, exist_ok=True)
    styles = arm_styles(findings.arm_names)
    drawn = draw_figures(findings, styles, out / "figures")
    labels = labels_of(findings.runs.folders, out / "figures")
    drawn += labels.drawn
    content = compose(findings, styles, drawn, _contact_sheets(out), labels.paragraphs)
    write_tables(content.each_table, out / "tables", names_of(findings.runs.trials))
    write_json(out / "report.json", report_json(content))
    write_pdf_report(content, out / "report.pdf")
    write_workbook(out / "results.xlsx", content)
    if workbook is not None:
        write_evaluations(out / workbook, findings)
    if pdf is not None:
        write_pdf_report(content, out / pdf, brief=True)
    if hand_in is not None:
        write_evaluations(hand_in.folder / HAND_IN_WORKBOOK, findings, hand_in.seed)
        path = hand_in.folder / HAND_IN_REPORT
        write_paper(path, content, hand_in.seed, f"Seed {hand_in.seed}", out)
    with atomic_file(out / "index.html") as file:
        file.write(page_text(content, out))
    return ReportResult(out / "index.html", content.glance)


def _contact_sheets(out: Path) -> tuple[str, ...]:
    """The pictures that a sweep has put beside the report, in order."""
    return tuple(sorted(path.name for path in (out / CONTACT_SHEETS).glob("*.jpg")))


def compose(
    findings: Findings,
    styles: Styles,
    drawn: Sequence[Drawing] = (),
    contact_sheets: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> Content:
    """All words and tables of a report, with the figures that were drawn."""
    answers, glance = answer_all(findings), at_a_glance(findings)
    return Content(
        findings=findings,
        styles=styles,
        title=glance.question,
        facts=_facts(findings),
        glance=glance,
        top=summary(findings, answers),
        caveats=find_caveats(findings),
        answers=answers,
        tables=build_tables(findings),
        drawn=in_order(drawn),
        contact_sheets=contact_sheets,
        labels=labels,
    )


def page_text(content: Content, out: Path | None = None) -> str:
    """index.html as text; with links to files of trials where it will lie in the folder `out`."""
    findings = content.findings
    shown = {arm for task in focus_tasks(findings) for arm in focus_arms(findings, task)}
    if content.glance.others:  # as many as have a card
        shown = {card.arm for card in content.glance.cards}
    kicker = f"Headstart report · {words.listed(a.name for a in findings.asked)}"
    footer = (
        f"Headstart. The last trial ended {_stamp_text(findings.stamp)}; this page depends "
        "on the trials alone and needs no network."
    )
    return render_page(content, lay_out(content, Links(out)), kicker, footer, shown)


def write_pdf_report(content: Content, path: Path, brief: bool = False) -> None:
    """Typeset report.pdf; `brief`: two pages at most, the four evaluations first, no figures."""
    footer = f"Headstart · last trial ended {_stamp_text(content.findings.stamp)}"
    (write_brief if brief else write_report_pdf)(path, content, footer)


def _facts(findings: Findings) -> str:
    """One line on data, network and seeds."""
    done = findings.evidence[findings.evidence["status"] == "done"]
    if done.empty:
        return ""
    sets = words.shortened(list(dict.fromkeys(done["dataset"].astype(str))))
    models = words.shortened(list(dict.fromkeys(done["model"].astype(str))))
    counts = [
        f"{int(done[key].max()):,} {noun}"
        for key, noun in PARTS.items()
        if key in done and done[key].nunique() == 1 and done[key].max() > 0
    ]
    images = f" ({', '.join(counts)})" if counts else ""
    own = [*own_code(findings)]
    code = f" Code of the user’s own: {words.shortened(own)}; texts in code/." if own else ""
    return (
        f"Data: {sets}{images}. Network: {models}.{code} "
        f"{words.plural(len(done), 'finished trial')}, {n_seeds_text(findings.arms)}."
    )


def own_code(findings: Findings) -> Iterator[str]:
    """`my_nets.py:Net (digest 3f2a8c01)` of each network, optimizer and loss of the user's own."""
    done = findings.evidence
    texts = done["code"].dropna() if "code" in done else []
    for code in dict.fromkeys(line for text in texts for line in str(text).split("\n") if line):
        name, _, digest = code.rpartition(" ")  # a file's name may have spaces
        yield f"{name} (digest {digest[:8]})"


def _stamp_text(stamp: str) -> str:
    """`2026-01-02 03:04 UTC` of an ISO time."""
    return f"{stamp[:16].replace('T', ' ')} UTC" if len(stamp) >= 16 else "at a time not recorded"
