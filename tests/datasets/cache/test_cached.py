"""A set is decoded once; a damaged or stale entry is made again; nothing half-written is seen."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from data_files import dataset_of, noise, request

from datasets.base import DatasetOptions
from datasets.cache import cached as cache
from datasets.cache import pages
from datasets.cache.cached import cached
from datasets.preprocess import shape_for, shape_images
from headstart.errors import InputError, StorageError


class Options(DatasetOptions):
    seed: int = 0


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(b"1")
    return path


class Decoder:
    """Counts how often it has to decode."""

    def __init__(self):
        self.n_calls = 0

    def __call__(self, asked=None):
        self.n_calls += 1
        labels = [0, 1, 0, 1]
        return dataset_of(labels, parts={"train": np.array([0, 1]), "test": np.array([2, 3])})


def load(folder, decoder, source, version=1, options=None, may_repeat=True, **wanted):
    asked = request(folder, **wanted)
    return cached("tiny", version, options or Options(), asked, [source], decoder, may_repeat)


def entries(folder):
    return sorted((folder / "cache" / "decoded").glob("[!.]*"))


def test_the_second_load_gives_the_same_and_decodes_nothing(tmp_path, source):
    decoder = Decoder()
    first = load(tmp_path, decoder, source)
    second = load(tmp_path, decoder, source)
    assert decoder.n_calls == 1
    reference = decoder()
    for loaded in (first, second):
        np.testing.assert_array_equal(loaded.images, reference.images)
        np.testing.assert_array_equal(loaded.labels, reference.labels)
        np.testing.assert_array_equal(loaded.parts["test"], [2, 3])
        np.testing.assert_array_equal(loaded.first_copy, [0, 1, 2, 3])
        assert loaded.fingerprint == reference.fingerprint
        assert loaded.class_names == ("0", "1")
        assert not loaded.images.flags.writeable


@pytest.mark.parametrize(
    "changed",
    [{"version": 2}, {"options": Options(seed=1)}, {"image_size": (3, 3)}, {"channels": 3}],
)
def test_whatever_decides_the_arrays_is_in_the_key(tmp_path, source, changed):
    decoder = Decoder()
    load(tmp_path, decoder, source)
    load(tmp_path, decoder, source, **changed)
    assert decoder.n_calls == 2
    load(tmp_path, decoder, source)
    assert decoder.n_calls == 2


def test_a_changed_source_is_decoded_again_and_the_stale_entry_removed(tmp_path, source):
    decoder = Decoder()
    load(tmp_path, decoder, source)
    source.write_bytes(b"22")
    load(tmp_path, decoder, source)
    assert decoder.n_calls == 2
    assert len(entries(tmp_path)) == 1


def test_a_file_of_other_content_deep_in_a_source_folder_is_noticed(tmp_path):
    deep = tmp_path / "images" / "a" / "1.png"
    deep.parent.mkdir(parents=True)
    deep.write_bytes(b"1")
    decoder = Decoder()
    load(tmp_path, decoder, tmp_path / "images")
    deep.write_bytes(b"2")
    load(tmp_path, decoder, tmp_path / "images")
    assert decoder.n_calls == 2


def test_files_that_were_only_touched_are_not_decoded_again(tmp_path, source):
    decoder = Decoder()
    load(tmp_path, decoder, source)
    os.utime(source, ns=(1, 1))
    load(tmp_path, decoder, source)
    assert decoder.n_calls == 1


@pytest.mark.parametrize("torn", ["images.npy", "labels.npy", "part-test.npy", "meta.json"])
def test_a_torn_entry_is_made_again(tmp_path, source, torn):
    decoder = Decoder()
    load(tmp_path, decoder, source)
    path = entries(tmp_path)[0] / torn
    path.write_bytes(path.read_bytes()[:-5])
    again = load(tmp_path, decoder, source)
    assert decoder.n_calls == 2
    assert again.fingerprint == decoder().fingerprint
    load(tmp_path, decoder, source)
    assert decoder.n_calls == 3  # the call two lines up, and no other


def test_a_decoder_that_fails_leaves_nothing_behind(tmp_path, source):
    def fail(asked):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        load(tmp_path, fail, source)
    assert not (tmp_path / "cache").exists()


def test_a_repeated_channel_is_stored_once(tmp_path, source):
    def decode(asked=None):
        images = np.broadcast_to(np.arange(16, dtype=np.uint8).reshape(4, 1, 2, 2), (4, 3, 2, 2))
        return dataset_of([0, 1, 0, 1], images=images)

    loaded = load(tmp_path, decode, source)
    assert loaded.images.shape == (4, 3, 2, 2)
    assert np.load(entries(tmp_path)[0] / "images.npy").shape == (4, 1, 2, 2)
    assert loaded.fingerprint == decode().fingerprint


def test_a_cache_folder_that_cannot_be_made_is_one_message(tmp_path, source):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(StorageError, match="HEADSTART_CACHE"):
        load(tmp_path, Decoder(), source)


def test_an_entry_says_what_it_holds(tmp_path, source):
    load(tmp_path, Decoder(), source)
    meta = json.loads((entries(tmp_path)[0] / "meta.json").read_text())
    assert meta["class_names"] == ["0", "1"]
    assert set(meta["sizes"]) >= {"images.npy", "labels.npy", "first_copy.npy", "part-train.npy"}


def test_notes_and_warnings_are_kept(tmp_path, source):
    said = replace(Decoder()(), notes=("2 copies",), warnings=("half is not read",))
    for kept in (load(tmp_path, lambda asked: said, source), load(tmp_path, None, source)):
        assert (kept.notes, kept.warnings) == (said.notes, said.warnings)


def test_pictures_for_people_are_kept_byte_by_byte(tmp_path, source):
    pictures = {"01-sheet.jpg": b"\xff\xd8 boxes", "02-other.jpg": b"\xff\xd8"}
    decoder = lambda asked: replace(Decoder()(), pictures=pictures)  # noqa: E731
    for kept in (load(tmp_path, decoder, source), load(tmp_path, Decoder(), source)):
        assert dict(kept.pictures) == pictures
        assert "meta.json" not in kept.pictures
    (entry,) = entries(tmp_path)
    (entry / "picture-02-other.jpg").write_bytes(b"")  # torn
    assert not load(tmp_path, Decoder(), source).pictures


def test_a_full_disk_is_one_message_and_leaves_nothing(small_disk, source):
    images = np.random.default_rng(0).integers(0, 255, (500, 1, 28, 28)).astype(np.uint8)
    large = dataset_of(np.arange(500) % 2, images=images)
    cache = replace(request(source.parent), cache_dir=small_disk)
    with pytest.raises(InputError, match=r"decoded: the decoded images take .*free some space"):
        cached("tiny", 1, Options(), cache, [source], lambda asked: large)
    assert list(small_disk.glob("decoded/*")) == []


def test_what_a_link_leads_to_later_makes_another_entry(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "x.png").symlink_to("../later.png")
    (tmp_path / "images" / "self").symlink_to("self")
    decode = Decoder()
    load(tmp_path, decode, tmp_path / "images")
    load(tmp_path, decode, tmp_path / "images")
    assert decode.n_calls == 1
    (tmp_path / "later.png").write_bytes(b"x")
    load(tmp_path, decode, tmp_path / "images")
    assert decode.n_calls == 2


def test_near_duplicates_are_looked_for_once_and_kept_with_the_names_of_their_files(
    tmp_path, source, monkeypatch
):
    monkeypatch.setattr(
        cache, "near_pairs", lambda images, first_copy, tested, known: np.array([[2, 0]])
    )
    dataset = load(
        tmp_path, lambda asked: replace(Decoder()(), files=dict(enumerate("abcd"))), source
    )
    assert dataset.files == {0: "a", 2: "c"}
    monkeypatch.setattr(cache, "near_pairs", None)
    dataset = load(tmp_path, Decoder(), source)
    np.testing.assert_array_equal(dataset.near_pairs, [[2, 0]])
    assert dataset.files == {0: "a", 2: "c"}


def test_near_duplicates_are_looked_for_from_the_parts_that_test(tmp_path, source, monkeypatch):
    seen = []

    def looked_at(images, first_copy, tested, known):
        seen.append(tested.tolist())
        return np.empty((0, 2), np.int64)

    monkeypatch.setattr(cache, "near_pairs", looked_at)
    load(tmp_path, Decoder(), source)
    parts = {"train": np.array([0, 1]), "validation": np.array([2, 3])}  # it has no test part
    load(tmp_path, lambda asked: replace(Decoder()(), parts=parts), source, version=2)
    assert seen == [[2, 3], [0, 1, 2, 3]]
    kept = load(tmp_path, Decoder(), source, version=3, may_repeat=False)
    assert kept.near_pairs is None
    assert len(seen) == 2


@pytest.mark.parametrize(("size", "channels"), [((9, 11), 3), (None, None), ((4, 4), 1)])
def test_arrays_are_shaped_block_by_block_as_they_are_in_memory(
    tmp_path, source, monkeypatch, size, channels
):
    monkeypatch.setattr(pages, "_MOST_ROWS", 3)
    for images in (noise(rng := np.random.default_rng(0), 8, 7, 6), noise(rng, 8, 7, 6, 3)):
        folder = tmp_path / str(images.ndim)
        build = lambda asked, images=images: dataset_of(  # noqa: E731
            np.arange(8) % 2, images=shape_for(images, asked)
        )
        kept = load(folder, build, source, image_size=size, channels=channels)
        in_memory = shape_images(images, size, channels)
        np.testing.assert_array_equal(kept.images[:], in_memory)
        assert kept.fingerprint == dataset_of(np.arange(8) % 2, images=in_memory).fingerprint
        stored = np.load(entries(folder)[0] / "images.npy")
        assert stored.shape[1] == (1 if images.ndim == 3 else in_memory.shape[1])
