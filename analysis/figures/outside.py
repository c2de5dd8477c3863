"""Figure of gains outside against gains inside: each comparison on each further test set.

In: `Findings` of a sweep with `also_test`. Out: the difference on the arms' own test images against
the difference on a further set, with both intervals. It stands apart from the forest because what
it shows is whether the two agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.figures.drawing import Drawing
from analysis.findings.findings import Findings
from analysis.findings.outside import sets_of
from analysis.statistics.pairs.comparison import Comparison

MOST_PAIRS = 8
MOST_SETS = 6


def inside_and_outside(ax: Axes, rows: Sequence[tuple[Comparison, Comparison]], times: int) -> Axes:
    """A mark a comparison, in the order given: (on the own test images, on the further set)."""
    ax.axhline(0, color=style.SOFT, lw=0.8)
    ax.axvline(0, color=style.SOFT, lw=0.8)
    for k, (own, row) in enumerate(rows):
        color, mark = style.COLORS[k % len(style.COLORS)], style.MARKERS[k % len(style.MARKERS)]
        x, y = times * own.estimate, times * row.estimate
        ax.plot(times * np.array([own.low, own.high]), [y, y], color=color, lw=1.2, alpha=0.7)
        ax.plot([x, x], times * np.array([row.low, row.high]), color=color, lw=1.2, alpha=0.7)
        ax.plot([x], [y], color=color, marker=mark, markersize=6, ls="none")
    low, high = np.array(ax.get_xlim()), np.array(ax.get_ylim())
    ends = [max(low[0], high[0]), min(low[1], high[1])]
    if ends[0] < ends[1]:
        ax.plot(ends, ends, color=style.SOFT, lw=0.8, ls=(0, (1, 2)))
    ax.grid(visible=True, axis="both")
    return ax


def draw(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    """One figure: a panel a further set, a colour and a mark a comparison."""
    inside = {
        (r.task, r.treatment, r.control): r
        for r in findings.pairs.comparisons
        if r.metric == findings.score
    }
    rows = {
        (r.task, r.treatment, r.control, r.test_set): r
        for r in findings.pairs.comparisons
        if r.question == "outside" and r.n > 1 and (r.task, r.treatment, r.control) in inside
    }
    if not rows:
        return
    pairs = list(dict.fromkeys(key[:3] for key in rows))[:MOST_PAIRS]
    sets = [s for s in sets_of(findings.runs.outside) if s in {key[3] for key in rows}][:MOST_SETS]
    course = findings.course
    times, unit = (100, "points") if course.is_share else (1, course.measured_in or course.unit)
    figure, axes = style.grid_figure(len(sets), height=3.4)
    for ax, name in zip(axes, sets, strict=True):
        shown = [(inside[pair], rows[(*pair, name)]) for pair in pairs if (*pair, name) in rows]
        inside_and_outside(ax, shown, times)
        ax.set(xlabel=f"On the own test images ({unit})", ylabel=f"On the further set ({unit})")
        ax.set_title(style.short(name, 40))
    several = len(findings.tasks) > 1
    names = [f"{t} − {c}" + (f" ({task})" if several else "") for task, t, c in pairs]
    handles = [
        Line2D([], [], color=style.COLORS[k % len(style.COLORS)],
               marker=style.MARKERS[k % len(style.MARKERS)], ls="none")
        for k in range(len(pairs))
    ]  # fmt: skip
    style.legend_of(figure, handles, [style.short(name, 60) for name in names], 2)
    yield Drawing(
        "further_tests",
        "outside",
        "Gains outside against gains inside",
        "Mean paired differences (treatment − control) with 95 % intervals, each by itself: across "
        "on the arms’ own test images, up on a further set. On the dotted line both are equal; "
        "below 0 on the right, a gain inside is a loss outside.",
        figure,
    )
