"""The weights and the optimizer's state of several trainers as stacked tensors, and back.

In: trainers of equal settings, at the same step. Out: one tensor for each parameter, with a row for
each trainer, and one optimizer over them; at the end every trainer has its own again, as if it had
made the steps alone. It stands alone because both ways of joint steps (heads, fused) need it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from harness.training.arrays import copy_all
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
        weights = [trainer.class_weights for trainer in trainers]
        self.class_weights = [each for each in weights if each is not None]
        self.own = [dict(network.named_parameters()) for network in self.networks]
        self.by_name = stacked_parameters(self.networks)
        for name, weight in self.by_name.items():
            weight.requires_grad_(self.own[0][name].requires_grad)
        self.optimizer = make_optimizer(self._groups(), self.settings)
        self._stack_states()
        if isinstance(self.lead.schedule, LambdaLR):
            if self.lead.step_count == 0:
                self.lead.optimizer.step()  # moves nothing; its schedule warns unless it was called
            self.schedule = dict(self.lead.schedule.state_dict())
            self.rates = [group["lr"] for group in self.lead.optimizer.param_groups]

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Each trainer's mean loss (K,) of logits (K, batch, classes) and labels (K, batch)."""
        losses = self.losses_of(logits.flatten(0, 1), labels.flatten()).view(len(labels), -1)
        if self.class_weights:
            losses = losses * torch.stack(self.class_weights).gather(1, labels)
        return losses.mean(dim=1)

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
        """Let every trainer have its weights and its optimizer's state again.

        All memory is asked for before the first trainer changes. Copies are made together, because
        each would be a launch on a GPU.
        """
        targets: list[Tensor] = []
        sources: list[Tensor] = []
        entries: list[tuple[Trainer, Tensor, str, Tensor | None]] = []
        for name, weight in self.by_name.items():
            if weight not in self.optimizer.state:  # it is frozen
                continue
            parameters = [own[name] for own in self.own]
            targets += parameters
            sources += weight.detach().unbind()
            for key, value in self.optimizer.state[weight].items():
                places: Sequence[Tensor | None] = [None] * len(parameters)
                if value is not None:  # the count of steps is the same for all
                    values = [value] * len(parameters) if key == "step" else value.unbind()
                    places = memory = self._memory(parameters, key, values)
                    targets += memory
                    sources += values
                keys = [key] * len(parameters)
                entries += zip(self.trainers, parameters, keys, places, strict=True)
        copy_all(targets, sources)
        for trainer, parameter, key, place in entries:
            trainer.optimizer.state[parameter][key] = place
        self._give_schedules_back()

    def _memory(
        self, parameters: Sequence[Tensor], key: str, values: Sequence[Tensor]
    ) -> list[Tensor]:
        """Where an entry of each trainer's optimizer state goes: where it was before, if it was."""
        states = (t.optimizer.state for t in self.trainers)
        kept = [s[p].get(key) if p in s else None for s, p in zip(states, parameters, strict=True)]
        pairs = zip(kept, values, strict=True)
        return [torch.empty_like(value) if place is None else place for place, value in pairs]

    def _give_schedules_back(self) -> None:
        for trainer in self.trainers[1:]:
            if isinstance(trainer.schedule, LambdaLR):
                assert isinstance(self.lead.schedule, LambdaLR)
                trainer.schedule.load_state_dict(self.lead.schedule.state_dict())
                _copy_rates(self.lead.optimizer, trainer.optimizer)

    def go_back(self) -> None:
        """Let the lead's schedule, which moved in its steps, be where it was."""
        if isinstance(self.lead.schedule, LambdaLR):
            self.lead.schedule.load_state_dict(self.schedule)
            for rate, group in zip(self.rates, self.lead.optimizer.param_groups, strict=True):
                group["lr"] = rate

    def _clip(self, limit: float) -> None:
        """Each seed's gradient to a norm of `limit` at most, as `clip_grad_norm_` does for one."""
        gradients = [weight.grad for weight in self.by_name.values() if weight.grad is not None]
        squares = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients])
        factors = (limit / (squares.sum(dim=0).sqrt() + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))

    def _groups(self) -> ParameterGroups:
        """The lead's parameter groups, over stacked weights."""
        names = {id(p): name for name, p in self.own[0].items()}
        return [
            {
                "params": [self.by_name[names[id(p)]] for p in group["params"]],
                "lr": group["lr"],
                "weight_decay": group["weight_decay"],
            }
            for group in self.lead.optimizer.param_groups
        ]

    def _stack_states(self) -> None:
        for name, weight in self.by_name.items():
            states = [
                trainer.optimizer.state.get(own[name], {})
                for trainer, own in zip(self.trainers, self.own, strict=True)
            ]
            if states[0]:
                self.optimizer.state[weight] = {
                    key: _stacked(key, [state[key] for state in states]) for key in states[0]
                }


def stacked_parameters(networks: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Parameter name → copies of the networks' parameters, (K, …)."""
    own = [dict(network.named_parameters()) for network in networks]
    return {name: torch.stack([each[name].detach() for each in own]) for name in own[0]}


def stacked_buffers(networks: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Buffer name → copies of the networks' buffers, (K, …)."""
    own = [dict(network.named_buffers()) for network in networks]
    return {name: torch.stack([each[name] for each in own]) for name in own[0]}


def _stacked(key: str, values: list[Tensor | None]) -> Tensor | None:
    """One state entry of all trainers; the count of steps is the same for all."""
    if values[0] is None:
        return None
    return values[0].clone() if key == "step" else torch.stack([v for v in values if v is not None])


def _copy_rates(source: Optimizer, target: Optimizer) -> None:
    for given, group in zip(source.param_groups, target.param_groups, strict=True):
        group["lr"] = given["lr"]
