"""The one family of errors, and the exit status each of them ends a command with.

    HeadstartError                     exit 1
    ├── InputError                     exit 2: what the user gave is wrong, or is not there
    │   ├── SpecError                  a sweep file or --set: all of its mistakes at once
    │   ├── DataError                  a data set that is damaged, or does not fit its options
    │   │   └── DataNotFoundError      a data set that is not there, and what to put where
    │   ├── ModelError                 a network, a layer or a weights file that does not fit
    │   │   └── WeightsNotFoundError   public weights that are not there, and what to put where
    │   ├── RunFolderError             a folder that is no run folder
    │   │   └── LockedError            another command works in it
    │   └── MissingPackageError        an optional package, with its install command
    ├── EngineError                    what runs the trials broke down
    └── StorageError                   the disk is full or cannot be written

A message says where, what was given, what is allowed and what to do, on one line for each
mistake. Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from headstart.output import on_one_line

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_INPUT = 2
EXIT_STOPPED = 75  # EX_TEMPFAIL: a signal came; the same command goes on from here
LONGEST_LINE = 4000  # characters of a line of a message


class HeadstartError(Exception):
    """Base of all errors that Headstart raises on purpose."""

    exit_status = EXIT_FAILED

    def __str__(self) -> str:
        """The message, its lines kept, each of a length that a person reads.

        What a terminal would obey, as in a stranger's file name, or cannot show is spelled out:
        `\\x1b`, `\\ud800`.
        """
        return "\n".join(on_one_line(_shortened(line)) for line in super().__str__().split("\n"))


def _shortened(line: str) -> str:
    n_left_out = len(line) - LONGEST_LINE
    if n_left_out <= 0:
        return line
    return f"{line[: LONGEST_LINE // 2]} [… {n_left_out:,} …] {line[-LONGEST_LINE // 2 :]}"


class InputError(HeadstartError):
    """What the user gave is wrong; nothing on disk was changed."""

    exit_status = EXIT_INPUT


class SpecError(InputError):
    """All mistakes of one sweep file, each a line `file:line: key: what, what is allowed`."""

    def __init__(self, mistakes: Iterable[str]):
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))

    def __reduce__(self) -> tuple[object, ...]:
        """So that it comes whole from another process."""
        return type(self), (self.mistakes,)


class DataError(InputError):
    """A data set, image file or archive that cannot be used as it is."""


class DataNotFoundError(DataError):
    """A data set that is neither on this machine nor could be fetched.

    Attributes:
        put: what to put where, and why fetching it failed; empty where only the message says it.
        why: why fetching it failed, in a few words; empty where nobody tried.
        is_named: whether a person named the file or folder that is missing, so that another data
            set may stand in for it only where that was said (`optional: true`).
    """

    def __init__(self, message: str, put: str = "", is_named: bool = False, why: str = ""):
        self.put = put
        self.is_named = is_named
        self.why = why
        super().__init__(message)

    @property
    def reason(self) -> str:
        """Why the set is not used, for a line that names the set."""
        return f"not on this machine: {self.put}" if self.put else str(self)

    @property
    def brief(self) -> str:
        """The same without what to put where."""
        if not self.put:
            return str(self)
        return f"not on this machine, {self.why}" if self.why else "not on this machine"


class ModelError(InputError):
    """A network name, layer name or weights file that does not fit."""


class TuningError(ModelError):
    """A setting names a part of a network that the network does not have.

    Attributes:
        key: of the setting, as a sweep file has it below an arm.
        text: what was given, and what the network has.
    """

    def __init__(self, key: str, text: str):
        super().__init__(key, text)
        self.key, self.text = key, text

    def __str__(self) -> str:
        return f"{self.key}: {self.text}"


class WeightsNotFoundError(ModelError):
    """Weights with a public source that are neither on this machine nor were fetched.

    `put` says what to put where, and why fetching them failed.
    """

    def __init__(self, message: str, put: str = ""):
        self.put = put
        super().__init__(message)


class RunFolderError(InputError):
    """A folder that is not a run folder, or whose content cannot be read."""


class LockedError(RunFolderError):
    """Another command is working in this run folder."""


class MissingPackageError(InputError):
    """An optional package is needed; the message has its install command."""


class EngineError(HeadstartError):
    """What runs the trials broke down; what was finished before is unharmed."""


class StorageError(HeadstartError):
    """Writing failed (disk full, no permission); what was finished before is unharmed."""


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or an empty string where nothing allowed is near `given`."""
    near = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""
