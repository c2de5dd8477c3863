"""The power is cut at any change to the disk: the same command goes on to the same bits.

`power.py` takes back what was not flushed. The machine has been off for some minutes when it is
given the command again, so all files are older by then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from disturbed import PACKED, SEARCHED, TINY, bits, differences
from faults import generator, is_whole
from forks import Server
from power import cut

OFF_S = 300.0
SHORT = {  # fewer epochs: what is written is the same
    name: text.replace("epochs: 8", "epochs: 2").replace("epochs: 4", "epochs: 1")
    for name, text in (("tiny", TINY), ("packed", PACKED), ("searched", SEARCHED))
}
N_CUTS = 30 if is_whole() else 4  # of each sweep
CASES = list(SHORT) if is_whole() else ["tiny", "packed"]


@pytest.fixture(scope="module")
def whole_run(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[dict[str, str], int]]:
    """The bits of a sweep that nothing disturbs, and how many changes its command makes."""
    made: dict[str, tuple[dict[str, str], int]] = {}

    def of(name: str) -> tuple[dict[str, str], int]:
        if name not in made:
            place = server.place_at(tmp_path_factory.mktemp("whole"), SHORT[name])
            command = server.run(place)
            assert command.status == 0, command.said
            made[name] = bits(place.out), len(command.made)
        return made[name]

    return of


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CASES)
def test_after_a_power_cut_the_same_command_ends_with_equal_bits(
    name, server, whole_run, tmp_path, tally
):
    """Slow: two commands for each cut."""
    expected, n_changes = whole_run(name)
    for number in range(N_CUTS):
        rng = generator(f"power {name} {number}")
        root = tmp_path / str(number)
        root.mkdir()
        place, graveyard = server.place_at(root, SHORT[name]), root / "graveyard"
        kill_at = rng.randint(1, n_changes)
        killed = server.run(place, kill_at=kill_at, graveyard=graveyard)
        assert killed.status == -9, killed.said
        case = f"change {kill_at}, {cut(graveyard, (place.out, place.cache), rng)}"
        _grow_older((place.out, place.cache))
        again = server.run(place)
        assert again.status == 0, f"{case}\n{again.said}"
        assert differences(place.out, expected) == [], case
        assert place.left_on_disk() == [], case
        tally(f"power cut, {name}", "equal bits", "nothing left")


def _grow_older(folders: tuple[Path, ...]) -> None:
    before = time.time() - OFF_S
    for path in (path for folder in folders for path in folder.rglob("*")):
        os.utime(path, (before, before))
