"""A last batch of one image, of which batch normalisation can take no statistics.

In: a plan. Out: nothing, or one line for each arm whose training would end there. It stands alone
because a plan is made without torch, and this builds networks: those alone whose data leave one
image over, since most of them take it (statistics are of pixels too).
"""

from __future__ import annotations

import torch
from torch import nn

from harness.training.network import build_frozen
from harness.trials.spec import Plan, TrialSpec
from headstart.errors import ModelError, SpecError
from models.dropout import set_dropout_generator
from models.global_draws import seeded

SAYS = "more than 1 value per channel"  # torch, of the layer and the shape


def check_last_batch(plan: Plan) -> None:
    """Try one image in training mode where a batch has no more.

    Raises:
        SpecError: a line for each arm and stage whose network does not take it.
    """
    known: dict[str, bool] = {}
    mistakes = []
    for (_, name), trials in plan.by_arm.items():
        spec = trials[0]
        if not spec.leaves_one_image:
            continue
        if spec.step_key not in known:
            known[spec.step_key] = _takes_one_image(spec)
        if not known[spec.step_key]:
            size = spec.condition.train.batch_size
            mistakes.append(
                f"{plan.sweep.name}: {name}: {spec.data.n_train} training images in batches of "
                f"{size} leave a batch of one image, of which the batch normalisation of "
                f"{spec.condition.model.shown} takes no statistics; set another train.batch_size, "
                "or another number of training images"
            )
    if mistakes:
        raise SpecError(mistakes)


def _takes_one_image(spec: TrialSpec) -> bool:
    """Whether the network computes one image in training mode; other errors are said elsewhere."""
    network, _, _ = build_frozen(spec)
    if not any(isinstance(m, nn.modules.batchnorm._NormBase) for m in network.modules()):
        return True
    set_dropout_generator(network, torch.Generator())
    try:
        with seeded(0), torch.no_grad():
            network.train()(torch.zeros(1, spec.data.channels, *spec.data.image_size))
    except (ValueError, ModelError) as err:
        return SAYS not in str(err)
    return True
