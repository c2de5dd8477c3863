"""Every figure of the report: one function each, from a table to axes.

A module here that has `draw(findings, styles) -> Iterator[Drawing]` is found and drawn; to add
a figure, add such a module (or a Drawing to one). `draw_figures` writes each as PNG and SVG.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.figures.drawing import Drawing, Drawn
from analysis.figures.style import Styles, drawing, save_figure

if TYPE_CHECKING:
    from analysis.findings.findings import Findings


def draw_figures(findings: Findings, styles: Styles, folder: Path) -> list[Drawn]:
    """Draw all figures into `folder`, one at a time, and return what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with drawing():
        for one in _drawings(findings, styles):
            svg = save_figure(one.figure, folder, one.name)
            drawn.append(
                Drawn(
                    one.name,
                    one.section,
                    one.title,
                    one.caption,
                    svg,
                    one.in_page,
                    one.in_pdf,
                    one.broad,
                )
            )
    return drawn


def _drawings(findings: Findings, styles: Styles) -> Iterator[Drawing]:
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{__name__}.{found.name}")
        if hasattr(module, "draw"):
            yield from module.draw(findings, styles)
