"""Which layer groups train, and when: freezing, gradual unfreezing, learning rates.

In: a network, its layer groups, and a sweep's `fine_tune` setting. Out: the same network with the
other groups held still: their parameters do not train, and their batch norm and dropout stay in
evaluation mode even after `model.train()`, so that their buffers do not move either.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MethodType

from torch import nn

from headstart.errors import ModelError, did_you_mean
from models.groups import LayerGroup, layer_groups
from models.split import split_at

__all__ = [
    "LayerGroup",
    "Unfreezing",
    "freeze",
    "layer_groups",
    "learning_rate_factors",
    "resolve_fine_tune",
    "split_at",
    "unfreezing",
]

_ALLOWED = (
    "all, last_layer, last_N, none, gradual, {gradual: {every: EPOCHS}}, {from: GROUP}, "
    "{unfreeze: [GROUP, …]}"
)


@dataclass(frozen=True)
class Unfreezing:
    """Which groups train in which epoch.

    Attributes:
        names: groups that ever train, input first.
        every: epochs after which one more of them joins, from the last; None: all from the start.
    """

    names: tuple[str, ...]
    every: int | None = None

    def trainable_at(self, epoch: int) -> tuple[str, ...]:
        """Names of the groups that train in `epoch` (0, 1, …), input first."""
        if self.every is None:
            return self.names
        return self.names[-(1 + epoch // self.every) :]


def unfreezing(setting: object, groups: Sequence[LayerGroup], epochs: int) -> Unfreezing:
    """Read a `fine_tune` setting against a network's groups.

    Args:
        setting: `all`, `last_layer`, `last_N`, `none`, `gradual` (the head first, then one more
            group at a time, spread evenly over the epochs), `{gradual: {every: k}}` (one more
            every k epochs), `{from: GROUP}` (it and all after it), `{unfreeze: [GROUP, …]}`.
        epochs: length of the training.

    Raises:
        ModelError: none of these, deeper than the network, or a group it does not have.
    """
    names = tuple(group.name for group in groups)
    if setting == "gradual":
        return Unfreezing(names, every=max(1, epochs // len(names)))
    if isinstance(setting, Mapping) and len(setting) == 1:
        ((word, value),) = setting.items()
        if word == "from":
            return Unfreezing(names[_position(value, names) :])
        if word == "unfreeze" and isinstance(value, list | tuple) and value:
            chosen = {_position(name, names) for name in value}
            return Unfreezing(tuple(names[i] for i in sorted(chosen)))
        if word == "gradual":
            return Unfreezing(names, every=_every(value))
    if isinstance(setting, str):
        return Unfreezing(_by_word(setting, names))
    raise ModelError(f"fine_tune: {setting!r} is not one of {_ALLOWED}")


def resolve_fine_tune(setting: object, groups: Sequence[LayerGroup]) -> tuple[str, ...]:
    """Names of the groups that ever train under `setting`, input first; see `unfreezing`."""
    return unfreezing(setting, groups, epochs=1).names


def freeze(model: nn.Module, groups: Sequence[LayerGroup], trainable: Collection[str]) -> None:
    """Let only the groups named in `trainable` train; can be called again to unfreeze more.

    Raises:
        ModelError: a name that is no group's.
    """
    names = tuple(group.name for group in groups)
    wanted = {names[_position(name, names)] for name in trainable}
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
        given = {names[_position(name, names)]: float(factor) for name, factor in setting.items()}
        if any(not 0 < factor < float("inf") for factor in given.values()):
            raise ModelError(f"learning rate factors must be over 0, not {dict(setting)!r}")
        return {name: given.get(name, 1.0) for name in names}
    if not 0 < setting <= 1:
        raise ModelError(f"a learning rate decay must be over 0 and at most 1, not {setting!r}")
    return {name: setting ** (len(names) - 1 - i) for i, name in enumerate(names)}


def _by_word(word: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if word == "all":
        return names
    if word == "none":
        return ()
    if word == "last_layer":
        return names[-1:]
    count = re.fullmatch(r"last_([1-9][0-9]{0,5})", word)
    if count is None:
        near = did_you_mean(word, ("all", "last_layer", "last_2", "gradual"))
        raise ModelError(f"fine_tune: {word!r} is not one of {_ALLOWED}{near}")
    n = int(count[1])
    if n > len(names):
        raise ModelError(
            f"fine_tune: {word} is deeper than the network, which has {len(names)} layer groups: "
            f"{', '.join(names)}"
        )
    return names[-n:]


def _position(name: object, names: tuple[str, ...]) -> int:
    if name not in names:
        raise ModelError(
            f"fine_tune: {name!r} is no layer group{did_you_mean(str(name), names)}; from input "
            f"to head there are {', '.join(names)}"
        )
    return names.index(name)


def _every(value: object) -> int:
    every = value.get("every") if isinstance(value, Mapping) and len(value) == 1 else None
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise ModelError(f"fine_tune: gradual: {{every: EPOCHS}} is expected, not {value!r}")
    return every


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
