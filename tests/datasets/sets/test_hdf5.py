"""HDF5 files: arrays by name, shape or option; links, swelling chunks and other files refused."""

from __future__ import annotations

import builtins
import zlib
from contextlib import suppress

import numpy as np
import pytest
from data_files import noise, request

from datasets import dataset_for_path
from datasets.sets import mat
from datasets.sets.hdf5 import Options, load
from headstart import packed
from headstart.errors import DataError, MissingPackageError

h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
IMAGES = noise(np.random.default_rng(0), 12, 8, 8)
LABELS = np.arange(12) % 3


def write(path, arrays, **options):
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, **options)
    return path


def read(tmp_path, path="set.h5", **options):
    return load(Options(path=path, **options), request(tmp_path))


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("images", "labels"), {}),
        (("x", "y"), {}),
        (("pictures/all", "ans"), {"images": "pictures/all", "labels": "ans"}),
        (("a", "b"), {}),  # by their shapes
    ],
)
@pytest.mark.parametrize("packing", [{}, {"compression": "gzip", "shuffle": True, "chunks": True}])
def test_arrays_are_found(tmp_path, names, options, packing):
    path = write(tmp_path / "set.h5", dict(zip(names, (IMAGES, LABELS), strict=True)), **packing)
    assert dataset_for_path(path) == "hdf5"
    dataset = read(tmp_path, **options)
    np.testing.assert_array_equal(dataset.images[:, 0], IMAGES)
    np.testing.assert_array_equal(dataset.labels, LABELS)


def test_usps_has_its_parts_in_groups(tmp_path):
    flat = (IMAGES / 255).astype(np.float32).reshape(12, 64)
    arrays = {f"{part}/{name}": array for part in ("train", "test")
              for name, array in (("data", flat), ("target", LABELS))}  # fmt: skip
    write(tmp_path / "usps.h5", arrays)
    dataset = read(tmp_path, "usps.h5")
    np.testing.assert_array_equal(dataset.images[:12, 0], IMAGES)
    assert list(dataset.parts) == ["train", "test"]


def test_patch_camelyon_has_a_file_for_each_array(tmp_path):
    for part in ("train", "valid", "test"):
        for name, array in (("x", IMAGES[..., None]), ("y", LABELS[:, None, None, None])):
            path = tmp_path / f"set/camelyonpatch_level_2_split_{part}_{name}.h5"
            write(path, {name: array})
    dataset = read(tmp_path, "set")
    assert {part: len(index) for part, index in dataset.parts.items()} == dict.fromkeys(
        ("train", "validation", "test"), 12
    )
    np.testing.assert_array_equal(dataset.images[:12, 0], IMAGES)
    two = read(
        tmp_path,
        "set/camelyonpatch_level_2_split_train_x.h5",
        labels_path="set/camelyonpatch_level_2_split_train_y.h5",
    )
    np.testing.assert_array_equal(two.labels, LABELS)


def test_labels_may_be_texts_of_one_length(tmp_path):
    """A damaged heap of texts of any length keeps HDF5 busy without end."""
    texts = ["ant", "bee", "cat"] * 4
    write(tmp_path / "set.h5", {"images": IMAGES, "labels": np.array(texts, "S")})
    assert read(tmp_path).class_names == ("ant", "bee", "cat")
    write(tmp_path / "any.h5", {"images": IMAGES, "labels": texts})
    with pytest.raises(
        DataError, match=r"'labels' holds texts or lists of any length.*astype\('S'"
    ):
        read(tmp_path, "any.h5")


def test_matlab_7_3_is_read_with_its_axes_turned_round(tmp_path):
    """MATLAB writes H×W×C×N; HDF5 shows the axes of its files reversed."""
    colours = np.stack([IMAGES, IMAGES // 2, IMAGES // 3], axis=-1)
    path = tmp_path / "set.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["X"] = colours.transpose(1, 2, 3, 0).T
        file["y"] = LABELS[:, None].T.astype(float)
        file.create_group("#refs#")["a"] = np.zeros((1, 1))
    with open(path, "r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\x02IM")
    assert dataset_for_path(path) == "mat"
    dataset = mat.load(mat.Options(path="set.mat"), request(tmp_path))
    np.testing.assert_array_equal(dataset.images.transpose(0, 2, 3, 1), colours)
    np.testing.assert_array_equal(dataset.labels, LABELS)


def test_links_are_not_followed(tmp_path):
    write(tmp_path / "other.h5", {"images": IMAGES})
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["labels"] = LABELS
        file["images"] = h5py.ExternalLink("other.h5", "/images")
        file["soft"] = h5py.SoftLink("/images")
    with pytest.raises(DataError, match="which arrays are the images"):
        read(tmp_path)
    with pytest.raises(DataError, match="images: no array 'images'"):
        read(tmp_path, images="images", labels="labels")


def test_arrays_in_other_files_are_refused(tmp_path):
    (tmp_path / "raw").write_bytes(IMAGES.tobytes())
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["labels"] = LABELS
        raw = [(str(tmp_path / "raw"), 0, IMAGES.nbytes)]
        file.create_dataset("images", IMAGES.shape, "u1", external=raw)
    with pytest.raises(DataError, match="'images' lies in other files, which are not opened"):
        read(tmp_path)
    write(tmp_path / "other.h5", {"images": IMAGES})
    layout = h5py.VirtualLayout(IMAGES.shape, "u1")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "images", IMAGES.shape)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file["labels"] = LABELS
        file.create_virtual_dataset("images", layout)
    with pytest.raises(DataError, match="'images' lies in other files, which are not opened"):
        read(tmp_path, "virtual.h5")


def test_what_swells_is_refused(tmp_path, monkeypatch):
    """Values that are announced and not there, and a chunk that unpacks to more than it has."""
    monkeypatch.setattr(packed, "SMALL_BYTES", 1 << 16)
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["labels"] = np.zeros(1 << 20, np.uint8)
        file.create_dataset("images", (1 << 20, 8, 8), "u1", chunks=(64, 8, 8))
    with pytest.raises(DataError, match=r"'images' unpacks to 67,108,864 bytes"):
        read(tmp_path)
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        file["labels"] = LABELS
        made = file.create_dataset("images", IMAGES.shape, "u1", chunks=IMAGES.shape,
            compression="gzip")  # fmt: skip
        made.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(1 << 20)))
    with pytest.raises(DataError, match=r"has a chunk that unpacks to more than its 768 bytes"):
        read(tmp_path, "chunk.h5")
    content = (tmp_path / "chunk.h5").read_bytes()
    (tmp_path / "chunk.h5").write_bytes(content.replace(zlib.compress(bytes(1 << 20)), b"x" * 999))
    with pytest.raises(DataError, match="cannot be read as an HDF5 file"):
        read(tmp_path, "chunk.h5")


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"images": IMAGES}, {"compression": "lzf"}, "is packed with lzf; gzip is read"),
        ({"images": np.zeros(12, [("a", "u1"), ("b", "f4")])}, {}, "arrays of numbers and texts"),
        ({"weights/kernel": np.zeros((3, 3))}, {}, "which arrays are the images and the labels?"),
        ({"images": IMAGES[1:]}, {}, "11 images in 'images' but 12 labels in 'labels'"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, arrays, options, message):
    write(tmp_path / "set.h5", arrays | {"labels": LABELS}, **options)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "set.h5"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_damage_at_any_place_is_one_line_or_read(tmp_path):
    """Slow: a file is damaged at many places."""
    arrays = {"images": IMAGES, "labels": LABELS}
    whole = write(tmp_path / "set.h5", arrays, compression="gzip").read_bytes()
    path = tmp_path / "set.h5"
    for at in range(0, len(whole), 401):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with suppress(DataError):  # whatever else escapes fails the test
            read(tmp_path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as an HDF5 file"):
        read(tmp_path)


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    write(tmp_path / "set.h5", {"images": IMAGES, "labels": LABELS})
    importing = builtins.__import__

    def without(name, *rest, **more):
        if name == "h5py":
            raise ImportError(name)
        return importing(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"set\.h5: is an HDF5 file, .* --extra hdf5"):
        read(tmp_path)
