"""Anybody's table: a CSV file with a label and the pixels of one image on each line.

`{name: csv, path: FILE}` reads lines such as MNIST's CSV exports have: the label first, or in a
column called `label`, `class`, `target` or `y`, then one value a pixel, row by row. Commas,
semicolons or tabs separate the fields, which may stand in double quotes; a `.gz` file is unpacked.
Python's csv module splits the lines and numpy reads the numbers. On the 785 columns of an MNIST
table the readers of pandas and pyarrow take 1.6 times as long and more memory, and name no line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from pydantic import field_validator

from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.files.arrays import images_to_uint8
from datasets.files.cache import cached
from datasets.files.classes import NamesSetting, labels_to_classes, names_key
from datasets.files.tables import decode, read_bytes, rows
from datasets.locations import user_path
from datasets.preprocess import shape_images
from headstart.errors import DataError
from headstart.settings import key

VERSION = 1
_BETWEEN = "\x1f"  # the unit separator: no field holds it
_LABEL_COLUMNS = ("label", "class", "target", "y")
INFO = DatasetInfo(suffixes=(".csv", ".csv.gz", ".tsv", ".tsv.gz"))


class Options(DatasetOptions):
    """Where the table is, and what it cannot say itself."""

    path: Path = key("The CSV file.", example="my/digits.csv")
    test_path: Path | None = key("A second one, with the images of the test part.", None,
        example="my/test.csv")  # fmt: skip
    shape: tuple[int, int] | tuple[int, int, int] | None = key("[height, width] or [height, "
        "width, 3]; without it, a square in one channel.", None, example=[28, 28],
        unit="pixels")  # fmt: skip
    class_names: NamesSetting = names_key()
    value_range: tuple[float, float] | None = key("[black, white], for pixels in a range that is "
        "not recognised.", None, example=[0, 1023], unit="pixel values")  # fmt: skip
    encoding: str = key("Of the text, where it does not begin with a byte order mark.", "utf-8",
        example="cp1252")  # fmt: skip

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            str(b"0", encoding)  # also refuses what is no encoding of text, as zip is
        except (LookupError, ValueError) as err:
            raise ValueError("no encoding that Python knows, such as utf-8 or cp1252") from err
        return encoding


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The table, and that of the test part where there is one."""
    paths = [options.path] if options.test_path is None else [options.path, options.test_path]
    return tuple(user_path(path, request.data_dir) for path in paths)


def load(options: Options, request: Request) -> Dataset:
    """One image a line; with `test_path`, the parts are the two files."""
    paths = locate(options, request)
    return cached("csv", VERSION, options, request, paths, lambda: _decode(paths, options, request))


def read_table(path: Path, encoding: str = "utf-8") -> tuple[np.ndarray, np.ndarray]:
    """Labels, text (N,), and pixel values, float32 (N, pixels), of one file.

    Raises:
        DataError: no lines, a line with more or fewer fields than the first, a pixel that is no
            number; names the line.
    """
    text = decode(read_bytes(path), str(path), encoding)
    first = _first_lines(text, path)
    labels: list[str] = []
    line, pixels = 0, [""]

    def lines_of_pixels() -> Iterator[str]:
        nonlocal line, pixels
        for line, pixels in rows(text, str(path)):
            if line <= first.n_skipped:
                continue
            if len(pixels) != first.n_fields:
                raise DataError(
                    f"{path}:{line}: {len(pixels)} fields, the first image has {first.n_fields}; "
                    "each line needs one label and all pixels"
                )
            labels.append(pixels.pop(first.label_column).strip())
            yield _BETWEEN.join(pixels)

    try:
        values = np.loadtxt(
            lines_of_pixels(), np.float32, delimiter=_BETWEEN, comments=None, ndmin=2
        )
    except ValueError:  # of the line that was read last
        column = next((c for c, pixel in enumerate(pixels) if not _is_number(pixel)), 0)
        field = column + 1 + (column >= first.label_column)
        raise DataError(
            f"{path}:{line}: field {field} is '{pixels[column].strip()}', not a number"
        ) from None
    return np.array(labels), values


@dataclass(frozen=True)
class _FirstLines:
    """What the first lines say: how many come before the images, and what an image's line has."""

    n_skipped: int
    label_column: int
    n_fields: int


def _first_lines(text: str, path: Path) -> _FirstLines:
    """Raises DataError: no lines, no images, or nothing that separates fields."""
    lines = list(islice(rows(text, str(path)), 2))
    if not lines:
        raise DataError(f"{path}: empty")
    line, fields = lines[0]
    if len(fields) == 1:
        raise DataError(
            f"{path}:{line}: one field; a label and pixels, separated by commas, semicolons or tabs"
        )
    named = [column for column, name in enumerate(fields) if name.strip().lower() in _LABEL_COLUMNS]
    if not named and all(_is_number(field) for field in fields[1:]):
        return _FirstLines(line - 1, 0, len(fields))
    if len(lines) < 2:
        raise DataError(f"{path}: no images, only a header")
    line_of_image, first_image = lines[1]
    label_column = named[0] if named else 0
    if len(first_image) < 2 or label_column >= len(first_image):
        raise DataError(f"{path}:{line_of_image}: a label and no pixels")
    return _FirstLines(line, label_column, len(first_image))


def _is_number(field: str) -> bool:
    try:
        return math.isfinite(float(field)) and "_" not in field
    except ValueError:
        return False


def _decode(paths: tuple[Path, ...], options: Options, request: Request) -> Dataset:
    tables = [read_table(path, options.encoding) for path in paths]
    where = str(paths[0])
    if len({pixels.shape[1] for _, pixels in tables}) > 1:
        raise DataError(
            f"{paths[1]}: {tables[1][1].shape[1]} pixels an image, {paths[0].name} has "
            f"{tables[0][1].shape[1]}"
        )
    pixels = np.concatenate([pixels for _, pixels in tables])
    images, range_note = images_to_uint8(
        _unfolded(pixels, options, where), where, options.value_range
    )
    labels, names, _ = labels_to_classes(
        _as_numbers(np.concatenate([labels for labels, _ in tables])), where, options.class_names
    )
    n_train = len(tables[0][0])
    parts = {"train": np.arange(n_train), "test": np.arange(n_train, len(labels))}
    return build_dataset(
        "csv",
        shape_images(images, request.image_size, request.channels),
        labels,
        names,
        source=where,
        parts=parts if len(tables) == 2 else {},
        notes=[range_note],
    )


def _unfolded(pixels: np.ndarray, options: Options, where: str) -> np.ndarray:
    """(N, pixels) as (N, H, W, C)."""
    n_pixels = pixels.shape[1]
    side = math.isqrt(n_pixels)
    shape = options.shape or (side, side)
    if math.prod(shape) != n_pixels or (len(shape) == 3 and shape[2] not in (1, 3)):
        raise DataError(
            f"{where}: {n_pixels} pixels an image are not {' × '.join(map(str, shape))}; say "
            "shape: [HEIGHT, WIDTH] or [HEIGHT, WIDTH, 3]"
        )
    return pixels.reshape(-1, *shape[:2], shape[2] if len(shape) == 3 else 1)


def _as_numbers(labels: np.ndarray) -> np.ndarray:
    """The labels as numbers where all of them are, else as they are."""
    try:
        return labels.astype(np.float64)
    except ValueError:
        return labels
