"""The answer on a console: its lines, at the width of a terminal and in a pipe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.report.console import RANGES, console_text
from analysis.report.glance import Card, Glance, Reading

ENDS = Reading("Final accuracy", "98.70 %", interval="97.95 to 99.45 %", mark="not known")
WAY = Reading(
    "Head start", "2.77 times as fast", "to 90 %", "1.89 to 4.06", "better", note="later at 95 %"
)
NONE = Reading("Head start")


def card(arm: str = "new", control: str = "old", **changed: object) -> Card:
    spread = Reading("Spread over seeds", "0.5 points")
    made = Card(arm, "", control, ENDS, WAY, spread, note="5 runs")
    return replace(made, **changed)  # type: ignore[arg-type]


CONTROL = card("old", "", final=replace(ENDS, mark=""), head_start=NONE, is_control=True)


def glance(*cards: Card, others: tuple[Card, ...] = ()) -> Glance:
    said = {
        "question": "Does it help?",
        "sentence": "“new” learns faster than “old”.",
        "reasons": "",
        "more": "",
    }
    return Glance(stand_in="", reservations=(), cards=cards, others=others, **said)


def test_an_arm_has_three_lines_and_its_control_one() -> None:
    assert console_text(glance(CONTROL, card())).splitlines() == [
        "Does it help?",
        "“new” learns faster than “old”.",
        "",
        "  “old”: final accuracy 98.70 % (97.95 to 99.45 %)",
        "  “new” against “old”",
        "    final accuracy 98.70 % (97.95 to 99.45 %): not known",
        "    head start 2.77 times as fast to 90 % (1.89 to 4.06; later at 95 %): better",
        RANGES,
    ]


def test_who_overfits_stands_in_the_line_of_its_arm() -> None:
    text = console_text(glance(CONTROL, card(fit="overfits more (gap +2.10 points, +1.2 to +3.0)")))
    assert text.splitlines()[4] == (
        "  “new” against “old”: overfits more (gap +2.10 points, +1.2 to +3.0)"
    )


def test_what_must_be_known_first_stands_first() -> None:
    said = replace(glance(card(note="3 of 5 runs finished", task="b")), stand_in="Made with x.")
    said = replace(said, reservations=("2 runs broke off.",), more="1 more pair has another.")
    lines = console_text(said).splitlines()
    assert lines[0] == "Made with x."
    assert lines[2:4] == [f"{said.sentence} 1 more pair has another.", "2 runs broke off."]
    assert lines[5] == "  “new” against “old”, on b (3 of 5 runs finished)"


def test_of_many_arms_the_first_are_told_and_the_rest_counted() -> None:
    cards = [CONTROL, *(card(f"new {k}") for k in range(5))]
    text = console_text(glance(*cards, others=(card("more"), card("most"))))
    assert "“new 3”" in text
    assert "“new 4”" not in text
    assert "… 3 more arms in the report" in text
    pairs = [c for k in range(3) for c in (replace(CONTROL, arm=f"old {k}"), card(f"new {k}"))]
    four = [*pairs, replace(CONTROL, arm="old 3"), card("new 3"), replace(CONTROL, arm="z"), card()]
    text = console_text(glance(*four))
    assert "“new 3”" in text
    assert "“z”" not in text, "a control of an arm that is not shown"
    assert "… 2 more arms in the report" in text


@pytest.mark.parametrize("width", [40, 57, 80, 120])
def test_lines_end_between_words_at_the_width_of_the_terminal(width: int) -> None:
    long = "an-arm-whose-name-has-hyphens-and-is-longer-than-the-narrowest-of-the-terminals"
    said = glance(CONTROL, card("a short one"), card(long))
    lines = console_text(said, width).splitlines()
    assert all(len(line) <= width or long in line for line in lines)
    flat = " ".join(" ".join(lines).split())
    assert flat == " ".join(console_text(said).split())
    assert not any(line.strip().startswith(("%", "known")) for line in lines)


def test_nothing_is_said_of_ranges_where_there_are_none() -> None:
    assert RANGES not in console_text(glance())
    assert console_text(glance()).splitlines()[-1] == "“new” learns faster than “old”."
