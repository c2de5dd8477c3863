"""Killed at any change to the file system, a command can be given again: it goes on at once.

The same command then ends with the bits of an undisturbed one and leaves nothing. Each command is a
fork of one process that has imported everything (`crashing.py`). In whole, every change of every
scenario is tried; the sample has one of each kind that ever lost something or may.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from disturbed import Place, bits, differences
from faults import is_whole
from forks import Command, Server

# A stage and two arms, each trained for two steps.
SOLO = """\
name: crash
question: Does a kill between two changes to the disk lose anything?
model: {name: lenet5}
data: {name: glyphs, count: 90, seed: 1, train: 32, validation: 20, test: 20}
train: {learning_rate: 1.0e-3, batch_size: 16, epochs: 1}
pretrain:
  drawn: {data: {name: glyphs, count: 60, seed: 2, train: 32, validation: 20}, shared: true}
arms:
  scratch: {}
  pretrained: {initialize: drawn}
seeds: 1
compare: [{treatment: pretrained, control: scratch}]
measure: {targets: [0.3]}
resources: {gpus: 0}
save: {every: 1, last: true}
"""
PACKED = (
    SOLO.replace("{initialize: drawn}", "{initialize: drawn, fine_tune: last_layer}")
    .replace("{gpus: 0}", "{gpus: 0, pack: 2}")
    .replace("seeds: 1", "seeds: 2")
)
SEARCHED = SOLO.replace("  scratch: {}", "  scratch: {search: none}").replace(
    "seeds: 1", "search: {learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}, samples: 2}\nseeds: 1"
)
ALONE = re.sub(r"pretrain:\n.*\n|  pretrained: .*\n|compare: .*\n", "", SOLO)
AT_ONCE_S = 10.0  # that a command sleeps in all; waiting for another node takes 30
PARTS = 4  # of the points of a scenario, so that no test runs for too long


@dataclass(frozen=True)
class Scenario:
    """A command, and which of its changes are in the sample: the first that each pattern fits."""

    sweep: str
    sample: tuple[str, ...]
    engine: str = "here"
    reuse: bool = False  # the finished trials of the undisturbed run
    has_links: bool = True

    def run(self, server: Server, place: Place, *options: str, kill_at: int = 0) -> Command:
        return server.run(
            place, *options, engine=self.engine, has_links=self.has_links, kill_at=kill_at
        )


SCENARIOS = {
    "solo": Scenario(
        SOLO,
        (
            r"fsync .*/decoded/.*/images\.npy",
            r"rename .*/decoded/glyphs-[^/]*",
            r"link .*/\.lock-1-of-1\.json",
            r"replace .*/plan\.json",
            r"open .*/state/attempts/[\w-]+",
            r"unlink .*/state-0+1\.pt",
            r"replace .*/result/trial\.json",
            r"replace .*/trials/\w+/checkpoints/epoch-0001\.safetensors",
            r"replace .*/trials/\w+/model\.safetensors",
            r"replace .*/trials/\w+/trial\.json",
            r"rmdir attempts",
            r"unlink .*/\.control-\w+",
            r"replace .*/run/trials\.parquet",
            r"replace .*/run/curves\.parquet",
            r"unlink .*/\.lock-1-of-1\.json",
        ),
    ),
    "packed": Scenario(
        PACKED,
        (
            r"replace .*/trials/\w+/predictions\.npz",
            r"replace .*/packs/[\w-]+\.zip",
            r"unlink .*/trials/\w+/curve\.parquet",
            r"unlink .*/trials/\w+/trial\.json",
        ),
    ),
    "searched": Scenario(SEARCHED, ()),
    "reused": Scenario(SOLO, (r"replace .*/trials/\w+/trial\.json",), reuse=True),
    "by workers": Scenario(SOLO, (r"replace .*/trials/\w+/model\.safetensors",), engine="local"),
    "without links": Scenario(
        ALONE, (r"open .*/\.lock-1-of-1\.json", r"replace .*/\.lock-1-of-1\.json"), has_links=False
    ),
}
CASES = [
    (name, part)
    for name, scenario in SCENARIOS.items()
    for part in (range(PARTS) if is_whole() else range(bool(scenario.sample)))
]


@pytest.fixture(scope="module")
def whole_run(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, Command]]:
    """The run folder of a scenario that nothing disturbs, and which changes its command makes."""
    made: dict[str, tuple[Path, Command]] = {}

    def of(name: str) -> tuple[Path, Command]:
        if name not in made:
            scenario = SCENARIOS[name]
            options = ("--reuse", str(of("solo")[0])) if scenario.reuse else ()
            place = server.place_at(tmp_path_factory.mktemp("whole"), scenario.sweep)
            command = scenario.run(server, place, *options)
            assert command.status == 0, command.said
            made[name] = place.out, command
        return made[name]

    return of


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "part"), CASES)
def test_killed_at_any_change_to_the_disk_the_same_command_goes_on_at_once(
    name, part, server, whole_run, tmp_path, tally
):
    """Slow: two commands for each change."""
    scenario = SCENARIOS[name]
    finished, undisturbed = whole_run(name)
    expected = bits(finished)
    options = ("--reuse", str(whole_run("solo")[0])) if scenario.reuse else ()
    assert len(undisturbed.made) > 30, "the changes are counted"
    for number in _points(scenario, undisturbed.made, part):
        change = f"change {number}: {undisturbed.made[number - 1]}"
        (tmp_path / str(number)).mkdir()
        place = server.place_at(tmp_path / str(number), scenario.sweep)
        killed = scenario.run(server, place, *options, kill_at=number)
        assert killed.status == -9, f"{change}\n{killed.said}"
        again = scenario.run(server, place, *options)
        assert again.status == 0, f"{change}\n{again.said}"
        assert again.slept_s < AT_ONCE_S, f"{change}\n{again.said}"
        assert differences(place.out, expected) == [], change
        assert place.left_on_disk() == [], change
        tally(f"killed at a change to the disk, {name}", "equal bits", "nothing left")


def _points(scenario: Scenario, made: list[str], part: int) -> list[int]:
    """Numbers of changes, from 1."""
    if is_whole():
        return list(range(1 + part, len(made) + 1, PARTS))
    points = []
    for pattern in scenario.sample:
        fitting = [n for n, change in enumerate(made, 1) if re.fullmatch(pattern, change)]
        assert fitting, f"no change is like {pattern}"
        points.append(fitting[0])
    return points
