"""Pickles of arrays: what numpy and both Pythons write comes back; nothing else is run or built."""

from __future__ import annotations

import collections
import os
import pickle
import struct
import tracemalloc
from random import Random

import numpy as np
import pytest

from datasets.files.pickles import read_pickle

ARRAYS = [
    np.arange(12, dtype=np.uint8).reshape(3, 4),
    np.asfortranarray(np.arange(12, dtype=">i4").reshape(3, 4)),
    np.linspace(0, 1, 5, dtype=np.float32),
    np.array([True, False]),
    np.zeros((0, 3), np.int64),
    np.array(["cat", "dog"]),
]
# Written by Python 2.7: {'data': array([[1, 2]], dtype=uint8), 'labels': [3]}, protocol 2.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03K\x03aU\x04dataq\x04cnumpy.core.multiarray\n_reconstruct"
    b"\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x08"
    b"U\x02u1K\x00K\x01\x87Rq\t(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02"
    b"\x01\x02tbu."
)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_arrays_come_back(array, protocol):
    held = read_pickle(pickle.dumps({"data": array, "n": [1, 2.5, None, "é"]}, protocol))
    data = held[b"data" if b"data" in held else "data"]
    np.testing.assert_array_equal(data, array)
    assert data.dtype == array.dtype


def test_what_python_2_wrote_comes_back():
    held = read_pickle(PYTHON_2)
    assert held[b"labels"] == [3]
    np.testing.assert_array_equal(held[b"data"], np.array([[1, 2]], np.uint8))


def test_arrays_of_the_oldest_kind_come_back():
    """Protocol 0, Python 2's default: the bytes of an array are a text in quotation marks."""
    content = (
        b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntS'b'\ntR"
        b"(I1\n(I3\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"
        b"I00\nS'\\x00\\xff\\''\ntb."
    )
    np.testing.assert_array_equal(read_pickle(content), np.array([0, 255, 39], np.uint8))


@pytest.mark.parametrize("protocol", [2, 5])
def test_large_arrays_come_back(protocol):
    array = np.full(3 << 20, 200, np.uint8)
    np.testing.assert_array_equal(read_pickle(pickle.dumps(array, protocol)), array)


def test_a_place_of_a_high_number_takes_no_memory():
    tracemalloc.start()
    assert read_pickle(b"\x80\x02]r\xff\xff\xff\x7f.") == []
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_numbers_of_numpy_are_numbers():
    assert read_pickle(pickle.dumps([np.int64(3), np.float32(0.5)])) == [3, 0.5]


class Runs:
    def __reduce__(self):
        return os.system, ("touch /tmp/never",)


class SetsState:
    def __reduce__(self):
        return collections.OrderedDict, (), {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Runs()), r"it names \w+\.system, which may run code"),
        (pickle.dumps(SetsState()), r"it names collections\.OrderedDict"),
        (pickle.dumps(eval), r"it names builtins\.eval"),
        (pickle.dumps(np.array([None, {}], object)), "which are not read"),
        (pickle.dumps(np.zeros(2, [("a", "u1")])), "an array of 'V1'"),
        (pickle.dumps(np.ma.masked_array([1])), "it names numpy"),
        (b"", "pickle exhausted"),
        (b"hello", "it is no pickle|it takes a step|damaged|at position"),
        (pickle.dumps([1])[:-1], "pickle exhausted|no pickle"),
        (b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00a\x85R.", "it names os.system"),
        (b"\x80\x02cnumpy\nndarray\n.", "something else than values"),
        (b"\x80\x02cnumpy\nndarray\nK\x05\x85R.", "it is damaged"),
        (b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.", "it is damaged"),
        (b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.", "an array of 'O'"),
        (b"\x80\x02Vx\nQ.", r"takes a step \(BINPERSID\)"),
        (b"\x80\x02\x82\x01.", r"takes a step \(EXT1\)"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.", "expected 1099511627776 bytes"),
        (b"\x80\x02" + b"(" * 2_000 + b"t" * 2_000 + b".", ""),
    ],
)
def test_anything_else_is_refused_in_words(content, message):
    if message == "":
        assert isinstance(read_pickle(content), tuple)  # deep, and plain all the same
        return
    with pytest.raises(ValueError, match=message):
        read_pickle(content)


def test_the_stand_ins_cannot_be_changed():
    """A pickle that sets an attribute of a function would change it for the next file."""
    for name in ("multiarray\n_reconstruct", "numeric\n_frombuffer"):
        content = b"\x80\x02cnumpy.core." + name.encode() + b"\nN}X\x03\x00\x00\x00runK\x01s\x86b."
        with pytest.raises(ValueError, match="damaged"):
            read_pickle(content)
    assert len(read_pickle(pickle.dumps(ARRAYS[0]))) == 3


def test_an_array_that_announces_much_takes_no_memory():
    """As `_reconstruct` would: an array of a gigabyte, before any of it is read."""
    content = pickle.dumps(np.zeros(8, np.uint8), 2).replace(b"K\x08\x85", b"J\0\0\0\x40\x85")
    tracemalloc.start()
    with pytest.raises(ValueError, match="not as long as it says"):
        read_pickle(content)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_any_damage_is_a_value_error_or_read():
    whole = pickle.dumps({"data": ARRAYS[0], "labels": [1, 2, 3], "names": ["a", "b"]}, 2)
    rng = Random(0)
    refused = 0
    for _ in range(3_000):
        changed = bytearray(whole)
        for _ in range(rng.choice((1, 1, 3))):
            changed[rng.randrange(len(whole))] = rng.randrange(256)
        try:
            read_pickle(bytes(changed))
        except ValueError:
            refused += 1
    assert refused > 1_000
