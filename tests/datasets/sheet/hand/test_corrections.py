"""What a file of corrections may say, and what is told of each thing that it may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.sheet.hand.boxes import Box
from datasets.sheet.hand.corrections import (
    MOST_BOXES,
    Correction,
    Drop,
    Placed,
    classes_of,
    read_corrections,
)
from datasets.sheet.labels import by_row, one_class
from datasets.sheet.photos import Photo
from headstart.errors import DataError

ROWS, FIVES = "a" * 64, "b" * 64  # digests


def photo(name: str, digest: str, labels: str) -> Photo:
    given = one_class(labels, "test") if len(labels) == 1 else by_row(labels, "test")
    return Photo(Path("my") / name, name, np.zeros((300, 400, 3), np.uint8), given, digest)


PHOTOS = (photo("rows.jpg", ROWS, "123"), photo("fives.jpg", FIVES, "5"))


def read(tmp_path: Path, text: str) -> dict[str, Correction]:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return read_corrections(path, PHOTOS)


def test_each_photograph_is_known_by_its_content(tmp_path: Path) -> None:
    text = f"""
fives.jpg:
  sha256: {FIVES}
  digits:
    - {{box: [10, 20, 30, 40], label: 5}}
    - box: [350, 200, 50, 100]   # its label follows from its place
another name:
  sha256: {ROWS.upper()}
  drop:
    - [0, 0, 400, 300]
"""
    where = str(tmp_path / "c.yaml")
    digits = (
        Placed(Box(10, 20, 30, 40), "5", f"{where}:5"),
        Placed(Box(350, 200, 50, 100), None, f"{where}:6"),
    )
    assert read(tmp_path, text) == {
        FIVES: Correction((), digits),
        ROWS: Correction((Drop(Box(0, 0, 400, 300), f"{where}:10"),), ()),
    }


def test_an_accent_may_be_written_apart_from_its_letter(tmp_path: Path) -> None:
    letters = Photo(Path("l.jpg"), "l", np.zeros((9, 9, 3), np.uint8), one_class("é", ""), ROWS)
    file = tmp_path / "c.yaml"
    file.write_text(f"l.jpg: {{sha256: {ROWS}, digits: [{{box: [1, 1, 5, 5], label: e\u0301}}]}}")
    assert read_corrections(file, [letters])[ROWS].digits[0].label == "é"


def test_the_classes_are_those_of_all_photographs() -> None:
    assert classes_of(PHOTOS) == ("1", "2", "3", "5")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("drop: [[0, 0, 9, 9]]", "c.yaml:1: rows.jpg: sha256 is missing; that of my/rows.jpg is"),
        ("sha256: abc", "c.yaml:2: rows.jpg: sha256 must be the 64 characters"),
        ("sha256: [abc]", "c.yaml:2: rows.jpg: sha256 must be the 64 characters"),
        (f"sha256: {'c' * 64}", "c.yaml:1: rows.jpg: my/rows.jpg is not the photograph that was"),
        ("drops: []", "c.yaml:2: 'drops' is not one of sha256, drop, digits (did you mean"),
        ("drop: 3", "c.yaml:3: drop must be a list of boxes"),
        ("drop: [[1, 2, 3]]", "c.yaml:3: a box is [left, top, width, height] in pixels"),
        ("drop: [[1, 2, 3, 4.5]]", "four whole numbers are expected"),
        ("drop: [[1, 2, 3, [4]]]", "four whole numbers are expected"),
        ("drop: [[1, 2, 3, 99999999999999]]", "four whole numbers are expected"),
        ("drop: [box]", "four whole numbers are expected"),
        ("drop: [[1, 2, 0, 4]]", "c.yaml:3: the box [1, 2, 0, 4] is empty"),
        ("drop: [[-1, 2, 5, 4]]", "c.yaml:3: the box [-1, 2, 5, 4] does not lie in my/rows.jpg"),
        ("drop: [[380, 2, 21, 4]]", "which is 400 pixels wide and 300 high"),
        ("drop: [[3, 290, 21, 11]]", "which is 400 pixels wide and 300 high"),
        ("digits: [[1, 2, 3, 4]]", "c.yaml:3: a mapping of box, label is expected"),
        ("digits: [{label: 3}]", "c.yaml:3: box is missing"),
        ("digits: [{box: [1, 2, 3, 4], label: 7}]", "the label '7' is none of the classes"),
        ("digits: [{box: [1, 2, 3, 4], label: }]", "photographs: 1 2 3 5"),
        ("digits: [{box: [1, 2, 3, 4], label: {a: 3}}]", "the label a list or mapping is none"),
        ("digits: [{box: [1, 2, 3, 4], class: 3}]", "c.yaml:3: 'class' is not one of box, label"),
        (
            "digits:\n   - {box: [10, 10, 20, 20]}\n   - {box: [90, 10, 20, 20]}\n"
            "   - {box: [11, 10, 20, 20]}",
            "c.yaml:6: the box [11, 10, 20, 20] is that of the digit at",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_its_place(
    entry: str, message: str, tmp_path: Path
) -> None:
    digest = "" if message.startswith("c.yaml:1: ") or "sha256" in entry else f"  sha256: {ROWS}\n"
    if "sha256, drop" in message:
        digest = ""
    with pytest.raises(DataError) as err:
        read(tmp_path, f"rows.jpg:\n{digest}  {entry}\n")
    assert message in str(err.value)
    assert "\n" not in str(err.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "c.yaml:1: a mapping"),
        ("rows.jpg: 3", "c.yaml:1: rows.jpg: a mapping of sha256, drop, digits is expected"),
        (f"row.jpg: {{sha256: {'c' * 64}}}", "'row.jpg' is none of the photographs given (did you"),
        (f"a: {{sha256: {ROWS}}}\nb: {{sha256: {ROWS}}}", "c.yaml:2: b: my/rows.jpg has an entry"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_no_correction_at_all(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as err:
        read(tmp_path, text)
    assert message in str(err.value)
    assert "\n" not in str(err.value)


def test_so_many_boxes_that_no_person_drew_them(tmp_path: Path) -> None:
    boxes = ", ".join(["[1, 1, 2, 2]"] * (MOST_BOXES + 1))
    with pytest.raises(DataError, match="drop has 1001 boxes; at most 1000"):
        read(tmp_path, f"rows.jpg:\n  sha256: {ROWS}\n  drop: [{boxes}]\n")


def test_boxes_that_go_around_no_digit(tmp_path: Path) -> None:
    lines = "".join(
        f"    - {{box: [{left}, {top}, {width}, {300 - top}]}}\n"
        for left, top, width in ((0, 0, 400), (0, 0, 250), (150, 0, 250), (0, 100, 400))
    )
    more = "".join(f"    - {{box: [{x}, {y}, 230, 170]}}\n" for x in (0, 170) for y in (0, 130))
    text = f"rows.jpg:\n  sha256: {ROWS}\n  digits:\n{lines}"
    assert len(read(tmp_path, text)[ROWS].digits) == 4
    with pytest.raises(DataError, match=r"c\.yaml:1: the boxes of the digits are 4 times as large"):
        read(tmp_path, text + more)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.yaml: cannot be read"):
        read_corrections(tmp_path / "none.yaml", PHOTOS)
