"""Figures of a label audit: given labels against read classes, and images that contradict theirs.

In: an `Audit`, class names and a few images. Out: figures, which `analysis.audit.report` writes
beside an audit, and `analysis.report.labels` into a report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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


@dataclass(frozen=True)
class AuditFigure:
    """One figure of an audit before it is written; `caption` says how to read it."""

    name: str
    title: str
    caption: str
    figure: Figure


def audit_figures(
    audit: Audit, names: Sequence[str], image_indices: np.ndarray, images: np.ndarray
) -> Iterator[AuditFigure]:
    """confusion; then, of the images at hand, montage, sheet and (of complements) one_label.

    To be drawn inside of `style.drawing`.
    """
    size = 4.2 if len(names) <= 20 else min(12.0, 0.155 * len(names))
    figure, axes = style.new_figure(size * 1.2, size)
    title = f"Done to the labels: {audit.shape} ({audit.n:,} images)"
    given_against_read(axes[0, 0], audit.confusion, names, title)
    caption = "In percent of each given label; the diagonal is where label and network agree."
    yield AuditFigure("confusion", "Labels given, and what the images are", caption, figure)
    pictures = dict(zip(image_indices.tolist(), images, strict=True))
    for name, title, caption, rows in _pictured(audit, names, image_indices):
        if len(rows):
            figure = _pictures(rows, names, pictures, f"{title}: {caption}")
            yield AuditFigure(name, title, caption.capitalize() + ".", figure)


def _pictured(
    audit: Audit, names: Sequence[str], image_indices: np.ndarray
) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """Name, title, caption and rows (index, given, other) of each picture of images."""
    read = chosen_rows(audit.contradicted, image_indices).rename(columns={"read": "other"})
    surest = audit.listed[audit.listed["index"].isin(image_indices.tolist())]
    surest = surest.head(MOST_ON_SHEET).rename(columns={"proposed": "other"})
    yield "montage", "Labels that are contradicted", "label given → what the network reads", read
    yield "sheet", "Labels that look wrong", "surest first, label given → label proposed", surest
    if audit.shape == "complementary":
        at_hand = audit.contradicted[audit.contradicted["index"].isin(image_indices.tolist())]
        first = at_hand[at_hand["given"] == at_hand["given"].min()].sort_values("index")
        label = names[int(first["given"].iloc[0])] if len(first) else ""
        rows = first.head(2 * COLUMNS).rename(columns={"read": "other"})
        yield "one_label", f"Images labelled {label}", "label given → what the network reads", rows


def draw_audit(
    audit: Audit, names: Sequence[str], image_indices: np.ndarray, images: np.ndarray, folder: Path
) -> list[str]:
    """Write every figure of `audit_figures` into `folder`; returns the names written."""
    drawn = []
    with style.drawing():
        for each in audit_figures(audit, names, image_indices, images):
            style.save_figure(each.figure, folder, each.name)
            drawn.append(each.name)
    return drawn


def _pictures(
    rows: pd.DataFrame, names: Sequence[str], pictures: Mapping[int, np.ndarray], title: str
) -> Figure:
    """Images, each under its label and the other one."""
    figure, tiles = style.grid_figure(len(rows), COLUMNS, 8.2, 0.95)
    columns = rows[["index", "given", "other"]].itertuples(index=False)
    for ax, (index, given, other) in zip(tiles, columns, strict=True):
        labels = (style.short(names[int(label)], 10) for label in (given, other))
        style.show_image(ax, pictures[int(index)], " → ".join(labels), fontsize=7.5, pad=2)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    return figure
