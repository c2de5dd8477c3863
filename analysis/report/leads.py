"""The first sentence of an answer: who learns faster, ends better, is more stable, or unknown.

In: the comparisons of one pair. Out: one sentence without numbers, for a reader who knows no
statistics. It stands apart from `answers`, which gives the numbers behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from analysis import words
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.wording import finished_words

UNSURE = "not sure once all comparisons are counted"
FITS = {
    "accuracy_gap": "in accuracy at the chosen step",
    "loss_gap": "in loss at the chosen step",
    "end_accuracy_gap": "in accuracy at the end of training",
    "loss_rise": "in the rise of its validation loss",
}
AT_THE_END = ("end_accuracy_gap", "loss_rise")
STABLE = {
    "spread_over_seeds": "from seed to seed",
    "noise_within_a_run": "within a run",
    "broken_runs": "in how many of its runs break",
}


@dataclass
class _Said:
    """Parts of the sentence, in order: what is shown, which targets one arm alone reaches, what a
    row shows only by itself, what nobody knows; and where only trials that finished show it, how
    many did not."""

    control: str
    shown: list[str] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    finished: str = ""

    def show(self, text: str, after: str = "") -> None:
        """`learns faster`, with `than “scratch”` where that was not said before."""
        than = "" if self.shown else f" than “{self.control}”"
        self.shown.append(f"{text}{than}{after}")


def first_sentence(rows: Sequence[Comparison], score: str) -> str:
    """`“pretrained” learns faster than “scratch” and is sooner at 90 %; which of the two ends more
    accurate is not shown.`"""
    final = next(row for row in rows if row.metric == score)
    said = _Said(final.control)
    _learning(said, rows)
    _end(said, final)
    _stability(said, rows)
    who, parts = f"“{final.treatment}”", []
    if said.shown:
        finished = f", of trials that finished ({said.finished})" if said.finished else ""
        parts.append(f"{who} {words.listed(said.shown)}{finished}")
    parts += [f"{'it' if parts else who} {text}" for text in said.reached]
    if said.alone:
        it = f"it {words.listed(said.alone)}"
        if not parts:
            it = f"{who} {words.listed(said.alone)} than “{final.control}”"
        parts.append(f"there is a hint that {it} ({UNSURE})")
    if said.unknown:
        which = words.listed(said.unknown, "or")
        if parts:
            parts.append(f"which of the two {which} is not shown")
        else:
            parts.append(f"it is not known which of {who} and “{final.control}” {which}")
    if not final.n:
        pair = f"{who} and “{final.control}” cannot be compared in {final.question_words}"
        parts.append(f"{pair} (no values)")
    return words.sentence("; ".join(parts))


@dataclass(frozen=True)
class Fit:
    """Who overfits, of one pair: `word` (less, more, as much; "" where it is not known), and what
    is to add to it."""

    word: str
    tail: str = ""

    @property
    def joins(self) -> str:
        """What the control follows."""
        return "as" if self.word == "as much" else "than"


def fit_of(rows: Iterable[Comparison]) -> Fit:
    """From the rows of overfitting: what is shown, of both sides where they differ; as much where
    all that has a margin is equivalent and nothing is shown."""
    rows = [row for row in rows if row.question == "overfitting"]
    less, more = (
        words.listed(FITS[row.metric] for row in rows if row.verdict == verdict)
        for verdict in ("better", "worse")
    )
    if less and more:
        return Fit("less", f" {less}, yet more {more}")
    if less or more:
        return Fit("less" if less else "more")
    judged = [row for row in rows if row.p_value <= 1 and not math.isnan(row.margin)]
    if judged and all(row.verdict == "equivalent" for row in judged):
        course = judged[0].measured
        what = "gaps in accuracy" if course.is_share else "gap and rise of loss"
        return Fit("as much", f" ({what} within {course.margin(judged[0].margin)})")
    return Fit("")


def scope_words(row: Comparison) -> str:
    """For what a difference of final values holds."""
    if row.overlap:
        return "for new splits of this pool"
    return f"on these {images_words(row)}, for new seeds"


def images_words(row: Comparison) -> str:
    """On which images a final value is of."""
    return "validation images" if "_val_" in row.metric else "test images"


def _learning(said: _Said, rows: Sequence[Comparison]) -> None:
    """The mean over training, and at which targets the treatment is sooner or later."""
    area = [row for row in rows if row.metric == "area_under_curve" and not _untested(row)]
    times = [row for row in rows if row.metric == "steps_to_target" and row.someone_reached]
    for row in area:
        if row.verdict in ("better", "worse"):
            said.show(f"learns {_pace(row)}")
            said.finished = finished_words(row) if row.among_finished else ""
    _targets(said, times)
    if said.shown or said.reached:
        return
    alone = [row for row in area if row.state == "by itself"]
    if alone:
        said.alone.append(f"learns {_pace(alone[0])}")
    elif sooner := [row for row in times if row.state == "by itself"]:
        when = "sooner" if sooner[0].direction == "better" else "later"
        alike = [row for row in sooner if row.direction == sooner[0].direction]
        said.alone.append(f"is {when} at {_listed(alike)}")
    elif area or times:
        said.unknown.append("learns faster")


def _pace(row: Comparison) -> str:
    return "faster" if row.direction == "better" else "slower"


def _untested(row: Comparison) -> bool:
    return math.isnan(row.estimate)


def _targets(said: _Said, times: Sequence[Comparison]) -> None:
    shown = [row for row in times if row.verdict in ("better", "worse")]
    never = [row for row in shown if row.is_against_never]
    for verdict, when in (("better", "sooner"), ("worse", "later")):
        rows = [row for row in shown if row.verdict == verdict and row not in never]
        if rows:
            every = len(rows) == len(times) > 1
            where = "every target that either reached" if every else _listed(rows)
            said.show(f"is {when} at {where}")
    for verdict in ("better", "worse"):
        rows = [row for row in never if row.verdict == verdict]
        if rows:
            within = f"in {words.count(rows[0].budget)} steps"
            who = f"“{said.control}”"
            said.reached.append(
                f"reaches {_listed(rows)} {within}, which {who} does not"
                if verdict == "better"
                else f"does not reach {_listed(rows)} {within}, which {who} does"
            )


def _listed(rows: Sequence[Comparison]) -> str:
    return words.listed(row.target_words for row in rows)


def _end(said: _Said, final: Comparison) -> None:
    if _untested(final):
        return
    ends = final.measured.ends
    after = f" ({scope_words(final)})"
    said.finished = finished_words(final) if final.among_finished else said.finished
    if final.verdict == "equivalent":
        margin = final.measured.margin(final.margin)
        said.shown.append(f"ends {ends('as')} as “{final.control}” within {margin}{after}")
    elif final.verdict in ("better", "worse"):
        said.show(f"ends {ends('more' if final.verdict == 'better' else 'less')}", after)
    elif final.state == "by itself":
        said.alone.append(f"ends {ends('more' if final.direction == 'better' else 'less')}")
    else:
        said.unknown.append(f"ends {ends('more')}")


def _stability(said: _Said, rows: Sequence[Comparison]) -> None:
    """Who is more stable; overfitting only where something is shown of it."""
    steady = [row for row in rows if row.question == "stability" and row.p_value <= 1]
    for verdict, word in (("better", "more"), ("worse", "less")):
        where = [STABLE[row.metric] for row in steady if row.verdict == verdict]
        if where:
            said.show(f"is {word} stable {words.listed(where)}")
    fit = fit_of(rows)
    if fit.word == "as much":
        said.shown.append(f"overfits as much as “{said.control}”{fit.tail}")
    elif fit.word:
        said.show(f"overfits {fit.word}", fit.tail)
    if steady and all(row.verdict not in ("better", "worse") for row in steady):
        said.unknown.append("is more stable")
