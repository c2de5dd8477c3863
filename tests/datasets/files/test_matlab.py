"""MATLAB files: the values that scipy's own reader gives, and one line for damaged ones."""

import io
from contextlib import suppress

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from datasets.files.matlab import read_matlab
from headstart.errors import DataError


def saved(packed=False, **variables) -> bytes:
    file = io.BytesIO()
    savemat(file, variables, do_compression=packed)
    return file.getvalue()


def assert_equal(ours, theirs):
    assert ours.shape == theirs.shape
    if theirs.dtype.names:
        assert ours.dtype.names == theirs.dtype.names
        for name in theirs.dtype.names:
            assert_equal(ours[name], theirs[name])
    elif theirs.dtype == object:
        for own, other in zip(ours.ravel(), theirs.ravel(), strict=True):
            assert_equal(own, other)
    elif theirs.dtype.kind == "U":
        assert ours.tolist() == [text.rstrip() for text in theirs.tolist()]
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.array([[-3, 2]], np.int64),
        np.array([[1.5]], np.float32),
        np.array([[True, False]]),
        "a text",
        "Füße 漢字",
        np.array(["abc", "d"]),
        np.array([["a.jpg"], ["bb.jpg"]], dtype=object),
        np.array([[np.arange(3), np.array([["x"]], dtype=object)]], dtype=object),
        {"a": 1.0, "b": "two", "c": {"d": [1, 2]}},
        np.array([[(1, "x"), (2, "yy")]], dtype=[("n", "O"), ("file", "O")]),
        np.zeros((0, 3)),
    ],
)
def test_values_are_those_that_scipy_reads(value, packed):
    content = saved(packed, value=value, other=[[7]])
    theirs = loadmat(io.BytesIO(content))
    ours = read_matlab(io.BytesIO(content), "m.mat")
    assert set(ours) == {"value", "other"}
    assert_equal(ours["value"], theirs["value"])
    assert ours["other"].tolist() == [[7]]


def test_what_holds_no_data_is_passed_over():
    from scipy.sparse import csc_matrix

    content = saved(sparse=csc_matrix(np.eye(3)), labels=[[1, 2]])
    assert set(read_matlab(io.BytesIO(content), "m.mat")) == {"labels"}


@pytest.mark.parametrize("cut", [7, 30, 60])
def test_a_file_that_ends_too_early_is_one_line(cut):
    for packed in (False, True):
        with pytest.raises(DataError, match=r"^m\.mat: a damaged \.mat file: "):
            read_matlab(io.BytesIO(saved(packed, labels=np.arange(40.0))[:-cut]), "m.mat")


def test_a_changed_byte_ends_no_process():
    """scipy's own reader is ended by the system for some of these, as it reads where nothing is."""
    cells = np.array([["a.jpg"], ["b.jpg"]], dtype=object)
    records = np.array([[(1, "x"), (2, "yy")]], dtype=[("n", "O"), ("file", "O")])
    whole = saved(cells=cells, records=records)
    for at in range(128, len(whole)):
        for change in (0x01, 0x0E, 0x80, 0xFF):
            changed = whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]
            with suppress(DataError):
                read_matlab(io.BytesIO(changed), "m.mat")
