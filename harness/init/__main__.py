"""`python -m harness.init FOLDER|PHOTOS|NAME`: a first sweep file for one's own data.

In: what a person names. Out: a commented sweep file that runs as it is, and some lines that say
what was found and chosen. Thin: `look` reads the data, `choose` decides, `text` writes; here the
file is read and planned as `harness.sweep` would, before anybody is told that it is there.
"""

from __future__ import annotations

import argparse
import os
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.init.choose import QUICK_SEEDS, Chosen, choose
from harness.init.look import Looked, look
from harness.init.text import classes_words, sweep_name, sweep_text
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.references import in_run_folder
from harness.trials.catalogue import DataCatalogue
from headstart.cli import run_command, to_path
from headstart.errors import InputError
from headstart.files import atomic_path
from headstart.output import on_one_line

MOST_REMARKS = 6


def main(argv: Sequence[str]) -> None:
    given = _parser().parse_args(argv)
    _check_out(given.out, given.force)
    if given.data is not None and not given.data.is_dir():
        raise InputError(f"--data {given.data}: no such folder")
    looked = look(given.what, given.set, given.labels, given.data, given.labels_file)
    name = given.out.stem if given.out and sweep_name(given.out.stem) == given.out.stem else ""
    name = name or sweep_name(looked.title)
    out = given.out or Path(f"{name}.yaml")
    _check_out(out, given.force)
    looked = looked.beside(out.parent)
    chosen = choose(looked, given.data)
    with atomic_path(out) as temporary:
        temporary.write_text(sweep_text(name, out.name, looked, chosen), encoding="utf-8")
        n_trials = _checked(temporary, out, looked, given.data)
    for line in _said(looked, chosen, out, n_trials, given.data):
        print(line)


def _check_out(out: Path | None, force: bool) -> None:
    """Before anything is read: whether the file may be written."""
    if out is None:
        return
    if os.path.isdir(out):
        raise InputError(f"{out}: is a folder; give the name of a file, as {out / 'mine.yaml'}")
    if os.path.lexists(out) and not force:
        raise InputError(f"{out}: is there already; choose another --out, or --force replaces it")
    if not os.path.isdir(out.parent):
        raise InputError(f"{out}: there is no folder {out.parent}")
    if in_run_folder(out):
        raise InputError(f"{out}: lies in a run folder; choose another --out")


def _checked(written: Path, out: Path, looked: Looked, data_dir: Path | None) -> int | None:
    """The trials of the quick profile; None where the images are too many to be read now.

    Raises:
        InputError: the file does not read or plan, and so it is not left there.
    """
    catalogue = DataCatalogue(data_dir, allow_download=False)
    n_trials = None
    try:
        for profile in (None, "quick"):
            sweep = load_sweep(written, profile)
            if not looked.is_large:
                n_trials = len(make_plan(sweep, catalogue).trials)
    except InputError as err:
        raise InputError(str(err).replace(str(written), str(out))) from err
    return n_trials


def _said(
    looked: Looked, chosen: Chosen, out: Path, n_trials: int | None, data_dir: Path | None
) -> Iterator[str]:
    height, width = looked.side
    kind = "gray" if looked.is_gray else "colour"
    numbers = looked.by_class
    yield (
        f"{on_one_line(looked.title)}: {looked.n_images:,} images of {len(numbers):,} classes "
        f"({classes_words(looked)}), {kind}, around {width}×{height} pixels"
    )
    if chosen.metric == "balanced_accuracy":
        yield (
            f"  unequal classes: {min(numbers.values()):,} to {max(numbers.values()):,} images; "
            "balanced accuracy is compared"
        )
    remarks = [*(f"warning: {text}" for text in looked.warnings), *looked.notes]
    for remark in remarks[:MOST_REMARKS]:
        yield f"  {on_one_line(remark)}"
    if len(remarks) > MOST_REMARKS:
        more = len(remarks) - MOST_REMARKS
        yield f"  and {more} more: python -m harness.sweep {shlex.quote(str(out))} --dry-run"
    yield f"network: {chosen.network.model['name']}: {chosen.network.why}"
    yield f"start:   {chosen.begin.words}: {chosen.begin.why}"
    if chosen.begin.advice:
        yield f"         {chosen.begin.advice}"
    yield f"split:   {chosen.split}"
    yield "arms:    from scratch; all layers tuned; the last layer tuned"
    yield f"seeds:   {QUICK_SEEDS} in the profile quick, {chosen.network.seeds} without it"
    if n_trials is None:
        yield (
            f"not planned: {looked.n_images:,} images are too many to open now; a sample was "
            "looked at, and the first run reads them all, once"
        )
    trials = f" ({n_trials} trials, planned)" if n_trials else ""
    data = f" --data {shlex.quote(str(data_dir))}" if data_dir else ""
    yield f"written: {out}{trials}"
    yield f"next:    python -m harness.sweep {shlex.quote(str(out))} --profile quick{data}"


def _text(text: str) -> str:
    return str(to_path(text)) if text in ("", ".") else text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.init",
        description="Look at data and write a first sweep file for them, which runs as it is.",
        epilog=textwrap.dedent("""Exit status: 0 the file is written; 2 the data cannot be used,
        or the file is there already."""),
    )
    parser.add_argument(
        "what", nargs="+", type=_text, metavar="FOLDER|PHOTOS|NAME",
        help="a folder or file of images, photographs of sheets, or the name of a data set "
        "(python -m datasets lists them)",
    )  # fmt: skip
    parser.add_argument("--out", type=to_path, metavar="FILE.yaml", help="default: NAME.yaml here")
    parser.add_argument("--force", action="store_true", help="replace the file where it is there")
    parser.add_argument("--data", type=to_path, metavar="DIR", help="where data sets lie")
    parser.add_argument(
        "--labels", metavar="1234567890",
        help="what is written on the photographed sheets: a character for each row",
    )  # fmt: skip
    parser.add_argument(
        "--labels-file", type=to_path, metavar="FILE",
        help="what is written on each of them, as python -m datasets.sheet reads it",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="an option of the set, as in a sweep's data entry (labels=train.csv)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    run_command(main)
