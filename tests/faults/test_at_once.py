"""Commands at once in one run folder, locks of commands that are gone, clocks that jump."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from disturbed import SWEEPS, differences
from faults import chosen

from headstart.errors import LockedError
from runs import run_here

HOUR_S = 3600.0
ELSEWHERE = json.dumps(
    {"host": "node-17", "machine": "another boot", "pid": 4711, "generation": "0123456789ab"}
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "engine"), chosen([(2, "here"), (2, "local"), (5, "here")], [(2, "here")])
)
def test_of_commands_at_once_the_others_are_refused(n, engine, place, undisturbed, tally):
    """Slow: several commands, each of which imports torch."""
    place.write(SWEEPS["tiny"])
    commands = [place.start(engine=engine) for _ in range(n)]
    statuses = sorted(command.wait() for command in commands)
    for command in commands:
        assert "Traceback" not in command.said
        if command.status == 2:
            assert "in this run folder" in command.said or "taking this run folder" in command.said
    assert statuses[0] == 0  # those that came after it had ended found nothing left to run
    assert set(statuses) <= {0, 2}, statuses
    assert differences(place.out, undisturbed("tiny").bits) == []
    assert place.left() == []
    tally(f"{n} commands at once", "equal bits", "nothing left", *(f"exit {s}" for s in statuses))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "sweep"), chosen([(2, "tiny"), (2, "packed"), (5, "tiny")], [(2, "tiny")])
)
def test_shards_at_once_give_the_bits_of_the_whole(n, sweep, place, undisturbed, tally):
    """Slow: several commands, each of which imports torch."""
    place.write(SWEEPS[sweep])
    commands = [place.start("--shard", f"{k}/{n}") for k in range(1, n + 1)]
    for command in commands:
        assert command.wait() == 0, command.said
    whole = place.run()
    assert whole.status == 0, whole.said
    assert differences(place.out, undisturbed(sweep).bits) == []
    assert place.left() == []
    tally(f"{n} shards at once", "equal bits", "nothing left")


CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces of processes")
@pytest.mark.parametrize("n", chosen([3, 8], [3]))
def test_shards_in_containers_have_the_same_process_id(n, place, undisturbed, tally):
    """Slow: several commands, each of which imports torch. Each of them is process 1."""
    place.write(SWEEPS["tiny"])
    commands = [place.start("--shard", f"{k}/{n}", inside=CONTAINER) for k in range(1, n + 1)]
    for command in commands:
        assert command.wait() == 0, command.said
    whole = place.run(inside=CONTAINER)
    assert whole.status == 0, whole.said
    assert differences(place.out, undisturbed("tiny").bits) == []
    assert place.left() == []
    tally(f"{n} containers at once", "equal bits", "nothing left")


@pytest.mark.slow
@pytest.mark.parametrize("engine", chosen(["here", "local", "ray"], ["local"]))
def test_a_wall_clock_that_jumps_changes_no_bit(engine, place, undisturbed, tally):
    """Slow: it runs a whole sweep; every other tenth of a second its clock is an hour ahead."""
    place.write(SWEEPS["tiny"])
    command = place.run(engine=engine, HEADSTART_TEST_CLOCK_S=str(HOUR_S))
    assert command.status == 0, command.said
    assert differences(place.out, undisturbed("tiny").bits) == []
    assert place.left() == []
    tally(f"clock jumps, {engine}", "equal bits", "nothing left", "exit 0")


@dataclass(frozen=True)
class Lock:
    """A lock that lies in a run folder; no content means that it is a folder."""

    content: str | None
    age_s: float
    refused: str  # what the refusal says; empty where the lock is taken over


NEW_S = -60.0  # a minute ahead, as clocks may be: it is not old when a slow machine comes to it
LOCKS = {
    "of a living command of another machine": Lock(ELSEWHERE, NEW_S, "node-17"),
    "of a machine that is gone": Lock(ELSEWHERE, 120, ""),
    "whose time lies ahead": Lock(ELSEWHERE, -24 * HOUR_S, "ahead of the clock"),
    "that is a folder": Lock(None, 0, "is no file"),
    "that is damaged": Lock("\x00{", NEW_S, "another command"),
    "that is damaged and old": Lock("\x00{", 120, ""),
    "that is empty": Lock("", 0, ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_taken_over_or_refused_in_one_line_and_harms_nothing(name, undisturbed, tmp_path):
    """Slow: the first of these runs the sweep, and the others look at its finished folder."""
    lock, out, sweep = LOCKS[name], undisturbed("tiny").copy(tmp_path), tmp_path / "sweep.yaml"
    sweep.write_text(SWEEPS["tiny"], encoding="utf-8")
    path = _lay(out, lock)
    if lock.refused:
        with pytest.raises(LockedError, match=lock.refused) as refused:
            run_here(sweep, out)
        assert "\n" not in str(refused.value)
        assert path.exists()
        path.rmdir() if path.is_dir() else path.unlink()  # as the line says, or its command ends
    assert run_here(sweep, out).returncode == 0
    assert differences(out, undisturbed("tiny").bits) == []
    assert not path.exists()


def _lay(out: Path, lock: Lock) -> Path:
    path = out / ".lock-1-of-1.json"
    if lock.content is None:
        path.mkdir()
    else:
        path.write_text(lock.content)
    changed = time.time() - lock.age_s
    os.utime(path, (changed, changed))
    return path
