"""Tables by class and by image."""

from __future__ import annotations

from analysis.findings.findings import Findings
from analysis.report.displays import PAIR, task_column
from analysis.report.tables import Column, Table


def average_table(findings: Findings) -> Table:
    """Accuracy, macro and weighted averages, calibration, by arm."""
    scores = findings.classes.scores
    rows = scores[scores["scope"] != "class"]
    frame = findings.classes.calibration.rename(
        columns={"estimate": "ece", "low": "ece_low", "high": "ece_high"}
    )[["task", "arm", "ece", "ece_low", "ece_high", "n"]]
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
        part = rows[(rows["scope"] == scope) & (rows["metric"] == metric)].rename(
            columns={"estimate": key, "low": f"{key}_low", "high": f"{key}_high"}
        )
        frame = frame.merge(
            part[["task", "arm", key, f"{key}_low", f"{key}_high"]], on=["task", "arm"]
        )
        columns.append(Column(key, label, "percent", f"{key}_low", f"{key}_high"))
    columns.append(Column("ece", "Calibration error", "percent", "ece_low", "ece_high"))
    return Table(
        "averages",
        "Averages over classes",
        frame,
        tuple(columns),
        "Means over the seeds whose predictions were read, 95 % intervals.",
    )


def class_table(findings: Findings) -> Table:
    """Precision, recall and F1 by class and arm."""
    scores = findings.classes.scores
    rows = scores[scores["scope"] == "class"]
    keys = ["task", "arm", "class_name"]
    frame = rows[keys].drop_duplicates()
    for metric in ("precision", "recall", "f1"):
        part = rows[rows["metric"] == metric].rename(
            columns={"estimate": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
        )
        frame = frame.merge(part[[*keys, metric, f"{metric}_low", f"{metric}_high"]], on=keys)
    columns = (
        *task_column(findings),
        Column("class_name", "Class"),
        Column("arm", "Arm"),
        *(
            Column(m, label, "percent", f"{m}_low", f"{m}_high")
            for m, label in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1"))
        ),
    )
    return Table("by_class", "By class", frame, columns, "Means over seeds, 95 % intervals.")


def class_difference_table(findings: Findings) -> Table:
    """Classes in which two arms differ."""
    columns = (
        *task_column(findings),
        *PAIR,
        Column("class_name", "Class"),
        Column("recall_treatment", "Recall, treatment", "percent"),
        Column("recall_control", "Recall, control", "percent"),
        Column("difference", "Difference (points)", "points", "low", "high"),
        Column("p_holm", "p (Holm over classes)", "probability"),
    )
    frame = findings.classes.classes.sort_values("p_holm", kind="stable")
    return Table(
        "class_differences",
        "Classes in which two arms differ",
        frame,
        columns,
        "Paired by seed, Holm-adjusted over the classes of each pair; surest first.",
    )


def image_table(findings: Findings) -> Table:
    """How far differences speak for images that are not in the test set."""
    columns = (
        *task_column(findings),
        *PAIR,
        Column("difference", "Difference, over seeds (points)", "points", "low", "high"),
        Column(
            "difference", "Over seeds and images (points)", "points", "images_low", "images_high"
        ),
        Column("mcnemar_p", "p (McNemar over images)", "probability"),
        Column("n_images", "Test images", "count"),
        Column("n_pairs", "Pairs", "count"),
        Column("note", "Note"),
    )
    note = (
        "The first interval speaks for other seeds on these test images, the second also for other "
        "test images of the same kind."
    )
    return Table("images", "Beyond these test images", findings.classes.images, columns, note)
