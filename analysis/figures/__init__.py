"""Every figure of the report: one function each, from a table to axes.

A module here that has `draw(findings, styles) -> Iterator[Drawing]` is found and drawn; to add
a figure, add such a module (or a Drawing to one). `draw_figures` writes each as PNG, SVG and PDF.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from analysis.figures.drawing import Drawing
from analysis.figures.style import Styles, drawing, save_figure
from analysis.findings.findings import Findings


def each_drawing(
    findings: Findings, styles: Styles, modules: Sequence[str] = ()
) -> Generator[tuple[str, Drawing]]:
    """Every figure, one at a time, with the module that drew it; of these `modules`, or of all."""
    with drawing():
        for name in modules or sorted(entry.name for entry in pkgutil.iter_modules(__path__)):
            module = importlib.import_module(f"{__name__}.{name}")
            for drawn in module.draw(findings, styles) if hasattr(module, "draw") else ():
                yield name, drawn


def draw_figures(findings: Findings, styles: Styles, folder: Path) -> list[Drawing]:
    """Draw all figures into `folder`, one at a time, and return what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for _, drawn in each_drawing(findings, styles):
        assert drawn.figure is not None
        svg = save_figure(drawn.figure, folder, drawn.name)
        written.append(replace(drawn, figure=None, svg=svg))
    return written
