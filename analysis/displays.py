"""The tables of the report: which columns of `Findings` a reader sees, and under what heading."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings import Findings
from analysis.tables import Column, Table

UNIT_WORDS = {"step": "Steps", "samples": "Images", "train_time_s": "Seconds"}
SCORE_WORDS = {
    "test_accuracy": "Test accuracy",
    "best_val_accuracy": "Best validation accuracy",
}


def arm_table(findings: Findings) -> Table:
    """By arm: how many trials, final accuracy, steps to each target, seconds."""
    targets = _in_steps(findings)
    frame = findings.arms.merge(targets, on=["task", "arm"], how="left", validate="1:1")
    columns = [
        *_task_column(findings),
        Column("arm", "Arm"),
        Column("n_done", "Trials done", "count", help="Trials that finished"),
        Column(
            "n_bad", "Not finished", "count", help="Trials that failed, diverged or are missing"
        ),
        Column("score", SCORE_WORDS[findings.score], "percent", "score_low", "score_high"),
        *(
            Column(key, f"Steps to {key} %", "text", sort=f"{key}_sort")
            for key in _target_keys(targets)
        ),
        Column("train_time_s", "Training time", "seconds", "train_time_s_low", "train_time_s_high"),
        Column("n_trainable", "Trainable parameters", "count"),
    ]
    frame = frame.assign(
        n_bad=frame["n_failed"] + frame["n_diverged"] + frame["n_missing"],
        n_trainable=pd.to_numeric(frame["n_trainable"], errors="coerce"),
    )
    note = (
        "Means over seeds, with 95 % intervals in brackets. A target that some or all trials "
        "never reached has no mean time: “≥” gives the mean with every such trial counted at its "
        "budget, which is a lower bound, and beside it how many trials reached the target."
    )
    return Table("by_arm", "Every arm", frame, tuple(columns), note)


def _task_column(findings: Findings) -> list[Column]:
    return [Column("task", "Task")] if len(findings.tasks) > 1 else []


def _target_keys(targets: pd.DataFrame) -> list[str]:
    return [key for key in targets if f"{key}_sort" in targets]


def _in_steps(findings: Findings) -> pd.DataFrame:
    """One row a task and arm, two columns a target: what to show, and what to sort by."""
    steps = findings.reached[findings.reached["unit"] == "step"] if len(findings.reached) else None
    frame = findings.arms[["task", "arm"]].copy()
    if steps is None:
        return frame
    for target, rows in steps.groupby("target"):
        key = f"{100 * target:g}"
        part = rows.assign(
            **{
                key: [reached_text(row) for row in rows.to_dict("records")],
                f"{key}_sort": np.where(rows["n_reached"] > 0, rows["mean"], np.inf),
            }
        )
        frame = frame.merge(
            part[["task", "arm", key, f"{key}_sort"]], on=["task", "arm"], how="left"
        )
    return frame


def reached_text(row: dict[str, object]) -> str:
    """`540 [500, 590]`; `≥ 812, 5 of 8 reached it`; `not reached (0 of 8)`."""
    n, n_reached = int(row["n"]), int(row["n_reached"])  # type: ignore[call-overload]
    if not n_reached:
        return f"not reached (0 of {n})"
    if n_reached == n:
        return words.interval("count", row["mean"], row["low"], row["high"])  # type: ignore[arg-type]
    return f"≥ {words.write('count', row['mean'])}, {n_reached} of {n} reached it"


METRIC_WORDS = SCORE_WORDS | {"area_under_curve": "Area under the learning curve"}
PAIR = (Column("treatment", "Treatment"), Column("control", "Control"))


def verdict_table(findings: Findings) -> Table:
    """Every comparison: what was compared, the estimate, the verdict, the tests beside it."""
    rows = findings.pairs.comparisons
    frame = rows.assign(
        what=[metric_words(m, t) for m, t in zip(rows["metric"], rows["target"], strict=True)],
        found=[estimate_text(row) for row in rows.to_dict("records")],
        floor=[_floor_text(row) for row in rows.to_dict("records")],
        pairing=np.where(rows["paired"].astype(bool), "paired", "not paired"),
    )
    columns = (
        *_task_column(findings),
        *PAIR,
        Column("what", "What"),
        Column("verdict", "Verdict"),
        Column("found", "Estimate [95 % interval]", "text", sort="estimate"),
        Column("n_pairs", "Pairs", "count"),
        Column("p_holm", "p (Holm)", "probability", help="Paired t-test, Holm-adjusted"),
        Column("p_value", "p (t-test)", "probability"),
        Column("floor", "p (sign flips)", "text", sort="p_sign_flip"),
        Column("p_wilcoxon", "p (Wilcoxon)", "probability"),
        Column("p_better", "P(better)", "share", "p_better_low", "p_better_high"),
        Column("p_equivalence_holm", "p (equivalence)", "probability"),
        Column("effect_size", "Effect size (g)", "number"),
        Column("pairing", "Seeds"),
        Column("note", "Note"),
    )
    note = (
        "Verdicts rest on the Holm-adjusted paired t-test and, for equivalence, on two one-sided "
        "tests; the other tests stand beside them. Differences are treatment minus control; "
        "speedups are control over treatment, so above 1 the treatment is sooner."
    )
    return Table("comparisons", "Every comparison", frame, columns, note)


def metric_words(metric: str, target: float) -> str:
    """`Steps to 97 %`, `Test accuracy`, `Area under the learning curve`."""
    if metric == "steps_to_target":
        return f"Steps to {100 * target:g} %"
    return METRIC_WORDS.get(metric, metric.replace("_", " "))


def estimate_text(row: dict[str, object]) -> str:
    """`+0.06 points [−0.90, +0.93]`, `at least 1.57× [1.44, ∞]`."""
    estimate, low, high = (float(row[k]) for k in ("estimate", "low", "high"))  # type: ignore[arg-type]
    if estimate != estimate:
        return words.NOTHING
    if row["scale"] == "speedup":
        bound = f"{row['bound']} " if row["bound"] in ("at least", "at most") else ""
        return bound + words.interval("ratio", estimate, low, high)
    text = words.interval("points", estimate, low, high)
    return text.replace(" [", " points [") if "[" in text else f"{text} points"


def _floor_text(row: dict[str, object]) -> str:
    p, floor = row["p_sign_flip"], row["p_sign_flip_floor"]
    if p != p:
        return words.NOTHING
    least = words.write("probability", floor)
    return f"{words.write('probability', p)} (floor {least})"


def speedup_table(findings: Findings) -> Table:
    """Speedups at each target in steps, images and seconds."""
    rows = findings.pairs.speedups
    frame = rows.assign(
        unit_words=rows["unit"].map(UNIT_WORDS),
        found=[
            f"{row['bound']} " * bool(row["bound"])
            + words.interval("ratio", row["estimate"], row["low"], row["high"])
            for row in rows.to_dict("records")
        ],
    )
    columns = (
        *_task_column(findings),
        *PAIR,
        Column("target", "Target", "target"),
        Column("unit_words", "In"),
        Column("found", "Speedup [95 % interval]", "text", sort="estimate"),
        Column("median", "Median ratio", "ratio", "median_low", "median_high"),
        Column("n_pairs", "Pairs", "count"),
        Column("n_reached_treatment", "Treatment reached", "count"),
        Column("n_reached_control", "Control reached", "count"),
        Column("note", "Note"),
    )
    note = (
        "Geometric mean over paired seeds of control time over treatment time. Where trials never "
        "reached the target, a bound stands in place of the number, or nothing."
    )
    return Table("speedups", "Speedup at each target", frame, columns, note)


def reached_table(findings: Findings) -> Table:
    """How many trials reached each target, and when, in every unit."""
    rows = findings.reached
    frame = rows.assign(
        unit_words=rows["unit"].map(UNIT_WORDS),
        found=[reached_text(row) for row in rows.to_dict("records")],
    )
    columns = (
        *_task_column(findings),
        Column("arm", "Arm"),
        Column("target", "Target", "target"),
        Column("unit_words", "In"),
        Column("n", "Trials", "count"),
        Column("n_reached", "Reached", "count"),
        Column("found", "Mean [95 % interval]", "text", sort="mean"),
        Column("budget", "Budget", "count"),
    )
    note = (
        "Mean time to the target where every trial reached it; else the mean with the others "
        "counted at their budget (restricted mean), which is a lower bound."
    )
    return Table("targets", "When each target was reached", frame, columns, note)


def break_even_table(findings: Findings) -> Table:
    """What pretraining cost and saved."""
    rows = findings.pairs.break_evens
    frame = rows.assign(
        unit_words=rows["unit"].map(UNIT_WORDS),
        saved_text=[
            f"{row['bound']} " * bool(row["bound"])
            + words.interval("count", row["saved"], row["saved_low"], row["saved_high"])
            for row in rows.to_dict("records")
        ],
    )
    columns = (
        *_task_column(findings),
        *PAIR,
        Column("target", "Target", "target"),
        Column("unit_words", "In"),
        Column("saved_text", "Saved by one use", "text", sort="saved"),
        Column("cost", "Pretraining cost", "count", "cost_low", "cost_high"),
        Column("uses", "Uses until paid", "count", "uses_low", "uses_high"),
        Column("note", "Note"),
    )
    note = (
        "A use is one trial that starts from the pretrained network. The cost is the whole "
        "training of that network; a search for hyperparameters is not in it."
    )
    return Table(
        "break_even", "When the head start has paid for the pretraining", frame, columns, note
    )


def stability_table(findings: Findings) -> Table:
    """Spread over seeds, broken trials, restlessness of the curves."""
    columns = (
        *_task_column(findings),
        Column("arm", "Arm"),
        Column("n", "Seeds", "count"),
        Column("sd", "SD over seeds (points)", "points_plain", "sd_low", "sd_high"),
        Column("binomial_sd", "Test-set noise (points)", "points_plain"),
        Column("excess_p", "p (no excess)", "probability"),
        Column("range", "Range (points)", "points_plain"),
        Column("broken_share", "Failed or diverged", "share", "broken_low", "broken_high"),
        Column("late_sd", "Late-phase SD (points)", "points_plain"),
        Column("largest_drawdown", "Largest drawdown (points)", "points_plain"),
        Column("n_loss_spikes", "Loss spikes a run", "number"),
        Column("generalisation_gap", "Generalisation gap (loss)", "number"),
    )
    note = (
        "SD with ddof 1. Test-set noise is the binomial SD of an accuracy on that many images. "
        "The last four columns are means over trials of what happens within a run."
    )
    return Table("stability", "Stability", findings.stability, columns, note)


def spread_table(findings: Findings) -> Table:
    """Ratios of spreads of two arms."""
    columns = (
        *_task_column(findings),
        *PAIR,
        Column("ratio", "SD treatment / SD control", "ratio", "low", "high"),
        Column("p_value", "p (Brown–Forsythe)", "probability"),
        Column("note", "Note"),
    )
    note = "Below 1 the treatment is steadier from seed to seed. These p-values are not adjusted."
    return Table("spreads", "Is one arm steadier?", findings.spreads, columns, note)


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
        *_task_column(findings),
        Column("class_name", "Class"),
        Column("arm", "Arm"),
        *(
            Column(m, label, "percent", f"{m}_low", f"{m}_high")
            for m, label in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1"))
        ),
    )
    return Table("by_class", "By class", frame, columns, "Means over seeds, 95 % intervals.")


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
    columns = [*_task_column(findings), Column("arm", "Arm"), Column("n", "Seeds read", "count")]
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


def class_difference_table(findings: Findings) -> Table:
    """Classes in which two arms differ."""
    columns = (
        *_task_column(findings),
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
        *_task_column(findings),
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


def seeds_table(findings: Findings) -> Table:
    """Seeds needed to detect a difference of the margin."""
    columns = (
        *_task_column(findings),
        *PAIR,
        Column("value", "Difference to detect (points)", "points"),
        Column("n_pilot", "Seeds run", "count"),
        Column("sd", "SD of differences (points)", "points_plain", "sd_low", "sd_high"),
        Column("n_needed", "Seeds needed", "count", "n_low", "n_high"),
        Column("n_more", "More seeds", "count"),
    )
    return Table(
        "seeds_needed",
        "Seeds needed",
        findings.pairs.seeds_needed,
        columns,
        "For 80 % power at 5 %, Holm over this report’s comparisons; brackets: from the "
        "80 % interval of the SD.",
    )


def aggregate_table(findings: Findings) -> Table:
    """Each arm over all tasks."""
    columns = (
        Column("arm", "Arm"),
        Column("statistic", "Statistic"),
        Column("estimate", SCORE_WORDS[findings.score], "percent", "low", "high"),
        Column("n_tasks", "Tasks", "count"),
        Column("n_runs", "Trials", "count"),
        Column("note", "Note"),
    )
    note = (
        "Over the tasks that all of these arms have; iqm is the mean of the middle half of all "
        "trials. Intervals redraw seeds inside each task."
    )
    return Table("aggregates", "Arms over all tasks", findings.over_tasks.aggregates, columns, note)


def improvement_table(findings: Findings) -> Table:
    """How often a trial of one arm beats one of another, over all tasks."""
    columns = (
        *PAIR,
        Column("p_better", "P(better), over tasks", "share", "low", "high"),
        Column("n_tasks", "Tasks", "count"),
        Column("note", "Note"),
    )
    return Table(
        "improvements",
        "P(better) over all tasks",
        findings.over_tasks.improvements,
        columns,
        "Any trial of the treatment against any of the control, by task.",
    )


def trial_table(findings: Findings) -> Table:
    """Every trial of every stage."""
    columns = (
        *_task_column(findings),
        Column("stage", "Stage"),
        Column("arm", "Arm"),
        Column("seed", "Seed", "count"),
        Column("status", "Status"),
        Column("test_accuracy", "Test accuracy", "percent"),
        Column("best_val_accuracy", "Best validation accuracy", "percent"),
        Column("best_step", "Best step", "count"),
        Column("steps", "Steps", "count"),
        Column("train_time_s", "Training time", "seconds"),
        Column("device", "Device"),
        Column("ran_as", "Ran as"),
        Column("error", "Error"),
        Column("trial_id", "Trial"),
    )
    frame = findings.runs.trials
    return Table(
        "by_trial", "Every trial", frame, tuple(c for c in columns if c.key in frame.columns)
    )


def search_table(findings: Findings) -> list[Table]:
    """The trials of each search, best first."""
    tables = []
    for k, (sweep, arm, rows, settings) in enumerate(findings.searches):
        columns = (
            *(
                Column(key, key.replace("_", " ").capitalize(), _setting_kind(rows[key]))
                for key in settings
            ),
            Column("best_val_accuracy", "Best validation accuracy", "percent"),
            Column("seed", "Seed", "count"),
            Column("status", "Status"),
        )
        frame = rows.sort_values("best_val_accuracy", ascending=False, kind="stable")
        tables.append(
            Table(
                f"search_{k + 1}",
                f"Search for “{arm}” ({sweep})",
                frame,
                columns,
                "Chosen on validation data only; no search trial was tested.",
            )
        )
    return tables


def _setting_kind(values: pd.Series) -> str:
    return "number" if pd.api.types.is_numeric_dtype(values) else "text"
