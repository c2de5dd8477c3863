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
    ("arrays", "message"),
    [
        ({"x": IMAGES, "y": LABELS[:-1]}, "12 images in 'x' but 11 labels in 'y'"),
        ({"x": IMAGES}, "holds x; it needs images and labels"),
        ({"a": IMAGES, "b": LABELS}, "holds a, b; it needs"),
        ({"x": IMAGES, "images": IMAGES, "y": LABELS}, "both 'x' and 'images' may be the images"),
        ({"x": IMAGES, "y": np.array([None] * 12)}, "'y' holds Python objects"),
        ({"x": IMAGES, "y": LABELS * 0}, "only one class"),
        ({"x_train": IMAGES, "y_train": LABELS, "x": IMAGES, "y": LABELS}, "it needs"),
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
