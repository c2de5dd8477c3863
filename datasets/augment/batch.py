"""Random changes of a batch: drawn from one generator, and applied.

In: settings, seeds or a generator, and images. Out: `Draws`, and the changed images. It stands
alone because it is the one place that knows all families of changes and their order.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

from datasets.augment import crops, moves, pixels, policies
from datasets.augment.draws import Draws
from datasets.augment_settings import Augment

Size = tuple[int, int]
Numbers = dict[str, Tensor]  # uniform numbers (n, …) of a batch, by family


def draw(
    settings: Augment,
    n: int,
    image_size: Size,
    generator: torch.Generator,
    size: Size | None = None,
) -> Draws:
    """Draw the changes of `n` images of `image_size` (height, width), row by row.

    The tensors live on the generator's device. With a generator on the CPU row i depends only on
    the generator's state and i, not on `n`, and is the same on every kind of device. Settings that
    change nothing draw nothing: the generator is not advanced.

    Args:
        size: (height, width) of the result; None: as it is.
    """
    if settings.is_identity:
        return Draws(n, settings.fill, size=_other(image_size, size))
    return _draws(settings, [_numbers(settings, n, generator)], image_size, size)


def draw_batches(
    settings: Augment,
    seeds: Sequence[int],
    sizes: Sequence[int],
    image_size: Size,
    size: Size | None = None,
) -> Draws:
    """The draws of several batches, one after another, on the CPU.

    Each batch has the numbers that `draw` takes from a generator of its own seed; what follows from
    them is computed for all batches at once.
    """
    if settings.is_identity:
        return Draws(sum(sizes), settings.fill, size=_other(image_size, size))
    generator = torch.Generator()
    numbers = [
        _numbers(settings, n, generator.manual_seed(seed))
        for seed, n in zip(seeds, sizes, strict=True)
    ]
    return _draws(settings, numbers, image_size, size)


def apply(images: Tensor, draws: Draws) -> Tensor:
    """The changed images: cut, moved and bent in one bilinear resampling, coloured, then covered.

    Args:
        images: float32 (N, C, H, W), 0..1, on any device; draws elsewhere are copied to it.
        draws: of the same N.

    Returns:
        float32 (N, C, h, w); `images` itself where there is nothing to change. Calling it twice
        gives equal bits; a slice of the batch gives what that slice of the whole result is.

    Raises:
        ValueError: the batch and the draws differ in length.
    """
    if len(draws) != images.shape[0]:
        raise ValueError(f"{images.shape[0]} images, but draws for {len(draws)}")
    draws = draws.to(images.device)
    images = _placed(images, draws)
    if draws.ops is not None and draws.strengths is not None:
        is_own = draws.crops is not None or draws.matrix is not None  # no view of what was given
        images = pixels.in_turn(images if is_own else images.clone(), draws.ops, draws.strengths)
    if draws.boxes is not None:
        images = torch.where(moves.covered(draws.boxes, images), draws.fill, images)
    return images


def _placed(images: Tensor, draws: Draws) -> Tensor:
    """Cut, mirrored, moved and bent; each pixel is resampled once at most."""
    size = draws.size or (images.shape[-2], images.shape[-1])
    if draws.matrix is not None:
        return moves.resample(images, draws.matrix, draws.field, draws.fill, draws.crops, size)
    if draws.crops is None:
        return crops.middle_of(images, size)
    if draws.resizes:
        return crops.cut_and_scaled(images, draws.crops, size)
    return crops.cut(images, draws.crops, size, draws.fill)


def _numbers(settings: Augment, n: int, generator: torch.Generator) -> Numbers:
    """The uniform numbers of a batch, of each family that is switched on."""
    device = generator.device
    # Drawn whether or not it is used: arms with and without a family share all other draws.
    field_seed = torch.randint(2**62, (), generator=generator, device=device)
    numbers = {"columns": torch.rand((n, len(moves.COLUMNS)), generator=generator, device=device)}
    points = moves.ELASTIC_POINTS
    shapes = {
        "elastic": (2, points, points) if settings.elastic else None,
        "flips": (2,) if settings.cuts else None,
        "crops": (crops.N_NUMBERS,) if settings.cuts else None,
        **policies.shapes(settings),
    }
    for family, shape in shapes.items():
        if shape is not None:
            # Of `elastic`, which is older than the others, the seed alone.
            offset = 0 if family == "elastic" else zlib.crc32(family.encode())
            own = torch.Generator(device).manual_seed(int(field_seed) + offset)
            numbers[family] = torch.rand((n, *shape), generator=own, device=device)
    return numbers


def _draws(
    settings: Augment, batches: Sequence[Numbers], image_size: Size, size: Size | None
) -> Draws:
    """What follows from the numbers of some batches."""
    numbers = {family: torch.cat([each[family] for each in batches]) for family in batches[0]}
    column = dict(zip(moves.COLUMNS, numbers["columns"].unbind(1), strict=True))
    shown, field = size or image_size, numbers.get("elastic")
    taken = None
    if settings.cuts or (settings.moves and shown != tuple(image_size)):
        flips = numbers.get("flips", torch.ones_like(numbers["columns"][:, :2]))
        taken = crops.boxes_of(settings, flips, numbers.get("crops"), image_size, shown)
    ops, strengths = policies.in_order(settings, numbers, shown)
    return Draws(
        len(numbers["columns"]),
        settings.fill,
        matrix=moves.matrix_of(settings, column, shown) if settings.moves else None,
        field=None if field is None else moves.displacement(settings.elastic, field, shown),
        boxes=moves.boxes_of(settings, column, shown) if settings.erase else None,
        crops=taken,
        ops=ops,
        strengths=strengths,
        size=_other(image_size, size),
        resizes=settings.random_resized_crop is not None,
    )


def _other(image_size: Size, size: Size | None) -> Size | None:
    """The size of the result where it is another one."""
    return None if size is None or tuple(size) == tuple(image_size) else size
