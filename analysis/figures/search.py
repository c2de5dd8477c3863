"""Figures of a hyperparameter search: all settings at once, and the score against each.

In: the searches of `Findings`. Out: two `Drawing`s a search. They stand apart because their rows
are search trials, which are no evidence about arms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.figures import style
from analysis.figures.drawing import Drawing
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


def score_against(ax: Axes, search: pd.DataFrame, setting: str) -> Axes:
    """Validation score of every search trial against one setting; the best is marked."""
    values = search[setting]
    numbers = pd.api.types.is_numeric_dtype(values)
    x = values if numbers else values.astype(str).str.replace(" + ", "\n", regex=False)
    sns.scatterplot(
        x=x, y=search[SCORE], color=style.COLORS[0], s=18, linewidth=0, alpha=0.65, ax=ax
    )
    if search[SCORE].notna().any():
        best = search.loc[search[SCORE].idxmax()]
        (square,) = ax.plot([x[best.name]], [best[SCORE]], "s", color=style.COLORS[1])
        square.set(markersize=6, fillstyle="none", markeredgewidth=1.6)
    if numbers and _is_log(values):
        ax.set_xscale("log")
        style.plain_log_ticks(ax.xaxis)
    ax.set(xlabel=spaced(setting), ylabel="Best validation accuracy")
    ax.yaxis.set_major_formatter(lambda v, _: f"{100 * v:.4g} %")
    return ax


def _is_log(values: pd.Series) -> bool:
    return bool((values > 0).all() and values.max() > 20 * values.min())


def _unit(values: pd.Series) -> np.ndarray:
    """`values` from 0 to 1; 0.5 where all are equal."""
    if not pd.api.types.is_numeric_dtype(values):
        values = pd.Series(pd.factorize(values.astype(str), sort=True)[0])
    numbers = values.to_numpy(dtype=float)
    numbers = np.log(numbers) if _is_log(values) else numbers
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    return (numbers - low) / (high - low) if high > low else np.full(len(numbers), 0.5)


def _ends(values: pd.Series) -> tuple[str, str]:
    if pd.api.types.is_numeric_dtype(values):
        return f"{values.min():.3g}", f"{values.max():.3g}"
    names = sorted(values.astype(str).unique())
    return style.short(names[0], 14), style.short(names[-1], 14)


def draw(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    """Both figures for every searched arm."""
    for number, search in enumerate(findings.searches):
        rows, settings = search.trials, search.settings
        name = f"_{number + 1}_{safe_name(search.arm, 40)}" if len(findings.searches) > 1 else ""
        of_sweep = f" ({search.sweep})" if len(findings.asked) > 1 else ""
        title = f"of the search for “{search.arm}”{of_sweep}"
        figure, axes = style.new_figure(1.9 + 1.3 * len(settings), 3.2)
        parallel_coordinates(axes[0, 0], rows, settings)
        yield Drawing(
            f"search_all{name}",
            "search",
            f"All trials {title}",
            "One line a trial from its settings to its best validation accuracy: dark lines "
            "score high, the best is orange. Each axis runs from the smallest value tried to the "
            "largest.",
            figure,
            broad=True,
        )
        figure, panels = style.grid_figure(len(settings))
        for ax, setting in zip(panels, settings, strict=True):
            score_against(ax, rows, setting)
        yield Drawing(
            f"search_each{name}",
            "search",
            f"Score against each setting {title}",
            "Best validation accuracy of every trial; the square is the best. No test image was "
            "seen by the search.",
            figure,
        )
