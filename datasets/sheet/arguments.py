"""The command line of `python -m datasets.sheet`: words → checked values.

In: the words after the command. Out: a namespace in which every number is a number in its range. It
stands alone because it is the one place that knows how options are written.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from datasets.sheet.labels import whole_number
from headstart.cli import to_path
from headstart.errors import DataError

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


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of a call; a mistake is said in one line, and the command ends with status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.sheet",
        description="Cut photographed sheets of handwritten digits into a data set.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", nargs="+", type=to_path, metavar="PHOTO", help="image files")
    _add_labels(parser)
    _add_output(parser)
    return parser.parse_args(_joined(argv))


def _add_labels(parser: argparse.ArgumentParser) -> None:
    """What is written on the photographs."""
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


def _add_output(parser: argparse.ArgumentParser) -> None:
    """What becomes of the digits."""
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


def _joined(argv: Sequence[str]) -> list[str]:
    """`--labels -012` as `--labels=-012`: a row to skip may come first, and is no option."""
    words = list(argv)
    for i in reversed(range(len(words) - 1)):
        if words[i] == "--labels" and re.fullmatch(r"-+[^-\s]\S*|-+", words[i + 1]):
            is_option = re.match("--[a-z]+(-[a-z]+)?(=|$)", words[i + 1])
            if not is_option:
                words[i : i + 2] = [f"--labels={words[i + 1]}"]
    return words


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
