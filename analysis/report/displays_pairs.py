"""Tables of pairs of arms: verdicts, speedups, break-even, seeds needed, all tasks.

In: `Findings`. Out: a `Table` from each function; `sections` says where it stands.
"""

from __future__ import annotations

import math

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.displays import (
    PAIR,
    UNIT_WORDS,
    common_text,
    estimate_text,
    interval_texts,
    metric_words,
    target_column,
    task_column,
    together_text,
    uses_text,
    verdict_text,
)
from analysis.report.tables import Column, Table, further, of_kind, with_interval
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.questions import QUESTION_WORDS

USES = ("uses", "uses_low", "uses_high")


def verdict_table(findings: Findings) -> Table:
    """Every comparison: what was compared, the estimate, the verdict, the tests beside it."""
    rows = findings.pairs.comparisons
    frame = findings.pairs.table.assign(
        what=[metric_words(row.metric, row.target, row.measured, row.test_set) for row in rows],
        found=[estimate_text(row) for row in rows],
        together=[together_text(row) for row in rows],
        question_words=[row.question_words for row in rows],
        verdict_shown=[verdict_text(row) for row in rows],
        floor=[_floor_text(row) for row in rows],
        pairing=["paired" if row.paired else "not paired" for row in rows],
    )
    columns = (
        *task_column(findings),
        *PAIR,
        *of_kind("text", what="What", verdict_shown="Verdict"),
        Column("found", "Estimate [95 % interval, alone]", "text", sort="estimate"),
        Column("p_question", "p among its question", "probability", help="Step-down max-|t|"),
        *further(
            Column("question_words", "Question"),
            Column("together", "[95 % for all of the question]", "text", sort="low_question"),
            Column("n_pairs", "Pairs", "count"),
            Column("p_value", "p alone", "probability", help="Paired t-test of this row"),
            Column("floor", "p (sign flips)", "text", sort="p_sign_flip"),
            Column("p_wilcoxon", "p (Wilcoxon)", "probability"),
            with_interval("p_better", "P(better)", "share"),
            Column("p_equivalence_holm", "p (equivalence)", "probability"),
            Column("effect_size", "Effect size (g)", "number"),
            *of_kind("text", pairing="Seeds", note="Note"),
        ),
    )
    note = (
        "Verdicts rest on the p of the paired t-test among the rows of its question (5 % for each "
        "of final value, way there, stability, overfitting) and, for equivalence, on two one-sided "
        "tests; “not known” is never “the same”. The interval is of one row alone and excludes no "
        "difference exactly where p alone is at most 0.05. Differences are treatment minus "
        "control; speedups (×) are control over treatment: above 1 the treatment is sooner."
    )
    return Table("comparisons", "Every comparison", frame, columns, note)


def _floor_text(row: Comparison) -> str:
    if math.isnan(row.p_sign_flip):
        return words.NOTHING
    p, least = words.probability(row.p_sign_flip), words.probability(row.p_sign_flip_floor)
    return f"{p} (floor {least})"


def speedup_table(findings: Findings) -> Table:
    """Speedups at each target in steps, images and seconds."""
    rows = findings.pairs.speedups
    frame = rows.assign(
        unit_words=rows["unit"].map(UNIT_WORDS),
        found=interval_texts(rows, "ratio"),
        reached_words=[
            f"{t} and {c} of {n}"
            for t, c, n in zip(
                rows["n_reached_treatment"], rows["n_reached_control"], rows["n_pairs"], strict=True
            )
        ],
    )
    columns = (
        *task_column(findings),
        *PAIR,
        target_column(findings),
        Column("unit_words", "In"),
        Column("found", "Speedup [95 % interval, alone]", "text", sort="estimate"),
        Column("reached_words", "Reached by treatment and control", sort="n_reached_control"),
        *further(with_interval("median", "Median ratio", "ratio"), Column("note", "Note")),
    )
    note = (
        "Geometric mean over paired seeds of control time over treatment time. Where trials did "
        "not reach the target, a bound stands in place of the number, or nothing. Arms of one "
        "batch size have one speedup in steps and images."
    )
    return Table("speedups", "Speedup at each target", frame, columns, note)


def break_even_table(findings: Findings) -> Table:
    """What pretraining cost and saved."""
    rows = findings.pairs.break_evens
    frame = rows.assign(
        unit_words=rows["unit"].map(UNIT_WORDS),
        saved_text=interval_texts(rows, "", "saved", "saved_"),
        cost_text=interval_texts(rows.drop(columns="bound"), "", "cost", "cost_"),
        uses_words=[
            uses_text(*ends)
            for ends in zip(*(rows[name] for name in (*USES, "bound")), strict=True)
        ],
    )
    columns = (
        *task_column(findings),
        *PAIR,
        target_column(findings),
        Column("unit_words", "In"),
        Column("saved_text", "Saved by one use", "text", sort="saved"),
        Column("cost_text", "Pretraining cost", "text", sort="cost"),
        Column("uses_words", "Uses until paid", "text", sort="uses"),
        Column("note", "Note", more=True),
    )
    note = (
        "A use is one trial that starts from the pretrained network. The cost is the whole "
        "training of that network; a search for hyperparameters is not in it. 95 % intervals; uses "
        "are whole, and counted only where the treatment is shown to be sooner."
    )
    title = "When the head start has paid for the pretraining"
    return Table("break_even", title, frame, columns, note)


def seeds_table(findings: Findings) -> Table:
    """Seeds needed to detect a difference of the margin, and those missing for a verdict.

    The missing ones are the range that stands beside the verdict: one number in both places.
    """
    frame, rows = findings.pairs.seeds_needed, findings.pairs.comparisons
    final = {(c.task, c.treatment, c.control): c for c in rows if c.metric == findings.score}
    keys = frame[["task", "treatment", "control"]].itertuples(index=False, name=None)
    missing = [final[key] for key in keys]
    frame = frame.assign(
        more_low=[c.n_more_low for c in missing],
        more_high=[c.n_more_high for c in missing],
        more_words=[_more_text(c.n_more_low, c.n_more_high) for c in missing],
    ).drop(columns="n_more")  # of `plan`, for the margin: the range is what the report says
    unit, is_share = findings.course.of_difference, findings.course.is_share
    columns = (
        *task_column(findings),
        *PAIR,
        Column("value", f"Difference to detect{unit}", "points" if is_share else "signed"),
        Column("n_pilot", "Seeds run", "count"),
        with_interval("sd", f"SD of differences{unit}", findings.course.spread_kind),
        with_interval("n_needed", "Seeds needed", "count", "n_"),
        Column("more_words", "More for a verdict", sort="more_high"),
    )
    note = (
        f"For 80 % power at 5 % over this report’s comparisons of final {findings.course.words}; "
        "brackets: from the 95 % interval of the SD. More for a verdict: should the difference be "
        "the one that was seen, where that is larger than the margin."
    )
    return Table("seeds_needed", "Seeds needed", frame, columns, note)


def _more_text(low: float, high: float) -> str:
    """`4 to 180`; nothing where it is not known."""
    if math.isnan(low) or math.isnan(high):
        return words.NOTHING
    ends = (words.write("count", end) for end in (low, high))
    return " to ".join(dict.fromkeys(ends))


def together_table(findings: Findings) -> Table:
    """One verdict for all tasks together: a row a question and pair."""
    rows = findings.over_tasks.together
    names = QUESTION_WORDS | {"final": f"final {findings.course.words}"}
    frame = rows.assign(
        question_words=rows["question"].map(names),
        verdict_shown=rows["verdict"].map(words.verdict),
        common=[common_text(row) for row in rows.itertuples()],
    )
    columns = (
        *PAIR,
        *of_kind("text", question_words="Question", verdict_shown="Verdict"),
        Column("common", "One difference for all [95 % interval, alone]", sort="estimate"),
        Column("n_tasks", "Tasks", "count"),
        Column("n_better", "Tasks in favour", "count"),
        Column("p_question", "p among its question", "probability"),
        *further(
            *of_kind("probability", p_value="p alone"),
            Column("z", "Z (Stouffer)", "number"),
            Column("n_failed", "Trials without a value", "count"),
        ),
    )
    note = (
        "One test of all tasks together: the paired t of each task as a normal value, summed "
        "(Stouffer), each task alike, and worth less where tasks share the luck of their seeds. "
        "It is part of its question: half of the 5 % is for these rows and half for the "
        "comparisons of single tasks, and the half of rows that are all shown passes on. The way "
        "there: the mean over training. Stability: noise within a run. Overfitting: the gap in "
        "accuracy. It says that the arms differ over these tasks as a whole, not in which. The "
        "difference (treatment minus control) is the one that fits all tasks best."
    )
    return Table("over_tasks", "All tasks together", frame, columns, note)


def improvement_table(findings: Findings) -> Table:
    """How often a trial of one arm beats one of another, over all tasks."""
    columns = (
        *PAIR,
        with_interval("p_better", "P(better), over tasks", "share", ""),
        Column("n_tasks", "Tasks", "count"),
        Column("note", "Note", more=True),
    )
    note = "Any trial of the treatment against any of the control, by task."
    frame = findings.over_tasks.improvements
    return Table("improvements", "P(better) over all tasks", frame, columns, note)
