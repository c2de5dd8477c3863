"""Pairs of .npy files: found by their names in a folder, or named one by one; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from data_files import noise, request

from datasets import dataset_for_path
from datasets.sets.npy import Options, load
from headstart.errors import DataError

IMAGES = noise(np.random.default_rng(0), 12, 8, 8)
LABELS = np.arange(12) % 3


def write(folder, arrays):
    for name, array in arrays.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / name, np.asarray(array))
    return folder


def read(tmp_path, arrays, path="set", **options):
    write(tmp_path / "set", arrays)
    return load(Options(path=path, **options), request(tmp_path))


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("trainX", "trainy", "testX", "testy"),
        ("train/images", "train/labels", "test/images", "test/labels"),
        ("kmnist-28-train-imgs", "kmnist-28-train-lbls", "kmnist-28-test-imgs",
         "kmnist-28-test-lbls"),
    ],
)  # fmt: skip
def test_pairs_and_parts_are_known_by_name(tmp_path, names):
    arrays = [IMAGES[:6], LABELS[:6], IMAGES[6:], LABELS[6:]]
    dataset = read(tmp_path, dict(zip(names, arrays, strict=True)))
    assert dataset_for_path(tmp_path / "set") == "npy"
    assert {part: index.tolist() for part, index in dataset.parts.items()} == {
        "train": list(range(6)),
        "test": list(range(6, 12)),
    }
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    np.testing.assert_array_equal(dataset.labels, LABELS)


@pytest.mark.parametrize("names", [("cifar10.1_v6_data", "cifar10.1_v6_labels"), ("X", "y")])
def test_a_pair_without_parts(tmp_path, names):
    dataset = read(tmp_path, {names[0]: np.stack([IMAGES] * 3, axis=-1), names[1]: LABELS})
    assert dataset.parts == {}
    np.testing.assert_array_equal(dataset.images[:, 2], IMAGES)


def test_two_files_of_any_names(tmp_path):
    arrays = {"gaussian_noise": IMAGES, "labels": LABELS, "fog": IMAGES}
    path, labels = "set/gaussian_noise.npy", "set/labels.npy"
    dataset = read(tmp_path, arrays, path, labels_path=labels, class_names=["a", "b", "c"])
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    assert dataset.class_names == ("a", "b", "c")


def test_each_file_may_be_a_class(tmp_path):
    """As Quick, Draw! has them: rows of 784 pixels."""
    rows = IMAGES.reshape(12, 64)
    arrays = {"full_numpy_bitmap_cat": rows[:5], "full_numpy_bitmap_dog": rows[5:]}
    with pytest.raises(DataError, match="or with file_is_class: true where each file holds"):
        read(tmp_path, arrays)
    dataset = read(tmp_path, arrays, file_is_class=True)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [0] * 5 + [1] * 7
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    with pytest.raises(DataError, match=r"x\.npy: images of shape \(8, 8\), those of full_numpy"):
        read(tmp_path, {"x": IMAGES}, file_is_class=True)


def test_rows_and_columns_may_be_swapped(tmp_path):
    arrays = {"images": IMAGES.reshape(12, 64), "labels": LABELS}
    np.testing.assert_array_equal(
        read(tmp_path, arrays, transpose=True).images[:, 0], IMAGES.swapaxes(1, 2)
    )


def test_names_of_classes_lie_beside(tmp_path):
    arrays = {"x_train": IMAGES, "y_train": LABELS, "class_names": ["ant", "bee", "cat"]}
    dataset = read(tmp_path, arrays)
    assert dataset.class_names == ("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"x": IMAGES, "y": LABELS[:-1]}, {}, "12 images in 'x' but 11 labels in 'y'"),
        ({"a": IMAGES, "b": IMAGES}, {},
         "which arrays are the images and the labels? It holds a (12, 8, 8), b (12, 8, 8). Say so"),
        ({"images": IMAGES}, {"path": "set/images.npy"},
         "It holds an array (12, 8, 8). Say so with images: NAME and labels: NAME, or with "
         "labels_path: FILE"),
        ({"x": IMAGES, "y": np.array([None] * 12)}, {}, "y.npy' holds Python objects"),
        ({"x": IMAGES, "y": LABELS}, {"images": "q", "labels": "y"}, "images: no array 'q'"),
        ({"x": IMAGES, "y": LABELS}, {"images": "x"}, "give both images and labels, or neither"),
        ({"x": IMAGES, "y": LABELS}, {"labels_path": "set/y.npy"}, "is a folder; labels_path goes"),
        ({"test_x": IMAGES, "train_test_y": LABELS}, {}, "which arrays are the images"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_one_line(tmp_path, arrays, options, message):
    with pytest.raises(DataError) as caught:
        read(tmp_path, arrays, **options)
    assert str(caught.value).startswith(str(tmp_path / "set"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_as_long_as_it_says_is_refused(tmp_path):
    write(tmp_path / "set", {"x": IMAGES, "y": LABELS})
    whole = (tmp_path / "set/x.npy").read_bytes()
    for content in (whole[:-1], whole[:40], b"", whole.replace(b"(12, 8, 8)", b"(12,8,9999)")):
        (tmp_path / "set/x.npy").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.npy: cannot be read as \.npy"):
            load(Options(path="set"), request(tmp_path))
