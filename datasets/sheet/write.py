"""Digits cut from sheets → a data set on disk: three parts, one folder a class.

In: labelled digits and how many of each class go where. Out: a folder that is there whole or not
at all: it is made under a temporary name and renamed.
"""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from headstart.cli import path_error
from headstart.errors import DataError
from headstart.files import (
    atomic_file,
    remove_dead_temporaries,
    sync_folder,
    sync_tree,
    temporary_beside,
    write_json,
)

PARTS = ("Training Set", "Validation Set", "Test Set")
ORIGINALS = "Originals"
RECORD = "sheet.json"  # what was written, from what; its presence makes a folder ours
CORRECTIONS = "corrections.yaml"  # as the page names what it saves
PAGE = "correct.html"
_REFUSED = ("-refused.png", "-refused.html")
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Digit:
    """One digit to be written.

    `name`: file name without its ending, unique. `image`: uint8 (size, size), white on black.
    `original`: uint8 (h, w, 3), RGB, as it was photographed.
    """

    name: str
    label: str
    image: np.ndarray
    original: np.ndarray


@dataclass(frozen=True)
class Drawn:
    """`parts`: for each part the indices of its digits. `left_over`: those in no part."""

    parts: Mapping[str, tuple[int, ...]]
    left_over: tuple[int, ...]


def draw_parts(labels: Sequence[str], counts: tuple[int, int, int], seed: int) -> Drawn:
    """Draw so many digits of each class for training, validation and test.

    Each class has its own stream from `seed`, so photos of another class change nothing.

    Raises:
        DataError: a class has too few digits; names all such classes.
    """
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    left_over: list[int] = []
    short = []
    for label in sorted(set(labels)):
        members = [i for i, other in enumerate(labels) if other == label]
        if len(members) < sum(counts):
            short.append(f"class {label} has {len(members)}")
            continue
        order = np.random.default_rng([seed, ord(label)]).permutation(members).tolist()
        for part, n in zip(PARTS, counts, strict=True):
            parts[part] += sorted(order[:n])
            order = order[n:]
        left_over += sorted(order)
    if short:
        raise DataError(
            f"--counts {'/'.join(map(str, counts))} needs {sum(counts)} digits of each class: "
            f"{', '.join(short)}; add photographs, or give smaller --counts"
        )
    return Drawn({part: tuple(chosen) for part, chosen in parts.items()}, tuple(left_over))


def check_output(folder: Path, corrections: Path | None = None) -> dict[str, bytes]:
    """Refuse an output folder that holds anything this tool did not write.

    A folder of an earlier run may be replaced: what it holds is in its record, and nothing else
    may be in it, but for the file `corrections` of this call.

    Returns:
        The name in `folder` and the content of `corrections` where it lies there, else nothing.

    Raises:
        DataError: names the first file that is not ours, and says what to do.
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file; give another --out")
    kept = _inside(folder, corrections)
    ours = _recorded(folder)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_ours = name in ours or name in kept or name.endswith(_REFUSED)
        if path.is_file() and not is_ours:
            use = " (give it as --corrections, and it stays)" if name == CORRECTIONS else ""
            raise DataError(
                f"{folder}: holds '{name}'{use}, which this tool did not write; only a folder that "
                "it wrote itself is replaced: give another --out, or remove this one first"
            )
    return kept


def _inside(folder: Path, corrections: Path | None) -> dict[str, bytes]:
    """The name in `folder` and the content of the file `corrections`, where it lies there."""
    if corrections is None or not corrections.is_file():
        return {}
    if not corrections.resolve().is_relative_to(folder.resolve()):
        return {}
    name = corrections.resolve().relative_to(folder.resolve()).as_posix()
    return {name: corrections.read_bytes()}


def write_data_set(
    folder: Path,
    digits: Sequence[Digit],
    drawn: Drawn,
    contact_sheets: Mapping[str, np.ndarray],
    page: str,
    record: Mapping[str, object],
    kept: Mapping[str, bytes],
    *,
    keep_originals: bool,
) -> None:
    """Write everything under a temporary name, then put it in the place of `folder`.

    Args:
        folder: must have passed `check_output`.
        digits, drawn: what to write into which part.
        contact_sheets: file name → uint8 (H, W, 3), RGB.
        page: HTML on which a person can put right what was read.
        record: what the record says besides the list of files.
        kept: file name → content of what a person put into `folder`, which stays.
        keep_originals: also write the photographed digits, under `Originals/`.

    Raises:
        StorageError: the disk is full or cannot be written; `folder` is as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(folder)
    try:
        _write_parts(temporary, digits, drawn, keep_originals)
        for name, sheet in contact_sheets.items():
            write_image(temporary / name, sheet)
        (temporary / PAGE).write_text(page, encoding="utf-8")
        files = [p.relative_to(temporary).as_posix() for p in temporary.rglob("*") if p.is_file()]
        write_json(temporary / RECORD, {**record, "files": sorted([*files, RECORD])})
        for name, content in kept.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(content)
        sync_tree(temporary)
        _replace(temporary, folder)
        sync_folder(folder.parent)
        # Not before: a command that died in `_replace` may have left the earlier content there.
        remove_dead_temporaries(folder.parent)
    except OSError as err:
        raise path_error(err, f"{folder}: cannot be written: {err.strerror}") from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_parts(folder: Path, digits: Sequence[Digit], drawn: Drawn, keep_originals: bool) -> None:
    for part, chosen in drawn.parts.items():
        _make_class_folders(folder / part, sorted({digit.label for digit in digits}))
        for digit in (digits[i] for i in chosen):
            _write_digit(folder, part, digit, keep_originals)


def write_refused(folder: Path, sheets: Mapping[str, np.ndarray], page: str) -> list[Path]:
    """Write the contact sheets of photos that do not fit and the page, and nothing else.

    Returns:
        The paths of the contact sheets, then that of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {name: _encoded(".png", sheet) for name, sheet in sheets.items()}
    contents[PAGE] = page.encode()
    paths = [folder / f"{Path(name).stem}-refused{Path(name).suffix}" for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        with atomic_file(path, "wb") as file:
            file.write(content)
    return paths


def write_image(path: Path, image: np.ndarray) -> None:
    """uint8 (H, W) or (H, W, 3) RGB to a .png or .jpg.

    Raises:
        OSError: it cannot be written.
    """
    path.write_bytes(_encoded(path.suffix, image))


def _encoded(suffix: str, image: np.ndarray) -> bytes:
    colours = image[..., ::-1] if image.ndim == 3 else image
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix == ".jpg" else []
    _, content = cv2.imencode(suffix, np.ascontiguousarray(colours), options)
    return content.tobytes()


def class_folder(label: str) -> str:
    """The folder of a class: its character, or the name of a sign: `/` can name no folder."""
    return label if label.isalnum() else unicodedata.name(label).lower().replace(" ", "-")


def _make_class_folders(part: Path, labels: Sequence[str]) -> None:
    """Raises DataError where a disk does not tell `a` from `A`."""
    for label in labels:
        folder = part / class_folder(label)
        if folder.exists():
            other = next(each for each in labels if (part / class_folder(each)).samefile(folder))
            raise DataError(
                f"{folder.parent.parent}: this disk does not tell the folders {other} and {label} "
                "apart; give --out on another disk, or one of the classes another label"
            )
        folder.mkdir(parents=True)


def _write_digit(root: Path, part: str, digit: Digit, keep_originals: bool) -> None:
    write_image(root / part / class_folder(digit.label) / f"{digit.name}.jpg", digit.image)
    if keep_originals:
        beside = root / ORIGINALS / part / class_folder(digit.label)
        beside.mkdir(parents=True, exist_ok=True)
        write_image(beside / f"{digit.name}.png", digit.original)


def _recorded(folder: Path) -> set[str]:
    """The files that an earlier run wrote here; empty where there is no record of ours."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return {str(name) for name in record["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _replace(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`; what was there is moved aside first and put back on failure."""
    if not folder.exists():
        os.rename(new, folder)
        return
    old = temporary_beside(folder)
    os.rename(folder, old)
    try:
        os.rename(new, folder)
    except OSError:
        os.rename(old, folder)
        raise
    shutil.rmtree(old)
