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

Row = list[object]
COLUMNS = ("file", "arm", "seed", "trial_id", "predicted", "probability")
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
    names = _class_names(options.run, saved)
    with open_pictures(options.pictures, _also(saved)) as pictures:
        path = _path(options)
        n = sum(len(each.names) for each in pictures)
        print(*filter(None, [said, _opening(options, saved, n)]), sep="\n")
        print(f"pictures: {prepare(saved[0], options.preprocess).words()}")
        notes = [note for each in pictures for note in each.notes]
        with atomic_file(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([harmless(name) for name in (*COLUMNS, *(f"p_{x}" for x in names))])
            for k, row in enumerate(_rows(options, saved, pictures, notes)):
                if k < N_SHOWN:
                    print(_shown(row))
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
        if model.class_names != names:
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
    names = members[0].class_names
    for k, file in enumerate(files):
        for identity, probabilities in who:
            shares = probabilities[k].tolist()
            best = int(probabilities[k].argmax())
            yield [file, *identity, names[best], shares[best], *shares]


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


def _shown(row: Row) -> str:
    """One answer, for people."""
    file, arm, seed, _, predicted, probability = row[: len(COLUMNS)]
    who = f"{arm}, seed {seed}" if seed != "" else f"{arm}, ensemble"
    return on_one_line(f"  {file}: {predicted} ({100 * float(str(probability)):.1f} %; {who})")


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else harmless(value)


if __name__ == "__main__":
    run_command(main)
