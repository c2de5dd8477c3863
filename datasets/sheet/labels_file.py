"""A labels file → the labels of each photograph.

In: YAML, one `photo: labels` entry for each photograph of the call. Out: one `Labels` for each. It
stands alone because it alone knows how photographs, and pages of them, are named in a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.sheet.labels import HELP, Labels, parse_labels
from headstart.errors import DataError, SpecError, did_you_mean
from headstart.yaml12 import read_yaml


def read_labels_file(path: Path, photos: Sequence[Path]) -> list[Labels]:
    """The labels of each photo, in the order of `photos`.

    The file is YAML, one `photo: labels` entry for each photo; a photo is named by its file name
    or, where two have the same name, by its path as given. `labels` is a string (one character:
    a class; several: one for each row) or a mapping with one of class, rows, columns, text.

    Raises:
        DataError: the file cannot be read, names a photo that was not given, or misses one.
    """
    labels_of: dict[Path, Labels] = {}
    of_pages: dict[Path, Labels] = {}  # of files of several pages; a page's own go first
    for name, (line, value) in _load(path).items():
        where = f"{path}:{line}"
        chosen = [photo for photo in photos if str(photo) == name]
        chosen = chosen or [photo for photo in photos if photo.name == name]
        pages = [] if chosen else _pages_of(name, photos)
        if not chosen and not pages:
            near = did_you_mean(name, dict.fromkeys([p.name for p in photos] + [*map(str, photos)]))
            raise DataError(f"{where}: '{name}' is none of the photos on the command line{near}")
        if len(chosen) > 1:
            raise DataError(f"{where}: '{name}' is the name of {len(chosen)} photos; give its path")
        labels = parse_labels(value, where)
        labels_of |= dict.fromkeys(chosen, labels)
        of_pages |= dict.fromkeys(pages, labels)
    labels_of = of_pages | labels_of
    missing = [str(photo) for photo in photos if photo not in labels_of]
    if missing:
        raise DataError(f"{path}: no labels for {', '.join(missing)}; {HELP}")
    return [labels_of[photo] for photo in photos]


def _pages_of(name: str, photos: Sequence[Path]) -> list[Path]:
    """The pages of a file: `scan.pdf#1`, `scan.pdf#2`."""
    return [photo for photo in photos if name in _without_page(photo)]


def _without_page(photo: Path) -> tuple[str, str]:
    return (re.sub("#[0-9]+$", "", str(photo)), re.sub("#[0-9]+$", "", photo.name))


def _load(path: Path) -> Mapping[str, tuple[int, object]]:
    """name → (line, value); all scalars stay strings, since 0123 is a row of labels, not 83."""
    try:
        root = read_yaml(path, as_words=True)
    except SpecError as err:
        raise DataError(f"{err}; {HELP}") from err
    if not root.value:
        raise DataError(f"{path}: holds no 'photo: labels' lines; {HELP}")
    return {name: (node.where.line, node.plain()) for name, node in root.items()}
