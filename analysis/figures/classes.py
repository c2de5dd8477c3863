"""Figures by class and by image: confusion, F1 by class, the images most often wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.figures.style import SOFT, Styles, grid_figure, new_figure, shared_legend, short

if TYPE_CHECKING:
    from analysis.figures.drawing import Drawing
    from analysis.findings.findings import Findings

MOST_WRITTEN = 12  # classes up to which every cell has its number


def confusion(ax: Any, matrix: np.ndarray, class_names: Sequence[str], title: str) -> Any:
    """Confusion matrix as shares of the true class: rows true, columns predicted.

    matrix: (classes, classes) counts or mean counts; the diagonal is left white, so that the
    mistakes have the whole scale of colours, and its shares are written at the right.
    """
    import seaborn as sns

    with np.errstate(invalid="ignore", divide="ignore"):
        shares = matrix / matrix.sum(axis=1, keepdims=True)
    n = len(class_names)
    wrong = shares.copy()
    np.fill_diagonal(wrong, np.nan)
    most = float(np.nanmax(wrong)) if np.isfinite(wrong).any() else 0.0
    sns.heatmap(
        100 * wrong,
        ax=ax,
        cmap="Blues",
        vmin=0,
        vmax=max(100 * most, 0.1),
        square=True,
        linewidths=0.4 if n <= 30 else 0,
        linecolor="#eeeeee",
        annot=_written(100 * wrong, "{:.1f}") if n <= MOST_WRITTEN else False,
        fmt="",
        annot_kws={"fontsize": 6.5},
        rasterized=n > 30,
        cbar_kws={"label": "% of the true class", "shrink": 0.6},
    )
    if n <= MOST_WRITTEN:
        for k in range(n):
            ax.text(
                k + 0.5,
                k + 0.5,
                f"{100 * shares[k, k]:.1f}",
                ha="center",
                va="center",
                fontsize=6.5,
                color=SOFT,
            )
    _classes(ax, class_names, title)
    return ax


def confusion_difference(
    ax: Any, difference: np.ndarray, class_names: Sequence[str], title: str
) -> Any:
    """Difference of two confusion matrices (shares of the true class), treatment minus control."""
    import seaborn as sns

    n = len(class_names)
    most = float(np.nanmax(np.abs(difference))) if np.isfinite(difference).any() else 0.0
    limit = max(100 * most, 0.1)
    sns.heatmap(
        100 * difference,
        ax=ax,
        cmap="PuOr",
        vmin=-limit,
        vmax=limit,
        center=0,
        square=True,
        linewidths=0.4 if n <= 30 else 0,
        linecolor="#eeeeee",
        annot=_written(100 * difference, "{:+.1f}") if n <= MOST_WRITTEN else False,
        fmt="",
        annot_kws={"fontsize": 6.5},
        rasterized=n > 30,
        cbar_kws={"label": "points of the true class", "shrink": 0.6},
    )
    _classes(ax, class_names, title)
    return ax


def _written(values: np.ndarray, form: str) -> np.ndarray:
    """What stands in each cell: nothing where it would be a zero."""
    texts = [form.format(v).replace("-", "−") if abs(v) >= 0.05 else "" for v in values.flat]
    return np.array(texts, dtype=object).reshape(values.shape)


def _classes(ax: Any, class_names: Sequence[str], title: str) -> None:
    n = len(class_names)
    size = 7.5 if n <= 20 else 6
    labels = [short(name, 12) for name in class_names]
    rotation = 90 if max(map(len, labels), default=0) > 2 else 0
    ax.set_xticks(np.arange(n) + 0.5, labels, fontsize=size, rotation=rotation)
    ax.set_yticks(np.arange(n) + 0.5, labels, fontsize=size, rotation=0)
    ax.tick_params(length=0)
    ax.set(xlabel="Predicted", ylabel="True")
    ax.set_title(title)
    ax.grid(visible=False)


def f1_by_class(ax: Any, scores: pd.DataFrame, styles: Styles) -> Any:
    """F1 of each class and arm, mean over seeds with its interval; the hardest class first.

    scores: columns arm, class_name, f1, f1_low, f1_high.
    """
    order = scores.groupby("class_name")["f1"].mean().sort_values(kind="stable").index.tolist()
    arms = [arm for arm in styles if (scores["arm"] == arm).any()]
    for k, arm in enumerate(arms):
        rows = scores[scores["arm"] == arm].set_index("class_name").reindex(order)
        style = styles[arm]
        x = np.arange(len(order)) + (k - (len(arms) - 1) / 2) * min(0.16, 0.7 / len(arms))
        ax.vlines(x, rows["f1_low"], rows["f1_high"], color=style.hex, lw=1.2, alpha=0.8)
        ax.plot(
            x,
            rows["f1"],
            color=style.hex,
            marker=style.marker,
            linestyle="none",
            markersize=4,
            label=short(arm),
        )
    labels = [short(str(name), 14) for name in order]
    turned = max(map(len, labels), default=0) > 3 or len(labels) > 40
    ax.set_xticks(range(len(order)), labels, rotation=90 if turned else 0)
    if len(order) > 30:
        ax.tick_params(axis="x", labelsize=6)
    ax.set_xlim(-0.7, len(order) - 0.3)
    ax.set(xlabel="Class, hardest first", ylabel="F1")
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:.3g}")
    return ax


def gallery_tile(
    ax: Any, image: np.ndarray, true: str, predicted: str, n_wrong: int, n_seen: int, n_agree: int
) -> Any:
    """One image, uint8 (C, H, W): its label, the usual wrong answer, how many seeds gave it."""
    picture = np.moveaxis(image, 0, -1)
    gray = picture.shape[-1] == 1
    ax.imshow(
        picture[..., 0] if gray else picture,
        cmap="gray" if gray else None,
        vmin=0,
        vmax=255,
        interpolation="nearest",
    )
    ax.set_axis_off()
    ax.set_title(
        f"{short(true, 12)} → {short(predicted, 12)}\n{n_wrong} of {n_seen} wrong, {n_agree} agree",
        fontsize=6.5,
        fontweight="normal",
        loc="center",
        pad=3,
    )
    return ax


MOST_MATRICES = 4  # confusion matrices of one task, and differences of two
TILES = (3, 8)


def draw(findings: Findings, styles: Styles) -> Iterator[Drawing]:
    """Confusion matrices and their differences, F1 by class, galleries, by task."""
    from analysis.figures.focus import focus_tasks

    for task in focus_tasks(findings):
        yield from _draw_confusions(findings, task)
        yield from _draw_differences(findings, task)
        yield from _draw_f1(findings, styles, task)
        yield from _draw_gallery(findings, task)


def _matrix_size(n_classes: int) -> float:
    return 3.6 if n_classes <= 20 else min(12.0, 0.155 * n_classes)


def _draw_confusions(findings: Findings, task: str) -> Iterator[Drawing]:
    from analysis.figures import focus
    from analysis.figures.drawing import Drawing

    found = {arm: one for (where, arm), one in findings.classes.confusions.items() if where == task}
    for k, (arm, one) in enumerate(list(found.items())[:MOST_MATRICES]):
        names = findings.classes.class_names[task, arm]
        size = _matrix_size(len(names))
        figure, axes = new_figure(size * 1.2, size)
        confusion(axes[0, 0], one.pooled, names, short(arm, 40))
        yield Drawing(
            focus.file_name(f"confusion_{k + 1}", findings, task),
            "classes",
            focus.titled(f"Mistakes of “{arm}”", findings, task),
            f"Share of each true class that was given each label, over {one.n_trials} seeds "
            "(images pooled). The diagonal, what was right, is left without colour.",
            figure,
            broad=len(names) > 20,
            in_pdf=k == 0,
        )


def _draw_differences(findings: Findings, task: str) -> Iterator[Drawing]:
    from analysis.figures import focus
    from analysis.figures.drawing import Drawing

    pairs = [key for key in findings.classes.differences if key[0] == task]
    for k, key in enumerate(pairs[:MOST_MATRICES]):
        names = findings.classes.class_names[task, key[1]]
        size = _matrix_size(len(names))
        figure, axes = new_figure(size * 1.2, size)
        title = f"{short(key[1], 24)} − {short(key[2], 24)}"
        confusion_difference(axes[0, 0], findings.classes.differences[key], names, title)
        yield Drawing(
            focus.file_name(f"confusion_difference_{k + 1}", findings, task),
            "classes",
            focus.titled(f"Mistakes of “{key[1]}” minus those of “{key[2]}”", findings, task),
            "Difference of the two arms’ shares, in points of the true class: orange where the "
            "control gives that label more often, violet where the treatment does.",
            figure,
            broad=len(names) > 20,
            in_pdf=k == 0,
        )


def _draw_f1(findings: Findings, styles: Styles, task: str) -> Iterator[Drawing]:
    from analysis.figures import focus
    from analysis.figures.drawing import Drawing

    scores = findings.classes.scores
    if scores.empty:
        return
    rows = scores[(scores["task"] == task) & (scores["scope"] == "class")]
    rows = rows[rows["metric"] == "f1"].rename(
        columns={"estimate": "f1", "low": "f1_low", "high": "f1_high"}
    )
    if not rows["f1"].notna().any():
        return
    figure, axes = new_figure(min(12.0, 4.0 + 0.12 * rows["class_name"].nunique()), 3.4)
    f1_by_class(axes[0, 0], rows, styles)
    shared_legend(figure, axes[0, 0])
    yield Drawing(
        focus.file_name("f1_by_class", findings, task),
        "classes",
        focus.titled("F1 by class", findings, task),
        "Mean over seeds with its 95 % interval, the hardest class first.",
        figure,
        broad=True,
    )


def _draw_gallery(findings: Findings, task: str) -> Iterator[Drawing]:
    from analysis.figures import focus
    from analysis.figures.drawing import Drawing

    found = {arm: rows for (where, arm), rows in findings.classes.wrong.items() if where == task}
    best = findings.arms[(findings.arms["task"] == task) & findings.arms["arm"].isin(list(found))]
    if best.empty:
        return
    arm = str(best.sort_values("score", ascending=False, kind="stable")["arm"].iloc[0])
    rows = found[arm]
    images = findings.runs.images(str(rows["fingerprint"].iloc[0])) if len(rows) else None
    if images is None:
        return
    place = {int(index): k for k, index in enumerate(images.indices)}
    rows = rows[rows["index"].isin(list(place))].head(TILES[0] * TILES[1])
    if rows.empty:
        return
    names = findings.classes.class_names[task, arm]
    figure, axes = grid_figure(len(rows), TILES[1], 8.2, 1.35)
    for ax, row in zip(axes, rows.rename(columns={"index": "image"}).itertuples(), strict=True):
        gallery_tile(
            ax,
            images.images[place[int(row.image)]],
            names[int(row.label)],
            names[int(row.often_called)],
            int(row.n_wrong),
            int(row.n_seen),
            int(row.n_called),
        )
    yield Drawing(
        focus.file_name("often_wrong", findings, task),
        "classes",
        focus.titled(f"Images that “{arm}” most often gets wrong", findings, task),
        "True label → most frequent wrong answer; how many of the seeds that tested the image "
        "were wrong, and how many of those agree on that answer.",
        figure,
        broad=True,
    )
