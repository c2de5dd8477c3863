"""Dropout whose masks come from a generator that the caller seeds, never from torch's global one.

A training step's masks are then a function of the step's seed alone: the same alone or beside other
trials, straight through or continued. In: a network. Out: the same network with its dropout layers
replaced; they have no parameters, so state-dict keys stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from headstart.errors import ModelError

Unit = Literal["element", "channel", "image"]


class SeededDropout(nn.Module):
    """Zero whole units with probability `p` in training, and scale the rest by 1 / (1 - p).

    Args:
        p: in 0..1.
        unit: what a draw decides: each `element`; each `channel` of each image (`nn.Dropout2d`);
            each whole `image` of the batch (stochastic depth in "row" mode).
    """

    def __init__(self, p: float, unit: Unit = "element"):
        super().__init__()
        self.p = p
        self.unit = unit
        self.generator: torch.Generator | None = None
        self.rows: tuple[slice, int] | None = None  # `x` is these rows of a batch of so many

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape (N, …) → the same shape and dtype; itself in evaluation mode."""
        if not self.training or self.p == 0:
            return x
        return torch.zeros_like(x) if self.p == 1 else x * self._factors(x)

    def drop_(self, x: Tensor) -> None:
        """The same in place, for a tensor that no gradient goes through."""
        if self.training and self.p > 0:
            x.zero_() if self.p == 1 else x.mul_(self._factors(x))

    def _factors(self, x: Tensor) -> Tensor:
        """0 or 1 / share that stays for each unit, to be multiplied with `x`."""
        shape = self.drawn_shape(x)
        if self.rows is not None:
            kept, share = self._kept_of_rows(shape, x.dtype, *self.rows)
        else:
            (kept,), share = _draw_kept(shape, self.p, [self.own_generator()], x.dtype)
        return kept.div_(share)

    def drawn_shape(self, x: Tensor) -> tuple[int, ...]:
        """One entry for each draw; it broadcasts to `x`."""
        n_drawn = {"element": x.dim(), "channel": 2, "image": 1}[self.unit]
        return tuple(x.shape[:n_drawn]) + (1,) * (x.dim() - n_drawn)

    def own_generator(self) -> torch.Generator:
        if self.generator is None:
            raise RuntimeError(
                "dropout in training mode without a generator: call set_dropout_generator first"
            )
        return self.generator

    def _kept_of_rows(
        self, shape: tuple[int, ...], dtype: torch.dtype, rows: slice, n: int
    ) -> tuple[Tensor, float]:
        """What the whole batch draws, and of that these rows.

        An image may be several entries of the first dimension, one after another (windows).
        """
        per_image = shape[0] // max(1, rows.stop - rows.start) or 1
        whole = (n * per_image, *shape[1:])
        (kept,), share = _draw_kept(whole, self.p, [self.own_generator()], dtype)
        return kept[rows.start * per_image : rows.stop * per_image], share

    def extra_repr(self) -> str:
        return f"p={self.p}, unit={self.unit!r}"


def factors_of_each(layers: Sequence[SeededDropout], x: Tensor) -> Tensor:
    """0 or 1 / share that stays for each unit of `x` in each of the layers.

    Args:
        layers: differ in their generators alone.
        x: what one of them is given.

    Returns:
        (layers, …) that broadcasts to (layers, *x.shape), of x's dtype, drawn as each layer draws
        alone.
    """
    generators = [layer.own_generator() for layer in layers]
    kept, share = _draw_kept(layers[0].drawn_shape(x), layers[0].p, generators, x.dtype)
    return kept.div_(share)


def _draw_kept(
    shape: tuple[int, ...], p: float, generators: Sequence[torch.Generator], dtype: torch.dtype
) -> tuple[Tensor, float]:
    """1 for each unit that stays and 0 for others, (generators, *shape), and the mean share of 1.

    Each unit is decided by 16 random bits, so `p` is taken to the nearest 1/65,536. Drawn four at
    a time as whole words, a mask is several times as fast as with `bernoulli_` on a CPU.
    """
    n, n_masks = math.prod(shape), len(generators)
    words = torch.empty(n_masks, -(-n // 4), dtype=torch.int64, device=generators[0].device)
    for row, generator in zip(words, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    n_dropped = round(p * 65536)
    pieces = words.view(torch.int16)[:, :n].view(n_masks, *shape)
    kept = torch.empty(pieces.shape, dtype=dtype, device=words.device)
    torch.ge(pieces, n_dropped - 32768, out=kept)  # a third of the time of bool and a conversion
    return kept, max(1 - n_dropped / 65536, 1 / 65536)


def set_dropout_generator(model: nn.Module, generator: torch.Generator | None) -> None:
    """Let all dropout layers of `model` draw from `generator` (of the model's device), in order."""
    for module in model.modules():
        if isinstance(module, SeededDropout):
            module.generator = generator


def seed_dropout(model: nn.Module) -> nn.Module:
    """Replace every dropout layer inside `model`, in place, by `SeededDropout`; returns `model`.

    Raises:
        ModelError: a kind of dropout that has no seeded counterpart here.
    """
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            seeded = _seeded(child)
            if seeded is not None:
                setattr(parent, name, seeded.train(child.training))
    return model


def _is_drop_path(module: Any) -> bool:
    """Whether it is stochastic depth as timm and transformers write it, scaled by what stays."""
    libraries = ("timm.", "transformers.")
    return (
        type(module).__module__.startswith(libraries)
        and isinstance(getattr(module, "drop_prob", None), int | float | None)
        and getattr(module, "scale_by_keep", True)
        and not any(True for _ in module.children())
    )


def _seeded(module: Any) -> SeededDropout | None:
    """The counterpart of a library's dropout layer; None for any other layer."""
    kind = type(module).__name__
    if isinstance(module, nn.Dropout):
        return SeededDropout(module.p)
    if isinstance(module, nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
        return SeededDropout(module.p, "channel")
    if kind == "StochasticDepth" and module.mode == "row":  # torchvision's; not imported for this
        return SeededDropout(module.p, "image")
    if kind.endswith("DropPath") and _is_drop_path(module):
        return SeededDropout(float(module.drop_prob or 0.0), "image")
    if kind in ("StochasticDepth", "AlphaDropout", "FeatureAlphaDropout"):
        raise ModelError(f"{module} cannot draw from a generator of ours: no such layer is known")
    return None


# -- dropout as a function -------------------------------------------------------------------


class DropoutCalls(TorchFunctionMode):
    """Inside of the block, the k-th call of `torch.nn.functional.dropout` is that of `layers[k]`.

    So the layer's generator draws, and the layer's own mode decides. Without layers the calls run
    as they are written.

    Attributes:
        rates: what each call was to drop.
    """

    def __init__(self, layers: Sequence[nn.Module] | None = None):
        super().__init__()
        self.layers = layers
        self.rates: list[float] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        if func is not functional.dropout:
            return func(*args, **given)
        x, p = _of_call(*args, **given)
        self.rates.append(p)
        return func(*args, **given) if self.layers is None else self.layers[len(self.rates) - 1](x)


def _of_call(input: Any, p: float = 0.5, *_: object, **__: object) -> tuple[Any, float]:
    """What a call of `torch.nn.functional.dropout` is given, under its names."""
    return input, float(p)
