"""Training steps by several processes, for tests: what the processes run, and how they are started.

A module of its own, because the processes import it by name.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.seeds import AXES, derive_streams
from harness.sweepfile.settings import Train
from harness.teams.batch_norm import synchronise
from harness.teams.collective import meet, open_meeting
from harness.teams.data_parallel import SharedSteps
from harness.teams.local_team import IMPORTED
from harness.training.arrays import Normalise, Part
from harness.training.balance import weights_of_classes
from harness.training.loop import Trainer
from harness.training.process import make_accelerator, set_up_process
from harness.training.ranks import ONE_RANK
from harness.training.steps import SOLO
from harness.training.streaming import ReadAhead
from models.build import build_model
from models.dropout import SeededDropout

STREAMS = derive_streams(0, 0, AXES)


@dataclass(frozen=True)
class Task:
    """What to train, and for how many steps."""

    network: str
    images: np.ndarray  # uint8 (N, 1, 28, 28)
    labels: np.ndarray
    settings: Train
    n_steps: int
    n_held_out: int = 0  # of the images: for validation, not for training
    device: str = "cpu"
    bucket_bytes: float | None = None  # None: the usual
    is_streamed: bool = False  # images are read ahead, as where a GPU is too small for them


def build(name: str) -> nn.Module:
    if name == "dropout":
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 5, stride=2), nn.ReLU(), SeededDropout(0.3, "channel"), nn.Flatten(),
            nn.Linear(576, 30), nn.ReLU(), SeededDropout(0.5), nn.Linear(30, 10),
        )  # fmt: skip
    if name == "loud":  # in fp16 its gradients are infinite at first
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    return build_model(
        name, n_classes=10, image_size=(28, 28), channels=1, init_seed=1, head_seed=2
    )


def make_trainer(task: Task, group: Any = None) -> tuple[nn.Module, Part, Trainer]:
    """The network as it was built, the images held out, and what trains the network."""
    set_up_process(task.settings)
    accelerator = make_accelerator("float32", task.device)
    network = build(task.network).to(accelerator.device)
    if group is not None and task.settings.batch_norm_parts == 1:
        synchronise(network, group)

    def part(rows: slice) -> Part:
        images, labels = torch.from_numpy(task.images[rows]), torch.from_numpy(task.labels[rows])
        images, labels = images.to(accelerator.device), labels.to(accelerator.device)
        whole = Part(images, labels, np.arange(len(images)))
        if not task.is_streamed:
            return whole
        source = ReadAhead(task.images[rows], accelerator.device)
        return replace(whole, inputs=images[:0], source=source)

    held_out = part(slice(0, task.n_held_out or len(task.images)))
    held_out = replace(held_out, right=(held_out.labels + 1) % 10)  # watched beside its labels
    parts = (
        network, part(slice(task.n_held_out, None)), task.settings, STREAMS, accelerator,
        Normalise((0.1307,), (0.3081,), accelerator.device),
        [{"params": list(network.parameters())}],
    )  # fmt: skip
    names = [str(k) for k in range(10)]
    weights = weights_of_classes(task.settings.class_weights, parts[1].labels, names)
    trainer = Trainer(*parts, ranks=group or ONE_RANK, class_weights=weights)
    return network, held_out, trainer


def train(task: Task, group: Any = None) -> dict[str, Any]:
    """Gradients of each step (with `n_steps` up to 10), the scores, the last weights."""
    network, held_out, trainer = make_trainer(task, group)
    gradients, move = [], trainer.move

    def keep_and_move(loss: torch.Tensor, n: int) -> None:
        if task.n_steps <= 10:
            gradients.append(
                {k: p.grad.cpu().numpy().copy() for k, p in network.named_parameters()}
            )
        move(loss, n)

    trainer.move = keep_and_move
    steps = SOLO if group is None else SharedSteps(group, task.bucket_bytes)
    steps.make([trainer], lambda: trainer.step_count == task.n_steps, lambda: False)
    ranks = group or ONE_RANK
    own = torch.tensor([ranks.rank, 10 * ranks.rank], device=trainer.device)
    return {
        "gathered": ranks.gather(own).tolist(),
        "gradients": gradients,
        "trained": trainer.take_train_score(),
        "score": trainer.evaluate(held_out, 10),
        "logits": trainer.predict(held_out, 10)[1].numpy(),
        "average": {k: v.cpu().numpy() for k, v in trainer.average.tensors.items()},
        "weights": {k: v.cpu().numpy() for k, v in network.state_dict().items()},
    }


def train_shared(n: int, tasks: list[Task]) -> list[list[dict[str, Any]]]:
    """What each of `n` processes found for each task."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    pipes, processes = [], []
    for rank in range(n):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs, rank, n, tasks), daemon=True))
        processes[-1].start()
        theirs.close()
        pipes.append(ours)
    try:
        port = pipes[0].recv()
        for pipe in pipes:
            pipe.send(port)
        return [pipe.recv() for pipe in pipes]
    finally:
        for process in processes:
            process.kill()
            process.join()


def _serve(pipe: Any, rank: int, n: int, tasks: list[Task]) -> None:
    store = None
    if rank == 0:
        store, port = open_meeting("127.0.0.1", n)
        pipe.send(port)
    device = torch.device(tasks[0].device)
    if device.type == "cuda":
        torch.cuda.set_device(rank)
        device = torch.device("cuda", rank)
    group = meet("127.0.0.1", pipe.recv(), rank, n, device, store)
    pipe.send([train(task, group) for task in tasks])
    pipe.recv()  # stays until all have what they need of it
