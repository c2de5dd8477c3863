"""Photographed sheets of handwritten digits → a data set: `python -m datasets.sheet PHOTO …`.

In: photographs, and what is written on them (by row, by column, one class a photo, or spelled
out). Out: `Training Set/`, `Validation Set/` and `Test Set/` with one folder a class, images as
MNIST shows them, and a contact sheet for each photo. Labels come from the place of a digit on the
sheet; what a person says in a corrections file goes before all that was read. Where a photo does
not fit its labels only its contact sheet is written, and the page on which it can be put right.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.sheet.hand.corrections import Correction, read_corrections
from datasets.sheet.labels import (
    FROM_NAME,
    Labels,
    by_column,
    by_row,
    class_in_name,
    likely_counts,
    one_class,
    read_labels_file,
    whole_number,
    with_per_row,
)
from datasets.sheet.paper.pages import file_of, open_pictures
from datasets.sheet.photos import Photo, as_rgb, cut_digits, how_to_go_on_without, what_does_not_fit
from datasets.sheet.remarks import record, remarks, summary
from headstart.cli import run_command, to_path
from headstart.errors import DataError
from headstart.files import safe_name

if TYPE_CHECKING:
    from datasets.sheet.reading.read import Reading
    from datasets.sheet.write import Digit, Drawn

_EXAMPLES = """examples:
  python -m datasets.sheet sheet.jpg --labels 1234567890 --counts 4/1/1 --out digits
  python -m datasets.sheet threes.jpg --label 3 --counts 6/2/1 --out threes
  python -m datasets.sheet source_*.jpg --label name --counts 6/2/1 --out digits
  python -m datasets.sheet photos/*.jpg --labels-file labels.yaml --out digits

labels.yaml, one line a photo:
  sheet.jpg: 1234567890              # one character for each row
  threes.jpg: 3                      # every digit is a 3
  across.jpg: {columns: 0123456789}  # one character for each column
  mixed.jpg: {text: [31415, 92653]}  # every digit, row by row
"""

_NATURAL = re.compile(r"[0-9]{1,18}")


def main(argv: Sequence[str]) -> int | None:
    """Read all photos; write the data set, or say what does not fit."""
    args = _parser().parse_args(_joined(argv))
    from datasets.sheet.contact import contact_sheet
    from datasets.sheet.hand.by_hand import corrected
    from datasets.sheet.hand.fates import idle_drops
    from datasets.sheet.hand.page import correction_page
    from datasets.sheet.reading.read import read_sheet
    from datasets.sheet.write import (
        CORRECTIONS,
        check_output,
        draw_parts,
        write_data_set,
        write_refused,
    )

    kept = check_output(args.out, args.corrections)
    photos = _load_photos(args)
    corrections = read_corrections(args.corrections, photos) if args.corrections else {}
    as_read = [read_sheet(photo.image, photo.labels) for photo in photos]
    readings = [
        corrected(reading, photo, corrections.get(photo.digest))
        for photo, reading in zip(photos, as_read, strict=True)
    ]
    sheets = {
        f"contact-sheet-{photo.name}.png": contact_sheet(photo.image, reading, photo.noun)
        for photo, reading in zip(photos, readings, strict=True)
    }
    problems = {
        photo.digest: what_does_not_fit(photo, reading)
        for photo, reading in zip(photos, readings, strict=True)
        if reading.labels is None
    }
    page = correction_page(photos, as_read, corrections, problems)
    digits = [] if problems else cut_digits(photos, readings, args.size)
    try:
        if problems:
            go_on = how_to_go_on_without(len(problems), len(photos))
            raise DataError("\n".join([*problems.values(), *([go_on] if go_on else [])]))
        drawn = draw_parts([digit.label for digit in digits], args.counts, args.seed)
    except DataError as err:
        *shown, to_mend = map(str, write_refused(args.out, sheets, page))
        raise DataError(
            f"{err}\nNothing was written but what was found: {', '.join(shown)}\n"
            f"To put it right by hand, open {to_mend} in a browser; it saves {CORRECTIONS}, which "
            "--corrections reads"
        ) from err
    record = _record(args, photos, readings, corrections)
    write_data_set(
        args.out, digits, drawn, sheets, page, record, kept, keep_originals=args.keep_originals
    )
    for photo, reading in zip(photos, as_read, strict=True):
        for note in idle_drops(reading, photo, corrections.get(photo.digest)):
            print(note)
    _print_summary(args, photos, readings, corrections, digits, drawn)
    return None


def _joined(argv: Sequence[str]) -> list[str]:
    """`--labels -012` as `--labels=-012`: a row to skip may come first, and is no option."""
    words = list(argv)
    for i in reversed(range(len(words) - 1)):
        if words[i] == "--labels" and re.fullmatch(r"-+[^-\s]\S*|-+", words[i + 1]):
            is_option = re.match("--[a-z]+(-[a-z]+)?(=|$)", words[i + 1])
            if not is_option:
                words[i : i + 2] = [f"--labels={words[i + 1]}"]
    return words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m datasets.sheet",
        description="Cut photographed sheets of handwritten digits into a data set.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", nargs="+", type=to_path, metavar="PHOTO", help="image files")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--labels", metavar="TEXT", help="one character for each row, from the top; - skips a row"
    )
    given.add_argument(
        "--label", metavar="C", help="all digits are of this class; 'name': the photo's name says"
    )
    given.add_argument("--labels-file", type=to_path, metavar="FILE", help="labels of each photo")
    parser.add_argument(
        "--by", choices=("row", "column"), default="row", help="what --labels counts (row)"
    )
    parser.add_argument(
        "--corrections",
        type=to_path,
        metavar="FILE",
        help="what a person put right, as the page beside the contact sheets saves it",
    )
    parser.add_argument(
        "--per-row",
        type=_per_row,
        metavar="N",
        help="digits that each row (column) holds: what else stands in it is left out or listed",
    )
    parser.add_argument(
        "--counts",
        type=_counts,
        default=(8, 2, 2),
        metavar="TRAIN/VALIDATION/TEST",
        help="digits of each class in each part (8/2/2)",
    )
    parser.add_argument("--seed", type=_natural, default=0, help="of the draw into parts (0)")
    parser.add_argument(
        "--keep-originals", action="store_true", help="also keep each digit as photographed"
    )
    parser.add_argument(
        "--size", type=_image_side, default=28, metavar="N", help="images are N×N pixels (28)"
    )
    parser.add_argument(
        "--out",
        type=to_path,
        required=True,
        metavar="DIR",
        help="a new folder; one that this command wrote before is replaced",
    )
    return parser


def _counts(text: str) -> tuple[int, int, int]:
    parts = text.split("/")
    if len(parts) != 3 or not all(map(_NATURAL.fullmatch, parts)) or int(parts[0]) < 1:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not three whole numbers such as 8/2/2, the first at least 1"
        )
    return int(parts[0]), int(parts[1]), int(parts[2])


def _per_row(text: str) -> int:
    try:
        return whole_number(text, "--per-row")
    except DataError as err:
        raise argparse.ArgumentTypeError(str(err).removeprefix("--per-row: ")) from err


def _natural(text: str) -> int:
    if not _NATURAL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number, 0 or more")
    return int(text)


def _image_side(text: str) -> int:
    if not _NATURAL.fullmatch(text) or not 8 <= int(text) <= 512:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 8 to 512")
    return int(text)


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


def _record(
    args: argparse.Namespace,
    photos: Sequence[Photo],
    readings: Sequence[Reading],
    corrections: Mapping[str, Correction],
) -> dict[str, object]:
    return {
        "written_by": "python -m datasets.sheet",
        "counts": list(args.counts),
        "seed": args.seed,
        "size": args.size,
        "photos": [
            record(photo, reading, corrections.get(photo.digest))
            for photo, reading in zip(photos, readings, strict=True)
        ],
    }


def _print_summary(
    args: argparse.Namespace,
    photos: Sequence[Photo],
    readings: Sequence[Reading],
    corrections: Mapping[str, Correction],
    digits: Sequence[Digit],
    drawn: Drawn,
) -> None:
    from datasets.sheet.write import PAGE

    to_check = [remarks(photo, reading) for photo, reading in zip(photos, readings, strict=True)]
    for photo, reading, lines in zip(photos, readings, to_check, strict=True):
        print(summary(photo, reading, corrections.get(photo.digest)), *lines, sep="\n")
    if any(to_check):
        print(f"what is wrong can be put right by hand: open {args.out / PAGE} in a browser")
    for part, chosen in drawn.parts.items():
        print(f"{part}: {len(chosen)} images")
    left = Counter(digits[i].label for i in drawn.left_over)
    by_class = ", ".join(f"{label}: {left[label]}" for label in sorted(left))
    print(f"left over: {len(drawn.left_over)}" + (f" (class {by_class})" if left else ""))
    print(f"written to {args.out}")


if __name__ == "__main__":
    run_command(main)
