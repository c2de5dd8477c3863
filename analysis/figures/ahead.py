"""Figure of the difference of two learning curves with the band that holds for all of it.

In: the bands of `Findings`. Out: one `Drawing` a task. It stands apart from the learning curves
because its intervals are simultaneous and of differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes

from analysis.figures.drawing import Drawing
from analysis.figures.focus import file_name, focus_tasks, titled
from analysis.figures.rows import until_where
from analysis.figures.style import SOFT, Styles, grid_figure, percent_axis, short
from analysis.findings.ahead import Ahead
from analysis.findings.findings import Findings
from analysis.statistics.times.course import Course

MOST_PAIRS = 6


def difference_of_curves(ax: Axes, ahead: Ahead, styles: Styles, course: Course) -> Axes:
    """Mean difference of the metric by step, its band, and 0 as a line."""
    style, band = styles[ahead.pair.treatment], ahead.band
    ax.axhline(0, color=SOFT, lw=0.8)
    ax.fill_between(ahead.steps, band.low, band.high, color=style.hex, alpha=0.18, lw=0)
    ax.plot(ahead.steps, band.mean, color=style.hex)
    ax.set_title(f"{short(ahead.pair.treatment)} − {short(ahead.pair.control)}", color=SOFT)
    ax.set(xlabel="Training steps", ylabel=f"Ahead in {course.words}{course.of_unit}")
    room = until_where(band.mean)
    ax.set_ylim(max(-room, float(band.low.min()) * 1.05), min(room, float(band.high.max()) * 1.05))
    if course.is_share:
        percent_axis(ax.yaxis)
    return ax


def draw(findings: Findings, styles: Styles) -> Iterator[Drawing]:
    """The differences of the first pairs of each task."""
    for task in focus_tasks(findings):
        rows: Sequence[Ahead] = [row for row in findings.ahead if row.task == task]
        if not rows:
            continue
        figure, axes = grid_figure(len(rows[:MOST_PAIRS]))
        for ax, row in zip(axes, rows[:MOST_PAIRS], strict=True):
            difference_of_curves(ax, row, styles, findings.course)
        left_out = f" The first {MOST_PAIRS} pairs." if len(rows) > MOST_PAIRS else ""
        yield Drawing(
            file_name("ahead", findings, task),
            "learning",
            titled("Who is ahead, and when", findings, task),
            f"Mean paired difference of {findings.course.words} on validation images. The band "
            f"holds for the whole curve at once (95 %): where it leaves 0, one arm is ahead."
            f"{left_out}",
            figure,
            in_page=False,
        )
