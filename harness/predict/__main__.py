"""`python -m harness.predict RUN PICTURES`: what a run's networks say of pictures without labels.

In: a run folder, and image files, folders or archives. Out: a CSV file with a row for each picture
and network, or for each picture and arm. Which networks there are, how a picture is prepared and
what a network answers is `harness.evaluate`'s: a picture with a label gets the same answer there.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.target import BETWEEN
from harness.predict.options import Options, parse
from headstart.cells import harmless
from headstart.cli import run_command
from headstart.errors import EXIT_DONE, InputError
from headstart.files import atomic_file, safe_name
from headstart.output import on_one_line

if TYPE_CHECKING:
    from datasets.files.image_kinds import Also
    from harness.evaluate.models import SavedModel
    from harness.predict.pictures import Pictures
    from headstart.rows import TrialRow

Row = list[object]
WHO = ("file", "arm", "seed", "trial_id")
COLUMNS = {
    "": ("predicted", "probability"),
    "ordered": ("predicted", "probability"),
    "labels": ("predicted",),
    "number": ("predicted", "unit"),
}  # by kind of target; of classes and labels a column for the probability of each follows
N_SHOWN = 8  # answers that are printed


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    from harness.evaluate.models import read_run  # torch: no mistake above needs it
    from harness.evaluate.networks import networks_of, of_seed
    from harness.evaluate.report import prepare
    from harness.predict.pictures import open_pictures

    sweep = read_run(options.run, options.code)
    saved, said = networks_of(options.run, sweep, options.arms, options.networks)
    saved = of_seed(options.run, saved, options.seed)
    names, target = _class_names(options.run, saved), saved[0].row.target
    with open_pictures(options.pictures, _also(saved)) as pictures:
        path = _path(options)
        n = sum(len(each.names) for each in pictures)
        print(*filter(None, [said, _opening(options, saved, n)]), sep="\n")
        print(f"pictures: {prepare(saved[0], options.preprocess).words()}")
        notes = [note for each in pictures for note in each.notes]
        with atomic_file(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            shares = () if target == "number" else tuple(f"p_{name}" for name in names)
            writer.writerow([harmless(name) for name in (*WHO, *COLUMNS[target], *shares)])
            for k, row in enumerate(_rows(options, saved, pictures, notes)):
                if k < N_SHOWN:
                    print(_shown(row, target))
                writer.writerow([_cell(value) for value in row])
    for note in dict.fromkeys(notes):
        print(f"  note: {on_one_line(note)}")
    print(f"Written: {path}")
    return EXIT_DONE


def _class_names(run: Path, saved: Sequence[SavedModel]) -> tuple[str, ...]:
    """Of all networks, since each class has a column.

    Raises:
        InputError: some have others.
    """
    names = saved[0].class_names
    for model in saved:
        if (model.class_names, model.row.target) != (names, saved[0].row.target):
            raise InputError(
                f"{run}: '{saved[0].arm}' and '{model.arm}' have different classes, and one table "
                "has a column for each class; give one with --arm"
            )
    return names


def _also(saved: Sequence[SavedModel]) -> tuple[Also, ...]:
    """Kinds of files that the networks' own data were read with, beside the usual ones."""
    given = (getattr(model.data.options, "also", ()) for model in saved)
    return tuple(dict.fromkeys(kind for kinds in given for kind in kinds))


def _path(options: Options) -> Path:
    """The CSV file; its folder is made.

    Raises:
        InputError: it cannot be one.
    """
    from harness.evaluate.files import output_folder

    if options.out is None:
        stem = safe_name(options.pictures[0].absolute().stem)
        return output_folder(options.run, None, "predictions") / f"{stem}.csv"
    if options.out.is_dir():
        raise InputError(f"--out {options.out}: is a folder; give the name of a .csv file")
    return output_folder(options.run, options.out.parent) / options.out.name


def _rows(
    options: Options, saved: Sequence[SavedModel], pictures: Sequence[Pictures], notes: list[str]
) -> Iterator[Row]:
    """By picture, arm and seed; arms whose data were prepared alike stand together."""
    from harness.evaluate.report import prepare
    from harness.predict.pictures import chunks

    alike: dict[object, list[SavedModel]] = {}
    order = list(dict.fromkeys(model.arm for model in saved))
    for model in sorted(saved, key=lambda model: order.index(model.arm)):
        alike.setdefault(prepare(model, options.preprocess), []).append(model)
    n = sum(len(each.names) for each in pictures) * len(alike)
    n_done = 0
    for members in alike.values():
        how = prepare(members[0], options.preprocess)
        for each in pictures:
            for chunk in chunks(each, how, options.on_damaged, notes):
                yield from _answered(options, members, chunk.files, chunk.images)
                n_done += len(chunk.files)
                print(f"\r{n_done:,}/{n:,} pictures", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _answered(
    options: Options, members: Sequence[SavedModel], files: Sequence[str], images: np.ndarray
) -> Iterator[Row]:
    """What the networks say of pictures uint8 (n, C, H, W)."""
    from harness.evaluate.models import answers, mean_probabilities

    said = {m.id: answers(m, images, None, options.device).probabilities for m in members}
    who: list[tuple[Row, np.ndarray]] = [([m.arm, m.row.seed, m.id], said[m.id]) for m in members]
    if options.ensemble:
        arms = dict.fromkeys(m.arm for m in members)
        each = {arm: [said[m.id] for m in members if m.arm == arm] for arm in arms}
        who = [([arm, "", "ensemble"], mean_probabilities(each[arm])) for arm in arms]
    row = members[0].row
    for k, file in enumerate(files):
        for identity, said_of_all in who:
            yield [file, *identity, *_said(row, said_of_all[k].tolist())]


def _said(row: TrialRow, answers: Sequence[float]) -> Row:
    """The cells that say what a network of this record says of one picture."""
    names = row.class_names
    if row.target == "number":
        return [answers[0], str((row.target_scale or {}).get("unit", ""))]
    if row.target == "labels":
        there = [name for name, share in zip(names, answers, strict=True) if share >= 0.5]
        return [BETWEEN[0].join(there), *answers]
    best = max(range(len(names)), key=lambda k: answers[k])
    return [names[best], answers[best], *answers]


def _opening(options: Options, saved: Sequence[SavedModel], n: int) -> str:
    arms = list(dict.fromkeys(model.arm for model in saved))
    together = ", their mean" if options.ensemble else ""
    seeds = f", the best on validation: seed {_seeds(saved)}" if options.seed == "best" else ""
    return on_one_line(
        f"{options.run} on {n:,} picture{'s' * (n != 1)}: {len(saved)} "
        f"network{'s' * (len(saved) != 1)} of {', '.join(arms)}{seeds}{together}"
    )


def _seeds(saved: Sequence[SavedModel]) -> str:
    return ", ".join(str(model.row.seed) for model in saved)


def _shown(row: Row, target: str) -> str:
    """One answer, for people."""
    file, arm, seed, _, predicted, *more = row
    who = f"{arm}, seed {seed}" if seed != "" else f"{arm}, ensemble"
    if target == "number":
        return on_one_line(f"  {file}: {_cell(predicted)} {more[0]} ({who})")
    if target == "labels":
        return on_one_line(f"  {file}: {predicted or 'none of the labels'} ({who})")
    return on_one_line(f"  {file}: {predicted} ({100 * float(str(more[0])):.1f} %; {who})")


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else harmless(value)


if __name__ == "__main__":
    run_command(main)
