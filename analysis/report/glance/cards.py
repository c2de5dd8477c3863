"""A card for each arm: final value, head start, spread over seeds, each with its mark.

In: `Findings`. Out: `Card`s. Nothing is computed here: values and intervals are those of the
tables, and each mark is the verdict of a comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.leads import fit_of
from analysis.statistics.pairs.comparison import Comparison, Verdict
from analysis.statistics.pairs.metrics import OVERFITTING

MOST_RATIO = 100  # beyond, and below its inverse, a ratio is not told
WIDE_RATIO = 10  # a range that reaches beyond it and below its inverse says nothing
Mark = Literal["better", "worse", "equivalent", "not known", ""]


@dataclass(frozen=True)
class Numbers:
    """The same for a program: NaN where the value is none, `kind` as `words.write` has it."""

    kind: str = "number"
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Reading:
    """One number of a card.

    value: as it is read, `2.77 times as fast`, "" where there is none; about: what follows it, `to
    90 %`. interval: `1.89 to 4.06`, "" where there is none. mark: of the comparison with the card's
    control, "" for a control and where nothing was compared. is_hint: a `not known` that one
    comparison by itself would call better or worse. note: what else must be known of it.
    """

    name: str
    value: str = ""
    about: str = ""
    interval: str = ""
    mark: Mark = ""
    is_hint: bool = False
    note: str = ""
    numbers: Numbers = Numbers()

    @property
    def mark_words(self) -> str:
        """`not known, a hint`: the mark as it is read."""
        return f"{self.mark}, a hint" if self.is_hint else str(self.mark)


@dataclass(frozen=True)
class Card:
    """One arm, in one task where `task` is not "". control: what it is compared with, "" for a
    control and for an arm that was not compared; others: further arms it is compared with."""

    arm: str
    task: str
    control: str
    final: Reading
    head_start: Reading
    spread: Reading
    fit: str = ""  # `overfits more (gap +2.10 points, 1.20 to 3.00)`; "" where it was not compared
    is_control: bool = False
    others: tuple[str, ...] = ()
    note: str = ""

    @property
    def readings(self) -> tuple[Reading, Reading, Reading]:
        return self.final, self.head_start, self.spread


def cards_of(findings: Findings) -> list[Card]:
    """One for each arm over all tasks where they have its verdicts, else for each arm and task."""
    if not findings.arms["n_done"].sum():
        return []
    return _over_tasks(findings) or [_card(findings, row) for row in findings.arms.itertuples()]


def range_words(kind: str, low: float, high: float) -> str:
    """`97.95 to 99.45 %`, `1.28 or more`, "" where there is no interval."""
    if math.isnan(low) or math.isnan(high) or (math.isinf(low) and math.isinf(high)):
        return ""
    if kind == "ratio" and _says_nothing(low, high):
        return ""
    if kind == "ratio" and (low < 1 / MOST_RATIO or MOST_RATIO < high < math.inf):
        least = f"under {1 / MOST_RATIO:g}" if low < 1 / MOST_RATIO else words.bare(kind, low)
        most = f"over {MOST_RATIO}" if high > MOST_RATIO else words.bare(kind, high)
        return f"{least} to {most}"
    if math.isinf(high):
        return f"{words.write(kind, low).removesuffix('×')} or more"
    return f"{words.bare(kind, low)} to {words.write(kind, high).removesuffix('×')}"


def _says_nothing(low: float, high: float) -> bool:
    """Whether a ratio may be ten times and a tenth as well."""
    return low < 1 / WIDE_RATIO and high > WIDE_RATIO


def _card(findings: Findings, arm: Any) -> Card:
    """An arm in one task, with the verdicts of its first comparison there."""
    rows = [r for r in findings.pairs.comparisons if r.task == arm.task and r.treatment == arm.arm]
    controls = list(dict.fromkeys(row.control for row in rows))
    control = controls[0] if controls else ""
    own: dict[str, list[Comparison]] = {}
    for row in (r for r in rows if r.control == control):
        own.setdefault(row.metric, []).append(row)
    [final] = own.get(findings.score, [None])
    is_control = any(
        arm.arm == pair.control for a in findings.asked if arm.task in a.tasks for pair in a.pairs
    )
    return Card(
        arm=str(arm.arm),
        task=str(arm.task) if len(findings.tasks) > 1 else "",
        control=control,
        final=_final(findings, arm, final),
        head_start=head_start(own),
        spread=_spread(findings, arm, own.get("spread_over_seeds", [None])[0]),
        fit=_fit(own),
        is_control=is_control and not control,
        others=tuple(controls[1:]),
        note=_counts(arm),
    )


def _fit(own: dict[str, list[Comparison]]) -> str:
    """Whether the arm overfits more than its control, and the row that says so at its clearest."""
    rows = [row for metric in OVERFITTING for row in own.get(metric, []) if row.p_value <= 1]
    if not rows:
        return ""
    word = fit_of(rows).word
    sides = {"less": "better", "more": "worse", "as much": "equivalent"}
    telling = [row for row in rows if row.verdict == sides.get(word)] or rows
    row = next((row for row in telling if row.metric == "end_accuracy_gap"), telling[0])
    ends = range_words(row.kind, row.low, row.high)
    points = " points" if row.kind == "points" else ""
    short = _SHORT[row.metric]
    if short == "gap" and row.measured.name != "accuracy":
        short = "gap of accuracies"
    numbers = f"{short} {words.write(row.kind, row.estimate)}{points}"
    numbers = ", ".join(filter(None, (numbers, ends)))
    return f"{f'overfits {word}' if word else 'overfitting not known'} ({numbers})"


_SHORT = {
    "accuracy_gap": "gap",
    "loss_gap": "gap of losses",
    "end_accuracy_gap": "gap",
    "loss_rise": "rise of loss",
}


def _counts(arm: Any) -> str:
    """`5 runs`, `4 of 5 runs finished`."""
    if arm.n_done == arm.n_planned:
        return words.plural(int(arm.n_done), "run")
    return f"{arm.n_done} of {words.plural(int(arm.n_planned), 'run')} finished"


def _mark(verdict: Verdict) -> Mark:
    return "not known" if verdict == "inconclusive" else verdict


def _judged(row: Comparison | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {"mark": _mark(row.verdict), "is_hint": row.state == "by itself"}


def _final(findings: Findings, arm: Any, row: Comparison | None) -> Reading:
    course = findings.course
    name = f"Final {course.words}{course.of_unit}"
    if not arm.n_done or math.isnan(arm.score):
        return Reading(name, note="no run finished", **_judged(row))
    return Reading(
        name,
        words.write(course.kind, arm.score),
        interval=range_words(course.kind, arm.score_low, arm.score_high),
        note="of the runs that finished" if row is not None and row.among_finished else "",
        numbers=Numbers(course.kind, arm.score, arm.score_low, arm.score_high),
        **_judged(row),
    )


def _spread(findings: Findings, arm: Any, row: Comparison | None) -> Reading:
    name, table = "Spread over seeds", findings.stability
    rows = table[(table["task"] == arm.task) & (table["arm"] == arm.arm)]
    value, low, high = (
        float(rows[key].iloc[0]) if len(rows) else math.nan
        for key in ("mean_difference", "mean_difference_low", "mean_difference_high")
    )
    judged = _judged(row)
    if math.isnan(value):
        return Reading(name, note="one run has none" if arm.n_done == 1 else "", **judged)
    behind = findings.course.behind
    kind, unit = ("points_plain", " points") if findings.course.is_share else ("number", behind)
    most = 100.0 if findings.course.is_share else math.inf  # two shares lie no further apart
    ends = range_words(kind, low, high if 100 * high < most else math.inf) if low < high else ""
    return Reading(
        name,
        words.write(kind, value) + unit,
        interval=ends,
        numbers=Numbers(kind, value, low, high),
        **judged,
    )


def head_start(own: dict[str, list[Comparison]]) -> Reading:
    """The clearest row of the way there: a target that is shown, else the mean while it learns."""
    name = "Head start"
    area = [r for r in own.get("area_under_curve", []) if not math.isnan(r.estimate)]
    times = [r for r in own.get("steps_to_target", []) if r.someone_reached]
    if not area and not times:
        return Reading(name)
    shown = [r for r in times if r.verdict in ("better", "worse")]
    sides = {r.verdict for r in [*area, *shown] if r.verdict in ("better", "worse")}
    note = _both_sides(shown) if len(sides) > 1 else ""
    for row in area:
        if row.verdict in ("better", "worse"):
            shown = [r for r in shown if r.verdict == row.verdict]
    row = (
        _telling(shown)
        or next((r for r in area if r.verdict in ("better", "worse")), None)
        or _telling(times)
        or area[0]
    )
    return _way(name, row, note)


def _both_sides(shown: Sequence[Comparison]) -> str:
    parts = []
    for verdict, when in (("better", "sooner"), ("worse", "later")):
        targets = [row.target_words for row in shown if row.verdict == verdict]
        parts += [f"{when} at {words.listed(targets)}"] if targets else []
    return words.listed(parts)


def _telling(times: Sequence[Comparison]) -> Comparison | None:
    """The hardest target that both arms reached; else the hardest of all."""
    known = [row for row in times if not math.isnan(row.estimate) and not row.is_against_never]
    exact = [row for row in known if not row.bound_words]
    return next((rows[-1] for rows in (exact, known, times) if rows), None)


def _way(name: str, row: Comparison, note: str) -> Reading:
    judged = _judged(row)
    if not row.is_time:
        return Reading(
            name,
            words.write(row.kind, row.estimate) + (" points" if row.kind == "points" else ""),
            "on average while it learns",
            range_words(row.kind, row.low, row.high),
            note=note,
            numbers=Numbers(row.kind, row.estimate, row.low, row.high),
            **judged,
        )
    if row.is_against_never:
        does = ("gets", "does not") if row.verdict == "better" else ("does not get", "does")
        about = f"which “{row.control}” {does[1]}"
        return Reading(name, f"{does[0]} to {row.target_words}", about, note=note, **judged)
    about = f"to {row.target_words}"
    if math.isnan(row.estimate):
        return Reading(name, about=about, note=note or row.note, **judged)
    if row.verdict == "inconclusive" and _says_nothing(row.low, row.high):
        return Reading(name, about=about, note=note, **judged)
    value = words.ratio(row.estimate).removesuffix("×")
    return Reading(
        name,
        f"{row.bound_words}{value} times as fast",
        about,
        range_words("ratio", row.low, row.high),
        note=note,
        numbers=Numbers("ratio", row.estimate, row.low, row.high),
        **judged,
    )


def _over_tasks(findings: Findings) -> list[Card]:
    """A card an arm for all tasks together, where all tasks have the arms; else nothing."""
    tables = findings.over_tasks
    if len(findings.tasks) < 2 or tables.together.empty:
        return []
    means = tables.aggregates[tables.aggregates["statistic"] == "mean"].set_index("arm")
    controls = {pair.control for a in findings.asked for pair in a.pairs}
    cards = []
    for arm in tables.arms:
        rows = tables.together[tables.together["treatment"] == arm]
        names = list(dict.fromkeys(rows["control"]))
        rows = rows[rows["control"] == names[0]] if names else rows
        by_question = {row.question: row for row in rows.itertuples()}
        mean = means.loc[arm]
        kind = findings.course.kind
        final = Reading(
            f"Final {findings.course.words}{findings.course.of_unit}",
            words.write(kind, mean["estimate"]),
            f"mean of {tables.n_tasks} tasks",
            range_words(kind, mean["low"], mean["high"]),
            numbers=Numbers(kind, mean["estimate"], mean["low"], mean["high"]),
            **_of_question(by_question.get("final")),
        )
        cards.append(
            Card(
                arm=arm,
                task="",
                control=names[0] if names else "",
                final=final,
                head_start=_in_tasks("Head start", "ahead", by_question.get("way")),
                spread=_in_tasks("Steadiness", "steadier in a run", by_question.get("stability")),
                is_control=arm in controls and not names,
                others=tuple(names[1:]),
            )
        )
    return cards


def _of_question(row: Any) -> dict[str, Any]:
    if row is None:
        return {}
    mark = _mark(row.verdict)
    return {"mark": mark, "is_hint": mark == "not known" and row.p_value <= words.ALPHA}


def _in_tasks(name: str, how: str, row: Any) -> Reading:
    if row is None:
        return Reading(name)
    where = f"in {row.n_better} of {words.plural(row.n_tasks, 'task')}"
    return Reading(name, how, where, **_of_question(row))
