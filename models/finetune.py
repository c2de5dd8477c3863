"""Layer groups that train and groups that are held still, and learning rates by group.

In: a network, its layer groups, and the names of those that train (`forms.py` has them from a
sweep's `fine_tune`). Out: the same network with the
other groups held still: their parameters do not train, and their batch norm and dropout stay in
evaluation mode even after `model.train()`, so that their buffers do not move either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MethodType

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstart.errors import ModelError, TuningError
from models.forms import FineTune, Lora, Part, Unfreezing, position, read_fine_tune
from models.groups import LayerGroup, layer_groups
from models.lora import add_low_rank, is_added
from models.parts import names_of_kind
from models.split import split_at

__all__ = [
    "LayerGroup",
    "Tuned",
    "freeze",
    "layer_groups",
    "learning_rate_factors",
    "read",
    "resolve_fine_tune",
    "split_at",
    "tune",
]

_WORDS = {"bias": "biases", "norm": "normalisation layer"}


@dataclass(frozen=True)
class Tuned:
    """What of a network trains.

    Attributes:
        groups: its layer groups, with what was added to them.
        schedule: which of these train in which epoch.
        parameters: names of those that ever train.
        part: the kind of parameter that does so in groups before the head.
    """

    groups: tuple[LayerGroup, ...]
    schedule: Unfreezing
    parameters: frozenset[str]
    part: Part

    def freeze(self, model: nn.Module, epoch: int) -> None:
        """Let train what does so in an epoch (0, 1, …)."""
        freeze(model, self.groups, self.schedule.trainable_at(epoch), self.parameters)
        if self.part in ("bias", "added"):
            _hold_statistics(model, self.groups[:-1])

    def narrowed(self, names: Collection[str]) -> Tuned:
        """The same, of which these groups alone and the head train, from the start."""
        kept = [group for group in self.groups[:-1] if group.name in names]
        kept.append(self.groups[-1])
        trained = {name for group in kept for name in group.parameters}
        schedule = Unfreezing.at_once([group.name for group in kept])
        return replace(self, schedule=schedule, parameters=self.parameters & trained)


def tune(
    model: nn.Module, groups: tuple[LayerGroup, ...], tuning: FineTune, epochs: int, seed: int
) -> Tuned:
    """Add to a network what its `fine_tune` adds, and find out what of it trains.

    Args:
        tuning: as a sweep says it (`models/forms.py`).
        epochs: length of the training.
        seed: of what is drawn for parameters that are added.

    Raises:
        TuningError: the network has no such groups, layers or parameters.
    """
    if isinstance(tuning, Lora):
        draws = torch.Generator().manual_seed(seed)
        groups = add_low_rank(model, groups, tuning.rank, tuning.alpha, tuning.targets, draws)
    names = tuple(group.name for group in groups)
    chosen = frozenset(name for group in groups for name in group.parameters)
    if tuning.part != "all":
        chosen = _of_part(model, tuning.part) & chosen
        if not chosen - set(groups[-1].parameters):
            raise TuningError(
                "fine_tune",
                f"only: {tuning.part}: the network has no {_WORDS[tuning.part]} before its head",
            )
        chosen |= set(groups[-1].parameters)
        names = tuple(group.name for group in groups if chosen.intersection(group.parameters))
    schedule = tuning.unfreezing(names, epochs)
    ever = {name for group in groups if group.name in schedule.names for name in group.parameters}
    return Tuned(groups, schedule, chosen & ever, tuning.part)


def _of_part(model: nn.Module, part: Part) -> frozenset[str]:
    if part == "added":
        return frozenset(name for name, _ in model.named_parameters() if is_added(name))
    assert part != "all"
    return names_of_kind(model, part)


def read(setting: object) -> FineTune:
    """A `fine_tune` setting that stands in no sweep file.

    Raises:
        ModelError: it has none of the forms.
    """
    try:
        return read_fine_tune(setting)
    except ValueError as err:
        raise ModelError(f"fine_tune: {setting!r} {err}") from err


def resolve_fine_tune(setting: object, groups: Sequence[LayerGroup]) -> tuple[str, ...]:
    """Names of the groups that ever train under `setting`, input first.

    Args:
        setting: as a sweep file writes it (`models/forms.py`).

    Raises:
        ModelError: no form of the setting, deeper than the network, or a group it does not have.
    """
    return read(setting).unfreezing(tuple(group.name for group in groups), epochs=1).names


def freeze(
    model: nn.Module,
    groups: Sequence[LayerGroup],
    trainable: Collection[str],
    parameters: Collection[str] | None = None,
) -> None:
    """Let only the groups named in `trainable` train; can be called again to unfreeze more.

    Args:
        parameters: those that may train; None: all.

    Raises:
        ModelError: a name that is no group's.
    """
    names = tuple(group.name for group in groups)
    wanted = {names[position(name, names)] for name in trainable}
    own = dict(model.named_parameters())
    for group in groups:
        trains = group.name in wanted
        for name in group.parameters:
            own[name].requires_grad_(trains and (parameters is None or name in parameters))
        for path in group.modules:
            for module in model.get_submodule(path).modules():
                if trains:
                    _release(module, model.training)
                else:
                    _hold(module)


def _hold_statistics(model: nn.Module, groups: Sequence[LayerGroup]) -> None:
    """Keep batch norm by the statistics that it has: where its weights stay, they do too."""
    for group in groups:
        for path in group.modules:
            for module in model.get_submodule(path).modules():
                if isinstance(module, _BatchNorm):
                    _hold(module)


def learning_rate_factors(
    setting: float | Mapping[str, float], groups: Sequence[LayerGroup]
) -> dict[str, float]:
    """Each group's learning rate as a factor of the head's.

    Args:
        setting: a decay in (0, 1] by which each group nearer the input is slower than the next, or
            factors by group name (others: 1).

    Raises:
        ModelError: a decay or factor out of range, or a name that is no group's.
    """
    names = tuple(group.name for group in groups)
    if isinstance(setting, Mapping):
        given = {
            names[position(name, names, "train.learning_rate_factors")]: float(factor)
            for name, factor in setting.items()
        }
        if any(not 0 < factor < float("inf") for factor in given.values()):
            raise ModelError(f"learning rate factors must be over 0, not {dict(setting)!r}")
        return {name: given.get(name, 1.0) for name in names}
    if not 0 < setting <= 1:
        raise ModelError(f"a learning rate decay must be over 0 and at most 1, not {setting!r}")
    return {name: setting ** (len(names) - 1 - i) for i, name in enumerate(names)}


def _stay_in_evaluation_mode(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def _hold(module: nn.Module) -> None:
    """Put one module into evaluation mode for as long as it is frozen."""
    module.training = False
    # On the instance, so that it holds however train() reaches the module: by its parent or by
    # another network that shares it.
    module.train = MethodType(_stay_in_evaluation_mode, module)  # type: ignore[method-assign]


def _release(module: nn.Module, training: bool) -> None:
    """Let one module follow train() and eval() again; it takes the network's present mode."""
    module.__dict__.pop("train", None)
    module.training = training
