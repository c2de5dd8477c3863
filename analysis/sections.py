"""The sections of the report, from the numbers: what is shown, in which order, with which words."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from analysis import charts, displays
from analysis.document import Chart, Details, Section, TableBlock
from analysis.figures.style import Styles
from analysis.findings import Findings


def build_sections(findings: Findings, styles: Styles) -> list[Section]:
    """All sections that have something to say."""
    return [
        Section("arms", "Arms", "Results by arm", (TableBlock(displays.arm_table(findings)),)),
        Section("learning", "Learning", "Learning curves", tuple(_learning(findings, styles)),
                legend=True),
        Section("provenance", "Provenance", "Provenance", tuple(_provenance(findings))),
    ]


def _learning(findings: Findings, styles: Styles) -> Iterator[Chart]:
    numbers = {arm: k for k, arm in enumerate(styles)}
    for k, task in enumerate(findings.tasks):
        title = "Learning curves" + (f", {task}" if len(findings.tasks) > 1 else "")
        spec = charts.learning_chart(findings.learning, task, numbers, title)
        if spec["views"]:
            caption = (
                "Mean over seeds (line), pointwise 95 % interval (band, Student's t) and single "
                "runs (faint). A trial that stopped early counts with its last value."
            )
            yield Chart(f"learning-{k}", title, caption, "", spec)


def _provenance(findings: Findings) -> Iterator[Details]:
    for folder, record in zip(findings.runs.folders, findings.runs.provenance, strict=True):
        text = yaml.safe_dump(record, sort_keys=True, allow_unicode=True)
        yield Details(f"Provenance of {folder.name}", text)
    for asked in findings.asked:
        text = yaml.safe_dump(dict(asked.sweep), sort_keys=False, allow_unicode=True)
        yield Details(f"Sweep “{asked.name}” as it was resolved", text)
