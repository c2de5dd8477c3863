"""Columns of labels and of pixels, told apart by their values."""

import numpy as np
import pytest

from datasets.tables.likeness import (
    LIKELY,
    are_one_hot,
    counts_rows,
    first_or_last,
    likeness,
    likeness_of_text,
)

RNG = np.random.default_rng(0)
SHADES = np.clip(RNG.normal(120, 60, (400, 1)) + RNG.normal(0, 9, (400, 36)), 0, 255).astype(int)
NOISE = RNG.integers(0, 256, (400, 36))
DARK_EDGE = np.where(RNG.random((400, 1)) < 0.9, 0, RNG.integers(0, 9, (400, 1)))


def columns(*blocks) -> list[list[str]]:
    stacked = np.concatenate([np.reshape(block, (len(block), -1)) for block in blocks], axis=1)
    return [[str(value) for value in column] for column in stacked.T.tolist()]


@pytest.mark.parametrize("pixels", [SHADES, NOISE, np.hstack([DARK_EDGE, NOISE, DARK_EDGE])])
@pytest.mark.parametrize(
    "labels",
    [
        RNG.integers(0, 2, 400),
        RNG.integers(1, 11, 400),
        np.sort(RNG.integers(0, 10, 400)),
        np.array([0, 1, 2, 3, 9, 20])[RNG.integers(0, 6, 400)],
        RNG.integers(0, 100, 400),
        np.where(RNG.random(400) < 0.85, 0, 1),
    ],
    ids=["two", "from 1", "sorted", "gaps", "hundred", "unequal"],
)
def test_labels_are_found_at_either_end(labels, pixels):
    assert first_or_last(columns(labels, pixels)) == 0
    assert first_or_last(columns(pixels, labels)) == -1


def test_two_ends_alike_are_not_clear():
    labels = RNG.integers(0, 10, (2, 400))
    assert first_or_last(columns(labels[0], SHADES, labels[1])) is None
    assert first_or_last(columns(SHADES)) is None


def test_of_few_rows_the_first_column_is_taken_unless_it_cannot_be():
    assert first_or_last(columns([3, 7, 9], [[1, 2], [3, 4], [5, 6]], [4, 4, 4])) == 0
    assert first_or_last(columns([4, 4, 4], [[1, 2], [3, 4], [5, 6]], [3, 7, 9])) == -1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("0101", 1.0), ("1212", 1.0), ("0000", 0), (["0", "0.5"], 0), (["0", "x"], 0),
        (["-1", "1", "1", "-1"], (1 + 2 / 3) / 2), (["-1", "0", "1"], 0), ("0022", 5 / 6),
        ("0123", 0.25),
    ],
)  # fmt: skip
def test_likeness_by_hand(values, expected):
    assert likeness(list(values)) == pytest.approx(expected)


def test_a_dark_edge_is_less_like_labels_than_any_labels():
    assert likeness(columns(DARK_EDGE)[0]) < LIKELY < likeness(columns(np.arange(400) % 7)[0])


def test_texts_that_differ_in_every_row_are_no_labels():
    assert likeness_of_text(["a", "b"] * 5) == 1
    assert likeness_of_text(["a"] * 5) == 0
    assert likeness_of_text([str(k) for k in range(10)]) == 0
    assert likeness_of_text(["a", "b", "c"]) == 1  # of three rows


def test_rows_that_are_counted_and_columns_one_a_class():
    assert counts_rows(["7", "8", "9"])
    assert not counts_rows(["7", "9", "8"])
    assert not counts_rows(["1.0", "2.0"])
    assert are_one_hot([["1", "0", "0"], ["0", "1.0", "0"], ["0", "0", "1"]])
    assert not are_one_hot([["1", "0"], ["1", "1"]])
    assert not are_one_hot([["1", "x"], ["0", "1"]])
