"""A sample that stands for a folder of large pictures, and what headers and names say."""

import numpy as np
from data_files import image_bytes, write_tree

from datasets.files.trees import open_tree
from datasets.images.survey import header_sizes, sample_of, small_size, survey


def test_a_sample_keeps_the_shares_of_classes_and_parts():
    strata = [("train", "a")] * 60 + [("train", "b")] * 30 + [("test", "a")] * 9 + [("test", "b")]
    chosen = sample_of(strata, [(10, 10), (10, 20)], most_pixels=1500)  # a tenth of 100 × 150
    counts = {each: [strata[i] for i in chosen].count(each) for each in set(strata)}
    assert counts == {("train", "a"): 6, ("train", "b"): 3, ("test", "a"): 1, ("test", "b"): 1}
    assert chosen[0] == 0
    assert chosen[5] == 59  # the first and the last, and evenly between
    np.testing.assert_array_equal(sample_of(strata, [(10, 10)], 10_000), np.arange(100))


def test_a_small_picture_keeps_the_median_proportions():
    assert small_size([(10, 10), (3000, 4000), (9000, 9000)]) == (192, 256)
    assert small_size([(100, 50)]) == (100, 50)
    assert small_size([(1, 2000)]) == (1, 256)
    assert small_size([]) == (1, 1)


def test_headers_are_read_of_evenly_spaced_files_and_damaged_ones_left_out(tmp_path):
    sizes = {f"{i}.png": image_bytes(np.zeros((i + 1, 2), np.uint8)) for i in range(3)}
    write_tree(tmp_path, sizes | {"9.png": b"no image"})
    with open_tree(tmp_path) as tree:
        assert header_sizes(tree, tree.names) == [(1, 2), (2, 2), (3, 2)]


def test_a_survey_by_hand():
    files = ["a/1.jpg", "a/2.JPG", "b/1.png"]
    strata = [("", "a"), ("", "a"), ("", "b")]
    result = survey(files, strata, [(5, 9), (1, 2), (3, 4)], is_sample=True, n_decoded=2)
    assert result.sizes == ((2, 1), (4, 3), (9, 5))  # width × height, by area
    assert result.kinds == {".jpg": 2, ".png": 1}
    assert result.counts == {"all": {"a": 2, "b": 1}}
    assert (result.n_files, result.n_decoded, result.n_sizes) == (3, 2, 3)
