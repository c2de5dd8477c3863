"""Photographs of sheets as a person names them: which files, and what is written on each.

In: texts of a command line (files, patterns, with labels a folder of them) and the labels. Out:
the files, and what a sweep's `photos` says of each. It stands alone because only photographs are
named in these ways.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from datasets.files.image_kinds import is_image_name
from datasets.sheet.labels import FROM_NAME, Labels, class_in_name
from datasets.sheet.labels_file import read_labels_file
from headstart.caches import expanded
from headstart.errors import DataError, InputError

ORDERS = ("1234567890", "0123456789")  # of the rows of a sheet, as people write them


def photos_of(texts: Sequence[str], with_labels: bool) -> list[str]:
    """The photographs that the texts name; none where any of them names something else.

    A folder of pictures counts where labels are given: without, folders are sets with classes.
    """
    photos: list[str] = []
    for text in texts:
        files = _files(text, with_labels)
        if not files or not all(_is_photo(file) for file in files):
            return []
        photos += files
    return list(dict.fromkeys(photos))


def _files(text: str, with_labels: bool) -> list[str]:
    path = expanded(text)
    if path.is_dir() and with_labels:
        return [str(Path(text) / file.name) for file in sorted(path.iterdir()) if _is_photo(file)]
    return [text] if path.exists() else sorted(glob.glob(str(path)))


def _is_photo(file: str | Path) -> bool:
    path = expanded(str(file))
    return path.is_file() and is_image_name(path.name, ("gif", "pdf"))


def labels_to_try(
    photos: Sequence[str], labels: str | None, file: Path | None
) -> list[list[object]]:
    """What may be written on the photographs: an entry of `photos` for each of them, by reading.

    Raises:
        InputError: labels were given twice.
        DataError: the file of labels cannot be read, or misses a photograph.
    """
    if labels and file:
        raise InputError("give --labels or --labels-file, not both")
    if file:
        read = read_labels_file(file, [Path(photo) for photo in photos])
        return [[_as_entry(each) for each in read]]
    orders: Sequence[str] = [labels] if labels else ORDERS
    if not labels and _names_end_in_classes(photos):
        orders = [FROM_NAME]
    return [[order] * len(photos) for order in orders]


def _as_entry(labels: Labels) -> object:
    """Labels as the entry `photos` of a sweep writes them."""
    joined = list(labels.text) if labels.kind == "text" else "".join(labels.text)
    if labels.kind in ("class", "rows") and labels.per_row is None:
        return joined
    counted = {} if labels.per_row is None else {"per_row": labels.per_row}
    return {labels.kind: joined, **counted}


def _names_end_in_classes(photos: Sequence[str]) -> bool:
    try:
        classes = {class_in_name(Path(photo)).text for photo in photos}
    except DataError:
        return False
    return len(classes) > 1
