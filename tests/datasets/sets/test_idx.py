"""idx files: MNIST's own and anybody's; damaged ones are refused and named."""

import gzip
from string import ascii_lowercase

import numpy as np
import pytest
from data_files import idx_bytes, noise, request, write_mnist, write_tree, write_zip

from datasets import dataset_for_path, load_dataset
from datasets.arrays.idx import read_idx
from datasets.sets.idx import Options, load
from headstart.errors import DataError

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


def emnist(names, first=0, n=6) -> dict[str, bytes]:
    """Packed files of sets that share a folder, labels from `first` on in turn, and mappings."""
    files = {}
    for name in names:
        for part in ("train", "test"):
            images = noise(np.random.default_rng(len(name)), n, 4, 4)
            labels = (np.arange(n) % 3 + first).astype(np.uint8)
            start = f"emnist-{name}-{part}"
            files[f"{start}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(images))
            files[f"{start}-labels-idx1-ubyte.gz"] = gzip.compress(idx_bytes(labels))
        lines = [f"{first + k} {65 + k} {97 + k}" for k in range(3)]
        files[f"emnist-{name}-mapping.txt"] = "\n".join(lines).encode()
    return files


def test_of_several_sets_in_a_folder_one_is_chosen(tmp_path):
    folder = write_tree(tmp_path / "gzip", emnist(["balanced", "letters", "mnist"], first=1))
    with pytest.raises(DataError, match="gzip: holds the sets balanced, letters, mnist; say which"):
        load(Options(path=folder), request(tmp_path))
    with pytest.raises(DataError, match="set: 'digits' is none of balanced, letters, mnist"):
        load(Options(path=folder, set="digits"), request(tmp_path))
    for name in ("letters", "emnist-letters", "Letters"):
        dataset = load(Options(path=folder, set=name), request(tmp_path))
        expected = noise(np.random.default_rng(len("letters")), 6, 4, 4)
        np.testing.assert_array_equal(dataset.images[:6, 0], expected)
        assert dataset.class_names == ("A", "B", "C")
        assert dataset.labels.tolist() == [0, 1, 2] * 4
    assert any("transpose: true" in note for note in dataset.notes)
    upright = load(Options(path=folder, set="letters", transpose=True), request(tmp_path))
    assert not any("transpose" in note for note in upright.notes)


@pytest.mark.parametrize(
    ("mapping", "note"),
    [
        (b"0 65\n1 66\n2 67\n", "emnist-letters-mapping.txt has no label 3"),
        (b"1 65\n2 65\n3 67\n", "emnist-letters-mapping.txt gives two labels one character"),
    ],
)
def test_a_mapping_that_does_not_fit_names_no_classes(tmp_path, mapping, note):
    files = emnist(["letters"], first=1) | {"emnist-letters-mapping.txt": mapping}
    dataset = load(Options(path=write_tree(tmp_path / "e", files)), request(tmp_path))
    assert dataset.class_names == ("1", "2", "3")
    assert any(note in each for each in dataset.notes)


def test_a_mapping_that_cannot_be_read_is_one_line(tmp_path):
    files = emnist(["letters"]) | {"emnist-letters-mapping.txt": b"0 65\n1 x\n"}
    folder = write_tree(tmp_path / "e", files)
    with pytest.raises(DataError, match=r"mapping\.txt: needs a label and the code"):
        load(Options(path=folder), request(tmp_path))


def test_letters_are_counted_from_1_and_26_names_fit_them(tmp_path):
    files = emnist(["letters"], first=1)
    del files["emnist-letters-mapping.txt"]
    folder = write_tree(tmp_path / "e", files)
    assert load(Options(path=folder), request(tmp_path)).class_names == ("1", "2", "3")
    named = load(Options(path=folder, class_names=list(ascii_lowercase)), request(tmp_path))
    assert named.class_names == ("a", "b", "c")


def test_folders_named_like_files_are_skipped_or_looked_into(tmp_path):
    """Archives of single files unpack to folders of their name; Kaggle's MNIST has both."""
    images, labels = idx_bytes(ARRAY), idx_bytes(np.array([0, 1, 0], np.uint8))
    inner = {
        "train-images-idx3-ubyte/train-images-idx3-ubyte": images,
        "train-labels-idx1-ubyte/train-labels-idx1-ubyte": labels,
    }
    folder = write_tree(tmp_path / "inner", inner)
    dataset = load(Options(path=folder), request(tmp_path))
    np.testing.assert_array_equal(dataset.images[:, 0], ARRAY)
    files = {"train-images.idx3-ubyte": images, "train-labels.idx1-ubyte": labels}
    broken = dict.fromkeys(inner, b"")
    folder = write_tree(tmp_path / "beside", broken | files)
    beside = load(Options(path=folder), request(tmp_path))
    assert beside.fingerprint == dataset.fingerprint
    assert beside.notes == ()


def test_mnist_as_kaggle_packs_it(tmp_path):
    write_mnist(tmp_path / "MNIST" / "raw")
    dataset = load_dataset("mnist", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    folder = tmp_path / "other" / "mnist"
    write_mnist(folder)
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-idx", ".idx"))
        (folder / path.name).mkdir()
    other = load_dataset("mnist", data_dir=tmp_path / "other", cache_dir=tmp_path / "cache")
    assert other.fingerprint == dataset.fingerprint


def test_another_file_of_the_same_part_is_said(tmp_path):
    folder = write_mnist(tmp_path / "mine")
    (folder / "train-images-idx3-ubyte (1)").write_bytes(b"")
    notes = load(Options(path=folder), request(tmp_path)).notes
    assert notes == ("train-images-idx3-ubyte (1) was not read: another file has its part",)


def test_the_only_folder_below_is_read_and_of_two_none(tmp_path):
    write_mnist(tmp_path / "set" / "MNIST" / "raw")
    assert load(Options(path="set"), request(tmp_path)).source.endswith("set/MNIST/raw")
    write_mnist(tmp_path / "set" / "FashionMNIST" / "raw")
    with pytest.raises(DataError, match=r"idx files are in FashionMNIST/raw, MNIST/raw; give the"):
        load(Options(path="set"), request(tmp_path))


def test_labels_of_qmnist_stand_in_the_first_of_eight_columns(tmp_path):
    labels = np.arange(24).reshape(3, 8) % 2
    files = {
        "qmnist-train-images-idx3-ubyte": idx_bytes(ARRAY),
        "qmnist-train-labels-idx2-int": b"\0\0\x0c\x02" + np.array([3, 8], ">u4").tobytes()
        + np.add(labels, [[1], [2], [2]]).astype(">i4").tobytes(),
    }  # fmt: skip
    dataset = load(Options(path=write_tree(tmp_path / "q", files)), request(tmp_path))
    assert dataset.class_names == ("1", "2")
    assert dataset.labels.tolist() == [0, 1, 1]
    assert dataset.notes == ("labels are the first of 8 columns, as in QMNIST",)


def test_pixels_of_other_types_are_read_as_in_other_arrays(tmp_path):
    content = b"\0\0\x0d\x03" + np.array(ARRAY.shape, ">u4").tobytes()
    files = {
        "train-images-idx3-float": content + (ARRAY / 255).astype(">f4").tobytes(),
        "train-labels-idx1-ubyte": idx_bytes(np.array([0, 5, 0], np.uint8)),
    }
    dataset = load(Options(path=write_tree(tmp_path / "f", files)), request(tmp_path))
    np.testing.assert_array_equal(dataset.images[:, 0], ARRAY)
    assert dataset.class_names == ("0", "5")
    assert "read as 0 (black) … 1" in dataset.notes[0]
    assert "(1 … 4 never occur)" in dataset.notes[1]


def test_a_folder_without_idx_files_says_how_they_are_named(tmp_path):
    with pytest.raises(DataError, match="named like train-images-idx3-ubyte") as caught:
        load(Options(path=tmp_path), request(tmp_path))
    assert caught.type is DataError  # the folder is there: no other data set stands in for it


@pytest.mark.parametrize("folder", ["mnist/MNIST/raw", "MNIST/raw", "mnist/raw", "mnist"])
@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_found_where_torchvision_and_people_put_it(tmp_path, folder, zipped):
    write_mnist(tmp_path / folder, zipped=zipped)
    dataset = load_dataset("mnist", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert dataset.images.shape == (40, 1, 28, 28)
    assert dataset.source == str(tmp_path / folder)


def test_a_part_of_mnist_is_an_error_and_no_other_set_stands_in(tmp_path):
    folder = write_mnist(tmp_path / "mnist" / "MNIST" / "raw")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    for allow in (False, True):
        with pytest.raises(DataError, match="raw: holds the train part of MNIST, and not") as error:
            load_dataset(
                "mnist", {"source": "http://127.0.0.1:9"}, data_dir=tmp_path,
                cache_dir=tmp_path / "cache", allow_download=allow,
            )  # fmt: skip
        assert error.type is DataError
    assert "put its four files" in str(error.value)


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


def test_a_folder_of_idx_files_is_known_at_any_depth_and_an_archive_says_unpack(tmp_path):
    write_mnist(tmp_path / "set" / "MNIST" / "raw")
    assert dataset_for_path(tmp_path / "set") == "idx"
    packed = write_zip(tmp_path / "gzip.zip", {f"gzip/{n}": c for n, c in emnist("a").items()})
    with pytest.raises(DataError, match=r"gzip.zip: holds .gz .*; unpack it, and give the folder"):
        dataset_for_path(packed)
