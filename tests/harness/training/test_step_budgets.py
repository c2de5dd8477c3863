"""What a step asks of a card, counted on the stand-in: launches, copies, waits of the host, memory.

Budgets, not goldens: a step that asks for less is better, and its budget is then lowered here. A
launch costs the host some 4 µs, so LeNet-5's step is as slow as its launches are many.
"""

from __future__ import annotations

import json

# Of a step of 128 images: kernels of PyTorch and calls of cuBLAS and cuDNN; copies between host and
# card and waits of the host, in two steps; waits at the begin of an epoch, whose order is copied to
# the card; the peak of memory in MB, a set of 640 images included.
BUDGETS = {
    "lenet5": {"kernels": 57, "copies": 0, "waits": 0, "epoch_waits": 1, "megabytes": 43},
    "lenet5 augmented": {
        "kernels": 526, "copies": 4, "waits": 4, "epoch_waits": 5, "megabytes": 43
    },
    "resnet18": {"kernels": 340, "copies": 0, "waits": 0, "epoch_waits": 1, "megabytes": 240},
    "vit_b_16": {"kernels": 1176, "copies": 0, "waits": 0, "epoch_waits": 1, "megabytes": 17_900},
}  # fmt: skip

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
        settings = Train(batch_size=BATCH, epochs=9, **more)
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

    def measure(name, size, channels, **more):
        torch.cuda.reset_peak_memory_stats()
        trainer = trainer_of(name, size, channels, **more)
        while trainer.step_count < 7:  # in the second epoch, with all that is made once
            trainer.step()
        with counted() as steps:
            trainer.step()
            trainer.step()
        with counted() as boundary:
            trainer.step()
            trainer.step()
        assert trainer.step_count == 11
        return {
            "kernels": steps.kernels / 2, "copies": steps.copies, "waits": steps.waits,
            "epoch_waits": boundary.waits,
            "megabytes": torch.cuda.max_memory_allocated() / 1e6,
        }

    for name, size, channels, more in (
        ("lenet5", 28, 1, {}), ("lenet5 augmented", 28, 1, {"augment": BENT}),
        ("resnet18", 32, 3, {}), ("vit_b_16", 224, 3, {}),
    ):
        print(json.dumps([name, measure(name.split()[0], size, channels, **more)]), flush=True)
        torch.cuda.empty_cache()
"""


def test_a_step_keeps_to_its_budget(card):
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
