"""Rows in reading order: by hand, on slanted, bent and fanned pages, and never forced."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.sheet.strokes.rows import find_rows

SIZE = 50.0


def grid(n_rows: int, n_columns: int, pitch: float = 90.0) -> tuple[np.ndarray, np.ndarray]:
    """Middles of digits on a straight page, row by row."""
    y, x = np.mgrid[0:n_rows, 0:n_columns] * pitch
    return x.ravel().astype(float) + 100, y.ravel().astype(float) + 100


def expected(n_rows: int, n_columns: int) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, np.arange(n_rows * n_columns).reshape(n_rows, n_columns).tolist()))


def test_two_rows_by_hand() -> None:
    x = np.array([200.0, 100.0, 110.0, 210.0])
    y = np.array([12.0, 10.0, 110.0, 108.0])
    assert find_rows(x, y, SIZE).indices == ((1, 0), (2, 3))


def test_one_digit_is_one_row() -> None:
    assert find_rows(np.array([5.0]), np.array([7.0]), SIZE, 1).indices == ((0,),)


@pytest.mark.parametrize("degrees", [-14, -6, 0, 6, 14])
def test_slanted_rows(degrees: float) -> None:
    x, y = grid(10, 6)
    y = y + np.tan(np.deg2rad(degrees)) * x
    assert find_rows(x, y, SIZE, 10).indices == expected(10, 6)
    assert find_rows(x, y, SIZE).indices == expected(10, 6)


def test_bent_and_fanned_rows_with_unsteady_hands() -> None:
    rng = np.random.default_rng(0)
    x, y = grid(8, 9)
    across = (x - x.mean()) / np.ptp(x)
    y = y + 0.06 * x + 60 * across**2 + 0.08 * across * (y - y.mean())
    y = y + rng.normal(0, 4, len(y))
    assert find_rows(x, y, SIZE, 8).indices == expected(8, 9)


def test_order_of_the_input_does_not_matter() -> None:
    x, y = grid(4, 5)
    y = y + 0.1 * x
    shuffled = np.random.default_rng(1).permutation(len(x))
    rows = find_rows(x[shuffled], y[shuffled], SIZE, 4).indices
    assert tuple(tuple(shuffled[list(row)].tolist()) for row in rows) == expected(4, 5)


@pytest.mark.parametrize("wanted", [3, 9, 11, 60])
def test_a_wrong_number_of_rows_is_not_forced(wanted: int) -> None:
    x, y = grid(10, 6)
    assert len(find_rows(x, y, SIZE, wanted).indices) == 10


def test_rows_of_different_lengths() -> None:
    x, y = grid(2, 5)
    assert find_rows(x[:9], y[:9], SIZE).counts == (5, 4)
