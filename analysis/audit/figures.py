"""Figures of a label audit: given labels against read classes, and images that contradict theirs.

In: an `Audit`, class names and a few images. Out: confusion.png and montage.png (and SVG). They
are drawn by `analysis.audit.report`, not by the report, whose findings know no audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.figures.style import drawing, grid_figure, new_figure, save_figure, short

if TYPE_CHECKING:
    from analysis.audit.audit import Audit

MOST_WRITTEN = 12
ROWS, COLUMNS = 5, 10


def given_against_read(ax: Any, confusion: np.ndarray, names: Sequence[str], title: str) -> Any:
    """Shares of each given label by the class that is read; (K, K) counts, given × read."""
    import seaborn as sns

    with np.errstate(invalid="ignore", divide="ignore"):
        shares = 100 * confusion / confusion.sum(axis=1, keepdims=True)
    n = len(names)
    sns.heatmap(
        shares, ax=ax, cmap="Blues", vmin=0, square=True, annot=n <= MOST_WRITTEN, fmt=".1f",
        annot_kws={"fontsize": 6.5}, rasterized=n > 30, linewidths=0.4 if n <= 30 else 0,
        linecolor="#eeeeee", cbar_kws={"label": "% of the given label", "shrink": 0.6},
    )  # fmt: skip
    labels = [short(name, 12) for name in names]
    size = 7.5 if n <= 20 else 6
    ax.set_xticks(np.arange(n) + 0.5, labels, fontsize=size, rotation=90 if n > 20 else 0)
    ax.set_yticks(np.arange(n) + 0.5, labels, fontsize=size, rotation=0)
    ax.tick_params(length=0)
    ax.set(xlabel="What the network reads", ylabel="Label given")
    ax.set_title(title)
    ax.grid(visible=False)
    return ax


def chosen_rows(
    contradicted: pd.DataFrame, image_indices: np.ndarray, n: int = ROWS * COLUMNS
) -> pd.DataFrame:
    """At most `n` contradicted images that are at hand, each given label in turn.

    Taken in turn, because thousands can be as certain as each other and would all be of one label.
    """
    here = contradicted[contradicted["index"].isin(image_indices.tolist())]
    turn = here.groupby("given", sort=True).cumcount()
    order = here.assign(turn=turn).sort_values(["turn", "given"], kind="stable").head(n)
    return order.drop(columns="turn").reset_index(drop=True)


def montage_tile(ax: Any, image: np.ndarray, given: str, read: str) -> Any:
    """One image, uint8 (C, h, w), under what it is labelled and what it looks like."""
    picture = np.moveaxis(image, 0, -1)
    gray = picture.shape[-1] == 1
    ax.imshow(
        picture[..., 0] if gray else picture, cmap="gray" if gray else None, vmin=0, vmax=255,
        interpolation="nearest",
    )  # fmt: skip
    ax.set_axis_off()
    title = f"{short(given, 10)} → {short(read, 10)}"
    ax.set_title(title, fontsize=7.5, fontweight="normal", loc="center", pad=2)
    return ax


def draw_audit(
    found: Audit, names: Sequence[str], image_indices: np.ndarray, images: np.ndarray, folder: Path
) -> list[str]:
    """Write confusion and, where images are at hand, montage; returns the names written."""
    drawn = ["confusion"]
    with drawing():
        size = 4.2 if len(names) <= 20 else min(12.0, 0.155 * len(names))
        figure, axes = new_figure(size * 1.2, size)
        title = f"Done to the labels: {found.shape} ({found.n:,} images)"
        given_against_read(axes[0, 0], found.confusion, names, title)
        save_figure(figure, folder, "confusion")
        rows = chosen_rows(found.contradicted, image_indices)
        if len(rows):
            place = {int(index): k for k, index in enumerate(image_indices)}
            figure, tiles = grid_figure(len(rows), COLUMNS, 8.2, 0.95)
            for ax, (index, given, read) in zip(
                tiles, rows[["index", "given", "read"]].itertuples(index=False), strict=True
            ):
                montage_tile(ax, images[place[int(index)]], names[int(given)], names[int(read)])
            figure.suptitle("Label given → what the network reads", fontsize=9, x=0.01, ha="left")
            save_figure(figure, folder, "montage")
            drawn.append("montage")
    return drawn
