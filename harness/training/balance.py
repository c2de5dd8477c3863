"""What is done about classes of unlike sizes: weights of the loss, and the order of an epoch.

In: the labels of a training part. Out: a weight of each class; positions of an epoch. It stands
alone because a trial alone, packs and teams weigh and draw alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor


def weights_of_classes(
    setting: Literal["balanced"] | Mapping[str, float] | None,
    labels: Tensor,
    class_names: Sequence[str],
) -> Tensor | None:
    """float32 (classes,) on the labels' device; None: all images count alike.

    `balanced` is scikit-learn's: images / (classes that are there × images of the class), so that
    over the training images the mean weight is 1.
    """
    if setting is None:
        return None
    if isinstance(setting, Mapping):
        numbers = [float(setting.get(name, 1.0)) for name in class_names]
        return torch.tensor(numbers, device=labels.device)
    counts = torch.bincount(labels.cpu(), minlength=len(class_names)).double()
    there = int((counts > 0).sum())
    weights = torch.where(counts > 0, len(labels) / (there * counts.clamp(min=1)), 1.0)
    return weights.float().to(labels.device)


def balanced_order(labels: Tensor, draws: torch.Generator) -> Tensor:
    """Positions int64 (images,), drawn with replacement: first a class, then an image of it.

    Args:
        labels: int64 (images,) on the CPU.
        draws: on the CPU.
    """
    by_class = labels.argsort(stable=True)
    classes, counts = labels.unique(return_counts=True)
    begins = counts.cumsum(0) - counts
    chosen = torch.randint(len(classes), (len(labels),), generator=draws)
    within = torch.rand(len(labels), generator=draws, dtype=torch.float64) * counts[chosen]
    return by_class[begins[chosen] + torch.minimum(within.long(), counts[chosen] - 1)]
