"""What each pair of arms shows, as phrases: `learns faster`, `ends more accurate`, or nothing.

In: the comparisons of a whole report. Out: an `Outcome` for each pair. It stands apart from
`sentence`, which puts the outcomes of several pairs together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.leads import STABLE, fit_of
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.wording import finished_words

_MANY = {"learns": "learn", "is": "are", "ends": "end", "overfits": "overfit"}


@dataclass(frozen=True)
class Phrase:
    """`learns faster` … `than “c”`: verb, word, what joins the control to it, and what follows."""

    verb: str
    word: str
    joins: str = "than"
    tail: str = ""

    def text(self, control: str = "", many: bool = False) -> str:
        """With the control where it was not named before; of many arms in the plural."""
        verb = _MANY[self.verb] if many else self.verb
        against = f" {self.joins} {control}" if control else ""
        return f"{verb} {self.word}{against}{self.tail}"


@dataclass(frozen=True)
class Outcome:
    """What one pair of arms shows: phrases, and the questions to which there is no answer.

    unknown: names of questions that were asked and show nothing. hints: what one comparison shows
    by itself and not among those of its question. finished: which trials did not
    finish, where what is shown is of the others alone. n: pairs of seeds.
    """

    treatment: str
    control: str
    shown: dict[str, Phrase]
    unknown: tuple[str, ...]
    hints: tuple[Phrase, ...] = ()
    finished: str = ""
    n: int = 2

    @property
    def short(self) -> Outcome:
        """For a sentence on everything: what is not known of stability is not told there."""
        known = tuple(name for name in self.unknown if name in ("way", "final"))
        return replace(self, unknown=known)

    def of_question(self, name: str) -> Outcome:
        """What it says of one question alone."""
        shown = {name: self.shown[name]} if name in self.shown else {}
        hints = tuple(
            hint
            for hint in self.hints
            if (name == "final") == (hint.verb == "ends") and name in ("way", "final")
        )
        unknown = tuple({name} & {*self.unknown})
        finished = self.finished if name in ("way", "final") else ""
        return replace(self, shown=shown, unknown=unknown, hints=hints, finished=finished)

    @property
    def weight(self) -> int:
        """How much it says: the way there and the end before anything else."""
        return sum(2 if name in ("way", "final") else 1 for name in self.shown)


def outcomes_of(findings: Findings) -> list[Outcome]:
    """One for each pair; of several tasks what they show together."""
    if len(findings.tasks) > 1:
        return _over_tasks(findings)
    by_pair: dict[tuple[str, str], list[Comparison]] = {}
    for row in findings.pairs.comparisons:
        by_pair.setdefault((row.treatment, row.control), []).append(row)
    return [outcome_of(rows, findings.score) for rows in by_pair.values()]


def outcome_of(rows: Sequence[Comparison], score: str) -> Outcome:
    """Of the comparisons of one pair in one task."""
    final = next(row for row in rows if row.metric == score)
    shown: dict[str, Phrase] = {}
    unknown = []
    for name, asked, phrase in (
        ("way", _way_asked(rows), _way(rows)),
        ("final", not math.isnan(final.estimate), _end(final)),
        ("stability", _tested(rows, "stability"), _stability(rows)),
        ("overfitting", _tested(rows, "overfitting"), _overfitting(rows)),
    ):
        if phrase:
            shown[name] = phrase
        elif asked:
            unknown.append(name)
    hints = [h for name, h in (("way", _way_hint(rows)), ("final", _hint(final))) if h]
    hints = [h for h in hints if h not in shown.values()]
    finished = [finished_words(row) for row in rows if row.among_finished]
    return Outcome(
        *(final.treatment, final.control, shown, tuple(unknown), tuple(hints)),
        finished="".join(finished[:1]),
        n=final.n,
    )


def _tested(rows: Iterable[Comparison], question: str) -> bool:
    return any(row.question == question and row.p_value <= 1 for row in rows)


def _way_rows(rows: Iterable[Comparison]) -> tuple[list[Comparison], list[Comparison]]:
    """The mean over training, and the times to targets that somebody reached."""
    rows = list(rows)
    area = [r for r in rows if r.metric == "area_under_curve" and not math.isnan(r.estimate)]
    return area, [r for r in rows if r.metric == "steps_to_target" and r.someone_reached]


def _way_asked(rows: Iterable[Comparison]) -> bool:
    return any(_way_rows(rows))


def _way(rows: Iterable[Comparison]) -> Phrase | None:
    area, times = _way_rows(rows)
    sooner, later = ([r for r in times if r.verdict == v] for v in ("better", "worse"))
    for row in area:
        if row.verdict in ("better", "worse"):
            faster = row.verdict == "better"
            against = later if faster else sooner
            when = "later" if faster else "sooner"
            tail = f", yet is {when} at {_targets(against)}" if against else ""
            return Phrase("learns", "faster" if faster else "slower", tail=tail)
    parts = [
        f"{when} at {_targets(shown)}"
        for when, shown in (("sooner", sooner), ("later", later))
        if shown
    ]
    return Phrase("is", words.listed(parts)) if parts else None


def _targets(rows: Iterable[Comparison]) -> str:
    return words.listed(row.target_words for row in rows)


def _end(final: Comparison) -> Phrase | None:
    ends = final.measured.ends
    if final.verdict == "equivalent":
        margin = final.measured.margin(final.margin)
        return Phrase("ends", ends("as"), "as", f" (within {margin})")
    if final.verdict in ("better", "worse"):
        return Phrase("ends", ends("more" if final.verdict == "better" else "less"))
    return None


def _hint(final: Comparison) -> Phrase | None:
    """What the final values show by themselves alone."""
    if final.state != "by itself":
        return None
    return Phrase("ends", final.measured.ends("more" if final.direction == "better" else "less"))


def _way_hint(rows: Sequence[Comparison]) -> Phrase | None:
    """The same of the way there, where nothing of it is shown: of the mean, else of a target."""
    area, times = _way_rows(rows)
    if _way(rows):
        return None
    for row in (r for r in (*area, *times) if r.state == "by itself"):
        better = row.direction == "better"
        if row.is_time:
            return Phrase("is", f"{'sooner' if better else 'later'} at {row.target_words}")
        return Phrase("learns", "faster" if better else "slower")
    return None


def _stability(rows: Iterable[Comparison]) -> Phrase | None:
    steady = [row for row in rows if row.question == "stability"]
    for verdict, word in (("better", "more"), ("worse", "less")):
        where = [STABLE[row.metric] for row in steady if row.verdict == verdict]
        if where:
            return Phrase("is", f"{word} stable {words.listed(where)}")
    return None


def _overfitting(rows: Iterable[Comparison]) -> Phrase | None:
    fit = fit_of(rows)
    return Phrase("overfits", fit.word, fit.joins, fit.tail) if fit.word else None


def _over_tasks(findings: Findings) -> list[Outcome]:
    table = findings.over_tasks.together
    if table.empty:
        return []
    ends = findings.course.ends
    phrases = {
        "way": (Phrase("learns", "faster"), Phrase("learns", "slower")),
        "final": (Phrase("ends", ends("more")), Phrase("ends", ends("less"))),
        "stability": (
            Phrase("is", "more stable within a run"),
            Phrase("is", "less stable within a run"),
        ),
        "overfitting": (Phrase("overfits", "less"), Phrase("overfits", "more")),
    }
    outcomes = []
    for (treatment, control), rows in table.groupby(["treatment", "control"], sort=False):
        verdicts = dict(zip(rows["question"], rows["verdict"], strict=True))
        shown = {
            name: phrases[name][verdicts[name] == "worse"]
            for name in phrases
            if verdicts.get(name) in ("better", "worse")
        }
        unknown = [name for name in phrases if name in verdicts and name not in shown]
        alone = dict(zip(rows["question"], rows["p_value"] <= words.ALPHA, strict=True))
        signs = dict(zip(rows["question"], rows["z"] < 0, strict=True))
        asked = [name for name in unknown if name in ("way", "final")]
        hints = [phrases[name][signs[name]] for name in asked if alone[name]]
        outcomes.append(Outcome(str(treatment), str(control), shown, tuple(unknown), tuple(hints)))
    return outcomes
