"""A data set as one flat table: a label and the 784 pixels of a 28×28 image on each line.

In: a data set in gray at 28×28. Out: a CSV file as MNIST's exports have it, which
`{name: csv, path: FILE}` and many tutorials read. It stands alone because describing a set and
writing it are two things that one command offers.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from datasets.base import Dataset
from headstart.cli import path_error
from headstart.errors import InputError
from headstart.files import atomic_file

SIDE = 28  # pixels
CHUNK = 1_000  # images that are turned into text at once


def check_path(path: Path) -> None:
    """Refuse a name under which the file could not be read again, before anything is read.

    Raises:
        InputError: it does not end in .csv, is a folder, or would lie in none.
    """
    if path.suffix.lower() != ".csv":
        raise InputError(f"--csv {path}: give a file whose name ends in .csv")
    if path.is_dir():
        raise InputError(f"--csv {path}: is a folder; give a file in it")
    if not path.parent.is_dir():
        raise InputError(f"--csv {path}: there is no folder {path.parent}")


def write_flat_csv(dataset: Dataset, path: Path) -> None:
    """Write the images uint8 (N, 1, 28, 28) in the set's order: label, part, pixel0 … pixel783.

    The column `part` is there where the set has parts; an image of none has an empty field.

    Raises:
        InputError: the file cannot be written.
    """
    parts = np.full(len(dataset.labels), "", object)
    for name, indices in dataset.parts.items():
        parts[indices] = name
    header = ["label", *(["part"] if dataset.parts else [])]
    try:
        with atomic_file(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*header, *(f"pixel{k}" for k in range(SIDE * SIDE))])
            for start in range(0, len(parts), CHUNK):
                rows = slice(start, start + CHUNK)
                pixels = np.ascontiguousarray(dataset.images[rows]).reshape(-1, SIDE * SIDE)
                for label, part, row in zip(
                    dataset.labels[rows].tolist(), parts[rows], pixels.tolist(), strict=True
                ):
                    first = [dataset.class_names[label], *([part] if dataset.parts else [])]
                    writer.writerow([*first, *row])
    except OSError as err:
        raise path_error(err, f"--csv {path}: cannot be written: {err.strerror}") from err
