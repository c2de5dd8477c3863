"""Cards of arms: values of the tables, marks of the comparisons, and which arms are shown."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from made_rows import row
from synthetic_runs import Arm, Made, write_run

from analysis.findings.findings import Findings, find
from analysis.findings.load import load_runs
from analysis.report.document import Content
from analysis.report.glance import Card, Glance, at_a_glance
from analysis.report.glance.cards import head_start, range_words


def glance_of(folder: Path, made: Made) -> tuple[Glance, Findings]:
    findings = find(load_runs([write_run(folder, made)]))
    return at_a_glance(findings), findings


def card_of(glance: Glance, arm: str) -> Card:
    [card] = [card for card in glance.cards if card.arm == arm]
    return card


def test_a_card_shows_the_tables_and_the_verdicts(hostile_content: Content) -> None:
    findings, glance = hostile_content.findings, hostile_content.glance
    assert [card.arm for card in glance.cards] == list(findings.arms["arm"])
    assert glance.cards[0].is_control
    assert [reading.mark for reading in glance.cards[0].readings] == ["", "", ""]
    verdicts = {(r.treatment, r.metric): r.verdict for r in findings.pairs.comparisons}
    for card, arm in zip(glance.cards[1:], list(findings.arms.itertuples())[1:], strict=True):
        assert card.final.value == f"{100 * arm.score:.2f} %"
        for reading, metric in ((card.final, "test_accuracy"), (card.spread, "spread_over_seeds")):
            known = verdicts[card.arm, metric].replace("inconclusive", "not known")
            assert reading.mark == known
    assert glance.cards[1].note == "4 of 5 runs finished"
    assert glance.stand_in.startswith("Made with stand-in data: made in place of the <b>real</b>")
    assert any(text.startswith("2 runs broke off") for text in glance.reservations)
    assert any(text.startswith("Not finished: 1 planned run") for text in glance.reservations)


def test_of_many_arms_those_of_which_most_is_shown_have_cards(tmp_path: Path) -> None:
    arms = [Arm(f"arm {k}", 0.97 if k != 7 else 0.9, 300 if k != 7 else 900) for k in range(8)]
    made = Made(arms=tuple(arms), seeds=3, predictions=False, images=False)
    glance, _ = glance_of(tmp_path / "run", made)
    assert len(glance.cards) == 6
    assert {"arm 0", "arm 7"} <= {card.arm for card in glance.cards}
    assert card_of(glance, "arm 7").head_start.mark == "worse"
    assert len(glance.others) == 2


def test_without_a_finished_trial_there_are_no_cards(tmp_path: Path) -> None:
    arms = (Arm("a", failed=(0, 1)), Arm("b", diverged=(0, 1)))
    glance, _ = glance_of(tmp_path / "run", Made(arms=arms, seeds=2))
    assert glance.sentence == "There is no answer: no trial of an arm finished."
    assert not glance.cards
    assert not glance.others


def test_several_tasks_have_one_card_an_arm(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, Made(name=name, seeds=5, images=False, predictions=False))
        for name in ("one", "two")
    ]
    glance = at_a_glance(find(load_runs(runs)))
    assert [card.arm for card in glance.cards] == ["scratch", "pretrained"]
    assert glance.sentence.startswith("Over 2 tasks together “pretrained” learns faster")
    assert card_of(glance, "pretrained").head_start.about == "in 2 of 2 tasks"
    assert card_of(glance, "pretrained").head_start.mark == "better"


TIME = {"metric": "steps_to_target", "scale": "speedup", "unit": "steps", "question": "way"}


@pytest.mark.parametrize(
    ("changes", "value", "interval"),
    [
        ({"estimate": 2.766, "low": 1.887, "high": 4.056}, "2.77 times as fast", "1.89 to 4.06"),
        (
            {"estimate": 2.04, "low": 1.28, "high": math.inf, "bound": "at least"},
            "at least 2.04 times as fast",
            "1.28 or more",
        ),
        ({"n_unreached_control": 10}, "gets to 90 %", ""),
        ({"n_unreached_treatment": 10, "verdict": "worse"}, "does not get to 90 %", ""),
    ],
)
def test_a_head_start_in_words(changes: dict[str, object], value: str, interval: str) -> None:
    reading = head_start({"steps_to_target": [row(target=0.9, **(TIME | changes))]})
    assert (reading.value, reading.interval) == (value, interval)
    assert reading.mark == changes.get("verdict", "better")


def test_the_hardest_target_that_both_reach_stands_for_the_way_there() -> None:
    times = [row(target=t, estimate=e, **TIME) for t, e in ((0.8, 3.0), (0.9, 2.0))]
    times.append(row(target=0.95, estimate=1.5, bound="at least", **TIME))
    reading = head_start({"steps_to_target": times})
    assert (reading.value, reading.about) == ("2.00 times as fast", "to 90 %")


def test_a_range_that_says_nothing_is_not_told_in_digits() -> None:
    assert range_words("ratio", 1e-7, 2e5) == range_words("ratio", 1e-7, math.inf) == ""
    assert range_words("ratio", 1e-7, 4) == "under 0.01 to 4.00"
    open_ = TIME | {"estimate": 0.5, "low": 0.04, "high": 12, "verdict": "inconclusive"}
    reading = head_start({"steps_to_target": [row(target=0.9, **open_)]})
    assert (reading.value, reading.about, reading.mark) == ("", "to 90 %", "not known")
    assert math.isnan(reading.numbers.value)
    assert range_words("percent", 0.9795, 0.9945) == "97.95 to 99.45 %"
    assert range_words("percent", math.nan, math.nan) == ""
