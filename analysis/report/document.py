"""The parts that a report is made of: sections of charts, figures, tables and terms.

Plain data between what decides the content (`report`, `sections`) and what renders it (`page`,
`pdf`, `workbook`, `exports`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.figures.drawing import Drawing
from analysis.figures.style import Styles
from analysis.findings.findings import Findings
from analysis.report.answers import Answer, Paragraph
from analysis.report.glance import Glance
from analysis.report.tables import Table


@dataclass(frozen=True)
class Content:
    """What every form of the report says: worked out once, rendered several times.

    title: the question; the names of the sweeps where no question was written. facts: one line on
    data, network and seeds. glance: the answer for one screen. top: the paragraphs that answer the
    question. tables: by the id of
    the section they stand in. contact_sheets: files in the report's folder of that name.
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


Block = Chart | Plate | TableBlock | Terms | Details | Prose | Pictures


@dataclass(frozen=True)
class Section:
    """A heading (`short` in the bar of links), paragraphs, and what stands under them."""

    id: str
    short: str
    title: str
    blocks: tuple[Block, ...]
    paragraphs: tuple[str, ...] = ()
