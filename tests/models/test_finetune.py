"""Freezing, unfreezing, learning rates by group, new heads."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from headstart.errors import ModelError
from models import finetune
from models.build import build_model
from models.dropout import set_dropout_generator
from models.finetune import LayerGroup
from models.forms import read_fine_tune

GROUPS = ("conv1_1", "conv2_1", "conv3_1", "dense", "head")


def network(n_classes: int = 4) -> tuple[nn.Module, tuple[LayerGroup, ...]]:
    model = build_model(
        "midas_cnn",
        n_classes=n_classes,
        image_size=(16, 16),
        channels=1,
        init_seed=0,
        head_seed=1,
        options={"width": 4, "dense": 8},
    )
    return model, finetune.layer_groups(model, torch.zeros(1, 1, 16, 16))


def train_a_little(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    set_dropout_generator(model, generator)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(3):
        model.train()
        images = torch.randn(8, 1, 16, 16, generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model(images), torch.arange(8) % 4).backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("all", GROUPS),
        ("last_layer", GROUPS[-1:]),
        ("last_1", GROUPS[-1:]),
        ("last_3", GROUPS[-3:]),
        ("last_5", GROUPS),
        ("gradual", GROUPS),
        ({"from": "dense"}, GROUPS[3:]),
        ({"unfreeze": ["head", "conv1_1"]}, ("conv1_1", "head")),
        ({"gradual": {"every": 2}}, GROUPS),
    ],
)
def test_a_setting_names_groups_from_input_to_head(setting: Any, expected: tuple[str, ...]) -> None:
    assert finetune.resolve_fine_tune(setting, network()[1]) == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("last_6", "last_6 is deeper than the network, which has 5 layer groups"),
        ("last_layr", r"'last_layr' is not one of all, .*did you mean 'last_layer'"),
        ("last_0", "'last_0' is not one of"),
        ({"from": "dens"}, r"'dens' is no layer group \(did you mean 'dense'\?\)"),
        ({"unfreeze": ["neck"]}, "'neck' is no layer group; from input to head there are conv1_1"),
        ({"unfreeze": []}, "is not one of"),
        ({"unfreeze": "head"}, "is not one of"),
        ({"gradual": {"every": 0}}, "every: EPOCHS"),
        ({"until": "head"}, "is not one of"),
        (3, "3 is not one of"),
    ],
)
def test_a_wrong_setting_is_one_line(setting: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        finetune.resolve_fine_tune(setting, network()[1])
    assert "\n" not in str(caught.value)


def test_gradual_adds_one_group_at_a_time() -> None:
    every_two = read_fine_tune({"gradual": {"every": 2}}).unfreezing(GROUPS, epochs=99)
    counts = [len(every_two.trainable_at(epoch)) for epoch in range(12)]
    assert counts == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5]
    assert every_two.trainable_at(2) == ("dense", "head")
    spread = read_fine_tune("gradual").unfreezing(GROUPS, epochs=15)
    assert [len(spread.trainable_at(epoch)) for epoch in (0, 2, 3, 11, 12, 14)] == [
        1,
        1,
        2,
        4,
        5,
        5,
    ]
    short = read_fine_tune("gradual").unfreezing(GROUPS, epochs=2)
    assert [len(short.trainable_at(epoch)) for epoch in (0, 1)] == [1, 2]


def test_what_is_frozen_does_not_move_by_a_bit_and_the_rest_does() -> None:
    model, groups = network()
    finetune.freeze(model, groups, ["dense", "head"])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    train_a_little(model)
    frozen = {n for group in groups[:3] for n in (*group.parameters, *group.buffers)}
    assert "norm1_1.running_mean" in frozen
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key]) == (key in frozen), key


def test_frozen_modules_stay_in_evaluation_mode_whoever_asks() -> None:
    model, groups = network()
    finetune.freeze(model, groups, ["head"])
    model.train()
    model.get_submodule("norm1_1").train()
    assert model.training
    assert [n for n, m in model.named_children() if m.training] == ["dropout", "head"]


def test_what_stays_frozen_before_the_first_layer_that_trains_builds_no_graph() -> None:
    model, groups = network()
    model.train()
    set_dropout_generator(model, torch.Generator())
    finetune.freeze(model, groups, ["head"])
    has_graph: dict[str, bool] = {}
    for name, module in model.named_children():
        module.register_forward_hook(
            lambda _module, _given, out, name=name: has_graph.update({name: out.requires_grad})
        )
    F.cross_entropy(model(torch.randn(8, 1, 16, 16)), torch.arange(8) % 4).backward()
    assert has_graph.pop("head")
    assert len(has_graph) > 3
    assert not any(has_graph.values())


def test_unfreezing_gives_the_networks_mode_back() -> None:
    model, groups = network()
    model.train()
    finetune.freeze(model, groups, ["head"])
    finetune.freeze(model, groups, GROUPS)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    model.eval()
    assert not any(module.training for module in model.modules())


def test_a_copy_of_a_frozen_network_is_frozen_by_itself() -> None:
    model, groups = network()
    finetune.freeze(model, groups, ["head"])
    twin = copy.deepcopy(model)
    finetune.freeze(model, groups, GROUPS)
    model.train()
    twin.train()
    assert not twin.get_submodule("norm1_1").training
    assert model.get_submodule("norm1_1").training


def test_last_n_is_monotone_in_trainable_parameters() -> None:
    model, groups = network()
    counts = []
    for n in range(1, len(groups) + 1):
        finetune.freeze(model, groups, finetune.resolve_fine_tune(f"last_{n}", groups))
        counts.append(sum(p.numel() for p in model.parameters() if p.requires_grad))
    assert counts == sorted(set(counts))
    assert counts[-1] == sum(p.numel() for p in model.parameters())


def test_learning_rates_by_decay_and_by_name() -> None:
    groups = network()[1]
    assert finetune.learning_rate_factors(0.5, groups) == dict(
        zip(GROUPS, (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0), strict=True)
    )
    named = finetune.learning_rate_factors({"dense": 0.1}, groups)
    assert named == {**dict.fromkeys(GROUPS, 1.0), "dense": 0.1}


@pytest.mark.parametrize("setting", [0.0, 1.5, {"neck": 1.0}, {"head": -1.0}])
def test_wrong_learning_rate_factors_are_refused(setting: Any) -> None:
    with pytest.raises(ModelError):
        finetune.learning_rate_factors(setting, network()[1])


def tuned(setting: Any) -> tuple[nn.Module, tuple[LayerGroup, ...], set[str]]:
    """A network under a setting, and the names of what trains."""
    model, groups = network()
    finetune.tune(model, groups, finetune.read(setting), epochs=1, seed=0).freeze(model, 0)
    return model, groups, {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("kind", ["bias", "norm"])
def test_only_one_kind_of_parameter_and_the_head_trains(kind: str) -> None:
    model, groups, trained = tuned({"only": kind})
    names = {name for name, _ in model.named_parameters()}
    expected = {n for n in names if (n.endswith(".bias") if kind == "bias" else "norm" in n)}
    assert trained == expected | set(groups[-1].parameters)
    assert ("norm1_1.weight" in trained, "conv2_1.bias" in trained) == (
        (False, "conv2_1.bias" in names) if kind == "bias" else (True, False)
    )


def test_batch_norm_takes_the_statistics_of_batches_only_where_all_of_it_trains() -> None:
    for kind, moves in (("bias", False), ("norm", True)):
        model, _, _ = tuned({"only": kind})
        before = model.get_buffer("norm1_1.running_mean").clone()
        train_a_little(model)
        assert torch.equal(model.get_buffer("norm1_1.running_mean"), before) != moves
        assert model.get_submodule("dropout").training


def test_a_network_without_such_parameters_is_refused_in_one_line() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Flatten(), nn.Linear(2 * 14 * 14, 3))
    groups = finetune.layer_groups(model, torch.zeros(1, 1, 16, 16))
    for kind, word in (("bias", "biases"), ("norm", "normalisation layer")):
        with pytest.raises(ModelError, match=f"only: {kind}: the network has no {word} before"):
            finetune.tune(model, groups, finetune.read({"only": kind}), epochs=1, seed=0)


def test_narrowed_to_groups_those_and_the_head_train() -> None:
    model, groups = network()
    chosen = finetune.tune(model, groups, finetune.read("surgical"), epochs=1, seed=0)
    chosen.narrowed(["conv2_1"]).freeze(model, 0)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {n for group in (groups[1], groups[-1]) for n in group.parameters}
