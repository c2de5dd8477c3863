"""Replayed steps have the bits of solo steps, shown on a CPU by a recorder in a graph's place.

The recorder keeps each operation of torch with the tensors that it read and wrote; a replay runs
these again in the same memory, and nothing of the Python between them. So what the host would do
anew in each step, and a graph does not, is missed there as on a card.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from datasets.augment_settings import Augment
from harness.plan.planner import make_plan
from harness.runfolder.folder import RunFolder
from harness.seeds import AXES, derive_streams
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Schedule, Train
from harness.training import optimizers
from harness.training.arrays import Normalise, Part
from harness.training.context import TrialContext
from harness.training.graph import GraphSteps
from harness.training.loop import Trainer
from harness.training.process import make_accelerator, set_up_process
from harness.training.score import Score
from harness.training.steps import SoloSteps
from harness.training.trial import run_trial
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Stopped
from models.build import build_model
from models.dropout import seed_dropout


class Recorder(TorchDispatchMode):
    """What `CudaRecording` is on a card. What is computed while it records is undone."""

    def __init__(self, compute, generators):
        super().__init__()
        self.calls = []
        self.before = {}  # by address: storages as they were, None for those made meanwhile
        self.n_replays = 0
        seeds = [generator.get_state() for generator in generators]
        try:
            with self:
                compute()
        finally:
            for storage, content in filter(None, self.before.values()):
                if not torch.equal(_bytes(storage), _bytes(content)):  # images are read-only
                    storage.copy_(content)
            for generator, seed in zip(generators, seeds, strict=True):
                generator.set_state(seed)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing\nmore words")
        for storage in _storages((args, kwargs)):
            if storage.data_ptr() not in self.before:
                self.before[storage.data_ptr()] = storage, storage.clone()
        result = operation(*args, **(kwargs or {}))
        for storage in _storages(result):
            self.before.setdefault(storage.data_ptr(), None)
        self.calls.append((operation, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self):
        self.n_replays += 1
        for operation, args, kwargs, result in self.calls:
            again = operation(*args, **kwargs)
            for kept, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(kept, torch.Tensor) and kept.data_ptr() != new.data_ptr():
                    kept.copy_(new)

    def free(self):
        self.calls = []


def _bytes(storage):
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def _storages(values):
    return [leaf.untyped_storage() for leaf in _tensors(values)]


class Small(nn.Module):
    """Convolution, batch norm, dropout, linear: all kinds of state that a step changes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.front = nn.Sequential(nn.Conv2d(1, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU())
        self.back = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 10))
        seed_dropout(self)

    def forward(self, x):
        return self.back(self.front(x))


def trainer_of(network=None, part=None, before_epoch=lambda epoch: None, device="cpu", **settings):
    """Three epochs of five batches, the last one of six images."""
    train = Train(**{"batch_size": 16, "epochs": 3, "learning_rate": 0.01, **settings})
    set_up_process(train)
    accelerator = make_accelerator(train.precision, device)
    place = accelerator.device
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(256, (70, 1, 28, 28), dtype=torch.uint8, generator=noise).to(place)
    labels = torch.randint(10, (70,), generator=noise).to(place)
    network = (network or Small()).to(place)
    return Trainer(
        network, part or Part(images, labels, np.arange(70)), train, derive_streams(0, 0, AXES),
        accelerator, None if part else Normalise((0.5,), (0.5,), place),
        [{"params": list(network.parameters())}], before_epoch,
    )  # fmt: skip


def assert_equal_states(expected: Trainer, other: Trainer) -> None:
    ours, theirs = expected.state(), other.state()
    assert str(ours["optimizer"]["param_groups"]) == str(theirs["optimizer"]["param_groups"])
    for key in ("network", "optimizer", "loss_sum", "n_right"):
        first, second = _tensors(ours[key]), _tensors(theirs[key])
        assert len(first) == len(second) > 0
        for a, b in zip(first, second, strict=True):
            assert torch.equal(a, b), key
    for key in ("step", "loss_count"):
        assert ours[key] == theirs[key]


def _tensors(state):
    return [leaf for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor)]


def run_both(record=Recorder, **what) -> tuple[Trainer, GraphSteps]:
    """All steps with and without a recorder, an evaluation after every sixth; compared there."""
    solo, recorded, steps = trainer_of(**what), trainer_of(**what), GraphSteps(record)
    recorders = set()
    while not solo.finished:
        until = solo.step_count + 6
        while solo.step_count < min(until, solo.n_steps):
            solo.step()
        ends = lambda: recorded.finished or recorded.step_count == until  # noqa: E731, B023
        steps.make([recorded], ends, lambda: recorders.add(steps.recording))
        assert_equal_states(solo, recorded)
        score = solo.evaluate(solo.part, 10)
        assert score == recorded.evaluate(recorded.part, 10)
        for trainer in (solo, recorded):
            trainer.after_evaluation(Score(float(until), 0.0))  # each is worse
    steps.n_replays = sum(r.n_replays for r in recorders if r is not None)
    return recorded, steps


@pytest.fixture
def rates_in_memory(monkeypatch):
    """Learning rates are read from memory, as on a GPU, also on this CPU."""
    monkeypatch.setattr(optimizers, "IN_MEMORY", ("cpu",))


OPTIMIZERS = {
    "adam": {},
    "adamw": {"weight_decay": 0.05},
    "sgd": {"momentum": 0.9, "nesterov": True, "clip_gradient_norm": 0.5},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(),
        Schedule(name="cosine", warmup_steps=4),
        Schedule(name="step", every=1, factor=0.5),
        Schedule(name="plateau", patience=0, factor=0.5),
    ],
    ids=lambda schedule: schedule.name,
)
def test_replayed_steps_have_the_bits_of_solo_steps(rates_in_memory, optimizer, schedule):
    """Twelve of fifteen batches are whole; of these the first is made as it is."""
    trainer, steps = run_both(optimizer=optimizer, schedule=schedule, **OPTIMIZERS[optimizer])
    assert (steps.ran_as, steps.notes, steps.n_replays) == ("graph", [], 11)
    assert (schedule.name == "none") == (trainer.learning_rate == 0.01)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": Schedule(name="cosine", warmup_steps=4)},
        {"schedule": Schedule(name="plateau", patience=0, factor=0.5)},
        {"augment": Augment(rotate=20, translate=0.1, erase=0.3, elastic=0.03)},
        {"precision": "bf16"},
        {"precision": "tf32"},
    ],
)
def test_on_a_card_replayed_steps_have_the_bits_of_solo_steps(optimizer, settings):
    what = {"optimizer": optimizer, **OPTIMIZERS[optimizer], **settings}
    _, steps = run_both(record=None, device="cuda", **what)
    assert (steps.ran_as, steps.notes, steps.n_replays) == ("graph", [], 11)


def test_a_rate_that_is_a_number_would_stay_that_of_the_recording():
    """Without rates in memory the recorder shows the fault: it is no weaker than a graph."""
    with pytest.raises(AssertionError):
        run_both(schedule=Schedule(name="cosine"))


@pytest.mark.parametrize(
    "settings",
    [
        {"augment": Augment(rotate=20, translate=0.1, erase=0.3, elastic=0.03)},
        pytest.param({"precision": "bf16"}, marks=pytest.mark.slow),  # slow on most processors
        {"label_smoothing": 0.1},
        {"batch_size": 100, "epochs": 4},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_each_setting_of_a_step_is_replayed(settings):
    _, steps = run_both(**settings)
    assert (steps.ran_as, steps.notes) == ("graph", [])
    assert steps.n_replays == (3 if "batch_size" in settings else 11)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"augment": Augment(blur=0.5)}, "train.augment chooses other changes"),
        ({"ema": 0.9}, "train.ema moves the average by another share"),
        ({"optimizer": "lion"}, "train.optimizer lion reads its rates on the host"),
    ],
)
def test_what_a_recording_would_hold_still_is_computed_in_every_step(settings, words):
    _, steps = run_both(**settings)
    assert (steps.ran_as, steps.n_replays) == ("solo", 0)
    assert steps.notes[0].startswith(f"steps not captured as a graph: {words}")


@pytest.mark.parametrize("settings", [{"cutmix": 1.0}, {"accumulate": 3}])
def test_boxes_of_cutmix_and_parts_of_a_batch_are_replayed(settings):
    _, steps = run_both(**settings)
    assert (steps.ran_as, steps.notes, steps.n_replays) == ("graph", [], 11)


def test_the_projects_own_network_is_replayed():
    network = build_model(
        "lenet5", n_classes=10, image_size=(28, 28), channels=1, init_seed=1, head_seed=2,
        options={"dropout": 0.3},
    )  # fmt: skip
    solo, recorded = trainer_of(network), trainer_of(copy.deepcopy(network))
    steps = GraphSteps(Recorder)
    for _ in range(12):
        solo.step()
        steps.step(recorded)
    assert_equal_states(solo, recorded)
    assert steps.ran_as == "graph"


def test_fixed_views_of_features_are_replayed():
    noise = torch.Generator().manual_seed(0)
    table = torch.rand(3 * 70, 1, 28, 28, generator=noise)
    labels = torch.randint(10, (70,), generator=noise)
    part = Part(table, labels, np.arange(70), torch.randperm(70, generator=noise), n_views=3)
    _, steps = run_both(part=part)
    assert steps.n_replays == 11


def test_what_trains_may_grow_from_epoch_to_epoch():
    """The second epoch trains all: one step as it is, then a recording anew."""

    def run(steps):
        network = Small()

        def unfreeze(epoch):
            for parameter in network.front.parameters():
                parameter.requires_grad_(epoch > 0)

        trainer = trainer_of(network, before_epoch=unfreeze)
        while not trainer.finished:
            trainer.step() if steps is None else steps.step(trainer)
        return trainer

    steps = GraphSteps(Recorder)
    assert_equal_states(run(None), run(steps))
    assert steps.ran_as == "graph"


def test_a_state_that_is_restored_is_trained_from():
    """Also into a trainer whose step was recorded already: its optimizer has other tensors then."""
    solo, recorded, steps = trainer_of(), trainer_of(), GraphSteps(Recorder)
    for _ in range(3):
        solo.step()
    state = copy.deepcopy(solo.state())
    steps.make([recorded], lambda: recorded.step_count == 8, lambda: False)
    recorded.restore(state)
    steps.make([recorded], lambda: recorded.step_count == 13, lambda: False)
    while solo.step_count < 13:
        solo.step()
    assert_equal_states(solo, recorded)


class Deciding(Small):
    """Looks at a number of the device, as some networks do."""

    def forward(self, x):
        return super().forward(x if float(x.mean()) > 0 else -x)


class Drawing(Small):
    """Draws on the host, which a graph would not see."""

    def forward(self, x):
        return super().forward(x) * (1 + torch.rand(()))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Deciding, "operation not permitted when stream is capturing"),
        (Drawing, "the network draws random numbers on the host"),
    ],
)
def test_what_cannot_be_recorded_runs_as_it_is_and_says_why(network, reason):
    solo, refused, steps = trainer_of(network()), trainer_of(network()), GraphSteps(Recorder)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for _ in range(7):
            solo.step()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for _ in range(7):
            steps.step(refused)
    assert steps.notes == [f"steps not captured as a graph: {reason}"]
    assert (steps.ran_as, steps.recording) == ("solo", None)
    if network is Deciding:
        assert_equal_states(solo, refused)
    assert all(parameter.grad is None for parameter in refused.network.parameters())


def test_a_cpu_records_nothing():
    trainer, steps = trainer_of(), GraphSteps()
    for _ in range(3):
        steps.step(trainer)
    assert steps.notes == ["steps not captured as a graph: it computes on a CPU"]
    assert (steps.ran_as, trainer.step_count) == ("solo", 3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("n_before", [0, 3])
def test_warming_up_changes_no_bit(optimizer, n_before):
    settings = {"optimizer": optimizer, "augment": Augment(rotate=9), **OPTIMIZERS[optimizer]}
    plain, warm = trainer_of(**settings), trainer_of(**settings)
    for trainer in (plain, warm):
        for _ in range(n_before):
            trainer.step()
    masks = warm.masks.get_state()
    before = [tensor.clone() for tensor in (*warm.network.parameters(), *warm.network.buffers())]
    warm.warm_up()
    assert torch.equal(masks, warm.masks.get_state())
    for kept, now in zip(
        before, (*warm.network.parameters(), *warm.network.buffers()), strict=True
    ):
        assert torch.equal(kept, now)
    assert len(warm.bare_optimizer.state) == len(plain.bare_optimizer.state)
    for trainer in (plain, warm):
        for _ in range(4):
            trainer.step()
    assert_equal_states(plain, warm)


ON_A_CARD = """
    import copy, numpy as np, torch
    from torch import nn
    from card_counters import counted
    from datasets.augment_settings import Augment
    from harness.seeds import AXES, derive_streams
    from harness.sweepfile.settings import Schedule, Train
    from harness.training.arrays import Normalise, Part
    from harness.training.graph import GraphSteps
    from harness.training.loop import Trainer
    from harness.training.process import make_accelerator, set_up_process
    from models.build import build_model

    def trainer_of(network, size, channels, n, batch, options=None, wrap=None, **settings):
        train = Train(batch_size=batch, epochs=4, **settings)
        set_up_process(train)
        accelerator = make_accelerator(train.precision, "cuda")
        place = accelerator.device
        network = build_model(
            network, n_classes=10, image_size=(size, size), channels=channels, init_seed=1,
            head_seed=2, options=options or {},
        ).to(place)
        network = wrap(network) if wrap else network
        images = torch.zeros(n, channels, size, size, dtype=torch.uint8, device=place)
        part = Part(images, torch.zeros(n, dtype=torch.int64, device=place), np.arange(n))
        normalise = Normalise([0.5] * channels, [0.5] * channels, place)
        return Trainer(network, part, train, derive_streams(0, 0, AXES), accelerator, normalise,
                       [{"params": list(network.parameters())}])

    def epoch(trainer, step):
        '''What an epoch that begins now asks of the card, with an evaluation beside it.'''
        trainer.evaluate(trainer.part, 10)
        with counted() as asked:
            for _ in range(trainer.steps_per_epoch):
                step()
        return asked

    LENET = dict(network="lenet5", size=28, channels=1, n=64, batch=16)
    PICTURES = dict(size=32, channels=3, n=32, batch=8)

    # what, launches by themselves in an epoch of four replayed steps, copies within in each step
    for what, launched, copied in (
        (LENET, 0, 1),
        (LENET | dict(optimizer="sgd"), 0, 1),
        (LENET | dict(optimizer="sgd", momentum=0.9, clip_gradient_norm=1.0), 0, 1),
        (LENET | dict(optimizer="adamw", schedule=Schedule(name="cosine")), 4, 1),
        (LENET | dict(loss="complementary", precision="bf16"), 0, 1),
        (LENET | dict(options={"dropout": 0.3}), 8, 1),
        (LENET | dict(augment=Augment(rotate=9, erase=0.3, elastic=0.03)), 0, 4),
        (LENET | dict(network="midas_cnn"), 8, 1),
        (PICTURES | dict(network="resnet18"), 0, 1),
        (PICTURES | dict(network="vit_b_16", n=8, batch=2), 0, 1),
    ):
        before = torch.cuda.memory_allocated()
        trainer, steps = trainer_of(**what), GraphSteps()
        steps.warm_up(trainer)
        alone = epoch(trainer, trainer.step)
        assert alone.waits == 0 and alone.kernels > 100, (what, alone)
        epoch(trainer, lambda: steps.step(trainer))
        assert (steps.ran_as, steps.notes) == ("graph", []), (what, steps.notes)
        replayed = epoch(trainer, lambda: steps.step(trainer))
        assert replayed.graph_launches == 4 and replayed.waits == 0, (what, replayed)
        # PyTorch may fill new memory before a copy comes in.
        assert 0 <= replayed.kernels - launched <= replayed.copies_in, (what, replayed)
        assert replayed.copies_within == 4 * copied, (what, replayed)
        assert replayed.copies_in <= 4, (what, replayed)  # order; matrices, fields, boxes

        # A state is restored: weights lie where they lay, the optimizer's tensors are new ones,
        # so a step is made as it is, and the next one is recorded anew
        state = copy.deepcopy(trainer.state())
        trainer.restore(state)
        with counted() as restored:
            steps.make([trainer], lambda: trainer.step_count % 4 == 3, lambda: False)
        expected = 2 if trainer.bare_optimizer.state else 3
        assert restored.graph_launches == expected, (what, restored)
        steps.end()
        del trainer, steps, state
        # All is freed but matrices of `elastic`, which are kept for each size of image.
        assert torch.cuda.memory_allocated() - before < 8_000, what
    print("all captured")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("pinned_torch")
def test_each_kind_of_step_is_captured_on_a_card_and_nothing_is_waited_for(card):
    """On a stand-in: that capturing is legal, what is launched and copied, that all is freed.

    Slow: a process of its own on the stand-in for a card, or sweeps that are run whole.
    """
    assert card.run(ON_A_CARD, memory_gb=8).stdout == "all captured\n"


REFUSED_ON_A_CARD = """
    class Deciding(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network
        def forward(self, x):
            return self.network(x if float(x.mean()) > 5 else -x)

    trainer, steps = trainer_of(**LENET, options={"dropout": 0.3}, wrap=Deciding), GraphSteps()
    for _ in range(6):
        steps.step(trainer)
    print(steps.ran_as, trainer.step_count, *steps.notes)
    other, steps = trainer_of(**LENET, options={"dropout": 0.3}), GraphSteps()
    for _ in range(6):
        steps.step(other)
    print(steps.ran_as, *steps.notes)
"""


@pytest.mark.slow
def test_after_a_capture_that_failed_the_trial_and_the_next_one_go_on(card):
    """Slow: a process of its own on the stand-in for a card, or sweeps that are run whole."""
    begin = ON_A_CARD.partition("    # what, launches")[0]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(begin + REFUSED_ON_A_CARD)],
        env=card.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "solo 6 steps not captured as a graph: CUDA error: operation not permitted when stream is "
        "capturing",
        "graph",
    ]


def test_a_trial_stopped_and_continued_as_a_graph_or_without_has_the_solo_bits(
    write_sweep, tmp_path
):
    catalogue = DataCatalogue()
    plan = make_plan(load_sweep(write_sweep()), catalogue)
    spec = next(t for t in plan.trials if t.stage == "pretrain")  # augmented: the most draws

    def trained(out, every, *ways):
        """The row, and the weights' bytes; each start makes steps in the next of the ways."""
        n_stops = 0
        while True:
            asked = iter(range(10**9))
            stop = lambda: next(asked) >= every  # noqa: E731, B023
            with RunFolder(out) as folder:
                folder.adopt([spec.id])
                context = TrialContext(catalogue, should_stop=stop)
                trial_folder = folder.trial_folder(spec.id)
                steps = ways[n_stops % len(ways)]()
                *_, last = run_trial(spec, trial_folder, context, steps)
                if isinstance(last, Ended):
                    folder.publish(spec.id, last.row)
                    weights = out / "trials" / spec.id / "model.safetensors"
                    return last.row, weights.read_bytes(), n_stops
            assert isinstance(last, Stopped)
            n_stops += 1

    solo, expected, _ = trained(tmp_path / "solo", 10**9, SoloSteps)
    graph, weights, n = trained(tmp_path / "graph", 9, lambda: GraphSteps(Recorder))
    assert (solo.ran_as, graph.ran_as, graph.notes) == ("solo", "graph", solo.notes)
    assert weights == expected
    assert n >= 1
    mixed, weights, n = trained(tmp_path / "mixed", 9, lambda: GraphSteps(Recorder), SoloSteps)
    assert mixed.ran_as == "graph"  # replayed steps stay in its weights
    assert weights == expected
    assert n >= 1
    refused, weights, _ = trained(tmp_path / "refused", 10**9, GraphSteps)
    assert refused.ran_as == "solo"
    assert "it computes on a CPU" in refused.notes[-1]
    assert weights == expected


SWEEP_ON_A_CARD = """
    import json, sys
    from pathlib import Path
    import pyarrow.parquet as pq
    from runs import run_here

    out = Path(sys.argv[1])
    run_here(out / "sweep.yaml", out / "run", "--set", "resources.graph=always")
    rows = pq.read_table(out / "run" / "trials.parquet").to_pylist()
    print(json.dumps({row["trial_id"]: row["ran_as"] for row in rows}))
"""


@pytest.mark.slow
def test_the_setting_reaches_the_trials_of_a_sweep_and_changes_no_id(card, write_sweep, tmp_path):
    """Slow: a process of its own on the stand-in for a card, or sweeps that are run whole."""
    path = write_sweep(("arms:", "resources: {gpus: 1, pack: 1}\narms:"), ("seeds: 2", "seeds: 1"))
    done = card.run(SWEEP_ON_A_CARD, str(tmp_path), memory_gb=8)
    ids = make_plan(load_sweep(path), DataCatalogue()).by_id
    assert json.loads(done.stdout) == dict.fromkeys(ids, "graph")


def test_a_trial_that_begins_again_is_recorded_again():
    """Its trainer is another one, wherever the tensors lie."""
    steps = GraphSteps(Recorder)
    for _ in range(2):
        solo, recorded = trainer_of(), trainer_of()
        steps.warm_up(recorded)
        assert steps.recording is None
        for _ in range(4):
            solo.step()
            steps.step(recorded)
        assert_equal_states(solo, recorded)
        assert steps.recording.n_replays == 3
