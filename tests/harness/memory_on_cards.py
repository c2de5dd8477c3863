"""Checks of memory that run in a process with stand-in cards (`tests/fake_card`).

`tests/harness/training/test_memory.py` calls them there, on a card of 8 GB. Each is a function that
asserts.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from card_counters import counted
from torch import nn

from harness.engines.worker import Worker
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Save, Train
from harness.training import shared_images
from harness.training.arrays import Normalise, Part
from harness.training.context import StopFile, WorkerSettings
from harness.training.loop import Trainer
from harness.training.memory import images_at_once, keep_to_share, room
from harness.training.process import make_accelerator, set_up_process
from harness.training.streaming import ReadAhead
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Event, Failed, GivenBack, Progress
from harness.trials.spec import TrialSpec
from headstart.errors import InputError
from headstart.rows import TrialRow
from models.build import build_model

FOLDER = Path(tempfile.mkdtemp())
GPU = torch.device("cuda")
N_IMAGES = 300
LENET = f"""\
name: s
question: What does an ended trial leave?
model: {{name: lenet5}}
data: {{name: glyphs, count: {N_IMAGES}, seed: 1, train: 96, validation: 32, test: 32}}
train: {{learning_rate: 1.0e-3, batch_size: 32, epochs: 2, evaluate_every: {{steps: 1}}}}
arms:
  float32: {{}}
  tf32: {{train: {{precision: tf32}}}}
  bf16: {{train: {{precision: bf16}}}}
  last: {{fine_tune: last_layer}}
  last_bf16: {{fine_tune: last_layer, train: {{precision: bf16}}}}
seeds: 3
compare: []
measure: {{targets: [0.5]}}
"""
RESNET = """\
name: s
question: What becomes of trials that do not fit?
model: {name: resnet18}
data: {name: glyphs, count: 300, seed: 1, train: 64, validation: 32, test: 32}
train: {learning_rate: 1.0e-3, batch_size: 16, epochs: 1}
arms:
  small: {}
  large: {model: {name: resnet18, image_size: [288, 288]}, train: {batch_size: 64}}
seeds: 4
compare: []
measure: {targets: [0.5]}
"""
FROZEN = """\
name: s
question: What does a frozen front take?
model: {name: resnet50, image_size: [224, 224]}
data: {name: glyphs, count: 400, seed: 1, train: 200, validation: 30, test: 30}
train: {learning_rate: 1.0e-3, batch_size: 16, epochs: 1}
arms:
  last: {fine_tune: last_layer}
seeds: 1
compare: []
measure: {targets: [0.5]}
"""
held = torch.cuda.memory_allocated


def _arms(text: str) -> dict[str, list[TrialSpec]]:
    path = FOLDER / "sweep.yaml"
    path.write_text(text)
    plan = make_plan(load_sweep(path), DataCatalogue())
    return {arm: specs for (_, arm), specs in plan.by_arm.items()}


def _worker(**settings: object) -> Worker:
    stop = StopFile(FOLDER / "stop")
    stop.create()
    return Worker(WorkerSettings("s", Save(), None, stop.path, device="cuda", **settings))


def _run(
    worker: Worker, unit: Sequence[TrialSpec], see: Callable[[Event], None] = lambda event: None
) -> list[Event]:
    """A unit's events, its records in a run folder of its own; `see` is called at each event."""
    events = []
    with RunFolder(Path(tempfile.mkdtemp(dir=FOLDER)) / "run") as folder:
        folders = {spec.id: folder.trial_folder(spec.id) for spec in unit}
        for event in worker.run(unit, folders):
            see(event)
            events.append(event)
    return events


def _rows(events: Sequence[Event]) -> list[TrialRow]:
    return [event.row for event in events if isinstance(event, Ended)]


def _failed(events: Sequence[Event]) -> list[Failed]:
    return [event for event in events if isinstance(event, Failed)]


@contextmanager
def _at_most(n_bytes: float) -> Iterator[None]:
    """PyTorch's allocator may hold so many bytes and no more."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(n_bytes / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def what_ended_trials_leave() -> None:
    """What the worker keeps for the next trial, a set and tables of features, and nothing else."""
    arms, ways = _arms(LENET), set()
    for worker, n in ((_worker(), 1), (_worker(graph="always"), 1), (_worker(pack=3), 3)):
        context = worker.process.for_trial
        for arm, specs in arms.items():
            for begin in range(0, len(specs), n):
                rows = _rows(_run(worker, specs[begin : begin + n]))
                assert len(rows) == n, (arm, n)
                ways.update(row.ran_as for row in rows)
                kept = sum(table.nbytes for table in context.features._open.values())
                kept += context.images.n_bytes
                assert kept <= held() <= kept + 10 * 512, (arm, n, kept, held())
            context.make_room()
            assert held() == 0, (arm, n, held())
    assert ways == {"solo", "graph", "fused", "heads"}, ways
    # Within a pack no evaluation leaves anything for the next.
    seen: list[int] = []
    worker = _worker(pack=3)
    _run(worker, arms["float32"], lambda e: isinstance(e, Progress) and seen.append(held()))
    assert len(seen) == 3 * 7
    assert max(seen[2 * 3 :]) == seen[2 * 3], seen
    worker.process.for_trial.make_room()
    assert held() == 0


def one_copy_of_a_set() -> None:
    """A worker's second trial copies no image to the card that the first one copied."""
    worker, taken = _worker(), []
    for spec in _arms(LENET)["float32"]:
        with counted() as trial:
            _run(worker, [spec])
        taken.append(trial.bytes_in)
    assert taken[0] - N_IMAGES * 28 * 28 == taken[1] == taken[2], taken
    worker.process.for_trial.make_room()


def peaks() -> None:
    """Budgets of an evaluation and of a training step, both at 224²."""
    net = _trainer("resnet50", 1000, 8)
    # 11.5 GB where all 1,000 are shown to it at once
    assert 0.3e9 < _peak(partial(net.evaluate, net.part, 10)) < 1.1e9
    assert _peak(net.state) < 1e6  # it refers to the weights
    del net
    vit = _trainer("vit_b_16", 16, 16)
    weights = sum(p.nbytes for p in vit.network.parameters())
    first, second = _peak(vit.step), _peak(vit.step)
    assert 2 * weights < first < 3 * weights + 3.0e9, first  # gradients, moments; activations
    assert weights < second < weights + 3.0e9, second


def evaluation_by_halves() -> None:
    """Where its batch does not fit, half of it does, and so on; the network stays as it is."""
    net = _trainer("resnet50", 200, 8)
    with _at_most(held() + 0.4e9):
        net.evaluate(net.part, 10)
    assert net.images_at_once in (20, 40), net.images_at_once
    before = net.images_at_once
    net.evaluate(net.part, 10)
    assert net.images_at_once == before


def features_of_large_images() -> None:
    """A frozen front is shown 81 images of 224² at once; 256 would take 3 GB."""
    (spec,) = _arms(FROZEN)["last"]
    worker = _worker()
    rows: list[TrialRow] = []
    peak = _peak(lambda: rows.extend(_rows(_run(worker, [spec]))))
    assert rows[0].frozen["cached"]
    assert 0.5e9 < peak < 1.2e9, peak
    worker.process.for_trial.make_room()
    assert held() == 0


def shares() -> None:
    """What CUDA itself takes is not PyTorch's to give."""
    for share, words in (
        (0.05, "resources.gpus: 0.05 of this GPU's 8.0 GB is too little"),
        (0.08, "at most 11 workers can share it"),
    ):
        with pytest.raises(InputError, match=words):
            keep_to_share(share)
    keep_to_share(1.0)
    assert room() > 7.5e9 - held()
    _worker(gpu_share=0.25).process.for_trial  # noqa: B018
    assert 1.39e9 <= room() + held() <= 1.4e9, room()
    tensor = torch.empty(int(room() - 0.1e9), dtype=torch.uint8, device=GPU)
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(200_000_000, dtype=torch.uint8, device=GPU)
    del tensor


def a_trial_that_does_not_fit() -> None:
    """It is tried twice, then fails with one line and not again; others of its worker go on."""
    arms = _arms(RESNET)
    large, small = arms["large"][0], arms["small"][0]
    worker = _worker()
    with _at_most(1.5e9):
        events = [*_run(worker, [large]), *_run(worker, [small])]
    (failed,) = _failed(events)
    assert (failed.trial_id, failed.retry, failed.fatal) == (large.id, False, False), failed
    assert len(failed.error.splitlines()) == 1, failed.error
    for words in (
        " was asked for, ",
        "of the 1.5 GB that are its share",
        "resources.gpus",
        "batch_size under 64",
    ):
        assert words in failed.error, failed.error
    (row,) = _rows(events)
    assert (row.trial_id, row.attempts) == (small.id, 1)
    assert torch.cuda.memory_reserved() < 1e9  # other workers of the card have what it took
    worker.process.for_trial.make_room()
    assert held() == 0 == torch.cuda.memory_reserved(), held()


def a_pack_that_does_not_fit() -> None:
    """A part of it goes on, and others may run the rest; no trial fails."""
    small = _arms(RESNET)["small"]
    worker = _worker(pack=4)
    weights = 45e6
    with _at_most(4 * 6 * weights):
        events = _run(worker, small)
    assert not _failed(events), _failed(events)[0].error
    ended = {row.trial_id for row in _rows(events)}
    given_back = {event.trial_id for event in events if isinstance(event, GivenBack)}
    assert ended | given_back == {spec.id for spec in small}, (ended, given_back)
    assert 0 < len(ended) < 4
    worker.process.for_trial.make_room()
    assert held() == 0


def images_that_are_read_ahead() -> None:
    """Of a set too large for its share: one copy of a batch a step, and no waiting for the card."""
    worker = _worker()
    spec = _arms(LENET)["float32"][0]
    with _at_most(250e6), _nothing_fits():
        rows = _rows(_run(worker, [spec]))
    assert [row.status for row in rows] == ["done"], rows
    assert worker.process.for_trial.images.n_bytes == 0
    trainer = _trainer("resnet18", 1, 8)
    n, size = 64, (3, 224, 224)
    source = ReadAhead(np.zeros((n, *size), np.uint8), trainer.device)
    nothing, labels = trainer.part.inputs[:0], trainer.part.labels.expand(n)
    part = Part(nothing, labels.contiguous(), np.arange(n), source=source)
    trainer = replace(trainer, part=part)
    trainer.step()  # the order of the epoch comes, libraries choose
    for _ in range(4):
        with counted() as step:
            trainer.step()
        assert step.waits == 0, step
        assert 8 * math.prod(size) <= step.bytes_in < 8 * math.prod(size) + 1000, step
    taken = _peak(lambda: trainer.evaluate(part, 10))
    assert taken < 0.5e9, taken


@contextmanager
def _nothing_fits() -> Iterator[None]:
    """As if no image might lie on the card beside the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_images, "IMAGES_SHARE", 0.0)
        yield


def _trainer(name: str, n_images: int, batch_size: int) -> Trainer:
    """A network of 10 classes on noise of 224²."""
    settings = Train(optimizer="adam", learning_rate=1e-3, batch_size=batch_size, epochs=1)
    set_up_process(settings)
    accelerator = make_accelerator("float32", "cuda")
    size = (224, 224)
    network: nn.Module = build_model(
        name, n_classes=10, image_size=size, channels=3, init_seed=0, head_seed=1
    ).to(GPU)
    images = torch.empty(n_images, 3, *size, dtype=torch.uint8, device=GPU)
    labels = torch.zeros(n_images, dtype=torch.int64, device=GPU)
    return Trainer(
        network,
        Part(images, labels, np.arange(n_images)),
        settings,
        dict.fromkeys(("order", "augment", "dropout"), 1),
        accelerator,
        Normalise([0.5] * 3, [0.5] * 3, accelerator.device),
        [{"params": list(network.parameters())}],
        images_at_once=images_at_once(size, accelerator.device),
    )


def _peak(work: Callable[[], object]) -> int:
    """Bytes that work takes at most beside what is held before it; trials begin peaks of theirs."""
    before, most = held(), []
    forget = torch.cuda.reset_peak_memory_stats

    def noted(*device: torch.device) -> None:
        most.append(torch.cuda.max_memory_allocated())
        forget(*device)

    forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "reset_peak_memory_stats", noted)
        work()
    return max([*most, torch.cuda.max_memory_allocated()]) - before
