"""The command line of `harness.forecast`: what a user may say, parsed and checked.

In: arguments. Out: frozen `Options`. Imports nothing that takes time, so that a mistake is told at
once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.evaluate.options import add_code, device_of
from harness.forecast.scores import SCORES
from harness.options import add_sweep
from headstart.errors import InputError, did_you_mean

SEEDS = 5  # of which scores are computed where the user says nothing
IMAGES = 2000
FEWEST_IMAGES = 20


@dataclass(frozen=True)
class Options:
    """The command line, parsed."""

    sweep: Path
    profile: str | None
    assignments: list[str]
    out: Path | None
    data: Path | None
    seeds: int | None
    scores: tuple[str, ...]
    images: int
    device: str
    code: list[Path]


def parse(argv: Sequence[str]) -> Options:
    """The options of a command line.

    Raises:
        InputError: a value that is not allowed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m harness.forecast",
        description="Score what each arm of a sweep starts from, on cached features of training "
        "and validation images, before any arm is trained; and say how well each score ordered "
        "the starts where the run is there.",
    )
    add_sweep(
        parser,
        sweep="the sweep's file",
        out="the sweep's run folder, with or without trials (default: runs/NAME)",
    )
    parser.add_argument(
        "--seeds", type=_count, metavar="K",
        help=f"scores of the first K seeds (default: the sweep's, {SEEDS} at most)",
    )  # fmt: skip
    parser.add_argument(
        "--scores", type=_scores, default=tuple(SCORES), metavar="A,B",
        help=f"of {', '.join(SCORES)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=_count, default=IMAGES, metavar="N",
        help=f"at most so many images of each seed (default {IMAGES:,})",
    )  # fmt: skip
    parser.add_argument(
        "--device", choices=("cpu", "cuda", "auto"), default="cpu",
        help="what computes features; auto: a GPU where PyTorch sees one (default: cpu)",
    )  # fmt: skip
    add_code(parser)
    options = Options(**vars(parser.parse_args(argv)))
    if options.images < FEWEST_IMAGES:
        raise InputError(f"--images {options.images}: at least {FEWEST_IMAGES} are needed")
    return replace(options, device=device_of(options.device))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no whole number from 1")
    return int(text)


def _scores(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in SCORES:
            raise InputError(
                f"--scores {name}: no such score{did_you_mean(name, SCORES)}; there are "
                f"{', '.join(SCORES)}"
            )
    return names
