"""The words of an answer: who reaches which target, and when."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.findings.findings import find
from analysis.findings.load import load_runs
from analysis.report.answers import _uses, answer_all, summary
from analysis.words import interval, probability

EVERY_SEED = tuple(range(8))
OK = Arm("ok", 0.975, 200)
BOOM = Arm("boom", 0.3, 300, diverged=EVERY_SEED)
HALF = Arm("half", 0.88, 250)  # reaches 80 %, later, and never 95 %


def lead(tmp_path, arms, treatment, targets):
    made = Made(
        arms=arms, compare=((treatment, "ok" if treatment != "ok" else "boom"),), targets=targets,
        predictions=False,
    )  # fmt: skip
    (answer,) = answer_all(find(load_runs([write_run(tmp_path / "run", made)])))
    return answer.words.lead


@pytest.mark.parametrize(
    ("arms", "treatment", "targets", "expected"),
    [
        ((OK, BOOM), "boom", (0.5,), "it does not reach 50 % in 1,000 steps, which “ok” does"),
        (
            (OK, BOOM),
            "ok",
            (0.5, 0.9),
            "in how many of its runs break than “boom”; it reaches 50 % and 90 % "
            "in 1,000 steps, which “boom” does not; “ok” and “boom” cannot be compared in final "
            "accuracy (no values).",
        ),
        (
            (OK, HALF),
            "half",
            (0.8, 0.95),
            "“half” learns slower than “ok”, is later at 80 % and ends less accurate (on these "
            "test images, for new seeds); it does not reach 95 % in 1,000 steps, which “ok” does",
        ),
    ],
)
def test_an_arm_that_never_reaches_a_target_is_not_later(
    tmp_path, arms, treatment, targets, expected
):
    assert expected in lead(tmp_path, arms, treatment, targets)


def test_several_tasks_have_an_answer_together_before_their_own(tmp_path):
    runs = [
        write_run(tmp_path / name, Made(name=name, seeds=5, root=root, predictions=False))
        for name, root in (("a", 1), ("b", 3))
    ]
    findings = find(load_runs(runs))
    first, *others = summary(findings, answer_all(findings))
    assert first.lead == (
        "Over 2 tasks together “pretrained” learns faster and ends more accurate than “scratch”; "
        "which of the two is more stable within a run is not shown."
    )
    row = findings.over_tasks.together.set_index("question").loc["final"]
    assert first.rest.startswith(
        "One test over all of them (Stouffer), with the 95 % interval of each alone: "
        "mean over training +"
    )
    p = probability(row["p_question"])
    ends = interval("points", row["estimate"], row["low"], row["high"]).replace(" ", " points ", 1)
    said = f"final value {ends}, better in 2 of 2 tasks, p {p} among its question"
    assert said in first.rest
    assert [p.lead.split(":")[0] for p in others] == ["On a", "On b"]


@pytest.mark.parametrize(
    ("uses", "low", "high", "bound", "said"),
    [
        (5.3, 0.2, 10.6, "", "about 6 uses (1 to 11; 95 % interval of this pair and target alone)"),
        (0.4, 0.2, 0.9, "", "1 use (95 % interval of this pair and target alone)"),
        (5.3, 0.2, 10.6, "at least", "1 to 11 uses (95 % interval of this pair and target alone)"),
        (5.3, math.nan, math.nan, "at least", "at most 6 uses"),
        (0.9, math.nan, math.nan, "", "1 use"),
    ],
)
def test_uses_are_whole_and_read_as_a_sentence(uses, low, high, bound, said) -> None:
    row = pd.Series({"uses": uses, "uses_low": low, "uses_high": high, "bound": bound})
    assert _uses(row) == said
