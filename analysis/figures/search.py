"""Figures of a hyperparameter search: all settings at once, and the score against each.

In: the searches of `Findings`. Out: a `Drawing` for each sweep and one for each search. They stand
apart because their rows are search trials, which are no evidence about arms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures import style
from analysis.figures.drawing import Drawing
from analysis.figures.focus import each_search, searched_styles
from analysis.figures.rows import Tried, in_list, is_wide, search_rows, setting_axis
from analysis.findings.findings import Findings
from analysis.words import spaced
from headstart.files import safe_name

SCORE = "best_val_accuracy"


def parallel_coordinates(ax: Axes, search: pd.DataFrame, settings: Sequence[str]) -> Axes:
    """One line a search trial across its settings; dark lines score high, the best is coloured.

    Each setting runs from its smallest to its largest value, on logarithms where they span more
    than a factor of 20; settings that are no numbers stand in the order of their names.
    """
    names = [*settings, SCORE]
    positions = np.column_stack([_unit(search[name]) for name in names])
    ranks = search[SCORE].rank(pct=True).fillna(0).to_numpy()
    shades = mpl.colormaps["Greys"](0.15 + 0.6 * ranks)
    best = int(np.argmax(search[SCORE].fillna(-np.inf).to_numpy()))
    for k in np.argsort(ranks, kind="stable"):
        if k != best:
            ax.plot(positions[k], color=shades[k], lw=0.9, alpha=0.75)
    ax.plot(positions[best], color=style.COLORS[1], lw=2.2)
    for k, name in enumerate(names):
        ax.axvline(k, color=style.SOFT, lw=0.7)
        low, high = _ends(search[name])
        ax.annotate(low, (k, -0.04), ha="center", va="top", fontsize=7, annotation_clip=False)
        ax.annotate(high, (k, 1.04), ha="center", va="bottom", fontsize=7, annotation_clip=False)
    ax.set_xticks(range(len(names)), [style.short(spaced(name), 20) for name in names])
    ax.tick_params(axis="x", pad=14, length=0)
    ax.set_yticks([])
    ax.set_ylim(-0.02, 1.02)
    ax.grid(visible=False)
    ax.spines[["left", "bottom"]].set_visible(False)
    return ax


def score_against(ax: Axes, tried: Tried, setting: str, styles: style.Styles) -> Axes:
    """Score of every search trial against one setting, by arm; a ring marks what was chosen."""
    rows = tried.rows[tried.rows[setting].notna()]
    kind = setting_axis(setting, rows[setting])
    places = rows[setting]
    if kind == "list":
        texts, places = in_list(rows[setting])
        ax.set_xticks(range(len(texts)), [text.replace(" + ", "\n") for text in texts])
        ax.set_xlim(-0.5, len(texts) - 0.5)
        places = places + 0.3 * ((rows.groupby("arm").cumcount() * 0.618034) % 1 - 0.5)
    for arm, own in rows.groupby("arm", sort=False):
        look = styles[str(arm)].look
        ax.plot(places[own.index], own["score"], linestyle="none", alpha=0.6, ms=4.5, **look)
    chosen = rows.index[rows["chosen"]]
    (ring,) = ax.plot(places[chosen], rows["score"][chosen], "o", color=style.INK)
    ring.set(markersize=8.5, fillstyle="none", markeredgewidth=1.1)
    if kind == "log":
        ax.set_xscale("log")
        style.plain_log_ticks(ax.xaxis)
    ax.set(xlabel=spaced(setting), ylabel=f"Best {tried.score}")
    if tried.is_share:
        style.percent_axis(ax.yaxis)
    elif is_wide(rows["score"]):
        ax.set_yscale("log")
        style.plain_log_ticks(ax.yaxis)
    return ax


def _unit(values: pd.Series) -> np.ndarray:
    """`values` from 0 to 1; 0.5 where all are equal."""
    if not pd.api.types.is_numeric_dtype(values):
        values = pd.Series(pd.factorize(values.astype(str), sort=True)[0])
    numbers = values.to_numpy(dtype=float)
    numbers = np.log(numbers) if is_wide(values) else numbers
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    return (numbers - low) / (high - low) if high > low else np.full(len(numbers), 0.5)


def _ends(values: pd.Series) -> tuple[str, str]:
    if pd.api.types.is_numeric_dtype(values):
        return f"{values.min():.3g}", f"{values.max():.3g}"
    names = sorted(values.astype(str).unique())
    return style.short(names[0], 14), style.short(names[-1], 14)


def draw(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    """The score against each setting by sweep, and all settings at once by searched arm."""
    tried = search_rows(findings.searches, findings.decisions)
    for number, group in enumerate(tried):
        figure, panels = style.grid_figure(len(group.settings))
        looks = searched_styles(group, styles)
        for ax, setting in zip(panels, group.settings, strict=True):
            score_against(ax, group, setting, looks)
        handles = [Line2D([], [], linestyle="none", **looks[arm].look) for arm in looks]
        style.legend_of(figure, handles, [style.short(arm) for arm in looks])
        yield Drawing(
            each_search(number, tried),
            "search",
            "Validation score against each setting searched",
            f"Best {group.score} of every search trial; a ring marks what a search chose. No test "
            "image was seen by the search.",
            figure,
            in_page=False,
        )
    for number, search in enumerate(findings.searches):
        name = f"_{number + 1}_{safe_name(search.arm, 40)}" if len(findings.searches) > 1 else ""
        figure, axes = style.new_figure(1.9 + 1.3 * len(search.settings), 3.2)
        parallel_coordinates(axes[0, 0], search.trials, search.settings)
        yield Drawing(
            f"search_all{name}",
            "search",
            f"All trials of the search for “{search.arm}”",
            "One line a trial from its settings to its best validation accuracy: dark lines "
            "score high, the best is orange. Each axis runs from the smallest value tried to the "
            "largest.",
            figure,
            in_page=False,
        )
