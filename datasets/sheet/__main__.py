"""Photographed sheets of handwritten digits → a data set: `python -m datasets.sheet PHOTO …`.

In: photographs, and what is written on them (by row, by column, one class a photo, or spelled
out). Out: `Training Set/`, `Validation Set/` and `Test Set/` with one folder a class, images as
MNIST shows them, and a contact sheet for each photo. Labels come from the place of a digit on the
sheet; what a person says in a corrections file goes before all that was read. Where a photo does
not fit its labels only its contact sheet is written, and the page on which it can be put right.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.sheet.arguments import parse
from datasets.sheet.hand.corrections import Correction, read_corrections
from datasets.sheet.labels import (
    FROM_NAME,
    Labels,
    by_column,
    by_row,
    class_in_name,
    likely_counts,
    one_class,
    with_per_row,
)
from datasets.sheet.labels_file import read_labels_file
from datasets.sheet.paper.pages import file_of, open_pictures
from datasets.sheet.photos import Photo, as_rgb, cut_digits, how_to_go_on_without, what_does_not_fit
from datasets.sheet.remarks import record, remarks, summary
from headstart.cli import run_command
from headstart.errors import DataError
from headstart.files import safe_name

if TYPE_CHECKING:
    import numpy as np

    from datasets.sheet.reading.read import Reading
    from datasets.sheet.write import Digit, Drawn


@dataclass(frozen=True)
class _Sheet:
    """A photograph, what was read on it, and that put right by what a person says of it."""

    photo: Photo
    as_read: Reading
    reading: Reading
    correction: Correction | None


def main(argv: Sequence[str]) -> int | None:
    """Read all photos; write the data set, or say what does not fit."""
    args = parse(argv)
    from datasets.sheet.write import check_output, draw_parts, write_data_set

    kept = check_output(args.out, args.corrections)
    photos = _load_photos(args)
    corrections = read_corrections(args.corrections, photos) if args.corrections else {}
    sheets = [_read(photo, corrections.get(photo.digest)) for photo in photos]
    problems = {
        sheet.photo.digest: what_does_not_fit(sheet.photo, sheet.reading)
        for sheet in sheets
        if sheet.reading.labels is None
    }
    pictures, page = _to_look_at(sheets, problems)
    try:
        _refuse(problems, len(photos))
        digits = cut_digits(photos, [sheet.reading for sheet in sheets], args.size)
        drawn = draw_parts([digit.label for digit in digits], args.counts, args.seed)
    except DataError as err:
        raise _not_written(err, args.out, pictures, page) from err
    originals = args.keep_originals
    record = _record(args, sheets)
    write_data_set(args.out, digits, drawn, pictures, page, record, kept, keep_originals=originals)
    _print_summary(args.out, sheets, digits, drawn)
    return None


def _read(photo: Photo, correction: Correction | None) -> _Sheet:
    from datasets.sheet.hand.by_hand import corrected
    from datasets.sheet.reading.read import read_sheet

    as_read = read_sheet(photo.image, photo.labels)
    return _Sheet(photo, as_read, corrected(as_read, photo, correction), correction)


def _to_look_at(
    sheets: Sequence[_Sheet], problems: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], str]:
    """The contact sheets by their file names, and the page on which they can be put right."""
    from datasets.sheet.contact import contact_sheet
    from datasets.sheet.hand.page import correction_page

    pictures = {
        f"contact-sheet-{sheet.photo.name}.png": contact_sheet(
            sheet.photo.image, sheet.reading, sheet.photo.noun
        )
        for sheet in sheets
    }
    corrections = {sheet.photo.digest: sheet.correction for sheet in sheets if sheet.correction}
    photos, as_read = [sheet.photo for sheet in sheets], [sheet.as_read for sheet in sheets]
    return pictures, correction_page(photos, as_read, corrections, problems)


def _refuse(problems: Mapping[str, str], n_photos: int) -> None:
    """Raise DataError where there are problems: a line for each, and how to go on without."""
    if problems:
        go_on = how_to_go_on_without(len(problems), n_photos)
        raise DataError("\n".join([*problems.values(), *([go_on] if go_on else [])]))


def _not_written(
    err: DataError, folder: Path, pictures: Mapping[str, np.ndarray], page: str
) -> DataError:
    """The error, with where to see what was found, which is written now."""
    from datasets.sheet.write import CORRECTIONS, write_refused

    *shown, to_mend = map(str, write_refused(folder, pictures, page))
    return DataError(
        f"{err}\nNothing was written but what was found: {', '.join(shown)}\n"
        f"To put it right by hand, open {to_mend} in a browser; it saves {CORRECTIONS}, which "
        "--corrections reads"
    )


def _load_photos(args: argparse.Namespace) -> list[Photo]:
    """Decode the photos and give each its labels; the same photo twice is refused."""
    if not args.labels_file:
        _given_labels(args, args.photos)  # a slip in them is said before the photos are opened
    pictures = [picture for pages in open_pictures(args.photos) for picture in pages]
    paths = [picture.path for picture in pictures]
    return [
        Photo(
            picture.path, _unique_name(number, paths), as_rgb(picture.image), labels, picture.digest
        )
        for number, (picture, labels) in enumerate(
            zip(pictures, _labels_of(args, paths), strict=True)
        )
    ]


def _labels_of(args: argparse.Namespace, paths: Sequence[Path]) -> list[Labels]:
    """The labels of each photo, with how many digits a row holds as far as anything says it."""
    labels = _given_labels(args, paths)
    if args.per_row is not None:
        labels = [
            each if each.per_row or each.kind == "text" else with_per_row(each, args.per_row, "")
            for each in labels
        ]
    return likely_counts(labels, sum(args.counts))


def _given_labels(args: argparse.Namespace, paths: Sequence[Path]) -> list[Labels]:
    if args.labels_file:
        return read_labels_file(args.labels_file, paths)
    if args.label == FROM_NAME:
        return [class_in_name(path) for path in paths]
    if args.label is not None:
        return [one_class(args.label, "--label")] * len(paths)
    by_line = by_column if args.by == "column" else by_row
    return [by_line(args.labels, "--labels")] * len(paths)


def _unique_name(number: int, paths: Sequence[Path]) -> str:
    """The photo's name without its ending, numbered where another photo has it too."""
    names = [safe_name(_stem(path), limit=60) for path in paths]
    shared = Counter(name.lower() for name in names)[names[number].lower()] > 1
    return f"{number + 1:02d}-{names[number]}" if shared else names[number]


def _stem(path: Path) -> str:
    """`scan-page2` for `scan.pdf#2`."""
    file = file_of(path)
    return file.stem if file == path else f"{file.stem}-page{path.name.rpartition('#')[2]}"


def _record(args: argparse.Namespace, sheets: Sequence[_Sheet]) -> dict[str, object]:
    return {
        "written_by": "python -m datasets.sheet",
        "counts": list(args.counts),
        "seed": args.seed,
        "size": args.size,
        "photos": [record(sheet.photo, sheet.reading, sheet.correction) for sheet in sheets],
    }


def _print_summary(
    folder: Path, sheets: Sequence[_Sheet], digits: Sequence[Digit], drawn: Drawn
) -> None:
    from datasets.sheet.hand.fates import idle_drops
    from datasets.sheet.write import PAGE

    for sheet in sheets:
        for note in idle_drops(sheet.as_read, sheet.photo, sheet.correction):
            print(note)
    to_check = [remarks(sheet.photo, sheet.reading) for sheet in sheets]
    for sheet, lines in zip(sheets, to_check, strict=True):
        print(summary(sheet.photo, sheet.reading, sheet.correction), *lines, sep="\n")
    if any(to_check):
        print(f"what is wrong can be put right by hand: open {folder / PAGE} in a browser")
    for part, chosen in drawn.parts.items():
        print(f"{part}: {len(chosen)} images")
    left = Counter(digits[i].label for i in drawn.left_over)
    by_class = ", ".join(f"{label}: {left[label]}" for label in sorted(left))
    print(f"left over: {len(drawn.left_over)}" + (f" (class {by_class})" if left else ""))
    print(f"written to {folder}")


if __name__ == "__main__":
    run_command(main)
