"""Which changes of colour and form each image goes through, in which order, how strongly.

In: settings and uniform numbers. Out: for each image a list of changes (`pixels.OPS`) and their
strengths. RandAugment and TrivialAugment have the changes and strengths of torchvision's classes of
these names; jitter draws the order of its four changes anew for each image, as its `ColorJitter`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from datasets.augment.pixels import PLACES
from datasets.augment_settings import Augment, Range

BINS = 31  # strengths that the policies tell apart
JITTER = ("brightness", "contrast", "saturation", "hue")
POLICY = (
    "nothing", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness",
    "saturation", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
_SIGNED = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_FACTORS = ("brightness", "saturation", "contrast", "sharpness")
Drawn = tuple[Tensor, Tensor]  # ops int64 and strengths float32, both (n, changes)


def shapes(settings: Augment) -> dict[str, tuple[int, ...] | None]:
    """How many uniform numbers an image needs, by family; None where it is switched off."""
    jitter, layers = not settings.colour_jitter.is_identity, _layers(settings)
    return {
        "policy": (layers, 3) if layers else None,
        "jitter": (2, len(JITTER)) if jitter else None,
        "grayscale": (1,) if settings.grayscale else None,
        "blur": (2,) if settings.blur else None,
    }


def in_order(
    settings: Augment, numbers: dict[str, Tensor], size: tuple[int, int]
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """The changes of each image one after another, on the CPU; (None, None) where there are none.

    `size` is (height, width) of the images.
    """
    makers: dict[str, Callable[[Tensor], Drawn]] = {
        "policy": lambda uniform: _policy(settings, uniform, size),
        "jitter": lambda uniform: _jitter(settings, uniform),
        "grayscale": lambda uniform: _sometimes("grayscale", settings.grayscale, uniform),
        "blur": lambda uniform: _blur(settings, uniform),
    }
    drawn = [make(numbers[name].cpu()) for name, make in makers.items() if name in numbers]
    if not drawn:
        return None, None
    ops, strengths = zip(*drawn, strict=True)
    return torch.cat(ops, dim=1), torch.cat(strengths, dim=1)


def _layers(settings: Augment) -> int:
    if settings.rand_augment is not None:
        return settings.rand_augment.layers
    return int(settings.trivial_augment)


def _policy(settings: Augment, uniform: Tensor, size: tuple[int, int]) -> Drawn:
    """Changes (n, layers) from uniform numbers (n, layers, 3): which, how strong, of which sign."""
    table = strengths_of(size, is_wide=settings.trivial_augment)
    which = _whole(uniform[..., 0], len(POLICY))
    at = _whole(uniform[..., 1], BINS)
    if settings.rand_augment is not None:
        at = torch.full_like(at, settings.rand_augment.magnitude)
    sign = torch.where(uniform[..., 2] < 0.5, -1.0, 1.0)
    is_signed = torch.tensor([name in _SIGNED + _FACTORS for name in POLICY])[which]
    strength = table[which, at] * torch.where(is_signed, sign, 1.0)
    is_factor = torch.tensor([name in _FACTORS for name in POLICY])[which]
    places = torch.tensor([PLACES[name] for name in POLICY])[which]
    return places, torch.where(is_factor, 1 + strength, strength)


def strengths_of(size: tuple[int, int], is_wide: bool) -> Tensor:
    """float32 (changes of `POLICY`, BINS): torchvision's tables, without sign and as they begin.

    Shears are tangents, moves whole pixels, turns degrees; of `posterize` the bits that stay, of
    `solarize` the value from which a pixel is inverted.

    Args:
        is_wide: of TrivialAugment; else of RandAugment.
    """
    shear, turn, colour = (0.99, 135.0, 0.99) if is_wide else (0.3, 30.0, 0.9)
    moves = (32.0, 32.0) if is_wide else (150 / 331 * size[1], 150 / 331 * size[0])
    largest = {
        "shear_x": shear, "shear_y": shear, "translate_x": moves[0], "translate_y": moves[1],
        "rotate": turn, **dict.fromkeys(_FACTORS, colour),
    }  # fmt: skip
    rows = {name: torch.linspace(0.0, most, BINS) for name, most in largest.items()}
    for name in ("translate_x", "translate_y"):
        rows[name] = torch.trunc(rows[name])
    steps = (BINS - 1) / (6 if is_wide else 4)
    rows["posterize"] = 8 - (torch.arange(BINS) / steps).round()
    rows["solarize"] = torch.linspace(1.0, 0.0, BINS)
    return torch.stack([rows.get(name, torch.zeros(BINS)) for name in POLICY])


def _jitter(settings: Augment, uniform: Tensor) -> Drawn:
    """Changes (n, 4) from uniform numbers (n, 2, 4): the order, and each change's strength."""
    jitter, order = settings.colour_jitter, uniform[:, 0].argsort(dim=1)
    columns = [_between(uniform[:, 1, k], jitter.range_of(name)) for k, name in enumerate(JITTER)]
    used = [jitter.range_of(name) not in ((1.0, 1.0), (0.0, 0.0)) for name in JITTER]
    places = torch.tensor([PLACES[name] * on for name, on in zip(JITTER, used, strict=True)])
    return places[order], torch.stack(columns, dim=1).gather(1, order)


def _sometimes(name: str, probability: float, uniform: Tensor) -> Drawn:
    ops = torch.where(uniform[:, :1] < probability, PLACES[name], 0)
    return ops, torch.zeros(ops.shape)


def _blur(settings: Augment, uniform: Tensor) -> Drawn:
    ops, _ = _sometimes("blur", settings.blur, uniform)
    return ops, _between(uniform[:, 1:], settings.blur_sigma)


def _whole(uniform: Tensor, n: int) -> Tensor:
    """int64: a whole number from 0 to n - 1."""
    return (uniform * n).long().clamp(max=n - 1)


def _between(uniform: Tensor, limits: Range) -> Tensor:
    low, high = limits
    return low + (high - low) * uniform
