"""A set without room stays in its files: the same bits, fingerprint and findings, or one line."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_files import image_bytes, request, write_tree, write_zip

from datasets.cache.checked import plain, read_rows
from datasets.cache.packed import PackedImages
from datasets.sets import folder, parquet, webdataset
from headstart.errors import DataError, InputError

RNG = np.random.default_rng(0)
N = 24


def encoded(k, is_gray=False):
    pixels = np.kron(
        RNG.integers(0, 256, (6, 6, 1 if is_gray else 3), dtype=np.uint8), np.ones((4, 4, 1))
    )
    pixels = np.repeat(pixels, 3, axis=2) if is_gray else pixels
    return image_bytes(pixels.astype(np.uint8), "PNG" if is_gray or k % 2 else "JPEG")


def files(is_gray=False):
    return {f"c{k % 2}/{k:02d}.png": encoded(k, is_gray) for k in range(N)}


def write_shards(where: Path) -> Path:
    where.mkdir()
    for shard in range(2):
        with tarfile.open(where / f"train-{shard}.tar", "w") as archive:
            for k in range(shard, N, 2):
                for ending, content in (("jpg", encoded(k)), ("cls", f"{k % 3 % 2}".encode())):
                    member = tarfile.TarInfo(f"{k:04d}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    return where


def write_parquet(where: Path) -> Path:
    where.mkdir()
    for file, group in ((0, 5), (1, 100)):
        columns = {"image": [encoded(k) for k in range(N // 2)], "label": [0, 1, 1] * (N // 6)}
        path = where / f"train-0000{file}-of-00002.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=group)
    return where


KINDS = {
    "folder": (folder, lambda path: write_tree(path, files())),
    "zip": (folder, lambda path: write_zip(path.with_suffix(".zip"), files())),
    "gray": (folder, lambda path: write_tree(path, files(is_gray=True))),
    "shards": (webdataset, write_shards),
    "parquet": (parquet, write_parquet),
}


def load(module, path, cache, **wanted):
    return module.load(module.Options(path=path), request(cache, **wanted))


@pytest.fixture
def no_room(monkeypatch):
    monkeypatch.setenv("HEADSTART_DECODED_GB", "0.00001")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_same_set_as_the_decoded_one(tmp_path, monkeypatch, capfd, kind):
    module, write = KINDS[kind]
    path = write(tmp_path / "set")
    kept = load(module, path, tmp_path / "a")
    monkeypatch.setenv("HEADSTART_DECODED_GB", "0.00001")
    first, again = (load(module, path, tmp_path / "b") for _ in range(2))
    (line,) = capfd.readouterr().err.splitlines()
    assert "decoded has no room for them; they stay in their files" in line
    for packed in (first, again):
        assert isinstance(packed.images, PackedImages)
        assert packed.images.shape == kept.images.shape
        np.testing.assert_array_equal(packed.images, plain(kept.images))
        np.testing.assert_array_equal(packed.labels, kept.labels)
        np.testing.assert_array_equal(packed.near_pairs, kept.near_pairs)
        assert packed.fingerprint == kept.fingerprint
        assert packed.notes[:-1] == kept.notes
        assert "pillow 1" in packed.notes[-1]
    assert kept.images.shape[1] == (1 if kind == "gray" else 3)
    assert list((tmp_path / "b/cache/decoded").glob("*/images.npy")) == []


INDICES = {
    "one": 7, "last": -1, "some": slice(3, 20, 9), "rows": np.array([5, 5, -2]), "few": [1, 2],
    "mask": np.arange(N) < 2, "region": (slice(0, 4), slice(None), slice(0, None, 5)),
    "pixel": (3, 0, 1, 2), "none": np.empty(0, np.int64),
}  # fmt: skip


def test_it_is_indexed_as_an_array_is(tmp_path, no_room):
    packed = load(folder, write_tree(tmp_path / "set", files()), tmp_path, image_size=(8, 8)).images
    whole = np.stack(list(packed))
    for name, index in INDICES.items():
        np.testing.assert_array_equal(packed[index], whole[index], err_msg=name)


def test_rows_are_read_into_memory_that_is_given(tmp_path, no_room):
    packed = load(folder, write_tree(tmp_path / "set", files()), tmp_path).images
    rows, out = np.array([9, 2]), np.empty((2, *packed.shape[1:]), np.uint8)
    read_rows(packed, rows, out)
    np.testing.assert_array_equal(out, packed[rows])


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "replaced", "pipe"])
def test_a_file_that_changes_after_it_was_read_is_one_line(tmp_path, no_room, damage):
    path = write_tree(tmp_path / "set", files())
    packed = load(folder, path, tmp_path).images
    file = Path(packed.places[0].path)
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[-40] ^= 0xFF
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(content[:-9])
    elif damage == "replaced":
        file.write_bytes(encoded(0) + bytes(9))
    else:
        file.unlink()
    if damage == "pipe":
        os.mkfifo(file)
    with pytest.raises(DataError) as caught:
        packed[0]
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_other_decoders_read_the_set_anew(tmp_path, no_room, monkeypatch, capfd):
    path = write_tree(tmp_path / "set", files())
    first = load(folder, path, tmp_path)
    monkeypatch.setattr("datasets.images.image_set.decoder_versions", lambda: "other 1.0")
    again = load(folder, path, tmp_path)
    assert "other 1.0" in again.notes[-1]
    assert again.fingerprint == first.fingerprint, "its pixels are the same"
    assert len(capfd.readouterr().err.splitlines()) == 2


def test_a_damaged_entry_is_made_anew(tmp_path, no_room, capfd):
    path = write_tree(tmp_path / "set", files())
    first = load(folder, path, tmp_path)
    (file,) = (tmp_path / "cache/decoded").glob("*/place-at.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    capfd.readouterr()
    assert load(folder, path, tmp_path).fingerprint == first.fingerprint
    assert "place-at.npy differs from its digest" in capfd.readouterr().err.splitlines()[0]


def test_what_is_packed_as_a_whole_cannot_stay(tmp_path, no_room):
    with tarfile.open(tmp_path / "set.tgz", "w:gz") as archive:
        for name, content in files().items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match="HEADSTART_DECODED_GB allows"):
        load(folder, tmp_path / "set.tgz", tmp_path)
