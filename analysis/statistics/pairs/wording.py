"""A comparison in words: one maker of sentences, from one record.

In: a `Comparison`. Out: its name, its numbers and what they allow one to say. It stands alone so
that page, PDF, workbook, JSON and console say the same of a row in the same words: each of them
takes its texts from here. Nothing is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis import words
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.times.course import ACCURACY, COURSES, Course

_NAMES = {
    "area_under_curve": "mean validation {} over training",
    "spread_over_seeds": "distance of two seeds",
    "noise_within_a_run": "noise within a run",
    "broken_runs": "runs that failed, diverged or collapsed",
    "accuracy_gap": "training minus validation accuracy at the chosen step",
    "loss_gap": "validation minus training loss at the chosen step",
    "end_accuracy_gap": "training minus validation accuracy at the end of training",
    "loss_rise": "rise of validation loss from its lowest to the end of training",
}
_UNITS = {
    "steps_to_target": "steps",
    "samples_to_target": "images",
    "train_time_s_to_target": "seconds of training",
}
_OF_FINALS = {
    name: f"{where} {course.words}"
    for course in COURSES.values()
    for name, where in zip(course.finals, ("test", "best validation"), strict=True)
}


def metric_name(metric: str, target: float, course: Course = ACCURACY, test_set: str = "") -> str:
    """`steps to 97 %`, `test accuracy`, `mean validation accuracy over training`; of a further
    test set `accuracy on optdigits`."""
    if test_set:
        return f"{course.words} on {test_set}"
    if metric in _UNITS:
        return f"{_UNITS[metric]} to {course.target(target)}"
    if metric in _NAMES:
        return _NAMES[metric].format(course.words)
    if metric in _OF_FINALS:
        return _OF_FINALS[metric]
    part, _, rest = metric.partition("_val_")
    name = f"{part} validation {rest}" if rest else metric
    return words.spaced(name)


def row_name(row: Comparison) -> str:
    """What a row is about."""
    return metric_name(row.metric, row.target, row.measured, row.test_set)


def verdict_words(row: Comparison) -> str:
    """One row as a sentence by itself: who, what, by how much, how surely, from how many seeds."""
    text = f"“{row.treatment}” against “{row.control}”, {row_words(row, alone=True)}"
    if row.state == "shown":
        text = f"{row.verdict}: {text}"
    return f"{text}; {sample_words(row)}" if row.n and not math.isnan(row.estimate) else text


def row_words(row: Comparison, alone: bool = False, named: bool = True) -> str:
    """`steps to 90 %: 2.77× fewer (1.89 to 4.06; p 0.002)`.

    alone: the row stands by itself, so that it says which interval it has; in a list the list does.
    named: with what it is about, where a heading has not said that.
    """
    name = f"{row_name(row)}: " if named else ""
    if row.n == 0:
        return f"{name}cannot be compared ({row.note or 'no values'})"
    if row.is_time and not row.someone_reached:
        return f"{name}{_nobody(row)}"
    if math.isnan(row.estimate):
        return f"{name}not tested ({row.note or 'no values'})"
    claim = claim_words(row)
    inside = [*_interval(row, alone), *_chance(row), *_reservations(row)]
    brackets = f" ({'; '.join(inside)})" if inside else ""
    head = name if row.is_time else name.replace(": ", " ")
    return f"{head}{value_words(row)}{brackets}{': ' * bool(claim)}{claim}"


def value_words(row: Comparison) -> str:
    """`+3.70 points`, `at least 2.04× fewer`, `0.92×`, `0.72× that of “c”`."""
    if row.is_time:
        fewer = " fewer" if row.estimate > 1 else ""
        return f"{row.bound_words}{words.ratio(row.estimate)}{fewer}"
    return written(row, row.estimate)


def written(row: Comparison, value: float) -> str:
    """A value on the scale of the row with its unit, as `+0.34 points`."""
    text = words.write(row.kind, value)
    of_control = f" that of “{row.control}”" if row.kind == "log_ratio" else row.behind
    return f"{text}{of_control}"


def claim_words(row: Comparison) -> str:
    """What is said of the row beside its numbers; "" where it is shown and nothing is to add."""
    if row.verdict == "equivalent":
        return _equivalent(row)
    if row.state == "by itself":
        return (
            f"a hint alone: beyond chance by itself (p {words.probability(row.p_value)}), not once "
            f"all {row.n_question} comparisons are counted (p {words.probability(row.p_question)})"
        )
    if math.isnan(row.p_value):
        if row.n > 1:
            return "without any spread there is no interval and no test"
        return "one pair of seeds allows no interval and no test"
    if row.state == "not shown":
        if math.isnan(row.margin):
            untested = " (nor is equivalence tested: no margin is set)"
            asked = row.question in ("final", "outside")
            return f"not shown{untested if asked else ''}"
        return f"neither a difference nor equivalence within {_margin(row)} is shown"
    return f"of trials that finished; {finished_words(row)}" if row.among_finished else ""


def sample_words(row: Comparison) -> str:
    """`5 paired seeds`, `9 and 7 trials whose seeds do not pair (Welch)`."""
    if row.paired:
        return words.plural(row.n_pairs, "paired seed")
    return f"{row.n_treatment} and {row.n_control} trials whose seeds do not pair (Welch)"


def finished_words(row: Comparison) -> str:
    """`4 of 10 of “t” did not`: trials that have no final value since they failed or diverged."""
    failed = [
        (row.treatment, row.n_failed_treatment, row.n_treatment),
        (row.control, row.n_failed_control, row.n_control),
    ]
    # Of pairs that both arms broke, how many trials there were is not known here.
    whole = not row.paired or not all(n_failed for _, n_failed, _ in failed)
    counts = [
        f"{n_failed}{f' of {n + n_failed}' if whole else ''} of “{arm}”"
        for arm, n_failed, n in failed
        if n_failed
    ]
    return f"{words.listed(counts)} did not"


def _equivalent(row: Comparison) -> str:
    text = f"equivalent within {_margin(row)}"
    if row.direction:
        text += f" ({row.direction}, but by less than the margin)"
    if not math.isnan(row.low_equivalence):
        low, high = (words.write(row.kind, v) for v in (row.low_equivalence, row.high_equivalence))
        text += f", whose own 90 % interval is {low} to {high}"
    if row.among_finished:
        text += f", of trials that finished; {finished_words(row)}"
    return text


def _margin(row: Comparison) -> str:
    if row.metric == "value":  # of numbers from anywhere, in their own unit
        return f"±{row.margin:.3g}"
    return row.measured.margin(row.margin)


def _interval(row: Comparison, alone: bool) -> Sequence[str]:
    if math.isnan(row.low):
        return []
    low, high = (words.bare(row.kind, value) for value in (row.low, row.high))
    head = f"{words.share(row.confidence)} interval of this comparison alone " if alone else ""
    return [f"{head}{low} to {high}", *(["below 1: later"] if _is_later(row) else [])]


def _is_later(row: Comparison) -> bool:
    return row.is_time and row.estimate < 1


def _chance(row: Comparison) -> Sequence[str]:
    """The p on which the verdict rests; of what is not shown both, of `by itself` the claim has
    them."""
    if math.isnan(row.p_value) or row.state == "by itself":
        return []
    among, own = words.probability(row.p_question), words.probability(row.p_value)
    if row.state == "shown" or row.n_question < 2:
        return [f"p {among}"]
    return [f"p {own} alone, {among} among the {row.n_question}"]


def _reservations(row: Comparison) -> Sequence[str]:
    """Of a time: who was late, who was there at once."""
    if not row.is_time:
        return []
    texts = []
    late = [
        f"{n} of {n_all} of “{arm}”" + (f" (later {n_late} did)" if n_late else "")
        for arm, n, n_late, n_all in (
            (row.treatment, row.n_unreached_treatment, row.n_late_treatment, row.n_treatment),
            (row.control, row.n_unreached_control, row.n_late_control, row.n_control),
        )
        if n
    ]
    if late:
        texts.append(f"{words.listed(late)} did not get there in {_budget(row)}")
    for arm, n_at_once, n_all in (
        (row.treatment, row.n_at_once_treatment, row.n_treatment),
        (row.control, row.n_at_once_control, row.n_control),
    ):
        if n_at_once:
            texts.append(f"“{arm}” was there before its first step in {n_at_once} of {n_all} seeds")
    if row.bound == "within budget":
        texts.append("of times between the first evaluation and that budget")
    return texts


def _budget(row: Comparison) -> str:
    """`79 steps`; how long both arms trained at least."""
    unit = {"samples": "images", "s": "s of training"}.get(row.unit, row.unit)
    return f"{words.count(row.budget)} {unit}" if not math.isnan(row.budget) else "its training"


def _nobody(row: Comparison) -> str:
    late = [
        f"{n} of {n_all} of “{arm}”"
        for arm, n, n_all in (
            (row.treatment, row.n_late_treatment, row.n_treatment),
            (row.control, row.n_late_control, row.n_control),
        )
        if n
    ]
    text = f"no trial of either got there in {_budget(row)}"
    return f"{text}, the common budget; later {words.listed(late)} did" if late else text
