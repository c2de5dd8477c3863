"""One question asked of a process of its own, which ends with its answer.

In: a function of a module and what it is given. Out: what it gives, or raises. It stands alone
because several commands ask what only PyTorch knows, and must not load it themselves: it takes
memory and seconds, and opens devices.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from headstart.errors import HeadstartError
from headstart.signals import deaf_children

Answer = TypeVar("Answer")


class NoAnswer(Exception):
    """The process ended without an answer, or gave none in time; `exit_status` is its own."""

    def __init__(self, exit_status: int | None):
        super().__init__(f"exit status {exit_status}")
        self.exit_status = exit_status


def ask_apart(
    question: Callable[..., Answer], *given: object, name: str, within_s: float | None = None
) -> Answer:
    """What `question(*given)` gives in another process.

    Args:
        question: a function that a fresh process can import; its answer can be pickled.
        name: of the process.
        within_s: seconds to wait; None: as long as it lives.

    Raises:
        HeadstartError: that the question raised.
        NoAnswer: anything else became of it.
    """
    context = multiprocessing.get_context("spawn")
    pipe, its_end = context.Pipe()
    process = context.Process(target=_send, args=(its_end, question, given), name=name, daemon=True)
    with deaf_children():
        process.start()
    its_end.close()
    answer: Any = None
    try:
        if within_s is None or pipe.poll(within_s):
            answer = pipe.recv()
    except (EOFError, OSError):
        process.join(1.0)  # it is dead: its own exit status tells more than ours
    finally:
        process.kill()
        process.join()
        pipe.close()
    if answer is None:
        raise NoAnswer(process.exitcode)
    error, value = answer
    if error is not None:
        raise error
    result: Answer = value
    return result


def _send(pipe: Connection, question: Callable[..., object], given: tuple[object, ...]) -> None:
    try:
        pipe.send((None, question(*given)))
    except HeadstartError as err:
        pipe.send((err, None))
