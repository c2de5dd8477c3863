"""What a step asks of a card, counted on the stand-in: launches, copies, waits of the host, memory.

Budgets, not goldens: a step that asks for less is better, and its budget is then lowered here. A
launch costs the host some 4 µs, so LeNet-5's step is as slow as its launches are many.
"""

from __future__ import annotations

import json

import pytest

# Of a step of 128 images: kernels of PyTorch and calls of cuBLAS and cuDNN, and copies between host
# and card, on average; waits of the host, in all steps that are counted, begins of epochs included;
# the peak of memory in MB, a set of 640 images included.
BUDGETS = {
    "lenet5": {"kernels": 55, "copies": 0.25, "waits": 0, "megabytes": 43},
    "lenet5 augmented": {"kernels": 71, "copies": 0.65, "waits": 0, "megabytes": 43},
    "resnet18": {"kernels": 201, "copies": 0.25, "waits": 0, "megabytes": 240},
    "vit_b_16": {"kernels": 678, "copies": 0.25, "waits": 0, "megabytes": 17_900},
}

STEPS = """
    import json
    import numpy as np
    import torch
    from card_counters import counted, counters
    from datasets.augment_settings import Augment
    from harness.seeds import AXES, derive_streams
    from harness.sweepfile.settings import Train
    from harness.training.arrays import Normalise, Part
    from harness.training.loop import Trainer
    from harness.training.process import make_accelerator, set_up_process
    from models.build import build_model

    N, BATCH = 640, 128
    BENT = Augment(rotate=15, elastic=0.03)

    def trainer_of(name, size, channels, **more):
        settings = Train(batch_size=BATCH, epochs=99, **more)
        set_up_process(settings)
        accelerator = make_accelerator(settings.precision, None)
        device = accelerator.device
        network = build_model(
            name, n_classes=10, image_size=(size, size), channels=channels, init_seed=1, head_seed=2
        ).to(device)
        images = torch.zeros(N, channels, size, size, dtype=torch.uint8, device=device)
        part = Part(images, torch.zeros(N, dtype=torch.int64, device=device), np.arange(N))
        normalise = Normalise((0.5,) * channels, (0.5,) * channels, device)
        groups = [{"params": list(network.parameters())}]
        streams = derive_streams(0, 0, AXES)
        return Trainer(network, part, settings, streams, accelerator, normalise, groups)

    def measure(name, size, channels, n_steps, **more):
        torch.cuda.reset_peak_memory_stats()
        trainer = trainer_of(name, size, channels, **more)
        while trainer.step_count < 7:  # in the second epoch, with all that is made once
            trainer.step()
        with counted() as steps:
            for _ in range(n_steps):
                trainer.step()
        return {
            "kernels": steps.kernels / n_steps, "copies": steps.copies / n_steps,
            "waits": steps.waits, "megabytes": torch.cuda.max_memory_allocated() / 1e6,
        }

    for name, size, channels, n_steps, more in (
        ("lenet5", 28, 1, 150, {}), ("lenet5 augmented", 28, 1, 150, {"augment": BENT}),
        ("resnet18", 32, 3, 5, {}), ("vit_b_16", 224, 3, 5, {}),
    ):
        step = measure(name.split()[0], size, channels, n_steps, **more)
        print(json.dumps([name, step]), flush=True)
        torch.cuda.empty_cache()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("pinned_torch")
def test_a_step_keeps_to_its_budget(card):
    """Slow: a process on the stand-in for a card makes steps of many kinds."""
    done = card.run(STEPS)
    measured = dict(json.loads(line) for line in done.stdout.splitlines())
    assert list(measured) == list(BUDGETS)
    over = [
        f"{name}: {what}: {measured[name][what]:g} of {most}"
        for name, budget in BUDGETS.items()
        for what, most in budget.items()
        if measured[name][what] > most
    ]
    assert not over
