"""CIFAR’s python batches, held against torchvision’s own reader; what is odd is refused."""

from __future__ import annotations

import gzip
import io
import pickle
import pickletools
import tarfile
from types import MappingProxyType

import numpy as np
import pytest
from data_files import noise, request, write_tree, write_zip

from datasets import dataset_for_path
from datasets.sets.cifar import Options, load
from headstart.errors import DataError

RNG = np.random.default_rng(0)
NAMES = [b"airplane", b"automobile", b"bird"]


def python_2(held):
    """`held` as Python 2 writes it: bytes are its texts (`U` and `T` in place of `C`, `B`)."""
    written = bytearray(pickle.dumps(held, 3))
    for step, _, at in pickletools.genops(bytes(written)):
        if step.name in ("SHORT_BINBYTES", "BINBYTES"):
            written[at : at + 1] = b"U" if step.name == "SHORT_BINBYTES" else b"T"
    written[1] = 2
    return bytes(written)


def batch(n, label="batch", seed=0, **more):
    """As Python 2 has written it: keys are bytes."""
    rng = np.random.default_rng(seed)
    return {b"batch_label": label.encode(), b"data": noise(rng, n, 3072),
            b"labels": [(k + seed) % 3 for k in range(n)], **more}  # fmt: skip


def cifar_10(n=2):
    files = {f"data_batch_{k}": batch(6, f"training batch {k} of {n}", k) for k in range(1, n + 1)}
    files |= {"test_batch": batch(6, "testing batch 1 of 1", 9)}
    files |= {"batches.meta": {b"label_names": NAMES, b"num_vis": 3072}}
    return {f"cifar-10-batches-py/{name}": python_2(held) for name, held in files.items()}


def cifar_100():
    fine = {b"fine_labels": [0, 1, 2, 0, 1, 2], b"coarse_labels": [0, 0, 1, 0, 0, 1]}
    held = {b"data": noise(RNG, 6, 3072), b"filenames": [b"x.png"] * 6, **fine}
    meta = {b"fine_label_names": NAMES, b"coarse_label_names": [b"vehicle", b"animal"]}
    files = {"train": held, "test": held, "meta": meta}
    return {f"cifar-100-python/{name}": pickle.dumps(each, 2) for name, each in files.items()}


def read(tmp_path, files, path="set", wanted=None, **options):
    write_tree(tmp_path / "set", files)
    return load(Options(path=path, **options), request(tmp_path, **(wanted or {})))


def test_what_torchvision_reads_is_read_alike(tmp_path):
    from torchvision.datasets import CIFAR10

    class MadeUp(CIFAR10):
        train_list = (("data_batch_1", None), ("data_batch_2", None))
        test_list = (("test_batch", None),)
        meta = MappingProxyType({"filename": "batches.meta", "key": "label_names", "md5": None})

    dataset = read(tmp_path, cifar_10())
    for part, is_train in (("train", True), ("test", False)):
        reference = MadeUp(tmp_path / "set", train=is_train)
        images = dataset.images[dataset.parts[part]].transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(images, reference.data)
        assert dataset.labels[dataset.parts[part]].tolist() == reference.targets
    assert dataset.class_names == tuple(reference.classes) == ("airplane", "automobile", "bird")


@pytest.mark.parametrize("kind", ["folder", "inner", "tar.gz", "zip"])
def test_a_folder_or_an_archive_gives_the_same(tmp_path, kind):
    files = cifar_10()
    write_tree(tmp_path / "set", files)
    path = tmp_path / ("set" if kind == "folder" else "set/cifar-10-batches-py")
    if kind == "tar.gz":
        path = tmp_path / "cifar-10-python.tar.gz"
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(tmp_path / "set/cifar-10-batches-py", "cifar-10-batches-py")
        path.write_bytes(gzip.compress(buffer.getvalue()))
    if kind == "zip":
        path = write_zip(tmp_path / "cifar.zip", files)
    assert dataset_for_path(path) == "cifar"
    dataset = load(Options(path=path), request(tmp_path))
    reference = load(Options(path="set"), request(tmp_path))
    assert dataset.fingerprint == reference.fingerprint
    assert {part: len(index) for part, index in dataset.parts.items()} == {"train": 12, "test": 6}


def test_cifar_100_has_two_kinds_of_labels(tmp_path):
    dataset = read(tmp_path, cifar_100())
    assert dataset_for_path(tmp_path / "set") == "cifar"
    assert dataset.class_names == ("airplane", "automobile", "bird")
    assert "labels are fine_labels; label_key chooses coarse_labels" in dataset.notes
    coarse = load(Options(path="set", label_key="coarse_labels"), request(tmp_path))
    assert coarse.class_names == ("vehicle", "animal")
    assert coarse.labels.tolist() == [0, 0, 1, 0, 0, 1] * 2


def test_imagenet_in_32_pixels_has_more_batches_and_labels_from_1(tmp_path):
    files = {
        name: pickle.dumps({"data": noise(RNG, 3, 12), "labels": [1, 2, 3]})
        for name in ("train_data_batch_1", "train_data_batch_2", "val_data")
    }
    dataset = read(tmp_path, files)
    assert dataset.class_names == ("1", "2", "3")
    assert dataset.images.shape == (9, 3, 2, 2)
    assert {p: len(i) for p, i in dataset.parts.items()} == {"train": 6, "validation": 3}


def test_the_binary_version_gives_the_same(tmp_path):
    """One byte of label, or CIFAR-100's two, and 3,072 of pixels a row."""
    reference = read(tmp_path, cifar_10())
    files = {"batches.meta.txt": b"airplane\nautomobile\nbird\n\n"}
    for name, held in (("data_batch_1", batch(6, seed=1)), ("data_batch_2", batch(6, seed=2)),
                       ("test_batch", batch(6, seed=9))):  # fmt: skip
        labels = np.array(held[b"labels"], np.uint8)[:, None]
        files[f"{name}.bin"] = np.hstack([labels, held[b"data"]]).tobytes()
    write_tree(tmp_path / "binary", files)
    assert dataset_for_path(tmp_path / "binary") == "cifar"
    dataset = load(Options(path="binary"), request(tmp_path))
    assert dataset.fingerprint == reference.fingerprint
    rows = np.hstack([np.array([[0, 0], [1, 2], [0, 1]] * 2, np.uint8), noise(RNG, 6, 3072)])
    files = {"train.bin": rows.tobytes(), "test.bin": rows.tobytes(),
             "fine_label_names.txt": b"a\nb\nc", "coarse_label_names.txt": b"x\ny"}  # fmt: skip
    write_tree(tmp_path / "hundred", files)
    assert load(Options(path="hundred"), request(tmp_path)).class_names == ("a", "b", "c")
    coarse = load(Options(path="hundred", label_key="coarse_labels"), request(tmp_path))
    assert coarse.labels[:3].tolist() == [0, 1, 0]
    write_tree(tmp_path / "binary", {"test_batch.bin": bytes(3072)})
    with pytest.raises(DataError, match=r"test_batch\.bin: has 3,072 bytes, which are no rows of"):
        load(Options(path="binary"), request(tmp_path))


def changed(**files):
    made = {name.rpartition("/")[2]: content for name, content in cifar_10().items()}
    made |= {name: python_2(held) for name, held in files.items()}
    return made


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"a/1.png": b""}, {}, "no batches as CIFAR has them"),
        ({**cifar_10(), **cifar_100()}, {}, "holds several sets, in cifar-10-batches-py/, cifar-1"),
        ({k: v for k, v in cifar_10(3).items() if "batch_2" not in k}, {}, "data_batch_2 of 3 is"),
        ({k: v for k, v in cifar_10(3).items() if "batch_3" not in k}, {}, "data_batch_3 of 3 is"),
        (changed(data_batch_1=[1]), {}, "data_batch_1: holds no mapping"),
        (changed(data_batch_1={b"data": [1], b"labels": [1]}), {}, "no uint8 array 'data' in it"),
        (changed(data_batch_1={b"data": noise(RNG, 2, 10), b"labels": [1, 1]}), {},
         "'data' of shape (2, 10) are no square images in colour"),
        (changed(data_batch_1=batch(6) | {b"labels": [1]}), {},
         "6 images but labels of shape (1,) in 'labels'"),
        (changed(data_batch_1=batch(6) | {b"labels": [[1], [2, 3]]}), {}, "no list of one each"),
        (changed(test_batch=batch(6) | {b"labels": [7] * 6}), {}, "class_names"),
        (changed(**{"batches.meta": {b"label_names": [b"a", b"a"]}}), {}, "by one name"),
        (cifar_100(), {"label_key": "coarse"}, "no 'coarse'"),
        (changed(data_batch_1={b"data": noise(RNG, 2, 12)}), {}, "no labels in its batches"),
        (changed(data_batch_1=print), {}, "data_batch_1: cannot be read as a batch: it names"),
    ],
)  # fmt: skip
def test_what_is_missing_or_odd_is_one_line(tmp_path, files, options, message):
    with pytest.raises(DataError) as caught:
        read(tmp_path, files, **options)
    assert str(caught.value).startswith(str(tmp_path / "set"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
