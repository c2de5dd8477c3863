"""A set of a remote store is the local one, fetched once; what a store does wrong is one line."""

import builtins
from pathlib import Path

import fsspec
import numpy as np
import pytest
from data_files import image_bytes, noise

import datasets
from datasets.files.remote import address_of, fetched, mirror_of
from headstart.errors import DataError, DataNotFoundError, MissingPackageError

RNG = np.random.default_rng(0)
FILES = {f"{c}/{k}.png": image_bytes(noise(RNG, 6, 6)) for c in "ab" for k in range(3)}


@pytest.fixture
def store():
    memory = fsspec.filesystem("memory")
    for name, content in FILES.items():
        memory.pipe(f"/bucket/set/{name}", content)
    yield memory
    memory.store.clear()


def load(tmp_path, path="memory://bucket/set", **wanted):
    return datasets.load_dataset("folder", {"path": Path(path)}, cache_dir=tmp_path, **wanted)


def test_it_is_the_set_that_lies_on_this_machine(tmp_path, store):
    for name, content in FILES.items():
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_bytes(content)
    near = load(tmp_path, tmp_path / "here")
    far = load(tmp_path)
    assert far.fingerprint == near.fingerprint
    assert far.source == "memory://bucket/set"
    by_address = load(tmp_path, f"file://{tmp_path / 'here'}")
    assert by_address.fingerprint == near.fingerprint


def test_only_what_changed_is_fetched_again(tmp_path, store, monkeypatch):
    load(tmp_path)
    names = []
    get_file = type(store).get_file
    seen = lambda self, name, to: names.append(name) or get_file(self, name, to)  # noqa: E731
    monkeypatch.setattr(type(store), "get_file", seen)
    load(tmp_path)
    assert names == []
    store.pipe("/bucket/set/a/0.png", image_bytes(noise(RNG, 6, 6)))
    store.rm("/bucket/set/b/2.png")
    assert len(load(tmp_path).labels) == 5
    assert names == ["/bucket/set/a/0.png"]


def test_one_file_may_be_named(tmp_path, store):
    store.pipe("/bucket/x.bin", b"content")
    assert fetched("memory://bucket/x.bin", tmp_path, True).read_bytes() == b"content"
    assert fetched("memory://bucket/x.bin", tmp_path, False).name == "x.bin"


def test_a_file_of_the_copy_that_is_gone_is_fetched_again(tmp_path, store):
    load(tmp_path)
    (mirror_of("memory://bucket/set", tmp_path) / "a/1.png").unlink()
    assert len(load(tmp_path).labels) == 6


def test_nothing_is_fetched_unasked(tmp_path, store):
    with pytest.raises(DataNotFoundError, match="memory://bucket/set: not fetched yet; --fetch"):
        load(tmp_path, allow_download=False)
    load(tmp_path)
    assert len(load(tmp_path, allow_download=False).labels) == 6


MISTAKES = {
    "memory://bucket/sets": "no such file or folder in the store",
    "s3x://bucket/set": "cannot be fetched: Protocol not known: s3x",
    "s3://me:pass@bucket/set": r"s3://\*\*\*@?.*no password belongs into a sweep file",
}


@pytest.mark.parametrize("path", MISTAKES)
def test_what_cannot_be_fetched_is_one_line(tmp_path, store, path):
    with pytest.raises(DataError, match=MISTAKES[path]) as caught:
        load(tmp_path, path)
    assert "\n" not in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_a_package_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch):
    whole = builtins.__import__

    def without(name, *more, **others):
        if name == "s3fs":
            raise ImportError("No module named 's3fs'")
        return whole(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match="--extra remote"):
        load(tmp_path, "s3://bucket/set")


def test_a_store_whose_names_leave_the_folder_is_refused(tmp_path, store, monkeypatch):
    hostile = {"/bucket/set/../../x.png": {"size": 1}, "/bucket/set/y.png": {"size": 1}}
    monkeypatch.setattr(type(store), "find", lambda self, root, detail: hostile)
    with pytest.raises(DataError, match="would lie outside its folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("s3://b/x", "s3://b/x"), ("s3:/b/x", "s3://b/x"), ("file:///a/x", "file:///a/x"),
        ("my/photos", None), ("/a/x", None), ("C:/x", None), ("~/x", None), ("a b: c/d", None),
    ],
)  # fmt: skip
def test_addresses_are_told_from_paths(path, address):
    assert address_of(Path(path)) == address
