"""Batch norm over the rows of several ranks is torch's own over the whole batch."""

from __future__ import annotations

import pytest
import torch
from threads_as_ranks import assert_as_whole, by_ranks
from torch import nn

from harness.teams.batch_norm import SharedBatchNorm, synchronise
from harness.training.ranks import OneRank
from headstart.errors import InputError
from models.finetune import freeze, layer_groups
from models.split import split_at


def steps(layer, x, upstream, rows=slice(None)):
    """Three batches: outputs, gradients of the inputs, and the layer's own."""
    outputs, gradients = [], []
    for k in range(3):
        part = (x[rows] + k).requires_grad_()
        out = layer(part)
        out.backward(upstream[rows] * (k + 1))
        outputs.append(out.detach())
        gradients.append(part.grad)
    own = {name: p.grad for name, p in layer.named_parameters()}
    return torch.stack(outputs), torch.stack(gradients), own, dict(layer.named_buffers())


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize(
    ("kind", "shape", "options"),
    [
        (nn.BatchNorm2d, (7, 5, 3, 4), {}),
        (nn.BatchNorm2d, (3, 5, 3, 4), {"momentum": None}),  # of four ranks one has no row
        (nn.BatchNorm1d, (9, 5), {"affine": False}),
        (nn.BatchNorm1d, (6, 5, 2), {"momentum": 0.4, "eps": 0.1}),
        (nn.BatchNorm3d, (5, 2, 2, 3, 2), {"track_running_stats": False}),
    ],
)
def test_output_gradients_and_running_statistics_are_those_of_the_whole_batch(
    n, kind, shape, options
):
    def made():
        torch.manual_seed(0)
        layer = kind(shape[1], **options)
        if layer.affine:
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
        return layer

    torch.manual_seed(1)
    x, upstream = torch.randn(shape) * 3 + 10, torch.randn(shape)
    alone = steps(made(), x, upstream)

    layers = [made() for _ in range(n)]  # torch's generator is not the threads'

    def work(ranks):
        layer = layers[ranks.rank]
        if not list(layer.parameters()):
            layer = nn.Sequential(layer, nn.Linear(shape[-1], 1))  # it tells the device
            synchronise(layer, ranks)
            layer = layer[0]
        else:
            synchronise(layer, ranks)
        assert type(layer) is SharedBatchNorm
        return steps(layer, x, upstream, ranks.share(shape[0]))

    shared = by_ranks(n, work)
    assert_as_whole(
        shared, alone,
        of_rows={"rtol": 1e-5, "atol": 1e-5}, of_sums={"rtol": 1e-5, "atol": 1e-4},
        of_buffers={"rtol": 1e-6, "atol": 1e-6},
    )  # fmt: skip


def test_images_in_bf16_have_statistics_in_float32():
    torch.manual_seed(1)
    x, upstream = torch.randn(6, 3, 4, 4).bfloat16() + 3, torch.randn(6, 3, 4, 4).bfloat16()
    alone = steps(nn.BatchNorm2d(3), x, upstream)
    layers = [nn.BatchNorm2d(3) for _ in range(2)]

    def work(ranks):
        synchronise(layers[ranks.rank], ranks)
        return steps(layers[ranks.rank], x, upstream, ranks.share(6))

    shared = by_ranks(2, work)
    for k in (0, 1):
        whole = torch.cat([result[k] for result in shared], dim=1)
        assert whole.dtype == torch.bfloat16
        torch.testing.assert_close(whole, alone[k], rtol=0.02, atol=0.02)
    assert shared[0][3]["running_var"].dtype == torch.float32
    torch.testing.assert_close(shared[0][3], alone[3], rtol=1e-5, atol=1e-5)


def test_evaluation_and_frozen_layers_are_torchs_own():
    x = torch.randn(6, 3, 4, 4)
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 2))
    alone = net.eval()(x).detach()
    freeze(net.train(), layer_groups(net, x[:2]), ["3"])
    synchronise(net, OneRank())
    before = net[1].running_mean.clone()
    assert torch.equal(net.train()(x), alone)
    assert torch.equal(net[1].running_mean, before)


@pytest.mark.parametrize("options", [{}, {"track_running_stats": False}])
def test_in_an_evaluation_a_batch_is_that_of_one_rank_alone(options):
    """Ranks evaluate other batches, and other numbers of them: a message would wait for ever."""

    class Silent(OneRank):
        n = 2

        def sum_(self, tensor):
            raise AssertionError("a message")

        gather = sum_

    x = torch.randn(6, 3, 4, 4) + 2
    layer = nn.BatchNorm2d(3, **options).eval()
    alone = layer(x)
    synchronise(nn.Sequential(layer), Silent())
    assert torch.equal(layer(x), alone)


def test_a_layer_without_bias_has_no_gradient_of_it():
    x = torch.randn(4, 3, 2, 2)
    alone, shared = (nn.BatchNorm2d(3, bias=False) for _ in range(2))
    synchronise(nn.Sequential(shared), OneRank())
    gradients = []
    for layer in (alone, shared):
        layer(x).square().sum().backward()
        gradients.append(layer.weight.grad)
    torch.testing.assert_close(*gradients)


def test_a_layer_of_a_class_of_its_own_is_refused_in_one_line():
    class Own(nn.BatchNorm2d):
        pass

    ranks = OneRank()
    ranks.n = 2
    with pytest.raises(InputError) as refused:
        synchronise(nn.Sequential(nn.Conv2d(1, 2, 1), Own(2)), ranks)
    assert str(refused.value) == (
        "1 is batch norm of the class Own, whose statistics 2 workers cannot share; set "
        "resources.workers: 1, or train.batch_norm_parts: 2"
    )


def test_a_network_that_shares_statistics_is_cut_behind_its_frozen_front():
    """The tail keeps the layers that share; its outputs are those of the whole network."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(),
        nn.Linear(4 * 16, 2),
    )  # fmt: skip
    x = torch.randn(5, 1, 8, 8)
    groups = layer_groups(network, x)
    freeze(network, groups, [group.name for group in groups[1:]])
    synchronise(network, OneRank())
    prefix, tail = split_at(network, groups, 1)
    assert SharedBatchNorm in [type(module) for module in tail.modules()]
    whole = network(x)
    network[3].reset_running_stats()
    assert torch.equal(tail(prefix(x)), whole)
    assert network[3].num_batches_tracked == 1
