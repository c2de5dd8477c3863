"""Which marks go for which box of a person's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sheet_of_bars import PHOTO, READING, ROWS, A, B, D, E, bar, boxes, digits, drop, sheet

from datasets.sheet.hand.by_hand import corrected
from datasets.sheet.hand.corrections import Correction
from datasets.sheet.hand.fates import fates_of_marks, idle_drops
from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.marks import Mark
from datasets.sheet.strokes.noted import DIRT, Noted


def test_a_dropped_box_takes_the_marks_whose_ink_lies_in_it() -> None:
    once = corrected(READING, PHOTO, Correction(drop((50, 0, 100, 45))))  # over half of B and C
    assert boxes(once) == [[A], [D, E]]
    assert once.labels == ("7", "11")
    row = corrected(READING, PHOTO, Correction(drop((0, 0, 300, 38))))  # less than half of any
    assert boxes(row) == boxes(READING)


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


def test_what_is_dropped_inside_of_a_digits_box_is_no_part_of_it() -> None:
    speck = (65, 30, 6, 6)
    ring = bar(*B)
    ring.mask[5:35, 3:17] = False
    rows = ((ROWS[0][0], Mark(60, 20, ring.mask), bar(*speck)), ROWS[1])
    ink = sheet(A, speck, D, E)
    ink.mask[20:60, 60:80] |= ring.mask
    reading = Reading(0, ink, rows, ("777", "11"))
    said = Correction(drop(speck), digits((B, "1")))
    again = corrected(reading, PHOTO, said)
    assert boxes(again) == [[A, B], [D, E]]
    assert again.rows[0][1].area == ring.mask.sum()
    whole = corrected(reading, PHOTO, Correction(drop((0, 0, 300, 90)), digits((B, "1"))))
    assert boxes(whole) == [[B], [D, E]], "a digit in a part that is dropped is a digit"


def test_a_mark_goes_for_the_box_that_holds_most_of_its_ink() -> None:
    halves = ((60, 20, 9, 40), "7"), ((69, 20, 11, 40), "1")
    fates = fates_of_marks(READING, PHOTO, Correction(drop(A), digits(*halves)))
    assert list(fates.gone.values()) == [ROWS[0][0], ROWS[0][1]]
    assert fates.claims == [[], [ROWS[0][1]]]
    assert fates.erased == [[], []]


def test_of_boxes_that_hold_all_of_a_mark_the_smallest_has_it() -> None:
    wide, tall = (45, 18, 60, 44), (50, 5, 40, 100)
    fates = fates_of_marks(READING, PHOTO, Correction(digits=digits((tall, "1"), (wide, "7"))))
    assert fates.claims == [[], [ROWS[0][1]]]
    low = bar(60, 20, 20, 4)
    halves = ((60, 10, 20, 12), "7"), ((60, 22, 20, 30), "1")  # two of its four lines each
    reading = replace(READING, rows=((low,),))
    fates = fates_of_marks(reading, PHOTO, Correction(digits=digits(*halves)))
    assert fates.claims == [[low], []]


@pytest.mark.parametrize(
    ("inside", "beyond"),
    [
        ((62, 30, 6, 6), (57, 30, 11, 6)),
        ((65, 22, 6, 6), (65, 17, 6, 11)),
        ((72, 30, 6, 6), (72, 30, 11, 6)),
        ((65, 52, 6, 6), (65, 52, 6, 11)),
    ],
)
def test_only_what_is_dropped_inside_of_a_digits_box_is_erased_from_it(
    inside: tuple[int, int, int, int], beyond: tuple[int, int, int, int]
) -> None:
    speck = bar(*inside)
    reading = replace(READING, rows=((speck,), ROWS[1]))
    fates = fates_of_marks(reading, PHOTO, Correction(drop(beyond), digits((B, "7"))))
    assert fates.erased == [[]]
    fates = fates_of_marks(reading, PHOTO, Correction(drop(inside), digits((B, "7"))))
    assert fates.erased == [[speck]]


def test_a_drop_that_does_nothing_is_said() -> None:
    left_out = replace(READING, left_out=(Noted(bar(200, 20, 20, 40), DIRT),))
    correction = Correction(drop(A, (200, 150, 10, 10), (195, 15, 30, 50)))
    [note] = idle_drops(left_out, PHOTO, correction)
    assert note.startswith("c.yaml:2: s.jpg: nothing was found in the box [400, 300, 20, 20]")
    assert idle_drops(READING, PHOTO, None) == []
