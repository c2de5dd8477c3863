"""Images that are read ahead: the bits of images on the device, and each row read once, in time.

A device of the CPU's stands for a GPU that has too little memory; `memory_on_cards.py` has what a
GPU counts.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from mapped_images import mapped
from pack_runs import run_alone, run_together, stopping_after
from threads_as_ranks import Together
from torch import nn

from datasets.base import build_dataset
from datasets.split import Split
from harness.joint import fused, pack
from harness.runfolder.folder import RunFolder
from harness.seeds import AXES, derive_streams
from harness.sweepfile.settings import Train
from harness.training import shared_images, streaming
from harness.training.arrays import Normalise, Part
from harness.training.loop import Trainer
from harness.training.process import make_accelerator, set_up_process
from harness.training.shared_images import SharedImages
from harness.training.streaming import AHEAD, Budget, ReadAhead
from harness.training.trial import run_trial
from harness.trials.events import Stopped
from headstart.errors import StorageError

CPU = torch.device("cpu")
SWEEP = """\
name: streamed
question: Are images that are read ahead those that lie on the device?
model: {name: lenet5}
data: {name: glyphs, count: 400, seed: 1, train: 130, validation: 60, test: 60}
train: {learning_rate: 1.0e-3, batch_size: 32, epochs: 3}
arms:
  plain: {}
  changed: {train: {augment: {rotate: 10}, mixup: 0.4}}
seeds: 2
resources: {gpus: 0, pack: 2, fuse: always}
"""


class SmallGpu(SharedImages):
    """As on a GPU that has room for a few images."""

    n_free = 2000  # bytes

    def is_gpu(self, device):
        return True

    def room(self):
        return self.n_free


@pytest.fixture
def reads(monkeypatch):
    """Rows of each batch that was read, in the order in which they were asked for."""
    kept, read = [], ReadAhead._read

    def counted(self, rows, memory):
        kept.append(rows)
        return read(self, rows, memory)

    monkeypatch.setattr(ReadAhead, "_read", counted)
    return kept


@pytest.fixture
def source():
    return ReadAhead(np.arange(240, dtype=np.uint8).reshape(60, 1, 2, 2), CPU)


def is_of(batch, rows):
    return batch[:, 0, 0, 0].tolist() == [4 * row for row in rows]


def test_batches_are_read_ahead_of_their_time(source, reads):
    batches = [np.array([k, 59 - k]) for k in range(9)]
    source.follow(batches)
    for k, rows in enumerate(batches):
        assert is_of(source.at(rows), rows)
        asked = min(len(batches), k + 1 + AHEAD)
        assert len(source._queue) == asked - k - 1
    assert sorted(map(tuple, reads)) == sorted(map(tuple, batches)), "each once"


def test_batches_that_are_left_out_or_not_planned_disturb_none(source):
    batches = [np.array([k]) for k in range(9)]
    source.follow(batches)
    for k in (0, 0, 40, 2, 3, 1, 4, 8, 5):
        assert is_of(source.at(np.array([k])), [k])
    source.follow(batches[5:])
    assert is_of(source.at(batches[6]), [6])


def test_a_pack_of_any_size_reads_no_more_ahead(reads):
    """Those whose steps come first read first; what there is no room for is read when asked for."""
    images = np.arange(240, dtype=np.uint8).reshape(60, 1, 2, 2)
    budget = Budget(4 * images[:5].nbytes)
    pack = [ReadAhead(images, CPU, budget=budget) for _ in range(9)]
    batches = [np.arange(5 * k, 5 * k + 5) for k in range(12)]
    for source in pack:
        source.follow(batches)
    assert [source.n_begun for source in pack] == [3, 1] + [0] * 7
    for rows in batches:
        for source in pack:
            assert is_of(source.at(rows), rows)
            assert 0 < budget.held <= budget.n_bytes or rows is batches[-1]
            assert budget.held == sum(each.n_bytes for each in pack)
    assert budget.held == 0
    assert sorted(rows[0] for rows in reads) == sorted(5 * k for k in range(12) for _ in pack)


def test_after_the_first_step_each_of_a_pack_is_read_before_its_turn(monkeypatch):
    names, read = [], ReadAhead._read

    def named(self, rows, memory):
        names.append(threading.current_thread() is threading.main_thread())
        return read(self, rows, memory)

    monkeypatch.setattr(ReadAhead, "_read", named)
    images = np.zeros((60, 1, 2, 2), np.uint8)
    budget = Budget(3 * images[:5].nbytes)
    pack = [ReadAhead(images, CPU, budget=budget) for _ in range(8)]
    for source in pack:
        source.follow(np.arange(5 * k, 5 * k + 5) for k in range(12))
    for k in range(12):
        for source in pack:
            source.at(np.arange(5 * k, 5 * k + 5))
        if k == 0:
            names.clear()
    assert names == [False] * len(names)
    assert len(names) >= 8 * 11 - 3


def test_a_batch_larger_than_all_that_may_be_read_ahead_is_read_alone_and_ended_ones_go(
    monkeypatch,
):
    images = np.zeros((60, 1, 2, 2), np.uint8)
    budget = Budget(1)
    first, second = (ReadAhead(images, CPU, budget=budget) for _ in range(2))
    with monkeypatch.context() as patch, ThreadPoolExecutor() as threads:
        patch.setattr(streaming, "_threads", lambda: threads)
        first.follow([np.arange(9)])
        second.follow([np.arange(5)])
        assert (first.n_begun, second.n_begun) == (1, 0)
    del first  # the last that holds it: a thread that still reads for it would, and it would count
    second.follow([np.arange(5)])
    assert second.n_begun == 1


def test_a_read_that_fails_is_told_to_who_asks_for_the_batch(source, monkeypatch):
    def broken(images, rows, out):
        raise StorageError("decoded images were damaged")

    monkeypatch.setattr(streaming, "read_rows", broken)
    source.follow([np.array([1]), np.array([2])])
    with pytest.raises(StorageError, match="were damaged"):
        source.at(np.array([1]))


def test_who_asks_does_not_read(source, monkeypatch):
    """Where batches are planned, threads read them."""
    names, read = [], ReadAhead._read

    def named(self, rows, memory):
        names.append(threading.current_thread() is threading.main_thread())
        return read(self, rows, memory)

    monkeypatch.setattr(ReadAhead, "_read", named)
    batches = [np.array([k]) for k in range(6)]
    source.follow(batches)
    for rows in batches:
        source.at(rows)
    assert names == [False] * 6


@pytest.mark.parametrize("room", [100, 200, 20_000, 1_000_000])
def test_a_gpu_holds_at_most_its_share_of_images(room):
    images = np.random.default_rng(0).integers(0, 256, (600, 1, 4, 5), dtype=np.uint8)
    dataset = build_dataset("some", images, np.arange(600) % 3, "abc", source="a test")
    gpu, whole = SmallGpu(), np.random.default_rng(1).permutation(600)
    gpu.n_free = room
    tables = {}
    for begin in (0, 5, 10):
        split = Split(*np.split(whole[begin : begin + 5], [3, 4]))
        part = gpu.parts(dataset, split, CPU).train
        tables[id(part.inputs)] = part.inputs
        assert np.array_equal(part.between(0, 3).numpy(), images[split.train])
    lengths = sorted(map(len, tables.values()))
    assert lengths == {100: [0, 0, 0], 200: [0, 0, 5]}.get(room, [5, 5, 5])


@pytest.mark.parametrize("is_small", [True, False])
def test_on_a_cpu_a_file_larger_than_the_memory_is_read_ahead(monkeypatch, tmp_path, is_small):
    """Else the kernel would fetch each page when the network waits for it."""
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 5, 4), dtype=np.uint8)
    dataset = build_dataset("some", mapped(images, tmp_path / "a.npy"), np.arange(40) % 3, "abc",
                            source="a test", digests=[b""] * 40)  # fmt: skip
    n_bytes = images[:20].nbytes
    monkeypatch.setattr(shared_images, "memory_here", lambda: n_bytes - is_small)
    split = Split(*np.split(np.random.default_rng(1).permutation(40)[:20], [10, 15]))
    part = SharedImages().parts(dataset, split, CPU).train
    assert (part.source is not None) == is_small
    assert np.array_equal(part.between(0, 10).numpy(), images[split.train])


@pytest.mark.parametrize("arm", ["plain", "changed"])
def test_trials_alone_and_resumed_have_the_bits_of_images_on_the_device(
    unit, context, tmp_path, arm, reads
):
    (spec, _), small = unit(arm), replace(context, images=SmallGpu())
    weights, rows = [], []
    for name, given, stop in (("a", context, 0), ("b", small, 0), ("c", small, 7)):
        with RunFolder(tmp_path / name) as folder:
            if stop:
                stopping = replace(stopping_after(context, stop), images=SmallGpu())
                *_, last = run_trial(spec, folder.trial_folder(spec.id), stopping)
                assert isinstance(last, Stopped)
                assert 0 < last.step < 15
            rows.append(run_alone(spec, folder, given))
        assert bool(reads) == (name != "a")
        weights.append(
            (rows[-1].digests["model.safetensors"], rows[-1].test_loss, rows[-1].best_val_loss)
        )
    assert weights[0] == weights[1] == weights[2]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_each_of_several_processes_reads_its_rows_alone(n, reads):
    """Of batches of 8, 8 and 4; where one has no rows it computes the first image of all."""
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28), dtype=np.uint8)
    labels = torch.zeros(20, dtype=torch.int64)
    for rank in range(n):
        reads.clear()
        source = ReadAhead(images, CPU)
        part = Part(torch.empty(0, 1, 28, 28), labels, np.arange(20), source=source)
        network, settings = nn.Linear(1, 1), Train(batch_size=8, epochs=1, learning_rate=1e-3)
        set_up_process(settings)
        trainer = Trainer(
            network, part, settings, derive_streams(0, 0, AXES),
            make_accelerator("float32", "cpu"), Normalise([0.5], [0.5], CPU),
            [{"params": list(network.parameters())}], ranks=Together(rank, n, {}, None),
        )  # fmt: skip
        seen = []
        for _ in range(3):
            rows = trainer.ranks.share(trainer.next_size)
            places = trainer.choose_batch().on_host[rows]
            inputs, _ = trainer.next_batch(rows=rows)
            assert torch.equal(inputs, trainer.normalise.images(torch.from_numpy(images[places])))
            seen += places.tolist()
            trainer.advance(8)
        assert len(seen) == sum(len(range(8)[trainer.ranks.share(k)]) for k in (8, 8, 4))
        assert set(np.concatenate(reads).tolist()) == set(seen)


def test_packs_have_the_bits_of_images_on_the_device(unit, context, tmp_path, reads):
    kept = []
    for name, images in (("a", SharedImages()), ("b", SmallGpu())):
        with RunFolder(tmp_path / name) as folder:
            steps = replace(fused.FUSED, evaluates_on=("cpu",))
            given = replace(context, images=images)
            events = run_together(
                lambda *of, s=steps: pack.run_pack(*of, s), unit("plain"), folder, given
            )
            rows = pack_rows(events)
        assert {row.ran_as for row in rows} == {"fused"}
        assert bool(reads) == (name == "b")
        kept.append([(row.trial_id, row.test_loss, row.best_val_loss) for row in rows])
    assert kept[0] == kept[1]


def pack_rows(events):
    return [event.row for event in events if hasattr(event, "row")]
