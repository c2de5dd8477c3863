"""Pickled arrays: mappings, pairs and three pairs; what runs code is refused."""

from __future__ import annotations

import gzip
import pickle

import numpy as np
import pytest
from data_files import noise, request, write_tree

from datasets import dataset_for_path
from datasets.sets.pickle import Options, load
from headstart.errors import DataError

IMAGES = noise(np.random.default_rng(0), 12, 8, 8, 3)
LABELS = np.arange(12) % 3


def read(tmp_path, files, path="set", **options):
    written = {name: content if isinstance(content, bytes) else pickle.dumps(content)
               for name, content in files.items()}  # fmt: skip
    write_tree(tmp_path / "set", written)
    return load(Options(path=path, **options), request(tmp_path))


@pytest.mark.parametrize(
    "held",
    [
        {"features": IMAGES, "labels": LABELS, "sizes": np.ones((12, 2)), "n": 3},
        {b"data": IMAGES, b"labels": LABELS.tolist()},
        (IMAGES, LABELS),
        [IMAGES, [f"class {k}" for k in LABELS]],
    ],
)
@pytest.mark.parametrize("name", ["a.p", "a.pkl.gz"])
def test_a_mapping_or_a_pair(tmp_path, held, name):
    content = pickle.dumps(held)
    content = gzip.compress(content) if name.endswith(".gz") else content
    dataset = read(tmp_path, {name: content}, f"set/{name}")
    assert dataset_for_path(tmp_path / "set" / name) == "pickle"
    np.testing.assert_array_equal(dataset.images.transpose(0, 2, 3, 1), IMAGES)
    np.testing.assert_array_equal(dataset.labels, LABELS)


def test_three_pairs_are_the_parts_of_the_old_mnist(tmp_path):
    rows = (IMAGES[..., 0] / 255).astype(np.float32).reshape(12, 64)
    pairs = tuple((rows[k : k + 4], LABELS[k : k + 4]) for k in (0, 4, 8))
    dataset = read(tmp_path, {"mnist.pkl.gz": gzip.compress(pickle.dumps(pairs, 2))})
    assert {part: index.tolist() for part, index in dataset.parts.items()} == {
        "train": [0, 1, 2, 3], "validation": [4, 5, 6, 7], "test": [8, 9, 10, 11],
    }  # fmt: skip
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES[..., 0])


def test_the_german_traffic_signs_have_a_file_for_each_part(tmp_path):
    held = {"features": IMAGES, "labels": LABELS, "coords": np.ones((12, 4)), "sizes": LABELS}
    dataset = read(tmp_path, {"train.p": held, "valid.p": held, "test.p": held})
    assert dataset_for_path(tmp_path / "set") == "pickle"
    assert {part: len(index) for part, index in dataset.parts.items()} == dict.fromkeys(
        ("train", "validation", "test"), 12
    )


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (print, "it names builtins.print, which may run code"),
        ({"a": 1}, "It holds no arrays"),
        ([1, 2, 3, 4], "It holds no arrays"),
        ({"features": IMAGES}, "which arrays are the images and the labels? It holds features (12"),
        (b"hello", "cannot be read as a pickle of arrays"),
        ({"x": np.array([None, 1]), "y": LABELS}, "holds an array"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, held, message):
    with pytest.raises(DataError) as caught:
        read(tmp_path, {"a.pkl": held}, "set/a.pkl")
    assert str(caught.value).startswith(str(tmp_path / "set/a.pkl"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
