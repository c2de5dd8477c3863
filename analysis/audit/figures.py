"""Figures of a label audit: given labels against read classes, and images that contradict theirs.

In: an `Audit`, class names and a few images. Out: confusion.png and montage.png (and SVG). They
are drawn by `analysis.audit.report`, not by the report, whose findings know no audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.audit.audit import Audit
from analysis.figures import style

MOST_WRITTEN = 12
ROWS, COLUMNS = 5, 10
MOST_ON_SHEET = 120


def given_against_read(ax: Axes, confusion: np.ndarray, names: Sequence[str], title: str) -> Axes:
    """Shares of each given label by the class that is read; (K, K) counts, given × read."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = 100 * confusion / confusion.sum(axis=1, keepdims=True)
    n = len(names)
    sns.heatmap(
        shares, ax=ax, cmap="Blues", vmin=0, square=True, annot=n <= MOST_WRITTEN, fmt=".1f",
        annot_kws={"fontsize": 6.5}, rasterized=n > 30, linewidths=0.4 if n <= 30 else 0,
        linecolor="#eeeeee", cbar_kws={"label": "% of the given label", "shrink": 0.6},
    )  # fmt: skip
    style.class_ticks(ax, names, rotation=90 if n > 20 else 0)
    ax.set(xlabel="What the network reads", ylabel="Label given")
    ax.set_title(title)
    return ax


def chosen_rows(
    contradicted: pd.DataFrame, image_indices: np.ndarray, n: int = ROWS * COLUMNS
) -> pd.DataFrame:
    """At most `n` contradicted images that are at hand, each given label in turn.

    Taken in turn, because thousands can be as certain as each other and would all be of one label.
    """
    shown = contradicted[contradicted["index"].isin(image_indices.tolist())]
    turn = shown.groupby("given", sort=True).cumcount()
    order = shown.assign(turn=turn).sort_values(["turn", "given"], kind="stable").head(n)
    return order.drop(columns="turn").reset_index(drop=True)


def draw_audit(
    audit: Audit, names: Sequence[str], image_indices: np.ndarray, images: np.ndarray, folder: Path
) -> list[str]:
    """Write confusion and, where images are at hand, montage and sheet; returns the names written.

    montage: of each given label images that contradict it. sheet: labels that look wrong, the
    surest first.
    """
    drawn = ["confusion"]
    with style.drawing():
        size = 4.2 if len(names) <= 20 else min(12.0, 0.155 * len(names))
        figure, axes = style.new_figure(size * 1.2, size)
        title = f"Done to the labels: {audit.shape} ({audit.n:,} images)"
        given_against_read(axes[0, 0], audit.confusion, names, title)
        style.save_figure(figure, folder, "confusion")
        pictures = dict(zip(image_indices.tolist(), images, strict=True))
        surest = audit.listed[audit.listed["index"].isin(image_indices.tolist())]
        for name, rows, read, title in (
            ("montage", chosen_rows(audit.contradicted, image_indices), "read",
             "Label given → what the network reads"),
            ("sheet", surest.head(MOST_ON_SHEET), "proposed",
             "Labels that look wrong, the surest first: label given → label proposed"),
        ):  # fmt: skip
            if len(rows):
                _draw_pictures(rows, read, names, pictures, title, folder, name)
                drawn.append(name)
    return drawn


def _draw_pictures(
    rows: pd.DataFrame,
    read: str,
    names: Sequence[str],
    pictures: Mapping[int, np.ndarray],
    title: str,
    folder: Path,
    name: str,
) -> None:
    """Write one picture of images, each under its label and the other one."""
    figure, tiles = style.grid_figure(len(rows), COLUMNS, 8.2, 0.95)
    columns = rows[["index", "given", read]].itertuples(index=False)
    for ax, (index, given, other) in zip(tiles, columns, strict=True):
        labels = (style.short(names[int(label)], 10) for label in (given, other))
        style.show_image(ax, pictures[int(index)], " → ".join(labels), fontsize=7.5, pad=2)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    style.save_figure(figure, folder, name)
