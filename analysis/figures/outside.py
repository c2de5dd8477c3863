"""Figure of gains outside against gains inside: each comparison on each further test set.

In: `Findings` of a sweep with `also_test`. Out: the difference on the arms' own test images against
the difference on a further set, with both intervals. It stands apart from the forest because what
it shows is whether the two agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from analysis.figures import style
from analysis.figures.drawing import Drawing
from analysis.findings.findings import Findings
from analysis.findings.outside import sets_of

MOST_PAIRS = 8
APART = 7  # points of the page between the marks of two sets


def draw(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    """One figure: a colour a comparison, a mark a further set."""
    rows = [r for r in findings.pairs.comparisons if r.question == "outside" and r.n > 1]
    inside = {
        (r.task, r.treatment, r.control): r
        for r in findings.pairs.comparisons
        if r.metric == findings.score
    }
    rows = [r for r in rows if (r.task, r.treatment, r.control) in inside]
    if not rows:
        return
    pairs = list(dict.fromkeys((r.task, r.treatment, r.control) for r in rows))[:MOST_PAIRS]
    sets = sets_of(findings.runs.outside)
    times, unit = (100, "points") if findings.course.is_share else (1, "nats")
    figure, axes = style.new_figure(6.4, 4.8)
    ax = axes[0, 0]
    ax.axhline(0, color=style.SOFT, lw=0.8)
    ax.axvline(0, color=style.SOFT, lw=0.8)
    for (k, pair), (j, name) in product(enumerate(pairs), enumerate(sets)):
        for row in (
            r for r in rows if (r.task, r.treatment, r.control, r.test_set) == (*pair, name)
        ):
            own, color = inside[pair], style.COLORS[k % len(style.COLORS)]
            x, y = times * own.estimate, times * row.estimate
            aside = (j - (len(sets) - 1) / 2) * APART / 72  # all sets of a pair have one x
            moved = ax.transData + ScaledTranslation(aside, 0, figure.dpi_scale_trans)
            look = {"color": color, "lw": 1.2, "alpha": 0.7, "transform": moved}
            ax.plot(times * np.array([own.low, own.high]), [y, y], **look)
            ax.plot([x, x], times * np.array([row.low, row.high]), **look)
            mark = style.MARKERS[j % len(style.MARKERS)]
            look |= {"alpha": 1.0, "ls": "none"}
            ax.plot([x], [y], marker=mark, markersize=6, **look)
            ax.update_datalim([(times * v, times * w) for v, w in (
                (own.low, row.low), (own.high, row.high)) if v == v and w == w])  # fmt: skip
    ax.autoscale_view()
    low, high = np.array(ax.get_xlim()), np.array(ax.get_ylim())
    ends = [max(low[0], high[0]), min(low[1], high[1])]
    if ends[0] < ends[1]:
        ax.plot(ends, ends, color=style.SOFT, lw=0.8, ls=(0, (1, 2)))
    ax.set(xlabel=f"Difference on the own test images ({unit})",
           ylabel=f"Difference on the further set ({unit})")  # fmt: skip
    ax.grid(visible=True, axis="both")
    several = len(findings.tasks) > 1
    names = [f"{t} − {c}" + (f" ({task})" if several else "") for task, t, c in pairs]
    handles = [Line2D([], [], color=style.COLORS[k % len(style.COLORS)], lw=2.2)
               for k in range(len(pairs))]  # fmt: skip
    marks = [
        Line2D([], [], color=style.INK, marker=style.MARKERS[j % len(style.MARKERS)], ls="none")
        for j in range(len(sets))
    ]
    labels = [style.short(name, 44) for name in (*names, *sets)]
    style.legend_of(figure, [*handles, *marks], labels, 3)
    yield Drawing(
        "further_tests",
        "outside",
        "Gains outside against gains inside",
        "Mean paired differences (treatment − control) with 95 % intervals, each by itself: across "
        "on the arms’ own test images, up on a further set. On the dotted line both are equal; "
        "below 0 on the right, a gain inside is a loss outside. Marks of one comparison are moved "
        "apart sideways.",
        figure,
    )
