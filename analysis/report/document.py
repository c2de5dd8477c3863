"""The parts that a report is made of: sections of charts, figures, tables and terms.

Plain data between what decides the content (`sections`) and what renders it (`page`, `pdf`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from analysis.report.tables import Table


@dataclass(frozen=True)
class Chart:
    """An interactive chart: `spec` is what templates/page.js draws (see `charts`)."""

    id: str
    title: str
    caption: str
    y_label: str
    spec: Mapping[str, Any]
    file: str = ""
    type: ClassVar[str] = "chart"


@dataclass(frozen=True)
class Plate:
    """A drawn figure, shown as inline SVG; `file` is its name in figures/ without an ending."""

    id: str
    title: str
    caption: str
    file: str
    svg: str
    broad: bool = False
    type: ClassVar[str] = "figure"


@dataclass(frozen=True)
class TableBlock:
    """A table, of which the page shows the first `limit` rows."""

    table: Table
    limit: int = 200
    type: ClassVar[str] = "table"


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
    type: ClassVar[str] = "terms"


@dataclass(frozen=True)
class Details:
    """Text that opens on request, set as it is."""

    summary: str
    text: str
    type: ClassVar[str] = "details"


@dataclass(frozen=True)
class Prose:
    """Paragraphs that open on request: many of one kind."""

    summary: str
    paragraphs: tuple[str, ...]
    type: ClassVar[str] = "prose"


Block = Chart | Plate | TableBlock | Terms | Details | Prose


@dataclass(frozen=True)
class Section:
    """A heading (`short` in the bar of links), paragraphs, and what stands under them."""

    id: str
    short: str
    title: str
    blocks: tuple[Block, ...]
    paragraphs: tuple[str, ...] = ()
    legend: bool = False
