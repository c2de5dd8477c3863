"""Corrections applied to sheets that are drawn by the test: bars of ink whose places are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sheet_of_bars import PHOTO, READING, ROWS, A, B, C, D, E, bar, boxes, digits, drop, sheet

from datasets.sheet.hand.boxes import Box, box_of
from datasets.sheet.hand.by_hand import corrected
from datasets.sheet.hand.corrections import Correction, Placed
from datasets.sheet.labels import Labels
from datasets.sheet.paper.ink import Ink
from datasets.sheet.reading.read import Reading
from datasets.sheet.strokes.cut import cut_out
from datasets.sheet.strokes.noted import DIRT, Noted
from headstart.errors import DataError


def test_without_a_correction_the_reading_is_the_same() -> None:
    assert corrected(READING, PHOTO, None) is READING
    assert corrected(READING, PHOTO, Correction()) is READING


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


def test_a_drawn_box_holds_the_ink_in_it_but_that_of_digits_which_stay() -> None:
    new = (140, 25, 10, 30)
    reading = replace(READING, ink=sheet(A, B, C, D, E, new))
    added = corrected(reading, PHOTO, Correction(digits=digits(((115, 22, 45, 36), None))))
    assert boxes(added) == [[A, B, C, new], [D, E]]
    assert added.labels == ("7777", "11"), "its label follows from its place"


def test_specks_and_ends_of_neighbours_in_a_drawn_box_are_no_part_of_the_digit() -> None:
    new, speck, end = (140, 25, 20, 30), (165, 22, 4, 3), (170, 50, 40, 3)
    reading = replace(READING, ink=sheet(A, B, C, D, E, new, speck, end))
    added = corrected(reading, PHOTO, Correction(digits=digits(((135, 20, 40, 40), "7"))))
    assert boxes(added)[0][3] == new
    dot = (145, 16, 8, 6)  # a part of the character: an eighth of its ink, well inside of the box
    reading = replace(READING, ink=sheet(A, B, C, D, E, new, dot))
    added = corrected(reading, PHOTO, Correction(digits=digits(((135, 10, 40, 50), "7"))))
    assert boxes(added)[0][3] == (140, 16, 20, 39)


@pytest.mark.parametrize(
    "end", [(120, 40, 20, 5), (150, 10, 5, 15), (170, 40, 20, 5), (150, 55, 5, 20)]
)
def test_the_end_of_a_stroke_that_comes_in_from_any_side_stays_out(
    end: tuple[int, int, int, int],
) -> None:
    new = (145, 28, 18, 24)
    reading = replace(READING, ink=sheet(A, B, C, D, E, new, end))
    added = corrected(reading, PHOTO, Correction(digits=digits(((135, 20, 40, 40), "7"))))
    assert boxes(added)[0][3] == new


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
    assert cut_out(added.ink, added.rows[0][3]).max() == 255, "as dark as the others"
    assert cut_out(added.ink, added.rows[0][0]).max() == 255
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


def test_a_photograph_that_was_taken_for_no_sheet_can_be_boxed_by_hand() -> None:
    image = np.full((400, 600, 3), 230, np.uint8)
    image[100:180, 100:112] = image[100:180, 300:312] = 20
    photo = replace(PHOTO, image=image)
    placed = (Placed(Box(90, 90, 40, 100), "7", "c.yaml:1"), Placed(Box(290, 90, 40, 100), "1", ""))
    reading = corrected(Reading(0, Ink.none(), (), None), photo, Correction((), placed))
    assert reading.labels == ("71",)
    [found, _] = [box_of(mark, photo, reading) for mark in reading.rows[0]]
    assert np.allclose(found, (100, 100, 12, 80), atol=3)


def test_what_leaves_no_digit_is_refused() -> None:
    with pytest.raises(DataError, match=r"s\.jpg: the corrections leave no digit on it"):
        corrected(READING, PHOTO, Correction(drop((0, 0, 300, 200))))
