"""What a person says of the boxes on photographs: `corrections.yaml` → checked `Correction`s.

In: a file that the page beside the contact sheets wrote, or a person, and the photographs of this
call. Out: for each photograph that the file names, which boxes are no digit and where digits are.
A photograph is known by the SHA-256 of its file, a box by its place in the photograph's own pixels,
so the file means the same in every later call, whatever that call finds. It stands alone because
the file may come from anybody: every value is checked here, and nowhere else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.sheet.hand.boxes import Box
from datasets.sheet.photos import Photo
from headstart.cli import few
from headstart.errors import DataError, SpecError, did_you_mean
from headstart.yaml12 import Node, read_yaml

MOST_BOXES = 1000  # of a photograph, digits and dropped ones each
_KEYS = ("sha256", "drop", "digits")
_DIGIT_KEYS = ("box", "label")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_WHOLE = re.compile(r"-?[0-9]{1,7}")
_BOX = "a box is [left, top, width, height] in pixels of the photograph"
_MOST_COVERED = 4  # photographs: as large as the boxes of its digits may be together
_TWICE = 0.7  # of the area that two boxes cover together: they mean the same digit
_FORM = (
    "corrections have one entry for each photograph: 'sheet.jpg: {sha256: …, drop: [[left, top, "
    "width, height], …], digits: [{box: [left, top, width, height], label: 3}, …]}'"
)


@dataclass(frozen=True)
class Drop:
    """Marks in the box are no digits. `where`: the file and line that say so."""

    box: Box
    where: str


@dataclass(frozen=True)
class Placed:
    """The ink in the box is one digit. `where`: the file and line that say so.

    `label`: None where it follows from the place of the digit.
    """

    box: Box
    label: str | None
    where: str


@dataclass(frozen=True)
class Correction:
    """What a person says of one photograph."""

    drops: tuple[Drop, ...] = ()
    digits: tuple[Placed, ...] = ()


def classes_of(photos: Sequence[Photo]) -> tuple[str, ...]:
    """The labels that digits of these photographs may have, sorted."""
    return tuple(sorted({c for photo in photos for line in photo.labels.lines for c in line}))


def read_corrections(path: Path, photos: Sequence[Photo]) -> dict[str, Correction]:
    """SHA-256 of a photograph's file → its correction, for each photograph that the file names.

    Raises:
        DataError: the file cannot be read or holds anything else; a photograph that is not among
            `photos` or has changed; a box outside of its picture; a label that is no class. Names
            file and line.
    """
    try:
        root = read_yaml(path, as_words=True)
    except SpecError as err:
        raise DataError(f"{err}; {_FORM}") from err
    classes = classes_of(photos)
    corrections: dict[str, Correction] = {}
    for name, entry in root.items():
        photo = _photo_of(name, entry, photos)
        if photo.digest in corrections:
            raise DataError(f"{entry.where}: {name}: {photo.path} has an entry before this one")
        corrections[photo.digest] = _correction(entry, photo, classes)
    return corrections


def _photo_of(name: str, entry: Node, photos: Sequence[Photo]) -> Photo:
    """The photograph whose content an entry names; the name is for people, and for messages."""
    keys = _entries(entry, _KEYS, f"{entry.where}: {name}")
    by_name = {key: photo for photo in photos for key in (photo.path.name, str(photo.path))}
    named = by_name.get(name)
    if "sha256" not in keys:
        hint = f"; that of {named.path} is {named.digest}" if named else ""
        raise DataError(f"{entry.where}: {name}: sha256 is missing{hint}")
    digest = keys["sha256"].value
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise DataError(
            f"{keys['sha256'].where}: {name}: sha256 must be the 64 characters 0-9 and a-f of the "
            "photograph's SHA-256, as sha256sum prints them"
        )
    for photo in photos:
        if photo.digest == digest.lower():
            return photo
    if named:
        raise DataError(
            f"{entry.where}: {name}: {named.path} is not the photograph that was corrected (its "
            f"SHA-256 is {named.digest[:12]}…, {digest[:12].lower()}… is expected); remove this "
            "entry and correct the photograph again"
        )
    raise DataError(
        f"{entry.where}: '{name}' is none of the photographs given{did_you_mean(name, by_name)}; "
        "give it too, or remove this entry"
    )


def _correction(entry: Node, photo: Photo, classes: Sequence[str]) -> Correction:
    drops = [
        Drop(_box(node, photo), str(node.where)) for node in _list(entry, "drop", "a list of boxes")
    ]
    nodes = _list(entry, "digits", "a list of {box: …, label: …}")
    digits = [_placed(node, photo, classes) for node in nodes]
    covered = sum(digit.box.width * digit.box.height for digit in digits)
    if covered > _MOST_COVERED * photo.image.shape[0] * photo.image.shape[1]:
        raise DataError(
            f"{entry.where}: the boxes of the digits are {_MOST_COVERED} times as large as the "
            "photograph together; a box goes around one digit"
        )
    _refuse_twins(digits)
    return Correction(tuple(drops), tuple(digits))


def _placed(node: Node, photo: Photo, classes: Sequence[str]) -> Placed:
    keys = _entries(node, _DIGIT_KEYS, str(node.where))
    if "box" not in keys:
        raise DataError(f"{node.where}: box is missing; a digit is {{box: …, label: …}}")
    box, label = _box(keys["box"], photo), keys.get("label")
    if label is None:
        return Placed(box, None, str(node.where))
    is_text = isinstance(label.value, str)
    name = unicodedata.normalize("NFC", label.value) if is_text else ""
    if name not in classes:
        shown = f"'{name[:20]}'" if is_text else "a list or mapping"
        raise DataError(
            f"{label.where}: the label {shown} is none of the classes of these photographs: "
            f"{few(classes, 70, ' ')}"
        )
    return Placed(box, name, str(node.where))


def _box(node: Node, photo: Photo) -> Box:
    values = [child.value for child in node.value] if isinstance(node.value, list) else []
    if len(values) != 4 or not all(isinstance(v, str) and _WHOLE.fullmatch(v) for v in values):
        raise DataError(f"{node.where}: {_BOX}: four whole numbers are expected")
    box = Box(*map(int, values))
    height, width = photo.image.shape[:2]
    if min(box.width, box.height) < 1:
        raise DataError(f"{node.where}: the box {box} is empty; {_BOX}")
    inside = box.left + box.width <= width and box.top + box.height <= height
    if min(box.left, box.top) < 0 or not inside:
        raise DataError(
            f"{node.where}: the box {box} does not lie in {photo.path}, which is {width} pixels "
            f"wide and {height} high; {_BOX}"
        )
    return box


def _entries(node: Node, allowed: Sequence[str], where: str) -> Mapping[str, Node]:
    if not isinstance(node.value, dict):
        raise DataError(f"{where}: a mapping of {', '.join(allowed)} is expected; {_FORM}")
    for key, child in node.value.items():
        if key not in allowed:
            near = did_you_mean(key, allowed)
            raise DataError(f"{child.where}: '{key}' is not one of {', '.join(allowed)}{near}")
    entries: Mapping[str, Node] = node.value
    return entries


def _list(entry: Node, key: str, what: str) -> list[Node]:
    node = entry.get(key)
    if node is None:
        return []
    if not isinstance(node.value, list):
        raise DataError(f"{node.where}: {key} must be {what}; {_FORM}")
    if len(node.value) > MOST_BOXES:
        raise DataError(f"{node.where}: {key} has {len(node.value)} boxes; at most {MOST_BOXES}")
    return node.value


def _refuse_twins(digits: Sequence[Placed]) -> None:
    """Raise DataError where two boxes mean one digit."""
    ordered = sorted(digits, key=lambda digit: digit.box.left)
    for i, first in enumerate(ordered):
        for second in ordered[i + 1 :]:
            if second.box.left >= first.box.left + first.box.width:
                break
            if _overlap(first.box, second.box) > _TWICE:
                lines = sorted((first, second), key=digits.index)
                raise DataError(
                    f"{lines[1].where}: the box {lines[1].box} is that of the digit at "
                    f"{lines[0].where}; give each digit once"
                )


def _overlap(a: Box, b: Box) -> float:
    """The area that both boxes cover, over that which either covers."""
    width = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    height = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    both = max(0, width) * max(0, height)
    return both / (a.width * a.height + b.width * b.height - both)
