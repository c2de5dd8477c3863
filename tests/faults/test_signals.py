"""A signal in any phase: status 75 within ten seconds, one line, and the same command goes on.

A hook holds the command inside the phase until the signal was sent, and makes all that is left of
the phase take far longer than the ten seconds. So the moment is the same on every machine.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from disturbed import SWEEPS, Disturbed, Place, differences, stays
from faults import chosen

from runs import held

CALM_S = 8.0  # what the undisturbed run takes on a machine with nothing else to do
PROMISED_S = 10.0


@dataclass(frozen=True)
class Phase:
    """Where a command is held: the function, at which of its calls, and what later calls take."""

    function: str
    nth: int = 1
    slow_s: float = 0.0
    sweep: str = "tiny"
    with_report: bool = False


PHASES = {
    "reading": Phase("harness.sweepfile.reader:load_sweep"),
    "planning": Phase("harness.plan.planner:make_plan"),
    "decoding": Phase("datasets.images.decode:decode", 20, 0.2, sweep="photos"),
    "features": Phase("harness.training.features:Front._apply", 3, 3.0, sweep="features"),
    "training": Phase("harness.training.loop:Trainer.step", 7, 0.5),
    "evaluation": Phase("harness.training.loop:Trainer.evaluate", 4, 5.0),
    "publishing": Phase("harness.runfolder.folder:RunFolder.publish", 2, 5.0),
    "tables": Phase("harness.runfolder.folder:RunFolder.write_tables"),
    "report": Phase("matplotlib.figure:Figure.savefig", 2, 5.0, with_report=True),
}
TERM, INT = signal.SIGTERM, signal.SIGINT
HUP, USR2 = signal.SIGHUP, signal.SIGUSR2
IN_COMMAND = ("reading", "planning", "decoding", "tables", "report")  # before and after engines
IN_TRIALS = ("features", "training", "evaluation", "publishing")
WHOLE = [
    *((phase, "here", number) for phase in IN_COMMAND for number in (TERM, INT, USR2)),
    *((phase, "local", number) for phase in IN_TRIALS for number in (TERM, INT, USR2)),
    *((phase, "local", HUP) for phase in ("decoding", "training", "report")),
    ("training", "here", TERM),
    ("training", "ray", TERM),
    ("training", "ray", INT),
    ("features", "ray", USR2),
]
SAMPLE = [
    ("planning", "here", INT),
    ("decoding", "here", TERM),
    ("features", "local", USR2),
    ("report", "here", TERM),
    ("training", "ray", TERM),
]
# Images of a folder, which are decoded before the plan is made.
PHOTOS = """\
name: photos
question: Is a signal seen while images are decoded?
model: {name: lenet5}
data: {name: folder, path: PATH, split: {train: 0.6, validation: 0.2, test: 0.2}}
train: {epochs: 1, batch_size: 32}
arms: {scratch: {}}
seeds: 1
resources: {gpus: 0}
"""
N_PHOTOS = 150  # of each of two classes


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "engine", "number"), chosen(WHOLE, SAMPLE))
def test_a_signal_ends_any_phase_with_75_and_the_same_command_goes_on(
    phase, engine, number, place, undisturbed, tally
):
    """Slow: two commands, each of which imports torch."""
    where = PHASES[phase]
    sweep = _write(place, where.sweep)
    command = _start_held(place, where, engine)
    took_s = _send(command, place, number)
    assert command.status == 75, command.said
    assert "Traceback" not in command.said
    assert command.said.count(f"Stopped by {number.name}") == 1
    assert [x for x in place.left() if not stays(x)] == []
    began = time.monotonic()
    again = place.run(engine=engine)
    assert again.status == 0, again.said
    # As slow as it is now or was before: other programs come and go.
    slower = max(1.0, max(undisturbed("tiny").seconds, time.monotonic() - began) / CALM_S)
    assert took_s < PROMISED_S * slower, f"took {took_s:.1f} s, {slower:.1f} times as slow"
    assert place.left() == []
    tally(f"{number.name}, {engine}", f"while {phase}", "exit 75", "nothing left")
    if sweep in SWEEPS:  # the others have nothing to compare with
        assert differences(place.out, undisturbed(sweep).bits) == []
        tally(f"{number.name}, {engine}, went on", "equal bits")


def _write(place: Place, sweep: str) -> str:
    if sweep == "photos":
        folder = place.root / "photos"
        _draw_photos(folder)
        place.write(PHOTOS.replace("PATH", str(folder)))
    else:
        place.write(SWEEPS[sweep])
    return sweep


def _draw_photos(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for k in range(N_PHOTOS):
            cv2.imwrite(str(folder / name / f"{k}.png"), rng.integers(0, 255, (28, 28), np.uint8))


def _start_held(place: Place, where: Phase, engine: str) -> Disturbed:
    """The command, held in the phase."""
    command = place.start(
        engine=engine, report=where.with_report, HEADSTART_TEST_SLOW_S=str(where.slow_s),
        **held(f"{where.function}:{where.nth}", place.root),
    )  # fmt: skip
    assert command.wait_for((place.root / "at").exists), (
        f"it never came to {where.function}:\n{command.said}"
    )
    return command


def _send(command: Disturbed, place: Place, number: int) -> float:
    """Send the signal, let the command go, and give the seconds that it took to end."""
    command.process.send_signal(number)
    sent = time.monotonic()
    (place.root / "go").touch()
    command.wait()
    return time.monotonic() - sent
