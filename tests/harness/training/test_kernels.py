"""Gradients of pooling against PyTorch's own on a CPU, in float64; the CUDA path runs on a CPU."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.training import kernels
from harness.training.kernels import use_deterministic_kernels

SIDES = [(1, 1), (2, 3), (5, 3), (6, 6), (7, 7), (8, 4), (13, 6), (14, 7), (3, 7), (1, 6), (17, 5)]


@pytest.fixture
def replaced():
    """Our kernels in place of the CPU's; PyTorch's are back afterwards."""

    class Replaced:
        def __enter__(self):
            self.library = use_deterministic_kernels.__wrapped__("CPU")

        def __exit__(self, *_):
            self.library._destroy()

    return Replaced


def gradient_of(function, images, **changes):
    images = images.to(**changes).detach().requires_grad_()
    outputs = function(images)
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))
    (outputs * weights.to(outputs.dtype)).sum().backward()
    return images.grad


def images_of(*shape):
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_a_gradient_worked_out_by_hand(replaced):
    images = torch.zeros(1, 1, 1, 3, requires_grad=True)
    with replaced():  # windows: the first two places, the last two
        (F.adaptive_avg_pool2d(images, (1, 2)) * torch.tensor([2.0, 4.0])).sum().backward()
    assert images.grad.flatten().tolist() == [1.0, 3.0, 2.0]


def test_the_kernels_are_the_ones_that_run(replaced, monkeypatch):
    """Else every comparison below would compare PyTorch with itself."""
    images = torch.zeros(1, 1, 3, 3, requires_grad=True)
    monkeypatch.setattr(kernels, "_spread", lambda gradient, images, sides: images + 7)
    with replaced():
        F.adaptive_avg_pool2d(images, 2).sum().backward()
    assert images.grad.flatten().tolist() == [7.0] * 9


@pytest.mark.parametrize("height", SIDES)
@pytest.mark.parametrize("width", SIDES[::2])
def test_adaptive_averages(replaced, height, width):
    images, size = images_of(2, 3, height[0], width[0]), (height[1], width[1])
    wanted = gradient_of(lambda x: F.adaptive_avg_pool2d(x, size), images)
    with replaced():
        got = gradient_of(lambda x: F.adaptive_avg_pool2d(x, size), images)
        unbatched = gradient_of(lambda x: F.adaptive_avg_pool2d(x, size), images[0])
    torch.testing.assert_close(got, wanted, rtol=1e-14, atol=1e-15)
    assert unbatched.shape == images.shape[1:]


OTHERS = {
    "adaptive 1d": (lambda x: F.adaptive_avg_pool1d(x, 3), (2, 3, 8)),
    "adaptive 3d": (lambda x: F.adaptive_avg_pool3d(x, (3, 2, 5)), (2, 3, 8, 4, 6)),
    "area": (lambda x: F.interpolate(x, size=(3, 5), mode="area"), (2, 3, 8, 8)),
    "average 3d": (lambda x: F.avg_pool3d(x, 3, 2), (2, 3, 8, 7, 6)),
    "average 3d, padded": (lambda x: F.avg_pool3d(x, (3, 2, 1), 2, (1, 1, 0)), (2, 3, 8, 7, 6)),
    "average 3d, ceil": (
        lambda x: F.avg_pool3d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        (2, 3, 8, 7, 6),
    ),
    "average 3d, gaps": (lambda x: F.avg_pool3d(x, 2, 3), (3, 8, 8, 8)),
    "average 3d, divisor": (lambda x: F.avg_pool3d(x, 2, divisor_override=3), (2, 3, 4, 4, 4)),
    "local response": (lambda x: F.local_response_norm(x, 5), (2, 7, 4, 4)),
    "maximum 1d": (lambda x: F.adaptive_max_pool1d(x, 3), (2, 3, 8)),
    "maximum 2d": (lambda x: F.adaptive_max_pool2d(x, (3, 4)), (2, 3, 8, 7)),
    "maximum 2d, one image": (lambda x: F.adaptive_max_pool2d(x, (3, 4)), (3, 8, 7)),
    "maximum 3d": (lambda x: F.max_pool3d(x, 3, 2, 1), (2, 3, 8, 7, 6)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_pooling(replaced, name):
    function, shape = OTHERS[name]
    images = images_of(*shape)
    wanted = gradient_of(function, images)
    with replaced():
        got = gradient_of(function, images)
    torch.testing.assert_close(got, wanted, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
def test_precisions_and_layouts_stay(replaced, dtype, layout, pool):
    images = images_of(2, 16, 13, 9).to(dtype)
    wanted = gradient_of(lambda x: pool(x, (6, 4)), images.double())
    with replaced():
        got = gradient_of(lambda x: pool(x, (6, 4)), images, memory_format=layout)
    assert got.dtype == dtype
    assert got.is_contiguous(memory_format=layout)
    near = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}[dtype]
    torch.testing.assert_close(got.double(), wanted, rtol=near, atol=near)


def test_a_batch_without_images(replaced):
    """As a rank of a team has it."""
    with replaced():
        for function in (F.adaptive_avg_pool2d, F.adaptive_max_pool2d):
            got = gradient_of(lambda x, f=function: f(x, 3), torch.zeros(0, 2, 8, 8))
            assert got.shape == (0, 2, 8, 8)


def test_an_infinite_gradient_stays_in_its_windows(replaced):
    images = torch.zeros(1, 1, 1, 5, requires_grad=True)
    with replaced():
        (F.adaptive_avg_pool2d(images, (1, 2)) * torch.tensor([torch.inf, 1.0])).sum().backward()
    assert images.grad.isinf().flatten().tolist() == [True, True, True, False, False]
    assert not images.grad.isnan().any()


def test_second_derivatives_and_vmap(replaced):
    images = images_of(2, 2, 5, 4).requires_grad_()
    with replaced():
        assert torch.autograd.gradcheck(lambda x: F.adaptive_avg_pool2d(x, (3, 3)) ** 2, images)
        assert torch.autograd.gradgradcheck(lambda x: F.adaptive_avg_pool2d(x, (3, 3)) ** 2, images)
        gradients = torch.func.grad(lambda x: (F.adaptive_avg_pool2d(x, (3, 3)) ** 2).sum())
        each = torch.stack([gradients(image) for image in images.detach()])
        torch.testing.assert_close(torch.func.vmap(gradients)(images.detach()), each)


def test_a_networks_copies_know_nothing_of_it(replaced):
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(4))
    with replaced():
        names = list(network.state_dict())
        for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            assert list(copied.state_dict()) == names
            assert type(copied[1]) is nn.AdaptiveAvgPool2d
