"""A convolution with its pooling and ReLU as one matrix product, against torch's own layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap

from models.build import build_model
from models.networks import pooled
from models.networks.pooled import PooledSequential, pooled_convolution


def plain(x, weight, bias, padding):
    return F.relu(F.max_pool2d(F.conv2d(x, weight, bias, padding=padding), 2))


def gradients(function, x, weight, bias, padding, upstream):
    leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
    result = function(*leaves, padding)
    return result.detach(), torch.autograd.grad(result, leaves, upstream)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("n", "channels", "outputs", "size", "padding", "height", "width"),
    [
        (128, 1, 6, 5, 2, 28, 28),
        (33, 6, 16, 5, 0, 14, 14),
        (7, 3, 4, 3, 1, 9, 12),  # a row that no window covers
        (5, 2, 3, 1, 0, 5, 5),
        (4, 1, 2, 7, 3, 8, 11),
        (1, 2, 3, 3, 0, 4, 4),
    ],
)
def test_values_and_gradients_equal_the_three_layers(
    n, channels, outputs, size, padding, height, width, layout
):
    draw = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(shape, generator=draw)

    x = drawn(n, channels, height, width).to(memory_format=layout)
    weight = drawn(outputs, channels, size, size).to(memory_format=layout)
    bias = drawn(outputs)
    upstream = drawn(*plain(x, weight, bias, padding).shape)
    expected, of_plain = gradients(plain, x, weight, bias, padding, upstream)
    for _ in range(2):  # the second time in memory that the first left
        result, ours = gradients(pooled_convolution, x, weight, bias, padding, upstream)
        torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
        for mine, theirs in zip(ours, of_plain, strict=True):
            assert (mine - theirs).norm() <= 1e-5 * theirs.norm()


def test_of_equal_outputs_the_first_has_the_gradient():
    x = torch.ones(2, 1, 6, 6)
    weight, bias = torch.ones(1, 1, 3, 3), torch.zeros(1)
    upstream = torch.ones(2, 1, 2, 2)
    _, expected = gradients(plain, x, weight, bias, 0, upstream)
    _, ours = gradients(pooled_convolution, x, weight, bias, 0, upstream)
    assert torch.equal(ours[0], expected[0])
    assert expected[0][0, 0].tolist() == [
        [1, 1, 2, 1, 1, 0],
        [1, 1, 2, 1, 1, 0],
        [2, 2, 4, 2, 2, 0],
        [1, 1, 2, 1, 1, 0],
        [1, 1, 2, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ]


def test_a_layer_after_another_needs_no_copy_between_them():
    x, weight, bias = torch.randn(32, 1, 12, 12), torch.randn(4, 1, 3, 3), torch.randn(4)
    result = pooled_convolution(x, weight, bias, 1)
    assert result.permute(1, 2, 3, 0).is_contiguous()
    assert result.flatten(1).data_ptr() == result.data_ptr()


def test_two_batches_may_wait_for_their_gradients():
    torch.manual_seed(0)  # of a near tie in a window the gradient may go the other way
    weight, bias = torch.randn(4, 1, 3, 3, requires_grad=True), torch.zeros(4)
    first, second = torch.randn(2, 8, 1, 10, 10)
    pooled_convolution(first, weight, bias, 0).sum().backward()  # leaves its memory
    weight.grad = None
    results = [pooled_convolution(x, weight, bias, 0) for x in (first, second)]
    sum(result.sum() for result in results).backward()
    (expected,) = torch.autograd.grad(
        sum(plain(x, weight, bias, 0).sum() for x in (first, second)), weight
    )
    torch.testing.assert_close(weight.grad, expected)


def test_a_gradient_can_be_taken_once():
    weight = torch.randn(4, 1, 3, 3, requires_grad=True)
    result = pooled_convolution(torch.randn(8, 1, 10, 10), weight, torch.zeros(4), 0).sum()
    result.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        result.backward()


def test_kept_memory_has_a_limit():
    memory = pooled._Memory(most_bytes=100)
    ten = memory.take(10)
    memory.give(ten)
    assert memory.take(10) is ten
    memory.give(ten, torch.empty(12))
    assert memory.n_bytes == 88
    memory.give(torch.empty(5))  # the others go
    assert memory.n_bytes == 20
    memory.give(torch.empty(26))  # too large to be kept
    assert memory.n_bytes == 20
    assert memory.take(10) is not ten


# -- where it is used --------------------------------------------------------------------------


@pytest.fixture
def lenet5():
    options = {"n_classes": 10, "image_size": (28, 28), "channels": 1}
    return build_model("lenet5", init_seed=0, head_seed=1, **options)


@pytest.fixture
def calls(monkeypatch):
    """Shapes of the weights that were applied as one product."""
    shapes = []

    def watched(x, weight, bias, padding):
        shapes.append(tuple(weight.shape))
        return pooled_convolution(x, weight, bias, padding)

    monkeypatch.setattr(pooled, "pooled_convolution", watched)
    return shapes


def test_lenet5_trains_by_it(lenet5, calls):
    torch.manual_seed(0)  # of a near tie in a window the gradient may go the other way
    images, labels = torch.randn(64, 1, 28, 28), torch.arange(64) % 10
    ours = lenet5(images)
    assert calls == [(6, 1, 5, 5), (16, 6, 5, 5)]
    layers = nn.Sequential(*lenet5)
    torch.testing.assert_close(ours, layers(images), rtol=1e-5, atol=1e-6)
    of_ours = torch.autograd.grad(F.cross_entropy(ours, labels), list(lenet5.parameters()))
    of_layers = torch.autograd.grad(
        F.cross_entropy(layers(images), labels), list(lenet5.parameters())
    )
    for mine, theirs in zip(of_ours, of_layers, strict=True):
        assert (mine - theirs).norm() <= 1e-5 * theirs.norm()


def test_all_else_runs_layer_by_layer(lenet5, calls):
    images = torch.randn(64, 1, 28, 28)
    with torch.no_grad():
        lenet5(images)
    lenet5.eval()(images)
    lenet5.train()
    lenet5(images[: pooled.FEWEST_IMAGES - 1])
    with torch.autocast("cpu", torch.bfloat16):
        lenet5(images)
    torch.fx.symbolic_trace(lenet5)(images)
    lenet5.conv1.register_forward_hook(lambda *_: None)
    lenet5.conv2.register_forward_hook(lambda *_: None)
    lenet5(images)
    assert calls == []


def test_transformations_see_the_layers(lenet5, calls):
    images = torch.randn(3, 40, 1, 28, 28)
    weights = {name: p.detach() for name, p in lenet5.named_parameters()}

    def loss(weights, images):
        return functional_call(lenet5, weights, (images,)).square().sum()

    each = vmap(grad(loss), in_dims=(None, 0))(weights, images)
    assert calls == []
    assert each["conv1.weight"].shape == (3, 6, 1, 5, 5)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(1, 4, 4), nn.MaxPool2d(2), nn.ReLU()),
        (nn.Conv2d(1, 4, 3, stride=2), nn.MaxPool2d(2), nn.ReLU()),
        (nn.Conv2d(1, 4, 3, dilation=2), nn.MaxPool2d(2), nn.ReLU()),
        (nn.Conv2d(1, 4, 3, padding="same"), nn.MaxPool2d(2), nn.ReLU()),
        (nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"), nn.MaxPool2d(2), nn.ReLU()),
        (nn.Conv2d(1, 4, 3, bias=False), nn.MaxPool2d(2), nn.ReLU()),
        (nn.Conv2d(1, 64, 3), nn.MaxPool2d(2), nn.ReLU()),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(3), nn.ReLU()),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, stride=1), nn.ReLU()),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU()),
        (nn.Conv2d(1, 4, 3), nn.AvgPool2d(2), nn.ReLU()),
        (nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Tanh()),
        (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2)),
    ],
)
def test_other_layers_are_left_as_they_are(layers, calls):
    x = torch.randn(40, 1, 15, 15)
    expected = nn.Sequential(*layers)(x)
    assert torch.equal(PooledSequential(*layers)(x), expected)
    assert calls == []


def test_its_state_is_that_of_a_sequential(lenet5):
    assert list(lenet5.state_dict())[:2] == ["conv1.weight", "conv1.bias"]
