"""Killed at random moments, whole or in part, a sweep ends with the bits of an undisturbed one."""

from __future__ import annotations

import random
import signal
import time

import pyarrow.parquet as pq
import pytest
from disturbed import SWEEPS, Disturbed, Place, began, bits, differences, kill_all, trains
from faults import chosen, generator
from packed_sets import IN_FILES, KINDS, NAMES

KILLED = ("tiny", "packed", "searched", "own")
# (engine, what is killed, sweep, number of the draw)
HERE = [("here", "command", sweep, n) for sweep in KILLED for n in range(6)]
LOCAL = [
    ("local", target, sweep, n)
    for target in ("command", "worker", "group")
    for sweep in KILLED
    for n in range(2)
]
RAY = [
    ("ray", target, sweep, 0)
    for target in ("command", "worker", "raylet", "gcs_server", "group")
    for sweep in KILLED
]
WHOLE = [*HERE, *LOCAL, *RAY]
SAMPLE = [
    ("here", "command", "tiny", 0),
    ("here", "command", "packed", 1),
    ("here", "command", "searched", 2),
    ("here", "command", "own", 3),
    ("local", "command", "own", 1),
    ("local", "worker", "tiny", 0),
    ("ray", "group", "tiny", 0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "target", "sweep", "n"), chosen(WHOLE, SAMPLE))
def test_killed_at_a_random_moment_the_same_command_ends_with_equal_bits(
    engine, target, sweep, n, place, undisturbed, tally
):
    """Slow: two commands, each of which imports torch."""
    expected = undisturbed(sweep)
    place.write(SWEEPS[sweep])
    command = place.start(engine=engine)
    hit = _strike(
        command, engine, target, generator(f"{engine} {target} {sweep} {n}"), expected.trains_s
    )
    first = command.wait()
    if target == "worker":  # the command starts another one and goes on
        assert first == 0, command.said
    assert "Traceback" not in command.said
    again = place.run(engine=engine)
    assert again.status == 0, again.said
    assert differences(place.out, expected.bits) == []
    assert place.left() == []
    tally(f"killed {target}, {engine}", "equal bits", "nothing left", hit, f"exit {first}")


@pytest.mark.slow
@pytest.mark.parametrize("engine", chosen(["local", "ray"], ["local"]))
@pytest.mark.parametrize("n_deaths", chosen([1, 9], [1]))
def test_a_worker_out_of_memory_is_tried_again_and_its_attempts_are_counted(
    engine, n_deaths, place, undisturbed, tally
):
    """Slow: workers import torch. The kernel ends a process that takes too much by SIGKILL."""
    place.write(SWEEPS["tiny"])
    command = place.run(
        "--slots", "1", engine=engine, HEADSTART_TEST_HOLD="harness.training.loop:Trainer.step:3",
        HEADSTART_TEST_DEATHS=str(n_deaths), HEADSTART_TEST_AT=str(place.root / "death"),
    )  # fmt: skip
    rows = pq.read_table(place.out / "trials.parquet").to_pylist()
    n_done = sum(row["status"] == "done" for row in rows)
    assert sum(row["attempts"] for row in rows) == n_deaths + n_done
    assert command.status == (0 if n_done == len(rows) else 1), command.said
    again = place.run(engine=engine)
    assert again.status == 0, again.said
    assert differences(place.out, undisturbed("tiny").bits) == []
    assert place.left() == []
    tally(f"{n_deaths} workers killed, {engine}", "equal bits", f"exit {command.status}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", chosen(["folder", "zip", "shards", "parquet"], ["zip"]))
def test_a_set_in_its_files_killed_inside_an_epoch_ends_with_equal_bits(
    kind, place, tmp_path, tally
):
    """Slow: three commands, each of which imports torch. An epoch has four steps."""
    path = KINDS[kind](tmp_path / "set")
    text = IN_FILES.format(name=NAMES.get(kind, kind), path=path, epochs=4)
    said = _killed_at_a_step(text, 6, place, tmp_path, HEADSTART_DECODED_GB="0.00001")
    assert "they stay in their files" in said
    tally(f"killed inside an epoch, {kind} in its files", "equal bits", "nothing left")


# An epoch has four steps; the head alone moves in the first two epochs of `head_first`.
OF_PHOTOGRAPHS = {
    "recipe": (
        "augment: {random_resized_crop: 0.5, horizontal_flip: 0.5, trivial_augment: true}, "
        "ema: 0.9, mixup: 0.2, optimizer: adamw, crop_fraction: 0.875",
        "{}",
    ),
    "surgical": ("augment: {horizontal_flip: 0.5}", "{initialize: start, fine_tune: surgical}"),
    "head_first": (
        "augment: {random_resized_crop: 0.5}, ema: 0.9",
        "{initialize: start, fine_tune: {probe_then: all, probe_epochs: 2}}",
    ),
    "lora": ("ema: 0.9", "{initialize: start, fine_tune: {lora: {rank: 2}}}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", chosen(list(OF_PHOTOGRAPHS), ["recipe", "surgical"]))
def test_photographs_killed_inside_an_epoch_end_with_equal_bits(way, place, tmp_path, tally):
    """Slow: three commands, each of which imports torch. Pictures of a real network's kind."""
    train, arm = OF_PHOTOGRAPHS[way]
    text = IN_FILES.format(name="folder", path=KINDS["zip"](tmp_path / "set"), epochs=4)
    text = text.replace("model: {name: lenet5}", "model: {name: squeezenet1_1, image_size: 32}")
    text = text.replace("augment: {horizontal_flip: 0.5}", train).replace("net: {}", f"net: {arm}")
    if "start" in arm:
        text += "pretrain: {start: {train: {epochs: 1}}}\n"
    at = 6 + 4 * ("start" in arm)
    _killed_at_a_step(text, at, place, tmp_path)
    tally(f"killed inside an epoch, {way}", "equal bits", "nothing left")


def _killed_at_a_step(text: str, step: int, place: Place, folder, **variables: str) -> str:
    """What a command said that was killed at the n-th step of its process, and then went on to the
    bits of one that was not."""
    (folder / "straight").mkdir()
    straight = Place(folder / "straight")
    for each in (place, straight):
        each.write(text)
    undisturbed = straight.run(**variables)
    straight.remove()
    assert undisturbed.status == 0, undisturbed.said
    killed = place.run(
        "--state-every", "0",  # a state after the first step, however fast that is
        HEADSTART_TEST_HOLD=f"harness.training.loop:Trainer.step:{step}",
        HEADSTART_TEST_DEATHS="1", HEADSTART_TEST_AT=str(place.root / "death"), **variables,
    )  # fmt: skip
    assert killed.status == -signal.SIGKILL, killed.said
    assert list(place.out.glob("trials/*/state/*/state-*.pt")), "it goes on from a state"
    again = place.run(**variables)
    assert again.status == 0, again.said
    assert differences(place.out, bits(straight.out)) == []
    assert max(row["attempts"] for row in _rows(place)) == 2
    assert place.left() == []
    return killed.said


def _rows(place: Place) -> list[dict]:
    return pq.read_table(place.out / "trials.parquet").to_pylist()


def _strike(
    command: Disturbed, engine: str, target: str, rng: random.Random, trains_s: float
) -> str:
    """SIGKILL at a random moment; says whether it came before the command's end.

    One in four of a command or group comes while processes start; all others while trials run and
    tables are written, when workers and the processes of Ray are there.
    """
    if target in ("command", "group") and rng.random() < 0.25:
        command.wait_for(lambda: began(command.place))
        wait_s = rng.uniform(0, 3)
    else:
        command.wait_for(lambda: trains(command.place))
        # Two workers at once take half the time of `here`.
        wait_s = rng.uniform(0, trains_s * (1.0 if engine == "here" else 0.4))
    time.sleep(wait_s)
    victims = _victims(command, target, rng)
    if command.status is not None or not victims:
        return "ended before"
    kill_all(victims)
    return "hit"


def _victims(command: Disturbed, target: str, rng: random.Random) -> list[int]:
    if target == "command":
        return [command.process.pid]
    if target == "group":
        return command.place.processes()
    if target == "worker":
        workers = command.workers()
        return [rng.choice(workers)] if workers else []
    return command.named(target)
