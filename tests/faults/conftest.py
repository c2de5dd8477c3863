"""What tests of faults share: a place for each, undisturbed runs, and the counts at the end.

`HEADSTART_FAULTS=all` chooses the whole of it, which `make faults` does; else a fixed sample runs.
`HEADSTART_FAULTS_SEED` gives other random moments; it is shown, so that a failure can be repeated.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from disturbed import GONE_WITHIN_S, SWEEPS, Place, bits, kill_all, trains, wait_for
from faults import SEED, is_whole
from forks import Server


@dataclass(frozen=True)
class Undisturbed:
    """What a sweep gives when nothing happens to it."""

    out: Path  # the run folder; tests copy it
    bits: dict[str, str]
    seconds: float  # of the whole command
    trains_s: float  # of that, after its first trial saved a state

    def copy(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.out, folder / "run"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """The folders of one test; its processes are killed at the end, whatever happened."""
    place = Place(tmp_path)
    yield place
    kill_all(place.processes())
    wait_for(lambda: not place.processes(), GONE_WITHIN_S)
    place.remove()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Undisturbed]:
    """What each sweep gives, run once by the engine `here`: all engines give the same bits."""
    kept: dict[str, Undisturbed] = {}

    def of(name: str) -> Undisturbed:
        if name not in kept:
            kept[name] = _run(Place(tmp_path_factory.mktemp(name)), SWEEPS[name])
        return kept[name]

    return of


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = Place(tmp_path_factory.mktemp("server"))
    server = Server(place)
    yield server
    server.end()
    place.remove()


def _run(place: Place, text: str) -> Undisturbed:
    place.write(text)
    started = time.monotonic()
    command = place.start("--state-every", "0")  # from the first step on there is a state to see
    command.wait_for(lambda: trains(place))
    trained = time.monotonic()
    assert command.wait() == 0, command.said
    ended = time.monotonic()
    assert place.left() == []
    place.remove()
    return Undisturbed(place.out, bits(place.out), ended - started, ended - trained)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Says what a fault led to, for the counts at the end: `tally("kills", "exit 0", …)`."""

    def say(kind: str, *results: str) -> None:
        request.node.user_properties.append(("fault", [kind, "tried", *results]))

    return say


def pytest_report_header() -> str:
    which = "all of them" if is_whole() else "a fixed sample (HEADSTART_FAULTS=all: all of them)"
    return f"faults: {which}; random moments from HEADSTART_FAULTS_SEED={SEED}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was tried, how often bits were equal, with which statuses commands ended."""
    counts: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") != "call":
                continue
            for name, value in report.user_properties:
                if name == "fault":
                    counts.setdefault(value[0], Counter()).update(value[1:])
    if counts:
        terminalreporter.section("faults")
    for kind, results in sorted(counts.items()):
        line = ", ".join(f"{n} {name}" for name, n in sorted(results.items(), key=_tried_first))
        terminalreporter.write_line(f"{kind}: {line}")


def _tried_first(item: tuple[str, int]) -> tuple[bool, str]:
    return item[0] != "tried", item[0]
