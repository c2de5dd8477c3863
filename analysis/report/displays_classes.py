"""Tables by class and by image.

In: `Findings`. Out: a `Table` from each function; `sections` says where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pandas as pd

from analysis import words
from analysis.findings.by_class import named
from analysis.findings.findings import Findings
from analysis.report.displays import PAIR, task_column
from analysis.report.tables import Column, Table, further, of_kind, with_interval
from analysis.statistics.classes.scores import Confusion
from headstart.metrics import WITHOUT_ACCURACY

MOST_ROWS = 200  # of a long table in the page: as many whole arms as fit
MOST_WRITTEN = 12  # classes up to which a confusion matrix stands in the page as a matrix
SCORES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
NO_CLASSES = "These targets have no classes; answers by image are in each trial’s predictions.npz."


def has_classes(findings: Findings) -> bool:
    """Whether some trials say classes, and not labels or numbers."""
    kinds = set(findings.evidence.get("target", []))
    return not kinds or not kinds <= set(WITHOUT_ACCURACY)


def average_table(findings: Findings) -> Table:
    """Accuracy, macro and weighted averages, calibration, by arm."""
    scores = findings.classes.scores
    rows = scores[scores["scope"] != "class"]
    calibration = named(findings.classes.calibration, "ece")
    frame = calibration[["task", "arm", "ece", "ece_low", "ece_high", "n"]]
    shown = [("all", "accuracy", "Accuracy"), ("macro", "f1", "Macro F1")]
    rest = [
        ("weighted", "f1", "Weighted F1"),
        ("macro", "precision", "Macro precision"),
        ("macro", "recall", "Macro recall"),
        ("weighted", "precision", "Weighted precision"),
    ]
    columns = [*task_column(findings), Column("arm", "Arm"), Column("n", "Seeds read", "count")]
    for scope, metric, label in (*shown, *rest):
        key = f"{scope}_{metric}"
        part = rows[(rows["scope"] == scope) & (rows["metric"] == metric)]
        frame = _beside(frame, part, ["task", "arm"], key)
        more = (scope, metric, label) in rest
        columns.append(replace(with_interval(key, label, "percent"), more=more))
    columns.insert(-len(rest), with_interval("ece", "Calibration error", "percent"))
    note = (
        "Means over the seeds whose predictions were read, 95 % intervals; the accuracy is that of "
        "all seeds, as in the table of arms."
    )
    return Table("averages", "Averages over classes", frame, tuple(columns), note)


AVERAGES = {"all": "accuracy", "macro": "macro avg", "weighted": "weighted avg"}


def class_table(findings: Findings) -> Table:
    """Precision, recall, F1 and support by class, then accuracy and averages, arm by arm.

    The rows are in the order of scikit-learn's `classification_report`, and so is the accuracy,
    which stands in the column of F1.
    """
    classes = findings.classes
    scores = classes.scores.assign(
        metric=classes.scores["metric"].replace("accuracy", "f1"),
        class_name=classes.scores["class_name"].where(
            classes.scores["scope"] == "class", classes.scores["scope"].map(AVERAGES)
        ),
    )
    keys = ["task", "arm", "scope", "class_name"]
    frame = scores[keys].drop_duplicates()
    for metric in SCORES:
        frame = _beside(frame, scores[scores["metric"] == metric], keys, metric, "left")
    frame = frame.merge(_support(findings), on=keys)
    frame = frame.sort_values("scope", key=lambda s: s.map(_PLACE), kind="stable")
    frame, n_shown = _telling_first(findings, frame)
    columns = (
        *task_column(findings),
        *of_kind("text", arm="Arm", class_name="Class"),
        *(with_interval(key, label, "percent") for key, label in SCORES.items()),
        Column("support", "Support", "count", help="Test images of the class, mean of a seed"),
    )
    note = (
        "Means over seeds, 95 % intervals, as scikit-learn’s classification_report: a class that "
        "was never predicted has precision 0, the accuracy stands in the column of F1. Support: "
        "test images of one seed."
    )
    paper = (
        Column("class_name", "Class"),
        *of_kind("percent", **SCORES),
        Column("support", "Support", "count"),
    )
    return Table("by_class", "By class", frame, columns, note, n_shown, paper, _places(findings))


_PLACE = {"class": 0, "all": 1, "macro": 2, "weighted": 3}


def _places(findings: Findings) -> tuple[str, ...]:
    """What a paper has a table for each of."""
    return ("task", "arm") if len(findings.tasks) > 1 else ("arm",)


def _support(findings: Findings) -> pd.DataFrame:
    """Test images of each class, and of all of them, as the mean of a seed."""
    rows = []
    for (task, arm), matrix in findings.classes.confusions.items():
        images = matrix.pooled.sum(axis=1) / matrix.n_trials
        place = {"task": task, "arm": arm}
        names = findings.classes.class_names[task, arm]
        rows += [
            place | {"scope": "class", "class_name": name, "support": n}
            for name, n in zip(names, images.tolist(), strict=True)
        ]
        rows += [
            place | {"scope": scope, "class_name": name, "support": float(images.sum())}
            for scope, name in AVERAGES.items()
        ]
    return pd.DataFrame(rows)


def _telling_first(findings: Findings, frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The rows arm by arm, controls and the best arms first, and how many the page shows: as many
    whole arms as fit."""
    arms = list(dict.fromkeys(zip(frame["task"], frame["arm"], strict=True)))
    closely = [place for place in findings.classes.closely if place in arms]
    order = {place: k for k, place in enumerate(dict.fromkeys([*closely, *arms]))}
    places = pd.Series(list(zip(frame["task"], frame["arm"], strict=True)), frame.index)
    rank = places.map(order)
    frame = frame.assign(rank=rank).sort_values("rank", kind="stable")
    sizes = frame.groupby("rank", sort=True).size().cumsum()
    fitting = sizes[sizes <= MOST_ROWS]
    n_shown = int(fitting.iloc[-1] if len(fitting) else sizes.iloc[0])
    return frame.drop(columns="rank"), n_shown


def confusion_tables(findings: Findings) -> list[Table]:
    """The confusion matrix of every arm, with counts and shares; a table for each set of classes.

    Counts are images of all seeds together; shares are of the true class, the mean over seeds, so
    that the diagonal is the recall of the table by class.
    """
    classes = findings.classes
    groups: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for place in classes.confusions:
        groups.setdefault(classes.class_names[place], []).append(place)
    return [
        _confusion_table(findings, names, places, f"_{k}" if len(groups) > 1 else "")
        for k, (names, places) in enumerate(groups.items(), 1)
    ]


def _confusion_table(
    findings: Findings, names: Sequence[str], places: Sequence[tuple[str, str]], suffix: str
) -> Table:
    rows = []
    for task, arm in places:
        matrix = findings.classes.confusions[task, arm]
        for k, name in enumerate(names):
            row = {"task": task, "arm": arm, "n": matrix.n_trials, "true_class": name}
            row |= {"images": int(matrix.pooled[k].sum()), "right": float(matrix.mean[k, k])}
            row |= {"mistaken": _most_mistaken(matrix, k, names)}
            for j, count in enumerate(matrix.pooled[k].tolist()):
                row |= {f"count_{names[j]}": count, f"share_{names[j]}": float(matrix.mean[k, j])}
            rows.append(row)
    frame, n_shown = _telling_first(findings, pd.DataFrame(rows))
    few = len(names) <= MOST_WRITTEN
    columns = (
        *task_column(findings),
        *of_kind("text", arm="Arm", true_class="True class"),
        Column("images", "Images", "count", more=few),
        Column("right", "Right", "percent", more=few),
        Column("mistaken", "Most often taken for", more=few),
        *(
            Column(f"count_{name}", name, "count", share=f"share_{name}", more=not few)
            for name in names
        ),
    )
    note = (
        "Rows are true classes, columns predicted ones. In each cell the images of all seeds "
        "together and in brackets their share of the true class in percent, mean over seeds."
    )
    name, title = f"confusion{suffix}", "Confusion matrix of each arm"
    counts = tuple(replace(c, share="") for c in columns if c.share)
    paper = (Column("true_class", "True"), *counts) if few else ()
    paper_by = _places(findings) if few else ()
    return Table(name, title, frame, columns, note, n_shown, paper, paper_by)


def _most_mistaken(matrix: Confusion, k: int, names: Sequence[str]) -> str:
    """`9 (12 images, 1.2 %)`: what images of class k are most often taken for, if for anything."""
    wrong = matrix.pooled[k].copy()
    wrong[k] = 0
    j = int(wrong.argmax())
    if not wrong[j]:
        return ""
    return (
        f"{names[j]} ({words.plural(int(wrong[j]), 'image')}, {words.percent(matrix.mean[k, j])})"
    )


def _beside(
    frame: pd.DataFrame,
    rows: pd.DataFrame,
    keys: list[str],
    name: str,
    how: Literal["inner", "left"] = "inner",
) -> pd.DataFrame:
    """`frame` with the intervals of `rows` as further columns."""
    columns = [*keys, name, f"{name}_low", f"{name}_high"]
    return frame.merge(named(rows, name)[columns], on=keys, how=how)


def class_difference_table(findings: Findings) -> Table:
    """Classes in which two arms differ."""
    columns = (
        *task_column(findings),
        *PAIR,
        Column("class_name", "Class"),
        *of_kind("percent", recall_treatment="Recall, treatment", recall_control="Recall, control"),
        with_interval("difference", "Difference (points)", "points", ""),
        Column("p_holm", "p (Holm over classes)", "probability"),
    )
    frame = findings.classes.classes.sort_values("p_holm", kind="stable")
    note = "Paired by seed, Holm-adjusted over the classes of each pair; surest first."
    return Table("class_differences", "Classes in which two arms differ", frame, columns, note)


def image_table(findings: Findings) -> Table:
    """How far differences speak for images that are not in the test set."""
    columns = (
        *task_column(findings),
        *PAIR,
        with_interval("difference", "Difference, over seeds (points)", "points", ""),
        with_interval("difference", "Over seeds and images (points)", "points", "images_"),
        Column("mcnemar_p", "p (McNemar over images)", "probability"),
        *further(
            *of_kind("count", n_images="Test images", n_pairs="Pairs"), Column("note", "Note")
        ),
    )
    note = (
        "The first interval speaks for other seeds on these test images, the second also for other "
        "test images of the same kind."
    )
    return Table("images", "Beyond these test images", findings.classes.images, columns, note)
