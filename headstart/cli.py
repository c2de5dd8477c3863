"""How every command line of ours ends: one message for a user's mistake, never a traceback."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Sequence

from headstart.errors import EXIT_DONE, HeadstartError


def run_command(main: Callable[[Sequence[str]], int | None]) -> None:
    """Run `main(argv)` and exit with its status, or with that of the error it raises.

    A broken pipe (`… | head`) ends quietly with status 1, as other Unix tools do.
    """
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except HeadstartError as err:
        print(err, file=sys.stderr)
        raise SystemExit(err.exit_status) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    raise SystemExit(EXIT_DONE if status is None else status)


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or an empty string where nothing allowed is near `given`."""
    near = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""
