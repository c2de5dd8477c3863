"""Files that are damaged, odd or of another kind: a `DataError` in words from every reader.

`tests/datasets/files/` has archives whose headers lie about sizes; this has what is in the files.
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets import load_dataset
from headstart.errors import DataError

PNG = cv2.imencode(".png", np.arange(64, dtype=np.uint8).reshape(8, 8))[1].tobytes()
IMAGES = np.random.default_rng(0).integers(0, 255, (4, 8, 8)).astype(np.uint8)
IDX_IMAGES = b"\0\0\x08\x03" + struct.pack(">III", 4, 8, 8) + IMAGES.tobytes()
IDX_LABELS = b"\0\0\x08\x01" + struct.pack(">I", 4) + bytes([0, 1, 0, 1])


def load(name: str, path: Path) -> str:
    """The message of the error."""
    with pytest.raises(DataError) as info:
        load_dataset(name, path=path, cache_dir=path.parent / "cache")
    assert str(info.value).startswith(str(path))
    assert len(str(info.value).splitlines()) == 1
    return str(info.value)


def npz(folder: Path, images: object, labels: object) -> Path:
    np.savez(folder / "a.npz", images=np.asarray(images), labels=np.asarray(labels))
    return folder / "a.npz"


def class_folders(folder: Path) -> Path:
    for name in "ab":
        (folder / "d" / name).mkdir(parents=True)
        for n in range(4):
            (folder / "d" / name / f"{n}.png").write_bytes(PNG)
    return folder / "d"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.uint8(3), [0, 1], "'images' is a single number"),
        (IMAGES, 1, "'labels' is a single number"),
        (np.zeros((4, 0), np.uint8), [0, 1, 0, 1], "images without pixels"),
        (np.zeros((4, 0, 0), np.uint8), [0, 1, 0, 1], "images without pixels"),
        (np.zeros((0, 8, 8), np.uint8), [], "no images"),
        (IMAGES, [0, 1, 10**18, 1], "a label is 1e+18"),
        (IMAGES, [0, 1, 2**53, 1], "a label is 9.01e+15"),
        (IMAGES, [0, 1, 1e300, 1], "a label is 1e+300"),
        (IMAGES, [0, 1, -(10**18), 1], "a label is 1e+18"),
        (IMAGES, [0, 1, 2**63, 1], "a label is 9.22e+18"),
        (IMAGES, [0, 1, -7, 1], "label -7 (row 2) is below 0"),
        (IMAGES, [0, 1, np.nan, 1], "not whole numbers"),
        (IMAGES, [0, 1, np.inf, 1], "not whole numbers"),
        (IMAGES, [0, 1j, 0, 1], "labels of type complex128"),
        (IMAGES.astype(complex), [0, 1, 0, 1], "images of type complex128"),
        (np.full((4, 8, 8), np.nan), [0, 1, 0, 1], "some pixels are not finite"),
        (np.full((4, 8, 8), "x"), [0, 1, 0, 1], "images of type"),
        (IMAGES, np.array(["2026-01-01"] * 4, "M8[D]"), "labels of type datetime64"),
        (IMAGES, [[1, 1]] * 4, "labels of shape (4, 2)"),
        (IMAGES, [0, 0, 0, 0], "only one class"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_images_or_labels(tmp_path, images, labels, message):
    assert message in load("npz", npz(tmp_path, images, labels))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"label\n0\n1\n", "a.csv:1: one field"),
        (b"label,\n0\n1\n", "a.csv:2: a label and no pixels"),
        (b"label,a\n0\n1\n", "a.csv:2: a label and no pixels"),
        (b"a,b,label\n1,2\n", "a.csv:1: 3 names of columns, the line after it has 2"),
        (b"0,1,2,3,4\n1e300,2,3,4,5\n", "a label is 1e+300"),
        (b"0,1,2,3,4\n1,nan,3,4,5\n", "some pixels are not finite"),
        (b"0,1,2,3,4\n1,1e99,3,4,5\n", "some pixels are not finite"),
        (b"0,1,2,3,4\n1,\x00,3,4,5\n", "a.csv:2: field 2 is '\\x00', not a number"),
        (b"0,1,2,3,4\n1,\xe9,3,4,5\n", "cannot be read as text"),
        (b"\xff\xfe0,1,2,3", "cannot be read as text"),
        (b"", "empty"),
        (b",,\n,,\n", "empty"),
        (b"id,index\n1,2\n3,4\n", "no column of labels and none of pixels"),
        (b"1\x1f,2,3,4,5,6,7,8,9,10,11,12\n" * 3, "12 columns of pixels, and none that could"),
        (b"\n\n\n", "empty"),
        (b'0,1,2,3,4\n1,"2,3,4,5\n', "a.csv:2: 2 fields, the first image has 5"),
    ],
)
def test_tables_that_are_no_images(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    assert message in load("csv", tmp_path / "a.csv")


@pytest.mark.parametrize("encoding", ["rot13", "hex", "zip", "nonsense", "undefined", "a\0b"])
def test_what_is_no_encoding_of_text_is_refused(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(b"0,1,2,3,4\n1,2,3,4,5\n")
    with pytest.raises(DataError, match=r"option 'encoding'.*no encoding that Python knows"):
        load_dataset("csv", path=tmp_path / "a.csv", encoding=encoding, cache_dir=tmp_path)


@pytest.mark.parametrize("encoding", ["unicode_escape", "utf-7", "raw_unicode_escape"])
def test_half_characters_are_no_text(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(b"\\ud800,1,2,3,4\n+2AA-,2,3,4,5\n")
    with pytest.raises(DataError, match="it has half characters"):
        load_dataset("csv", path=tmp_path / "a.csv", encoding=encoding, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"\0\0\x08\x46" + b"\0\0\0\1" * 70 + b"x", IDX_LABELS, "announces 70 dimensions"),
        (b"\0\0\x08\x03" + struct.pack(">III", 0, 8, 8), b"\0\0\x08\x01\0\0\0\0", "no images"),
        (b"\0\0\x08\x03" + struct.pack(">III", 4, 0, 8), IDX_LABELS, "without pixels"),
        (IDX_IMAGES, b"\0\0\x09\x01" + struct.pack(">I4b", 4, 0, -1, 0, 1),
         "label -1 (row 1) is below 0"),
        (IDX_IMAGES, IDX_IMAGES, "holds 3-dimensional uint8, not labels"),
        (IDX_LABELS, IDX_LABELS, "not images"),
        (IDX_LABELS, IDX_IMAGES, "labels-idx1-ubyte holds images: are the two names swapped?"),
        (b"\0\0\x0b\x03" + struct.pack(">III", 4, 1, 1) + b"\x01\x00" * 4, IDX_LABELS,
         "pixels are int16 256 … 256; known are uint8"),
    ],
)  # fmt: skip
def test_idx_files_that_are_no_images(tmp_path, images, labels, message):
    folder = tmp_path / "i"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(images)
    (folder / "train-labels-idx1-ubyte").write_bytes(labels)
    assert message in load("idx", folder)


@pytest.mark.slow
def test_every_truncation_is_refused(tmp_path):
    """At each length: an idx file, an npz file, a PNG and a JPEG in a folder.

    Slow: every length of several files is tried.
    """
    content = io.BytesIO()
    np.savez(content, images=IMAGES, labels=np.array([0, 1, 0, 1]))
    whole = {"npz": (content.getvalue(), 41), "idx": (IDX_IMAGES, 7), "folder": (PNG, 3)}
    (tmp_path / "i").mkdir()
    (tmp_path / "i" / "train-labels-idx1-ubyte").write_bytes(IDX_LABELS)
    paths = {"npz": tmp_path / "a.npz", "idx": tmp_path / "i", "folder": class_folders(tmp_path)}
    files = {
        "npz": paths["npz"], "idx": paths["idx"] / "train-images-idx3-ubyte",
        "folder": paths["folder"] / "a" / "0.png",
    }  # fmt: skip
    for name, (all_of_it, step) in whole.items():
        for n_bytes in range(0, len(all_of_it), step):
            files[name].write_bytes(all_of_it[:n_bytes])
            load(name, paths[name])


def test_folders_without_end_and_links_to_nothing_are_named(tmp_path):
    folder = class_folders(tmp_path)
    (folder / "a" / "x.png").symlink_to("nowhere")
    assert "a/x.png: a link that leads nowhere" in load("folder", folder)
    (folder / "a" / "x.png").unlink()
    (folder / "a" / "up").symlink_to("..")
    assert "links lead back to a folder" in load("folder", folder)
    (folder / "a" / "up").unlink()
    deep = folder / "a"
    for _ in range(110):
        deep = deep / "d"
        deep.mkdir()
    assert "holds folders over 100 deep" in load("folder", folder)


def test_broken_links_are_counted_named_and_skipped_as_damaged_files_are(tmp_path):
    folder = class_folders(tmp_path)
    for name in "xyzw":
        (folder / "a" / f"{name}.png").symlink_to("/nowhere/x.png")
    (folder / "b" / "self.png").symlink_to("self.png")
    expected = (
        f"{folder}/a/w.png: a link that leads nowhere (to '/nowhere/x.png'); 5 such links are in "
        "the folder: a/w.png, a/x.png, a/y.png …"
    )
    assert load("folder", folder) == f"{expected}; mend or remove it, or set on_damaged: skip"
    dataset = load_dataset("folder", path=folder, on_damaged="skip", cache_dir=tmp_path / "c")
    assert dataset.notes[0].startswith(
        f"5 of 13 image files were damaged and skipped: {expected}; "
    )


def test_a_pipe_or_device_among_images_is_not_waited_for(tmp_path):
    folder = class_folders(tmp_path)
    os.mkfifo(folder / "a" / "x.png")
    assert "is no file but a pipe or a device" in load("folder", folder)
    (folder / "a" / "x.png").unlink()
    (folder / "a" / "x.png").symlink_to("/dev/zero")
    assert "is no file but a pipe or a device" in load("folder", folder)


@pytest.mark.parametrize("name", [b"a/\xe9.png", b"caf\xe9/0.png"])
def test_names_that_are_not_utf_8_are_found_before_anything_is_decoded(tmp_path, name):
    folder = class_folders(tmp_path)
    path = os.fsencode(folder) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"no image")
    message = load("folder", folder)
    assert message.isprintable()
    assert r"\xe9" in message
    assert "is not UTF-8 text; rename it" in message
