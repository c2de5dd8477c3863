"""A linear probe as the way of making a trial's only step: the head is fitted, not trained.

In: the trainer of a trial whose network is frozen but for one linear layer. Out: the same trainer
after one step, in which L-BFGS fitted that layer to the features of all training images, with the
L2 that the validation images chose. It stands alone because such a trial knows no batches, no rates
and no order: evaluations, states, records and refits are those of any trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from harness.sweepfile.settings import Schedule, Train
from harness.training.arrays import Part
from harness.training.logistic import Labelled, LinearFit, choose_fit, fit_with, load_solver
from harness.training.loop import Trainer
from harness.training.ranks import Ranks
from harness.training.steps import Asked, Steps


def settings_of_fit(settings: Train, n_images: int) -> Train:
    """The settings of a trial that sees all its images, `n_images` at most, in one step."""
    changed = {"batch_size": n_images, "epochs": 1, "accumulate": 1, "schedule": Schedule()}
    return settings.model_copy(update=changed)


class ProbeSteps(Steps):
    """The one step of a linear probe.

    Args:
        layer: the linear layer, on the device.
        validation: the images that choose the L2; a refit looks at none.
        l2: that was chosen before; None: the validation images choose it.
        ranks: the processes that share the trial: each computes features, the first one fits.
    """

    def __init__(self, layer: nn.Linear, validation: Part, l2: float | None, ranks: Ranks):
        self.layer, self.validation, self.l2, self.ranks = layer, validation, l2, ranks
        self.ran_as = "solo" if ranks.n == 1 else f"workers-{ranks.n}"
        self.notes: list[str] = []

    def warm_up(self, trainer: Trainer) -> None:
        load_solver()

    def make(self, trainers: Sequence[Trainer], is_due: Asked, wants_pause: Asked) -> None:
        (trainer,), layer = trainers, self.layer
        views = [labelled(trainer, layer, view) for view in views_of(trainer.part)]
        train = Labelled(*(np.concatenate(each) for each in zip(*map(_arrays, views), strict=True)))
        validation = labelled(trainer, layer, self.validation) if self.l2 is None else None
        loss = torch.zeros((), device=trainer.device)
        right = torch.zeros(len(trainer.part), dtype=torch.float64, device=trainer.device)
        if self.ranks.is_first:
            fit = self._fit(trainer, train, validation, layer.bias is not None)
            _write(layer, fit)
            logits = torch.from_numpy(fit.logits(train.features))
            labels = torch.from_numpy(train.labels)
            on_device = logits.float().to(trainer.device), labels.to(trainer.device)
            loss += trainer.mean_loss(*on_device)
            is_right = (logits.argmax(dim=1) == labels).double()
            right += is_right.view(len(views), -1).mean(dim=0).to(trainer.device)
            self.probe_l2 = fit.l2
        self.ranks.copy_first([*layer.state_dict().values(), loss])
        trainer.take_fit(loss, right)

    def _fit(
        self, trainer: Trainer, train: Labelled, validation: Labelled | None, with_bias: bool
    ) -> LinearFit:
        settings, weights = trainer.settings, np.ones(self.layer.out_features)
        if trainer.class_weights is not None:
            weights = trainer.class_weights.double().cpu().numpy()
        if validation is None:
            assert self.l2 is not None
            fit = fit_with(train, weights, self.l2, with_bias=with_bias, threads=settings.threads)
        else:
            fit = choose_fit(
                train, validation, weights, by_loss=settings.select == "val_loss",
                with_bias=with_bias, threads=settings.threads,
            )  # fmt: skip
        if not fit.converged:
            self.notes.append(f"the linear probe had not converged with L2 {fit.l2:.3g}")
        return fit


def labelled(trainer: Trainer, layer: nn.Linear, part: Part) -> Labelled:
    """A part's features, as the layer is given them, and its labels; all ranks call this."""
    features = trainer.features(layer, part)
    return Labelled(features.double().numpy(), part.labels.cpu().numpy())


def views_of(part: Part) -> list[Part]:
    """The part in each of its fixed augmented views."""
    if part.n_views == 1:
        return [part]
    assert part.rows is not None
    n = len(part.inputs) // part.n_views
    return [replace(part, rows=part.rows + n * view, n_views=1) for view in range(part.n_views)]


def _arrays(images: Labelled) -> tuple[np.ndarray, np.ndarray]:
    return images.features, images.labels


@torch.no_grad()
def _write(layer: nn.Linear, fit: LinearFit) -> None:
    """Let the layer be the fitted one."""
    layer.weight.copy_(torch.from_numpy(fit.weight))
    if layer.bias is not None:
        bias: Tensor = torch.from_numpy(fit.bias)
        layer.bias.copy_(bias)
