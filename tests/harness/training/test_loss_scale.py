"""Steps in fp16: beside PyTorch's own recipe, a step left out, a saved state."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.seeds import AXES, derive_seed, derive_streams
from harness.sweepfile.settings import Schedule, Train
from harness.training.arrays import Normalise, Part
from harness.training.graph import GraphSteps
from harness.training.loop import Trainer
from harness.training.process import make_accelerator, set_up_process

STREAMS = derive_streams(0, 0, AXES)
TOO_LARGE = 2.0**127  # a scale by which any loss is infinite


@pytest.fixture(autouse=True)
def no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """These networks are so small that a CPU of any kind computes them; the probe is a process."""
    monkeypatch.setattr("harness.training.process.check_on_cpu", lambda precision: 1.0)


def part(n: int = 40) -> Part:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (n, 1, 6, 6), dtype=np.uint8))
    return Part(images, torch.from_numpy(rng.integers(0, 3, n)), np.arange(n))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )


def trainer_of(net: nn.Module, **settings: Any) -> Trainer:
    train = Train(precision="fp16", batch_size=16, epochs=3, **settings)
    set_up_process(train)
    normalise = Normalise((0.5,), (0.25,), torch.device("cpu"))
    groups = [{"params": list(net.parameters())}]
    accelerator = make_accelerator(train.precision, "cpu")
    return Trainer(net, part(), train, STREAMS, accelerator, normalise, groups)


def with_scale(trainer: Trainer, **entries: float) -> Trainer:
    assert trainer.loss_scale is not None
    scaler = trainer.loss_scale.scaler
    scaler.load_state_dict({**scaler.state_dict(), **entries})
    return trainer


def flat(value: Any) -> list[Any]:
    """Numbers and texts of a state in its order; tensors as their numbers."""
    if isinstance(value, torch.Tensor):
        return [value.tolist()]
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list | tuple):
        return [number for item in value for number in flat(item)]
    return [value]


@pytest.mark.parametrize("n_parts", [1, 4])
def test_steps_are_pytorchs_recipe_for_mixed_precision(n_parts: int) -> None:
    ours, theirs = network(), network()
    trainer = trainer_of(ours, learning_rate=1e-2, clip_gradient_norm=0.5, accumulate=n_parts)
    for _ in range(4):
        trainer.step()
    data, optimizer = part(), torch.optim.Adam(theirs.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu")
    for step in range(4):  # three batches an epoch, the last of eight images
        draws = torch.Generator().manual_seed(derive_seed(STREAMS["order"], "epoch", step // 3))
        rows = torch.randperm(40, generator=draws).split(16)[step % 3]
        for piece in rows.tensor_split(n_parts):
            with torch.autocast("cpu", torch.float16):
                logits = theirs((data.inputs[piece].float() / 255 - 0.5) / 0.25)
            loss = F.cross_entropy(logits.float(), data.labels[piece]) * len(piece) / len(rows)
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    for ours_now, theirs_now in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert ours_now.dtype == torch.float32
        # Rounding of one float16 may differ where images are normalised in another order.
        torch.testing.assert_close(ours_now, theirs_now, rtol=0, atol=2e-3)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lion"])
def test_a_step_with_infinite_gradients_moves_no_weight_and_counts(optimizer: str) -> None:
    net = network()
    trainer = trainer_of(net, optimizer=optimizer, schedule=Schedule(name="cosine"), ema=0.9)
    with_scale(trainer, scale=TOO_LARGE)
    before = copy.deepcopy(dict(net.named_parameters()))
    rate = trainer.learning_rate
    trainer.step()
    assert trainer.loss_scale is not None
    assert int(trainer.loss_scale.n_skipped) == 1
    assert trainer.loss_scale.scaler.get_scale() == TOO_LARGE / 2
    for name, now in net.named_parameters():
        assert torch.equal(now, before[name])
        assert torch.equal(trainer.average.tensors[name], before[name])
    assert trainer.step_count == 1
    assert trainer.learning_rate < rate
    assert math.isfinite(trainer.take_train_score().loss)  # so the trial has not diverged
    with_scale(trainer, scale=1024.0).step()
    assert int(trainer.loss_scale.n_skipped) == 1
    assert not torch.equal(net[0].weight, before["0.weight"])


def test_a_restored_state_scales_on_as_an_undisturbed_run() -> None:
    whole = with_scale(trainer_of(network()), scale=TOO_LARGE, growth_interval=2)
    again = trainer_of(network())
    for step in range(7):
        if step == 3:
            torch.save(whole.state(), file := io.BytesIO())
            file.seek(0)
            again.restore(torch.load(file, weights_only=True))
        whole.step()
        if step >= 3:
            again.step()
    assert flat(again.state()) == flat(whole.state())
    assert whole.state()["loss_scale"]["n_skipped"] > 0


def test_steps_that_are_taken_back_leave_the_scale() -> None:
    trainer = with_scale(trainer_of(network()), growth_interval=2, scale=512.0, _growth_tracker=1)
    before = trainer.state()["loss_scale"]
    trainer.warm_up()
    assert trainer.state()["loss_scale"] == before


def test_a_graph_leaves_such_steps_out() -> None:
    class Never:
        def __init__(self, *_: object) -> None:
            raise AssertionError("a step in fp16 was recorded")

    trainer, steps = trainer_of(network()), GraphSteps(record=Never)
    steps.make([trainer], lambda: trainer.step_count == 4, lambda: False)
    assert "train.precision fp16" in steps.notes[0]


def test_packs_leave_such_trials_alone() -> None:
    assert "fp16" in (Train(precision="fp16").only_alone or "")
    assert Train(precision="bf16").only_alone is None
