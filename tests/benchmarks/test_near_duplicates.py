"""What the table of near-duplicates counts: tiny cases worked out by hand."""

from __future__ import annotations

import numpy as np

from benchmarks import near_duplicates
from benchmarks.near_duplicates import Pictures, shares_of_copies, within


def pictures(hashes, first_copy=None):
    n = len(hashes)
    first_copy = np.arange(n) if first_copy is None else np.asarray(first_copy)
    return Pictures(np.zeros((n, 1, 16, 16), np.uint8), first_copy, np.array(hashes, np.uint64))


def test_hashes_are_near_by_the_bits_in_which_they_differ():
    of = pictures([0b0, 0b11, 0b1111, 0b0], first_copy=[0, 1, 2, 0])
    tested = np.array([0, 2])
    assert within(2, of, tested).tolist() == [[0, 1], [2, 1]]  # 3 is an exact copy of 0
    assert within(4, of, tested).tolist() == [[0, 1], [0, 2], [2, 0], [2, 1], [2, 3]]


def test_copies_count_by_their_original_and_by_any_other_image():
    """Copies 4 and 5 of images 0 and 1: 4 is found and meets image 2 too, 5 meets image 0 alone."""
    pairs = np.array([[4, 0], [4, 2], [4, 2], [5, 0], [5, 4]])
    shares = shares_of_copies(lambda *_: pairs, pictures([0] * 6), np.array([0, 1]))
    assert shares == (0.5, 1.0)


def test_every_change_keeps_an_image_s_size_and_alters_it():
    rng = np.random.default_rng(0)
    for shape in ((28, 28), (33, 40, 3)):
        image = rng.integers(0, 200, shape, dtype=np.uint8)
        for change in near_duplicates.CHANGES.values():
            changed = change(image)
            assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
            assert not np.array_equal(changed, image)


def test_each_set_that_is_not_there_is_named_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADSTART_DATA", str(tmp_path))
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    assert list(near_duplicates.loaded(list(near_duplicates.SETS))) == []
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert [line.split(" is left out: ")[0] for line in lines] == list(near_duplicates.SETS)
    assert captured.out == ""
