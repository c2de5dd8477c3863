"""Labels of any kind become classes 0 … C−1; names are matched in one way, or refused."""

import numpy as np
import pytest

from datasets import checked_options
from datasets.arrays.classes import labels_to_classes
from headstart.errors import DataError

LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize(
    ("values", "expected", "names"),
    [
        ([2, 0, 1], [2, 0, 1], ("0", "1", "2")),
        ([3, 1, 2], [2, 0, 1], ("1", "2", "3")),
        ([2.0, 0.0, 1.0], [2, 0, 1], ("0", "1", "2")),
        ([[2], [0], [1]], [2, 0, 1], ("0", "1", "2")),
        ([True, False], [1, 0], ("0", "1")),
        (["cat", "ant", "bee"], [2, 0, 1], ("ant", "bee", "cat")),
        ([b"cat", b"ant", "é".encode()], [1, 0, 2], ("ant", "cat", "é")),
    ],
)
def test_every_kind_of_label(values, expected, names):
    labels, class_names, note = labels_to_classes(np.array(values), "f")
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, expected)
    assert class_names == names
    assert note == ""


@pytest.mark.parametrize(
    ("values", "expected", "names", "note"),
    [
        ([0, 2, 10], [0, 1, 2], ("0", "2", "10"), "0 … 10 (1, 3 … 9 never occur); the 3 classes"),
        ([3, 0, 1], [2, 0, 1], ("0", "1", "3"), "(2 never occurs)"),
        ([100, 300], [0, 1], ("100", "300"), "2 of the numbers 100 … 300 (101 … 299 never occur)"),
        ([2, 3], [0, 1], ("2", "3"), "labels are 2 of the numbers 2 … 3; the 2 classes"),
        ([-1, 1], [0, 1], ("-1", "1"), "2 of the numbers -1 … 1 (0 never occurs)"),
        ([0, 255, 1], [0, 2, 1], ("0", "1", "255"), "(2 … 254 never occur)"),
        ([[0, 0, 1], [1, 0, 0]], [1, 0], ("0", "2"), "labels were one-hot rows; labels are 2 of"),
        (["Cat", "cat"], [0, 1], ("Cat", "cat"), "'Cat' and 'cat' differ in case only"),
    ],
)
def test_a_gap_is_closed_and_said(values, expected, names, note):
    labels, class_names, said = labels_to_classes(np.array(values), "f")
    assert (labels.tolist(), class_names) == (expected, names)
    assert note in said


@pytest.mark.parametrize(
    ("values", "given", "names", "note"),
    [
        ([0, 1, 2], ("a", "b", "c"), ("a", "b", "c"), ""),
        ([1, 2, 3], ("a", "b", "c"), ("a", "b", "c"), "label 1 is called 'a', 3 'c'"),
        ([0, 1, 3], ("a", "b", "c"), ("a", "b", "c"), "label 0 is called 'a', 3 'c'"),
        ([0, 1, 3], LETTERS[:4], ("a", "b", "d"), "no image of class c: left out"),
        ([0, 1], ("a", "b", "c"), ("a", "b"), "no image of class c: left out"),
        ([1, 2], ("a", "b", "c"), ("b", "c"), "no image of class a: left out"),
        ([1, 3, 4], LETTERS[:4], ("a", "c", "d"), "label 1 is called 'a'; no image of class b"),
        ([2, 9], ("x", "y"), ("x", "y"), "label 2 is called 'x', 9 'y'"),
        ([1, 4], {1: "a", 4: "d"}, ("a", "d"), ""),
        ([-1, 4], {4: "d", -1: "none", 7: "x"}, ("none", "d"), "no image of class x: left out"),
        ([10, 2], {"2": "two", "10": "ten"}, ("two", "ten"), ""),
        (["b", "a"], ("b", "a"), ("b", "a"), ""),
        (["b", "a"], ("c", "b", "a"), ("b", "a"), "no image of class c: left out"),
        (["n02", "n01"], {"n01": "tench", "n02": "eel"}, ("tench", "eel"), ""),
    ],
)
def test_names_fit_in_one_way_and_it_is_said(values, given, names, note):
    labels, class_names, said = labels_to_classes(np.array(values), "f", given)
    assert class_names == names
    assert (note in said) if note else said == ""
    of_value = dict(zip(values, (class_names[label] for label in labels), strict=True))
    if isinstance(given, dict):
        by_text = {str(label): name for label, name in given.items()}
        assert of_value == {value: by_text[str(value)] for value in values}


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        ([0, 1, -1], None, r"f: label -1 \(row 2\) is below 0; leave out images without a label"),
        ([0, 1, 7], ("a", "b"), r"f: 2 class_names for 3 labels, 0 … 7 \(2 … 6 never occur\): "
         r"give 8 names for 0 … 7, 3 for the labels that occur, or .*class_names: \{0: a, …\}"),
        ([1, 2, 5], ("a", "b"), "give 6 names for 0 … 5, 5 for 1 … 5, 3 for the labels that occur"),
        ([1, 2, 3], LETTERS, "f: 26 class_names for 3 labels, 1 … 3: give 4 names for 0 … 3"),
        ([0.5, 1], None, r"f: labels of type float64 that are not whole numbers \(row 0 is 0.5\)"),
        ([0, np.nan], None, r"not whole numbers \(row 1 is nan\)"),
        ([0, 1j], None, "f: labels of type complex128 that are not whole numbers"),
        (["x", "a"], ("a", "b"), r"f: label 'x' is none of a, b; .*class_names: \{x: NAME, …\}"),
        (["x", ""], None, "f: the label of row 1 is empty"),
        ([b"x", b"\xff"], None, "f: a label is no UTF-8 text"),
        ([[0.2, 0.8]], None, r"f: labels of shape \(1, 2\)"),
        ([1, 2], {1: "a"}, "f: class_names has no name for the label 2"),
        ([1, 2], {1: "a", 2: "a"}, "f: class_names calls two labels 'a'"),
        (np.arange(0, 200, 2), None, "f: 100 different labels, 0 … 198, for 100 images; are these"),
    ],
)  # fmt: skip
def test_what_fits_in_no_way_or_in_two_is_refused(values, names, message):
    with pytest.raises(DataError, match=message):
        labels_to_classes(np.array(values), "f", names)


@pytest.mark.parametrize("given", [["a"], "ab", [1, 2], {1: 2, 2: 3}, 7])
def test_names_that_are_none_are_one_line(given):
    with pytest.raises(
        DataError, match=r"'class_names': .*(two names or more|in quotes)"
    ) as caught:
        checked_options("npz", {"path": "x", "class_names": given})
    assert "\n" not in str(caught.value)
