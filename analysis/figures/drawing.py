"""A figure and where it belongs, before and after it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Drawing:
    """A figure, and where it belongs: `section` is the id of a section of the report.

    `in_page` is False where the page has an interactive chart of the same; `in_pdf` whether the
    PDF shows it; `broad` that it may be wider than a phone and scrolls there.
    """

    name: str
    section: str
    title: str
    caption: str
    figure: Any
    in_page: bool = True
    in_pdf: bool = True
    broad: bool = False


@dataclass(frozen=True)
class Drawn:
    """A drawing after it was written: the text of its SVG in place of the figure."""

    name: str
    section: str
    title: str
    caption: str
    svg: str
    in_page: bool
    in_pdf: bool
    broad: bool
