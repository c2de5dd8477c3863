"""Figure over several tasks: performance profiles."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.figures.style import Styles, percent_axis, short


def performance_profiles(ax: Any, profiles: pd.DataFrame, styles: Styles) -> Any:
    """Share of runs (task × seed) that score above each accuracy, with its interval, by arm.

    profiles: columns arm, threshold, share, low, high, as `tasks` computes them.
    """
    for arm, style in styles.items():
        rows = profiles[profiles["arm"] == arm]
        if rows.empty:
            continue
        ax.fill_between(rows["threshold"], rows["low"], rows["high"], color=style.hex, alpha=0.15,
                        lw=0)
        ax.plot(rows["threshold"], rows["share"], color=style.hex, linestyle=style.line,
                label=short(arm))
    ax.set(xlabel="Accuracy τ", ylabel="Share of runs above τ", ylim=(-0.02, 1.04))
    percent_axis(ax.xaxis)
    percent_axis(ax.yaxis)
    return ax
