"""The ranks that share a trial, seen from their worker, which starts, watches and ends them.

In: a unit of trials and a `Team` of ranks (processes), wherever they are. Out: the events of the
trials, as of a trial that runs alone. The worker computes nothing itself, so it sees at once that a
rank died or raised an error, while the other ranks wait for that one. The trial then fails with the
error of the rank that caused it, and its next attempt gets new processes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.runfolder.folder import TrialFolder
from harness.trials.events import Ended, Event, Failed, Started, Stopped
from harness.trials.spec import TrialSpec
from headstart.errors import HeadstartError

LISTEN_S = 0.25
TROUBLE_S = 3.0  # after a first error, in which the rank that caused it can report


@dataclass(frozen=True)
class Message:
    """What came from one rank: an item of its call, the end of the call, or news of its death."""

    rank: int
    kind: Literal["item", "over", "died"]
    content: object = None


@dataclass(frozen=True)
class LostContact:
    """This rank cannot reach another one; only that one, or its death, tells why."""

    error: str


class RankDiedError(HeadstartError):
    """A rank died, and no new one may be started in its place."""


class Team(ABC):
    """The `n` ranks that share each trial of a worker, each a process with a `RankRunner`.

    Attributes:
        is_open: whether they run and have met.
        keeps_place: whether a new process may be started where one died.
    """

    n: int
    is_open = False
    keeps_place = True

    @abstractmethod
    def start(self) -> None:
        """Start the processes."""

    @abstractmethod
    def call(self, rank: int, method: str, *arguments: object) -> None:
        """Let one rank run a method of its `RankRunner`."""

    @abstractmethod
    def receive(self, timeout_s: float) -> list[Message]:
        """The messages since the last call; waits for a first one for at most `timeout_s`."""

    @abstractmethod
    def end(self) -> None:
        """End the processes, at once."""


@dataclass(eq=False)
class _Trouble(Exception):
    """A rank raised an error or died; carries the failure of the trial."""

    failed: Failed
    died: bool


class _Stop(Exception):
    """A request to stop came before the trial could begin."""


def run_together(
    team: Team,
    unit: Sequence[TrialSpec],
    folders: Mapping[str, TrialFolder],
    should_stop: Callable[[], bool],
) -> Iterator[Event]:
    """All events of the unit's trials, one trial after another, each by all ranks.

    Raises:
        RankDiedError: a rank died, and the team does not keep its place.
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
    last: Event | None = None
    for event in _call(team, "run", spec, folder):
        assert isinstance(event, Event)
        if isinstance(event, Ended | Stopped):
            last = event  # yielded when all ranks have finished and are free for the next trial
        else:
            yield event
    assert last is not None
    yield last


def _gather(team: Team, should_stop: Callable[[], bool]) -> None:
    """Start the processes and let them meet."""
    team.start()
    (meeting,) = _call(team, "open", should_stop=should_stop)
    for _ in _call(team, "join", meeting, should_stop=should_stop):
        pass
    team.is_open = True


def _call(
    team: Team, method: str, *arguments: object, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[object]:
    """Call every rank; the items of the calls, until all are over.

    Where a rank dies after the trial's record was written, the trial has not failed: all ranks are
    ended, and the next trial gets new ones.
    """
    for rank in range(team.n):
        team.call(rank, method, *arguments)
    open_calls, ended = set(range(team.n)), False
    while open_calls:
        if should_stop():
            raise _Stop
        messages = team.receive(LISTEN_S)
        for k, message in enumerate(messages):
            if _is_trouble(message):
                if ended:
                    team.end()
                    return
                raise _cause(team, messages[k:], open_calls)
            if message.kind == "item":
                ended = ended or isinstance(message.content, Ended | Stopped)
                yield message.content
            else:
                open_calls.discard(message.rank)


def _is_trouble(message: Message) -> bool:
    return message.kind == "died" or isinstance(message.content, Failed | LostContact)


def _cause(team: Team, first: Sequence[Message], open_calls: set[int]) -> _Trouble:
    """The cause of an error: what came with it or comes soon after may be nearer to it.

    `first` are the messages of one call of `receive` from the error on; none of them comes again.
    """
    seen = [message for message in first if _is_trouble(message)]
    waiting = open_calls - {message.rank for message in seen}
    until = time.monotonic() + TROUBLE_S
    while waiting and time.monotonic() < until and min(map(_distance_from_cause, seen)) > 0:
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
    assert isinstance(worst.content, LostContact)
    return _Trouble(Failed("", worst.content.error, retry=True), died=False)


def _distance_from_cause(message: Message) -> int:
    """0 for an error that says what is wrong; then a death, another error, and lost contact."""
    if isinstance(message.content, Failed):
        return 2 if message.content.retry else 0
    return 1 if message.kind == "died" else 3
