"""The wrong-label set: labels from folders, images by number, MNIST's test part."""

import numpy as np
import pytest
from data_files import image_bytes, noise, request, write_mnist, write_tree, write_zip

from datasets import load_dataset, right_labels
from datasets.sets.mnist_task3 import Options, load
from headstart.errors import DataError, DataNotFoundError

RNG = np.random.default_rng(0)
# Image n lies in folder (3 · n) mod 10.
FILES = {
    f"mnistTask/{3 * n % 10}/image_{n:06d}.jpg": image_bytes(noise(RNG, 28, 28), "JPEG")
    for n in range(20)
}


@pytest.fixture
def zipped(tmp_path):
    write_zip(tmp_path / "mnist_task3" / "mnistTask3.zip", FILES)
    write_mnist(tmp_path / "mnist" / "raw", n_test=10)
    return tmp_path


def test_images_come_by_number_with_their_folder_as_label(zipped):
    dataset = load(Options(test="none"), request(zipped))
    np.testing.assert_array_equal(dataset.labels, 3 * np.arange(20) % 10)
    assert dataset.parts == {}
    assert dataset.images.shape == (20, 1, 28, 28)


def test_the_test_part_is_that_of_mnist(zipped):
    dataset = load(Options(), request(zipped))
    mnist = load_dataset("mnist", data_dir=zipped, cache_dir=zipped / "cache")
    assert dataset.parts["train"].tolist() == list(range(20))
    np.testing.assert_array_equal(
        dataset.images[dataset.parts["test"]], mnist.images[mnist.parts["test"]]
    )
    np.testing.assert_array_equal(dataset.labels[20:], mnist.labels[mnist.parts["test"]])


def test_right_labels_are_those_of_mnist_by_the_number_in_the_name(zipped):
    mnist = load_dataset("mnist", data_dir=zipped, cache_dir=zipped / "cache")
    of_train, of_test = (mnist.labels[mnist.parts[part]] for part in ("train", "test"))
    for test, expected in (("mnist", [*of_train[:20], *of_test]), ("none", of_train[:20])):
        dataset = load_dataset(
            "mnist_task3", data_dir=zipped, cache_dir=zipped / "cache", test=test
        )
        where = {"data_dir": zipped, "cache_dir": zipped / "cache"}
        right = right_labels("mnist_task3", {"test": test}, dataset, **where)
        np.testing.assert_array_equal(right, expected)
        spoilt = {"test": test, "corrupt_labels": {"kind": "pairs", "fraction": 1}}
        np.testing.assert_array_equal(
            right_labels("mnist_task3", spoilt, dataset, **where), expected
        )


def test_right_labels_are_not_known_without_mnist_or_with_a_number_that_mnist_lacks(tmp_path):
    where = {"data_dir": tmp_path, "cache_dir": tmp_path / "cache"}
    write_zip(tmp_path / "mnist_task3" / "mnistTask3.zip", FILES)
    dataset = load_dataset("mnist_task3", test="none", **where)
    assert right_labels("mnist_task3", {"test": "none"}, dataset, **where) is None
    write_mnist(tmp_path / "mnist" / "raw", n_train=10, n_test=10)
    assert right_labels("mnist_task3", {"test": "none"}, dataset, **where) is None


def test_a_folder_gives_the_same_as_the_zip(zipped, tmp_path_factory):
    other = write_tree(
        tmp_path_factory.mktemp("x"), {f"mnist_task3/{k}": v for k, v in FILES.items()}
    )
    assert (
        load(Options(test="none"), request(other)).fingerprint
        == load(Options(test="none"), request(zipped)).fingerprint
    )


def test_size_and_channels_are_the_networks(zipped):
    dataset = load(Options(), request(zipped, image_size=(32, 32), channels=3))
    assert dataset.images.shape == (30, 3, 32, 32)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"put mnistTask3\.zip into"):
        load(Options(), request(tmp_path))
    write_zip(tmp_path / "mnistTask3.zip", FILES)
    with pytest.raises(DataNotFoundError, match="data set 'mnist' is not on this machine"):
        load(Options(), request(tmp_path))
    load(Options(test="none"), request(tmp_path))


def test_a_zip_of_something_else_is_refused(tmp_path):
    write_zip(tmp_path / "mnistTask3.zip", {"a/b.jpg": b"x"})
    with pytest.raises(DataError, match=r"mnistTask3\.zip: no image named like 0/image_000007"):
        load(Options(test="none"), request(tmp_path))


@pytest.mark.slow
def test_the_real_set_is_wrong_but_for_60(real_data):
    """Slow the first time: it decodes 60,000 JPEGs."""
    dataset = load_dataset("mnist_task3", data_dir=real_data)
    mnist = load_dataset("mnist", data_dir=real_data)
    given, right = dataset.labels[:60_000], mnist.labels[:60_000]
    assert np.bincount(given[given == right]).tolist() == [6] * 10
    assert np.bincount(given).tolist() == [
        5980, 5807, 6009, 6037, 5914, 6139, 6037, 5954, 6129, 5994,
    ]  # fmt: skip
    change = dataset.images[:1000].astype(int) - mnist.images[:1000]
    assert np.abs(change).mean() < 4  # JPEG's own noise: image N is MNIST's image N


def test_corrupt_labels_reproduces_it_on_mnist(real_data):
    """59,940 of 60,000 wrong, as in the set itself, and every wrong class about as likely."""
    spoilt = {"kind": "complementary", "fraction": 0.999}
    clean = load_dataset("mnist", data_dir=real_data)
    wrong = load_dataset("mnist", data_dir=real_data, corrupt_labels=spoilt)
    train, test = clean.parts["train"], clean.parts["test"]
    changed = wrong.labels != clean.labels
    assert changed[train].sum() == 59_940
    assert not changed[test].any()
    table = np.zeros((10, 10), int)
    np.add.at(table, (clean.labels[train][changed[train]], wrong.labels[train][changed[train]]), 1)
    assert np.diag(table).sum() == 0
    off = table[~np.eye(10, dtype=bool)]
    assert off.min() > 0.8 * off.mean()
    assert off.max() < 1.2 * off.mean()


def test_its_option_test_is_read_beside_the_counts_of_a_split():
    from harness.sweepfile.settings import DataChoice

    written = {"name": "mnist_task3", "test": "none", "train": 10, "validation": 5}
    choice = DataChoice.model_validate(written)
    assert (choice.options.test, choice.split.train, choice.split.test) == ("none", 10, None)
    counted = DataChoice.model_validate({"name": "mnist_task3", "test": 4})
    assert (counted.options.test, counted.split.test) == ("mnist", 4)
