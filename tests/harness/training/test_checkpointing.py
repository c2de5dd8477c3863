"""Blocks computed again: the bits of a step without it, less memory, masks and statistics once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from harness.seeds import derive_streams
from harness.sweepfile.settings import Train
from harness.training.arrays import Normalise, Part
from harness.training.checkpointing import Checkpointed, blocks_of, use_checkpoints
from harness.training.loop import Trainer
from harness.training.process import make_accelerator
from headstart.errors import InputError
from models.build import build_model
from models.groups import layer_groups
from runs import run_here

SIDE = 32
STREAMS = derive_streams(0, 0, ("order", "augment", "dropout"))
slow = pytest.mark.slow
NETWORKS = [
    pytest.param("timm/test_vit", {"drop_path_rate": 0.5, "drop_rate": 0.3}, id="vit"),
    pytest.param("timm/test_efficientnet", {"drop_path_rate": 0.5}, id="efficientnet"),
    pytest.param("resnet18", {}, id="resnet", marks=slow),
    pytest.param("convnext_tiny", {}, id="convnext", marks=slow),
    pytest.param("timm/levit_128s", {}, id="levit", marks=slow),
    pytest.param("timm/swin_tiny_patch4_window7_224", {}, id="swin", marks=slow),
    pytest.param("densenet121", {}, id="densenet", marks=slow),
]


def trainer(name: str, options: dict[str, Any], *, again: bool, **more: Any) -> Trainer:
    if name.startswith("timm/"):
        pytest.importorskip("timm", reason="the extra timm is not installed")
    network = build_model(
        name, n_classes=3, image_size=(SIDE, SIDE), channels=3, init_seed=1, head_seed=2,
        options={"image_size": SIDE, **options},
    )  # fmt: skip
    groups = layer_groups(network, torch.zeros(2, 3, SIDE, SIDE))
    if again:
        use_checkpoints(name, network, groups)
    draws = torch.Generator().manual_seed(1)
    images = torch.randint(256, (12, 3, SIDE, SIDE), generator=draws, dtype=torch.uint8)
    part = Part(images, torch.arange(12) % 3, torch.arange(12).numpy())
    settings = Train(optimizer="sgd", learning_rate=0.01, momentum=0.9, batch_size=4, **more)
    return Trainer(
        network, part, settings, STREAMS, make_accelerator("float32", "cpu"),
        Normalise((0.5,) * 3, (0.25,) * 3, torch.device("cpu")),
        [{"params": list(network.parameters())}],
    )  # fmt: skip


def bits(its: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in its.unprepared.state_dict().items()}


def assert_same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_steps_have_the_bits_of_those_without_it(name, options) -> None:
    plain, again = (trainer(name, options, again=flag) for flag in (False, True))
    for step in range(3):
        plain.step()
        again.step()
        if step == 0:  # killed, and gone on with
            state = copy.deepcopy(again.state())
            again = trainer(name, options, again=True)
            again.restore(state)
    assert_same(bits(plain), bits(again))


def test_parts_of_a_batch_have_the_same_bits_too() -> None:
    name, options = "timm/test_vit", {"drop_path_rate": 0.5}
    its = [trainer(name, options, again=flag, accumulate=2) for flag in (False, True)]
    for each in its:
        each.step()
    assert_same(*map(bits, its))


def test_a_block_keeps_its_inputs_alone() -> None:
    kept = []
    for flag in (False, True):
        its = trainer("timm/test_efficientnet", {}, again=flag)
        inputs, _ = its.next_batch()
        held: dict[int, int] = {}

        def keep(tensor: torch.Tensor, held: dict[int, int] = held) -> torch.Tensor:
            held[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            its.network(inputs)
        kept.append(sum(held.values()))
    assert kept[1] < kept[0] / 2


def test_blocks_are_the_outermost_of_a_group_and_the_head_is_none() -> None:
    network = build_model("resnet18", n_classes=3, image_size=(SIDE, SIDE), channels=3,
                          init_seed=1, head_seed=2, options={"image_size": SIDE})  # fmt: skip
    groups = layer_groups(network, torch.zeros(2, 3, SIDE, SIDE))
    kinds = [type(block).__name__ for block in blocks_of(network, groups)]
    assert kinds == ["BasicBlock"] * 8 or kinds == ["Sequential"] * 4


def test_a_network_without_blocks_is_refused_in_one_line() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 3))
    groups = layer_groups(network, torch.zeros(2, 3, 3, 3))
    with pytest.raises(InputError, match=r"plain has no module of several layers.*accumulate"):
        use_checkpoints("plain", network, groups)
    assert not any(isinstance(module, Checkpointed) for module in network.modules())


def test_it_is_not_in_the_id_and_runs_alone() -> None:
    asked = Train(gradient_checkpointing=True)
    assert asked.hashed() == Train().hashed()
    assert "only a trial by itself" in (asked.only_alone or "")
    assert "resources.workers: 1" in (asked.reason_against_workers(2) or "")


@slow
def test_a_run_has_the_id_and_the_weights_of_one_without_it(tmp_path) -> None:
    """Slow because it runs two sweeps; the steps themselves are compared above."""
    pytest.importorskip("timm", reason="the extra timm is not installed")
    files = []
    for flag in ("false", "true"):
        (tmp_path / f"{flag}.yaml").write_text(
            "name: again\nquestion: Same?\nmodel: {name: timm/test_vit, image_size: 32, "
            "drop_path_rate: 0.3}\ndata: {name: glyphs, classes: digits, count: 120, seed: 1, "
            "train: 80, validation: 20, test: 20}\ntrain: {batch_size: 32, epochs: 1, ema: 0.9, "
            "mixup: 0.2, augment: {random_crop: 4, horizontal_flip: 0.5}, "
            f"gradient_checkpointing: {flag}}}\narms: {{all: {{}}}}\nseeds: 1\n"
        )
        done = run_here(tmp_path / f"{flag}.yaml", tmp_path / flag)
        assert done.returncode == 0, done.stderr
        [file] = (tmp_path / flag / "trials").rglob("model.safetensors")
        files.append(file)
    assert files[0].parent.name == files[1].parent.name
    assert files[0].read_bytes() == files[1].read_bytes()
