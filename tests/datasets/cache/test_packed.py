"""A set without room stays in its files: the same bits, fingerprint and findings, or one line."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from data_files import request, write_tree
from packed_sets import KINDS, N, encoded, files

from datasets.cache.checked import plain, read_rows
from datasets.cache.packed import PackedImages
from datasets.images.decode import decode
from datasets.sets import folder, parquet, webdataset
from headstart.errors import DataError, InputError

MODULES = {"shards": webdataset, "parquet": parquet}


def load(module, path, cache, **wanted):
    return module.load(module.Options(path=path), request(cache, **wanted))


@pytest.fixture
def no_room(monkeypatch):
    monkeypatch.setenv("HEADSTART_DECODED_GB", "0.00001")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_same_set_as_the_decoded_one(tmp_path, monkeypatch, capfd, kind):
    module, path = MODULES.get(kind, folder), KINDS[kind](tmp_path / "set")
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
    with pytest.raises(InputError, match="HEADSTART_DECODED_GB allows") as caught:
        load(folder, tmp_path / "set.tgz", tmp_path)
    assert str(caught.value).endswith(
        f"{tmp_path / 'set.tgz'} can only be read from its start: unpack it, or pack it as a plain "
        "tar or a zip file, and its images can stay there"
    )
    assert "\n" not in str(caught.value)


def test_planning_decodes_each_image_once(tmp_path, no_room, monkeypatch):
    """But for gray ones, whose channels are one, and for those that look like doubles."""
    decoded = []

    def counted(data, *given, **more):
        decoded.append(data)
        return decode(data, *given, **more)

    monkeypatch.setattr("datasets.images.blocks.decode", counted)
    path = write_tree(tmp_path / "set", files())
    packed = load(folder, path, tmp_path, image_size=(32, 32)).images
    assert isinstance(packed, PackedImages)
    assert len(decoded) == len(packed)
