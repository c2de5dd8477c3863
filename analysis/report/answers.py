"""The answer in words: a paragraph for each comparison, from its computed values.

In: `Findings`. Out: `Answer`s, and the paragraphs for the top. It stands alone because page, PDF,
workbook, console and JSON must say the same. Every sentence is a template over values; where
nothing was tested it says so. A paragraph leads with the verdict, then gives the numbers behind
it, then what cannot be said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.displays import SCORE_WORDS
from analysis.report.further import further_lead, further_sentences
from analysis.statistics.pairs.comparison import Comparison, Verdict
from analysis.statistics.pairs.questions import ALPHA
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.significance import sign_test
from analysis.statistics.times.course import Course

MOST_TARGETS = 4  # that one sentence lists
MOST_AT_TOP = 4  # comparisons that have their paragraph at the top


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
    by_pair: dict[tuple[str, str, str], list[Comparison]] = {}
    for row in findings.pairs.comparisons:
        by_pair.setdefault((row.task, row.treatment, row.control), []).append(row)
    answers = [_answer(findings, rows) for rows in by_pair.values()]
    return answers + [_untested(task, pair) for task, pair in findings.pairs.untested]


def summary(findings: Findings, answers: Sequence[Answer]) -> list[Paragraph]:
    """The paragraphs at the top: all answers where they are few, else how they fall out."""
    if not findings.arms["n_done"].sum():
        return [Paragraph("There is no answer: no trial of any arm finished.")]
    if not answers:
        return [_only_arm(findings, k) for k in findings.arms.index[:6]]
    if len(answers) <= MOST_AT_TOP:
        return [answer.words for answer in answers]
    return [
        Paragraph(_split(findings, len(answers)), "Each has its paragraph under Verdicts."),
        *(answer.words for answer in _clearest(findings, answers)),
    ]


def _split(findings: Findings, n: int) -> str:
    """How many comparisons came out how: `Of 39 comparisons in final accuracy, 2 are better …`."""
    margin = f"equivalent within {margin_text(findings.pairs.margin, findings.course)}"
    rows, course = findings.pairs.comparisons, findings.course
    better, worse = (
        ("more accurate", "less accurate")
        if course.name == "accuracy"
        else (f"better in {course.words}", f"worse in {course.words}")
    )
    final = _counted(
        [row for row in rows if row.metric == findings.score],
        {"better": better, "worse": worse, "equivalent": margin},
    )
    text = f"Of {n} comparisons in final {findings.course.words}, {final}"
    times = [row for row in rows if row.metric == "steps_to_target"]
    if times:
        counts = _counted(times, {"better": "sooner", "worse": "later", "equivalent": ""})
        text += f"; of {len(times)} in steps to a target, {counts}"
    return f"{text}."


def _counted(rows: Sequence[Comparison], names: Mapping[Verdict, str]) -> str:
    n = Counter(row.verdict for row in rows)
    texts: dict[Verdict, str] = {**names, "inconclusive": "undecided"}
    counts = [f"{n[verdict]} {text}" for verdict, text in texts.items() if n[verdict]]
    return words.listed(counts) or "none has a value"


def _clearest(findings: Findings, answers: Sequence[Answer]) -> list[Answer]:
    """The clearest gain and the clearest loss in final accuracy, where there are such."""
    scored = [row for row in findings.pairs.comparisons if row.metric == findings.score]
    rows = [row for row in scored if row.verdict in ("better", "worse")]
    if not rows:
        return []
    ends = [choose(rows, key=lambda row: row.mean_score) for choose in (max, min)]
    pairs = {(row.task, row.treatment, row.control) for row in ends}
    return [a for a in answers if (a.task, a.treatment, a.control) in pairs]


def _only_arm(findings: Findings, k: int) -> Paragraph:
    arm = findings.arms.loc[k]
    if not arm["n_done"]:
        return Paragraph(f"“{arm['arm']}”: no trial finished.")
    score = words.interval(findings.course.kind, arm["score"], arm["score_low"], arm["score_high"])
    return Paragraph(
        f"“{arm['arm']}” ends at {score} {score_name(findings.score)}.",
        f"Over {words.plural(int(arm['score_n']), 'seed')}. Nothing was compared.",
    )


def _untested(task: str, pair: Pair) -> Answer:
    arms = f"“{pair.treatment}” against “{pair.control}” ({task})"
    lead = f"{arms}: not tested, since one of the two has no trials."
    return Answer(task, *pair, Paragraph(lead))


def _answer(findings: Findings, rows: Sequence[Comparison]) -> Answer:
    final = next(row for row in rows if row.metric == findings.score)
    times = [row for row in rows if row.metric == "steps_to_target"]
    area = [row for row in rows if row.metric == "area_under_curve"]
    where = f"On {final.task}, " if len(findings.tasks) > 1 else ""
    further = further_lead(rows)
    lead = f"{where}“{final.treatment}” {_lead(final, times)}{'; ' * bool(further)}{further}."
    rest = [
        *_accuracy(findings, final),
        *_area(findings, area),
        *_speed(times),
        *_cost(findings, final, times),
        *further_sentences(rows, lambda row: _doubt(findings, row)),
    ]
    paragraph = Paragraph(words.sentence(lead), " ".join(rest))
    return Answer(final.task, final.treatment, final.control, paragraph)


def _lead(final: Comparison, times: Sequence[Comparison]) -> str:
    """`reaches every target sooner than “scratch” and ends more accurate`."""
    speed, sure = _speed_words(times, final.control)
    end = final.measured.end(final.verdict, f"“{final.control}”")
    if final.among_finished:
        end += ", of trials that finished"
    if not final.n:
        end = (
            f"cannot be compared with “{final.control}” in final {final.measured.words} (no values)"
        )
    if not speed:
        return end
    agree = (final.verdict in ("better", "equivalent")) == sure
    return f"{speed}, {'and' if agree else 'but'} {end}"


def _speed_words(times: Sequence[Comparison], control: str) -> tuple[str, bool]:
    """What the verdicts at the targets amount to, and whether it is a gain."""
    known = [row for row in times if row.someone_reached]
    sooner = [row.target_words for row in known if row.verdict == "better"]
    later = [row.target_words for row in known if row.verdict == "worse"]
    if not times:
        return "", False
    if not known:
        late = any(row.n_late for row in times)
        within = " within the common budget" if late else ""
        return f"reaches no target{within}, nor does “{control}”", False
    every = "every target that either reached" if len(known) < len(times) else "every target"
    every = f"the target of {known[0].target_words}" if len(times) == 1 else every
    if any(row.is_against_never for row in known):
        return _never_words(known, control, every), not later
    if len(sooner) == len(known):
        return f"reaches {every} sooner than “{control}”", True
    if len(later) == len(known):
        return f"reaches {every} later than “{control}”", False
    if sooner and later:
        both = f"{_targets(sooner)} sooner but {_targets(later)} later"
        return f"reaches {both} than “{control}”", False
    if sooner or later:
        side = "sooner" if sooner else "later"
        rest = "the other targets are undecided"
        return f"reaches {_targets(sooner or later)} {side} than “{control}” ({rest})", bool(sooner)
    return f"is not shown to reach any target sooner or later than “{control}”", False


def _never_words(known: Sequence[Comparison], control: str, every: str) -> str:
    """`does not reach 95 %, which “scratch” does`; an arm that never arrives is not later."""
    within = " within the common budget" if any(row.n_late for row in known) else ""
    against = [row for row in known if row.is_against_never]
    alone = [row.target_words for row in against if row.verdict == "better"]
    missed = [row.target_words for row in against if row.verdict == "worse"]
    if len(alone) == len(known) > 1:
        return f"reaches {every}, and “{control}” none of them{within}"
    if len(missed) == len(known) > 1:
        return f"reaches none of the targets that “{control}” reaches{within}"
    texts = []
    if alone:
        texts.append(f"reaches {_targets(alone)}, which “{control}” does not{within}")
    if missed:
        texts.append(f"does not reach {_targets(missed)}{within}, which “{control}” does")
    others = [row for row in known if not row.is_against_never]
    if others:
        texts.insert(0, _speed_words(others, control)[0])
    return "; it ".join(texts)


def _targets(targets: Sequence[str], last: str = "and") -> str:
    return words.listed(targets, last)


def _accuracy(findings: Findings, row: Comparison) -> Iterator[str]:
    name = words.sentence(score_name(findings.score)).rstrip(".")
    if math.isnan(row.estimate):
        yield f"{name}: not tested ({row.note or 'no values'})."
        return
    text = f"{name}: {row.measured.difference(row.estimate)}"
    if math.isnan(row.low):
        yield f"{text} on a single pair of seeds, which allows no interval and no test."
        return
    text += f" ({_doubt(findings, row)}, {_sample(row)})"
    if row.verdict == "equivalent":
        text += f", inside the margin of {row.measured.margin(row.margin)}"
    elif row.verdict == "inconclusive":
        text += _undecided(findings, row)
    yield text + "."
    yield from _wins(row)
    if row.n_failed_treatment + row.n_failed_control:
        yield _failures(row)
    if row.note:
        yield words.sentence(row.note)


def _doubt(findings: Findings, row: Comparison) -> str:
    """`95 % interval of this comparison alone +0.2 to +0.4, p 0.012, among the 3 comparisons of
    final accuracy 0.030`."""
    ends = f"{words.write(row.kind, row.low)} to {words.write(row.kind, row.high)}"
    text = f"95 % interval of this comparison alone {ends}, p {words.probability(row.p_value)}"
    n = _family_size(findings, row)
    if n > 1:
        text += f", among the {n} comparisons of {row.question_words} "
        text += words.probability(row.p_question)
    return text


def _family_size(findings: Findings, row: Comparison) -> int:
    """How many tests the row's question has in this report."""
    rows = findings.pairs.comparisons
    return sum(r.question == row.question and not math.isnan(r.p_value) for r in rows)


def _undecided(findings: Findings, row: Comparison) -> str:
    if row.state == "by itself":
        n = _family_size(findings, row)
        return f": by itself beyond chance, not among the {n} comparisons of this question"
    if math.isnan(row.margin):
        return ": no difference is shown, and equivalence was not tested (the sweep sets no margin)"
    margin = row.measured.margin(row.margin)
    return f": neither a difference nor equivalence within {margin} is shown"


def _wins(row: Comparison) -> Iterator[str]:
    """`5 of 5 pairs are in favour; by itself that is not beyond chance (p 0.062).`"""
    n = row.n_won + row.n_lost
    if not row.paired or not n:
        return
    p = sign_test(row.n_won, row.n_lost)
    doubt = (
        "" if p <= ALPHA else f"; by itself that is not beyond chance (p {words.probability(p)})"
    )
    yield f"{row.n_won} of {words.plural(row.n_pairs, 'pair')} are in favour{doubt}."


def _failures(row: Comparison) -> str:
    """Which trials have no accuracy, and whether the verdict holds with them at chance."""
    counts = [
        f"{n} of {n + n_done} of “{arm}”"
        for arm, n, n_done in (
            (row.treatment, row.n_failed_treatment, row.n_treatment),
            (row.control, row.n_failed_control, row.n_control),
        )
        if n
    ]
    text = f"Trials that did not finish have no accuracy: {words.listed(counts)}."
    if row.verdict not in ("better", "worse"):
        return text
    holds = "does not hold" if row.among_finished else "holds too"
    return f"{text} The verdict {holds} with each of them at chance."


def _area(findings: Findings, rows: Sequence[Comparison]) -> Iterator[str]:
    """The mean accuracy over training, first among the way there."""
    for row in rows:
        if not math.isnan(row.low):
            claim = _undecided(findings, row) if row.state == "by itself" else ""
            if row.state == "not shown":
                claim = ": no difference is shown"
            yield (
                f"Mean validation {row.measured.words} over training: "
                f"{row.measured.difference(row.estimate)} "
                f"({_doubt(findings, row)}){claim}."
            )


def _sample(row: Comparison) -> str:
    if row.paired:
        return words.plural(row.n_pairs, "paired seed")
    return f"{row.n_treatment} and {row.n_control} trials whose seeds do not pair, Welch"


def _speed(times: Sequence[Comparison]) -> Iterator[str]:
    known = [row for row in times if row.someone_reached and not math.isnan(row.estimate)]
    if known:
        shown = _spread(known, MOST_TARGETS)
        head = (
            "Steps to a target, control over treatment (intervals of one comparison each, p among"
        )
        yield f"{head} the way there): {'; '.join(map(_ratio, shown))}."
    unknown = [row for row in times if not row.someone_reached]
    never = [row.target_words for row in unknown if not row.n_late]
    if never and known:
        yield f"No trial of either reached {_targets(never, 'or')} in its training."
    for row in unknown:
        if row.n_late:
            late = [
                f"{n} of {n_all} of “{arm}”"
                for arm, n, n_all in (
                    (row.treatment, row.n_late_treatment, row.n_treatment),
                    (row.control, row.n_late_control, row.n_control),
                )
                if n
            ]
            yield (
                f"Within the common budget of {words.count(row.budget)} steps no trial of either "
                f"reached {row.target_words}; later {words.listed(late)} did."
            )


def _spread(rows: list[Comparison], limit: int) -> list[Comparison]:
    """At most `limit` of the rows, the first and the last among them."""
    if len(rows) <= limit:
        return rows
    return [rows[round(k * (len(rows) - 1) / (limit - 1))] for k in range(limit)]


def _ratio(row: Comparison) -> str:
    text = f"{row.bound_words}{words.ratio(row.estimate)} at {row.target_words}"
    inside = []
    if not math.isnan(row.low):
        inside.append(f"{words.write('number', row.low)} to {words.write('number', row.high)}")
        inside.append(f"p {words.probability(row.p_question)}")
    if row.state == "by itself":
        inside.append(f"by itself beyond chance, p {words.probability(row.p_value)}")
    for side, n, n_unreached in (
        ("treatment", row.n_treatment, row.n_unreached_treatment),
        ("control", row.n_control, row.n_unreached_control),
    ):
        if n_unreached:
            inside.append(f"{n_unreached} of {n} {side} trials did not within the common budget")
    for side, n, n_at_once in (
        ("treatment", row.n_treatment, row.n_at_once_treatment),
        ("control", row.n_control, row.n_at_once_control),
    ):
        if n_at_once:
            inside.append(f"{side} there before its first step in {n_at_once} of {n} seeds")
    if row.bound == "within budget":
        inside.append("of times between the first evaluation and the common budget")
    return text + (f" ({', '.join(inside)})" if inside else "")


def _cost(findings: Findings, final: Comparison, times: Sequence[Comparison]) -> Iterator[str]:
    """When pretraining has paid, at the highest target that is shown to be reached sooner."""
    table = findings.pairs.break_evens
    sooner = [row.target for row in times if row.verdict == "better"]
    if table.empty or not sooner:
        return
    rows = table[(table["unit"] == "samples") & table["saved"].notna() & table["cost"].notna()]
    rows = rows[rows["target"].isin(sooner)]
    for key in ("task", "treatment", "control"):
        rows = rows[rows[key] == getattr(final, key)]
    if rows.empty:
        return
    row = rows.iloc[-1]
    cost = f"Pretraining took {words.count(row['cost'])} images of training"
    where = f"to {findings.course.target(row['target'])}"
    if not row["saved"] > 0:
        yield f"{cost}, and nothing was saved on the way {where}."
        return
    bound = f"{row['bound']} " if row["bound"] else ""
    if not math.isfinite(row["uses_high"]):
        yield (
            f"{cost}; each use saved {bound}{words.count(row['saved'])} on the way {where}, which "
            "is not sure enough to say how many uses pay for it."
        )
        return
    other = {"at least": "at most ", "at most": "at least "}.get(row["bound"], "")
    ends = ""
    if not math.isnan(row["uses_low"]):
        low, high = (words.write("count", row[f"uses_{end}"]) for end in ("low", "high"))
        ends = f" (95 % interval {low} to {high})"
    yield (
        f"{cost}; each use saved {bound}{words.count(row['saved'])} on the way {where}, so it is "
        f"paid for after {other}{words.plural(math.ceil(row['uses']), 'use')}{ends}."
    )


def score_name(score: str) -> str:
    """The trials' column of the final result in words."""
    return SCORE_WORDS[score].replace("Test", "test").replace("Best", "best")


def margin_text(margin: float | None, course: Course) -> str:
    """0.001 → `±0.1 points`."""
    return "no margin" if margin is None else course.margin(margin)
