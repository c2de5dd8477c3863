"""Figures by class and by image: confusion, F1 by class, the images most often wrong.

In: the tables by class of `Findings`, and the test images that the run kept. Out: a `Drawing` of
each, by task. They stand apart because they alone need predictions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.drawing import Drawing
from analysis.figures.focus import file_name, focus_arms, focus_tasks, titled
from analysis.figures.rows import MOST_CELLS, largest_mistake
from analysis.findings.by_class import named
from analysis.findings.findings import Findings

MOST_WRITTEN = 12  # classes up to which every cell has its number


def confusion(
    ax: Axes, shares: np.ndarray, class_names: Sequence[str], title: str, most: float
) -> Axes:
    """Confusion matrix as shares of the true class: rows true, columns predicted.

    shares: (classes, classes), NaN in rows without images; `most`: the end of the scale, the same
    for all arms. The diagonal is left white, so that the mistakes have the whole scale of colours.
    """
    percent = 100 * shares
    wrong = percent.copy()
    np.fill_diagonal(wrong, np.nan)
    scale = {"cmap": "Reds", "vmin": 0, "vmax": max(100 * most, 0.1)}
    _heatmap(ax, wrong, "{:.1f}", "% of the true class", scale)
    if len(class_names) <= MOST_WRITTEN:
        for k, share in enumerate(np.diag(percent)):
            text = ax.text(k + 0.5, k + 0.5, f"{share:.1f}", ha="center", va="center")
            text.set(fontsize=6.5, color=style.SOFT)
    return _framed(ax, class_names, title)


def confusion_difference(
    ax: Axes, difference: np.ndarray, class_names: Sequence[str], title: str
) -> Axes:
    """Difference of two confusion matrices (shares of the true class), treatment minus control."""
    limit = max(_largest(np.abs(100 * difference)), 0.1)
    scale = {"cmap": "PuOr", "vmin": -limit, "vmax": limit, "center": 0}
    _heatmap(ax, 100 * difference, "{:+.1f}", "points of the true class", scale)
    return _framed(ax, class_names, title)


def _largest(values: np.ndarray) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else 0.0


def _heatmap(
    ax: Axes, values: np.ndarray, form: str, label: str, scale: Mapping[str, object]
) -> None:
    """A cell a number, written where there are few; nothing stands where it would be a zero."""
    n = len(values)
    texts = [form.format(v).replace("-", "−") if abs(v) >= 0.05 else "" for v in values.flat]
    sns.heatmap(
        values,
        ax=ax,
        square=True,
        linewidths=0.4 if n <= 30 else 0,
        linecolor="#eeeeee",
        annot=np.array(texts, dtype=object).reshape(values.shape) if n <= MOST_WRITTEN else False,
        fmt="",
        annot_kws={"fontsize": 6.5},
        rasterized=n > 30,
        cbar_kws={"label": label, "shrink": 0.6},
        **scale,
    )


def _framed(ax: Axes, class_names: Sequence[str], title: str) -> Axes:
    longest = max((len(style.short(name, 12)) for name in class_names), default=0)
    style.class_ticks(ax, class_names, rotation=90 if longest > 2 else 0)
    ax.set(xlabel="Predicted", ylabel="True")
    ax.set_title(title)
    return ax


def f1_by_class(ax: Axes, scores: pd.DataFrame, styles: style.Styles) -> Axes:
    """F1 of each class and arm, mean over seeds with its interval; the hardest class first.

    scores: columns arm, class_name, f1, f1_low, f1_high.
    """
    order = scores.groupby("class_name")["f1"].mean().sort_values(kind="stable").index.tolist()
    arms = [arm for arm in styles if (scores["arm"] == arm).any()]
    for k, arm in enumerate(arms):
        rows = scores[scores["arm"] == arm].set_index("class_name").reindex(order)
        of_arm = styles[arm]
        x = np.arange(len(order)) + (k - (len(arms) - 1) / 2) * min(0.16, 0.7 / len(arms))
        ax.vlines(x, rows["f1_low"], rows["f1_high"], color=of_arm.hex, lw=1.2, alpha=0.8)
        mark = of_arm.look | {"linestyle": "none", "markersize": 4}
        ax.plot(x, rows["f1"], **mark, label=style.short(arm))
    labels = [style.short(str(name), 14) for name in order]
    turned = max(map(len, labels), default=0) > 3 or len(labels) > 40
    ax.set_xticks(range(len(order)), labels, rotation=90 if turned else 0)
    if len(order) > 30:
        ax.tick_params(axis="x", labelsize=6)
    ax.set_xlim(-0.7, len(order) - 0.3)
    ax.set(xlabel="Class, hardest first", ylabel="F1")
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:.3g}")
    return ax


MOST_MATRICES = 4  # confusion matrices of one task, and differences of two
TILES = (3, 8)


def draw(findings: Findings, styles: style.Styles) -> Iterator[Drawing]:
    """Confusion matrices and their differences, F1 by class, galleries, by task."""
    for task in focus_tasks(findings):
        yield from _draw_confusions(findings, task)
        yield from _draw_differences(findings, task)
        yield from _draw_f1(findings, styles, task)
        yield from _draw_gallery(findings, task)


def _square(n_classes: int) -> tuple[Figure, Axes]:
    size = 3.6 if n_classes <= 20 else min(12.0, 0.155 * n_classes)
    figure, axes = style.new_figure(size * 1.2, size)
    return figure, axes[0, 0]


def _draw_confusions(findings: Findings, task: str) -> Iterator[Drawing]:
    matrices = findings.classes.confusions
    places = [place for place in findings.classes.closely if place in matrices]
    arms = [arm for where, arm in places if where == task]
    most = largest_mistake(matrices[task, arm].mean for arm in arms)
    for k, arm in enumerate(arms[:MOST_MATRICES]):
        names = findings.classes.class_names[task, arm]
        figure, ax = _square(len(names))
        matrix = matrices[task, arm]
        confusion(ax, matrix.mean, names, style.short(arm, 40), most)
        yield Drawing(
            file_name(f"confusion_{k + 1}", findings, task),
            "classes",
            titled(f"Mistakes of “{arm}”", findings, task),
            "Share of each true class that was given each label, mean over "
            f"{matrix.n_trials} seeds, on one scale for all arms. What was right is left without "
            "colour.",
            figure,
            broad=len(names) > 20,
            in_page=len(names) > MOST_CELLS,
            in_pdf=k == 0,
        )


def _draw_differences(findings: Findings, task: str) -> Iterator[Drawing]:
    pairs = [key for key in findings.classes.differences if key[0] == task]
    for k, key in enumerate(pairs[:MOST_MATRICES]):
        names = findings.classes.class_names[task, key[1]]
        figure, ax = _square(len(names))
        title = f"{style.short(key[1], 24)} − {style.short(key[2], 24)}"
        confusion_difference(ax, findings.classes.differences[key], names, title)
        yield Drawing(
            file_name(f"confusion_difference_{k + 1}", findings, task),
            "classes",
            titled(f"Mistakes of “{key[1]}” minus those of “{key[2]}”", findings, task),
            "Difference of the two arms’ shares, in points of the true class: orange where the "
            "control gives that label more often, violet where the treatment does.",
            figure,
            broad=len(names) > 20,
            in_page=len(names) > MOST_CELLS,
            in_pdf=k == 0,
        )


def _draw_f1(findings: Findings, styles: style.Styles, task: str) -> Iterator[Drawing]:
    scores = findings.classes.scores
    if scores.empty:
        return
    rows = scores[(scores["task"] == task) & (scores["scope"] == "class")]
    rows = rows[rows["arm"].isin(focus_arms(findings, task))]
    rows = named(rows[rows["metric"] == "f1"], "f1")
    if not rows["f1"].notna().any():
        return
    figure, axes = style.new_figure(min(12.0, 4.0 + 0.12 * rows["class_name"].nunique()), 3.4)
    f1_by_class(axes[0, 0], rows, styles)
    style.shared_legend(figure, axes[0, 0])
    yield Drawing(
        file_name("f1_by_class", findings, task),
        "classes",
        titled("F1 by class", findings, task),
        "Mean over seeds with its 95 % interval, the hardest class first.",
        figure,
        in_page=False,
    )


def gallery_rows(findings: Findings, task: str) -> tuple[str, pd.DataFrame] | None:
    """Whose mistakes the gallery of a task shows, and which, a row an image; None without any.

    The rows are those that `ClassTables.wrong` has of the arm; of some the image may not be kept.
    """
    wrong = {arm: rows for (where, arm), rows in findings.classes.wrong.items() if where == task}
    best = findings.arms[(findings.arms["task"] == task) & findings.arms["arm"].isin(list(wrong))]
    if best.empty:
        return None
    arm = str(best.sort_values("score", ascending=False, kind="stable")["arm"].iloc[0])
    return arm, wrong[arm].head(TILES[0] * TILES[1])


def _draw_gallery(findings: Findings, task: str) -> Iterator[Drawing]:
    shown = gallery_rows(findings, task)
    if shown is None:
        return
    arm, rows = shown
    images = findings.runs.images(str(rows["fingerprint"].iloc[0])) if len(rows) else None
    if images is None:
        return
    place = {int(index): k for k, index in enumerate(images.indices)}
    rows = rows[rows["index"].isin(list(place))]
    if rows.empty:
        return
    names = findings.classes.class_names[task, arm]
    figure, axes = style.grid_figure(len(rows), TILES[1], 8.2, 1.35)
    for ax, row in zip(axes, rows.rename(columns={"index": "image"}).itertuples(), strict=True):
        label, called = (style.short(names[int(k)], 12) for k in (row.label, row.often_called))
        counts = f"{row.n_wrong} of {row.n_seen} wrong, {row.n_called} agree"
        title = f"{label} → {called}\n{counts}"
        style.show_image(ax, images.images[place[int(row.image)]], title, fontsize=6.5, pad=3)
    yield Drawing(
        file_name("often_wrong", findings, task),
        "classes",
        titled(f"Images that “{arm}” most often gets wrong", findings, task),
        "True label → most frequent wrong answer; how many of the seeds that tested the image "
        "were wrong, and how many of those agree on that answer.",
        figure,
        broad=True,
    )
