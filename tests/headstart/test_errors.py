"""What an error shows: words that any terminal can print."""

from __future__ import annotations

import pytest

from headstart.errors import DataError, SpecError


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a.zip: 'x\x1b[2J.png' is a link", "a.zip: 'x\\x1b[2J.png' is a link"),
        ("field 3 is '1\t2'", "field 3 is '1\\t2'"),
        ("arm '\ud800'", "arm '\\ud800'"),
        ("from left \u202e to right", "from left \\u202e to right"),
        ("Größe 3 × 4 …", "Größe 3 × 4 …"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(given: str, shown: str) -> None:
    assert str(DataError(given)) == shown


def test_each_mistake_keeps_its_line() -> None:
    assert str(SpecError(["a: 1", "b: \x00"])) == "a: 1\nb: \\x00"


def test_a_line_that_nobody_reads_to_its_end_keeps_both_ends() -> None:
    shown = str(DataError("w.pt: unknown " + "\x00" * 8_000_000 + " in its header"))
    assert shown.startswith("w.pt: unknown \\x00")
    assert shown.endswith("\\x00 in its header")
    assert "[… 7,996,028 …]" in shown
    assert len(shown) < 20_000
