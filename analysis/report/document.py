"""The parts that a report is made of: sections of charts, figures, tables and terms.

Plain data between what decides the content (`report`, `sections`) and what renders it (`page`,
`pdf`, `workbook`, `exports`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis import words
from analysis.figures.drawing import Drawing
from analysis.figures.style import Styles
from analysis.findings.findings import Findings
from analysis.report.answers import Answer, Paragraph
from analysis.report.glance import Glance
from analysis.report.links import Link
from analysis.report.tables import Table


@dataclass(frozen=True)
class Content:
    """What every form of the report says: worked out once, rendered several times.

    title: the question; the names of the sweeps where no question was written. facts: one line on
    data, network and seeds. glance: the answer for one screen. top: the paragraphs that answer the
    question. tables: by the id of the section they stand in. contact_sheets: files in the report's
    folder of that name. labels: what audits say of the labels.
    """

    findings: Findings
    styles: Styles
    title: str
    facts: str
    glance: Glance
    top: Sequence[Paragraph]
    caveats: Sequence[str]
    answers: Sequence[Answer]
    tables: Mapping[str, Sequence[Table]]
    drawn: Sequence[Drawing]
    contact_sheets: Sequence[str] = ()
    labels: Sequence[str] = ()

    @property
    def each_table(self) -> list[Table]:
        return [table for tables in self.tables.values() for table in tables]


@dataclass(frozen=True)
class Chart:
    """An interactive chart: `spec` is a description for Vega-Lite (see `charts`)."""

    id: str
    title: str
    caption: str
    spec: Mapping[str, Any]
    file: str = ""


@dataclass(frozen=True)
class Plate:
    """A drawn figure, shown as inline SVG; `file` is its name in figures/ without an ending."""

    id: str
    title: str
    caption: str
    file: str
    svg: str
    broad: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A table, of which the page shows the first `limit` rows."""

    table: Table
    limit: int = 200


@dataclass(frozen=True)
class Term:
    """A name, what it means, and where that comes from."""

    name: str
    text: str
    source: str = ""


@dataclass(frozen=True)
class Terms:
    """A list of definitions."""

    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Details:
    """Text that opens on request, set as it is."""

    summary: str
    text: str


@dataclass(frozen=True)
class Prose:
    """Paragraphs that open on request: many of one kind."""

    summary: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Pictures:
    """Pictures beside the page, each a link to itself: `files` are their names in `folder`."""

    title: str
    caption: str
    folder: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class TrialLine:
    """One trial: how it ended, its curve as the path of an SVG, links to its files."""

    trial_id: str
    seed: str
    end: str
    is_done: bool
    path: str
    links: tuple[Link, ...]


@dataclass(frozen=True)
class TrialGroup:
    """The trials of one arm; `left_out`: how many more there are."""

    id: str
    arm: str
    task: str
    color: int
    trials: tuple[TrialLine, ...]
    left_out: int


@dataclass(frozen=True)
class Trials:
    """Every arm with its trials; width, height: of their curves, in pixels."""

    groups: tuple[TrialGroup, ...]
    width: int
    height: int


Block = Chart | Plate | TableBlock | Terms | Details | Prose | Pictures | Trials


@dataclass(frozen=True)
class Fold:
    """What opens on request, under one line."""

    summary: str
    blocks: tuple[Block, ...]
    paragraphs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A heading (`short` in the bar of links), what was found in one sentence, and what shows it.

    behind: tables, methods and further figures, each folded away. is_folded: the whole section
    opens on request; its line says what is in it.
    """

    id: str
    short: str
    title: str
    blocks: tuple[Block, ...]
    paragraphs: tuple[str, ...] = ()
    finding: str = ""
    behind: tuple[Fold, ...] = ()
    is_folded: bool = False

    @property
    def every_block(self) -> list[Block]:
        return [*self.blocks, *(block for fold in self.behind for block in fold.blocks)]

    @property
    def contents(self) -> str:
        """`4 figures, 3 tables`: what a folded section has."""
        kinds = [type(block).__name__ for block in self.every_block]
        n_figures = kinds.count("Chart") + kinds.count("Plate")
        counts = ((n_figures, "figure"), (kinds.count("TableBlock"), "table"))
        return ", ".join(words.plural(n, noun) for n, noun in counts if n)
