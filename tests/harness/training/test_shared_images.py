"""Parts as rows of one table: whose memory it is, and that they are what indexing gives."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

import numpy as np
import pytest
import torch
from mapped_images import mapped

from datasets.base import build_dataset
from datasets.cache.packed import PackedImages, Places
from datasets.files.places import Place, read_place
from datasets.split import Split
from harness.training.shared_images import FEW, SharedImages

CPU = torch.device("cpu")
N = 60


@pytest.fixture
def gray():
    return np.random.default_rng(0).integers(0, 256, (N, 1, 5, 4), dtype=np.uint8)


def dataset_of(images):
    return build_dataset("some", images, np.arange(len(images)) % 3, "abc", source="a test")


def split_of(rng, *sizes):
    drawn = rng.permutation(N)[: sum(sizes)]
    return Split(*np.split(drawn, np.cumsum(sizes)[:-1]))


@pytest.mark.parametrize("channels", [1, 3])
def test_trials_read_the_decoded_file_itself(gray, tmp_path, channels):
    """Whatever their split, and where gray is repeated."""
    dataset = dataset_of(mapped(gray, tmp_path / "images.npy", channels))
    shared, rng = SharedImages(), np.random.default_rng(1)
    for sizes in ((30, 20, 10), (5, 3, 0)):
        split = split_of(rng, *sizes)
        parts = shared.parts(dataset, split, CPU)
        for part in (parts.train, parts.validation, parts.test):
            assert part.inputs.data_ptr() == dataset.images.table.ctypes.data
            assert part.shape == (channels, 5, 4)
            expected = torch.from_numpy(dataset.images[part.indices].copy())
            assert torch.equal(part.between(0, len(part)), expected)
            backwards = torch.arange(len(part)).flip(0)
            assert torch.equal(part.take(backwards), expected.flip(0))
            out = torch.empty_like(expected)
            assert torch.equal(part.take(backwards, out=out), expected.flip(0))
            assert part.take(backwards).float().is_contiguous()


def test_a_set_that_stays_in_its_files_is_read_ahead_on_a_cpu_too(gray, tmp_path):
    """A file is the raw pixels here; what it decodes to is `datasets`' to test."""
    (tmp_path / "images").write_bytes(gray.tobytes())
    n = gray[0].size
    places = Places.of([Place(tmp_path / "images", k * n, n, n) for k in range(N)])
    crcs = np.array([crc32(image.tobytes()) for image in gray])

    def decode(place):
        return np.frombuffer(read_place(place, "x"), np.uint8).reshape(gray[0].shape), "x"

    dataset = replace(dataset_of(gray), images=PackedImages(gray.shape, places, crcs, decode))
    shared = SharedImages()
    part = shared.parts(dataset, split_of(np.random.default_rng(1), 30, 20, 10), CPU).train
    assert shared.n_bytes_of(dataset) == 0
    assert len(part.inputs) == 0, "nothing lies in memory"
    expected = torch.from_numpy(gray[part.indices])
    part.follow([np.arange(3), np.arange(3, 9)])
    for rows in (np.arange(3, 9), np.array([5, 0])):
        assert torch.equal(part.take(torch.from_numpy(rows), on_host=rows), expected[rows])
    assert torch.equal(part.between(0, len(part)), expected)


def test_trials_read_the_memory_of_a_set_that_has_no_file(gray, recwarn):
    gray.flags.writeable = False
    dataset = dataset_of(gray)
    shared, rng = SharedImages(), np.random.default_rng(1)
    parts = [shared.parts(dataset, split_of(rng, 5, 3, 2), CPU) for _ in range(2)]
    assert parts[0].train.inputs is parts[1].test.inputs
    assert parts[0].train.inputs.data_ptr() == gray.ctypes.data
    assert not recwarn.list


def test_a_set_that_is_a_view_is_read_as_it_looks(gray):
    """As code of a user's own may give it: mirrored, with gaps, gray repeated."""
    wide = np.broadcast_to(gray, (N, 3, 5, 4))
    split = split_of(np.random.default_rng(1), 30, 20, 10)
    for images in (gray[:, :, ::-1], gray[:, :, ::2], wide, wide[:, :, :, ::-1]):
        part = SharedImages().parts(dataset_of(images), split, CPU).train
        assert np.array_equal(part.between(0, 30).numpy(), images[split.train])


def test_images_are_compared_before_a_trial_reads_them(gray, tmp_path):
    """Those that it reads, before it begins."""

    def mend(check, index):
        mended.extend(index.tolist())
        check.rows[index] = gray[index]

    mended = []
    images = mapped(gray, tmp_path / "images.npy", on_damage=mend)
    labels = np.arange(N) % 3
    dataset = build_dataset("some", images, labels, "abc", source="a test", digests=[b""] * N)
    images._check._is_right[:] = images._check._is_all_right = False
    images.table[[7, 8]] += 1
    whole = np.arange(N)
    split = Split(whole[10:40], whole[40:50], whole[50:])
    SharedImages().parts(dataset, split, CPU)
    assert not mended
    split = Split(whole[:40], whole[40:50], whole[50:])
    parts = SharedImages().parts(dataset, split, CPU)
    assert mended == [7, 8]
    assert np.array_equal(parts.train.between(0, 40).numpy(), gray[:40])


def test_another_set_takes_the_place_of_the_one_before(gray):
    shared, split = SharedImages(), split_of(np.random.default_rng(0), 30, 20, 10)
    first, second = dataset_of(gray), dataset_of(255 - gray)
    shared.parts(first, split, CPU)
    assert (shared.n_bytes_of(first), shared.n_bytes_of(second)) == (0, gray.nbytes)
    parts = shared.parts(second, split, CPU)
    assert (shared.n_bytes_of(first), shared.n_bytes_of(second)) == (gray.nbytes, 0)
    assert shared.n_bytes == gray.nbytes
    assert np.array_equal(parts.test.between(0, 10).numpy(), 255 - gray[split.test])


def test_a_gpu_is_given_few_images_alone_but_the_whole_set_once_copies_add_up(gray):
    """Together with these copies no more than 1.1 sets lie there."""
    dataset, rng = dataset_of(np.repeat(gray, 10, axis=0)), np.random.default_rng(0)

    class Gpu(SharedImages):
        def is_gpu(self, device):
            return True

        def room(self):
            return 10**9

    shared, kept = Gpu(), []
    for _ in range(40):
        drawn = rng.choice(len(dataset.labels), 18, replace=False)
        kept.append(shared.parts(dataset, Split(drawn[:10], drawn[10:15], drawn[15:]), CPU))
        part = kept[-1].train
        assert np.array_equal(part.between(0, 10).numpy(), dataset.images[part.indices])
    tables = {id(parts.train.inputs): parts.train.inputs for parts in kept}
    assert sorted(map(len, tables.values())) == [18, 18, 18, 600]
    assert sum(map(len, tables.values())) <= (1 + FEW) * 600
