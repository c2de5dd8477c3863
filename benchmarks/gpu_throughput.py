"""Small networks on one card: the plain program, shared cards, and each way to run many seeds.

    python benchmarks/gpu_throughput.py [--device cpu] [--quick] [--network NAME …] [--limit S]

MNIST, 50,000 training images × 30 epochs in batches of 128, an evaluation on 10,000 images each
epoch; lenet5 and midas_cnn (1000 dense units, dropout 0.5). Each way makes some of the steps, the
rest is scaled; setting up and saving are not counted. No Ray. The plain program is what a user
would otherwise write: a `Dataset` of PIL images with torchvision's transforms, a `DataLoader`,
torch's own modules and optimizer, one trial after another.

Prints trials an hour, images a second, the ratio to the plain program, the share of the measured
matrix-product rate (of the same precision), memory and the scaling over the number of seeds K; then
the K that Headstart would choose. `heads` trains the last layer of lenet5 alone, on features of
the frozen front that lie on the device (the front's pass, once for all seeds, is not counted; the
ratio is to the plain program that trains the whole network). Ways that need a card say so
elsewhere. It ends within `--limit` seconds (default 460): what did not fit in is named. Where MNIST
is not at hand (HEADSTART_DATA or data/), images of noise take its place, which cost the same, and
that is said. For shares of a card under MPS start its daemon first (`nvidia-cuda-mps-control -d`);
the output says whether one runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

BATCH = 128
HEADS = ("heads", "heads fused", "heads graph")
NETWORKS = ("lenet5", "midas_cnn")
HEAD_FLOPS = 4 * 84 * 10  # of an image in the last layer: forward, and the gradient of its weights


@dataclass(frozen=True)
class Amount:
    """What a trial is, and how much of it is made."""

    device: str
    train: int = 50_000
    validation: int = 10_000
    epochs: int = 30
    seconds: float = 3.0  # of steps, for each way and size
    n_least: int = 5  # steps
    most: int = 256  # seeds
    processes: tuple[int, ...] = (2, 8)
    ends_at: float = float("inf")

    @property
    def steps(self) -> int:
        return -(-self.train // BATCH) * self.epochs


@dataclass(frozen=True)
class Result:
    """One way at one size."""

    way: str
    k: int
    step_s: float  # of all K seeds
    eval_s: float  # of one seed
    n_bytes: int
    precision: str = "float32"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--network", action="append", choices=NETWORKS, help="default: both")
    parser.add_argument("--quick", action="store_true", help="few images, few seeds, short timings")
    parser.add_argument("--limit", type=float, default=460, metavar="S", help="seconds for all")
    given = parser.parse_args(argv)
    import torch

    from harness.runfolder.nvidia import mps_runs

    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu_throughput: no GPU here; --device cpu --quick shows what it prints")
    amount = Amount(given.device, ends_at=time.monotonic() + given.limit)
    if given.quick:
        amount = replace(
            amount, train=1280, validation=256, seconds=0.1, n_least=2, most=2, processes=(2,)
        )  # fmt: skip
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU, one thread"
    print(f"{name}, torch {torch.__version__}; {amount.train} images × {amount.epochs} epochs")
    if given.device == "cuda":
        print(f"MPS daemon: {'runs' if mps_runs() else 'does not run'}")
    rates = {p: matrix_rate(amount.device, p) for p in ("float32", "tf32", "bf16")}
    print("matrix products: " + ", ".join(f"{p} {r / 1e12:.3g} TFLOP/s" for p, r in rates.items()))
    images, labels = training_images(amount)
    for network in given.network or NETWORKS:
        compare(network, amount, rates, images, labels)


def compare(
    network: str, amount: Amount, rates: dict[str, float], images: Any, labels: Any
) -> None:
    """Run every way on one network, printing each as it comes."""
    flops = training_flops(network)
    print(f"\n{network}: {flops / 1e6:.2f} MFLOP an image in training")
    print(
        f"{'way':<22}{'K':>4}{'trials/h':>10}{'images/s':>12}{'ratio':>8}{'rate':>8}{'memory':>10}"
    )
    plain: Result | None = None
    fused: dict[int, Result] = {}
    for label, run in ways(network, amount, images, labels):
        if time.monotonic() > amount.ends_at:
            print(f"{label:<22} left out: the time is over")
            continue
        try:
            result = run()
        except NeedsGPU:
            print(f"{label:<22} needs a GPU")
            continue
        except Exception as err:  # one way that fails (memory, a compiler) spares the others
            print(f"{label:<22} failed: {type(err).__name__}: {str(err).splitlines()[0][:90]}")
            continue
        plain = result if label == "plain" else plain
        if result.way == "fused":
            fused[result.k] = result
        needed = HEAD_FLOPS if result.way.startswith("heads") else flops
        show(result, plain, amount, needed, rates)
    choose(fused, amount)


class NeedsGPU(Exception):
    """This way makes no sense on a CPU."""


def ways(network: str, amount: Amount, images: Any, labels: Any) -> list[tuple[str, Any]]:
    """Each way's label and what runs it, in the order of worth: what comes last may be left out."""
    sizes = [2**i for i in range(9) if 2**i <= amount.most]

    def steps(way: str, k: int, precision: str = "float32") -> Callable[[], Result]:
        return lambda: time_steps(way, network, k, precision, amount, images, labels)

    def heads(way: str, k: int) -> Callable[[], Result]:
        return lambda: time_heads(way, k, amount, labels)

    listed: list[tuple[str, Any]] = [
        ("plain", lambda: time_plain(network, amount, images, labels)),
        ("solo", steps("solo", 1)),
        ("graph 1", steps("graph", 1)),
        *[(f"fused {k}", steps("fused", k)) for k in sizes],
        *[(f"fused graph {k}", steps("fused graph", k)) for k in sizes if k in (1, 8, 64, 256)],
        *[(f"graph {k}", steps("graph", k)) for k in sizes if k in (4, 16, 64)],
    ]
    many = min(64, amount.most)
    if network == "lenet5":
        few = [k for k in sizes if k in (1, 2, 64, 256)]
        listed += [(f"{way} {k}", heads(way, k)) for way in HEADS for k in few]
    listed += [(f"fused {many} tf32", steps("fused", many, "tf32"))]
    listed += [(f"fused {many} bf16", steps("fused", many, "bf16"))]
    listed += [
        (f"{n} processes", lambda n=n: time_processes(network, n, amount)) for n in amount.processes
    ]
    return [*listed, (f"compiled {many}", steps("compiled", many))]


def show(
    result: Result, plain: Result | None, amount: Amount, flops: float, rates: dict[str, float]
) -> None:
    """One line of the table; no ratio where the plain program did not run."""
    images_s = result.k * BATCH / result.step_s
    seconds = trial_seconds(result, amount)
    ratio = f"{trial_seconds(plain, amount) / seconds:.1f}" if plain else "-"
    share = images_s * flops / rates[result.precision]
    memory = f"{result.n_bytes / 1e6:.0f} MB" if result.n_bytes else "-"
    way = result.way + ("" if result.precision == "float32" else f" {result.precision}")
    print(
        f"{way:<22}{result.k:>4}{3600 / seconds:>10.0f}{images_s:>12.0f}{ratio:>8}{share:>8.1%}"
        f"{memory:>10}",
        flush=True,
    )


def trial_seconds(result: Result, amount: Amount) -> float:
    """Training and evaluation of one trial, where K share the steps and each evaluates alone."""
    return amount.steps * result.step_s / result.k + amount.epochs * result.eval_s


def choose(fused: dict[int, Result], amount: Amount) -> None:
    """What Headstart would choose from these timings."""
    if amount.device == "cpu" or not {1, 2} <= fused.keys():
        print("pack: auto chooses 1 on a CPU" if amount.device == "cpu" else "pack: not measured")
        return
    import torch

    from harness.joint.size import choose_pack_size

    free = torch.cuda.mem_get_info()[0]
    seconds = {k: result.step_s for k, result in fused.items()}
    k = choose_pack_size(free, fused[1].n_bytes, fused[2].n_bytes, seconds)
    print(f"pack: auto would choose {k}")


# -- Headstart -------------------------------------------------------------------------------


def time_steps(
    way: str, network: str, k: int, precision: str, amount: Amount, images: Any, labels: Any
) -> Result:
    """Steps of `k` seeds in one of our ways."""
    import torch

    if amount.device == "cpu" and (
        way in ("graph", "fused graph", "compiled") or precision != "float32"
    ):
        raise NeedsGPU
    if amount.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if amount.device == "cuda" else 0
    trainers, validation = make_trainers(network, k, precision, amount, images, labels)
    if way == "solo":
        seconds = seconds_each(trainers[0].step, amount)
    elif way == "graph" and k == 1:  # as a trial by itself has it
        from harness.training.graph import GraphSteps

        solo = GraphSteps()
        seconds = seconds_each(lambda: solo.step(trainers[0]), amount)
    elif way == "graph":
        from harness.joint.captured import CapturedSteps

        seconds = seconds_each(CapturedSteps(trainers).step, amount)
    else:
        from harness.joint.captured import CapturedFused
        from harness.joint.fused import FusedJoint

        with FusedJoint(trainers) as joint:
            if way == "compiled":
                joint.logits = torch.compile(joint.logits)
            step = CapturedFused(joint).step if way == "fused graph" else joint.step
            seconds = seconds_each(step, amount)
    used = torch.cuda.max_memory_allocated() - before if amount.device == "cuda" else 0
    from harness.joint.fused import FUSED

    together = FUSED if way.startswith("fused") else None
    return Result(
        way, k, seconds, evaluation_of_one(trainers, validation, together), used, precision
    )


def make_trainers(
    network: str, k: int, precision: str, amount: Amount, images: Any, labels: Any
) -> tuple[list[Any], Any]:
    """Trainers of `k` seeds on one copy of the images, and the validation part."""
    import numpy as np
    import torch

    import models
    from harness.seeds import derive_streams
    from harness.sweepfile.settings import Train
    from harness.training.arrays import Normalise, Part
    from harness.training.loop import Trainer
    from harness.training.process import make_accelerator, set_up_process
    from models.build import build_model

    train = Train(batch_size=BATCH, epochs=amount.epochs, precision=precision)  # type: ignore[arg-type]
    set_up_process(train)
    accelerator = make_accelerator(precision, amount.device)
    place = accelerator.device
    pixels, answers = torch.tensor(images, device=place), torch.tensor(labels, device=place)

    def part(start: int, stop: int) -> Part:
        rows = torch.arange(start, stop, device=place)
        return Part(pixels, answers[start:stop], np.arange(start, stop), rows)

    info = models.model_info(network, {})
    made = []
    training = part(0, amount.train)
    for seed in range(k):
        built = build_model(
            network, n_classes=10, image_size=(28, 28), channels=1, init_seed=seed, head_seed=seed
        ).to(place)
        groups = [{"params": list(built.parameters())}]
        streams = derive_streams(0, seed, ("order", "dropout"))
        normalise = Normalise(info.mean, info.std, place)
        made.append(Trainer(built, training, train, streams, accelerator, normalise, groups))
    return made, part(amount.train, amount.train + amount.validation)


def time_heads(way: str, k: int, amount: Amount, labels: Any) -> Result:
    """Steps of `k` last layers of lenet5 on 84 features of noise for each image."""
    if way == "heads graph" and amount.device == "cpu":
        raise NeedsGPU
    import numpy as np
    import torch
    from torch import fx, nn

    from harness.joint.captured import CapturedFused
    from harness.joint.fused import FusedJoint
    from harness.joint.heads import HEADS as HEADS_AS_ONE
    from harness.joint.heads import HeadJoint
    from harness.seeds import derive_streams
    from harness.sweepfile.settings import Train
    from harness.training.arrays import Part
    from harness.training.loop import Trainer
    from harness.training.process import make_accelerator, set_up_process

    train = Train(batch_size=BATCH, epochs=amount.epochs)
    set_up_process(train)
    accelerator = make_accelerator("float32", amount.device)
    place = accelerator.device
    n = amount.train + amount.validation
    features = torch.rand(n, 84, generator=torch.Generator().manual_seed(0)).to(place)
    answers = torch.tensor(labels[:n], device=place)

    def part(start: int, stop: int) -> Part:
        rows = torch.arange(start, stop, device=place)
        return Part(features, answers[start:stop], np.arange(start, stop), rows)

    trainers = []
    training = part(0, amount.train)
    for seed in range(k):
        tail = fx.symbolic_trace(nn.Sequential(nn.Linear(84, 10))).to(place)
        groups: Any = [{"params": list(tail.parameters())}]
        streams = derive_streams(0, seed, ("order",))
        trainers.append(Trainer(tail, training, train, streams, accelerator, None, groups))
    make = HeadJoint if way == "heads" else FusedJoint
    with make(trainers) as joint:
        is_graph = way == "heads graph"
        step = CapturedFused(joint).step if is_graph else joint.step  # type: ignore[arg-type]
        seconds = seconds_each(step, amount)
    seconds_of_evaluation = evaluation_of_one(trainers, part(amount.train, n), HEADS_AS_ONE)
    return Result(way, k, seconds, seconds_of_evaluation, 0)


def evaluation_of_one(trainers: list[Any], validation: Any, steps: Any | None) -> float:
    """Seconds of a seed's evaluation; where its pack is evaluated as one, its share of them."""
    from harness.joint import scores
    from harness.training.loop import wait_for

    device = trainers[0].device
    together = steps is not None and len(trainers) > 1 and device.type in steps.evaluates_on

    def evaluate() -> None:
        if together:
            scores.evaluate(trainers, [validation] * len(trainers), steps.as_one, 10)
        else:
            trainers[0].evaluate(validation, 10)
        wait_for(device)

    evaluate()
    started = time.perf_counter()
    evaluate()
    return (time.perf_counter() - started) / (len(trainers) if together else 1)


def seconds_each(step: Callable[[], None], amount: Amount) -> float:
    """Seconds of a step: as many as fill the amount's seconds, but no more than a trial's."""
    import torch

    wait = torch.cuda.synchronize if amount.device == "cuda" else lambda: None
    warm = min(3, amount.n_least)
    for _ in range(warm):
        step()
    wait()
    started = time.perf_counter()
    n = 0
    left = amount.steps - warm - amount.n_least
    while n == 0 or (time.perf_counter() - started < amount.seconds and n < left):
        for _ in range(amount.n_least):
            step()
        n += amount.n_least
        wait()
    return (time.perf_counter() - started) / n


def time_processes(network: str, n: int, amount: Amount) -> Result:
    """`n` solo trials at once, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(n), context.Queue()
    args = (network, amount, barrier, results)
    children = [context.Process(target=one_process, args=args, daemon=True) for _ in range(n)]
    for child in children:
        child.start()
    finished: list[Result] = []
    deadline = time.monotonic() + 120
    try:
        while len(finished) < n:
            if time.monotonic() > deadline or any(c.exitcode for c in children):
                raise RuntimeError("a process died or did not come to its end in 120 s")
            try:
                finished.append(results.get(timeout=1))
            except Exception:  # queue.Empty: look again whether all live
                continue
    finally:
        for child in children:
            child.join(timeout=5)
            child.kill()
    # All run at once: together they make n steps in the mean time of one.
    step_s, eval_s = (sum(getattr(r, name) for r in finished) / n for name in ("step_s", "eval_s"))
    return Result("processes", n, step_s, eval_s / n, sum(r.n_bytes for r in finished))


def one_process(network: str, amount: Amount, barrier: Any, results: Any) -> None:
    """One of several processes on a card: sets up, waits for the others, makes steps."""
    import torch

    torch.set_num_threads(1)
    images, labels = training_images(amount, quiet=True)
    trainers, _ = make_trainers(network, 1, "float32", amount, images, labels)
    trainers[0].step()
    barrier.wait(timeout=100)
    results.put(time_steps("solo", network, 1, "float32", amount, images, labels))


# -- the plain program -----------------------------------------------------------------------


def time_plain(network: str, amount: Amount, images: Any, labels: Any) -> Result:
    """The usual program: a part of an epoch, and a part of an evaluation."""
    import torch
    import torch.nn.functional as F
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    class Images(Dataset):
        """As torchvision's MNIST: an array, of which each image is made a PIL image."""

        def __init__(self, start: int, stop: int):
            self.data, self.targets = images[start:stop, 0], labels[start:stop]
            self.transform = transforms.Compose(
                [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
            )

        def __len__(self) -> int:
            return len(self.data)

        def __getitem__(self, i: int) -> tuple[Any, int]:
            return self.transform(Image.fromarray(self.data[i])), int(self.targets[i])

    torch.set_deterministic_debug_mode("default")
    loader = DataLoader(Images(0, amount.train), batch_size=BATCH, shuffle=True)
    held_out = DataLoader(Images(amount.train, amount.train + amount.validation), batch_size=1000)
    model = plain_network(network).to(amount.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches: Any = iter(loader)

    def step() -> None:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            batch = next(batches)
        loss = F.cross_entropy(model(batch[0].to(amount.device)), batch[1].to(amount.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # as programs print it

    seconds = seconds_each(step, amount)
    model.eval()
    started, n = time.perf_counter(), 0
    with torch.no_grad():
        for inputs, answers in held_out:
            hits = model(inputs.to(amount.device)).argmax(1) == answers.to(amount.device)
            n += len(hits) + 0 * int(hits.sum())
            if time.perf_counter() - started > amount.seconds:
                break
    eval_s = (time.perf_counter() - started) * amount.validation / n
    return Result("plain", 1, seconds, eval_s, 0)


def plain_network(name: str) -> Any:
    """The two networks as one would write them down."""
    from torch import nn

    if name == "lenet5":
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
    layers: list[Any] = []
    for n_in, n_out in ((1, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(128 * 9, 1000), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(1000, 10))


# -- what is needed for both -----------------------------------------------------------------


def training_images(amount: Amount, quiet: bool = False) -> tuple[Any, Any]:
    """uint8 (N, 1, 28, 28) and labels int64 (N,): MNIST, or noise where it is not at hand."""
    import numpy as np

    from headstart.errors import DataNotFoundError

    n = amount.train + amount.validation
    try:
        import datasets

        mnist = datasets.load_dataset("mnist", allow_download=False)
        return np.array(mnist.images[:n]), np.array(mnist.labels[:n])
    except DataNotFoundError:
        if not quiet:
            print("MNIST is not at hand: images of noise take its place, which cost the same")
        rng = np.random.default_rng(0)
        return rng.integers(256, size=(n, 1, 28, 28), dtype=np.uint8), rng.integers(10, size=n)


def matrix_rate(device: str, precision: str) -> float:
    """FLOP/s of a square matrix product in a precision: the best of ten; 4096³, on a CPU 1024³."""
    import torch

    n = 4096 if device == "cuda" else 1024
    if device == "cpu" and precision != "float32":
        return float("nan")
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.rand(n, n, device=device, dtype=kind) for _ in "ab")
    best = float("inf")
    for _ in range(10):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * n**3 / best


def training_flops(network: str) -> float:
    """Forward and backward of one image, 2 FLOP a multiply-add, counted by PyTorch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = plain_network(network)
    with FlopCounterMode(display=False) as counter:
        model(torch.rand(8, 1, 28, 28)).sum().backward()
    return counter.get_total_flops() / 8


if __name__ == "__main__":
    # Compilers in this process: their helpers would hold its end up for 300 s after a failure.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    main()
    sys.stdout.flush()
    os._exit(0)  # at once, whatever a failed compile left behind
