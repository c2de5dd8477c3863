"""The 62-class set: from a zip, a folder, or a download; which files are used; both forms."""

import hashlib

import numpy as np
import pytest
from data_files import (
    image_bytes,
    page,
    request,
    serving,
    small_set,
    write_handwritten62,
    write_tree,
    write_zip,
)

from datasets import load_dataset
from datasets.sets.handwritten62 import Options, listed_classes, load, strokes_digest
from headstart.errors import DataError, DataNotFoundError

LISTED = listed_classes()


@pytest.fixture
def zipped(tmp_path):
    write_zip(tmp_path / "handwritten62" / "trainPart1.zip", small_set())
    return tmp_path


def test_the_list_names_62_classes_of_40_different_files():
    names = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert "".join(each.name for each in LISTED) == names
    assert all(len(set(each.numbers)) == 40 for each in LISTED)
    assert all(1 <= number <= 55 for each in LISTED for number in each.numbers)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        ("digits", "0123456789"),
        ("upper", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("lower", "abcdefghijklmnopqrstuvwxyz"),
    ],
)
def test_classes_choose_a_part(zipped, classes, names):
    dataset = load(Options(classes=classes), request(zipped))
    assert "".join(dataset.class_names) == names
    np.testing.assert_array_equal(dataset.labels, np.repeat(np.arange(len(names)), 2))


def test_letters_and_all(zipped):
    assert len(load(Options(classes="letters"), request(zipped)).class_names) == 52
    dataset = load(Options(), request(zipped))
    assert len(dataset.class_names) == 62
    assert dataset.parts == {}
    assert dataset.notes == ("2356 of the 2480 images of the set are not there",)


def test_images_are_white_on_black_in_either_form(zipped):
    whole = load(Options(classes="digits"), request(zipped)).images[0, 0]
    assert whole.shape == (28, 28)
    assert np.median(whole) == 0
    assert 0 < (whole > 127).mean() < 0.3
    cropped = load(Options(classes="digits", preprocess="mnist_style"), request(zipped))
    rows, columns = np.nonzero(cropped.images[0, 0])
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20


@pytest.mark.parametrize("image_size", [(28, 28), (36, 48), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_decides_size_and_channels(zipped, image_size, channels):
    wanted = request(zipped, image_size=image_size, channels=channels)
    assert load(Options(classes="digits"), wanted).images.shape == (20, channels, *image_size)


@pytest.mark.parametrize("folder", ["handwritten62/trainPart1", "handwritten62", "trainPart1"])
def test_an_unpacked_folder_gives_the_same(zipped, tmp_path_factory, folder):
    other = tmp_path_factory.mktemp("unpacked")
    write_tree(other, small_set(folder=folder))
    assert (
        load(Options(), request(other)).fingerprint == load(Options(), request(zipped)).fingerprint
    )


def test_files_that_are_not_listed_are_not_used(zipped):
    reference = load(Options(), request(zipped)).fingerprint
    unlisted = next(n for n in range(1, 56) if n not in LISTED[0].numbers)
    more = {f"trainPart1/Sample001/img001-{unlisted:03d}.png": image_bytes(page(1))}
    write_zip(zipped / "handwritten62" / "trainPart1.zip", small_set() | more)
    assert load(Options(), request(zipped)).fingerprint == reference


def test_a_truncated_png_is_refused_or_skipped(zipped):
    files = small_set()
    name = next(iter(files))
    files[name] = files[name][:-20]
    write_zip(zipped / "handwritten62" / "trainPart1.zip", files)
    with pytest.raises(DataError, match=r"trainPart1\.zip/trainPart1/Sample001/.*damaged"):
        load(Options(classes="digits"), request(zipped))
    dataset = load(Options(classes="digits", on_damaged="skip"), request(zipped))
    assert len(dataset.labels) == 19
    assert "1 of 20 image files were damaged and skipped" in dataset.notes[0]


def test_a_zip_of_something_else_is_refused(tmp_path):
    write_zip(tmp_path / "trainPart1.zip", {"cat/1.png": image_bytes(page(0))})
    with pytest.raises(DataError, match=r"trainPart1\.zip: no image of the set"):
        load(Options(), request(tmp_path))


def test_a_set_that_is_not_here_says_what_to_put_where(tmp_path):
    with pytest.raises(DataNotFoundError) as caught:
        load(Options(), request(tmp_path))
    message = str(caught.value)
    assert f"put trainPart1.zip, or EnglishHnd.tgz of Chars74K, into {tmp_path}" in message
    assert "python -m datasets --get handwritten62" in message


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A small EnglishHnd.tgz on a server on loopback: (address, sha256)."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    write_handwritten62(folder / "EnglishHnd.tgz")
    digest = hashlib.sha256((folder / "EnglishHnd.tgz").read_bytes()).hexdigest()
    with serving(folder) as address:
        yield f"{address}/EnglishHnd.tgz", digest


def test_it_is_fetched_from_a_source_with_a_checksum(tmp_path, served, zipped):
    empty = tmp_path / "empty"
    source, sha256 = served
    wanted = request(empty, allow_download=True)
    dataset = load(Options(source=source, sha256=sha256), wanted)
    assert dataset.fingerprint == load(Options(), request(zipped)).fingerprint
    assert (empty / "cache" / "downloads" / "handwritten62" / "EnglishHnd.tgz").exists()


def test_without_a_checksum_of_the_file_the_strokes_must_be_right(tmp_path, served):
    wanted = request(tmp_path / "empty", allow_download=True)
    with pytest.raises(DataError, match="not all 40 images of class '0' are there; the file was"):
        load(Options(source=served[0]), wanted)
    assert not list(wanted.cache_dir.rglob("*.tgz"))


def test_a_wrong_checksum_is_refused(tmp_path, served):
    wanted = request(tmp_path / "empty", allow_download=True)
    with pytest.raises(DataError, match=r"sha256 .* instead of ffff"):
        load(Options(source=served[0], sha256="f" * 64), wanted)


def test_strokes_do_not_depend_on_compression_or_grey_levels():
    image = page(3)
    assert strokes_digest([image]) == strokes_digest([np.clip(image, 20, 230)])
    assert strokes_digest([image]) != strokes_digest([page(4)])


@pytest.mark.slow
def test_the_real_digits(real_data):
    """400 digits, 40 a class, all different. Slow: their pages are decoded."""
    options = {"classes": "digits", "preprocess": "mnist_style", "data_dir": real_data}
    dataset = load_dataset("handwritten62", **options)
    assert dataset.images.shape == (400, 1, 28, 28)
    assert np.bincount(dataset.labels).tolist() == [40] * 10
    assert dataset.notes == ()
    ink = (dataset.images > 127).mean(axis=(1, 2, 3))
    assert 0.03 < ink.min() < ink.max() < 0.5


def test_the_listed_strokes_are_those_of_the_real_images(real_data):
    from datasets.files.trees import open_tree
    from datasets.images.decode import decode_image
    from datasets.sets.handwritten62 import _members

    with open_tree(real_data / "handwritten62" / "trainPart1.zip") as tree:
        members = _members(tree)
        assert len(members) == 2480
        for index in (0, 61):
            names = [members[index, number] for number in LISTED[index].numbers]
            images = [decode_image(tree.read(name), name, as_gray=True) for name in names]
            assert strokes_digest(images) == LISTED[index].strokes
