"""idx files: MNIST's own and anybody's; damaged ones are refused and named."""

import gzip

import numpy as np
import pytest
from data_files import idx_bytes, noise, request, write_mnist, write_tree

from datasets import load_dataset
from datasets.sets.idx import Options, load, read_idx
from headstart.errors import DataError, DataNotFoundError

ARRAY = noise(np.random.default_rng(0), 3, 4, 5)


@pytest.mark.parametrize("name", ["x-idx3-ubyte", "x-idx3-ubyte.gz"])
def test_an_array_comes_back(tmp_path, name):
    content = idx_bytes(ARRAY)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    np.testing.assert_array_equal(read_idx(tmp_path / name), ARRAY)


def test_other_types_are_big_endian(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\0\0\x0c\x01\0\0\0\x02" + np.array([1, 70_000], ">i4").tobytes())
    assert read_idx(path).tolist() == [1, 70_000]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx_bytes(ARRAY)[:-1], "shorter than its header says (3 × 4 × 5 values of 1 bytes)"),
        (idx_bytes(ARRAY) + b"x", "longer than its header says"),
        (idx_bytes(ARRAY)[:9], "ends within its header"),
        (b"\x89PNG", "not an idx file (it begins with 89 50 4e 47)"),
        (b"", "not an idx file"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "the limit is"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_truncated_gz_is_refused(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(idx_bytes(noise(np.random.default_rng(0), 50, 9, 9)))[:1000])
    with pytest.raises(DataError, match=r"x\.gz: cannot be read"):
        read_idx(path)


def test_a_folder_of_idx_files_is_a_set_with_parts(tmp_path):
    write_mnist(tmp_path / "mine", 30, 10, zipped=True)
    dataset = load(Options(path="mine"), request(tmp_path, image_size=(14, 14), channels=3))
    assert dataset.images.shape == (40, 3, 14, 14)
    assert {part: len(index) for part, index in dataset.parts.items()} == {"train": 30, "test": 10}
    assert dataset.class_names == tuple("0123456789")


def test_emnist_lies_on_its_side(tmp_path):
    write_mnist(tmp_path / "mine")
    upright = load(Options(path="mine"), request(tmp_path))
    turned = load(Options(path="mine", transpose=True), request(tmp_path))
    np.testing.assert_array_equal(turned.images, upright.images.transpose(0, 1, 3, 2))


def test_images_and_labels_that_do_not_fit_are_refused(tmp_path):
    files = {
        "train-images-idx3-ubyte": idx_bytes(ARRAY),
        "train-labels-idx1-ubyte": idx_bytes(np.zeros(2, np.uint8)),
    }
    with pytest.raises(DataError, match="train-labels-idx1-ubyte: 2 labels for the 3 images"):
        load(Options(path=write_tree(tmp_path / "mine", files)), request(tmp_path))


def test_a_folder_without_idx_files_says_how_they_are_named(tmp_path):
    with pytest.raises(DataNotFoundError, match="named like train-images-idx3-ubyte"):
        load(Options(path=tmp_path), request(tmp_path))


@pytest.mark.parametrize("folder", ["mnist/MNIST/raw", "MNIST/raw", "mnist/raw", "mnist"])
@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_found_where_torchvision_and_people_put_it(tmp_path, folder, zipped):
    write_mnist(tmp_path / folder, zipped=zipped)
    dataset = load_dataset("mnist", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert dataset.images.shape == (40, 1, 28, 28)
    assert dataset.source == str(tmp_path / folder)


def test_mnist_is_what_it_is_known_to_be(real_data):
    """The label counts that its authors publish, and the bytes after the header, read plainly."""
    dataset = load_dataset("mnist", data_dir=real_data)
    test = dataset.parts["test"]
    counts = np.bincount(dataset.labels[test]).tolist()
    assert counts == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    files = real_data / "mnist" / "MNIST" / "raw"
    pixels = np.fromfile(files / "t10k-images-idx3-ubyte", np.uint8, offset=16)
    np.testing.assert_array_equal(dataset.images[test].ravel(), pixels)
    labels = np.fromfile(files / "train-labels-idx1-ubyte", np.uint8, offset=8)
    np.testing.assert_array_equal(dataset.labels[dataset.parts["train"]], labels)
    assert dataset.notes == ()
