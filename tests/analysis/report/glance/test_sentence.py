"""One plain sentence for a whole report: pairs said together, what is unknown and left out."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from made_rows import row

from analysis.findings.layers import Layers
from analysis.report.glance.sentence import say
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import COURSES

SHOWN = {"verdict": "better", "state": "shown", "direction": "better"}
WORSE = {"verdict": "worse", "state": "shown", "direction": "worse"}
HINT = {"verdict": "inconclusive", "state": "by itself", "direction": "better"}
OPEN = {"verdict": "inconclusive", "state": "not shown", "direction": ""}
EQUAL = {"verdict": "equivalent", "state": "equivalent", "margin": 0.002}
NO_COURSE = re.compile(r"Holm|interval|\bp\b|signific|beyond chance|its question|confiden", re.I)


def pair(
    arm: str, way: dict[str, Any], end: dict[str, Any], control: str = "c", **more: Any
) -> list[Comparison]:
    """The two comparisons that every pair has."""
    names = {"treatment": arm, "control": control}
    area = row(metric="area_under_curve", question="way", **names, **way)
    return [area, row(**names, **(end | more))]


def steps(arm: str, target: float, state: dict[str, Any]) -> Comparison:
    changes = {"target": target, "unit": "steps", "scale": "speedup", "question": "way"}
    return row(treatment=arm, metric="steps_to_target", **changes, **state)


def said(
    *pairs: list[Comparison], n_done: int = 5, layered: tuple[Pair, ...] = ()
) -> tuple[str, str]:
    findings: Any = SimpleNamespace(
        tasks=["task"],
        arms=pd.DataFrame({"arm": ["c"], "n_done": [n_done], "score": [0.98123]}),
        pairs=SimpleNamespace(comparisons=[row for rows in pairs for row in rows]),
        score="test_accuracy",
        course=COURSES["accuracy"],
        layers=Layers(layered),
    )
    return say(findings)


NAMES = ["a", "b", "d", "e", "f"]


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([pair("a", SHOWN, SHOWN)], "“a” learns faster than “c” and ends more accurate."),
        (
            [pair("a", SHOWN, OPEN)],
            "“a” learns faster than “c”; which of the two ends more accurate is not shown.",
        ),
        (
            [pair("a", OPEN, OPEN)],
            "It is not known which of “a” and “c” learns faster or ends more accurate.",
        ),
        ([pair("a", WORSE, EQUAL)],
            "“a” learns slower than “c” and ends as accurate (within ±0.2 points)."),
        (
            [pair("a", SHOWN, OPEN), pair("b", SHOWN, HINT)],
            "“a” and “b” learn faster than “c”; whether either of them ends more accurate is not "
            "shown, though there is a hint that “b” does.",
        ),
        (
            [pair("a", SHOWN, SHOWN), pair("b", WORSE, WORSE), pair("d", OPEN, OPEN)],
            "“a” learns faster than “c” and “b” learns slower; “a” ends more accurate and “b” ends "
            "less accurate.",
        ),
        (
            [pair(name, SHOWN, OPEN) for name in NAMES],
            "All 5 other arms learn faster than “c”; whether any of them ends more accurate is not "
            "shown.",
        ),
        (
            [pair(name, SHOWN if name != "a" else OPEN, OPEN) for name in NAMES],
            "4 of 5 arms learn faster than “c”; whether any of the 5 arms ends more accurate is "
            "not shown.",
        ),
        (
            [pair("a", WORSE, SHOWN), pair("b", SHOWN, SHOWN), pair("d", SHOWN, SHOWN)],
            "“a”, “b” and “d” end more accurate than “c”; “b” and “d” learn faster and “a” learns "
            "slower.",
        ),
        (
            [pair("a", SHOWN, SHOWN, "x"), pair("b", SHOWN, SHOWN, "y")],
            "“a” and “b” learn faster than their controls and end more accurate.",
        ),
        (
            [pair("a", SHOWN, OPEN, "x"), pair("a", OPEN, OPEN, "y"), pair("b", OPEN, HINT, "y")],
            "“a” learns faster than “x”; whether either of the two arms ends more accurate is not "
            "shown, though there is a hint that “b” does.",
        ),
        (
            [pair("a", OPEN, OPEN, "x"), pair("a", OPEN, OPEN, "y")],
            "It is not known whether “a” learns faster or ends more accurate than its controls.",
        ),
        (
            [[*pair("a", OPEN, OPEN), steps("a", 0.9, SHOWN)]],
            "“a” is sooner at 90 % than “c”; which of the two ends more accurate is not shown.",
        ),
        (
            [[*pair("a", SHOWN, OPEN), steps("a", 0.9, WORSE)]],
            "“a” learns faster than “c”, yet is later at 90 %; which of the two ends more accurate "
            "is not shown.",
        ),
        (
            [pair("a", SHOWN, SHOWN, among_finished=True, n_failed_treatment=4, n_treatment=6)],
            "“a” learns faster than “c” and ends more accurate (of the runs that finished: 4 of 10 "
            "of “a” did not).",
        ),
        (
            [pair("a", OPEN, OPEN, n_treatment=1, n_control=1)],
            "It is not known which of “a” and “c” learns faster or ends more accurate: each ran "
            "once, which cannot tell a difference from chance.",
        ),
        (
            [pair("a", OPEN, OPEN, n_treatment=0, n_control=3)],
            "It is not known which of “a” and “c” learns faster or ends more accurate: no pair of "
            "runs finished.",
        ),
    ],
)  # fmt: skip
def test_pairs_are_said_together_in_plain_words(
    pairs: list[list[Comparison]], sentence: str
) -> None:
    assert said(*pairs) == (sentence, "")
    assert not NO_COURSE.search(sentence)


def test_arms_are_said_together_only_where_all_of_their_words_are_alike() -> None:
    first = [*pair("a", SHOWN, OPEN), steps("a", 0.9, WORSE)]
    assert said(first, pair("b", SHOWN, OPEN))[0] == (
        "“a” learns faster than “c”, yet is later at 90 % and “b” learns faster; whether either of "
        "them ends more accurate is not shown."
    )


def test_the_sentence_says_most_and_the_other_pairs_are_counted() -> None:
    pairs = [pair(name, SHOWN, OPEN) for name in NAMES]
    sentence, more = said(*pairs, pair("g", SHOWN, SHOWN, "a"), pair("h", OPEN, OPEN, "a"))
    assert sentence.startswith("All 5 other arms learn faster than “c”")
    assert more == "2 more pairs have another control; 1 of them shows a difference."


def test_without_a_finished_trial_or_a_comparison_it_says_so() -> None:
    assert said(n_done=0)[0] == "There is no answer: no trial of an arm finished."
    lone = "“c” ends at 98.12 % accuracy (5 seeds); nothing was compared with it."
    assert said()[0] == lone
