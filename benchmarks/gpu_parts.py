"""What the first minutes on a card measure: one function a part, each yields (name, value) pairs.

In: a `Card` (device, how much, until when). Out: numbers and short texts, as they come. The command
is `gpu_first_minutes.py`; these stand alone so that a process imports them that nobody else needs.
A measurement that fails is a text that says how, and the next one follows.
"""

from __future__ import annotations

import gc
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SWEEP = """\
name: minutes
question: Does a sweep run on this card?
model: {name: lenet5}
data: {name: glyphs, count: 6000, seed: 1, test_part: 1000}
train: {epochs: 2, batch_size: 128}
arms: {scratch: {}, rotated: {train: {augment: {rotate: 15}}}}
seeds: 4
compare: [{treatment: rotated, control: scratch}]
track: []
"""

QUICK = ("seeds=2", "train.epochs=1", "data={name: glyphs, count: 600, seed: 1, test_part: 100}")

Pairs = Iterator[tuple[str, Any]]


@dataclass
class Card:
    """Where to measure, and how much."""

    device: str  # `cuda` or `cpu`
    quick: bool
    ends_at: float  # of the part, on the monotonic clock

    @property
    def left_s(self) -> float:
        return self.ends_at - time.monotonic()

    @property
    def is_cuda(self) -> bool:
        return self.device == "cuda"

    def wait(self) -> None:
        if self.is_cuda:
            import torch

            torch.cuda.synchronize()

    def free(self) -> None:
        """Give back what the last measurement held."""
        gc.collect()
        if self.is_cuda:
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_gb(self) -> float:
        import torch

        return torch.cuda.max_memory_allocated() / 1e9 if self.is_cuda else 0.0

    def is_usable(self) -> bool:
        """Whether the card still answers: some errors stay in their process."""
        try:
            self.free()
            self.wait()
        except RuntimeError:
            return False
        return True


class Net(NamedTuple):
    """A network, its square images of `size` pixels, and a batch."""

    name: str
    size: int
    channels: int = 3
    batch: int = 128

    def __str__(self) -> str:
        return f"{self.name} {self.size}²"


LENET, MIDAS = Net("lenet5", 28, 1), Net("midas_cnn", 28, 1)
RESNET18, RESNET50 = Net("resnet18", 32), Net("resnet50", 224)
VIT = Net("vit_b_16", 224)


def run_part(name: str, card: Card) -> Pairs:
    """The measurements of one part, until its time is over."""
    for pair in PARTS[name].run(card):
        yield pair
        if card.left_s < 0:
            yield "left out", "the rest: the time of this part is over"
            return


def attempt(card: Card, measure: Callable[[], Any]) -> Any:
    """What `measure` gives, or one line that says how it failed; the card is free afterwards."""
    try:
        return measure()
    except Exception as err:
        text = f"failed: {type(err).__name__}: {(str(err).splitlines() or [''])[0][:160]}"
    finally:
        card.free()
    if not card.is_usable():
        raise RuntimeError(f"CUDA error: {text}")
    return text


# -- trainers --------------------------------------------------------------------------------


def make_trainer(
    card: Card, net: Net, *, n: int = 0, device: str = "", change: Any = None, **settings: Any
) -> Any:
    """A trainer as a trial has one, on `n` images of noise (default: four batches)."""
    import numpy as np
    import torch

    from harness.seeds import AXES, derive_streams
    from harness.sweepfile.settings import Train
    from harness.training.arrays import Normalise, Part
    from harness.training.loop import Trainer
    from harness.training.memory import images_at_once
    from harness.training.process import make_accelerator, set_up_process
    from models.build import build_model

    train = Train(batch_size=net.batch, epochs=1000, **settings)
    set_up_process(train)
    accelerator = make_accelerator(train.precision, device or card.device)
    place = accelerator.device
    size = (net.size, net.size)
    network = build_model(
        net.name, n_classes=10, image_size=size, channels=net.channels, init_seed=0, head_seed=0
    ).to(place)
    if change is not None:
        network = change(network)
    n = n or 4 * net.batch
    noise = torch.Generator().manual_seed(7)
    shape = (n, net.channels, *size)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=noise).to(place)
    labels = torch.randint(10, (n,), generator=noise).to(place)
    part = Part(images, labels, np.arange(n))
    normalise = Normalise([0.5] * net.channels, [0.25] * net.channels, place)
    groups: Any = [{"params": list(network.parameters())}]
    streams = derive_streams(0, 0, AXES)
    return Trainer(
        network, part, train, streams, accelerator, normalise, groups,
        images_at_once=images_at_once(size, place),
    )  # fmt: skip


def bits_of(trainer: Any) -> str:
    """A hash of a trainer's weights and its summed loss."""
    content = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(trainer.unprepared.state_dict().items()):
        content.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    content.update(trainer.loss_sum.cpu().numpy().tobytes())
    return content.hexdigest()


def rate(card: Card, trainer: Any, step: Any = None, seconds: float = 1.5) -> dict[str, float]:
    """Milliseconds of a step, images a second, and the most bytes that were allocated."""
    step = step or trainer.step
    for _ in range(5):
        step()
    card.wait()
    least = 0.05 if card.quick else seconds
    began, n = time.perf_counter(), 0
    while n == 0 or time.perf_counter() - began < least:
        for _ in range(5):
            step()
        n += 5
        card.wait()
    each = (time.perf_counter() - began) / n
    return {
        "ms": each * 1e3, "images_s": trainer.settings.batch_size / each, "gb": card.peak_gb()
    }  # fmt: skip


# -- the card --------------------------------------------------------------------------------


def environment(card: Card) -> Pairs:
    import torch

    from benchmarks.gpu_throughput import matrix_rate

    yield "python", platform.python_version()
    for package in ("torch", "torchvision", "accelerate", "numpy"):
        yield package, version(package)
    yield "CPUs", len(os.sched_getaffinity(0))
    if card.is_cuda:
        yield "card", torch.cuda.get_device_name()
        yield "cards", torch.cuda.device_count()
        yield "CUDA", torch.version.cuda
        yield "memory, GB", torch.cuda.mem_get_info()[1] / 1e9
        for name, ask in (("cuDNN", torch.backends.cudnn.version), ("NCCL", _nccl_version)):
            yield name, attempt(card, ask)
        yield "nvidia-smi", _of_smi()
        yield "copy, TB/s", attempt(card, lambda: _copy_rate(card, pinned=False))
        yield "host to card, GB/s", attempt(card, lambda: _copy_rate(card, pinned=True) * 500)
    for precision in ("float32", "tf32", "bf16") if card.is_cuda else ("float32",):
        rate_ = attempt(card, lambda p=precision: matrix_rate(card.device, p) / 1e12)
        yield f"{precision}, TFLOP/s", rate_
    yield "launch", _launches(card)


def _nccl_version() -> str:
    import torch

    return ".".join(map(str, torch.cuda.nccl.version()))


def _of_smi() -> str:
    asked = (
        "--query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm,mig.mode.current"
    )
    try:
        done = subprocess.run(
            ["nvidia-smi", asked, "--format=csv,noheader"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as err:
        return f"none: {err}"
    return done.stdout.strip() or done.stderr.strip()


def _copy_rate(card: Card, pinned: bool) -> float:
    """TB/s that are read and written, card to card; or half of it from pinned host memory."""
    import torch

    n_bytes = 2**24 if card.quick else 2**30
    source = torch.empty(n_bytes, dtype=torch.uint8, device="cpu" if pinned else "cuda")
    source = source.pin_memory() if pinned else source
    target = torch.empty(n_bytes, dtype=torch.uint8, device="cuda")
    for _ in range(2):
        target.copy_(source, non_blocking=True)
    card.wait()
    began = time.perf_counter()
    for _ in range(10):
        target.copy_(source, non_blocking=True)
    card.wait()
    return 2 * 10 * n_bytes / (time.perf_counter() - began) / 1e12


def _launches(card: Card) -> dict[str, float]:
    """Microseconds to queue a small kernel, and until it has run, among many."""
    import torch

    small = torch.zeros(8, device=card.device)
    n = 500 if card.quick else 20_000
    for _ in range(200):
        small.add_(1)
    card.wait()
    began = time.perf_counter()
    for _ in range(n):
        small.add_(1)
    queued = time.perf_counter() - began
    card.wait()
    whole = time.perf_counter() - began
    return {"µs to queue": queued / n * 1e6, "µs a kernel": whole / n * 1e6}


# -- does it run, do bits repeat -------------------------------------------------------------

FAMILIES = (
    LENET, MIDAS, RESNET18, Net("resnext50_32x4d", 64), Net("wide_resnet50_2", 64),
    Net("vgg11_bn", 64), Net("alexnet", 64), Net("squeezenet1_0", 64), Net("mobilenet_v2", 64),
    Net("mobilenet_v3_small", 64), Net("vit_b_32", 64), Net("efficientnet_b0", 64),
    Net("efficientnet_v2_s", 64), Net("densenet121", 64), Net("convnext_tiny", 64),
    Net("swin_t", 64), Net("swin_v2_t", 64), Net("shufflenet_v2_x0_5", 64), Net("googlenet", 64),
    Net("inception_v3", 96), Net("mnasnet0_5", 64), Net("regnet_y_400mf", 64), Net("maxvit_t", 224),
)  # fmt: skip


def smoke(card: Card) -> Pairs:
    from datasets.augment_settings import Augment

    moved = Augment(rotate=15.0, elastic=0.03, erase=0.5)
    ways: list[tuple[str, Net, dict[str, Any]]] = [(net.name, net, {}) for net in FAMILIES]
    ways += [
        ("lenet5, augmented", LENET, {"augment": moved}),
        ("lenet5, complementary labels", LENET, {"loss": "complementary"}),
        ("midas_cnn, bf16, clipped", MIDAS, {"precision": "bf16", "clip_gradient_norm": 1.0}),
        ("resnet18, tf32, sgd", RESNET18, {"precision": "tf32", "optimizer": "sgd"}),
    ]
    for label, net, settings in ways[:3] if card.quick else ways:
        small = net._replace(batch=16)
        yield label, attempt(card, lambda n=small, s=settings: _goes_on(card, n, **s))


def _goes_on(card: Card, net: Net, **settings: Any) -> str:
    """Steps, an evaluation, a state, and going on from it."""
    trainer = make_trainer(card, net, **settings)
    trainer.step()
    state = trainer.state()
    trainer.step()
    trainer.evaluate(trainer.part, 10)
    trainer.restore(state)
    trainer.step()
    card.wait()
    return "ok"


def repeats(card: Card) -> Pairs:
    ways = [
        (LENET, "float32"), (MIDAS, "float32"), (RESNET18, "float32"), (RESNET18, "bf16"),
        (MIDAS, "tf32"), (Net("vgg11_bn", 64), "float32"), (Net("vit_b_32", 64), "bf16"),
        (Net("squeezenet1_0", 64), "float32"), (Net("efficientnet_b0", 64), "float32"),
        (Net("convnext_tiny", 64), "bf16"),
    ]  # fmt: skip
    for net, precision in ways[:2] if card.quick else ways:
        small = net._replace(batch=32)
        measure = lambda n=small, p=precision: _repeated(card, n, p)  # noqa: E731
        yield f"{net.name} {precision}", attempt(card, measure)
    if card.is_cuda:
        for net in (LENET, RESNET18):
            small = net._replace(batch=32)
            yield f"{net.name} as a graph", attempt(card, lambda n=small: _graph_repeats(card, n))


def _repeated(card: Card, net: Net, precision: str, n_steps: int = 20) -> dict[str, bool]:
    """Whether the same steps give the same bits: again, and through a state."""
    seen = []
    for through_state in (False, False, True):
        trainer = make_trainer(card, net, precision=precision)
        for k in range(n_steps):
            if through_state and k == n_steps // 2:
                state = trainer.state()
                trainer = make_trainer(card, net, precision=precision)
                trainer.restore(state)
            trainer.step()
        seen.append(bits_of(trainer))
    return {"again": seen[0] == seen[1], "through a state": seen[0] == seen[2]}


def _graph_repeats(card: Card, net: Net, n_steps: int = 20) -> dict[str, bool]:
    """Whether a captured step gives the bits of a solo step."""
    from harness.training.graph import GraphSteps

    plain, captured = make_trainer(card, net), make_trainer(card, net)
    steps = GraphSteps()
    for _ in range(n_steps):
        plain.step()
        steps.step(captured)
    return {"bits of solo": bits_of(plain) == bits_of(captured)}


def own_tests(card: Card) -> Pairs:
    """The project's tests that need a card."""
    files = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if "mark.gpu" in path.read_text(encoding="utf-8")
    )
    options = ["-q", "-m", "gpu", "-p", "no:cacheprovider", "--tb=line", "-W", "ignore"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *files],
        cwd=ROOT, capture_output=True, text=True, timeout=max(10.0, card.left_s), check=False,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    yield "summary", lines[-1] if lines else done.stderr.strip()[-200:]
    for k, line in enumerate([line for line in lines if line.startswith(("FAILED", "ERROR"))][:20]):
        yield f"failure {k + 1}", line[:300]


# -- the time of a step ----------------------------------------------------------------------


def solo(card: Card) -> Pairs:
    import torch

    def contiguous(network: Any) -> Any:
        return network.to(memory_format=torch.contiguous_format)

    def channels_last(network: Any) -> Any:
        return network.to(memory_format=torch.channels_last)

    def compiled(network: Any) -> Any:
        network.compile()
        return network

    changes: dict[str, tuple[dict[str, Any], Callable[[], None] | None]] = {
        "float32": ({}, None),
        "tf32": ({"precision": "tf32"}, None),
        "bf16": ({"precision": "bf16"}, None),
        "bf16, NCHW": ({"precision": "bf16", "change": contiguous}, None),
        "bf16, channels-last": ({"precision": "bf16", "change": channels_last}, None),
        "bf16, not deterministic": ({"precision": "bf16", "change": channels_last}, _loose),
        "float32, not deterministic": ({}, _loose),
        "float32, new tensors filled": ({}, _filled),
    }
    if not card.is_cuda:
        changes = {"float32": ({}, None)}
    for net in (LENET,) if card.quick else (LENET, RESNET18, RESNET50, VIT, MIDAS):
        for label, (settings, set_process) in changes.items():
            measure = lambda n=net, s=settings, p=set_process: _solo(card, n, s, p)  # noqa: E731
            yield f"{net}: {label}", attempt(card, measure)
        if card.is_cuda:
            yield f"{net}: graph", attempt(card, lambda n=net: _solo_graph(card, n))
    if card.is_cuda:  # last: a compiler may take a minute
        settings = {"precision": "bf16", "change": compiled}
        yield (
            f"{RESNET50}: bf16, compiled",
            attempt(card, lambda: _solo(card, RESNET50, settings, None)),
        )


def _loose() -> None:
    import torch

    torch.set_deterministic_debug_mode("default")
    torch.backends.cudnn.benchmark = True


def _filled() -> None:
    import torch

    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]


def _solo(
    card: Card, net: Net, settings: dict[str, Any], set_process: Callable[[], None] | None
) -> dict[str, float]:
    trainer = make_trainer(card, net, **settings)  # sets the process up as trials do
    if set_process is not None:
        set_process()
    return rate(card, trainer)


def _solo_graph(card: Card, net: Net) -> dict[str, float]:
    from harness.training.graph import GraphSteps

    trainer, steps = make_trainer(card, net), GraphSteps()
    return rate(card, trainer, lambda: steps.step(trainer))


def kernels(card: Card) -> Pairs:
    nets = (LENET, RESNET18, RESNET50._replace(batch=64), VIT._replace(batch=64))
    for net in nets if card.is_cuda else ():
        yield str(net), attempt(card, lambda n=net: _profile(card, n))
        yield f"{net}, waits", attempt(card, lambda n=net: _waits(card, n))


def _profile(card: Card, net: Net) -> dict[str, Any]:
    """Kernels of a step, the milliseconds in which the card computes, and the longest kernels."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    trainer = make_trainer(card, net)
    step_ms = rate(card, trainer, seconds=0.5)["ms"]
    with profile(activities=[ProfilerActivity.CUDA]) as record:
        for _ in range(5):
            trainer.step()
        card.wait()
    on_card = torch.autograd.DeviceType.CUDA
    rows = [row for row in record.key_averages() if row.device_type == on_card]
    longest = sorted(rows, key=lambda row: -row.self_device_time_total)[:5]
    return {
        "kernels": sum(row.count for row in rows) / 5,
        "busy_ms": sum(row.self_device_time_total for row in rows) / 5e3,
        "step_ms": step_ms,
        "longest": {row.key[:60]: row.self_device_time_total / 5e3 for row in longest},
    }


def _waits(card: Card, net: Net) -> str:
    """The first wait of the host in a step, which should have none."""
    import torch

    trainer = make_trainer(card, net)
    trainer.step()
    card.wait()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "none"


def augmentation(card: Card) -> Pairs:
    from datasets.augment_settings import Augment

    kinds = {
        "none": Augment(), "rotate": Augment(rotate=15.0),
        "rotate and elastic": Augment(rotate=15.0, elastic=0.03), "erase": Augment(erase=0.5),
    }  # fmt: skip
    for label, kind in kinds.items():
        measure = lambda a=kind: rate(card, make_trainer(card, LENET, augment=a), seconds=0.5)  # noqa: E731
        yield label, attempt(card, measure)


def closeness(card: Card) -> Pairs:
    """‖gradient − the float64 gradient of a CPU‖ / ‖float64 gradient‖ of the first step."""
    for net in (LENET, MIDAS, RESNET18):
        for precision in ("float32", "tf32", "bf16") if card.is_cuda else ("float32",):
            small = net._replace(batch=32)
            measure = lambda n=small, p=precision: _distance(card, n, p)  # noqa: E731
            yield f"{net.name} {precision}", attempt(card, measure)


def _distance(card: Card, net: Net, precision: str) -> float:
    import torch

    def gradient(trainer: Any, exact: bool) -> Any:
        for module in trainer.unprepared.modules():
            if "Dropout" in type(module).__name__:
                module.p = 0.0
        inputs, labels = trainer.next_batch()
        if exact:
            trainer.unprepared.double()
            loss = trainer.loss_of_batch(trainer.unprepared(inputs.double()), labels)
        else:
            loss = trainer.loss_of_batch(trainer.network(inputs), labels)
        trainer.accelerator.backward(loss)
        parameters = trainer.unprepared.parameters()
        return torch.cat([p.grad.detach().cpu().double().flatten() for p in parameters])

    rounded = gradient(make_trainer(card, net, precision=precision), exact=False)
    true = gradient(make_trainer(card, net, device="cpu"), exact=True)
    return float((rounded - true).norm() / true.norm())


# -- many seeds, memory, the command ---------------------------------------------------------


def packs(card: Card) -> Pairs:
    from benchmarks import gpu_throughput as bench

    amount = bench.Amount(card.device, seconds=1.0)
    if card.quick:
        amount = replace(amount, train=1280, validation=256, seconds=0.05, n_least=2, most=2)
    images, labels = bench.training_images(amount, quiet=True)
    for network, way, k, precision in _ways_of_packs(card):
        if way.startswith("heads"):
            measure = lambda w=way, n=k: bench.time_heads(w, n, amount, labels)  # noqa: E731
        else:
            measure = lambda t=network, w=way, n=k, p=precision: bench.time_steps(  # noqa: E731
                w, t, n, p, amount, images, labels
            )
        result = attempt(card, measure)
        if isinstance(result, bench.Result):
            seconds = bench.trial_seconds(result, amount)
            result = {
                "step_ms": result.step_s * 1e3, "eval_ms": result.eval_s * 1e3,
                "trials_h": 3600 / seconds, "gb": result.n_bytes / 1e9,
            }  # fmt: skip
        yield f"{network} {way} {k} {precision}", result


def _ways_of_packs(card: Card) -> list[tuple[str, str, int, str]]:
    lenet = [
        ("solo", 1), ("graph", 1), ("fused", 8), ("fused", 64), ("fused graph", 64),
        ("fused", 256), ("fused graph", 256), ("heads", 64), ("heads graph", 64),
        ("heads graph", 256),
    ]  # fmt: skip
    midas = [
        ("solo", 1, "float32"), ("graph", 1, "float32"), ("fused", 16, "float32"),
        ("fused", 64, "tf32"), ("fused", 64, "bf16"), ("fused graph", 64, "tf32"),
    ]  # fmt: skip
    ways = [("lenet5", way, k, "float32") for way, k in lenet]
    ways += [("midas_cnn", *way) for way in midas]
    if not card.is_cuda:
        ways = [way for way in ways if "graph" not in way[1] and way[3] == "float32"]
    return [way for way in ways if way[2] <= 8] if card.quick else ways


def sweeps(card: Card) -> Pairs:
    """The command itself, and whether company on the card changes a trial's bits."""
    share = 1.0 if card.is_cuda else 0.0
    ways = {
        "alone": ([f"resources.gpus={share:g}", "resources.pack=1"], 1),
        "four at once": (
            [f"resources.gpus={share / 4:g}", "resources.pack=1"],
            2 if card.quick else 4,
        ),
        "packed": ([f"resources.gpus={share:g}", "resources.pack=auto"], 1),
    }
    hashes = {}
    with tempfile.TemporaryDirectory(prefix="minutes-") as folder:
        for label, (sets, slots) in ways.items():
            result, hashes[label] = _sweep(card, Path(folder) / label, sets, slots)
            yield label, result
    alone, beside = hashes["alone"], hashes["four at once"]
    yield "same bits alone and in company", bool(alone) and alone == beside


def _sweep(card: Card, out: Path, sets: list[str], slots: int) -> tuple[Any, dict[str, str]]:
    out.mkdir()
    file = out / "minutes.yaml"
    file.write_text(SWEEP, encoding="utf-8")
    command = [sys.executable, "-m", "harness.sweep", str(file), "--engine", "local"]
    command += ["--no-report", "--out", str(out / "run"), "--slots", str(slots)]
    for setting in [*sets, *(QUICK if card.quick else ())]:
        command += ["--set", setting]
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=max(10.0, card.left_s),
        check=False,
    )  # fmt: skip
    models = sorted((out / "run").glob("trials/*/model.safetensors"))
    hashes = {m.parent.name: hashlib.blake2b(m.read_bytes()).hexdigest() for m in models}
    result: dict[str, Any] = {
        "exit status": done.returncode, "s": time.monotonic() - began, "trials": len(models)
    }  # fmt: skip
    if done.returncode:
        result["said"] = " / ".join(done.stderr.strip().splitlines()[-3:])[-400:]
    return result, hashes


def evaluation(card: Card) -> Pairs:
    """Seconds and memory of evaluating 1,000 images."""
    nets = (RESNET50, VIT, Net("convnext_base", 224), Net("vgg16", 224))
    for net in nets if card.is_cuda else (LENET,):
        small = net._replace(batch=32)
        yield str(net), attempt(card, lambda n=small: _evaluated(card, n))


def _evaluated(card: Card, net: Net) -> dict[str, float]:
    trainer = make_trainer(card, net, n=64 if card.quick else 1000)
    trainer.evaluate(trainer.part, 10)
    card.wait()
    began = time.perf_counter()
    trainer.evaluate(trainer.part, 10)
    card.wait()
    return {"s": time.perf_counter() - began, "gb": card.peak_gb()}


def communication(card: Card) -> Pairs:
    """A team of one: meeting, and the sum of as many numbers as ResNet-50 has weights."""
    import torch

    from harness.teams.collective import meet, open_meeting
    from harness.training.process import make_accelerator

    device = make_accelerator("float32", card.device).device
    store, port = open_meeting("127.0.0.1", 1)
    began = time.perf_counter()
    group = meet("127.0.0.1", port, 0, 1, device, store)
    yield "to meet, s", time.perf_counter() - began
    flat = torch.zeros(25_600_000 if card.is_cuda else 1000, device=device)
    began = time.perf_counter()
    group.sum_(flat)
    card.wait()
    yield "a sum, s", time.perf_counter() - began


# -- all of them, in the order of worth ------------------------------------------------------


class PartOf(NamedTuple):
    """A part: at most so many seconds, what it measures, and its title."""

    seconds: float
    run: Callable[[Card], Pairs]
    title: str


PARTS = {
    "environment": PartOf(30, environment, "versions, rates, launches"),
    "smoke": PartOf(80, smoke, "two steps, an evaluation, a state of each family of networks"),
    "repeats": PartOf(60, repeats, "whether the same steps give the same bits"),
    "solo": PartOf(130, solo, "a solo step, and what each change to it gives"),
    "packs": PartOf(90, packs, "many seeds as one program"),
    "sweeps": PartOf(75, sweeps, "the command: alone, shared, packed"),
    "own_tests": PartOf(45, own_tests, "the project's tests that need a card"),
    "kernels": PartOf(40, kernels, "where a step's time goes"),
    "closeness": PartOf(30, closeness, "gradients against float64"),
    "evaluation": PartOf(30, evaluation, "time and memory of an evaluation"),
    "augmentation": PartOf(15, augmentation, "what changes of images add to a step"),
    "communication": PartOf(15, communication, "several GPUs to a trial"),
}
