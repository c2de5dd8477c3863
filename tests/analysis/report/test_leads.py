"""The first sentence of an answer: every state of every question in the words that it has."""

from __future__ import annotations

import math
from typing import Any

import pytest

from analysis.report.leads import first_sentence, fit_of
from analysis.statistics.pairs.comparison import Comparison

SHOWN = {"verdict": "better", "state": "shown", "direction": "better"}
WORSE = {"verdict": "worse", "state": "shown", "direction": "worse"}
ALONE = {"state": "by itself", "direction": "better"}
OPEN: dict[str, Any] = {}
EQUAL = {"verdict": "equivalent", "state": "equivalent", "margin": 0.002}


def row(metric: str, state: dict[str, Any], **changes: Any) -> Comparison:
    """Five pairs of `new` and `old` on this metric; "inconclusive" and "not shown" unless given."""
    common = {
        "task": "", "treatment": "new", "control": "old", "metric": metric, "target": math.nan,
        "unit": "fraction", "n_pairs": 5, "n_treatment": 5, "n_control": 5, "paired": True,
        "scale": "difference", "estimate": 0.01, "confidence": 0.95, "n_unreached_treatment": 0,
        "n_unreached_control": 0, "budget": math.nan, "p_value": 0.5, "note": "",
    }  # fmt: skip
    return Comparison(**(common | state | changes))


def final(state: dict[str, Any], **changes: Any) -> Comparison:
    return row("test_accuracy", state, **changes)


def area(state: dict[str, Any]) -> Comparison:
    return row("area_under_curve", state, question="way")


def steps(target: float, state: dict[str, Any]) -> Comparison:
    changes = {"target": target, "unit": "steps", "scale": "speedup", "budget": 1000.0}
    return row("steps_to_target", state, question="way", **changes)


def broken(state: dict[str, Any]) -> Comparison:
    return row("broken_runs", state, question="stability")


def gap(state: dict[str, Any], metric: str = "end_accuracy_gap", **changes: Any) -> Comparison:
    return row(metric, state, question="overfitting", **changes)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [area(SHOWN), steps(0.9, SHOWN), steps(0.95, OPEN), final(OPEN)],
            "“new” learns faster than “old” and is sooner at 90 %; which of the two ends more "
            "accurate is not shown.",
        ),
        (
            [area(OPEN), steps(0.9, OPEN), final(OPEN), broken(OPEN)],
            "It is not known which of “new” and “old” learns faster, ends more accurate or is more "
            "stable.",
        ),
        (
            [area(ALONE), final(ALONE)],
            "There is a hint that “new” learns faster and ends more accurate than “old” (not sure "
            "once all comparisons are counted).",
        ),
        (
            [area(OPEN), steps(0.9, ALONE), final(SHOWN)],
            "“new” ends more accurate than “old” (on these test images, for new seeds); there is "
            "a hint that it is sooner at 90 % (not sure once all comparisons are counted).",
        ),
        (
            [final(WORSE, overlap=0.25)],
            "“new” ends less accurate than “old” (for new splits of this pool).",
        ),
        (
            [final(SHOWN, among_finished=True, n_failed_treatment=4, n_treatment=6, n_control=6)],
            "“new” ends more accurate than “old” (on these test images, for new seeds), of trials "
            "that finished (4 of 10 of “new” did not).",
        ),
        (
            [final(EQUAL), broken(WORSE)],
            "“new” ends as accurate as “old” within ±0.2 points (on these test images, for new "
            "seeds) and is less stable in how many of its runs break.",
        ),
        (
            [final(SHOWN), gap(WORSE)],
            "“new” ends more accurate than “old” (on these test images, for new seeds) and "
            "overfits more.",
        ),
        (
            [final(OPEN), gap(EQUAL)],
            "“new” overfits as much as “old” (gaps in accuracy within ±0.2 points); which of the "
            "two ends more accurate is not shown.",
        ),
    ],
)  # fmt: skip
def test_what_is_shown_by_itself_and_unknown(rows: list[Comparison], sentence: str) -> None:
    assert first_sentence(rows, "test_accuracy") == sentence


def test_who_overfits_of_all_its_rows() -> None:
    rise = {"metric": "loss_rise", "unit": "nats"}
    assert fit_of([final(SHOWN)]).word == "", "it was not asked"
    assert fit_of([gap(OPEN), gap(OPEN, **rise)]).word == ""
    assert fit_of([gap(OPEN), gap(SHOWN, **rise)]).word == "less"
    both = fit_of([gap(SHOWN, "accuracy_gap"), gap(WORSE), gap(WORSE, **rise)])
    assert (both.word, both.joins) == ("less", "than")
    assert both.tail == (
        " in accuracy at the chosen step, yet more in accuracy at the end of training and in the "
        "rise of its validation loss"
    )
    one_of_two = fit_of([gap(EQUAL), gap(OPEN, "accuracy_gap", margin=0.002)])
    assert one_of_two.word == "", "one gap is as large, of the other it is not known"
    beside = fit_of([gap(EQUAL), gap(OPEN, **rise)])
    assert (beside.word, beside.joins) == ("as much", "as"), "a rise has no margin of accuracy"
    of_loss = fit_of([gap(EQUAL, course="loss", **rise)])
    assert of_loss.tail == " (gap and rise of loss within ±0.002)"
