"""Ink from photographs: whatever the light, without lines, edges and tables."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from datasets.sheet.paper.dark import is_dark_page
from datasets.sheet.paper.ink import WORKING_SIDE, find_ink

HEIGHT, WIDTH = 1200, WORKING_SIDE


def written() -> np.ndarray:
    """A white page, float32 (H, W, 3), with six strokes, and paper grain."""
    page = np.full((HEIGHT, WIDTH, 3), 230, np.float32)
    for i in range(6):
        cv2.line(page, (300 + 180 * i, 500), (340 + 180 * i, 620), (60, 60, 60), 10, cv2.LINE_AA)
    grain = np.random.default_rng(0).normal(0, 2, (HEIGHT, WIDTH, 1))
    return page + grain.astype(np.float32)


def mask_of(page: np.ndarray) -> np.ndarray:
    return find_ink(np.clip(page, 0, 255).astype(np.uint8)).mask


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    """The mask of the page in even light."""
    mask = mask_of(written())
    assert cv2.connectedComponents(mask.astype(np.uint8))[0] - 1 == 6
    return mask


def test_uneven_light_changes_nothing(plain: np.ndarray) -> None:
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    light = 0.9 - 0.35 * x - 0.15 * (x**2 + y**2)
    assert overlap(mask_of(written() * light[..., None].clip(0.2)), plain) > 0.9


def test_a_hard_shadow_over_strokes_changes_nothing(plain: np.ndarray) -> None:
    light = np.ones((HEIGHT, WIDTH), np.float32)
    cv2.fillPoly(light, [np.array([[0, 400], [900, 560], [500, 1199], [0, 1199]])], 0.55)
    light = cv2.GaussianBlur(light, (0, 0), 5)
    assert overlap(mask_of(written() * light[..., None]), plain) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("upright", [False, True])
def test_printed_lines_go_and_strokes_stay(plain: np.ndarray, upright: bool) -> None:
    """Slow: it cleans several large pages."""
    page = written()
    for place in range(60, 1200, 97):
        start, end = ((place, 0), (place, HEIGHT)) if upright else ((0, place), (WIDTH, place + 40))
        cv2.line(page, start, end, (180, 150, 120), 2, cv2.LINE_AA)
    assert overlap(mask_of(page), plain) > 0.8


def test_a_dark_strip_and_a_table_go(plain: np.ndarray) -> None:
    page = written()
    page[:, -12:] = 20
    page[-150:] = 40 + 15 * np.random.default_rng(1).normal(size=(150, WIDTH, 1))
    assert overlap(mask_of(page), plain) > 0.9


def test_fibres_of_cardboard_do_not_set_the_measure(plain: np.ndarray) -> None:
    page = written()
    rng = np.random.default_rng(2)
    for x, y in rng.integers((20, 20), (WIDTH - 20, HEIGHT - 20), (3500, 2)).tolist():
        cv2.line(page, (x, y), (x + 4, y + 2), (185, 185, 185), 2)
    assert overlap(mask_of(page), plain) > 0.8


def test_coloured_and_faint_ink_is_found(plain: np.ndarray) -> None:
    page = written()
    faint = page[:, :700]
    strokes = plain[:, :700]
    faint[strokes] = (215, 150, 150)  # light red ink beside black ink
    assert overlap(mask_of(page), plain) > 0.75


def test_resolution_does_not_matter(plain: np.ndarray) -> None:
    small = cv2.resize(written(), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert overlap(mask_of(small), plain) > 0.75


def test_a_blank_page_has_no_ink() -> None:
    assert mask_of(np.full((300, 400, 3), 220, np.float32)).sum() == 0


def test_turning_the_ink_turns_the_mask(plain: np.ndarray) -> None:
    ink = find_ink(written().clip(0, 255).astype(np.uint8))
    assert np.array_equal(ink.turned(1).mask, np.rot90(ink.mask))


@pytest.mark.slow
def test_light_writing_on_a_dark_page_is_told_from_dark_writing_on_a_light_one() -> None:
    """Slow: it cleans several large pages."""
    for pen in (4, 90):  # a thin pen, and strokes as wide as a finger
        page = np.full((800, 1000, 3), 60, np.uint8)
        cv2.line(page, (300, 150), (320, 650), (200, 210, 190), pen)
        cv2.line(page, (650, 150), (600, 650), (230, 180, 180), pen)
        assert is_dark_page(page)
        assert not is_dark_page(255 - page)
        assert find_ink(page).inverted
