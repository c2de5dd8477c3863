"""The report's tables as sheets: numbers as numbers, an interval as three columns, units in cells.

In: the content of a report. Out: a `Sheet` for each table, and what each is for. It stands alone
because it decides what stands on a sheet, and lays out nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.displays import (
    PAIR,
    TIME_KINDS,
    curve_kind,
    curve_names,
    metric_words,
    verdict_text,
)
from analysis.report.tables import Column, Table, of_kind
from analysis.report.workbook.book import Sheet, sheet_name
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.times.course import COURSES

FIRST_SHEETS = {"by_arm": "By arm", "by_trial": "By trial", "by_class": "By class"}
SHORT = {  # of titles that are too long for the name of a sheet
    "break_even": "Break-even",
    "class_differences": "Classes that differ",
    "improvements": "P(better) over tasks",
}
# Texts that stand for an interval: kind ("" for a time in the row's unit), then the columns of the
# same frame that have its numbers.
IN_NUMBERS = {
    ("speedups", "found"): ("ratio", "estimate", "low", "high"),
    ("break_even", "saved_text"): ("", "saved", "saved_low", "saved_high"),
    ("break_even", "cost_text"): ("", "cost", "cost_low", "cost_high"),
    ("break_even", "uses_words"): ("number", "uses", "uses_low", "uses_high"),
    ("targets", "found"): ("", "mean", "low", "high"),
}


def plain_sheet(table: Table, name: str = "") -> Sheet:
    """A table as a sheet, each interval as three columns of numbers.

    A text that stands for a number (it has a column to sort by) is followed by that number.
    """
    columns: list[Column] = []
    for column in table.columns:
        columns.append(Column(column.key, column.label, column.kind))
        if (table.name, column.key) in IN_NUMBERS:
            columns += _numbers(table, column)
        elif column.low:
            ends = {column.low: f"{column.label}, low", column.high: f"{column.label}, high"}
            columns += of_kind(column.kind, **ends)
        elif column.sort:
            columns.append(Column(column.sort, f"{column.label}, as a number", "number"))
    frame, kinds = table.frame, []
    if "unit" in frame and set(frame["unit"]) <= set(TIME_KINDS):
        frame = frame.assign(time_kind=frame["unit"].map(TIME_KINDS))
        kinds = [(column.key, "time_kind") for column in columns if not column.kind]
    name = _whole_words(name or SHORT.get(table.name, table.title))
    return Sheet(name, table.title, frame, tuple(columns), table.note, tuple(kinds))


def _numbers(table: Table, column: Column) -> list[Column]:
    """The numbers behind a text: estimate, low, high."""
    kind, estimate, low, high = IN_NUMBERS[table.name, column.key]
    label = column.label.split(" [")[0]
    return of_kind(
        kind, **{estimate: f"{label}, as a number", low: f"{label}, low", high: f"{label}, high"}
    )


def _whole_words(name: str) -> str:
    """A name that is too long for a sheet ends with a whole word."""
    if len(name) <= len(sheet_name("x" * 99)):
        return name
    cut = sheet_name(name)
    return cut.rsplit(" ", 1)[0] if " " in cut else cut


def comparison_sheet(findings: Findings) -> Sheet:
    """Comparisons with plain numbers: differences in points, speedups as ratios."""
    rows, pairs = findings.pairs.table, findings.pairs.comparisons
    named = {"points": "points_named", "log_ratio": "log_ratio", "ratio": "ratio"}
    frame = rows.assign(
        what=[metric_words(row.metric, row.target, row.measured, row.test_set) for row in pairs],
        question_words=[row.question_words for row in pairs],
        kind=[named.get(row.kind, row.kind) for row in pairs],
        shown_in=[_unit_words(row) for row in pairs],
        verdict_shown=[verdict_text(row) for row in pairs],
    )
    columns = (
        *([Column("task", "Task")] if len(findings.tasks) > 1 else []),
        *PAIR,
        *of_kind("text", what="What", shown_in="In"),
        *of_kind("number", estimate="Estimate", low="Low", high="High"),
        *of_kind("text", bound="Bound", question_words="Question"),
        *of_kind("text", verdict_shown="Verdict"),
        Column("n_pairs", "Pairs", "count"),
        *of_kind("probability", p_value="p alone", p_question="p among its question"),
        *of_kind("number", low_question="Low, simultaneous", high_question="High, simultaneous"),
        *of_kind("count", n_won="Pairs in favour", n_lost="Pairs against"),
        *of_kind("probability", p_sign_flip="p (sign flips)", p_sign_flip_floor="its floor"),
        Column("p_wilcoxon", "p (Wilcoxon)", "probability"),
        *of_kind("percent", p_better="P(better)", p_better_low="P(better), low"),
        Column("p_better_high", "P(better), high", "percent"),
        Column("p_equivalence_holm", "p (equivalence)", "probability"),
        Column("effect_size", "Effect size (g)", "number"),
        Column("p_worse_beyond", "P(worse by more than the margin)", "percent"),
        *of_kind("percent", p_inside="P(inside it)", p_better_beyond="P(better by more)"),
        Column("worth", "Pairing was worth … times the seeds", "number"),
        *of_kind("count", n_more_low="More seeds, from", n_more_high="More seeds, to"),
        *of_kind("text", verdict_words="In words", note="Note"),
    )
    note = (
        "Differences are treatment minus control; ratios are control over treatment, so above 1 "
        "the treatment is sooner. Low and High are of one comparison alone; the simultaneous ones "
        "hold for all of its question."
    )
    of_row = ("estimate", "low", "high", "low_question", "high_question")
    title = "Every comparison of two arms"
    return Sheet("Comparisons", title, frame, columns, note, tuple((key, "kind") for key in of_row))


def _unit_words(row: Comparison) -> str:
    """`points`, `ratio`, `years`, `loss`; a dash for what has no unit."""
    if row.kind in ("ratio", "log_ratio"):
        return "ratio"
    return row.behind.strip() or ("loss" if row.unit == COURSES["loss"].unit else words.NOTHING)


def curve_sheet(findings: Findings) -> Sheet:
    """The learning curves: a row for each arm and step, three columns for each measure."""
    bands = findings.learning.bands
    keys = ["task", "arm", "step"]
    places = [key for key in ("samples", "train_time_s") if key in bands]
    frame = bands.groupby(keys, sort=False, as_index=False)[places].first()
    counts = bands.groupby(keys, sort=False, as_index=False)["n"].max()
    columns = [
        *([Column("task", "Task")] if len(findings.tasks) > 1 else []),
        Column("arm", "Arm"),
        *of_kind("count", step="Step", **{k: "Images" for k in places if k == "samples"}),
        *(Column(k, "Seconds", "seconds") for k in places if k == "train_time_s"),
    ]
    for metric, name in curve_names(findings).items():
        if not (bands["metric"] == metric).any():
            continue
        ends = {end: f"{metric}_{end}" for end in ("low", "high")}
        rows = bands.loc[bands["metric"] == metric, [*keys, "mean", "low", "high"]]
        frame = frame.merge(rows.rename(columns={"mean": metric, **ends}), on=keys, how="left")
        labels = {metric: name} | {v: f"{name}, {k}" for k, v in ends.items()}
        columns += of_kind(curve_kind(findings, metric), **labels)
    frame = frame.merge(counts, on=keys)
    order = {"task": findings.tasks, "arm": findings.arm_names}
    frame = frame.sort_values(
        keys,
        kind="stable",
        ignore_index=True,
        key=lambda column: column.map(order[column.name].index) if column.name in order else column,
    )
    note = (
        "Mean over seeds at each evaluation, with its pointwise 95 % interval. A trial that "
        "stopped early counts with its last value."
    )
    return Sheet(
        "Curves", "Learning curves", frame, (*columns, Column("n", "Trials", "count")), note
    )


def _first_seen(column: pd.Series) -> pd.Series:
    """Texts in the order in which they come, numbers by size."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    return pd.Series(pd.factorize(column)[0], index=column.index)


def speedup_sheet(table: Table) -> Sheet:
    """Speedups with what their chart needs, the rows of one series one below the other."""
    frame = with_bars(table.frame, "estimate", "low", "high")
    order = ["task", "unit", "treatment", "control", "bound"]
    frame = frame.sort_values(order, kind="stable", ignore_index=True, key=_first_seen)
    frame["place"] = _apart(frame)
    made = plain_sheet(replace(table, frame=frame), "Speedup")
    kind = next(column.kind for column in table.columns if column.key == "target")
    place = Column("place", "Target, moved apart to be drawn", kind)
    return replace(made, columns=(*made.columns, *_bars("estimate", "ratio"), place))


def _apart(rows: pd.DataFrame) -> pd.Series:
    """Targets a little beside each other by treatment, so that no point hides another."""
    targets = rows["target"]
    arms = pd.factorize(rows["treatment"])[0]
    gaps = np.diff(np.unique(targets))
    room = 0.12 * gaps.min() if len(gaps) else 0.002
    return targets + (arms - arms.max() / 2) * room / max(arms.max(), 1)


def arm_sheet(table: Table) -> Sheet:
    """Every arm, with the lengths of the error bars of its final value."""
    frame = with_bars(table.frame, "score", "score_low", "score_high")
    made = plain_sheet(replace(table, frame=frame), FIRST_SHEETS[table.name])
    kind = next(column.kind for column in table.columns if column.key == "score")
    return replace(made, columns=(*made.columns, *_bars("score", kind)))


def with_bars(frame: pd.DataFrame, key: str, low: str, high: str) -> pd.DataFrame:
    """`frame` with the lengths of error bars, none where an end is open."""
    values, ends = frame[key].astype(float), frame[[low, high]].astype(float)
    down = (values - ends[low]).where((ends[low] != 0) & np.isfinite(ends[low]))
    up = (ends[high] - values).where(np.isfinite(ends[high]))
    return frame.assign(**{f"{key}_down": down, f"{key}_up": up})


def _bars(key: str, kind: str) -> list[Column]:
    labels = {f"{key}_down": "Error bar, down", f"{key}_up": "Error bar, up"}
    return of_kind(kind, **labels)


def others(tables: Iterable[Table]) -> list[Sheet]:
    """The tables that have no sheet of their own making, each as one."""
    made = ("comparisons", "speedups", *FIRST_SHEETS)
    tables = (table for table in tables if not table.name.startswith("confusion"))
    return [plain_sheet(table) for table in tables if table.name not in made]
