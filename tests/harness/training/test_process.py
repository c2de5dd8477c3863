"""How a process is set up for a trial: what it refuses, and what that means on a GPU (counted)."""

from __future__ import annotations

import pytest
import torch

from harness.training import process
from harness.training.cards import Cards
from headstart.errors import InputError


def test_a_gpu_that_is_asked_for_and_cannot_be_used_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(process, "look", lambda torch: Cards(remark="the driver is too old"))
    with pytest.raises(InputError, match=r"PyTorch sees none here: the driver is too old"):
        process.make_accelerator("float32", "cuda")


ON_A_CARD = """
    from card_counters import counted
    import torch
    from torch import nn
    from datasets import augment
    from datasets.augment_settings import Augment
    from harness.sweepfile.settings import Train
    from harness.training.process import set_up_process
    from models.build import build_model
    from models.dropout import set_dropout_generator

    set_up_process(Train())

    def network_of(name, size):
        network = build_model(
            name, n_classes=10, image_size=(size, size), channels=3, init_seed=0, head_seed=0,
            options={"image_size": size},
        ).cuda()
        set_dropout_generator(network, torch.Generator("cuda"))
        return network

    def step(network, images):
        labels = torch.zeros(len(images), dtype=torch.int64, device="cuda")
        nn.functional.cross_entropy(network(images), labels).backward()
        network.zero_grad(set_to_none=True)

    def counted_step(network, size):
        images = torch.zeros(2, 3, size, size, device="cuda")
        step(network, images)
        with counted() as one:
            step(network, images)
        assert one.waits == 0, one
        return one

    # No new tensor is filled with NaN. With the optimizer, 340 launches of a step become 195
    resnet = network_of("resnet18", 32)
    images_apart = []
    for layer in resnet.modules():
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
            layer.register_forward_hook(
                lambda _, given, made: images_apart.append(
                    made.is_contiguous(memory_format=torch.channels_last)
                )
            )
    plain = counted_step(resnet, 32)
    assert plain.kernels < 200, plain
    torch.utils.deterministic.fill_uninitialized_memory = True
    filled = counted_step(resnet, 32)
    assert filled.kernels > plain.kernels + 100, filled
    set_up_process(Train())
    assert counted_step(resnet, 32).kernels == plain.kernels

    # Convolutions compute channels-last, also of weights that autocasting makes bf16
    assert images_apart and all(images_apart)
    with torch.autocast("cuda", torch.bfloat16):
        kept = resnet.conv1.weight.to(torch.bfloat16)
    assert kept.is_contiguous(memory_format=torch.channels_last)

    # A network with adaptive pooling trains
    alexnet = counted_step(network_of("alexnet", 80), 80)
    assert alexnet.kernels < 110, alexnet

    # Other gradients of ours in place of PyTorch's refusal
    functions = nn.functional
    for function, shape in (
        (lambda x: functions.adaptive_avg_pool2d(x, 7), (2, 3, 1, 1)),
        (lambda x: functions.adaptive_avg_pool2d(x, 6), (2, 3, 6, 12)),
        (lambda x: functions.adaptive_avg_pool3d(x, 3), (2, 3, 8, 8, 8)),
        (lambda x: functions.adaptive_max_pool2d(x, 3), (2, 3, 8, 8)),
        (lambda x: functions.local_response_norm(x, 5), (2, 8, 4, 4)),
        (lambda x: functions.max_pool3d(x, 3, 2), (2, 3, 8, 8, 8)),
        (lambda x: functions.interpolate(x, size=3, mode="area"), (2, 3, 8, 8)),
    ):
        function(torch.zeros(shape, device="cuda", requires_grad=True)).sum().backward()

    # Augmentation: what does not change is kept on the card, and nothing waits
    settings = Augment(rotate=15, translate=0.1, scale=0.1, shear=5, elastic=0.05, erase=0.5)
    draws = augment.draw(settings, 8, (28, 28), torch.Generator()).to("cuda")
    for _ in range(2):
        with counted() as applied:
            augment.apply(torch.zeros(8, 1, 28, 28, device="cuda"), draws)
    assert applied.kernels < 35 and applied.waits == applied.copies == 0, applied
    print("all of it", flush=True)
"""


@pytest.mark.slow
def test_a_step_on_a_card(card):
    """Slow: a process of its own on the stand-in for a card."""
    done = card.run(ON_A_CARD, memory_gb=8)
    assert done.stdout.strip() == "all of it"
