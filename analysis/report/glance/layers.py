"""How many layers to tune, in words: the arms that differ in that alone, and what lies behind it.

In: `Findings` and the outcomes of its pairs. Out: sentences. It stands apart from `sentence`, which
says what each question shows: here numbers stand beside the verdicts, those that may be reasons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.leads import fit_of
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.wording import written

MOST_GROUPS = 2  # controls whose arms have their numbers in the text; the others are in the table


def reasons(findings: Findings) -> str:
    """Weights that train, final values, fit and spread of each arm, and what verdicts go with."""
    pairs, table = findings.layers.pairs, findings.layers.table
    if not pairs or table.empty:
        return ""
    texts = []
    for task in dict.fromkeys(table["task"]):
        for control in dict.fromkeys(pair.control for pair in pairs):
            arms = [control, *(pair.treatment for pair in pairs if pair.control == control)]
            rows = table[(table["task"] == task) & table["arm"].isin(arms)]
            if len(rows) > 1 and control in set(rows["arm"]):
                text = " ".join([_numbers(rows, findings), *_why(rows, control, findings)])
                place, text = at_one_point(list(rows["arm"]), text)
                where = task if len(findings.tasks) > 1 else place
                texts.append(f"At {where}: {text}" if where else text)
    left = len(texts) - MOST_GROUPS
    more = [f"The table “Layers that train” has {words.plural(left, 'more group')} of arms."]
    return " ".join([*texts[:MOST_GROUPS], *(more if left > 0 else [])])


def at_one_point(arms: Sequence[str], text: str) -> tuple[str, str]:
    """`name=lenet5`, and the text without it behind each name, where all arms are of one point of
    a grid; else "" and the text as it is."""
    points = {arm.partition(" [")[2] for arm in arms}
    point = points.pop()
    if points or not point.endswith("]"):
        return "", text
    return point.removesuffix("]"), text.replace(f" [{point}”", "”")


def _numbers(rows: pd.DataFrame, findings: Findings) -> str:
    """Of each arm in turn, the fewest weights first."""
    course = findings.course
    trains = [
        f"“{arm}”{' trains' * (not k)} {n:,.0f}{f' of {total:,.0f} weights' * (not k)}"
        for k, (arm, n, total) in enumerate(
            zip(rows["arm"], rows["n_trainable"], rows["n_parameters"], strict=True)
        )
    ]
    parts = [
        f"{what} {_each(rows[key], write)}{unit}"
        for key, what, write, unit in (
            (
                "score",
                f"final {course.words} is",
                lambda v: words.write(course.kind, v),
                course.behind,
            ),
            ("end_accuracy_gap", _AHEAD, words.points, " points at the end of training"),
            ("loss_rise", "validation loss ends above its lowest by", "{:.4f}".format, ""),
            ("mean_difference", "two seeds lie apart by", _spread(findings), _points(findings)),
        )
        if rows[key].notna().any()
    ]
    return f"{words.listed(trains)}. In this order, {'; '.join(parts)}."


_AHEAD = (
    "accuracy of training batches, as augmented and under dropout, minus validation accuracy is"
)


def _spread(findings: Findings) -> Callable[[float], str]:
    return words.points_plain if findings.course.is_share else words.number


def _points(findings: Findings) -> str:
    return " points" if findings.course.is_share else findings.course.behind


def _each(values: pd.Series, write: Callable[[float], str]) -> str:
    """`850, 11,014 and 61,706`; a dash where a value is not known."""
    return words.listed(words.NOTHING if math.isnan(v) else write(v) for v in values.astype(float))


def _why(rows: pd.DataFrame, control: str, findings: Findings) -> Iterator[str]:
    """What goes with each verdict on final values, as far as numbers of this run say it."""
    task, by_arm = rows["task"].iloc[0], rows.set_index("arm")
    own = [
        row
        for row in findings.pairs.comparisons
        if row.task == task and row.control == control and row.treatment in by_arm.index
        if row.treatment != control
    ]
    hints, unknown = [], []
    for treatment in dict.fromkeys(row.treatment for row in own):
        pair = [row for row in own if row.treatment == treatment]
        final = next(row for row in pair if row.metric == findings.score)
        if final.verdict != "inconclusive":
            yield _goes_with(final, pair, by_arm)
        elif final.state == "by itself":
            hints.append(final)
        elif not math.isnan(final.low):
            unknown.append(final)
    ends = findings.course.ends("more")
    if hints:
        among = words.plural(hints[0].n_question, "comparison")
        yield f"By itself beyond chance, but not among all {among}: {_differences(hints)}."
    if unknown:
        seeds = words.plural(unknown[0].n, "seed")
        yield f"Which ends {ends} cannot be told from {seeds}: {_differences(unknown)}."


def _goes_with(final: Comparison, pair: Sequence[Comparison], by_arm: pd.DataFrame) -> str:
    weights = by_arm["n_trainable"]
    fewer, more = sorted((final.treatment, final.control), key=lambda arm: weights[arm])
    ends = final.measured.ends
    if final.verdict == "equivalent":
        return (
            f"“{fewer}” ends {ends('as')} as “{more}” with {weights[fewer]:,.0f} weights that "
            f"train in place of {weights[more]:,.0f}."
        )
    best = final.treatment if final.verdict == "better" else final.control
    if best == more:
        return f"“{more}” ends {ends('more')} than “{fewer}”{_fit(fewer, more, by_arm)}."
    word = fit_of(pair).word
    sides = {"less": final.control, "more": final.treatment}
    over = f"and “{more}” overfits more" if sides.get(word) == more else ""
    over = over or f"though that “{more}” overfits more is not shown"
    return f"“{fewer}” ends {ends('more')} than “{more}” with fewer weights that train, {over}."


def _fit(fewer: str, more: str, by_arm: pd.DataFrame) -> str:
    """Whether the arm with more weights has more of its training images right."""
    right = by_arm["train_accuracy"]
    if math.isnan(right[fewer] + right[more]):
        return ""
    numbers = f"({words.percent(right[more])} against {words.percent(right[fewer])})"
    if right[more] > right[fewer]:
        return f" and has more of its training images right {numbers}: fewer weights fit less"
    return f", though it has no more of its training images right {numbers}"


def _differences(rows: Sequence[Comparison]) -> str:
    """`“a” minus “c” is +0.66 points (−1.20 to +2.52)`, of each."""
    return words.listed(
        f"“{row.treatment}” minus “{row.control}” is {written(row, row.estimate)} "
        f"({words.bare(row.kind, row.low)} to {words.bare(row.kind, row.high)})"
        for row in rows
    )
