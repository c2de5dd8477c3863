"""Whatever became of an entry, the set is as it was decoded, and one line says so."""

import json
import os
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_files import dataset_of, request

from datasets.base import DatasetOptions
from datasets.cache.cached import cached
from datasets.cache.checked import plain
from datasets.cache.entry import _opened, read_entry
from headstart.errors import DataError, StorageError

IMAGES = np.random.default_rng(0).integers(0, 255, (40, 3, 6, 5), dtype=np.uint8)
PARTS = {"train": np.arange(30), "test": np.arange(30, 40)}


class Options(DatasetOptions):
    seed: int = 0


def decode(asked):
    return dataset_of(np.arange(40) % 2, images=IMAGES, parts=PARTS)


def load(folder, build=decode, options=None):
    source = folder / "source.bin"
    if not source.exists():
        source.touch()
    return cached("tiny", 1, options or Options(), request(folder), [source], build)


def entry_of(folder, name="[!.]*"):
    (entry,) = (folder / "cache" / "decoded").glob(name)
    return entry


def flip(path, at=-3):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def roll(path):
    np.save(path, np.roll(np.load(path), 1, axis=0))


def another_set(entry):
    """Every file of an entry of other images and the same shape."""
    other = entry.parents[2] / "other"
    other.mkdir()
    load(other, lambda asked: dataset_of(np.arange(40) % 2, images=np.invert(IMAGES)))
    shutil.rmtree(entry)
    shutil.copytree(entry_of(other), entry)


def half_synced(entry):
    with open(entry / "images.npy", "r+b") as file:
        file.seek(1000)
        file.write(bytes(1500))


def larger_than_it_is(entry):
    """A header that announces terabytes must not be believed."""
    content = (entry / "labels.npy").read_bytes()
    (entry / "labels.npy").write_bytes(content.replace(b"(40,), ", b"(9999999999999,), ")[:208])


def linked(entry):
    (entry / "labels.npy").rename(entry.parents[2] / "labels.npy")
    (entry / "labels.npy").symlink_to(entry.parents[2] / "labels.npy")


def a_pipe(entry):
    (entry / "meta.json").unlink()
    os.mkfifo(entry / "meta.json")


def signed_anew(entry):
    """Digests that fit, and numbers that do not fit the images."""
    from headstart.digests import sealed

    meta = json.loads((entry / "meta.json").read_text())
    (entry / "meta.json").write_text(json.dumps(sealed({**meta, "class_names": ["0"]})))


DAMAGES = {
    "an image": lambda entry: flip(entry / "images.npy"),
    "the header of the images": lambda entry: flip(entry / "images.npy", 70),
    "images rolled": lambda entry: roll(entry / "images.npy"),
    "labels rolled": lambda entry: roll(entry / "labels.npy"),
    "a checksum": lambda entry: flip(entry / "crc32.npy"),
    "the record": lambda entry: flip(entry / "meta.json", 30),
    "truncated": lambda entry: os.truncate(entry / "images.npy", 3000),
    "a file is missing": lambda entry: (entry / "first_copy.npy").unlink(),
    **{
        damage.__name__: damage
        for damage in (another_set, half_synced, larger_than_it_is, linked, a_pipe, signed_anew)
    },
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_noticed_mended_and_said_in_one_line(tmp_path, capfd, damage):
    first = load(tmp_path)
    damage(entry_of(tmp_path))
    again = load(tmp_path)
    np.testing.assert_array_equal(again.images[[39, 3]], IMAGES[[39, 3]])
    np.testing.assert_array_equal(plain(again.images), IMAGES)
    np.testing.assert_array_equal(again.labels, first.labels)
    assert again.fingerprint == first.fingerprint
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "tiny" in line]
    assert "damaged" in line
    assert "decoded anew" in line
    np.testing.assert_array_equal(plain(load(tmp_path).images), IMAGES)
    assert capfd.readouterr().err == ""


def test_every_way_to_read_images_sees_the_damage(tmp_path):
    ways = [
        lambda images: images[39],
        lambda images: images[-1],
        lambda images: images[30:],
        lambda images: images[np.arange(40) > 35],
        lambda images: images[..., 0],
        lambda images: list(images),
        lambda images: images.sum(),
        lambda images: images > 3,
        lambda images: images.transpose(1, 0, 2, 3),
        lambda images: np.concatenate([images, images]),
        lambda images: images.copy(),
        plain,
    ]
    load(tmp_path)
    for way in ways:
        flip(entry_of(tmp_path) / "images.npy")
        images = load(tmp_path).images
        expected = way(IMAGES)
        np.testing.assert_array_equal(np.asarray(way(images)), np.asarray(expected))


def test_rows_that_are_not_read_are_not_compared(tmp_path):
    def never(asked):
        raise AssertionError("decoded")

    load(tmp_path)
    flip(entry_of(tmp_path) / "images.npy")
    np.testing.assert_array_equal(load(tmp_path, never).images[:39], IMAGES[:39])


def test_damaged_images_of_files_that_have_changed_since_are_refused(tmp_path):
    load(tmp_path)
    flip(entry_of(tmp_path) / "images.npy")
    other = load(tmp_path, lambda asked: dataset_of(np.arange(40) % 2, images=np.invert(IMAGES)))
    with pytest.raises(DataError, match="its files have changed since they were decoded"):
        other.images[39]


def test_a_stranger_s_cache_that_may_not_be_written_is_read_or_refused(tmp_path, monkeypatch):
    load(tmp_path)
    entry = entry_of(tmp_path)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    for name in ("touch", "mkdir", "rename"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    np.testing.assert_array_equal(plain(load(tmp_path).images), IMAGES)
    flip(entry / "labels.npy")
    with pytest.raises(StorageError, match=r"cannot be kept here.*HEADSTART_CACHE"):
        load(tmp_path)


def test_pages_of_a_repeated_channel_are_checked_too(tmp_path):
    gray = np.broadcast_to(IMAGES[:, :1], IMAGES.shape)
    build = lambda asked: replace(dataset_of(np.arange(40) % 2, images=gray))  # noqa: E731
    load(tmp_path, build)
    flip(entry_of(tmp_path) / "images.npy")
    np.testing.assert_array_equal(load(tmp_path, build).images[39], gray[39])


def test_files_that_change_while_they_are_decoded_are_refused(tmp_path):
    def build(asked):
        (tmp_path / "source.bin").write_bytes(b"other")
        return decode(asked)

    with pytest.raises(DataError, match="its files changed while they were read"):
        load(tmp_path, build)
    np.testing.assert_array_equal(plain(load(tmp_path).images), IMAGES)


def test_the_table_is_the_file_and_takes_no_memory_of_its_own(tmp_path):
    load(tmp_path)
    images = load(tmp_path).images
    assert not images.flags.writeable
    assert not images[:3].flags.writeable
    assert images.table.ctypes.data == images.ctypes.data
    flip(entry_of(tmp_path) / "images.npy")
    images.check(np.array([39]))
    np.testing.assert_array_equal(images.table, IMAGES)


def test_images_of_several_times_the_memory_are_mapped(tmp_path):
    """A map to which one may write is refused by Linux where it is larger than the memory."""
    height = 4 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 16)
    shape = (2, 1, height, 1 << 15)
    with open(tmp_path / "images.npy", "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        size = file.tell() + int(np.prod(shape))
        file.truncate(size)  # it takes no room on the disk
    meta = {"shape": list(shape), "sizes": {"images.npy": size}}
    images = _opened(tmp_path / "images.npy", meta)
    assert images[1, 0, -1, -1] == 0
    assert not images.flags.writeable


def test_a_process_that_may_open_no_more_files_keeps_the_entry(tmp_path):
    load(tmp_path)
    entry = entry_of(tmp_path)
    before = sorted(entry.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(StorageError, match="the decoded 'tiny' cannot be opened: Too many"):
            read_entry("tiny", entry, lambda *_: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert sorted(entry.iterdir()) == before
