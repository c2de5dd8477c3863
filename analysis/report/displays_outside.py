"""Tables of further test sets and of what arms cost.

In: `Findings`. Out: a `Table` from each function; `sections` says where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from analysis import words
from analysis.findings.findings import Findings
from analysis.findings.outside import remarks, set_warnings
from analysis.report.displays import (
    PAIR,
    estimate_text,
    score_heading,
    task_column,
    together_text,
    verdict_text,
)
from analysis.report.tables import Column, Table, further, of_kind, with_interval
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.wording import row_words


def outside_table(findings: Findings) -> Table:
    """One row a further test set and arm."""
    course, unit = findings.course, findings.course.of_unit
    columns = (
        *task_column(findings),
        *of_kind("text", test_set="Further test set", arm="Arm"),
        *of_kind("count", n="Seeds", n_images="Images"),
        with_interval("score", words.sentence(course.words).rstrip(".") + unit, course.kind),
        Column("inside", score_heading(findings), course.kind),
        Column("change", f"Change{unit}", "points" if course.is_share else "signed"),
    )
    note = (
        "Means over seeds of the weights that validation chose, 95 % intervals over seeds on these "
        "very images; beside them the mean of the same trials on the arms’ own test images."
    )
    return Table("further_tests", "Arms on further test sets", findings.outside, columns, note)


def outside_pairs(findings: Findings) -> Table:
    """One row a further test set and comparison, beside the comparison on the own test images."""
    rows = outside_rows(findings)
    inside = _inside(findings)
    own = [inside.get((row.task, row.treatment, row.control)) for row in rows]
    frame = pd.DataFrame(
        {
            "task": [row.task for row in rows],
            "treatment": [row.treatment for row in rows],
            "control": [row.control for row in rows],
            "test_set": [row.test_set for row in rows],
            "verdict_shown": [verdict_text(row) for row in rows],
            "found": [estimate_text(row) for row in rows],
            "estimate": [row.estimate for row in rows],
            "low": [row.low for row in rows],
            "high": [row.high for row in rows],
            "p_question": [row.p_question for row in rows],
            "inside_found": [words.NOTHING if row is None else estimate_text(row) for row in own],
            "inside": [float("nan") if row is None else row.estimate for row in own],
            "inside_verdict": [words.NOTHING if row is None else verdict_text(row) for row in own],
            "together": [together_text(row) for row in rows],
            "low_question": [row.low_question for row in rows],
            "n_pairs": [row.n_pairs for row in rows],
            "p_value": [row.p_value for row in rows],
            "note": [row.note for row in rows],
        }
    )
    columns = (
        *task_column(findings),
        *PAIR,
        *of_kind("text", test_set="Further test set", verdict_shown="Verdict there"),
        Column("found", "Difference there [95 %, alone]", "text", sort="estimate"),
        Column("p_question", "p among its question", "probability"),
        Column("inside_found", "On the own test images", "text", sort="inside"),
        *further(
            Column("inside_verdict", "Verdict on these"),
            Column("together", "[95 % for all of the question]", "text", sort="low_question"),
            Column("n_pairs", "Pairs", "count"),
            Column("p_value", "p alone", "probability"),
            Column("note", "Note"),
        ),
    )
    note = (
        "All further test sets and comparisons together are one question, which may be wrong in "
        "5 % of reports in which nothing differs. Differences are treatment minus control, paired "
        "by seed."
    )
    return Table("further_comparisons", "Comparisons on further test sets", frame, columns, note)


def outside_rows(findings: Findings) -> list[Comparison]:
    """The comparisons on further test sets."""
    return [row for row in findings.pairs.comparisons if row.question == "outside"]


def outside_words(findings: Findings) -> Iterator[str]:
    """What is shown on further test sets, and where it is against the own test images."""
    rows = outside_rows(findings)
    tested = [row for row in rows if row.p_value <= 1]
    if tested:
        shown = [row for row in tested if row.state in ("shown", "equivalent")]
        yield (
            f"Of {words.plural(len(tested), 'comparison')} on further test sets (one question, 5 % "
            f"for all together) {len(shown)} {'has' if len(shown) == 1 else 'have'} a verdict. "
            "It holds for new seeds, on these very images."
        )
        for row in shown[:MOST_WORDS]:
            yield f"“{row.treatment}” against “{row.control}”: {row_words(row)}."
    inside = _inside(findings)
    for row in rows:
        own = inside.get((row.task, row.treatment, row.control))
        if own is not None and {own.verdict, row.verdict} == {"better", "worse"}:
            yield (
                f"“{row.treatment}” is {own.verdict} than “{row.control}” on the arms’ own test "
                f"images ({estimate_text(own)}) and {row.verdict} on {row.test_set} "
                f"({estimate_text(row)})."
            )
    yield from remarks(findings.runs.outside, findings.evidence)
    yield from set_warnings(findings.runs.provenance)


def _inside(findings: Findings) -> dict[tuple[str, str, str], Comparison]:
    """The comparison of final values of each pair."""
    rows = findings.pairs.comparisons
    return {(r.task, r.treatment, r.control): r for r in rows if r.metric == findings.score}


MOST_WORDS = 12


def cost_table(findings: Findings) -> Table:
    """One row an arm: what it takes, beside how good it ends."""
    rows = findings.cost.table
    frame = rows.assign(
        frontier=[_frontier_text(row) for row in rows.itertuples()],
        memory=[_memory_text(n_bytes) for n_bytes in rows["memory_bytes"]],
    )
    columns = [
        *task_column(findings),
        Column("arm", "Arm"),
        with_interval("score", score_heading(findings), findings.course.kind),
        Column("n_trainable", "Trained parameters", "count"),
        Column("share", "Of all", "share"),
        with_interval("train_time_s", "Training", "seconds"),
        with_interval("with_features_s", "With cached features", "seconds"),
        Column("memory", "Memory of a step", "text", sort="memory_bytes"),
        Column("frontier", "On the frontier", "text", sort="p_frontier"),
        *further(
            Column("n_done", "Trials done", "count"),
            Column("setup_time_s", "Set-up, mean", "seconds"),
        ),
    ]
    note = (
        "Means over finished trials with 95 % intervals. “With cached features”: training, and "
        "computing a frozen part once. On the frontier: no other arm is at least as good in at "
        "most as many of these seconds; beside it the share of draws of seeds (bootstrap) in "
        "which that is so. Pretraining of a stage is not in it. Memory, mean: on a GPU the most "
        "that PyTorch held in training (of a pack a trial's share); on a CPU it is reckoned: "
        "network, gradients, the optimizer's state, and what a step keeps for the way back."
    )
    return Table("cost", "What each arm takes", frame, tuple(columns), note)


def _memory_text(n_bytes: float) -> str:
    return "not recorded" if n_bytes != n_bytes else f"{n_bytes / 1e6:.3g} MB"


def _frontier_text(row: object) -> str:
    share = getattr(row, "p_frontier", float("nan"))
    text = "yes" if getattr(row, "is_on_frontier", False) else "no"
    return text if share != share else f"{text} ({words.share(share)} of draws)"
