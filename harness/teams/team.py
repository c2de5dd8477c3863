"""Several processes to a trial, seen from the worker that has them: started, watched, ended.

In: a unit of trials and a `Team`, the processes wherever they are. Out: the events of the trials,
as of a trial that runs alone. The worker itself computes nothing, so it is free to see that a
process died or raised an error while the others wait for it; then the trial has failed as a whole,
with the error of the one that caused it, and the next attempt gets new processes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.runfolder.folder import TrialFolder
from harness.trials.events import Ended, Event, Failed, Started, Stopped
from harness.trials.spec import TrialSpec
from headstart.errors import HeadstartError

LISTEN_S = 0.25
TROUBLE_S = 3.0  # after a first error: for the process that caused it to say so


@dataclass(frozen=True)
class Message:
    """What came from one process: an item of its call, that the call is over, or its death."""

    rank: int
    kind: Literal["item", "over", "died"]
    content: Any = None


@dataclass(frozen=True)
class LostContact:
    """This process found another one gone; why is for that one to say."""

    error: str


class RankDiedError(HeadstartError):
    """A process of the trial died and its place is not to be used again."""


class Team(ABC):
    """The `n` processes that share trials, each with a `RankRunner`.

    Attributes:
        is_open: they run and have met.
        keeps_place: whether new processes may be started where one died.
    """

    n: int
    is_open = False
    keeps_place = True

    @abstractmethod
    def start(self) -> None:
        """Start the processes."""

    @abstractmethod
    def call(self, rank: int, method: str, *arguments: Any) -> None:
        """Let one process run a method of its `RankRunner`."""

    @abstractmethod
    def receive(self, timeout_s: float) -> list[Message]:
        """What came since the last call; waits for a first message for at most `timeout_s`."""

    @abstractmethod
    def end(self) -> None:
        """End the processes, at once."""


class _Trouble(Exception):
    """A call did not go well; has the trial's failure."""

    def __init__(self, failed: Failed, died: bool):
        super().__init__(failed.error)
        self.failed = failed
        self.died = died


class _Stop(Exception):
    """A stop was asked for before the trial could begin."""


def run_together(
    team: Team,
    unit: Sequence[TrialSpec],
    folders: Mapping[str, TrialFolder],
    should_stop: Callable[[], bool],
) -> Iterator[Event]:
    """All events of the unit's trials, one trial after another, each by all processes.

    Raises:
        RankDiedError: a process died, and the team does not keep its place.
    """
    for spec in unit:
        yield Started(spec.id)
        try:
            for event in _run_trial(team, spec, folders[spec.id], should_stop):
                yield event
                if isinstance(event, Stopped):
                    return
        except _Stop:
            team.end()
            yield Stopped(spec.id, 0)
            return
        except _Trouble as trouble:
            team.end()
            if trouble.died and not team.keeps_place:
                raise RankDiedError(trouble.failed.error) from trouble
            yield replace(trouble.failed, trial_id=spec.id)


def _run_trial(
    team: Team, spec: TrialSpec, folder: TrialFolder, should_stop: Callable[[], bool]
) -> Iterator[Event]:
    if not team.is_open:
        _gather(team, should_stop)
    for rank in range(team.n):
        team.call(rank, "run", spec, folder)
    last: Event | None = None
    for event in _items(team, range(team.n)):
        if isinstance(event, Ended | Stopped):
            last = event  # told when all are through, so that they are free for the next trial
        else:
            yield event
    assert last is not None
    yield last


def _gather(team: Team, should_stop: Callable[[], bool]) -> None:
    """Start the processes and let them meet."""

    def look() -> None:
        if should_stop():
            raise _Stop

    team.start()
    for rank in range(team.n):
        team.call(rank, "open")
    (meeting,) = _items(team, range(team.n), look)
    for rank in range(team.n):
        team.call(rank, "join", meeting)
    for _ in _items(team, range(team.n), look):
        pass
    team.is_open = True


def _items(
    team: Team, ranks: Sequence[int], look: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """The items of one call to each of `ranks`, until all calls are over.

    Trouble once the trial's record is written ends the processes and is no failure of the trial.
    """
    open_calls, ended = set(ranks), False
    while open_calls:
        look()
        for message in team.receive(LISTEN_S):
            if _is_trouble(message):
                if ended:
                    team.end()
                    return
                raise _cause(team, message, open_calls)
            if message.kind == "item":
                ended = ended or isinstance(message.content, Ended | Stopped)
                yield message.content
            else:
                open_calls.discard(message.rank)


def _is_trouble(message: Message) -> bool:
    return message.kind == "died" or isinstance(message.content, Failed | LostContact)


def _cause(team: Team, first: Message, open_calls: set[int]) -> _Trouble:
    """What lies behind a first sign of trouble, from what the other processes say soon after."""
    seen = [first]
    waiting = open_calls - {first.rank}
    until = time.monotonic() + TROUBLE_S
    while waiting and time.monotonic() < until and not _is_clear(seen):
        for message in team.receive(LISTEN_S):
            if _is_trouble(message):
                seen.append(message)
                waiting.discard(message.rank)
    worst = min(seen, key=_distance_from_cause)
    if isinstance(worst.content, Failed):
        return _Trouble(worst.content, died=False)
    if worst.kind == "died":
        text = f"worker {worst.rank + 1} of {team.n} died ({worst.content})"
        return _Trouble(Failed("", text, retry=True), died=True)
    return _Trouble(Failed("", worst.content.error, retry=True), died=False)


def _is_clear(seen: Sequence[Message]) -> bool:
    return any(_distance_from_cause(message) == 0 for message in seen)


def _distance_from_cause(message: Message) -> int:
    """0 for an error that says what is wrong; then a death, another error, and lost contact."""
    if isinstance(message.content, Failed):
        return 2 if message.content.retry else 0
    return 1 if message.kind == "died" else 3
