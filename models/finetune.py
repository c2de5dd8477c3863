"""Layer groups that train and groups that are held still, and learning rates by group.

In: a network, its layer groups, and the names of those that train (`forms.py` has them from a
sweep's `fine_tune`). Out: the same network with the
other groups held still: their parameters do not train, and their batch norm and dropout stay in
evaluation mode even after `model.train()`, so that their buffers do not move either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MethodType

from torch import nn

from headstart.errors import ModelError
from models.forms import position, read_fine_tune
from models.groups import LayerGroup, layer_groups
from models.split import split_at

__all__ = [
    "LayerGroup",
    "freeze",
    "layer_groups",
    "learning_rate_factors",
    "resolve_fine_tune",
    "split_at",
]


def resolve_fine_tune(setting: object, groups: Sequence[LayerGroup]) -> tuple[str, ...]:
    """Names of the groups that ever train under `setting`, input first.

    Args:
        setting: as a sweep file writes it (`models/forms.py`).

    Raises:
        ModelError: no form of the setting, deeper than the network, or a group it does not have.
    """
    try:
        tuning = read_fine_tune(setting)
    except ValueError as err:
        raise ModelError(f"fine_tune: {setting!r} {err}") from err
    return tuning.unfreezing(tuple(group.name for group in groups), epochs=1).names


def freeze(model: nn.Module, groups: Sequence[LayerGroup], trainable: Collection[str]) -> None:
    """Let only the groups named in `trainable` train; can be called again to unfreeze more.

    Raises:
        ModelError: a name that is no group's.
    """
    names = tuple(group.name for group in groups)
    wanted = {names[position(name, names)] for name in trainable}
    parameters = dict(model.named_parameters())
    for group in groups:
        trains = group.name in wanted
        for name in group.parameters:
            parameters[name].requires_grad_(trains)
        for path in group.modules:
            for module in model.get_submodule(path).modules():
                if trains:
                    _release(module, model.training)
                else:
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
        given = {names[position(name, names)]: float(factor) for name, factor in setting.items()}
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
