"""Cropping, fitting and centring by hand, and what must hold for any character."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.preprocess import (
    centred,
    gray,
    mnist_style,
    mnist_style_on,
    resize,
    shape_images,
    shape_ink,
    sized,
)


def test_a_square_of_ink_fills_twenty_pixels_in_the_middle():
    page = np.zeros((300, 200), np.uint8)
    page[30:70, 110:150] = 200
    expected = np.zeros((28, 28), np.uint8)
    expected[4:24, 4:24] = 255
    np.testing.assert_array_equal(mnist_style(page), expected)


def test_the_longer_side_is_fitted_and_proportions_are_kept():
    page = np.zeros((100, 100), np.uint8)
    page[10:90, 40:60] = 255
    rows, columns = np.nonzero(mnist_style(page))
    assert np.ptp(rows) + 1 == 20
    assert np.ptp(columns) + 1 == 5


def test_mass_not_the_box_is_centred():
    page = np.zeros((40, 40), np.uint8)
    page[10:30, 10:12] = 255  # a stem at the left …
    page[27:30, 12:30] = 255  # … and a foot: the box's middle is not the mass's
    result = mnist_style(page).astype(float)
    centre = (result.sum(axis=0) * np.arange(28)).sum() / result.sum()
    assert abs(centre - 14) <= 0.5
    assert np.flatnonzero(result.any(axis=0))[0] > 4  # where a box in the middle would begin


def test_faint_dirt_far_from_the_character_does_not_move_it():
    page = np.zeros((100, 100), np.uint8)
    page[40:60, 40:60] = 255
    dirty = page.copy()
    dirty[2, 2] = 20
    np.testing.assert_array_equal(mnist_style(dirty), mnist_style(page))


@pytest.mark.parametrize("shape", [(5, 5), (1, 1), (0, 0), (28, 28)])
def test_a_page_without_ink_gives_an_empty_image(shape):
    assert not mnist_style(np.zeros(shape, np.uint8)).any()


def test_centred_ink_keeps_its_size_wherever_it_stands():
    """A page of 120 shows a window of 100, so 40×40 has one pixel for 2.5 of the page."""
    expected = np.zeros((40, 40), np.uint8)
    expected[16:24, 18:22] = 200
    for top, left in ((50, 70), (0, 0), (100, 150), (37, 3)):
        page = np.zeros((120, 160), np.uint8)
        page[top : top + 20, left : left + 10] = 200
        np.testing.assert_array_equal(centred(page, (40, 40)), expected)


def test_centred_shows_more_of_the_page_where_the_ink_is_larger_than_the_window():
    page = np.zeros((120, 240), np.uint8)
    page[55:65, 10:230] = 255
    shown = centred(page, (44, 44))  # 220 page pixels on 44
    assert shown[21:23].all()
    assert not shown[:20].any()
    assert not shown[24:].any()


def test_a_page_without_ink_is_centred_to_an_empty_image():
    assert centred(np.zeros((9, 12), np.uint8), (36, 48)).shape == (36, 48)
    assert not centred(np.zeros((9, 12), np.uint8), (36, 48)).any()


def test_each_way_has_its_name():
    page = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
    for name, way in (("resize", resize), ("mnist_style", mnist_style_on), ("centred", centred)):
        np.testing.assert_array_equal(shape_ink(page, (20, 30), name), way(page, (20, 30)))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 64),
    st.integers(1, 64),
)
def test_any_page_is_centred_to_the_size_asked_for(seed, height, width, high, wide):
    page = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    result = centred(page, (high, wide))
    assert result.shape == (high, wide)
    assert result.dtype == np.uint8


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.integers(1, 90), st.integers(8, 64))
def test_any_page_gives_a_whole_image_of_the_size_asked_for(seed, height, width, size):
    page = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    result = mnist_style(page, size)
    assert result.shape == (size, size)
    assert result.dtype == np.uint8
    if page.any():
        assert result.max() == 255


def test_mnist_style_leaves_a_digit_of_mnist_almost_as_it_was(real_data):
    """MNIST's own digits went through the same steps, so they are a reference for them."""
    from datasets import load_dataset

    images = load_dataset("mnist", data_dir=real_data).images[60_000:60_200, 0]
    changes = np.array([np.abs(mnist_style(i).astype(int) - i).mean() for i in images])
    assert (changes == 0).mean() > 0.7  # the others have a border too faint to be cropped to
    assert np.percentile(changes, 95) < 30


def test_a_rectangle_holds_the_square_in_its_middle():
    page = np.zeros((50, 50), np.uint8)
    page[5:45, 5:45] = 255
    result = mnist_style_on(page, (28, 40))
    np.testing.assert_array_equal(result[:, 6:34], mnist_style(page))
    assert not result[:, :6].any()
    assert not result[:, 34:].any()


def test_shrinking_takes_the_mean_of_the_area():
    image = np.array([[0, 100, 10, 10], [100, 200, 10, 10]], np.uint8)
    np.testing.assert_array_equal(resize(image, (1, 2)), [[100, 10]])


def test_two_steps_are_close_to_one_for_a_large_page():
    rng = np.random.default_rng(3)
    page = cv2.GaussianBlur(rng.integers(0, 256, (900, 1200), dtype=np.uint8), (0, 0), 20)
    one_step = cv2.resize(page, (28, 28), interpolation=cv2.INTER_AREA)
    assert np.abs(resize(page, (28, 28)).astype(int) - one_step).max() <= 3


def test_colour_becomes_luma_and_one_channel_is_repeated_without_copies():
    red = np.zeros((2, 4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert (shape_images(red, None, 1) == 76).all()  # 0.299 · 255
    repeated = shape_images(np.full((2, 4, 4), 9, np.uint8), (8, 8), 3)
    assert repeated.shape == (2, 3, 8, 8)
    assert repeated.strides[1] == 0


def test_gray_weighs_the_channels_as_bt601_does():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    np.testing.assert_allclose(gray(image), image @ [0.299, 0.587, 0.114], atol=1)


def square(size: int, top: int, left: int, side: int, level: int = 255) -> np.ndarray:
    page = np.zeros((size, size), np.uint8)
    page[top : top + side, left : left + side] = level
    return page


def test_the_box_grows_with_the_image():
    expected = square(56, 8, 8, 40)
    np.testing.assert_array_equal(mnist_style(square(90, 3, 40, 10, 7), 56), expected)


@pytest.mark.parametrize(("faint", "kept"), [(20, True), (19, False)])
def test_ink_of_a_tenth_of_the_strongest_belongs_to_the_character(faint, kept):
    page = square(100, 40, 40, 20, 200)
    page[40:60, 80:100] = faint  # the box is 60 wide with it, else 20
    result = mnist_style(page)
    assert (result == 255).sum() == (6 * 7 if kept else 20 * 20)


def test_a_very_dim_page_keeps_all_of_its_ink():
    page = square(40, 10, 10, 10, 5)
    page[10:20, 20:30] = 1
    columns = np.flatnonzero(mnist_style(page).any(axis=0))
    assert len(columns) == 20


def test_ink_that_is_heavy_on_one_side_is_moved_no_further_than_the_edge():
    page = np.zeros((40, 40), np.uint8)
    page[:, 0:2] = 255
    page[39, :] = 40  # a long faint foot: the mass is far to the left
    result = mnist_style(page)
    rows, columns = np.nonzero(result)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 20)
    assert columns[-1] <= 27
    assert columns[0] == 8, "eight columns of paper are all that there is on that side"


def test_ink_that_is_heavy_at_the_bottom_is_moved_up_to_the_edge():
    page = np.zeros((40, 40), np.uint8)
    page[38:40, :] = 255
    page[:, 39] = 40
    rows, columns = np.nonzero(mnist_style(page))
    assert (rows[0], rows[-1]) == (0, 19)
    assert np.ptp(columns) + 1 == 20
    rows, columns = np.nonzero(mnist_style(page.T))
    assert (columns.min(), columns.max()) == (0, 19)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((30, 30), (30, 30)), ((1, 1), (1, 1)), ((20, 30), (20, 30)), ((20, 30, 3), (20, 30))],
)
def test_an_image_of_the_size_asked_for_is_given_back(shape, size):
    image = np.zeros(shape, np.uint8)
    assert resize(image, size) is image


@pytest.mark.parametrize("size", [(8, 8), (8, 2), (2, 8)])
def test_what_grows_either_way_is_drawn_linearly(size):
    image = np.array([[0, 200, 0, 200], [100, 0, 50, 9], [0, 9, 9, 9], [200, 0, 1, 3]], np.uint8)
    expected = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize(image, size), expected)


@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [
        (80, 80, 1),
        (150, 150, 1),  # 15 source pixels a target pixel: halved they would be fewer than 8
        (160, 160, 2),
        (160, 320, 2),
        (320, 160, 2),
        (240, 240, 3),
        (250, 250, 2),  # 3 would suffice and does not divide it
        (241, 241, 1),
    ],
)
def test_large_pages_are_shrunk_by_a_whole_factor_first(height, width, factor):
    page = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    first = cv2.resize(page, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(first, (10, 10), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(resize(page, (10, 10)), expected)
    if factor > 1:
        one_step = cv2.resize(page, (10, 10), interpolation=cv2.INTER_AREA)
        assert (one_step != expected).any(), "the page tells the ways apart"


def test_a_wide_page_that_grows_in_height_alone_is_drawn_linearly():
    page = np.random.default_rng(0).integers(0, 256, (4, 10), dtype=np.uint8)
    for image, size in ((page, (8, 2)), (page.T, (2, 8))):
        expected = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(resize(image, size), expected)


def test_an_upright_rectangle_holds_the_square_in_its_middle_too():
    page = square(50, 5, 5, 40)
    result = mnist_style_on(page, (41, 28))
    np.testing.assert_array_equal(result[6:34], mnist_style(page))
    assert not result[:6].any()
    assert not result[34:].any()


def test_a_window_beyond_the_page_is_paper_on_every_side():
    page = np.full((12, 12), 9, np.uint8)
    page[0, 0] = 255
    page[1:, :] = page[:, 1:] = 0  # one dot in the corner: a window of 10 around it
    shown = centred(page, (10, 10))
    assert shown.tolist() == [[255 * ((y, x) == (5, 5)) for x in range(10)] for y in range(10)]
    corner = centred(page[::-1, ::-1], (10, 10))
    assert np.argwhere(corner).tolist() == [[5, 5]]


def test_a_window_has_the_proportions_of_the_image():
    """A page of 60×120, shorter side 50: an image of 20×40 shows 50×100 of it."""
    page = np.zeros((60, 120), np.uint8)
    page[20:40, 40:80] = 200
    expected = np.zeros((20, 40), np.uint8)
    expected[6:14, 12:28] = 200
    np.testing.assert_array_equal(centred(page, (20, 40)), expected)


def test_a_tall_character_decides_the_window_where_it_would_not_fit():
    page = np.zeros((100, 100), np.uint8)
    page[:, 45:55] = 255
    shown = centred(page, (50, 50))
    assert shown.any(axis=1).all()
    assert np.flatnonzero(shown.any(axis=0)).tolist() == list(range(22, 28))


@pytest.mark.parametrize(
    ("shape", "size", "channels", "expected"),
    [
        ((2, 4, 6), None, None, (2, 1, 4, 6)),
        ((2, 4, 6, 1), None, None, (2, 1, 4, 6)),
        ((2, 4, 6, 3), None, None, (2, 3, 4, 6)),
        ((2, 4, 6, 3), None, 3, (2, 3, 4, 6)),
        ((2, 4, 6, 3), None, 1, (2, 1, 4, 6)),
        ((2, 4, 6), None, 1, (2, 1, 4, 6)),
        ((2, 4, 6), (4, 6), None, (2, 1, 4, 6)),
        ((2, 4, 6, 3), (8, 3), None, (2, 3, 8, 3)),
        ((2, 4, 6, 3), (8, 3), 1, (2, 1, 8, 3)),
        ((2, 4, 6), (8, 3), 3, (2, 3, 8, 3)),
    ],
)
def test_stacks_come_out_in_the_shape_asked_for(shape, size, channels, expected):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    result = shape_images(images, size, channels)
    assert result.shape == expected
    assert result.dtype == np.uint8
    for image, source in zip(result, images, strict=True):
        plane = source if source.ndim == 2 or source.shape[2] > 1 else source[..., 0]
        plane = gray(plane) if plane.ndim == 3 and channels == 1 else plane
        plane = plane if size is None else resize(plane, size)
        by_hand = plane[None] if plane.ndim == 2 else plane.transpose(2, 0, 1)
        np.testing.assert_array_equal(image, np.broadcast_to(by_hand, expected[1:]))


def test_sized_shows_where_on_its_page_the_cropped_character_stood():
    page = np.zeros((90, 120), np.uint8)
    page[45:72, 30:60] = 255  # from half of the height to 0.8, from a quarter of the width to half
    shown = sized(page, (40, 48))
    assert (shown[:, 4:44] == mnist_style(page, 40))[:, 2:38].all()
    left, right = shown[:, 2:5], shown[:, 43:46]
    assert (np.flatnonzero(left.min(axis=1)) == np.arange(20, 32)).all()
    assert (np.flatnonzero(right.min(axis=1)) == np.arange(10, 20)).all()
    moved = np.roll(page, (-9, 18), axis=(0, 1))
    again = sized(moved, (40, 48))
    assert (again[:, 6:42] == shown[:, 6:42]).all()
    assert (np.flatnonzero(again[:, 3]) == np.arange(16, 28)).all()
    assert (np.flatnonzero(again[:, 44]) == np.arange(16, 26)).all()
    assert not sized(np.zeros((9, 9), np.uint8), (40, 48)).any()
