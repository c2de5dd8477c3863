"""Exported arrays of any layout and range; what is not clear is refused."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.arrays.pixels import images_first, images_to_nhwc, images_to_uint8
from headstart.errors import DataError

BYTES = np.array([0, 51, 102, 255], np.uint8)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (BYTES / 255, "read as 0 (black) … 1"),
        ((BYTES / 255).astype(np.float16), "read as 0 (black) … 1"),
        (BYTES / 127.5 - 1, "read as -1 (black) … 1"),
        (BYTES.astype(float), "read as 0 (black) … 255"),
        (BYTES.astype(np.int64), "read as 0 (black) … 255"),
        (BYTES.astype(np.uint16) * 257, "read as 0 (black) … 65535"),
        (BYTES / 255 * 1.0005, "read as 0 (black) … 1"),
    ],
)
def test_every_known_range_gives_the_same_bytes(values, said):
    pixels, note = images_to_uint8(values, "f")
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(
        pixels.astype(int), BYTES, atol=1 if values.dtype == np.float16 else 0
    )
    assert said in note


def test_bytes_are_passed_on_untouched_and_without_a_note():
    pixels, note = images_to_uint8(BYTES, "f")
    assert pixels is BYTES
    assert note == ""


def test_truth_values_are_black_and_white():
    np.testing.assert_array_equal(images_to_uint8(np.array([False, True]), "f")[0], [0, 255])


def test_a_stated_range_is_used_instead():
    pixels, _ = images_to_uint8(np.array([0, 8, 16]), "f", (0, 16))
    np.testing.assert_array_equal(pixels, [0, 128, 255])
    inverted, _ = images_to_uint8(np.array([0.0, 1.0]), "f", (1, 0))
    np.testing.assert_array_equal(inverted, [255, 0])


@settings(deadline=None)
@given(st.floats(-1, 0), st.floats(0.01, 1))
def test_recognised_floats_keep_their_order(low, high):
    values = np.sort(np.linspace(low, high, 20))
    pixels, _ = images_to_uint8(values, "f")
    assert (np.diff(pixels.astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("values", "value_range", "message"),
    [
        (np.array([0, np.nan]), None, "f: some pixels are not finite"),
        (np.array([0, np.inf]), None, "f: some pixels are not finite"),
        (np.array([-2.1, 2.8]), None, r"f: pixels are float64 -2.1 … 2.8; known are .*value_range"),
        (np.array([-5, 7]), None, "f: pixels are int64 -5 … 7"),
        (np.array([0, 300]), None, "f: pixels are int64 0 … 300"),
        (np.array([0, 1]), None, "f: pixels are int64 0 … 1;"),
        (np.array([0.0, 17.0]), (0, 16), r"f: pixels 0 … 17 are outside 0 … 16"),
        (np.array([0.0, 1.0]), (3, 3), "f: value_range: black and white are both 3"),
        (np.array(["a"]), None, "f: images of type <U1; numbers are needed"),
    ],
)
def test_an_unclear_range_is_refused(values, value_range, message):
    with pytest.raises(DataError, match=message):
        images_to_uint8(values, "f", value_range)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((9, 4, 5), (9, 4, 5, 1)),
        ((9, 4, 5, 3), (9, 4, 5, 3)),
        ((9, 1, 4, 5), (9, 4, 5, 1)),
        ((9, 3, 4, 5), (9, 4, 5, 3)),
        ((9, 256), (9, 16, 16, 1)),
        ((9, 3, 5, 3), (9, 3, 5, 3)),
        ((9, 256, 1), (9, 16, 16, 1)),
        ((9, 1, 256), (9, 16, 16, 1)),
        ((9, 256, 3), (9, 16, 16, 3)),
        ((9, 3, 256), (9, 16, 16, 3)),
        ((9, 3, 4), (9, 3, 4, 1)),
    ],
)
def test_layouts(shape, expected):
    images = np.arange(np.prod(shape)).reshape(shape)
    result = images_to_nhwc(images, "f")
    assert result.shape == expected
    assert result[0, 0, 1, 0] == (1 if shape[-1] != 3 else 3)


@pytest.mark.parametrize(
    ("images", "n_labels", "expected"),
    [
        ((4, 5, 3, 9), 9, (9, 4, 5, 3)),
        ((4, 5, 9), 9, (9, 4, 5)),
        ((9, 5, 9), 9, (9, 5, 9)),
        ((9, 4, 5), 5, (5, 9, 4)),
        ((9, 4, 5), 7, (9, 4, 5)),
        ((16, 9), 9, (9, 16)),
        ((16, 9), 7, (16, 9)),
    ],
)
def test_the_axis_of_images_is_that_as_long_as_the_labels(images, n_labels, expected):
    moved, note = images_first(np.zeros(images), n_labels)
    assert moved.shape == expected
    assert bool(note) == (images != expected)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([2, 6], ""), ([2, 6, 1], ""), ([6, 2], ""), ([2, 2, 3], ""), ([3, 2, 2], ""),
        ([2, 3, 2], "the first or the last must be 1 or 3"), ([5, 5], "are not 5 × 5; they may"),
    ],
)  # fmt: skip
def test_a_shape_fits_the_pixels_or_is_refused(shape, message):
    rows = np.arange(24).reshape(2, 12)
    if not message:
        images = images_to_nhwc(rows, "f", shape)
        assert images.shape[0] == 2
        assert sorted(images[0].ravel().tolist()) == list(range(12))
        return
    with pytest.raises(DataError, match=message):
        images_to_nhwc(rows, "f", shape)


def test_a_shape_is_for_rows_alone():
    with pytest.raises(DataError, match=r"f: shape is for rows of pixels; images are \(9, 4, 5\)"):
        images_to_nhwc(np.zeros((9, 4, 5)), "f", (4, 5))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((9, 200), "200 pixels an image are no square"),
        ((9, 1, 5, 3), "may have its channels second or last"),
        ((9, 4, 5, 2), "images of shape"),
        ((9, 12), r"12 pixels .* 2 × 2 in three colours"),
        ((9,), "images of shape"),
    ],
)
def test_other_layouts_are_refused(shape, message):
    with pytest.raises(DataError, match=message):
        images_to_nhwc(np.zeros(shape), "f")


@pytest.mark.parametrize(
    ("dtype", "lightest", "said"),
    [
        (np.uint8, 1, "0.4% of white; value_range: [0, 1] makes 1 white"),
        (np.uint16, 4000, "6.1% of white; value_range: [0, 4095] makes 4095 white"),
        (np.float32, 16, "6.3% of white; value_range: [0, 16] makes 16 white"),
    ],
)
def test_images_that_are_all_dark_are_noted_with_the_setting(dtype, lightest, said):
    images = np.array([[0, lightest]], dtype)
    pixels, note = images_to_uint8(images, "here")
    assert said in note
    assert pixels.max() < 64
    limits = json.loads(re.search(r"\[.*\]", note)[0])
    assert images_to_uint8(images, "here", tuple(limits))[0].max() > 240
