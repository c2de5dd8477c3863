"""The command line of `harness.predict`: what a user may say, parsed and checked.

In: arguments. Out: frozen `Options`. Imports nothing that takes time, so that a mistake is told at
once. `to_seed` is `harness.export`'s too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from datasets.base import Preprocess
from harness.evaluate.options import Networks, add_how_images_are_seen, add_networks, device_of
from headstart.cli import to_path
from headstart.errors import InputError


@dataclass(frozen=True)
class Options:
    """The command line, parsed."""

    run: Path
    pictures: list[Path]
    arms: list[str]
    seed: int | Literal["best"] | None
    networks: Networks | None
    ensemble: bool
    out: Path | None
    preprocess: Preprocess | None
    on_damaged: Literal["refuse", "skip"]
    device: str
    code: list[Path]


def parse(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m harness.predict",
        description="What the networks of a run say of pictures without labels: a CSV file of "
        "classes and probabilities.",
    )
    parser.add_argument("run", type=to_path, metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "pictures", type=to_path, metavar="PICTURES", nargs="+",
        help="image files, folders of them (at any depth), or zip and tar files of them",
    )  # fmt: skip
    parser.add_argument(
        "--arm", action="append", default=[], metavar="NAME", dest="arms",
        help="an arm or a pretrain stage; may be given several times (default: all arms)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=to_seed, metavar="best|N",
        help="one network of each arm: that of seed N, or the best on the validation images "
        "(default: those of all seeds)",
    )  # fmt: skip
    parser.add_argument(
        "--ensemble", action="store_true",
        help="one answer for each picture and arm: the mean of the seeds' probabilities",
    )  # fmt: skip
    add_networks(parser)
    parser.add_argument(
        "--out", type=to_path, metavar="FILE", help="a .csv file (default: in RUN/predictions)"
    )
    add_how_images_are_seen(parser)
    options = Options(**vars(parser.parse_args(argv)))
    if options.ensemble and options.seed is not None:
        raise InputError("--ensemble is of all seeds; leave --seed out")
    if options.out is not None and options.out.suffix.lower() != ".csv":
        raise InputError(f"--out {options.out}: give the name of a .csv file")
    return replace(options, device=device_of(options.device))


def to_seed(text: str) -> int | Literal["best"]:
    """`best`, or the number of a seed."""
    if text == "best":
        return "best"
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is neither best nor the number of a seed")
    return int(text)
