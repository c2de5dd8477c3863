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
