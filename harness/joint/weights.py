"""The weights and the optimizer's state of several trainers as stacked tensors, and back.

In: trainers of equal settings, at the same step. Out: one tensor for each parameter, with a row for
each trainer, and one optimizer over them; at the end every trainer has its own again, as if it had
made the steps alone. It stands alone because both ways of joint steps (heads, fused) need it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from harness.training.loop import Trainer, loss_function
from harness.training.optimizers import ParameterGroups, make_optimizer


class StackedWeights:
    """K trainers' weights as one set, with one optimizer; trainers as `Joint` takes them."""

    def __init__(self, trainers: Sequence[Trainer]):
        self.trainers = trainers
        self.lead = trainers[0]
        self.settings = self.lead.settings
        self.networks = [trainer.unprepared for trainer in trainers]
        self.losses_of = loss_function(self.settings, "none")
        self.by_name: dict[str, Tensor] = {
            name: torch.stack([n.get_parameter(name).detach() for n in self.networks])
            for name, _ in self.networks[0].named_parameters()
        }
        for name, weight in self.by_name.items():
            weight.requires_grad_(self.networks[0].get_parameter(name).requires_grad)
        self.optimizer = make_optimizer(self._groups(), self.settings)
        self._stack_states()
        if isinstance(self.lead.schedule, LambdaLR) and self.lead.step_count == 0:
            self.lead.optimizer.step()  # moves nothing; its schedule warns unless it was called

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Each trainer's mean loss (K,) of logits (K, batch, classes) and labels (K, batch)."""
        losses = self.losses_of(logits.flatten(0, 1), labels.flatten())
        return losses.view(len(labels), -1).mean(dim=1)

    def update(self, losses: Tensor) -> None:
        """Move the weights by the gradients of each trainer's mean loss (K,)."""
        torch.autograd.backward(losses.sum())
        if self.settings.clip_gradient_norm is not None:
            self._clip(self.settings.clip_gradient_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def advance_schedule(self) -> None:
        """Let the learning rates be those of the step that comes next."""
        if isinstance(self.lead.schedule, LambdaLR):
            self.lead.schedule.step()
            _copy_rates(self.lead.optimizer, self.optimizer)

    def give_back(self) -> None:
        """Let every trainer have its weights and its optimizer's state again."""
        for k, trainer in enumerate(self.trainers):
            for name, weight in self.by_name.items():
                if weight in self.optimizer.state:  # else it is frozen
                    self._give_back(k, trainer, name, weight)
            if isinstance(trainer.schedule, LambdaLR) and trainer is not self.lead:
                assert isinstance(self.lead.schedule, LambdaLR)
                trainer.schedule.load_state_dict(self.lead.schedule.state_dict())
                _copy_rates(self.lead.optimizer, trainer.optimizer)

    def _give_back(self, k: int, trainer: Trainer, name: str, weight: Tensor) -> None:
        parameter = self.networks[k].get_parameter(name)
        parameter.copy_(weight[k])
        trainer.optimizer.state[parameter] = {
            key: value if value is None else (value if key == "step" else value[k]).clone()
            for key, value in self.optimizer.state[weight].items()
        }

    def _clip(self, limit: float) -> None:
        """Each seed's gradient to a norm of `limit` at most, as `clip_grad_norm_` does for one."""
        gradients = [weight.grad for weight in self.by_name.values() if weight.grad is not None]
        squares = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients])
        factors = (limit / (squares.sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))

    def _groups(self) -> ParameterGroups:
        """The lead's parameter groups, over stacked weights."""
        names = {id(p): name for name, p in self.networks[0].named_parameters()}
        return [
            {"params": [self.by_name[names[id(p)]] for p in group["params"]], "lr": group["lr"]}
            for group in self.lead.optimizer.param_groups
        ]

    def _stack_states(self) -> None:
        for name, weight in self.by_name.items():
            states = [
                trainer.optimizer.state.get(network.get_parameter(name), {})
                for trainer, network in zip(self.trainers, self.networks, strict=True)
            ]
            if states[0]:
                self.optimizer.state[weight] = {
                    key: _stacked(key, [state[key] for state in states]) for key in states[0]
                }


def _stacked(key: str, values: list[Tensor | None]) -> Tensor | None:
    """One state entry of all trainers; the count of steps is the same for all."""
    if values[0] is None:
        return None
    return values[0].clone() if key == "step" else torch.stack([v for v in values if v is not None])


def _copy_rates(source: Optimizer, target: Optimizer) -> None:
    for given, group in zip(source.param_groups, target.param_groups, strict=True):
        group["lr"] = given["lr"]
