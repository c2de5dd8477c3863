"""MATLAB's .mat files as SVHN, EMNIST and USPS have them; damaged and swelling ones refused."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from data_files import noise, request
from scipy.io import savemat
from scipy.sparse import csc_matrix

from datasets import dataset_for_path
from datasets.files import matlab
from datasets.sets.mat import Options, load
from headstart import packed
from headstart.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = noise(RNG, 20, 32, 32, 3)
LABELS = np.arange(20) % 10 + 1


def read(tmp_path, path="set.mat", **options):
    return load(Options(path=path, **options), request(tmp_path))


def svhn(path, images=IMAGES, labels=LABELS):
    """H×W×C×N and N×1, as its authors have written them."""
    path.parent.mkdir(exist_ok=True)
    columns = {"X": images.transpose(1, 2, 3, 0), "y": labels[:, None].astype(np.uint8)}
    savemat(path, columns, do_compression=True)


def test_svhn_in_a_folder_of_its_three_files(tmp_path):
    svhn(tmp_path / "set/train_32x32.mat")
    svhn(tmp_path / "set/test_32x32.mat", IMAGES[::-1], LABELS[::-1])
    svhn(tmp_path / "set/extra_32x32.mat")
    assert dataset_for_path(tmp_path / "set") == "mat"
    assert dataset_for_path(tmp_path / "set/train_32x32.mat") == "mat"
    dataset = read(tmp_path, "set")
    assert dataset.class_names == tuple(str(k) for k in range(1, 11))
    np.testing.assert_array_equal(dataset.images[:20].transpose(0, 2, 3, 1), IMAGES)
    np.testing.assert_array_equal(dataset.labels[:20], LABELS - 1)
    assert {part: len(index) for part, index in dataset.parts.items()} == {"train": 20, "test": 20}
    notes = " ".join(dataset.notes)
    assert "left out, since its name says no part: extra_X, extra_y" in notes
    assert "the label 10 means the digit 0; it stands as class 10 here" in notes


def test_the_classes_of_svhn_are_named_one_by_one(tmp_path):
    svhn(tmp_path / "set.mat")
    names = {k: str(k % 10) for k in range(1, 11)}
    assert read(tmp_path, class_names=names).class_names == (*"123456789", "0")


def test_emnist_is_a_structure_of_structures(tmp_path):
    """Rows of pixels, column by column; the mapping names each label by a character."""
    images, labels = IMAGES[:, :28, :28, 0], np.arange(20) % 2
    rows = images.transpose(0, 2, 1).reshape(20, 784)
    part = {"images": rows, "labels": labels[:, None].astype(float), "writers": labels[:, None]}
    mapping = np.array([[1, 98], [0, 65]])  # b and A, not in order
    savemat(tmp_path / "set.mat", {"dataset": {"train": part, "test": part, "mapping": mapping}})
    dataset = read(tmp_path)
    np.testing.assert_array_equal(dataset.images[:20, 0], images)
    assert dataset.class_names == ("A", "b")
    assert {part: len(index) for part, index in dataset.parts.items()} == {"train": 20, "test": 20}
    assert any(note.startswith("EMNIST's structure: train, test") for note in dataset.notes)
    as_stored = read(tmp_path, transpose=False)
    np.testing.assert_array_equal(as_stored.images[:20, 0], images.transpose(0, 2, 1))


def test_pixels_by_images_and_labels_in_a_row(tmp_path):
    """As scikit-learn's old MNIST (784 × 70000, and 1 × 70000 labels as floats)."""
    gray = IMAGES[..., 0]
    arrays = {"data": gray.reshape(20, 1024).T, "label": LABELS[None].astype(float)}
    savemat(tmp_path / "set.mat", arrays)
    np.testing.assert_array_equal(read(tmp_path).images[:, 0], gray)


@pytest.mark.parametrize("format", ["4", "5"])
def test_other_names_are_found_by_shape_or_given(tmp_path, format):
    gray = IMAGES[..., 0]
    arrays = {"fea": gray.reshape(20, 1024), "gnd": LABELS[:, None], "fold": np.arange(3.0)}
    savemat(tmp_path / "set.mat", arrays, format=format)
    dataset = read(tmp_path, images="fea", labels="gnd", transpose=True)
    np.testing.assert_array_equal(dataset.images[:, 0], gray.transpose(0, 2, 1))
    if format == "5":
        savemat(tmp_path / "other.mat", {"fea": gray, "gnd": LABELS, "k": 3})
        note = "by their shapes 'fea' were taken as the images and 'gnd' as the labels"
        assert note in read(tmp_path, "other.mat").notes


def test_labels_may_be_texts_in_cells_or_rows(tmp_path):
    names = np.array(["ant", "bee"] * 10, object)
    savemat(tmp_path / "set.mat", {"images": IMAGES[..., 0], "labels": names})
    assert read(tmp_path).class_names == ("ant", "bee")
    savemat(tmp_path / "rows.mat", {"images": IMAGES[..., 0], "labels": names.astype(str)})
    assert read(tmp_path, "rows.mat").class_names == ("ant", "bee")


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"X": IMAGES, "y": LABELS[:-1]}, {}, "20 images in 'X' but"),
        ({"data": IMAGES}, {}, "which arrays are the images and the labels? It holds data (20, 32"),
        ({"X": csc_matrix(np.eye(4)), "y": LABELS}, {}, "It holds y (1, 20)"),
        ({"X": IMAGES, "y": LABELS}, {"images": "Z", "labels": "y"}, "images: no array 'Z'"),
        ({"X": IMAGES, "y": LABELS + 0.5}, {}, "not whole numbers"),
    ],
)
def test_what_is_not_clear_is_one_line(tmp_path, arrays, options, message):
    savemat(tmp_path / "set.mat", arrays)
    with pytest.raises(DataError) as caught:
        read(tmp_path, **options)
    assert str(caught.value).startswith(str(tmp_path / "set.mat"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def element(kind, content):
    return struct.pack("<2I", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(of_class, sizes, *inside):
    head = [element(6, struct.pack("<2I", of_class, 0)),
            element(5, struct.pack(f"<{len(sizes)}i", *sizes)), element(1, b"X")]  # fmt: skip
    return element(14, b"".join([*head, *inside]))


def nested(depth):
    inside = matrix(6, (1, 1), element(9, bytes(8)))
    for _ in range(depth):
        inside = matrix(1, (1, 1), inside)
    return inside


def packed_up(content):
    content = zlib.compress(content)
    return struct.pack("<2I", 15, len(content)) + content


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            packed_up(matrix(9, (1, 1 << 24), element(2, bytes(1 << 24)))),
            "more than a file of its size may",
        ),
        (packed_up(nested(500)), "its cells lie over 12 deep"),
        (matrix(1, (1 << 15, 1 << 15)), "more elements than bytes"),
        (packed_up(matrix(2, (1 << 30, 1))), "more elements than bytes"),
        (packed_up(matrix(1, (1, 2_001), *[element(14, b"")] * 2_001)), "or are over 2,000"),
        (element(14, b"short"), "has no size"),
        (struct.pack("<2I", 14, 1 << 30), "longer than what it lies in; it is cut off"),
        (packed_up(struct.pack("<2I", 14, 1 << 30)), "longer than what it lies in"),
    ],
)
def test_a_file_that_asks_for_much_is_refused(tmp_path, monkeypatch, body, message):
    monkeypatch.setattr(packed, "SMALL_BYTES", 4 << 20)
    monkeypatch.setattr(matlab, "_MOST_CELLS", 2_000)
    start = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM"
    (tmp_path / "set.mat").write_bytes(start + body)
    with pytest.raises(DataError, match=rf"set\.mat: a damaged \.mat file: .*{message}"):
        read(tmp_path)


def test_a_matrix_of_version_4_is_as_long_as_it_says(tmp_path):
    content = struct.pack("<5i", 0, 1 << 15, 1 << 15, 0, 2) + b"X\0"
    (tmp_path / "set.mat").write_bytes(content)
    with pytest.raises(DataError, match="a matrix of it is longer than the file"):
        read(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["4", "5"])
def test_damage_at_any_place_is_one_line_or_read(tmp_path, format):
    """Slow: a file is damaged at many places."""
    path = tmp_path / "set.mat"
    arrays = {"X": IMAGES[:6, :6, :6, 0].reshape(6, 36), "y": LABELS[:6, None]}
    savemat(path, arrays, format=format, do_compression=format == "5")
    whole = path.read_bytes()
    for at in range(0, len(whole), 13):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with suppress(DataError):  # whatever else escapes fails the test
            read(tmp_path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="a damaged"):
        read(tmp_path)
