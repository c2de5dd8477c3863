"""The command line of `harness.evaluate`: what a user may say, parsed and checked.

In: arguments. Out: frozen `Options`. Imports nothing that takes time, so that a mistake is told at
once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from datasets.base import Preprocess, TestPart
from harness.training.cards import cards_here
from headstart.cli import to_path
from headstart.errors import InputError

Networks = Literal["refitted", "selected"]
OWN = "own"  # --on own: the test part that the trials had


@dataclass(frozen=True)
class Options:
    """The command line, parsed."""

    run: Path
    on: str
    settings: list[str]
    part: TestPart | None
    csv: str | None
    arms: list[str]
    networks: Networks | None
    ensemble: bool
    out: Path | None
    data: Path | None
    preprocess: Preprocess | None
    on_damaged: Literal["refuse", "skip"]
    device: str
    code: list[Path]


def parse(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m harness.evaluate",
        description="Score the models of a run, those that were chosen (`train.select`), on a test "
        "set that they have not seen.",
    )
    parser.add_argument("run", type=to_path, metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "--on", required=True, metavar="NAME|PATH|own",
        help="a data set of the catalogue with a test part of its own; a folder or archive with "
        "one folder a class, or of flat image files with a CSV (file, label); a file of any kind "
        "that is read (CSV, npz, Parquet, HDF5, …); a data entry, {name: …, path: …}; `own`: the "
        "run's own test part, where its seeds share one",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="an option of the set, as in a sweep's data entry; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--part", choices=get_args(TestPart),
        help="which images (default: the set's test part; all, where it has no parts)",
    )  # fmt: skip
    parser.add_argument("--csv", metavar="FILE", help="the table of file names and labels")
    parser.add_argument(
        "--arm", action="append", default=[], metavar="NAME", dest="arms",
        help="an arm or a pretrain stage; may be given several times (default: all arms)",
    )  # fmt: skip
    add_networks(parser, "refitted; with --on own: selected")
    parser.add_argument(
        "--ensemble", action="store_true", help="also the mean of the seeds' probabilities"
    )
    parser.add_argument("--out", type=to_path, metavar="DIR", help="default: RUN/evaluations")
    parser.add_argument("--data", type=to_path, metavar="DIR", help="where data sets lie")
    add_how_images_are_seen(parser)
    options = Options(**vars(parser.parse_args(argv)))
    if options.on == OWN and (options.settings or options.part or options.csv):
        raise InputError(f"--on {OWN}: --set, --part and --csv belong to other test sets")
    if options.on == OWN and options.networks == "refitted":
        raise InputError(
            f"--on {OWN}: the refitted networks were trained on these images; leave --networks out"
        )
    if options.data is not None and not options.data.is_dir():
        raise InputError(f"--data {options.data}: no such folder")
    return replace(options, device=device_of(options.device))


def add_how_images_are_seen(parser: argparse.ArgumentParser) -> None:
    """What every command has that shows a run's networks images that it has not met."""
    parser.add_argument(
        "--preprocess", choices=get_args(Preprocess),
        help="instead of what the networks' own data went through",
    )  # fmt: skip
    parser.add_argument(
        "--skip-damaged",
        action="store_const",
        const="skip",
        default="refuse",
        dest="on_damaged",
        help="leave damaged images out, with a note",
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda", "auto"), default="cpu",
        help="what computes; auto: a GPU where PyTorch sees one (default: cpu)",
    )  # fmt: skip
    add_code(parser)


def add_networks(parser: argparse.ArgumentParser, default: str = "refitted") -> None:
    """Which networks of a sweep with refits; `default` in words."""
    parser.add_argument(
        "--networks", choices=get_args(Networks),
        help="of a sweep with refit: true: those that were refitted on all images, or those of "
        f"the trials, before it (default: {default})",
    )  # fmt: skip


def add_code(parser: argparse.ArgumentParser) -> None:
    """Where a run's own code is taken from."""
    parser.add_argument(
        "--code", action="append", default=[], type=to_path, metavar="FILE|DIR",
        help="where code of your own lies with which the run was made; none is taken from RUN",
    )  # fmt: skip


def device_of(named: str) -> str:
    """`cpu` or `cuda`; `auto` is a GPU where PyTorch sees one."""
    if named != "auto":
        return named
    return "cuda" if len(cards_here()) else "cpu"
