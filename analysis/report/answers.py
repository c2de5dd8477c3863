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

import pandas as pd

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.displays import SCORE_WORDS, common_text, uses_text
from analysis.report.leads import AT_THE_END, first_sentence, fit_of, images_words, scope_words
from analysis.statistics.pairs.comparison import Comparison, Verdict
from analysis.statistics.pairs.questions import ALPHA, QUESTION_WORDS
from analysis.statistics.pairs.wording import finished_words, row_words, sample_words
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.significance import sign_test
from analysis.statistics.times.course import Course

MOST_TARGETS = 4  # that one sentence lists
MOST_AT_TOP = 4  # comparisons that have their paragraph at the top


@dataclass(frozen=True)
class Paragraph:
    """`lead` alone is a whole sentence; `numbers`: a sentence for each question; `remarks`: on what
    they rest, and what is beside them."""

    lead: str
    numbers: tuple[str, ...] = ()
    remarks: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All but the first sentence."""
        return (*self.numbers, *filter(None, (self.remarks,)))

    @property
    def rest(self) -> str:
        """The same as one text."""
        return " ".join(self.sentences)

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
    together = _over_tasks(findings)
    if len(answers) <= MOST_AT_TOP:
        return together + [answer.words for answer in answers]
    return [
        *together,
        Paragraph(_split(findings, len(answers)), remarks="Each has its paragraph under Verdicts."),
        *(answer.words for answer in _clearest(findings, answers)),
    ]


def _over_tasks(findings: Findings) -> list[Paragraph]:
    """Of several tasks first what they show together: one test of all for each question."""
    table = findings.over_tasks.together
    if table.empty:
        return []
    ends = findings.course.ends
    sides = {
        "way": ("learns faster", "learns slower"),
        "final": (f"ends {ends('more')}", f"ends {ends('less')}"),
        "stability": ("is more stable within a run", "is less stable within a run"),
        "overfitting": ("overfits less", "overfits more"),
    }
    paragraphs = []
    for (treatment, control), rows in table.groupby(["treatment", "control"], sort=False):
        by_question = {row.question: row for row in rows.itertuples()}
        tested = [by_question[name] for name in _ORDER if name in by_question]
        shown = [
            sides[row.question][row.verdict == "worse"]
            for row in tested
            if row.verdict in ("better", "worse")
        ]
        unknown = [
            sides[row.question][0] for row in tested if row.verdict not in ("better", "worse")
        ]
        which = words.listed(unknown, "or")
        lead = f"it is not known which of “{treatment}” and “{control}” {which}"
        if shown:
            lead = f"“{treatment}” {words.listed(shown)} than “{control}”"
            lead += f"; which of the two {which} is not shown" if unknown else ""
        numbers = [
            f"{_TOGETHER[row.question]} {common_text(row)}, better in {row.n_better} of "
            f"{row.n_tasks} tasks, p {words.probability(row.p_question)} among its question"
            + (f", of trials that finished ({row.n_failed} did not)" if row.n_failed else "")
            for row in tested
        ]
        n = words.plural(int(rows["n_tasks"].max()), "task")
        text = "One test over all of them (Stouffer), with the 95 % interval of "
        text += f"each alone: {'; '.join(numbers)}."
        paragraphs.append(Paragraph(f"Over {n} together {lead}.", (text,)))
    return paragraphs[:MOST_AT_TOP]


_TOGETHER = {
    "way": "mean over training",
    "final": "final value",
    "stability": "noise within a run",
    "overfitting": "gap in accuracy",
}


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
    texts: dict[Verdict, str] = {**names, "inconclusive": "not shown"}
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
        remarks=f"Over {words.plural(int(arm['score_n']), 'seed')}. Nothing was compared.",
    )


def _untested(task: str, pair: Pair) -> Answer:
    arms = f"“{pair.treatment}” against “{pair.control}” ({task})"
    lead = f"{arms}: not tested, since one of the two has no trials."
    return Answer(task, *pair, Paragraph(lead))


def _answer(findings: Findings, rows: Sequence[Comparison]) -> Answer:
    final = next(row for row in rows if row.metric == findings.score)
    times = [row for row in rows if row.metric == "steps_to_target"]
    lead = first_sentence(rows, findings.score)
    if len(findings.tasks) > 1:
        lead = f"On {final.task}: {lead}"
    numbers = [text for name in _ORDER if (text := _question(findings, rows, name))]
    remarks = [_intervals(rows), *_wins(final), *_failures(final), *_cost(findings, final, times)]
    paragraph = Paragraph(lead, tuple(numbers), " ".join(filter(None, remarks)))
    return Answer(final.task, final.treatment, final.control, paragraph)


_ORDER = ("way", "final", *(name for name in QUESTION_WORDS if name not in ("way", "final")))


def _question(findings: Findings, rows: Sequence[Comparison], name: str) -> str:
    """`The way there (9 comparisons, 5 % for all together): mean … +30.1 points (25.4 to 34.7; p
    <0.001); steps to 90 %: 2.77× fewer (1.89 to 4.06; p 0.002).`"""
    rows = [row for row in rows if row.question == name]
    if name not in ("final", "way"):
        rows = [row for row in rows if row.p_value <= 1]
    if not rows:
        return ""
    times = [row for row in rows if row.is_time]
    shown = [row for row in rows if not row.is_time] + _spread(times, MOST_TARGETS)
    head = words.sentence(rows[0].question_words).rstrip(".")
    if name == "final":
        head += f" on {images_words(rows[0])}"
    n = rows[0].n_question
    if n > 1:
        strict = any(asked.errors == "report" for asked in findings.asked)
        together = "its part of 5 % for the report" if strict else "5 % for all together"
        head += f" ({n} comparisons, {together})"
    if name == "overfitting":
        return f"{head}: {_fit(rows)}."
    if name not in ("final", "way"):  # beside the point where nothing is shown: the table has it
        shown = [row for row in rows if row.state != "not shown"]
    texts = [row_words(row, named=name != "final") for row in shown]
    if len(shown) < len(rows) - len(times) + min(len(times), MOST_TARGETS):
        texts.append("nothing else is shown" if texts else "no difference is shown")
    return f"{head}: {'; '.join(texts)}."


def _fit(rows: Sequence[Comparison]) -> str:
    """Who overfits more, and by how much: of what stands at the end of training in any case."""
    row, fit = rows[0], fit_of(rows)
    lead = f"which of “{row.treatment}” and “{row.control}” overfits more is not known"
    if fit.word:
        lead = f"“{row.treatment}” overfits {fit.word} {fit.joins} “{row.control}”{fit.tail}"
    shown = [row for row in rows if row.state != "not shown" or row.metric in AT_THE_END]
    return "; ".join([lead, *(row_words(row) for row in shown)])


def _intervals(rows: Sequence[Comparison]) -> str:
    """What every interval of the paragraph is of, and what it holds for."""
    tested = [row for row in rows if not math.isnan(row.low)]
    if not tested:
        return ""
    samples = {sample_words(row): row.question_words for row in reversed(tested)}
    of = words.listed(
        sample + (f" ({question})" if len(samples) > 1 else "")
        for sample, question in reversed(samples.items())
    )
    text = f"Intervals are 95 % intervals of one comparison alone, for new seeds (from {of})"
    for row in tested:
        if row.question == "final":
            also = "also " if row.overlap else ""
            text += f"; those of {row.question_words} hold {also}{scope_words(row)}"
    return f"{text}."


def _wins(row: Comparison) -> Iterator[str]:
    """`5 of 5 pairs are in favour; by itself that is not beyond chance (p 0.062).`"""
    n = row.n_won + row.n_lost
    if not row.paired or not n:
        return
    p = sign_test(row.n_won, row.n_lost)
    few = ": too few pairs to exclude it" if n in (row.n_won, row.n_lost) else ""
    doubt = f"; by itself that is not beyond chance (p {words.probability(p)}){few}"
    yield (
        f"In final {row.measured.words} {row.n_won} of {words.plural(row.n_pairs, 'pair')} are in "
        f"favour of “{row.treatment}”{'' if p <= ALPHA else doubt}."
    )


def _failures(row: Comparison) -> Iterator[str]:
    """Which trials have no accuracy, and whether the verdict holds with them at chance."""
    if not row.n_failed_treatment + row.n_failed_control:
        return
    if row.among_finished:
        yield "With each of the others at chance the verdict on final values does not hold."
        return
    text = f"Final values are of trials that finished; {finished_words(row)}."
    if row.verdict in ("better", "worse"):
        text += " The verdict holds too with each of the others at chance."
    yield text


def _spread(rows: list[Comparison], limit: int) -> list[Comparison]:
    """At most `limit` of the rows, the first and the last among them."""
    if len(rows) <= limit:
        return rows
    return [rows[round(k * (len(rows) - 1) / (limit - 1))] for k in range(limit)]


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
    yield (
        f"{cost}; each use saved {bound}{words.count(row['saved'])} on the way {where}, so it is "
        f"paid for after {_uses(row)}."
    )


def _uses(row: pd.Series) -> str:
    """`about 6 uses (1 to 11; …)`, `1 to 11 uses (…)` where what was saved is a bound, `1 use`."""
    low, high = row["uses_low"], row["uses_high"]
    uses = uses_text(row["uses"], math.nan, math.nan, row["bound"])
    if math.isnan(low):
        return f"{uses} use{'s' * (uses != '1')}"
    ends = uses_text(row["uses"], low, high, "at least")
    if row["bound"] or ends == uses:
        return f"{ends} use{'s' * (ends != '1')} ({_ALONE})"
    return f"about {uses} use{'s' * (uses != '1')} ({ends}; {_ALONE})"


_ALONE = "95 % interval of this pair and target alone"


def score_name(score: str) -> str:
    """The trials' column of the final result in words."""
    return SCORE_WORDS[score].replace("Test", "test").replace("Best", "best")


def margin_text(margin: float | None, course: Course) -> str:
    """0.001 → `±0.1 points`."""
    return "no margin" if margin is None else course.margin(margin)
