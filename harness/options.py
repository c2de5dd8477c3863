"""What the command line of `harness.sweep` may say: words in, one frozen object out.

It stands alone because the command and what it calls read these settings, which are checked once.
"""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import engines
from headstart.cli import to_path
from headstart.errors import InputError


@dataclass(frozen=True)
class Options:
    """The command line, parsed and checked."""

    sweep: Path
    profile: str | None
    assignments: list[str]
    out: Path | None
    data: Path | None
    engine: str
    dry_run: bool
    fetch: bool
    shard: tuple[int, int]
    reuse: list[Path]
    only: str | None
    report: bool
    address: str | None
    slots: int | None
    state_every_s: float
    code: list[Path]
    watch: bool
    watch_port: int | None

    @property
    def is_whole(self) -> bool:
        """Whether the command runs all of its plan, and so writes what is made of all trials."""
        return self.shard == (1, 1) and self.only in (None, "report")

    @property
    def is_watched(self) -> bool:
        return self.watch or self.watch_port is not None

    @property
    def n_at_once(self) -> int | None:
        """Trials at once that the user asks for; None leaves it to the machine."""
        return 1 if self.engine == "here" else self.slots


def parse(argv: Sequence[str]) -> Options:
    """The options of a command line.

    Raises:
        InputError: a value that is not allowed, or two that do not go together.
    """
    options = Options(**vars(_parser().parse_args(argv)))
    if not 0 <= options.state_every_s < math.inf:
        raise InputError(f"--state-every {options.state_every_s:g}: seconds from 0 are expected")
    if options.slots is not None and options.slots < 1:
        raise InputError(f"--slots {options.slots}: a whole number from 1 is expected")
    if options.address and options.engine != "ray":
        raise InputError("--address belongs to --engine ray")
    if options.fetch and options.dry_run:
        raise InputError("--fetch fetches and --dry-run fetches nothing; give one of them")
    return options


class _PrintSchema(argparse.Action):
    """`--schema` ends the command, as `--help` does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from harness.sweepfile.schema import schema_text  # imports all data sets' modules

        print(schema_text(), end="")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.sweep",
        description="Run a sweep: many seeded trials of each arm, then the report. The same "
        "command goes on from where it was stopped.",
        epilog="Exit status: 0 all trials finished; 1 some failed or have not run, or every trial "
        "of an arm diverged; 2 wrong input; 75 stopped by a signal (run the same command to go "
        "on).",
    )
    add_sweep(parser, sweep="the question to answer", out="run folder (default: runs/NAME)")
    _add_engine(parser)
    _add_part(parser)
    _add_showing(parser)
    return parser


def add_sweep(parser: argparse.ArgumentParser, *, sweep: str, out: str) -> None:
    """What is asked, and where it lies; `sweep` and `out` are the help of these two."""
    parser.add_argument("sweep", type=to_path, metavar="SWEEP.yaml", help=sweep)
    parser.add_argument("--profile", metavar="NAME", help="one of the file's profiles")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY.PATH=VALUE", dest="assignments",
        help="override one key; may be given several times",
    )  # fmt: skip
    parser.add_argument("--out", type=to_path, metavar="DIR", help=out)
    parser.add_argument("--data", type=_folder, metavar="DIR", help="where data sets lie")


def _add_engine(parser: argparse.ArgumentParser) -> None:
    """What runs the trials."""
    parser.add_argument(
        "--engine", choices=engines.NAMES, default="ray",
        help="what runs the trials: Ray Tune, processes of this machine, or this process itself "
        "(one trial at a time, for a debugger)",
    )  # fmt: skip
    parser.add_argument(
        "--address", type=_address, metavar="HOST:PORT", help="join this running Ray cluster"
    )
    parser.add_argument(
        "--slots", type=int, metavar="N",
        help="trials at once on this machine, or on all nodes of the cluster that is joined",
    )  # fmt: skip


def _add_part(parser: argparse.ArgumentParser) -> None:
    """What of the plan is run, and what is taken from elsewhere."""
    parser.add_argument(
        "--dry-run", action="store_true",
        help="show the plan, or all that is missing for it; run nothing and fetch nothing",
    )  # fmt: skip
    parser.add_argument(
        "--fetch", action="store_true",
        help="fetch the data and weights that the sweep needs into the caches, for nodes without "
        "a network, and end",
    )  # fmt: skip
    parser.add_argument(
        "--shard", type=_shard, default="1/1", metavar="K/N", help="run part K of N only"
    )
    parser.add_argument(
        "--only", choices=("pretrain", "arms", "report"), help="run this part of the plan only"
    )
    parser.add_argument(
        "--reuse", action="append", default=[], type=to_path, metavar="DIR",
        help="take finished trials of the same ids from another run folder",
    )  # fmt: skip
    parser.add_argument(
        "--code", action="append", default=[], type=to_path, metavar="FILE|DIR",
        help="where code of your own lies that the sweep names as FILE.py:NAME; a run folder's "
        "sweep.yaml needs it, since no code is taken from a run folder",
    )  # fmt: skip


def _add_showing(parser: argparse.ArgumentParser) -> None:
    """What is kept and shown."""
    parser.add_argument(
        "--state-every", type=float, default=2.0, metavar="SECONDS", dest="state_every_s",
        help="save running trials this often (default 2), but never for over 2.5 %% of the time",
    )  # fmt: skip
    parser.add_argument(
        "--schema", action=_PrintSchema, nargs=0, dest=argparse.SUPPRESS,
        help="print the JSON schema of a sweep file, for editors, and end",
    )  # fmt: skip
    parser.add_argument(
        "--no-report", action="store_false", dest="report", help="write the tables only"
    )
    parser.add_argument(
        "--watch", action="store_true",
        help="serve a page that follows the run, for a browser of this machine, until it ends",
    )  # fmt: skip
    parser.add_argument(
        "--watch-port", type=int, metavar="N",
        help="the page's port of 127.0.0.1 (default: a free one); implies --watch",
    )  # fmt: skip


def _folder(text: str) -> Path:
    if not text or not os.path.isdir(text):
        raise InputError(f"--data {text}: no such folder")
    return Path(text).absolute()


def _shard(text: str) -> tuple[int, int]:
    words = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if words is None or not 1 <= int(words[1]) <= int(words[2]):
        raise InputError(f"--shard {text}: K/N with 1 ≤ K ≤ N is expected, as in 2/8")
    return int(words[1]), int(words[2])


def _address(text: str) -> str:
    words = re.fullmatch(r"auto|.+:([0-9]{1,5})", text)
    if words is None or (words[1] and not 0 < int(words[1]) < 65536):
        raise InputError(f"--address {text}: HOST:PORT is expected, as in 10.0.0.1:6379")
    return text
