"""The answer in words: a paragraph for each comparison, from its computed rows.

Every sentence is a template over values of `Findings`; where nothing was tested it says so. A
paragraph leads with the verdict, then gives the numbers behind it, then what cannot be said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import words
from analysis.findings.findings import Findings

Row = Mapping[str, Any]
MOST_TARGETS = 4  # that one sentence lists
MOST_TOLD = 4  # comparisons that have their paragraph at the top


@dataclass(frozen=True)
class Paragraph:
    """`lead` alone is a whole sentence, `rest` the numbers behind it."""

    lead: str
    rest: str = ""

    @property
    def text(self) -> str:
        return f"{self.lead} {self.rest}".strip()


@dataclass(frozen=True)
class Answer:
    """One comparison in words."""

    task: str
    treatment: str
    control: str
    words: Paragraph


def answer_all(findings: Findings) -> list[Answer]:
    """A paragraph for each pair in each task, in the order in which they were asked for."""
    rows = findings.pairs.comparisons
    groups = rows.groupby(["task", "treatment", "control"], sort=False) if len(rows) else ()
    return [
        _answer(findings, task, treatment, control, group.to_dict("records"))
        for (task, treatment, control), group in groups
    ] + [_untested(*identity) for identity in findings.pairs.untested]


def summary(findings: Findings, answers: Sequence[Answer]) -> list[Paragraph]:
    """The paragraphs at the top: all answers where they are few, else how they fall out."""
    if not findings.arms["n_done"].sum():
        return [Paragraph("There is no answer: no trial of any arm finished.")]
    if not answers:
        return [_only_arm(findings, row) for row in findings.arms.to_dict("records")[:6]]
    if len(answers) <= MOST_TOLD:
        return [answer.words for answer in answers]
    return [
        Paragraph(_split(findings, len(answers)), "Each has its paragraph under Verdicts."),
        *(answer.words for answer in _most_telling(findings, answers)),
    ]


def _split(findings: Findings, n: int) -> str:
    """How many comparisons came out how: `Of 39 comparisons in final accuracy, 2 are better …`."""
    rows = findings.pairs.comparisons
    margin = f"equivalent within {margin_text(findings.pairs.margin)}"
    final = _counted(
        rows[rows["metric"] == findings.score], "more accurate", "less accurate", margin
    )
    text = f"Of {n} comparisons in final accuracy, {final}"
    times = rows[rows["metric"] == "steps_to_target"]
    if len(times):
        text += f"; of {len(times)} in steps to a target, {_counted(times, 'sooner', 'later', '')}"
    return f"{text}."


def _counted(rows: pd.DataFrame, better: str, worse: str, equivalent: str) -> str:
    counts = rows["verdict"].value_counts()
    names = {
        "better": better,
        "worse": worse,
        "equivalent": equivalent,
        "inconclusive": "undecided",
    }
    found = [f"{counts[v]} {text}" for v, text in names.items() if counts.get(v, 0)]
    return words.listed(found) or "none has a value"


def _most_telling(findings: Findings, answers: Sequence[Answer]) -> list[Answer]:
    """The clearest gain and the clearest loss in final accuracy, where there are such."""
    rows = findings.pairs.comparisons
    rows = rows[(rows["metric"] == findings.score) & rows["verdict"].isin(["better", "worse"])]
    if rows.empty:
        return []
    ends = {int(rows["mean_score"].idxmax()), int(rows["mean_score"].idxmin())}
    keys = [tuple(rows.loc[k, ["task", "treatment", "control"]]) for k in sorted(ends)]
    return [a for a in answers if (a.task, a.treatment, a.control) in keys]


def _only_arm(findings: Findings, row: Row) -> Paragraph:
    score = words.interval("percent", row["score"], row["score_low"], row["score_high"])
    if not row["n_done"]:
        return Paragraph(f"“{row['arm']}”: no trial finished.")
    return Paragraph(
        f"“{row['arm']}” ends at {score} {score_name(findings.score)}.",
        f"Over {words.plural(int(row['score_n']), 'seed')}. Nothing was compared.",
    )


def _untested(task: str, treatment: str, control: str) -> Answer:
    pair = f"“{treatment}” against “{control}” ({task})"
    lead = f"{pair}: not tested, since one of the two has no trials."
    return Answer(task, treatment, control, Paragraph(lead))


def _answer(
    findings: Findings, task: str, treatment: str, control: str, rows: Sequence[Row]
) -> Answer:
    final = next(row for row in rows if row["metric"] == findings.score)
    times = [row for row in rows if row["metric"] == "steps_to_target"]
    where = f"On {task}, " if len(findings.tasks) > 1 else ""
    lead = f"{where}“{treatment}” {_lead(final, times, control)}."
    rest = [*_accuracy(findings, final), *_speed(final, times), *_cost(findings, final, times)]
    return Answer(task, treatment, control, Paragraph(words.sentence(lead), " ".join(rest)))


def _lead(final: Row, times: Sequence[Row], control: str) -> str:
    """`reaches every target sooner than “scratch” and ends more accurate`."""
    speed, sure = _speed_words(times, control)
    end = {
        "better": f"ends more accurate than “{control}”",
        "worse": f"ends less accurate than “{control}”",
        "equivalent": f"ends as accurate as “{control}”, within the margin",
        "inconclusive": f"is not shown to end more or less accurate than “{control}”",
    }[final["verdict"]]
    if not len(final) or (final["n_treatment"] == 0 or final["n_control"] == 0):
        end = f"cannot be compared with “{control}” in final accuracy (no values)"
    if not speed:
        return end
    agree = (final["verdict"] in ("better", "equivalent")) == sure
    return f"{speed}, {'and' if agree else 'but'} {end}"


def _speed_words(times: Sequence[Row], control: str) -> tuple[str, bool]:
    """What the verdicts at the targets amount to, and whether it is a gain."""
    known = [row for row in times if _someone_reached(row)]
    sooner = [row["target"] for row in known if row["verdict"] == "better"]
    later = [row["target"] for row in known if row["verdict"] == "worse"]
    if not times:
        return "", False
    if not known:
        return f"reaches no target, nor does “{control}”", False
    every = "every target that either reached" if len(known) < len(times) else "every target"
    every = f"the target of {_at(known[0]['target'])}" if len(times) == 1 else every
    if len(sooner) == len(known):
        return f"reaches {every} sooner than “{control}”", True
    if len(later) == len(known):
        return f"reaches {every} later than “{control}”", False
    if sooner and later:
        return (
            f"reaches {_targets(sooner)} sooner but {_targets(later)} later than “{control}”",
            False,
        )
    if sooner or later:
        side = "sooner" if sooner else "later"
        rest = "the other targets are undecided"
        return f"reaches {_targets(sooner or later)} {side} than “{control}” ({rest})", bool(sooner)
    return f"is not shown to reach any target sooner or later than “{control}”", False


def _someone_reached(row: Row) -> bool:
    n = row["n_treatment"] + row["n_control"]
    return bool(n) and row["n_unreached_treatment"] + row["n_unreached_control"] < n


def _at(target: float) -> str:
    return f"{100 * target:g} %"


def _targets(targets: Sequence[float]) -> str:
    return words.listed(_at(target) for target in targets)


def _accuracy(findings: Findings, row: Row) -> Iterator[str]:
    name = words.sentence(score_name(findings.score)).rstrip(".")
    if math.isnan(row["estimate"]):
        yield f"{name}: not tested ({row['note'] or 'no values'})."
        return
    text = f"{name}: {words.points(row['estimate'])} points"
    if math.isnan(row["low"]):
        yield f"{text} on a single pair of seeds, which allows no interval and no test."
        return
    text += f" (95 % interval {words.points(row['low'])} to {words.points(row['high'])}"
    text += f", Holm p {words.probability(row['p_holm'])}, {_sample(row)})"
    if row["verdict"] == "equivalent":
        text += f", inside the margin of {margin_text(row['margin'])}"
    elif row["verdict"] == "inconclusive":
        text += _undecided(row["margin"])
        if row["n_more"] > 0:
            text += f"; about {words.plural(round(row['n_more']), 'more seed')} would settle it"
    yield text + "."
    if row["paired"] and not math.isnan(row["p_better_low"]):
        yield (
            f"The treatment wins {words.share(row['p_better'])} of the pairs "
            f"({words.share(row['p_better_low'])} to {words.share(row['p_better_high'])})."
        )
    if row["note"]:
        yield words.sentence(str(row["note"]))


def _undecided(margin: float) -> str:
    if math.isnan(margin):
        return ": no difference is shown, and equivalence was not tested (the sweep sets no margin)"
    return f": neither a difference nor equivalence within {margin_text(margin)} is shown"


def _sample(row: Row) -> str:
    if row["paired"]:
        return words.plural(int(row["n_pairs"]), "paired seed")
    return f"{row['n_treatment']:g} and {row['n_control']:g} trials whose seeds do not pair, Welch"


def _speed(final: Row, times: Sequence[Row]) -> Iterator[str]:
    known = [row for row in times if _someone_reached(row) and not math.isnan(row["estimate"])]
    if known:
        shown = _spread(known, MOST_TARGETS)
        yield f"Steps to a target, control over treatment: {'; '.join(map(_ratio, shown))}."
    unknown = [row["target"] for row in times if not _someone_reached(row)]
    if unknown and known:
        either = words.listed(map(_at, unknown), last="or")
        yield f"No trial of either reached {either}."


def _spread(rows: list[Row], limit: int) -> list[Row]:
    """At most `limit` of the rows, the first and the last among them."""
    if len(rows) <= limit:
        return rows
    return [rows[round(k * (len(rows) - 1) / (limit - 1))] for k in range(limit)]


def _ratio(row: Row) -> str:
    bound = f"{row['bound']} " if row["bound"] in ("at least", "at most") else ""
    text = f"{bound}{words.ratio(row['estimate'])} at {_at(row['target'])}"
    inside = []
    no_width = math.isclose(row["low"], row["high"])  # as where evaluations are far apart
    if row["paired"] and no_width:
        inside.append(f"the same in all {words.plural(int(row['n_pairs']), 'pair')}")
    elif not math.isnan(row["low"]):
        low, high = words.write("number", row["low"]), words.write("number", row["high"])
        inside.append(f"{low} to {high}")
    for side in ("treatment", "control"):
        if row[f"n_unreached_{side}"]:
            n = row[f"n_{side}"]
            inside.append(f"{row[f'n_unreached_{side}']:g} of {n:g} {side} trials never reached it")
    if row["bound"] == "within budget":
        inside.append("of times up to the budget")
    return text + (f" ({', '.join(inside)})" if inside else "")


def _cost(findings: Findings, final: Row, times: Sequence[Row]) -> Iterator[str]:
    """When pretraining has paid, at the highest target where that is known."""
    table = findings.pairs.break_evens
    if table.empty or not times:
        return
    keys = ["task", "treatment", "control"]
    rows = table[(table[keys] == pd.Series({k: final[k] for k in keys})).all(axis=1)]
    rows = rows[(rows["unit"] == "samples") & rows["saved"].notna() & rows["cost"].notna()]
    if rows.empty:
        return
    row = rows.iloc[-1]
    cost = f"Pretraining took {words.count(row['cost'])} images of training"
    where = f"to {_at(row['target'])}"
    if not row["saved"] > 0:
        yield f"{cost}, and nothing was saved on the way {where}."
        return
    bound = f"{row['bound']} " if row["bound"] else ""
    other = {"at least": "at most ", "at most": "at least "}.get(row["bound"], "")
    yield (
        f"{cost}; each use saved {bound}{words.count(row['saved'])} on the way {where}, so it is "
        f"paid for after {other}{words.plural(math.ceil(row['uses']), 'use')}."
    )


def score_name(score: str) -> str:
    """The trials' column of the final result in words."""
    return {"test_accuracy": "test accuracy"}.get(score, "best validation accuracy")


def margin_text(margin: float | None) -> str:
    """0.001 → `±0.1 points`."""
    if margin is None:
        return "no margin"
    return f"±{100 * margin:g} points"
