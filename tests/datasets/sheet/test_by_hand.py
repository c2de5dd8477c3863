"""Corrections applied to sheets that are drawn by the test: bars of ink whose places are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets.sheet.by_hand import box_of, corrected, frame_of, idle_drops
from datasets.sheet.corrections import Box, Correction, Drop, Placed
from datasets.sheet.ink import Ink
from datasets.sheet.labels import Labels
from datasets.sheet.marks import Mark, find_marks
from datasets.sheet.noted import DIRT, Noted
from datasets.sheet.photos import Photo
from datasets.sheet.read import Reading
from headstart.errors import DataError

SCALE = 0.5  # the photograph is twice as large as the sheet is read


def sheet(*bars: tuple[int, int, int, int]) -> Ink:
    """A page of 200×300 working pixels with black bars (left, top, width, height)."""
    mask = np.zeros((200, 300), bool)
    for left, top, width, height in bars:
        mask[top : top + height, left : left + width] = True
    nothing, picture = np.zeros_like(mask), np.zeros((*mask.shape, 3), np.uint8)
    return Ink(mask.astype(np.float32), mask, 1.0, SCALE, False, nothing, picture, False)


def bar(left: int, top: int, width: int, height: int) -> Mark:
    return Mark(left, top, np.ones((height, width), bool))


A, B, C = (20, 20, 20, 40), (60, 20, 20, 40), (100, 20, 20, 40)  # a row of sevens
D, E = (20, 120, 20, 40), (60, 120, 20, 40)  # a row of ones
ROWS = (tuple(bar(*x) for x in (A, B, C)), tuple(bar(*x) for x in (D, E)))
LABELS = Labels("rows", ("7", "1"))
PHOTO = Photo(Path("s.jpg"), "s", np.zeros((400, 600, 3), np.uint8), LABELS, "a" * 64)
READING = Reading(0, sheet(A, B, C, D, E), ROWS, ("777", "11"))


def box(left: int, top: int, width: int, height: int) -> Box:
    """A box of working pixels in pixels of the photograph."""
    return Box(*(int(x / SCALE) for x in (left, top, width, height)))


def drop(*boxes: tuple[int, int, int, int]) -> tuple[Drop, ...]:
    return tuple(Drop(box(*each), f"c.yaml:{n}") for n, each in enumerate(boxes, 1))


def digits(*said: tuple[tuple[int, int, int, int], str | None]) -> tuple[Placed, ...]:
    return tuple(Placed(box(*at), label, f"c.yaml:{n}") for n, (at, label) in enumerate(said, 1))


def boxes(reading: Reading) -> list[list[tuple[int, int, int, int]]]:
    return [[(m.left, m.top, m.width, m.height) for m in row] for row in reading.rows]


def test_without_a_correction_the_reading_is_the_same() -> None:
    assert corrected(READING, PHOTO, None) is READING
    assert corrected(READING, PHOTO, Correction()) is READING


def test_a_dropped_box_takes_the_marks_whose_ink_lies_in_it() -> None:
    once = corrected(READING, PHOTO, Correction(drop((50, 0, 100, 45))))  # over half of B and C
    assert boxes(once) == [[A], [D, E]]
    assert once.labels == ("7", "11")
    row = corrected(READING, PHOTO, Correction(drop((0, 0, 300, 38))))  # less than half of any
    assert boxes(row) == boxes(READING)


def test_a_relabelled_digit_keeps_its_place_and_its_very_ink() -> None:
    again = corrected(READING, PHOTO, Correction(digits=digits((B, "1"))))
    assert boxes(again) == boxes(READING)
    assert again.labels == ("717", "11")
    assert np.array_equal(again.rows[0][1].mask, READING.rows[0][1].mask)


def test_a_box_around_two_marks_makes_one_digit_of_them() -> None:
    merged = corrected(READING, PHOTO, Correction(digits=digits(((60, 20, 60, 40), "7"))))
    assert boxes(merged) == [[A, (60, 20, 60, 40)], [D, E]]
    assert merged.rows[0][1].area == ROWS[0][1].area + ROWS[0][2].area
    assert merged.labels == ("77", "11")


def test_two_boxes_over_one_mark_cut_it_in_two() -> None:
    halves = ((60, 20, 11, 40), "7"), ((71, 20, 9, 40), "1")
    split = corrected(READING, PHOTO, Correction(digits=digits(*halves)))
    assert boxes(split) == [[A, (60, 20, 11, 40), (71, 20, 9, 40), C], [D, E]]
    assert split.labels == ("7717", "11")


def test_a_narrow_digit_in_its_neighbours_box_stays_a_digit_of_its_own() -> None:
    large, small = bar(20, 20, 60, 60), bar(60, 40, 10, 30)
    ring = large.mask.copy()
    ring[10:-10, 10:-5] = False
    large = Mark(20, 20, ring)
    mask = np.zeros((200, 300), bool)
    for mark in (large, small):
        mask[mark.top : mark.bottom, mark.left : mark.right] |= mark.mask
    reading = Reading(0, replace(READING.ink, mask=mask), ((large, small),), ("77",))
    placed = digits(((20, 20, 60, 60), "1"), ((60, 40, 10, 30), "7"))
    again = corrected(reading, PHOTO, Correction(digits=placed))
    assert [mark.area for mark in again.rows[0]] == [large.area, small.area]
    assert again.labels == ("17",)


def test_a_drawn_box_holds_the_ink_in_it_but_that_of_digits_which_stay() -> None:
    new = (140, 25, 10, 30)
    reading = replace(READING, ink=sheet(A, B, C, D, E, new))
    added = corrected(reading, PHOTO, Correction(digits=digits(((115, 22, 45, 36), None))))
    assert boxes(added) == [[A, B, C, new], [D, E]]
    assert added.labels == ("7777", "11"), "its label follows from its place"


def test_a_digit_between_the_rows_makes_a_row() -> None:
    new = (200, 72, 10, 20)
    reading = replace(READING, ink=sheet(A, B, C, D, E, new))
    added = corrected(reading, PHOTO, Correction(digits=digits((new, "1"))))
    assert boxes(added) == [[A, B, C], [new], [D, E]]
    assert added.labels == ("777", "1", "11")
    unsaid = corrected(reading, PHOTO, Correction(digits=digits((new, None))))
    assert unsaid.labels is None, "three rows, and labels of two"


def test_a_stroke_too_faint_for_the_reader_is_found_in_a_persons_box() -> None:
    ink = sheet(A, B, C, D, E)
    ink.darkness[20:60, 150:155] = 0.08
    added = corrected(
        replace(READING, ink=ink), PHOTO, Correction(digits=digits(((145, 15, 20, 50), "7")))
    )
    assert boxes(added)[0][3] == (150, 20, 5, 40)
    with pytest.raises(DataError, match=r"c\.yaml:1: s\.jpg has no ink in the box \[400, 30,"):
        corrected(READING, PHOTO, Correction(digits=digits(((200, 15, 20, 50), "7"))))


def test_a_mark_that_was_taken_for_dirt_can_be_a_digit() -> None:
    dirt = bar(*C)
    reading = replace(
        READING, rows=(ROWS[0][:2], ROWS[1]), labels=("77", "11"), left_out=(Noted(dirt, DIRT),)
    )
    added = corrected(reading, PHOTO, Correction(digits=digits((C, "7"))))
    assert boxes(added) == boxes(READING)
    assert added.left_out == ()


def test_a_refused_sheet_takes_its_labels_from_the_person_or_from_places_that_fit_now() -> None:
    heading = (200, 80, 30, 20)
    rows = (ROWS[0], (bar(*heading),), ROWS[1])
    refused = Reading(0, sheet(A, B, C, heading, D, E), rows, None)
    assert corrected(refused, PHOTO, Correction(drop((150, 0, 150, 200)))).labels == ("777", "11")
    assert corrected(refused, PHOTO, Correction(drop(A))).labels is None
    every = [(each, "7") for each in (A, B, C)] + [(each, "1") for each in (heading, D, E)]
    said = corrected(refused, PHOTO, Correction(digits=digits(*every)))
    assert said.labels == ("777", "1", "11")
    unlike = replace(refused, rows=ROWS)  # the rows fit, and the shapes do not
    assert corrected(unlike, PHOTO, Correction(drop(A))).labels is None


def test_labels_by_column_are_put_into_columns() -> None:
    photo = replace(PHOTO, labels=Labels("columns", ("7", "1")))
    columns = ((bar(*A), bar(*D)), (bar(*B),))
    reading = Reading(0, sheet(A, B, D, E), columns, ("77", "1"))
    added = corrected(reading, photo, Correction(digits=digits((E, None))))
    assert boxes(added) == [[A, D], [B, E]]
    assert added.labels == ("77", "11")


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_boxes_are_of_the_photograph_as_it_lies_however_the_sheet_is_turned(quarters: int) -> None:
    lying = Box(40, 60, 30, 80)
    page = np.zeros((400, 600), bool)
    page[60:140, 40:70] = True
    ink = replace(READING.ink, mask=np.rot90(page, quarters)[::2, ::2], scale=SCALE)
    [mark] = find_marks(ink.mask)
    reading = Reading(
        quarters, replace(ink, darkness=ink.mask.astype(np.float32)), ((mark,),), None
    )
    assert frame_of(lying, PHOTO, reading) == (mark.left, mark.top, mark.right, mark.bottom)
    assert box_of(mark, PHOTO, reading) == lying


def test_a_photograph_that_was_taken_for_no_sheet_can_be_boxed_by_hand() -> None:
    image = np.full((400, 600, 3), 230, np.uint8)
    image[100:180, 100:112] = image[100:180, 300:312] = 20
    photo = replace(PHOTO, image=image)
    placed = (Placed(Box(90, 90, 40, 100), "7", "c.yaml:1"), Placed(Box(290, 90, 40, 100), "1", ""))
    reading = corrected(Reading(0, Ink.none(), (), None), photo, Correction((), placed))
    assert reading.labels == ("71",)
    [found, _] = [box_of(mark, photo, reading) for mark in reading.rows[0]]
    assert np.allclose(found, (100, 100, 12, 80), atol=3)


def test_what_leaves_nothing_and_what_does_nothing_is_said() -> None:
    with pytest.raises(DataError, match=r"s\.jpg: the corrections leave no digit on it"):
        corrected(READING, PHOTO, Correction(drop((0, 0, 300, 200))))
    correction = Correction(drop(A, (200, 150, 10, 10)))
    [note] = idle_drops(READING, PHOTO, correction)
    assert note.startswith("c.yaml:2: s.jpg: nothing was found in the box [400, 300, 20, 20]")
