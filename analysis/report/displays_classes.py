"""Tables by class and by image.

In: `Findings`. Out: a `Table` from each function; `sections` says where it stands.
"""

from __future__ import annotations

import pandas as pd

from analysis.findings.by_class import named
from analysis.findings.findings import Findings
from analysis.report.displays import PAIR, task_column
from analysis.report.tables import Column, Table, of_kind, with_interval

SCORES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}


def average_table(findings: Findings) -> Table:
    """Accuracy, macro and weighted averages, calibration, by arm."""
    scores = findings.classes.scores
    rows = scores[scores["scope"] != "class"]
    calibration = named(findings.classes.calibration, "ece")
    frame = calibration[["task", "arm", "ece", "ece_low", "ece_high", "n"]]
    names = [
        ("all", "accuracy", "Accuracy"),
        ("macro", "f1", "Macro F1"),
        ("weighted", "f1", "Weighted F1"),
        ("macro", "precision", "Macro precision"),
        ("macro", "recall", "Macro recall"),
    ]
    columns = [*task_column(findings), Column("arm", "Arm"), Column("n", "Seeds read", "count")]
    for scope, metric, label in names:
        key = f"{scope}_{metric}"
        part = rows[(rows["scope"] == scope) & (rows["metric"] == metric)]
        frame = _beside(frame, part, ["task", "arm"], key)
        columns.append(with_interval(key, label, "percent"))
    columns.append(with_interval("ece", "Calibration error", "percent"))
    note = "Means over the seeds whose predictions were read, 95 % intervals."
    return Table("averages", "Averages over classes", frame, tuple(columns), note)


def class_table(findings: Findings) -> Table:
    """Precision, recall and F1 by class and arm."""
    scores = findings.classes.scores
    rows = scores[scores["scope"] == "class"]
    keys = ["task", "arm", "class_name"]
    frame = rows[keys].drop_duplicates()
    for metric in SCORES:
        frame = _beside(frame, rows[rows["metric"] == metric], keys, metric)
    columns = (
        *task_column(findings),
        *of_kind("text", class_name="Class", arm="Arm"),
        *(with_interval(key, label, "percent") for key, label in SCORES.items()),
    )
    return Table("by_class", "By class", frame, columns, "Means over seeds, 95 % intervals.")


def _beside(frame: pd.DataFrame, rows: pd.DataFrame, keys: list[str], name: str) -> pd.DataFrame:
    """`frame` with the intervals of `rows` as further columns."""
    columns = [*keys, name, f"{name}_low", f"{name}_high"]
    return frame.merge(named(rows, name)[columns], on=keys)


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
        *of_kind("count", n_images="Test images", n_pairs="Pairs"),
        Column("note", "Note", more=True),
    )
    note = (
        "The first interval speaks for other seeds on these test images, the second also for other "
        "test images of the same kind."
    )
    return Table("images", "Beyond these test images", findings.classes.images, columns, note)
