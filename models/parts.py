"""Which parameters of a network are biases, and which are those of normalisation.

In: a network. Out: names of parameters. It stands alone because a part of a network that trains is
either layer groups (`groups.py`) or one kind of parameter in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import nn

from models.groups import NORMALISATION

Kind = Literal["bias", "norm"]


def names_of_kind(model: nn.Module, kind: Kind) -> frozenset[str]:
    """Names, as in `named_parameters`, of all parameters of one kind.

    `bias`: of one dimension, called `bias` or `…_bias`: of convolutions, linear layers, attention
    and normalisation. `norm`: all of normalisation layers, weights and biases.
    """
    return frozenset(_biases(model) if kind == "bias" else _of_normalisation(model))


def _biases(model: nn.Module) -> Iterator[str]:
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and name.rpartition(".")[2].endswith("bias"):
            yield name


def _of_normalisation(model: nn.Module) -> Iterator[str]:
    for path, module in model.named_modules():
        if is_normalisation(module):
            yield from (f"{path}.{name}" for name, _ in module.named_parameters(recurse=False))


def is_normalisation(module: nn.Module) -> bool:
    """Whether a layer normalises: one of PyTorch's, or of a library's own, known by its name."""
    if isinstance(module, NORMALISATION):
        return True
    own = list(module.parameters(recurse=False))
    is_named = type(module).__name__.endswith(("Norm", "Norm1d", "Norm2d", "RMSNorm"))
    return is_named and bool(own) and all(parameter.dim() == 1 for parameter in own)
