"""Anybody's table: a CSV file with a label and the pixels of one image on each line.

`{name: csv, path: FILE}` reads lines such as MNIST's CSV exports have: a label, in a column that is
called so or that is found by its content, and one value a pixel, row by row. Commas, semicolons,
tabs or blanks separate the fields, which may stand in double quotes; a `.gz` or `.zip` file is
unpacked. The notes say which column was taken for the label. A table that names images in its own
folder is read as `folder` reads it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, field_validator

from datasets.arrays.classes import NamesSetting, labels_to_classes, names_key
from datasets.arrays.pixels import ShapeSetting, images_to_nhwc, images_to_uint8, shape_key
from datasets.base import PART_NAMES, Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.cache.cached import cached
from datasets.labels.offered import column_of_images
from datasets.locations import user_paths
from datasets.preprocess import shape_for
from datasets.sets import folder
from datasets.tables.header import Column
from datasets.tables.pixel_columns import Wanted
from datasets.tables.pixel_table import PixelTable, read_labels, read_table
from headstart.errors import DataError
from headstart.settings import AsTuple, key

VERSION = 2
_SAID_OF_IMAGES = {"path", "label_column", "part_column", "group", "class_names", "encoding",
    "value_range", "corrupt_labels", "target"}  # fmt: skip
INFO = DatasetInfo(suffixes=(".csv", ".csv.gz", ".csv.zip", ".tsv", ".tsv.gz", ".tsv.zip"))


def _checked_column(given: object) -> object:
    if isinstance(given, bool) or not isinstance(given, (int, str)):
        raise ValueError("the name of a column, or its number from 1 (-1 is the last)")
    return given


ColumnSetting = Annotated[Column, BeforeValidator(_checked_column)]


class Options(DatasetOptions):
    """Where the table is, and what it cannot say itself."""

    path: Path = key("The CSV file.", example="my/digits.csv")
    test_path: Path | None = key("A second one, with the images of the test part.", None,
        example="my/test.csv")  # fmt: skip
    labels_path: Path | None = key("A table with the labels alone, where `path` holds none.", None,
        example="my/labels.csv")  # fmt: skip
    test_labels_path: Path | None = key("The same for the test part.", None,
        example="my/test-labels.csv")  # fmt: skip
    header: bool | None = key("Whether the first line names the columns; without it, by its "
        "content.", None, example=False)  # fmt: skip
    label_column: ColumnSetting | None = key("The column of labels, by its name or its number (1 "
        "is the first, -1 the last); without it, the one that is called so, or whose values are "
        "no pixels.", None, example="digit")  # fmt: skip
    ignore_columns: Annotated[tuple[ColumnSetting, ...], AsTuple] = key("Columns that are neither "
        "labels nor pixels, by name or number.", (), example=["id", "writer"])  # fmt: skip
    part_column: ColumnSetting | None = key("The column of parts (train, validation, test); "
        "without it, the one that holds these words.", None, example="Usage")  # fmt: skip
    group: ColumnSetting | None = key("The column of groups: the images of one writer, patient or "
        "scene go to one part together.", None, example="writer")  # fmt: skip
    shape: ShapeSetting = shape_key()
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

    @property
    def wanted(self) -> Wanted:
        """What is said of the columns."""
        has_label = self.labels_path is None
        return Wanted(
            self.header, self.label_column if has_label else None, self.part_column, self.group,
            self.ignore_columns, None if self.shape is None else int(np.prod(self.shape)),
            has_label,
        )  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The table, that of the test part, and those of labels, where they are named."""
    given = (options.path, options.test_path, options.labels_path, options.test_labels_path)
    return user_paths(given, request.data_dir)


def load(options: Options, request: Request) -> Dataset:
    """One image a line; with `test_path`, the parts are the two files."""
    paths = locate(options, request)
    try:
        return cached(
            "csv", VERSION, options, request, paths, lambda asked: _decode(paths, options, asked)
        )
    except DataError as err:
        column = column_of_images(paths[0])
        if not column:
            raise
        return _read_as_images(paths[0], column, options, request, err)


def _read_as_images(
    path: Path, column: str, options: Options, request: Request, error: DataError
) -> Dataset:
    """The images that a table names, with its labels; `error`: why it is no table of pixels.

    Raises:
        DataError: more is said of pixels than is known of images; the entry is shown.
    """
    entry = f"data: {{name: folder, path: {path.parent}, labels: {path.name}}}"
    said = f"{path}: its column '{column}' names images in {path.parent}"
    defaults = {name: each.default for name, each in Options.model_fields.items()}
    given = {name: value for name, value in options if value != defaults[name]}
    if given.keys() - _SAID_OF_IMAGES:
        raise DataError(f"{said}, and it holds no pixels; say {entry}") from error
    as_images = {**given, "path": path.parent, "labels": path.name}
    try:
        images = folder.load(folder.Options.model_validate(as_images), request)
    except DataError as err:
        raise DataError(f"{err}; it was read as {entry}") from err
    return replace(images, notes=(f"{said}; read as {entry}", *images.notes))


def _decode(paths: tuple[Path, ...], options: Options, request: Request) -> Dataset:
    n_tables = 1 if options.test_path is None else 2
    label_paths = paths[n_tables:]
    if label_paths and len(label_paths) != n_tables:
        raise DataError(
            f"{paths[0]}: labels_path and test_labels_path: give one for each table of images"
        )
    tables = [read_table(paths[0], options.encoding, options.wanted)]
    tables += [_read_second(path, tables[0], paths[0], options) for path in paths[1:n_tables]]
    for k, path in enumerate(label_paths):
        labels = read_labels(path, options.encoding, options.label_column)
        if len(labels) != len(tables[k].pixels):
            raise DataError(
                f"{path}: {len(labels)} labels for the {len(tables[k].pixels)} images of "
                f"{paths[k].name}"
            )
        tables[k] = replace(tables[k], labels=labels)
    where = str(paths[0])
    pixels = np.concatenate([table.pixels for table in tables])
    try:
        shaped = images_to_nhwc(pixels, where, options.shape)
    except DataError as err:
        took = "; ".join(tables[0].columns.notes[:1]) or "no column is a label"
        raise DataError(f"{err}; {took}, and ignore_columns leaves out more") from err
    images, range_note = images_to_uint8(shaped, where, options.value_range)
    given = np.concatenate([table.labels for table in tables])
    labels, names, label_note = labels_to_classes(
        given if options.target is not None else _as_numbers(given),
        where,
        options.class_names or tables[0].class_names,
    )
    return build_dataset(
        "csv",
        shape_for(images, request),
        labels,
        names,
        source=where,
        parts=_parts(tables),
        notes=[note for note in (*tables[0].columns.notes, range_note, label_note) if note],
        groups=[group for table in tables for group in table.groups] or None,
        target=options.target,
    )


def _read_second(path: Path, first: PixelTable, first_path: Path, options: Options) -> PixelTable:
    """The test part's table, which is read as the first one was.

    Raises:
        DataError: it has no labels, or other columns.
    """
    columns = first.columns
    try:
        table = read_table(path, options.encoding, columns.as_wanted(options.wanted))
    except DataError as err:
        labels = "; the images of a test part need labels" if "is no column" in str(err) else ""
        raise DataError(f"{err}{labels}") from err
    if table.columns.pixel_names != columns.pixel_names and set(table.columns.pixel_names) == set(
        columns.pixel_names
    ):
        raise DataError(f"{path}: its columns are in another order than those of {first_path.name}")
    if table.pixels.shape[1] != first.pixels.shape[1]:
        raise DataError(
            f"{path}: {table.pixels.shape[1]} pixels an image, {first_path.name} has "
            f"{first.pixels.shape[1]}"
        )
    if table.labels.shape[1:] != first.labels.shape[1:]:
        raise DataError(f"{path}: its labels are of another kind than those of {first_path.name}")
    return table


def _parts(tables: list[PixelTable]) -> dict[str, np.ndarray]:
    """The indices of each part: the files', where there are two, else those that the table says."""
    n_train = len(tables[0].labels)
    if len(tables) == 2:
        n_all = n_train + len(tables[1].labels)
        return {"train": np.arange(n_train), "test": np.arange(n_train, n_all)}
    said = np.array(tables[0].parts)
    parts = {part: np.flatnonzero(said == part) for part in PART_NAMES if part in tables[0].parts}
    return parts if "train" in parts else {}


def _as_numbers(labels: np.ndarray) -> np.ndarray:
    """The labels as numbers where all of them are, else as they are."""
    try:
        return labels.astype(np.float64)
    except ValueError:
        return labels
