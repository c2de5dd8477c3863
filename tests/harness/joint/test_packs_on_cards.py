"""What packs ask of a card, counted on the stand-in: launches, copies, waits of the host.

Budgets, not goldens, of 64 seeds of LeNet-5 and of as many last layers: a pack that asks for less
is better, and its budget is then lowered here.
"""

from __future__ import annotations

import pytest

COUNTED = """
    import numpy as np
    import torch
    from torch import fx, nn
    from card_counters import counted
    from harness.joint import fused, heads, scores
    from harness.seeds import derive_streams
    from harness.sweepfile.settings import Train
    from harness.training.arrays import Normalise, Part
    from harness.training.loop import Trainer
    from harness.training.process import make_accelerator, set_up_process
    from models.build import build_model

    K, N, N_VALIDATION, BATCH = 64, 1280, 1000, 128
    train = Train(batch_size=BATCH, epochs=9)
    set_up_process(train)
    accelerator = make_accelerator("float32", "cuda")
    device = accelerator.device

    def parts(inputs):
        labels = torch.zeros(len(inputs), dtype=torch.int64, device=device)
        rows = torch.arange(len(inputs)).to(device)
        return [
            Part(inputs, labels[a:b], np.arange(a, b), rows[a:b])
            for a, b in ((0, N), (N, N + N_VALIDATION))
        ]

    def trainers_of(make, inputs, normalise):
        part, validation = parts(inputs)
        trainers = []
        for seed in range(K):
            network = make(seed).to(device)
            groups = [{"params": list(network.parameters())}]
            streams = derive_streams(0, seed, ("order", "augment", "dropout"))
            trainers.append(Trainer(network, part, train, streams, accelerator, normalise, groups))
        return trainers, [validation] * K

    def lenet(seed):
        return build_model(
            "lenet5", n_classes=10, image_size=(28, 28), channels=1, init_seed=seed, head_seed=seed
        )

    def last_layer(seed):
        return fx.symbolic_trace(nn.Sequential(nn.Linear(84, 10)))

    def check(what, count, **budget):
        asked = {name: getattr(count, name) for name in budget}
        assert all(asked[name] <= most for name, most in budget.items()), (what, asked, count)
        print(what, asked)

    images = torch.zeros(N + N_VALIDATION, 1, 28, 28, dtype=torch.uint8, device=device)
    features = torch.zeros(N + N_VALIDATION, 84, device=device)
    normalise = Normalise((0.5,), (0.5,), device)
    for name, steps, make, inputs, budgets in (
        ("fused", fused.FUSED, lenet, images, (66, 43, 315)),
        ("heads", heads.HEADS, last_layer, features, (20, 15, 47)),
    ):
        trainers, validation = trainers_of(make, inputs, normalise if name == "fused" else None)
        a_step, between, evaluation = budgets
        with steps.joint(trainers) as joint:  # over the begin of the second epoch: all is made once
            for _ in range(13):
                joint.step()
            with counted() as two:
                joint.step()
                joint.step()
            check(name + ": two steps", two, kernels=2 * a_step, copies=0, waits=0)
            with counted() as epoch:
                for _ in range(10):
                    joint.step()
            check(name + ": ten steps, an epoch's begin", epoch, waits=0, copies_in=K)
        with torch.no_grad(), counted() as pause:
            joint.give_back()
            joint = steps.joint(trainers)
        check(name + ": weights back and stacked again", pause, kernels=between, waits=0)
        with counted() as scored:
            scores.evaluate(trainers, validation, steps.as_one, 10)
        check(name + ": an evaluation of all seeds", scored, kernels=evaluation, waits=1, copies=1)
"""


@pytest.mark.slow
def test_a_pack_asks_a_card_for_no_more_than_its_budget(card):
    """A step of 64 seeds launches what one seed's does; the host reads once for each evaluation.

    Slow: a process that loads torch.
    """
    done = card.run(COUNTED)
    assert len(done.stdout.splitlines()) == 8, done.stdout


WARMED = """
    import sys
    from pathlib import Path
    from card_counters import counted
    import harness.joint.pack as pack
    from runs import run_here
    import pyarrow.parquet as pq

    kernels, real = [], pack._warm_up_together

    def warm_up(cohort, steps):
        with counted() as count:
            real(cohort, steps)
        kernels.append(count.kernels)
        assert all(trial.trainer.step_count == 0 for trial in cohort)
        assert all(not trial.record.curve for trial in cohort), "before the first evaluation"

    pack._warm_up_together = warm_up
    for name, fine_tune in (("fused", "all"), ("heads", "last_layer")):
        out = Path(sys.argv[1]).parent / name
        run_here(Path(sys.argv[1]), out, "--set", f"arms.all={{fine_tune: {fine_tune}}}")
        rows = pq.read_table(out / "trials.parquet").to_pylist()
        assert {row["ran_as"] for row in rows} == {name}, [row["error"] for row in rows]
        assert all(row["steps"] == 4 for row in rows if row["status"] == "done")
    print(len(kernels), min(kernels) > 0)
"""


@pytest.mark.slow
def test_packs_make_their_first_steps_before_the_clock_starts(card, write_sweep):
    """Slow: two sweeps in a process of its own."""
    text = SWEEP.replace("batch_size: 256", "batch_size: 64").replace("seeds: 64", "seeds: 3")
    text += "resources: {gpus: 1, pack: 3}\n"
    assert card.run(WARMED, str(write_sweep(text=text)), memory_gb=4).stdout == "2 True\n"


SWEEP = """\
name: measured
question: How many seeds are fused on a share of a card?
model: {name: lenet5}
data: {name: glyphs, count: 300, seed: 1, train: 200, validation: 50, test: 50}
train: {learning_rate: 1.0e-3, batch_size: 256, epochs: 1}
arms: {all: {}}
seeds: 64
"""

MEASURED = """
    import itertools, sys
    from pathlib import Path
    from types import SimpleNamespace
    import torch
    import harness.joint.size as size_module
    from harness.joint.fused import FUSED
    from harness.joint.size import measured_pack_size
    from harness.plan.planner import make_plan
    from harness.sweepfile.reader import load_sweep
    from harness.training.context import TrialContext
    from harness.training.memory import keep_to_share
    from harness.trials.catalogue import DataCatalogue

    context = TrialContext(DataCatalogue(), device="cuda")
    trials = make_plan(load_sweep(Path(sys.argv[1])), context.catalogue).trials
    ticks = itertools.count(1.0)  # steps of any number of seeds take as long: memory alone decides
    size_module.time = SimpleNamespace(perf_counter=lambda: next(ticks))
    keep_to_share(0.5)
    share = 0.5 * 1.8e9 - 0.6e9  # less what CUDA itself takes
    size = measured_pack_size(trials, context, FUSED)
    assert 1 <= size < 64, size
    assert 0.1 * share < torch.cuda.max_memory_reserved() <= share, torch.cuda.max_memory_reserved()
    assert torch.cuda.memory_reserved() < 0.1 * share, torch.cuda.memory_reserved()
    print(size)
"""


@pytest.mark.slow
def test_measuring_keeps_to_the_share_and_gives_it_back(card, write_sweep):
    """A step of 64 seeds with 256 images each needs more than there is, 0.3 GB.

    Slow: a process of its own on the stand-in for a card.
    """
    done = card.run(MEASURED, str(write_sweep(text=SWEEP)), memory_gb=1.8)
    assert int(done.stdout) >= 1
