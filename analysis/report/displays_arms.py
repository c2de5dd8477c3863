"""Tables of single arms: results, targets, stability, all tasks, every trial, searches.

In: `Findings`. Out: a `Table` from each function; `sections` says where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings.findings import Findings
from analysis.findings.sources import SOURCE_WORDS
from analysis.report.displays import (
    SCORE_WORDS,
    TIME_KINDS,
    UNIT_WORDS,
    reached_texts,
    score_heading,
    target_column,
    task_column,
)
from analysis.report.tables import Column, Table, further, of_kind, with_interval
from analysis.words import spaced


def arm_table(findings: Findings) -> Table:
    """By arm: how many trials, final accuracy, steps to each target, seconds."""
    targets = _in_steps(findings)
    shown = {_key(findings, t): t for t in findings.reached["target"].unique()}
    frame = findings.arms.merge(targets, on=["task", "arm"], how="left", validate="1:1")
    columns = [
        *task_column(findings),
        Column("arm", "Arm"),
        Column("n_done", "Trials done", "count", help="Trials that finished"),
        Column(
            "n_bad", "Not finished", "count", help="Trials that failed, diverged or are missing"
        ),
        with_interval("score", score_heading(findings), findings.course.kind),
        *(
            Column(
                key,
                f"Steps to {findings.course.target(target)}",
                "text",
                sort=f"{key}_sort",
                more=k not in _told(len(shown)),
            )
            for k, (key, target) in enumerate(shown.items())
        ),
        with_interval("train_time_s", "Training time", "seconds"),
        *further(
            with_interval("median", "Median", findings.course.kind),
            with_interval("iqm", "Interquartile mean", findings.course.kind),
            Column("n_trainable", "Trainable parameters", "count"),
        ),
    ]
    frame = frame.assign(
        n_bad=frame["n_failed"] + frame["n_diverged"] + frame["n_missing"],
        n_trainable=pd.to_numeric(frame["n_trainable"], errors="coerce"),
    )
    note = (
        "Means over seeds, with 95 % intervals in brackets; beside the mean its median "
        "(no interval below 6 seeds) and its interquartile mean. A target that some or all trials "
        "did not reach has no mean time: “≥” gives the mean with every such trial counted at its "
        "budget, which is a lower bound, and beside it how many trials reached the target."
    )
    main = ("task", "arm", "n_done", "score", *list(shown)[-1:])
    paper = tuple(column for column in columns if column.key in main)
    return Table("by_arm", "Every arm", frame, tuple(columns), note, paper=paper)


def _told(n: int) -> set[int]:
    """Which of n targets stand among the first columns: the middle one and the highest."""
    return {n // 2, n - 1} if n > 2 else set(range(n))


def _key(findings: Findings, target: float) -> str:
    """The name of a target's column: `90`, of percent; or `0.2`, of a loss."""
    return f"{(100 if findings.course.is_share else 1) * target:g}"


def _in_steps(findings: Findings) -> pd.DataFrame:
    """One row a task and arm, two columns a target: what to show, and what to sort by."""
    frame = findings.arms[["task", "arm"]]
    steps = findings.reached[findings.reached["unit"] == "step"]
    for target, rows in steps.groupby("target"):
        key = _key(findings, target)
        sort = np.where(rows["n_reached"] > 0, rows["mean"], np.inf)
        part = rows[["task", "arm"]].assign(**{key: reached_texts(rows), f"{key}_sort": sort})
        frame = frame.merge(part, on=["task", "arm"], how="left")
    return frame


def reached_table(findings: Findings) -> Table:
    """How many trials reached each target, and when, in every unit."""
    rows = findings.reached
    frame = rows.assign(
        unit_words=rows["unit"].map(UNIT_WORDS),
        found=reached_texts(rows),
        budget_text=[
            words.write(TIME_KINDS[unit], value)
            for unit, value in zip(rows["unit"], rows["budget"], strict=True)
        ],
    )
    columns = (
        *task_column(findings),
        Column("arm", "Arm"),
        target_column(findings),
        Column("unit_words", "In"),
        *of_kind("count", n="Trials", n_reached="Reached"),
        Column("found", "Mean [95 % interval]", "text", sort="mean"),
        Column("budget_text", "Budget", "text", sort="budget"),
    )
    note = (
        "Mean time to the target where every trial reached it; else the mean with the others "
        "counted at their budget (restricted mean), which is a lower bound."
    )
    return Table("targets", "When each target was reached", frame, columns, note)


NOISE = "Test-set noise is the binomial SD of an accuracy on that many images. "


def stability_table(findings: Findings) -> Table:
    """Spread over seeds, broken trials, restlessness of the curves."""
    unit, kind = findings.course.of_difference, findings.course.spread_kind
    noise = findings.stability.get("binomial_sd")  # of accuracy alone; None: no trial has ended
    has_noise = noise is not None and bool(noise.notna().any())
    columns = (
        *task_column(findings),
        Column("arm", "Arm"),
        Column("n", "Seeds", "count"),
        with_interval("sd", f"SD over seeds{unit}", kind),
        with_interval("mean_difference", f"Two seeds apart{unit}", kind),
        Column("late_sd", f"Late-phase SD{unit}", kind),
        with_interval("broken_share", "Failed or diverged", "share", "broken_"),
        *further(
            *([Column("binomial_sd", f"Test-set noise{unit}", kind)] if has_noise else []),
            Column("excess_p", "p (no excess)", "probability"),
            Column("range", f"Range{unit}", kind),
            Column("largest_drawdown", f"Largest drawdown{unit}", kind),
            Column("n_loss_spikes", "Loss spikes a run", "number"),
            Column("generalisation_gap", "Generalisation gap (loss)", "number"),
        ),
    )
    note = (
        "SD with ddof 1. Two seeds apart: mean difference of two seeds (Gini), whose interval "
        f"suffers less from heavy tails. {NOISE if has_noise else ''}Late-phase SD, drawdown, "
        "spikes and generalisation gap are means over trials of what happens within a run."
    )
    return Table("stability", "Stability", findings.stability, columns, note)


def source_table(findings: Findings) -> Table:
    """How much of the spread over seeds each source of randomness brings."""
    unit, kind = findings.course.of_difference, findings.course.spread_kind
    frame = findings.sources.assign(what=findings.sources["source"].map(SOURCE_WORDS))
    columns = (
        *task_column(findings),
        *of_kind("text", arm="Arm", what="Source"),
        Column("n", "Pairs, or seeds", "count"),
        with_interval("sd", f"SD{unit}", kind),
        Column("share", "Share of the sum of variances", "share"),
    )
    note = (
        "Each source by trials that were run again with it alone drawn anew: half of the mean "
        "squared difference, with a chi-squared interval (95 %, near-normal effects). Interactions "
        "count for each source that takes part in them, so the sum may exceed the variance over "
        "all seeds."
    )
    return Table("sources", "Where the spread over seeds comes from", frame, columns, note)


def gap_table(findings: Findings) -> Table:
    """Accuracy in training, on validation and on test images by arm, and the gap between the first
    two."""
    gaps = findings.gaps
    if (gaps[["train_accuracy", "validation_accuracy", "test_accuracy"]].isna()).all(axis=None):
        return _loss_gap_table(findings)
    tested = gaps["test_accuracy"].notna().any()
    columns = (
        *task_column(findings),
        Column("arm", "Arm"),
        Column("n", "Seeds", "count"),
        Column(
            "train_accuracy", "Training", "percent", help="At the step whose weights are tested"
        ),
        Column("validation_accuracy", "Best validation", "percent"),
        with_interval("accuracy_gap", "Gap", "points"),
        *([with_interval("test_accuracy", "Test", "percent")] if tested else []),
        with_interval("end_accuracy_gap", "Gap at the end", "points"),
        with_interval("loss_rise", "Rise of validation loss", "number"),
        Column("rises_from", "From epoch", "number", help="Of the lowest validation loss; median"),
        replace(with_interval("loss_gap", "Gap of losses", "signed"), more=True),
        Column("n_gap", "Seeds with a gap", "count", more=True),
    )
    note = (
        "Accuracy, means over seeds. Training: batches since the evaluation before the step "
        "whose weights are tested, as they were trained on. Augmentation, dropout and the earlier "
        "weights of those batches make the gap (training minus validation) smaller. Gap at the "
        "end: at the last evaluation. Rise: validation loss there less its lowest, over the whole "
        "of training. "
        "95 % intervals over seeds; “–”: not recorded."
    )
    title = "Training, validation and test"
    paper = tuple(column for column in columns if not column.more and column.key != "n")
    return Table("overfitting", title, gaps, columns, note, paper=paper)


def _loss_gap_table(findings: Findings) -> Table:
    """The same of targets that have no accuracy: of the losses alone."""
    columns = (
        *task_column(findings),
        Column("arm", "Arm"),
        Column("n", "Seeds", "count"),
        with_interval("loss_gap", "Gap of losses", "signed"),
        with_interval("loss_rise", "Rise of validation loss", "number"),
        Column("rises_from", "From epoch", "number", help="Of the lowest validation loss; median"),
    )
    note = (
        "Means over seeds. Gap: validation minus training loss at the step whose weights are "
        "tested; training loss is of the batches since the evaluation before. Rise: validation "
        "loss at the last evaluation less its lowest, over the whole of training. 95 % intervals "
        "over seeds; “–”: not recorded. Losses of different kinds are not of one size."
    )
    return Table("overfitting", "Training and validation loss", findings.gaps, columns, note)


def layer_table(findings: Findings) -> Table:
    """Arms that differ in how many layers train alone: weights, end, fit and spread."""
    course = findings.course
    points = course.is_share
    columns = (
        *task_column(findings),
        *of_kind("text", arm="Arm", fine_tune="Layers that train"),
        *of_kind("count", n_trainable="Weights that train", n_parameters="Of", n_done="Seeds"),
        with_interval("score", f"Final {course.words}{course.of_unit}", course.kind),
        Column("train_accuracy", "Right in training", "percent", help="At the chosen step"),
        Column("end_accuracy_gap", "Training ahead at the end", "points"),
        Column("loss_rise", "Rise of validation loss", "number"),
        with_interval("mean_difference", "Two seeds apart", "points_plain" if points else "number"),
    )
    note = (
        "Arms to which the sweep gives the same settings but for the layers that train, means over "
        "seeds. Training: of batches as they were trained on. The verdicts stand under “Every "
        "comparison”."
    )
    return Table("layers", "Layers that train", findings.layers.table, columns, note)


def aggregate_table(findings: Findings) -> Table:
    """Each arm over all tasks."""
    columns = (
        *of_kind("text", arm="Arm", statistic="Statistic"),
        with_interval("estimate", score_heading(findings), findings.course.kind, ""),
        *of_kind("count", n_tasks="Tasks", n_runs="Trials"),
        Column("note", "Note", more=True),
    )
    note = (
        "Over the tasks that all of these arms have; iqm is the mean of the middle half of all "
        "trials. Intervals redraw seeds inside each task."
    )
    return Table("aggregates", "Arms over all tasks", findings.over_tasks.aggregates, columns, note)


def trial_table(findings: Findings) -> Table:
    """Every trial of every stage."""
    columns = (
        *task_column(findings),
        *of_kind("text", stage="Stage", arm="Arm"),
        Column("seed", "Seed", "count"),
        Column("status", "Status"),
        *(
            Column(key, SCORE_WORDS[key] + findings.course.of_unit, findings.course.kind)
            for key in findings.course.finals
        ),
        *of_kind("count", best_step="Best step", steps="Steps"),
        Column("train_time_s", "Training time", "seconds"),
        Column("error", "Error", more=not findings.runs.trials["error"].astype(bool).any()),
        *further(*of_kind("text", device="Device", ran_as="Ran as", trial_id="Trial")),
    )
    frame = findings.runs.trials.drop(columns="folder")
    return Table(
        "by_trial", "Every trial", frame, tuple(c for c in columns if c.key in frame.columns)
    )


def winner_tables(findings: Findings) -> list[Table]:
    """What each search chose, one row a search."""
    tables = []
    for k, decided in enumerate(findings.decisions):
        columns = (
            *of_kind("count", seed="Search at seed", n_trials="Trials"),
            *_settings(decided.winners, decided.settings),
            Column("val_accuracy", "Validation accuracy", "percent"),
            Column("val_loss", "Validation loss", "number"),
            Column("reason", "Why it won"),
        )
        note = "Each seed’s own." if decided.for_each_seed else "One search for all seeds."
        title = f"Chosen for “{decided.arm}” ({decided.sweep})"
        tables.append(Table(f"chosen_{k + 1}", title, decided.winners, columns, note))
    return tables


def search_tables(findings: Findings) -> list[Table]:
    """What was chosen, then the trials of each search, best first."""
    tables = winner_tables(findings)
    note = "Chosen on validation data only; no search trial was tested."
    for k, search in enumerate(findings.searches):
        columns = (
            *_settings(search.trials, search.settings),
            Column("best_val_accuracy", "Best validation accuracy", "percent"),
            Column("seed", "Seed", "count"),
            Column("status", "Status"),
        )
        rows = search.trials.sort_values("best_val_accuracy", ascending=False, kind="stable")
        title = f"Search for “{search.arm}” ({search.sweep})"
        tables.append(Table(f"search_{k + 1}", title, rows, columns, note))
    return tables


def _settings(rows: pd.DataFrame, settings: Sequence[str]) -> Iterator[Column]:
    """The settings that were searched, as columns of `rows`."""
    for key in settings:
        kind = "number" if pd.api.types.is_numeric_dtype(rows[key]) else "text"
        yield Column(key, spaced(key).capitalize(), kind)
