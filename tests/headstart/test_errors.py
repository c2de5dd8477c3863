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
