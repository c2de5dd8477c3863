"""K networks as one function: in float64 the same numbers as one at a time, or refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.joint.fused_network import FusedNetwork, reason_against
from headstart.errors import ModelError
from models.build import build_model
from models.dropout import seed_dropout, set_dropout_generator

K, BATCH = 3, 4


def check(networks, size, channels):
    """Loss, gradients and buffers of a step in float64 against each network alone."""
    networks = [network.double().train() for network in networks]
    inputs = torch.randn(K, BATCH, channels, size, size, dtype=torch.float64)
    labels = torch.randint(4, (K, BATCH))
    weights = stacked(networks, lambda n: n.named_parameters())
    weights = {name: weight.requires_grad_() for name, weight in weights.items()}
    buffers = stacked(networks, lambda n: n.named_buffers())
    seed_masks(networks)
    logits = FusedNetwork(networks, weights, buffers)(inputs)
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    losses.view(K, -1).mean(1).sum().backward()
    seed_masks(networks)
    for k, network in enumerate(networks):
        alone = network(inputs[k])
        torch.testing.assert_close(logits[k], alone, rtol=1e-9, atol=1e-11)
        F.cross_entropy(alone, labels[k]).backward()
        for name, parameter in network.named_parameters():
            error = weights[name].grad[k] - parameter.grad
            assert error.norm() <= 1e-9 * parameter.grad.norm() + 1e-13, name
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(buffers[name][k], buffer, rtol=1e-9, atol=1e-12)


def stacked(networks, named):
    each = [dict(named(network)) for network in networks]
    return {name: torch.stack([single[name].detach() for single in each]) for name in each[0]}


def seed_masks(networks):
    for k, network in enumerate(networks):
        set_dropout_generator(network, torch.Generator().manual_seed(k))


@pytest.mark.parametrize(
    ("name", "size", "channels", "options"),
    [
        ("lenet5", 28, 1, {}),
        ("lenet5", 28, 1, {"head": {"hidden": [20], "dropout": 0.5}}),
        ("midas_cnn", 28, 1, {"width": 4, "dense": 20}),
        ("midas_cnn", 28, 3, {"width": 3, "dense": 10, "channels": 3, "convolutions": 2}),
        ("squeezenet1_1", 40, 1, {"image_size": [40, 40], "channels": 1}),
        pytest.param(
            "mobilenet_v2", 32, 3, {"image_size": [32, 32], "channels": 3}, marks=pytest.mark.slow
        ),
    ],
)
def test_networks_of_ours_and_of_torchvision_give_the_numbers_of_each_alone(
    name, size, channels, options
):
    torch.manual_seed(0)
    shape = {"n_classes": 4, "image_size": (size, size), "channels": channels}
    check(
        [
            build_model(name, **shape, init_seed=k, head_seed=k, options=options)
            for k in range(K)
        ],
        size, channels,
    )  # fmt: skip


class Mixed(nn.Module):
    """Layers and functions that the networks above do not have."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding="same", groups=3)
        self.group = nn.GroupNorm(2, 6)
        self.plain = nn.BatchNorm2d(6, affine=False, track_running_stats=False)
        self.drop = nn.Dropout2d(0.4)
        self.gate = nn.Conv2d(6, 6, 1, bias=False)
        self.row = nn.Linear(12, 10, bias=False)
        self.norm = nn.BatchNorm1d(10)
        self.last = nn.Linear(10, 4)

    def forward(self, x):
        x = self.drop(F.gelu(self.group(self.first(x))))
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        x = torch.cat([x, self.plain(x) + x], dim=1)
        x = torch.flatten(F.adaptive_avg_pool2d(F.max_pool2d(x, 2), (1, 1)), 1)
        return self.last(torch.tanh(self.norm(self.row(x))))


def test_mixed_layers_give_the_numbers_of_each_alone():
    torch.manual_seed(1)
    check([seed_dropout(Mixed()) for _ in range(K)], 8, 3)


def test_one_networks_infinities_stay_its_own():
    torch.manual_seed(2)
    networks = [
        build_model("midas_cnn", n_classes=4, image_size=(8, 8), channels=1, init_seed=k,
                    head_seed=k, options={"width": 4, "dense": 8, "blocks": 2,
                                          "image_size": [8, 8]})
        for k in range(K)
    ]  # fmt: skip
    with torch.no_grad():
        for parameter in networks[1].parameters():
            parameter.fill_(torch.inf)
    weights = stacked(networks, lambda n: n.named_parameters())
    weights = {name: weight.requires_grad_() for name, weight in weights.items()}
    seed_masks(networks)
    buffers = stacked(networks, lambda n: n.named_buffers())
    logits = FusedNetwork(networks, weights, buffers)(torch.randn(K, BATCH, 1, 8, 8))
    logits.square().mean(dim=(1, 2)).sum().backward()
    assert not logits[1].isfinite().any()
    for values in (logits, *buffers.values(), *(w.grad for w in weights.values())):
        assert values[0].isfinite().all()
        assert values[2].isfinite().all()


def sequence(*layers):
    return nn.Sequential(*layers)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x * self.scale


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)

    def forward(self, x):
        return self.a(x)


class Method(nn.Module):
    def forward(self, x):
        return x.sum(dim=0)


class Function(nn.Module):
    def forward(self, x):
        return torch.softmax(x, dim=0)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (sequence(nn.Linear(4, 4), nn.LayerNorm(4)), r"^1 \(LayerNorm\)"),
        (sequence(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "padding_mode reflect"),
        (sequence(nn.BatchNorm2d(3, momentum=None)), "cumulative average"),
        (sequence(nn.Flatten(0)), "not from 1 to -1"),
        (sequence(nn.Dropout(0.5)), r"^0 \(Dropout\)"),  # not seeded
        (Branching(), "torch.fx cannot trace Branching"),
        (Own(), "a tensor of the network's own"),
        (Shared(), "share a parameter"),
        (Unused(), r"b\.weight is not used"),
        (Method(), "a tensor's method"),
        (Function(), "the function softmax"),
    ],
)
def test_what_is_not_known_to_keep_seeds_apart_is_refused(network, reason):
    given = reason_against(network)
    assert given is not None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(given)
    with pytest.raises(ModelError, match="cannot be fused"):
        FusedNetwork([network], {}, {})


def test_a_fused_network_is_one_graph_to_the_compiler():
    """`fullgraph` raises where the compiler has to leave the graph: then nothing would be fused."""
    networks = [sequence(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(18, 3)) for _ in range(2)]  # fmt: skip
    weights = {
        name: torch.stack([n.get_parameter(name).detach() for n in networks])
        for name, _ in networks[0].named_parameters()
    }

    def fused():
        buffers = {
            name: torch.stack([n.get_buffer(name) for n in networks])
            for name, _ in networks[0].named_buffers()
        }
        return FusedNetwork(networks, weights, buffers), buffers

    inputs = torch.rand(2, 4, 1, 8, 8)
    plain, expected = fused()
    compiled, matches = fused()
    call = torch.compile(compiled.__call__, backend="eager", fullgraph=True)
    assert torch.equal(call(inputs), plain(inputs))
    for name, buffer in expected.items():
        assert torch.equal(matches[name], buffer), name
    assert int(matches["1.num_batches_tracked"][0]) == 1
