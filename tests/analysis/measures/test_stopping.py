"""How a sweep came to its number of seeds: what its file may say."""

from __future__ import annotations

from analysis.measures.stopping import stopping_of
from analysis.statistics.pairs.looks import CHOSEN_BEFORE, Stopping, strictest
from headstart.settings import LOOKS


def test_what_a_sweep_says_of_its_seeds() -> None:
    assert stopping_of(5) == stopping_of([1, 2]) == stopping_of(None) == CHOSEN_BEFORE
    assert stopping_of({"until": "verdict"}) == Stopping(looks=LOOKS)
    assert stopping_of({"until": "verdict", "looks": [4, 8]}) == Stopping(looks=(4, 8))
    assert stopping_of({"until": {"half_width": 0.1}}) == Stopping(wider=1.1)
    assert stopping_of({"until": {"half_width": 0.1}, "at_least": 7}) == Stopping(wider=1.25)
    assert CHOSEN_BEFORE.note == ""
    assert "2 planned looks" in Stopping(looks=(4, 8)).note
    assert "by 25 %" in Stopping(wider=1.25).note
    widths, looks = Stopping(wider=1.1), Stopping(looks=LOOKS)
    assert strictest([CHOSEN_BEFORE, looks, widths]) == looks
    assert strictest([]) == CHOSEN_BEFORE
