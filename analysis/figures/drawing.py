"""A figure and where it belongs, before and after it is written.

It stands alone because figures are made in one room and shown by another, which need only this.
"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A figure, and where it belongs: `section` is the id of a section of the report.

    `in_page` is False where the page has an interactive chart of the same; `in_pdf` whether the
    PDF shows it; `broad` that it may be wider than a phone and scrolls there. After it was written
    the text of its SVG stands in place of the figure.
    """

    name: str
    section: str
    title: str
    caption: str
    figure: Figure | None
    in_page: bool = True
    in_pdf: bool = True
    broad: bool = False
    svg: str = ""
