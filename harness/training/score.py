"""What an evaluation says of a network: its loss, and how many images it has right.

In: predictions and labels on the device. Out: counts of each class there, and on the host a
`Score`. It stands alone because a trial alone, several ranks and packs count in the same way, and
only the counts, three numbers a class, travel from the device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from headstart.metrics import LOWER_IS_BETTER, OF_CLASSES


@dataclass(frozen=True)
class Score:
    """A network on one part of the data; NaN stands for what was not counted.

    Attributes:
        loss: mean over the images.
        accuracy: fraction of the images that is right.
        balanced_accuracy: mean over the classes of the part of the fraction that is right.
        macro_f1: mean F1 over the classes that the part has or that were predicted.
        right_loss: mean cross-entropy on right labels, where these are watched (`Part.right`).
        right_accuracy: fraction of the images whose right label was predicted, likewise.
        of_target: further metrics, of a target that is no class, by their names.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float = math.nan
    macro_f1: float = math.nan
    right_loss: float = math.nan
    right_accuracy: float = math.nan
    of_target: Mapping[str, float] = field(default_factory=dict)

    def columns(self, prefix: str = "") -> dict[str, Any]:
        """Each metric, a float, under its name, as rows have it: None where it is not defined."""
        own = {name: getattr(self, name) for name in ("loss", *OF_CLASSES)}
        named = {f"{prefix}{name}": value for name, value in {**own, **self.of_target}.items()}
        return {name: value if math.isfinite(value) else None for name, value in named.items()}

    def cost(self, score: str) -> float:
        """A validation score such as `val_mae`, or its negative where more of it is better."""
        name = score.removeprefix("val_")
        value = self.of_target[name] if name in self.of_target else float(getattr(self, name))
        return value if name in LOWER_IS_BETTER else -value


def class_counts(predicted: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Images of each class, predicted as it, and both: int64 (…, 3, classes).

    No `bincount`: on a GPU the host would wait for it.

    Args:
        predicted, labels: int64 (…, images).
    """
    classes = torch.arange(n_classes, device=labels.device)
    of_class, as_class = labels[..., None] == classes, predicted[..., None] == classes
    return torch.stack([of_class, as_class, of_class & as_class], dim=-3).sum(dim=-2)


def right_sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of the cross-entropies and number of right predictions: float64 (…, 2).

    It is the plain cross-entropy whatever the trial trains with, since other losses read a label
    in another way (`complementary`: as what the image is not).

    Args:
        logits: (…, images, classes).
        labels: int64 (…, images), the right ones.
    """
    losses = F.cross_entropy(
        logits.flatten(0, -2).float(), labels.flatten(), reduction="none"
    ).view(labels.shape)
    hits = logits.argmax(dim=-1) == labels
    return torch.stack([losses.sum(-1, dtype=torch.float64), hits.sum(-1).double()], dim=-1)


def with_right(score: Score, sums: Sequence[float], n_images: int) -> Score:
    """The score with what `right_sums` of all its images say; as it is where nothing was summed."""
    if not sums:
        return score
    return replace(score, right_loss=sums[0] / n_images, right_accuracy=sums[1] / n_images)


def score_of(loss: float, n_images: int, counts: Sequence[Sequence[float]]) -> Score:
    """The score of a part, from `class_counts` of all its images, as numbers of the host.

    Both means are those of scikit-learn: a class without images has no recall and is left out of
    the balanced accuracy; one that is neither there nor predicted is left out of the macro F1.
    """
    of_class, as_class, right = counts
    recalls = [r / n for r, n in zip(right, of_class, strict=True) if n]
    both = [(r, n + m) for r, n, m in zip(right, of_class, as_class, strict=True) if n + m]
    f1 = [2 * r / n for r, n in both]
    return Score(loss, sum(right) / n_images, _mean(recalls), _mean(f1))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
