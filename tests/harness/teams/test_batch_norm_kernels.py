"""Batch norm as GPUs compute it is torch's own over the whole batch; no layer lets the host wait.

Torch's kernels for GPUs are formulas on a CPU; on stand-in cards they are themselves.
"""

from __future__ import annotations

import json

import pytest
import torch
from threads_as_ranks import assert_as_whole, by_ranks
from torch import nn

from harness.teams.batch_norm import SharedBatchNorm, synchronise


def axes_of(x):
    return [axis for axis in range(x.dim()) if axis != 1]


def by_channel(values, x):
    return values.view(1, -1, *[1] * (x.dim() - 2))


LAYOUTS = {
    4: [torch.contiguous_format, torch.channels_last],
    5: [torch.contiguous_format, torch.channels_last_3d],
}


class Formulas:
    """What torch's kernels for GPUs compute (aten/native/cuda/Normalization.cuh), 0 / 0 too."""

    def batch_norm_stats(self, x, eps):
        wide = x if x.dtype == torch.float64 else x.float()
        variance, mean = torch.var_mean(wide, axes_of(x), correction=0)
        return mean, (variance + eps).rsqrt()

    def batch_norm_gather_stats_with_counts(
        self, like, means, inverses, running_mean, running_var, share, eps, counts
    ):
        assert like.dtype == means.dtype == inverses.dtype == counts.dtype
        n, average, squares = 0, torch.zeros_like(means[0]), torch.zeros_like(means[0])
        for mean, inverse, count in zip(means, inverses, counts, strict=True):
            factor = 1.0 / (n + count)  # of 0 values the kernel makes numbers that are none
            squares += (inverse**-2 - eps) * count + (average - mean) ** 2 * n * count * factor
            average = n * factor * average + count * factor * mean
            n = n + count
        if running_mean is not None:
            running_mean.mul_(1 - share).add_(average, alpha=share)
            running_var.mul_(1 - share).add_(squares / (n - 1), alpha=share)
        return average, (squares / n + eps).rsqrt()

    def batch_norm_elemt(self, x, weight, bias, mean, inverse, eps):
        normal = (x - by_channel(mean, x)) * by_channel(inverse, x)
        if weight is not None:
            normal = normal * by_channel(weight, x)
        return (normal if bias is None else normal + by_channel(bias, x)).to(x.dtype)

    def batch_norm_backward_reduce(
        self, gradient, x, mean, inverse, weight, for_x, for_weight, for_bias
    ):
        assert for_x
        assert any(  # else the kernel is a slow one
            gradient.is_contiguous(memory_format=layout) and x.is_contiguous(memory_format=layout)
            for layout in LAYOUTS.get(x.dim(), [torch.contiguous_format])
        )
        wide = gradient.to(mean.dtype)
        by_bias = wide.sum(axes_of(x))
        by_weight = (wide * (x - by_channel(mean, x))).sum(axes_of(x))
        own = by_weight * inverse if for_weight else None
        return by_bias, by_weight, own, by_bias.clone() if for_bias else None

    def batch_norm_backward_elemt(
        self, gradient, x, mean, inverse, weight, by_bias, by_weight, counts
    ):
        assert counts.dtype == torch.int32
        assert counts.is_contiguous()
        n = counts.sum()
        centred = (x - by_channel(mean, x)) * by_channel(inverse**2 * by_weight / n, x)
        inner = gradient - by_channel(by_bias / n, x) - centred
        factor = inverse if weight is None else inverse * weight
        return (inner * by_channel(factor, x)).to(x.dtype)


def steps(layer, x, upstream, rows=slice(None)):
    """Three batches: outputs, gradients of the inputs, and the layer's own."""
    outputs, gradients = [], []
    for k in range(3):
        part = (x[rows] * (k + 1)).requires_grad_()
        layer.n_rows = len(x)
        out = layer(part)
        out.backward(upstream[rows] - k)
        outputs.append(out.detach())
        gradients.append(part.grad)
    own = {name: p.grad for name, p in layer.named_parameters()}
    return torch.stack(outputs), torch.stack(gradients), own, dict(layer.named_buffers())


def shared(layers, x, upstream):
    def work(ranks):
        layer = layers[ranks.rank]
        synchronise(nn.Sequential(layer, nn.Linear(1, 1)), ranks, Formulas())
        assert type(layer) is SharedBatchNorm
        return steps(layer, x, upstream, ranks.share(len(x)))

    return by_ranks(len(layers), work)


def made(kind, channels, options, dtype=torch.float64):
    torch.manual_seed(0)
    layer = kind(channels, **options).to(dtype)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("kind", "shape", "options"),
    [
        (nn.BatchNorm2d, (7, 5, 3, 4), {}),
        (nn.BatchNorm2d, (1, 5, 3, 4), {"momentum": None}),  # all ranks but the last have no row
        (nn.BatchNorm2d, (3, 5, 1, 1), {"bias": False}),  # the first of four has no row
        (nn.BatchNorm1d, (9, 5), {"affine": False}),
        (nn.BatchNorm1d, (6, 5, 2), {"momentum": 0.4, "eps": 0.1}),
        (nn.BatchNorm3d, (5, 2, 2, 3, 2), {"track_running_stats": False}),
    ],
)
def test_outputs_gradients_and_running_statistics_are_those_of_the_whole_batch(
    n, kind, shape, options, layout
):
    torch.manual_seed(1)
    x, upstream = (torch.randn(shape, dtype=torch.float64) * 3 + 10 for _ in range(2))
    if len(shape) == 4:
        x = x.to(memory_format=layout)
    alone = steps(made(kind, shape[1], options), x, upstream)
    results = shared([made(kind, shape[1], options) for _ in range(n)], x, upstream)
    exact = {"rtol": 1e-10, "atol": 1e-10}
    assert_as_whole(
        results, alone, of_rows=exact, of_sums=exact, of_buffers={"rtol": 1e-12, "atol": 1e-12}
    )


@pytest.mark.parametrize("options", [{}, {"track_running_stats": False}])
@pytest.mark.parametrize("n_rows", [6, 2])
def test_images_in_bf16_have_statistics_in_float32(n_rows, options):
    torch.manual_seed(1)
    x, upstream = (torch.randn(n_rows, 3, 40, 40).bfloat16() + 3 for _ in range(2))
    alone = steps(made(nn.BatchNorm2d, 3, options, torch.float32), x, upstream)
    results = shared(
        [made(nn.BatchNorm2d, 3, options, torch.float32) for _ in range(3)], x, upstream
    )
    for k in (0, 1):
        whole = torch.cat([result[k] for result in results], dim=1)
        assert whole.dtype == torch.bfloat16
        torch.testing.assert_close(whole, alone[k], rtol=0.02, atol=0.02)
    torch.testing.assert_close(results[0][3], alone[3], rtol=1e-5, atol=1e-5)


def test_frozen_weights_have_no_gradient():
    layers = [made(nn.BatchNorm2d, 3, {}).requires_grad_(False) for _ in range(2)]
    x, upstream = (torch.randn(1, 3, 2, 2, dtype=torch.float64) for _ in range(2))
    for result in shared(layers, x, upstream):
        assert result[2] == {"weight": None, "bias": None}


def test_a_batch_of_one_value_is_refused_in_torchs_words():
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        by_ranks(1, lambda ranks: _one_value(layer, ranks))


def _one_value(layer, ranks):
    synchronise(nn.Sequential(layer, nn.Linear(1, 1)), ranks, Formulas())
    layer.n_rows = 1
    layer(torch.ones(1, 3))


# -- on stand-in cards -------------------------------------------------------------------------

ON_CARDS = """
    import json
    import numpy as np
    import torch
    from card_counters import counted
    from harness.sweepfile.settings import Train
    from harness.teams.batch_norm import synchronise
    from harness.teams.data_parallel import SharedSteps
    from harness.training.process import set_up_process
    from harness.training.ranks import OneRank
    from shared_steps import Task, make_trainer

    class Twins(OneRank):
        n = 2

        def sum_(self, tensor):
            return tensor.mul_(2)

        def begin_sum(self, tensor):
            tensor.mul_(2)
            return lambda: None

        def gather(self, tensor):
            return torch.stack([tensor, tensor])

    def layer_alone(dtype, layout, n_images=4, **options):
        layer = torch.nn.BatchNorm2d(8, **options).cuda()
        synchronise(torch.nn.Sequential(layer, torch.nn.Linear(1, 1).cuda()), Twins())
        layer.n_rows = 8
        x = torch.zeros(n_images, 8, 6, 6, dtype=dtype, device="cuda").to(memory_format=layout)
        with counted() as both_ways:
            out = layer(x.requires_grad_())
            out.backward(out.detach())
        assert (out.dtype, x.grad.dtype, layer(x).shape) == (dtype, dtype, x.shape)
        assert x.grad.is_contiguous(memory_format=layout)
        return both_ways.kernels, both_ways.waits

    set_up_process(Train())
    for dtype in (torch.float32, torch.bfloat16):
        for layout in (torch.contiguous_format, torch.channels_last):
            for options in ({}, {"affine": False}, {"bias": False}, {"track_running_stats": False}):
                print(json.dumps([str(options), *layer_alone(dtype, layout, **options)]))
        print(json.dumps(["no image", *layer_alone(dtype, torch.contiguous_format, n_images=0)]))

    images, labels = np.zeros((64, 1, 28, 28), np.uint8), np.zeros(64, np.int64)
    for name in ("midas_cnn", "resnet18"):
        task = Task(name, images, labels, Train(batch_size=16, epochs=9), 0, device="cuda")
        network, _, trainer = make_trainer(task, Twins())
        steps = SharedSteps(Twins())

        def until(step):
            steps.make([trainer], lambda: trainer.step_count == step, lambda: False)

        until(16)
        with counted() as later:
            until(31)  # the wish to pause is read after 32
        print(json.dumps([name, 0, later.waits]), flush=True)
"""


@pytest.mark.slow
def test_no_layer_lets_the_host_wait_nor_launches_more_than_its_share(card):
    """Twelve, of which two are the messages of ranks that are played.

    Slow: a process of its own on the stand-in for a card.
    """
    lines = [json.loads(line) for line in card.run(ON_CARDS, memory_gb=6).stdout.splitlines()]
    assert [name for name, *_ in lines][-2:] == ["midas_cnn", "resnet18"]
    assert len(lines) == 2 * 9 + 2
    assert [line for line in lines if line[1] > 12 or line[2] > 0] == []


BY_GLOO = """
    import sys
    import numpy as np
    from harness.sweepfile.settings import Train
    from shared_steps import Task, train_shared

    if __name__ == "__main__":
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (33, 1, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, 33)
        settings = Train(optimizer="sgd", batch_size=16, epochs=2)
        task = Task("midas_cnn", images, labels, settings, n_steps=5, device="cuda")
        results = train_shared(2, [task])
        print([len(result["gradients"]) for (result,) in results])
"""


@pytest.mark.slow
def test_two_processes_with_a_card_each_talk_by_gloo(card):
    """Slow: two processes that import torch. The third batch is one image, so one rank has none."""
    done = card.run(BY_GLOO, gpus=2, memory_gb=6, HEADSTART_GPU_MESSAGES="gloo")
    assert done.stdout == "[5, 5]\n"
    assert sorted(process.cards for process in done.processes) == [[0], [1]]
