"""Gradients are summed in buckets while the backward pass runs: when, in which order, and where."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.teams.gradient_sum import BUCKET_BYTES, GradientSum
from harness.training.ranks import OneRank


class Twins(OneRank):
    """Two ranks with the same rows; keeps what was sent, and beside which layers' gradients."""

    n = 2

    def __init__(self):
        self.sent, self.events = [], []

    def begin_sum(self, tensor):
        self.sent.append(tensor.clone())
        self.events.append(("sent", tensor.numel()))

        def wait():
            self.events.append(("waited", tensor.numel()))
            tensor.mul_(2)

        return wait


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(5 * 16, 6)
    )
    return layers.to(memory_format=torch.channels_last)


def backward(net, sums, ranks=None):
    net.zero_grad(set_to_none=True)
    loss = net(torch.linspace(-1, 1, 2 * 3 * 64).view(2, 3, 8, 8)).square().mean()
    sums.begin(torch.tensor([1.0, 3.0]))
    loss.backward()
    if ranks is not None:
        ranks.events.append("backward is over")
    return sums.finish()


def gradients_alone():
    net = network()
    net(torch.linspace(-1, 1, 2 * 3 * 64).view(2, 3, 8, 8)).square().mean().backward()
    return [p.grad.clone() for p in net.parameters()]


@pytest.mark.parametrize("bucket_bytes", [1, 800, BUCKET_BYTES])
def test_each_gradient_is_the_sum_and_a_view_of_one_memory(bucket_bytes):
    net, ranks = network(), Twins()
    sums = GradientSum(list(net.parameters()), ranks, 2, bucket_bytes)
    for _ in range(3):
        assert backward(net, sums).tolist() == [2.0, 6.0]
        memories = set()
        for p, alone in zip(net.parameters(), gradients_alone(), strict=True):
            assert torch.equal(p.grad, 2 * alone)
            assert p.grad.stride() == p.stride()  # fused optimizers take both as flat memory
            memories.add(p.grad.untyped_storage().data_ptr())
        assert len(memories) == 1


def test_buckets_go_from_the_head_while_the_backward_pass_runs():
    net, ranks = network(), Twins()
    sums = GradientSum(list(net.parameters()), ranks, 2, 1)
    backward(net, sums, ranks)
    sizes = [p.numel() for p in net.parameters()][::-1]
    sizes[-1] += 2  # what travels with the last one
    over = ranks.events.index("backward is over")
    assert ranks.events[:over] == [("sent", n) for n in sizes]
    assert ranks.events[over + 1 :] == [("waited", n) for n in sizes]


def test_what_travels_together_does_not_depend_on_the_order_in_which_gradients_come():
    """The first bucket waits for its last gradient, and the others for the first bucket."""

    class Backwards(nn.Module):
        def __init__(self, turned):
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.turned = turned

        def forward(self, x):
            first, second = (self.b, self.a) if self.turned else (self.a, self.b)
            return second(first(x))

    messages = []
    for turned in (False, True):
        net, ranks = Backwards(turned), Twins()
        sums = GradientSum(list(net.parameters()), ranks, 2, 1)
        sums.begin(torch.zeros(2))
        net(torch.ones(1, 3)).sum().backward()
        sums.finish()
        messages.append([len(message) for message in ranks.sent])
    assert messages == [[3, 9, 3, 11], [3, 9, 3, 11]]


def test_new_buckets_are_cut_when_other_parameters_train():
    net, ranks = network(), Twins()
    for p in [*net[0].parameters(), *net[2].parameters()]:
        p.requires_grad_(False)
    sums = GradientSum(list(net.parameters()), ranks, 2)
    backward(net, sums)
    assert [len(message) for message in ranks.sent] == [486 + 2]
    assert net[0].weight.grad is None
    net[2].requires_grad_(True)
    backward(net, sums)
    assert len(ranks.sent[-1]) == 486 + 185 + 2
    assert torch.equal(net[2].weight.grad, 2 * gradients_alone()[2])
    net[2].requires_grad_(False)
    backward(net, sums)
    assert len(ranks.sent[-1]) == 486 + 2
    assert net[2].weight.grad is None


def test_a_layer_that_no_rank_used_has_no_gradient_and_one_that_another_used_has():
    class Other(Twins):
        """The other rank has gradients of 1 everywhere, or none where `idle`."""

        idle = True

        def begin_sum(self, tensor):
            return lambda: None if self.idle else tensor.add_(1)

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x)

    net, ranks = Branches(), Other()
    sums = GradientSum(list(net.parameters()), ranks, 1)
    for idle in (True, False, True):
        ranks.idle = idle
        net.zero_grad(set_to_none=True)
        sums.begin(torch.zeros(1))
        net(torch.ones(1, 2)).sum().backward()
        sums.finish()
        assert net.used.bias.grad is not None
        assert (net.unused.bias.grad is None) == idle
    net.unused.zero_grad()


def test_gloo_of_three_ranks_gets_the_message_that_it_always_got():
    """Its order of summing depends on a number's place; trials of before keep their bits."""
    net, ranks = network(), Twins()
    ranks.n = 3
    sums = GradientSum(list(net.parameters()), ranks, 2)
    backward(net, sums)
    flat = torch.cat([g.reshape(-1) for g in gradients_alone()])
    (message,) = ranks.sent
    assert torch.equal(message, torch.cat([flat, torch.tensor([1.0, 3.0])]))
    for p, alone in zip(net.parameters(), gradients_alone(), strict=True):
        assert torch.equal(p.grad, 2 * alone)
        assert p.grad.stride() == p.stride()
