"""WebDataset shards: samples by key, labels in .cls, .json or .txt, parts by name."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import numpy as np
import pytest
from data_files import image_bytes, noise, request, write_tree

from datasets import dataset_for_path
from datasets.sets.webdataset import Options, load
from headstart.errors import DataError, DataNotFoundError

PIXELS = noise(np.random.default_rng(0), 12, 6, 5)
FILES = [image_bytes(pixels) for pixels in PIXELS]
LABELS = [k % 3 for k in range(12)]


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def samples(numbers=range(12), label=lambda k: {"cls": str(LABELS[k]).encode()}, image="png"):
    """`0007.png`, `0007.cls` and the like."""
    files = {}
    for k in numbers:
        files[f"{k:04}.{image}"] = FILES[k]
        files |= {f"{k:04}.{ending}": content for ending, content in label(k).items()}
    return files


def read(tmp_path, files, path="set", **options):
    write_tree(tmp_path / "set", files)
    return load(Options(path=path, **options), request(tmp_path))


def test_shards_of_a_folder_with_parts_and_names(tmp_path):
    files = {
        "train-000000.tar": tar(samples(range(4))),
        "train-000001.tar": tar(samples(range(4, 8))),
        "val-000000.tar.gz": gzip.compress(tar(samples(range(8, 12)))),
        "classnames.txt": b"dog\ncat\nant\n",
    }
    dataset = read(tmp_path, files)
    assert dataset_for_path(tmp_path / "set") == "webdataset"
    assert dataset.class_names == ("dog", "cat", "ant")
    assert {p: len(index) for p, index in dataset.parts.items()} == {"train": 8, "validation": 4}
    order = [k for rows in (range(8), range(8, 12)) for c in range(3) for k in rows if k % 3 == c]
    np.testing.assert_array_equal(dataset.images[:, 0], PIXELS[order])
    assert dataset.labels.tolist() == [LABELS[k] for k in order]
    assert dataset.notes[:2] == ("labels were read from .cls",
                                 "classes have the names of classnames.txt")  # fmt: skip


@pytest.mark.parametrize(
    ("label", "options", "classes"),
    [
        (lambda k: {"cls": b"%d\n" % LABELS[k]}, {}, ("0", "1", "2")),
        (lambda k: {"cls": b"%d" % (LABELS[k] + 9)}, {}, ("9", "10", "11")),
        (lambda k: {"CLS": b"dog" if k % 3 else b"ant"}, {}, ("ant", "dog")),
        (lambda k: {"txt": b"b%d" % LABELS[k]}, {}, ("b0", "b1", "b2")),
        (lambda k: {"json": json.dumps({"id": k, "label": LABELS[k]}).encode()}, {},
         ("0", "1", "2")),
        (lambda k: {"json": json.dumps({"label": k, "class_name": f"n{k % 2}"}).encode()},
         {"label_key": "class_name"}, ("n0", "n1")),
        (lambda k: {"cls": b"0", "txt": b"x%d" % LABELS[k]}, {"label_key": "txt"},
         ("x0", "x1", "x2")),
        (lambda k: {"cls": b"%d" % LABELS[k], "json": b"{}", "txt": b"text"}, {}, ("0", "1", "2")),
        (lambda k: {"cls": b"%d" % LABELS[k]}, {"class_names": ("a", "b", "c")}, ("a", "b", "c")),
    ],
)  # fmt: skip
def test_labels_are_found(tmp_path, label, options, classes):
    files = {"shard-0.tar": tar(samples(label=label))}
    dataset = read(tmp_path, files, path="set/shard-0.tar", **options)
    assert dataset.class_names == classes
    assert len(dataset.labels) == 12


def test_numbers_in_braces_name_the_shards(tmp_path):
    files = {f"s-{k:03}.tar": tar(samples(range(4 * k, 4 * k + 4))) for k in range(3)}
    dataset = read(tmp_path, files, path="set/s-{000..001}.tar")
    assert len(dataset.labels) == 8
    with pytest.raises(DataError, match=r"s-003\.tar: no such file") as caught:
        load(Options(path="set/s-{000..003}.tar"), request(tmp_path))
    assert caught.type is DataError, "a part of it is there"
    with pytest.raises(DataNotFoundError, match=r"s-003\.tar: no such file"):
        load(Options(path="set/s-{003..004}.tar"), request(tmp_path))


def test_samples_may_lie_in_folders_and_unpacked(tmp_path):
    files = {f"a/{name}": content for name, content in samples(range(6)).items()}
    files |= {f"b.c/{name}": content for name, content in samples(range(6)).items()}
    dataset = read(tmp_path, files)
    assert dataset_for_path(tmp_path / "set") == "webdataset"
    assert len(dataset.labels) == 12


def test_one_of_several_images_is_chosen(tmp_path):
    label = {"cls": b"0"}
    both = samples(label=lambda k: {**label, "mask.png": FILES[0], "cls": b"%d" % LABELS[k]})
    with pytest.raises(DataError, match=r"'0000' has several images \(mask\.png, png\); choose"):
        read(tmp_path, {"s.tar": tar(both)}, path="set/s.tar")
    dataset = load(Options(path="set/s.tar", image_key="png"), request(tmp_path))
    np.testing.assert_array_equal(dataset.images[0, 0], PIXELS[0])


def test_what_is_incomplete_is_left_out_with_a_word(tmp_path):
    files = samples(range(11)) | {"0011.cls": b"2", "0012.png": FILES[11], "README.md": b""}
    dataset = read(tmp_path, {"s.tar": tar(files)}, path="set/s.tar")
    assert len(dataset.labels) == 11
    assert "1 samples without an image were left out" in dataset.notes
    assert "1 images have no label and were left out" in dataset.notes


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"a/1.txt": b"x"}, {}, "no image in its samples; they hold .txt (1)"),
        ({}, {}, "no image in its samples; they hold no files"),
        (samples(label=lambda k: {}), {}, "no label beside its images (png): .cls, .json or .txt"),
        (samples(label=lambda k: {"txt": b"photo %d" % k}), {}, "12 different texts in the .txt"),
        (samples(label=lambda k: {"json": b'{"label": 1, "class": 2}'}), {},
         "0000.json: which of label, class is the label? Say so with label_key"),
        (samples(label=lambda k: {"json": b'{"a": 1, "b": 2}'}), {}, "which of a, b is the label?"),
        (samples(label=lambda k: {"json": b'{"label": [1, 2]}'}), {}, "several labels (a list)"),
        (samples(label=lambda k: {"json": b'{"label": 0.5}'}), {}, "'label' holds 0.5"),
        (samples(label=lambda k: {"json": b"[" * 100_000}), {}, "cannot be read as JSON"),
        (samples(label=lambda k: {"json": b"[1]"}), {}, "holds no keys"),
        (samples(label=lambda k: {"json": b'{"name": 1}'}), {"label_key": "nam"},
         "label_key: no key 'nam' (did you mean 'name'?)"),
        (samples(label=lambda k: {"cls": b"1"}), {"label_key": "txt"}, "no 'txt'; there are cls"),
        (samples(label=lambda k: {"cls": b"\xff"}), {}, "0000.cls: its label is no UTF-8 text"),
        (samples(label=lambda k: {"cls": b"x" * 2_000}), {}, "a label of 2,000 characters"),
        (samples(label=lambda k: {"cls": b""}), {}, "none of 12 images has a label"),
        (samples(label=lambda k: {"cls": b"1"}), {}, "only one class"),
        (samples() | {"../0001.png": b""}, {}, "would unpack outside its folder"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_one_line(tmp_path, files, options, message):
    with pytest.raises(DataError) as caught:
        read(tmp_path, {"s.tar": tar(files)}, path="set/s.tar", **options)
    assert str(caught.value).startswith(str(tmp_path / "set/s.tar"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_do_not_fit_the_labels_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"classnames.txt: names 2 classes, and the labels are 0 … 2"
    ):
        read(tmp_path, {"s-0.tar": tar(samples()), "classnames.txt": b"a\nb"})


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (samples(), "webdataset"),
        (samples(label=lambda k: {"json": b"{}"}), "webdataset"),
        ({"a/1.png": b"", "b/1.png": b""}, "folder"),
        ({"a/1.png": b"", "a/1.txt": b"", "b/1.png": b"", "b/1.txt": b""}, "folder"),
    ],
)
def test_a_tar_file_is_known_by_its_names(tmp_path, files, name):
    (tmp_path / "x.tar").write_bytes(tar(files))
    assert dataset_for_path(tmp_path / "x.tar") == name


def test_the_archive_that_class_folders_came_from_is_no_shard(tmp_path):
    write_tree(tmp_path / "set", {"photos.tar": b"", "a/1.png": FILES[0], "b/1.png": FILES[1]})
    assert dataset_for_path(tmp_path / "set") == "folder"
