"""A disk that fills: one clear line, the right status, and equal bits once there is room again.

Each folder of a command lies on a small disk of its own (a tmpfs), which a file fills up to a few
bytes. When the command has ended, that file is removed and the same command is run again.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from disturbed import SWEEPS, Place, differences, stays
from faults import chosen

DISK_BYTES = 64 * 2**20
KIB = 2**10
# (which folder fills, bytes that are free at the start, sweep, engine)
WHOLE = [
    *(("out", free, "tiny", "here") for free in (0, 4 * KIB, 40 * KIB, 300 * KIB, 1200 * KIB)),
    *(("out", free, "packed", "local") for free in (0, 100 * KIB, 700 * KIB, 2000 * KIB)),
    *(("out", free, "searched", "here") for free in (100 * KIB, 1500 * KIB)),
    *(("out", free, "tiny", "ray") for free in (40 * KIB, 1200 * KIB)),
    *(("cache", free, "features", "here") for free in (0, 40 * KIB, 1500 * KIB)),
    ("cache", 1500 * KIB, "features", "local"),
    ("temporary", 0, "tiny", "here"),
    ("temporary", 0, "packed", "local"),
    *(("temporary", free, "tiny", "ray") for free in (0, 100 * KIB)),
]
SAMPLE = [
    ("out", 4 * KIB, "tiny", "here"),
    ("out", 700 * KIB, "packed", "local"),
    ("cache", 1500 * KIB, "features", "here"),  # decoded images have room, computed features none
]


@dataclass
class SmallDisk:
    """A disk that a file fills but for a few bytes."""

    path: Path

    @property
    def filler(self) -> Path:
        return self.path / "filler"

    def fill(self, free: int) -> None:
        """Write all that the disk takes, then give `free` bytes back."""
        with open(self.filler, "wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(64 * KIB)):
                pass
        os.truncate(self.filler, max(0, self.filler.stat().st_size - free))

    def make_room(self) -> None:
        self.filler.unlink()


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    """A small disk, for the time of a test."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = Path(tempfile.mkdtemp(prefix="hs-disk-", dir="/tmp"))
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    made = subprocess.run(["mount", *options], capture_output=True, text=True)
    if made.returncode != 0:
        folder.rmdir()
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize(("which", "free", "sweep", "engine"), chosen(WHOLE, SAMPLE))
def test_a_full_disk_is_one_line_and_with_room_again_all_bits_are_equal(
    which, free, sweep, engine, place, small_disk, undisturbed, tally
):
    """Slow: two commands, each of which imports torch."""
    expected = undisturbed(sweep).bits
    _put_on(small_disk, which, place)
    small_disk.fill(free)
    place.write(SWEEPS[sweep])
    command = place.run(engine=engine)
    assert "Traceback" not in command.said, command.said
    if command.status != 0:  # there may have been room enough
        assert command.status in (1, 2), command.said  # 2: it is seen before anything runs
        last = command.said.strip().splitlines()[-1]
        assert str(small_disk.path) in last
        assert "ree some space" in last
    assert [x for x in place.left() if not stays(x)] == []
    small_disk.make_room()
    again = place.run(engine=engine)
    assert again.status == 0, again.said
    other = differences(place.out, expected)
    close = _in_packs(place.out, expected)
    assert [line for line in other if not any(i in line for i in close)] == []
    assert place.left() == []
    tally(f"{which} full, {engine}", f"exit {command.status}", "equal bits", "nothing left")


def _in_packs(run: Path, expected: Mapping[str, str]) -> set[str]:
    """Trials that promise closeness: of a pack undisturbed, or in this run.

    Where a seed found no room, others of its pack went on, or each went on by itself.
    """
    rows = pd.read_parquet(run / "trials.parquet")
    undisturbed = [
        i for i in rows.trial_id if "heads" in expected[f"trials.parquet, {i}, step -, ran_as"]
    ]
    return {*undisturbed, *rows.trial_id[rows.ran_as.str.contains("heads")]}


def _put_on(disk: SmallDisk, which: str, place: Place) -> None:
    """One of the folders of a command lies on the disk from now on."""
    if which == "temporary":
        place.remove()  # the one that it has
    setattr(place, which, disk.path / which[0])
    if which != "out":
        getattr(place, which).mkdir()
