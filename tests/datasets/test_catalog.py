"""Names, options and requests: what is found, what is refused, what is not imported."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_files import class_folders, write_mnist, write_tree, write_zip

from datasets import (
    checked_options,
    class_alias,
    dataset_for_path,
    dataset_info,
    dataset_names,
    load_dataset,
    locate_dataset,
    options_model,
)
from datasets.sets.handwritten62 import listed_classes
from headstart.errors import DataError, DataNotFoundError

ROOT = Path(__file__).parents[2]


def test_every_module_with_options_locate_and_load_is_a_set():
    assert dataset_names() == (
        "cifar",
        "csv",
        "folder",
        "glyphs",
        "handwritten62",
        "hdf5",
        "idx",
        "mat",
        "mnist",
        "mnist_task3",
        "npy",
        "npz",
        "optdigits",
        "parquet",
        "pickle",
        "sheets",
        "webdataset",
    )


@pytest.mark.parametrize("name", dataset_names())
def test_options_are_frozen_and_closed_and_take_corrupt_labels(name):
    model = options_model(name)
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"
    assert "corrupt_labels" in model.model_fields


def test_neither_names_nor_options_nor_a_cached_load_import_anything_heavy(tmp_path):
    write_mnist(tmp_path / "mnist" / "raw")
    load_dataset("mnist", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    code = (
        "import sys, datasets\n"
        "for name in datasets.dataset_names(): datasets.options_model(name)\n"
        "datasets.load_dataset('mnist', data_dir=sys.argv[1], cache_dir=sys.argv[1] + '/cache')\n"
        "heavy = {'torch', 'cv2', 'PIL', 'sklearn', 'pandas', 'requests', 'harness', 'models'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mnits", {}, r"'mnits' is no data set \(did you mean 'mnist'\?\); there are cifar, csv"),
        ("glyphs", {"cuont": 9}, r"no option 'cuont' \(did you mean 'count'\?\); it takes classes"),
        ("glyphs", {"count": "many"}, "option 'count': 'many': Input should be a valid integer"),
        ("folder", {}, "data set 'folder': option 'path' is needed"),
        (
            "glyphs",
            {"corrupt_labels": {"kind": "pair", "fraction": 0.1}},
            "option 'corrupt_labels.kind': 'pair': Input should be 'complementary', 'uniform' or",
        ),
    ],
)
def test_a_wrong_name_or_option_is_one_line(name, options, message):
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(name, **options)
    assert "\n" not in str(caught.value)


def test_all_wrong_options_are_told_at_once():
    with pytest.raises(DataError) as caught:
        load_dataset("glyphs", count=0, noise=3, colour="red")
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("wanted", [{"image_size": (0, 5)}, {"image_size": (5,)}, {"channels": 2}])
def test_an_impossible_request_is_refused(wanted):
    with pytest.raises(DataError, match=r"image size|channels"):
        load_dataset("glyphs", count=20, **wanted)


def test_options_that_were_validated_come_back_as_they_are_and_load_the_same(tmp_path):
    spoilt = {"kind": "pairs", "fraction": 0.5}
    options = checked_options("glyphs", {"count": 20, "corrupt_labels": spoilt})
    assert checked_options("glyphs", options) is options
    assert pickle.loads(pickle.dumps(options)) == options  # a trial carries them to its worker
    by_key = load_dataset("glyphs", count=20, corrupt_labels=spoilt, cache_dir=tmp_path)
    assert load_dataset("glyphs", options, cache_dir=tmp_path).fingerprint == by_key.fingerprint


def test_what_the_sets_of_this_project_declare():
    ink = {name for name in dataset_names() if dataset_info(name).is_ink}
    assert ink == {"glyphs", "handwritten62", "mnist", "mnist_task3", "optdigits", "sheets"}
    fixed = {name for name in dataset_names() if dataset_info(name).preprocess != "resize"}
    assert fixed == {"mnist", "mnist_task3", "sheets"}
    aliases = dataset_info("handwritten62").class_aliases
    assert list(aliases.values()) == [listed.name for listed in listed_classes()]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Sample001", "0"),
        ("sample 10", "9"),
        ("SAMPLE_0011", "A"),
        ("sample-62", "z"),
        ("Sample000", "Sample000"),
        ("Sample063", "Sample063"),
        ("sample", "sample"),
        ("0", "0"),
    ],
)
def test_a_class_is_known_by_its_other_names(label, name):
    assert class_alias(label) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.csv", "csv"),
        ("a.CSV", "csv"),
        ("a.tsv.gz", "csv"),
        ("a.npz", "npz"),
        ("a.zip", "folder"),
        ("a", "folder"),
    ],
)
def test_the_set_that_reads_a_file_is_known_by_its_ending(path, name):
    assert dataset_for_path(Path(path)) == name


def test_the_set_that_reads_a_folder_is_known_by_its_files(tmp_path):
    assert dataset_for_path(write_mnist(tmp_path / "raw")) == "idx"
    assert dataset_for_path(tmp_path) == "idx"
    (tmp_path / "other").mkdir()
    assert dataset_for_path(tmp_path / "other") == "folder"


def test_what_is_here_is_located_and_what_is_not_says_so(tmp_path):
    assert locate_dataset("glyphs", tmp_path) == ()
    with pytest.raises(DataNotFoundError):
        locate_dataset("mnist", tmp_path, cache_dir=tmp_path / "cache")
    files = write_mnist(tmp_path / "mnist" / "MNIST" / "raw")
    assert {path.parent for path in locate_dataset("mnist", tmp_path)} == {files}
    write_tree(tmp_path / "mine", class_folders(2))
    assert locate_dataset("folder", tmp_path, {"path": "mine"}) == (tmp_path / "mine",)
    with pytest.raises(DataNotFoundError):
        locate_dataset("folder", tmp_path, {"path": "yours"})


def test_the_data_folder_is_given_or_named_by_the_environment(tmp_path, monkeypatch):
    files = write_mnist(tmp_path / "a" / "mnist" / "raw")
    monkeypatch.setenv("HEADSTART_DATA", str(tmp_path / "a"))
    assert locate_dataset("mnist")[0].parent == files
    with pytest.raises(DataNotFoundError, match="not on this machine"):
        locate_dataset("mnist", tmp_path / "b", cache_dir=tmp_path / "cache")


def test_downloads_may_be_kept_elsewhere_than_decoded_arrays(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_DOWNLOADS", str(tmp_path / "fetched"))
    write_mnist(tmp_path / "fetched" / "mnist", zipped=True)
    places = locate_dataset("mnist", tmp_path / "empty", cache_dir=tmp_path / "cache")
    assert {path.parent for path in places} == {tmp_path / "fetched" / "mnist"}


def test_corrupt_labels_works_beside_the_options_of_any_set(tmp_path):
    spoilt = {"kind": "complementary", "fraction": 0.5, "seed": 3}
    places = {"cache_dir": tmp_path}
    clean = load_dataset("glyphs", count=40, **places)
    wrong = load_dataset("glyphs", count=40, corrupt_labels=spoilt, **places)
    np.testing.assert_array_equal(clean.images, wrong.images)
    assert (clean.labels != wrong.labels).sum() == 20
    assert clean.fingerprint != wrong.fingerprint
    entries = [path for path in (tmp_path / "decoded").iterdir() if path.name[0] != "."]
    assert len(entries) == 1  # the images are shared; the mark of who has them open is hidden


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.rar", b"Rar!\x1a\x07", "this file is not read: unpack it and give the folder"),
        ("a.dat", b"7z\xbc\xaf\x27\x1c", "this archive is not read: unpack it"),
        ("a.pt", b"PK\x03\x04", "PyTorch's own format is opened by PyTorch alone"),
        ("a.arrow", b"\xff\xff\xff\xff", "write it as Parquet"),
        ("a.joblib", b"\x80\x04.", "it may run code when it is opened"),
        ("a.pt", b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        ("a.dat", b"\n<!DOCTYPE html>", "this is a web page"),
        ("a.png", b"\x89PNG", "one image is no data set"),
        ("a.xyz", b"", "no set reads this file"),
    ],
)
def test_a_file_that_is_there_and_not_read_is_told_which_kinds_are(
    tmp_path, name, content, message
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        dataset_for_path(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert message in str(caught.value)
    assert ".csv" in str(caught.value)
    assert "folders of images" in str(caught.value)


def test_a_container_beside_class_folders_may_be_read_in_two_ways(tmp_path):
    files = {**class_folders(1), "data/train.parquet": b"PAR1"}
    write_tree(tmp_path / "two", files)
    with pytest.raises(DataError, match=r"2 ways: .*\{name: parquet, path: .*\} or \{name: folder"):
        dataset_for_path(tmp_path / "two")
    write_tree(tmp_path / "card", {"logo.png": b"", "data/train.parquet": b"PAR1"})
    assert dataset_for_path(tmp_path / "card") == "parquet"
    write_tree(tmp_path / "labels", {**class_folders(1), "metadata.parquet": b"PAR1"})
    assert dataset_for_path(tmp_path / "labels") == "folder"
    write_zip(tmp_path / "packed.zip", {"data/train.parquet": b"PAR1"})
    with pytest.raises(DataError, match=r"holds \.parquet \(1 file\); unpack it"):
        dataset_for_path(tmp_path / "packed.zip")


@pytest.mark.parametrize("name", ["imagelabels.mat", "features.npy", "a.h5", "splits.pkl"])
def test_arrays_beside_images_are_no_set_of_their_own(tmp_path, name):
    files = {f"jpg/{k}.jpg": b"" for k in range(9)} | {name: b"", f"more-{name}": b""}
    assert dataset_for_path(write_tree(tmp_path / "flowers", files)) == "folder"


@pytest.mark.parametrize("name", ["parquet", "webdataset", "mat", "hdf5", "npy", "pickle"])
def test_a_pointer_of_git_lfs_is_said_to_be_one(tmp_path, name):
    """As a clone of a hub's repository has them in place of its files."""
    path = tmp_path / {"webdataset": "a.tar", "hdf5": "a.h5", "pickle": "a.p"}.get(
        name, f"a.{name}"
    )
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(DataError, match=r"a\.\w+: this is a pointer of Git LFS"):
        load_dataset(name, path=path, cache_dir=tmp_path / "cache")


def test_a_folder_of_archives_is_told_to_name_one(tmp_path):
    write_zip(tmp_path / "fetched/photos.zip", class_folders(1))
    with pytest.raises(DataError, match=r"holds an archive; give its path: .*photos\.zip"):
        dataset_for_path(tmp_path / "fetched")
    write_zip(tmp_path / "fetched/more.zip", class_folders(1))
    with pytest.raises(DataError, match=r"2 archives: unpack them, .*, as .*more\.zip"):
        dataset_for_path(tmp_path / "fetched")
    outer = write_zip(tmp_path / "outer.zip", {"a/photos.zip": b"x", "readme.txt": b"x"})
    with pytest.raises(DataError, match=r"an archive, a/photos.zip: unpack the outer one"):
        dataset_for_path(outer)
    assert dataset_for_path(write_tree(tmp_path / "beside", {"a.zip": b"", **class_folders(4)}))


def test_a_file_is_known_by_what_it_begins_with(tmp_path):
    (tmp_path / "shard-of-no-ending").write_bytes(b"PAR1 and more")
    assert dataset_for_path(tmp_path / "shard-of-no-ending") == "parquet"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["a/test.csv", "a/train.csv", "sample_submission.csv"],
            r"the path of one, as \S*mine/a/train.csv \(test_path: \S*mine/a/test.csv adds",
        ),
        (["k49-imgs.npz", "k49-labels.npz", "m.csv"], r"the path of one, as \S*/k49-imgs.npz$"),
        (["fer2013.csv"], r"the path of one, as \S*mine/fer2013.csv$"),
        (["flowers.rar", "readme.txt"], "flowers.rar: this file is not read: unpack it"),
    ],
)
def test_a_folder_of_files_that_are_read_one_at_a_time_names_one(tmp_path, names, said):
    for name in names:
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_bytes(b"x")
    with pytest.raises(DataError, match=said):
        dataset_for_path(tmp_path / "mine")


def test_one_file_of_an_idx_set_is_told_to_name_the_folder(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(b"x")
    with pytest.raises(DataError, match="give the folder in which its images and labels lie"):
        dataset_for_path(path)
