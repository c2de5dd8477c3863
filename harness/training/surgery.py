"""Which layer groups a surgical fine-tuning trains: those with the largest gradient for their size.

In: a network as its training begins, and its training part. Out: the relative gradient of each
layer group before the head: the norm of the gradient of the mean loss, over the norm of the weights
(RGN; Lee et al., ICLR 2023, section 5). Lee et al. weigh learning rates by it in every epoch
(Auto-RGN); here it chooses once, before the first step, which groups train at the arm's own rate.
It stands alone because nothing of a step depends on it.

Nothing is drawn: images are as they are, in evaluation mode, evenly spaced in the training part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from harness.training.arrays import Normalise, Part
from models.groups import LayerGroup

N_IMAGES = 512  # of the training part, at most


def relative_gradients(
    network: nn.Module,
    groups: Sequence[LayerGroup],
    part: Part,
    normalise: Normalise,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch_size: int,
) -> dict[str, float]:
    """The relative gradient of each group before the head that trains; by its name.

    Args:
        network: in any mode, in which it is left; its parameters have no gradients afterwards.
        loss: logits (N, classes), labels int64 (N,) → the mean.
        batch_size: images at once; a step takes as many.
    """
    places = np.unique(np.linspace(0, len(part) - 1, min(len(part), N_IMAGES)).astype(np.int64))
    chunks = np.split(places, range(batch_size, len(places), batch_size))
    part.follow(chunks)
    modes = {module: module.training for module in network.modules()}
    for module in modes:
        module.training = False
    try:
        for chunk in chunks:
            positions = torch.from_numpy(chunk).to(part.labels.device)
            images = normalise.images(part.take(positions, on_host=chunk))
            share = len(chunk) / len(places)
            (loss(network(images).float(), part.labels[positions]) * share).backward()
        return {group.name: _relative(network, group) for group in groups[:-1] if group.parameters}
    finally:
        network.zero_grad(set_to_none=True)
        for module, training in modes.items():
            module.training = training


def largest(relative: Mapping[str, float], n: int) -> tuple[str, ...]:
    """Names of the `n` groups with the largest gradients, input first; of equal ones the first."""
    ranked = sorted(relative, key=lambda name: -relative[name])[:n]
    return tuple(name for name in relative if name in ranked)


def _relative(network: nn.Module, group: LayerGroup) -> float:
    """In float64; 0 where nothing of the group has a gradient."""
    own = dict(network.named_parameters())
    weights = [own[name] for name in group.parameters]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norm = _norm(weights)
    return _norm(gradients) / norm if norm else 0.0


def _norm(tensors: Sequence[Tensor]) -> float:
    return math.sqrt(sum(float(t.detach().double().square().sum()) for t in tensors))
