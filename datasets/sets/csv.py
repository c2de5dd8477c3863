"""Anybody's table: a CSV file with a label and the pixels of one image on each line.

`{name: csv, path: FILE}` reads lines such as MNIST's CSV exports have: the label first, or in a
column called `label`, `class`, `target` or `y`, then one value a pixel, row by row. Fields may
stand in double quotes, but hold no commas.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from pydantic import Field

from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.files.arrays import images_to_uint8, labels_to_classes
from datasets.files.cache import cached
from datasets.locations import user_path
from datasets.preprocess import shape_images
from headstart.errors import DataError

VERSION = 1
_LABEL_COLUMNS = ("label", "class", "target", "y")
INFO = DatasetInfo(suffixes=(".csv",))


class Options(DatasetOptions):
    """Where the table is, and what it cannot say itself.

    Attributes:
        path: the CSV file.
        test_path: a second one, with the images of the test part.
        shape: (height, width) or (height, width, 3); default: a square in one channel.
        class_names: of the labels 0, 1, …, or the texts that occur; default: what occurs.
        value_range: (black, white), for pixels in a range that is not recognised.
    """

    path: Path
    test_path: Path | None = None
    shape: tuple[int, int] | tuple[int, int, int] | None = None
    class_names: tuple[str, ...] | None = Field(default=None, min_length=2)
    value_range: tuple[float, float] | None = None


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The table, and that of the test part where there is one."""
    paths = [options.path] if options.test_path is None else [options.path, options.test_path]
    return tuple(user_path(path, request.data_dir) for path in paths)


def load(options: Options, request: Request) -> Dataset:
    """One image a line; with `test_path`, the parts are the two files."""
    paths = locate(options, request)
    return cached("csv", VERSION, options, request, paths, lambda: _decode(paths, options, request))


def read_table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels, text (N,), and pixel values, float32 (N, pixels), of one file.

    Raises:
        DataError: no lines, a line with more or fewer fields than the first, a pixel that is no
            number; names the line.
    """
    lines = _lines(path)
    label_column, n_header = _header(lines[0][1])
    rows = lines[n_header:]
    if not rows:
        raise DataError(f"{path}: no images, only a header")
    n_fields = rows[0][1].count(",") + 1
    for number, line in rows:
        if line.count(",") + 1 != n_fields:
            raise DataError(
                f"{path}:{number}: {line.count(',') + 1} fields, the first image has {n_fields}; "
                "each line needs one label and all pixels"
            )
    labels = np.array([line.split(",", label_column + 1)[label_column].strip() for _, line in rows])
    columns = [column for column in range(n_fields) if column != label_column]
    try:
        pixels = np.loadtxt(
            (line for _, line in rows), np.float32, delimiter=",", usecols=columns, ndmin=2
        )
    except ValueError:
        raise DataError(_first_bad_pixel(path, rows, columns)) from None
    return labels, pixels


def _lines(path: Path) -> list[tuple[int, str]]:
    """(line number, text) of all lines that are not blank, quotes taken off."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(f"{path}: cannot be read as text: {err}") from err
    lines = [
        (number, line.replace('"', ""))
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    ]
    if not lines:
        raise DataError(f"{path}: empty")
    if "," not in lines[0][1]:
        raise DataError(f"{path}:{lines[0][0]}: no commas; a label and pixels, parted by commas")
    return lines


def _header(first: str) -> tuple[int, int]:
    """Which column is the label, and whether the first line is a header (1) or an image (0)."""
    fields = [field.strip().lower() for field in first.split(",")]
    named = [column for column, field in enumerate(fields) if field in _LABEL_COLUMNS]
    if named:
        return named[0], 1
    has_words = any(not _is_number(field) for field in fields[1:])
    return 0, int(has_words)


def _is_number(field: str) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def _first_bad_pixel(path: Path, rows: list[tuple[int, str]], columns: list[int]) -> str:
    for number, line in rows:
        fields = line.split(",")
        for column in columns:
            if not _is_number(fields[column]):
                return f"{path}:{number}: field {column + 1} is '{fields[column]}', not a number"
    return f"{path}: some pixels cannot be read as numbers"


def _decode(paths: tuple[Path, ...], options: Options, request: Request) -> Dataset:
    tables = [read_table(path) for path in paths]
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
