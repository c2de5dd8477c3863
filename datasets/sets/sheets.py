"""Digits from photographs of sheets, as a data set of their own: cut, labelled, never copied.

In: `photos`, which names photographs and says what is written on each, as the labels file of
`datasets.sheet` does. Out: every digit on them, as MNIST shows digits, with no parts of its own, so
that each seed may draw its own split. `python -m datasets.sheet` cuts the same digits into folders,
and reads the same `corrections`.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.cache.cached import cached
from datasets.locations import user_path
from datasets.preprocess import shape_images
from datasets.sheet.hand.corrections import Correction, read_corrections
from datasets.sheet.labels import FROM_NAME, HELP, Labels, class_in_name, parse_labels
from datasets.sheet.paper.pages import file_of, open_pictures
from datasets.sheet.photos import Photo, as_rgb, cut_digits, how_to_go_on_without, what_does_not_fit
from headstart.errors import DataError, DataNotFoundError
from headstart.files import safe_name
from headstart.settings import key

if TYPE_CHECKING:
    from datasets.sheet.reading.read import Reading

VERSION = 3
OWN_SIZE = (28, 28)
_WILD = "*?["
_JPEG_QUALITY = 85  # of a contact sheet
_SHOWN = 3  # names of a folder that a message has
_PUT = (
    "put them there, or give their paths (from the working folder or the data folder) "
    "as photos: {sheet.jpg: '1234567890', 'threes/*.jpg': '3'}"
)
INFO = DatasetInfo(is_ink=True, preprocess="mnist_style")


class Options(DatasetOptions):
    """Which photographs, and what is on them."""

    photos: Mapping[str, str | int | Mapping[str, object]] = key("Path, or pattern such as "
        "`my/*.jpg`, → labels: one character is the class of all digits; several are one for each "
        "row, `-` for a row to skip; a mapping has one of rows, columns, class, text, and per_row "
        "(digits of each row); `name`: the photo's name ends in its class; `scan.pdf#2` is a page.",
        example={"my/*.jpg": "name"}, min_length=1)  # fmt: skip
    corrections: str | None = key("A file that says which boxes on the photographs are no digits, "
        "and where digits are, as the page saves it that `python -m datasets.sheet` writes.", None,
        example="my/corrections.yaml")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The photographs, and the file of corrections where there is one.

    Raises:
        DataNotFoundError: nothing of what is named is there.
        DataError: a part of it is there, and a part is not, such as the file of corrections.
    """
    photos = dict.fromkeys(file_of(path) for path, _ in _photos(options, request))
    return (*photos, *_corrections(options, request))


def load(options: Options, request: Request) -> Dataset:
    """All digits of all photographs, class by class in the order of the characters.

    Raises:
        DataError: photographs do not fit their labels: a line for each says which row has how many
            digits; a correction is wrong: names its line.
    """
    photos = list(_photos(options, request))
    sources = [*dict.fromkeys(file_of(path) for path, _ in photos), *_corrections(options, request)]
    dataset = cached(
        "sheets", VERSION, options, request, sources, lambda asked: _decode(photos, options, asked)
    )
    overlooked = _overlooked(options, request, {path for path, _ in photos})
    return replace(dataset, warnings=(*dataset.warnings, *overlooked))


def _overlooked(options: Options, request: Request, taken: Set[Path]) -> Iterator[str]:
    """Files that a pattern would mean but for a dot before their name, or for capital letters.

    macOS lays `._NAME` beside each file that it copies; these hold no picture.
    """
    for name in options.photos:
        pattern = Path(name).name
        if not any(sign in pattern for sign in _WILD):
            continue
        folder = user_path(Path(name).parent, request.data_dir)
        left_out = [
            each
            for each in _files_in(folder, with_hidden=True)
            if folder / each not in taken
            and not each.startswith("._")
            and fnmatch.fnmatchcase(each.lstrip(".").lower(), pattern.lower())
        ]
        if left_out:
            n, shown = len(left_out), ", ".join(left_out[:_SHOWN])
            yield (
                f"photos: {name}: {n} file{'s' * (n > 1)} left out: {shown}"
                f"{', …' if n > _SHOWN else ''} (a dot before a name hides a file, and capital "
                "letters count); rename what belongs to the data"
            )


def _corrections(options: Options, request: Request) -> tuple[Path, ...]:
    """The file of corrections, or nothing; no other data set stands in where it is not there."""
    if options.corrections is None:
        return ()
    try:
        return (user_path(Path(options.corrections), request.data_dir),)
    except DataNotFoundError as err:
        raise DataError(f"corrections: {err}") from err


def _photos(options: Options, request: Request) -> Iterator[tuple[Path, Labels]]:
    """Each photograph and what is written on it, in the order of the options, patterns sorted."""
    seen: set[Path] = set()
    for name, paths in _named(options, request).items():
        for path in paths:
            if path in seen:
                raise DataError(f"photos: {name}: {path} is given twice")
            seen.add(path)
            yield path, _labels(options.photos[name], path, f"photos: {name}")


def _named(options: Options, request: Request) -> dict[str, list[Path]]:
    """The photographs that each name or pattern means; none of these is without one."""
    paths: dict[str, list[Path]] = {}
    missing = []
    for name in options.photos:
        try:
            paths[name] = _matching(name, request)
        except DataNotFoundError as err:
            missing.append(str(err))
    if not missing:
        return paths
    looked = f"looked in the working folder and in {request.data_dir}"
    text = f"{'; '.join(missing)}; {_PUT}"
    if paths:
        there = f"{next(iter(paths))} is there"
        raise DataError(f"data set 'sheets': photos: {there}, but {text} ({looked})")
    raise DataNotFoundError(f"data set 'sheets': photos: {text} ({looked})", text, is_named=True)


def _matching(name: str, request: Request) -> list[Path]:
    path = Path(name)
    is_pattern = any(sign in path.name for sign in _WILD)
    try:
        file = file_of(path)
        place = user_path(path.parent if is_pattern else file, request.data_dir)
    except DataNotFoundError as err:
        raise DataNotFoundError(f"{name} is missing") from err
    if not is_pattern:
        if place.is_dir():
            raise DataError(f"photos: {name}: is a folder; name what is in it: '{name}/*.jpg'")
        return [place if file == path else place.with_name(path.name)]
    files = _files_in(place)
    names = fnmatch.filter(files, path.name)
    if not names:
        raise DataNotFoundError(f"no file is named as {name} says{_instead(place, files)}")
    return [place / each for each in names]


def _files_in(folder: Path, with_hidden: bool = False) -> list[str]:
    """The names of its files, sorted; those that systems hide, where they are asked for."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.is_dir())
            return [name for name in names if with_hidden or not name.startswith(".")]
    except OSError as err:
        raise DataError(f"photos: {folder}: cannot be looked at: {err.strerror}") from err


def _instead(folder: Path, files: list[str]) -> str:
    """What is there, where a pattern means none of it."""
    more = ", …" if len(files) > _SHOWN else ""
    return f" ({folder} holds {', '.join(files[:_SHOWN]) or 'no files'}{more})"


def _labels(value: str | int | Mapping[str, object], path: Path, where: str) -> Labels:
    if isinstance(value, int):
        if not 0 <= value <= 9:
            raise DataError(f"{where}: write {value} in quotes: 0123 is a row of labels, not 123")
        value = str(value)
    if value == FROM_NAME:
        return class_in_name(path)
    return parse_labels(dict(value) if isinstance(value, Mapping) else value, f"{where}; {HELP}")


def _decode(photos: list[tuple[Path, Labels]], options: Options, request: Request) -> Dataset:
    from datasets.sheet.hand.by_hand import corrected
    from datasets.sheet.hand.fates import idle_drops
    from datasets.sheet.reading.read import read_sheet
    from datasets.sheet.remarks import remarks, summary

    pictures = _pictures(photos)
    corrections: Mapping[str, Correction] = {}
    said_in = _corrections(options, request)
    for file in said_in:
        corrections = read_corrections(file, pictures)
    readings, notes, counts, refused = [], [], [], []
    for picture in pictures:
        correction = corrections.get(picture.digest)
        as_read = read_sheet(picture.image, picture.labels)
        named = replace(picture, path=_plain(picture.path, request))
        for note in idle_drops(as_read, named, correction):
            notes += [note.replace(str(file), str(_plain(file, request))) for file in said_in]
        reading = corrected(as_read, picture, correction)
        if reading.labels is None:
            refused.append(
                f"{what_does_not_fit(picture, reading)} (python -m datasets.sheet shows what was "
                "found on it, with a page to put it right for `corrections`)"
            )
        else:
            notes += remarks(named, reading)
            counts.append(summary(named, reading, correction))
        readings.append(reading)
    if refused:
        go_on = how_to_go_on_without(len(refused), len(pictures))
        raise DataError("\n".join([*refused, *([go_on] if go_on else [])]))
    size = request.image_size or OWN_SIZE
    digits = cut_digits(pictures, readings, max(size))
    digits.sort(key=lambda digit: digit.label)  # stable: photo, row and place stay in order
    names = tuple(dict.fromkeys(digit.label for digit in digits))
    return build_dataset(
        "sheets",
        shape_images(np.stack([digit.image for digit in digits]), size, request.channels),
        np.array([names.index(digit.label) for digit in digits]),
        names,
        source=", ".join(options.photos),
        notes=[*notes, *counts],
        pictures=_contact_sheets(pictures, readings),
    )


def _plain(path: Path, request: Request) -> Path:
    """A photograph's path for a report: without the folders that only this machine has."""
    if path.is_relative_to(request.data_dir):
        return path.relative_to(request.data_dir)
    return Path(path.name) if path.is_absolute() else path


def _contact_sheets(photos: list[Photo], readings: list[Reading]) -> dict[str, bytes]:
    """A JPEG file for each photograph, with a box around every digit that was cut."""
    import cv2

    from datasets.sheet.contact import contact_sheet

    files = {}
    for number, (photo, reading) in enumerate(zip(photos, readings, strict=True), 1):
        sheet = contact_sheet(photo.image, reading, photo.noun)[..., ::-1]  # BGR
        _, encoded = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        files[f"{number:02d}-{photo.name}.jpg"] = encoded.tobytes()
    return files


def _pictures(photos: list[tuple[Path, Labels]]) -> list[Photo]:
    """The photographs, decoded: of a PDF file one a page; the same one twice is refused."""
    opened = open_pictures([path for path, _ in photos])
    return [
        Photo(page.path, safe_name(page.path.stem, 60), as_rgb(page.image), labels, page.digest)
        for pages, (_, labels) in zip(opened, photos, strict=True)
        for page in pages
    ]
