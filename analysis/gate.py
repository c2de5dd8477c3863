"""`python -m analysis gate BASE NEW --margin 0.002`: may a new version pass?

In: two run folders of one sweep and a margin. Out: what is known of each arm, and one answer: not
worse, worse, or cannot tell, with the exit status of each. It stands apart from `diff`, which tells
all that changed, because continuous integration asks one question and reads one number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import words
from analysis.findings.alike import APART, Sides, other_data, remarks_on, share_draws
from analysis.findings.asked import read_asked
from analysis.findings.load import load_apart, sides_of, with_tasks_of
from analysis.findings.measured import course_of, final_of
from analysis.measures.pairs.contrasts import build_contrasts
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.metrics import metric_of
from analysis.statistics.pairs.non_inferiority import LEVEL, Answer, NotWorse, not_worse
from analysis.statistics.pairs.power import MOST_SEEDS
from analysis.statistics.samples.pairing import Pair
from headstart.errors import InputError

BASE, NEW = "base: ", "new: "
STATUS: Mapping[Answer, int] = {"not worse": 0, "worse": 1, "cannot tell": 3}


@dataclass(frozen=True)
class Gated:
    """One arm (of one task): what was tested, and what of it is known."""

    place: str
    test: NotWorse
    answer: Answer
    n_failed: int
    coarse: bool


@dataclass(frozen=True)
class Gate:
    """The answer of all arms together: worse where one is, not worse where all are."""

    answer: Answer
    arms: tuple[Gated, ...]
    margin: float
    lines: tuple[str, ...]

    @property
    def status(self) -> int:
        """0 not worse, 1 worse, 3 cannot tell."""
        return STATUS[self.answer]


def gate_runs(
    base: Path | str,
    new: Path | str,
    margin: float,
    metric: str | None = None,
    arms: Sequence[str] = (),
) -> Gate:
    """Whether `new` is worse than `base` by `margin` or more in the final value of `metric`.

    Each arm of both is tested by itself: one wrong pass in twenty at most, whatever the number of
    arms, since all must pass; alarms are Holm-adjusted over the arms. Seeds pair where both runs
    have the same root seed, the same `vary` and the same data; else arms are compared as
    independent. Trials that failed or diverged count at chance where that is known; where it is
    not, their arm does not pass.

    Raises:
        InputError: a margin that is no number above 0 (of a share: and below 1), a metric that
            has none, runs that measure different metrics (without `metric`), an arm that one of
            the runs lacks, no arm in common, other data in one of the runs (a stand-in beside
            what it stands in for), or a path that is no run folder.
    """
    if not margin > 0 or math.isinf(margin):
        raise InputError(
            f"--margin {margin:g}: a number over 0 is expected, as 0.002 for 0.2 points"
        )
    before, after = load_apart(base, new)
    runs = {BASE: before, NEW: with_tasks_of(before, after)}
    evidence = {side: r.trials[r.trials["stage"] == "arm"] for side, r in runs.items()}
    trials = pd.concat([_of_side(evidence[side], side) for side in (BASE, NEW)], ignore_index=True)
    courses = [course_of(read_asked(r)) for r in runs.values()]
    course = courses[-1]
    if metric is None and courses[0] != course:
        measured = f"{base} measures {courses[0].words}, {new} {course.words}"
        raise InputError(f"{measured}; say --metric NAME to test one that both have")
    name = metric or final_of(course, trials)
    if not metric_of(name).along(course).counts_failures:
        raise InputError(f"--metric {name}: a margin is of a final value, as test_accuracy")
    if metric_of(name).unit == "fraction" and margin >= 1:
        raise InputError(f"--margin {margin:g}: a fraction below 1, as 0.002 for 0.2 points")
    chosen = _common_arms(evidence, arms, (base, new))
    sides = sides_of((base, new), (runs[BASE], runs[NEW]))
    _check_data(sides, chosen)
    apart = {NEW + arm for arm in chosen if not share_draws(sides, arm)}
    trials["seed"] += APART * trials["arm"].isin(apart)
    pairs = [Pair(NEW + arm, BASE + arm) for arm in chosen]
    contrasts = build_contrasts(trials, _NO_CURVES, pairs, (), (name,), course)
    if not contrasts:
        raise InputError(f"{base} and {new} have no {name} to compare")
    gated = _judge(contrasts, margin)
    answers = [arm.answer for arm in gated]
    answer: Answer = "cannot tell"
    if "worse" in answers:
        answer = "worse"
    elif set(answers) == {"not worse"}:
        answer = "not worse"
    lines = _lines(gated, answer, margin, metric_of(name).unit == "fraction")
    remarks = [f"note: {text}" for text in remarks_on(sides, chosen)]
    return Gate(answer, gated, margin, (*remarks, *lines))


_NO_CURVES = pd.DataFrame({"trial_id": [], "step": [], "val_accuracy": []})


def _of_side(frame: pd.DataFrame, side: str) -> pd.DataFrame:
    """With the run's side in arms and ids."""
    arm = side + frame["arm"].astype(str)
    return frame.assign(arm=arm, trial_id=side + frame["trial_id"].astype(str), side=side)


def _common_arms(
    evidence: Mapping[str, pd.DataFrame], asked: Sequence[str], paths: tuple[Path | str, Path | str]
) -> list[str]:
    """The arms to test; every arm that was asked for, else all that both runs have."""
    present = {side: [str(a) for a in dict.fromkeys(e["arm"])] for side, e in evidence.items()}
    arms = pd.concat(list(evidence.values()))
    by_name = dict(zip(arms["arm_name"].astype(str), arms["arm"].astype(str), strict=True))
    chosen = [by_name.get(name, name) for name in asked]  # a label is understood too
    for (side, names), path in zip(present.items(), paths, strict=True):
        for name, arm in zip(asked, chosen, strict=True):
            if arm not in names:
                own = ", ".join(dict.fromkeys(evidence[side]["arm_name"].astype(str)))
                raise InputError(f"--arm {name}: {path} has no such arm; it has {own}")
    common = list(dict.fromkeys(chosen)) or [arm for arm in present[BASE] if arm in present[NEW]]
    if not common:
        raise InputError(
            f"{paths[0]} and {paths[1]} have no arm in common; give two runs of one sweep"
        )
    return common


def _check_data(sides: Sides, arms: Sequence[str]) -> None:
    """Refuse arms of which one run learned other data: that says nothing of two versions."""
    for text in filter(None, (other_data(sides, arm) for arm in arms)):
        raise InputError(text)


def _judge(contrasts: Sequence[Contrast], margin: float) -> tuple[Gated, ...]:
    """Every arm's test; of an arm with failures the one that has them at chance."""
    tests = [not_worse(c.at_chance or c, margin) for c in contrasts]
    order = sorted(
        range(len(tests)), key=lambda k: (math.isnan(tests[k].p_worse), tests[k].p_worse)
    )
    levels = {k: LEVEL / (len(tests) - place) for place, k in enumerate(order)}  # Holm's steps
    several_tasks = len({c.task for c in contrasts}) > 1
    gated, still = {}, True
    for k in order:
        contrast, test = contrasts[k], tests[k]
        answer = test.answer(levels[k] if still else 0.0)
        still = still and test.p_worse <= levels[k]
        failed = sum(contrast.failed)
        none_left = contrast.at_chance and contrast.failed[0] == len(contrast.at_chance.treated)
        if (
            answer == "not worse"
            and contrast.failed[0]
            and (contrast.at_chance is None or none_left)
        ):
            answer = "cannot tell"
        place = f"“{contrast.pair.treatment.removeprefix(NEW)}”"
        place = f"{contrast.task}, {place}" if several_tasks else place
        coarse = margin < max((float(s.max()) for s in contrast.steps if len(s)), default=0.0)
        gated[k] = Gated(place, test, answer, failed, coarse)
    return tuple(gated[k] for k in range(len(tests)))


def _lines(gated: Sequence[Gated], answer: Answer, margin: float, in_points: bool) -> Iterator[str]:
    kinds, unit = (("points_plain", "points"), " points") if in_points else (("number",) * 2, "")
    by = words.write(kinds[0], margin) + unit
    for arm in gated:
        test = arm.test
        n_trials = words.plural(test.n, "pair" if test.paired else "unpaired trial")
        n_trials += "" if test.paired else " of each"
        line = f"{arm.place}: {arm.answer}"
        if not math.isnan(test.mean):
            ends = f"{words.write(kinds[1], test.low)} to {words.write(kinds[1], test.high)}"
            ends = "no spread" if test.low == test.high else f"90 % interval {ends}"
            line += f", {words.write(kinds[1], test.mean)}{unit} ({ends}, {n_trials})"
        else:
            line += f", {n_trials}: two are needed"
        if arm.n_failed:
            line += f"; {words.plural(arm.n_failed, 'trial')} that failed or diverged at chance"
        if arm.coarse:
            line += "; the margin is below one test image"
        yield line
    ends_of = {"not worse": f"not worse by {by} or more", "worse": f"worse by {by} or more"}
    yield f"gate: {ends_of.get(answer) or f'cannot tell whether it is worse by {by}{_more(gated)}'}"


def _more(gated: Sequence[Gated]) -> str:
    """`: for an 80 % chance to pass, if nothing changed, between 4 and 180 more seeds`."""
    open_arms = [arm.test.n_more for arm in gated if arm.answer == "cannot tell"]
    passed = (arm.test.answer() == "not worse" for arm in gated if arm.answer == "cannot tell")
    if any(math.isnan(low) for low, _ in open_arms) or any(passed):  # what failed needs no seeds
        return ""
    low, high = (max(ends) for ends in zip(*open_arms, strict=True))
    most = f"over {MOST_SEEDS:,}" if math.isinf(high) else f"{max(1.0, high):,.0f}"
    least = f"over {MOST_SEEDS:,}" if math.isinf(low) else f"{max(1.0, low):,.0f}"
    range_ = most if math.isinf(low) else f"between {least} and {most}"
    return f": for an 80 % chance to pass, if nothing changed, {range_} more seeds"
