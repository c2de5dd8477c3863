"""Exports as .npz files: any names, layout and range; damaged and hostile files refused."""

import zipfile

import numpy as np
import pytest
from data_files import noise, request

from datasets.sets.npz import Options, load
from headstart import packed
from headstart.errors import DataError, DataNotFoundError

RNG = np.random.default_rng(0)
IMAGES = noise(RNG, 12, 16, 16)
LABELS = np.arange(12) % 3


def read(tmp_path, arrays, request_options=None, **options):
    np.savez_compressed(tmp_path / "set.npz", **arrays)
    return load(Options(path="set.npz", **options), request(tmp_path, **(request_options or {})))


@pytest.mark.parametrize(
    ("x", "y"),
    [("images", "labels"), ("x", "y"), ("X", "Y"), ("data", "target"), ("arr/x", "arr/y")],
)
def test_the_usual_names_are_known(tmp_path, x, y):
    dataset = read(tmp_path, {x: IMAGES, y: LABELS, "readme": np.array(1)})
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    np.testing.assert_array_equal(dataset.labels, LABELS)
    assert dataset.parts == {}


@pytest.mark.parametrize(
    "names",
    [
        {"x_train": 6, "y_train": 6, "x_test": 6, "y_test": 6},
        {"train/data": 6, "train/target": 6, "test/data": 6, "test/target": 6},
        {"train_images": 6, "train_labels": 6, "test_images": 6, "test_labels": 6},
    ],
)
def test_parts_are_known_by_name(tmp_path, names):
    keys = list(names)
    arrays = {keys[0]: IMAGES[:6], keys[1]: LABELS[:6], keys[2]: IMAGES[6:], keys[3]: LABELS[6:]}
    dataset = read(tmp_path, arrays)
    assert {part: index.tolist() for part, index in dataset.parts.items()} == {
        "train": list(range(6)),
        "test": list(range(6, 12)),
    }
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)


def test_medmnist_has_three_parts_and_labels_in_a_column(tmp_path):
    arrays = {}
    for part, start in (("train", 0), ("val", 4), ("test", 8)):
        arrays[f"{part}_images"] = IMAGES[start : start + 4]
        arrays[f"{part}_labels"] = LABELS[start : start + 4, None]
    dataset = read(tmp_path, arrays)
    assert list(dataset.parts) == ["train", "validation", "test"]
    np.testing.assert_array_equal(dataset.labels, LABELS)


def test_sixteen_by_sixteen_floats_from_an_hdf5_export(tmp_path):
    """Like USPS: flat rows of 256 floats, in 0 … 1, for a network that wants 28×28."""
    arrays = {"x": (IMAGES / 255).astype(np.float32).reshape(12, 256), "y": LABELS}
    dataset = read(tmp_path, arrays)
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    assert dataset.notes == ("pixels are float32 0 … 1, read as 0 (black) … 1",)
    larger = read(tmp_path, arrays, {"image_size": (28, 28), "channels": 3})
    assert larger.images.shape == (12, 3, 28, 28)


def test_all_parts_share_one_range(tmp_path):
    arrays = {
        "x_train": IMAGES[:6] / 255,
        "y_train": LABELS[:6],
        "x_test": IMAGES[6:] / 510,
        "y_test": LABELS[6:],
    }
    assert read(tmp_path, arrays).images[6:].max() <= 128


@pytest.mark.parametrize(
    "names",
    [
        ("trainImages", "trainLabels", "testImages", "testLabels"),
        ("XTrain", "YTrain", "XTest", "YTest"),
        ("xtrain", "ytrain", "xtest", "ytest"),
        ("X_tr", "y_tr", "X_te", "y_te"),
        ("train_set_x_orig", "train_set_y", "test_set_x_orig", "test_set_y"),
        ("training_imgs", "training_class", "testing_imgs", "testing_class"),
    ],
)
def test_parts_in_other_spellings(tmp_path, names):
    arrays = (IMAGES[:6], LABELS[:6], IMAGES[6:], LABELS[6:])
    dataset = read(tmp_path, dict(zip(names, arrays, strict=True)))
    assert {part: len(index) for part, index in dataset.parts.items()} == {"train": 6, "test": 6}
    np.testing.assert_array_equal(dataset.labels, LABELS)


def test_arrays_without_names_are_images_and_labels_in_that_order(tmp_path):
    np.savez(tmp_path / "set.npz", IMAGES, LABELS)
    dataset = load(Options(path="set.npz"), request(tmp_path))
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)


@pytest.mark.parametrize(
    ("name", "names", "classes", "note"),
    [
        ("class_names", ["cat", "dog", "horse"], ("cat", "dog", "horse"), ""),
        ("label_names", [b"cat", "é".encode(), b"horse"], ("cat", "é", "horse"), ""),
        ("Classes", [["cat", "dog", "horse"]], ("cat", "dog", "horse"), ""),
        ("names", [f"{n}.png" for n in range(12)], ("0", "1", "2"), ""),  # of files
        ("class_names", ["cat", "dog"], ("0", "1", "2"), "the 2 names of classes in the file are"),
        ("class_names", [0, 1, 2], ("0", "1", "2"), "'class_names' names no classes: int64"),
        (
            "class_names",
            np.array(["cat", None]),
            ("0", "1", "2"),
            "names of classes were not read: 'cl",
        ),
        ("writer", [1], ("0", "1", "2"), "arrays that were not read: writer"),
    ],
)
def test_names_of_classes_in_the_file_are_taken_where_they_fit(
    tmp_path, name, names, classes, note
):
    dataset = read(tmp_path, {"images": IMAGES, "labels": LABELS, name: np.array(names)})
    assert dataset.class_names == classes
    assert "; ".join(dataset.notes).startswith(note) if note else dataset.notes == ()
    np.testing.assert_array_equal(dataset.labels, LABELS)


def test_names_in_the_sweep_come_before_those_in_the_file(tmp_path):
    arrays = {"images": IMAGES, "labels": LABELS, "class_names": np.array(list("abc"))}
    assert read(tmp_path, arrays, class_names=["x", "y", "z"]).class_names == ("x", "y", "z")


def test_an_array_called_names_of_labels_alone_is_the_labels(tmp_path):
    dataset = read(tmp_path, {"images": IMAGES, "label_names": np.array(list("abc"))[LABELS]})
    assert dataset.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(dataset.labels, LABELS)


def test_images_along_the_last_axis_are_known_by_the_number_of_labels(tmp_path):
    """As in SVHN: H×W×C×N, and labels in one row."""
    colour = noise(RNG, 12, 8, 8, 3)
    dataset = read(tmp_path, {"X": np.moveaxis(colour, 0, -1), "y": LABELS[None]})
    np.testing.assert_array_equal(dataset.images, colour.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(dataset.labels, LABELS)
    assert dataset.notes == ("images are numbered along the last axis (H×W×C×N)",)


def test_rows_of_colours_need_their_shape(tmp_path):
    colour = noise(RNG, 12, 8, 8, 3)
    arrays = {"x": colour.reshape(12, -1), "y": LABELS}
    with pytest.raises(DataError, match=r"192 pixels .* shape: \[8, 8, 3\] .* shape: \[3, 8, 8\]"):
        read(tmp_path, arrays)
    together = read(tmp_path, arrays, shape=[8, 8, 3])
    np.testing.assert_array_equal(together.images, colour.transpose(0, 3, 1, 2))
    apart = read(tmp_path, arrays, shape=[3, 8, 8])
    np.testing.assert_array_equal(apart.images, colour.reshape(12, 3, 8, 8))


def test_labels_and_the_test_part_in_files_of_their_own(tmp_path):
    """As KMNIST has them: four files of one array each, called arr_0."""
    for name, array in {"imgs": IMAGES, "labels": LABELS}.items():
        np.savez(tmp_path / f"train-{name}.npz", array)
        np.savez(tmp_path / f"test-{name}.npz", array[::-1])
    files = {"path": "train-imgs.npz", "labels_path": "train-labels.npz"}
    dataset = load(Options(**files), request(tmp_path))
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    np.testing.assert_array_equal(dataset.labels, LABELS)
    assert dataset.parts == {}
    files |= {"test_path": "test-imgs.npz", "test_labels_path": "test-labels.npz"}
    dataset = load(Options(**files), request(tmp_path))
    assert {part: len(index) for part, index in dataset.parts.items()} == {"train": 12, "test": 12}
    np.testing.assert_array_equal(dataset.labels[12:], LABELS[::-1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "holds arr_0; it needs .* are named by labels_path: a-labels.npz"),
        ({"labels_path": "b.npz"}, "b.npz: 12 images in 'arr_0' but 11 labels in 'arr_0'"),
        ({"labels_path": "xy.npz", "path": "xyz.npz"}, "xyz.npz: holds x, images, y; one array of"),
        ({"labels_path": "a-labels.npz", "test_path": "xy.npz"}, ""),
        ({"test_labels_path": "xy.npz", "path": "xy.npz"}, "test_labels_path without test_path"),
        ({"labels_path": "no.npz"}, "no.npz: no such file"),
        ({"test_path": "xy.npz", "path": "parts.npz"}, "parts.npz: holds the parts train; test_pa"),
    ],
)
def test_files_that_do_not_go_together_are_one_line(tmp_path, options, message):
    np.savez(tmp_path / "a-imgs.npz", IMAGES)
    np.savez(tmp_path / "a-labels.npz", LABELS)
    np.savez(tmp_path / "b.npz", LABELS[:-1])
    np.savez(tmp_path / "xy.npz", x=IMAGES, y=LABELS)
    np.savez(tmp_path / "xyz.npz", x=IMAGES, images=IMAGES, y=LABELS)
    np.savez(tmp_path / "parts.npz", x_train=IMAGES, y_train=LABELS)
    given = Options(**{"path": "a-imgs.npz", **options})
    if not message:
        assert len(load(given, request(tmp_path)).parts["test"]) == 12
        return
    with pytest.raises(DataError, match=message) as caught:
        load(given, request(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES, "y": LABELS[:-1]}, "12 images in 'x' but 11 labels in 'y'"),
        ({"x": IMAGES}, "holds x; it needs images and labels"),
        ({"a": IMAGES, "b": LABELS}, "holds a, b; it needs"),
        ({"x": IMAGES, "images": IMAGES, "y": LABELS}, "both 'x' and 'images' may be the images"),
        ({"x": IMAGES, "y": np.array([None] * 12)}, "'y' holds Python objects"),
        ({"x": IMAGES, "y": LABELS * 0}, "only one class"),
        ({"x_train": IMAGES, "y_train": LABELS, "x": IMAGES, "y": LABELS}, "it needs"),
        ({"x": np.uint8(3), "y": LABELS[None]}, "'x' is a single number"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES / 255, "y_test": LABELS},
            "pixels are uint8 in train, float64 in test; export all parts alike",
        ),
        (
            {
                "x_train": IMAGES,
                "y_train": LABELS,
                "x_test": IMAGES,
                "y_test": np.array(["a"] * 12),
            },
            "labels are int64 in train, <U1 in test; export all parts alike",
        ),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, 1:], "y_test": LABELS},
            "shapes",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line_with_the_file(tmp_path, arrays, message):
    with pytest.raises(DataError) as caught:
        read(tmp_path, arrays)
    assert str(caught.value).startswith(str(tmp_path / "set.npz"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"set\.npz: cannot be read as \.npz"):
        load(Options(path="set.npz"), request(tmp_path))


def test_a_truncated_file_is_refused(tmp_path):
    np.savez(tmp_path / "set.npz", x=IMAGES, y=LABELS)
    content = (tmp_path / "set.npz").read_bytes()
    (tmp_path / "set.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"set\.npz: cannot be read"):
        load(Options(path="set.npz"), request(tmp_path))


def test_an_array_that_swells_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "SMALL_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "set.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(4 << 20))
        archive.writestr("y.npy", b"")
    with pytest.raises(DataError, match=r"'x\.npy' unpacks to 4,194,304 bytes"):
        load(Options(path="set.npz"), request(tmp_path))


def test_a_file_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(DataNotFoundError, match=f"looked at nowhere.npz, {tmp_path}/nowhere.npz"):
        load(Options(path="nowhere.npz"), request(tmp_path))
