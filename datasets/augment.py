"""Random changes to a batch of images, drawn from one generator and applied on the device.

In: float32 images (N, C, H, W) in 0..1 and a `torch.Generator`. Out: images of the same shape.
Drawing and applying are apart: `draw` is the only place that touches the generator, `apply` is a
pure function of images and draws. Row i of the draws belongs to row i of the batch, so any slice
of a batch with the same slice of its draws gives the same images.

Written on `torch.nn.functional.grid_sample` instead of torchvision's kernels, because those take
one angle for a whole batch (a call for each image, many times slower), and because all moves
together then resample the image once, so strokes are blurred once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from datasets.augment_settings import Augment

__all__ = ["Augment", "Draws", "apply", "draw", "draw_batches"]

# Every image uses this many uniform numbers, whatever is switched on, so that two arms which
# differ in one setting share the draws of all others.
_COLUMNS = (
    "rotate",
    "translate_x",
    "translate_y",
    "scale",
    "shear",
    "erase",
    "erase_area",
    "erase_shape",
    "erase_x",
    "erase_y",
)
_ELASTIC_POINTS = 5  # control points along each side of the displacement field
_ERASE_SHAPES = (0.3, 1 / 0.3)  # height / width, as Zhong et al. (2020) have it


@dataclass(frozen=True)
class Draws:
    """The drawn changes of n images; a field is None where the settings leave it alone.

    `matrix` float32 (n, 2, 3): from each output pixel to the place in the input it shows, in
    `grid_sample` coordinates (-1 to 1 across the image, x before y).
    `field` float32 (n, 2, 5, 5): displacement (x, y) at the control points, same coordinates.
    `boxes` float32 (n, 4): erased rectangle (left, top, right, bottom) in fractions of the image;
    all 0 where nothing is erased.
    """

    n: int
    fill: float
    matrix: Tensor | None = None
    field: Tensor | None = None
    boxes: Tensor | None = None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice) -> Draws:
        """The draws of these rows of the batch."""
        return self.each(lambda tensor: tensor[rows], n=len(range(self.n)[rows]))

    def to(self, device: torch.device | str) -> Draws:
        """The same draws on another device."""
        return self.each(lambda tensor: tensor.to(device))

    def tensors(self) -> list[Tensor]:
        """The fields that are not None, always in the same order."""
        return [t for t in (self.matrix, self.field, self.boxes) if t is not None]

    def each(self, change: Callable[[Tensor], Tensor], n: int | None = None) -> Draws:
        """Draws of `n` images (else as many) of which each tensor is what `change` makes of it."""
        matrix, field, boxes = (
            None if tensor is None else change(tensor)
            for tensor in (self.matrix, self.field, self.boxes)
        )
        return Draws(self.n if n is None else n, self.fill, matrix, field, boxes)


def draw(
    settings: Augment, n: int, image_size: tuple[int, int], generator: torch.Generator
) -> Draws:
    """Draw the changes of `n` images of `image_size` (height, width), row by row.

    The tensors live on the generator's device. With a generator on the CPU row i depends only on
    the generator's state and i, not on `n`, and is the same on every kind of device. Settings that
    change nothing draw nothing: the generator is not advanced.
    """
    if settings.is_identity:
        return Draws(n, settings.fill)
    return _draws(settings, [_numbers(settings, n, generator)], image_size)


def draw_batches(
    settings: Augment, seeds: Sequence[int], sizes: Sequence[int], image_size: tuple[int, int]
) -> Draws:
    """The draws of several batches, one after another, on the CPU.

    Each batch has the numbers that `draw` takes from a generator of its own seed; what follows from
    them is computed for all batches at once.
    """
    if settings.is_identity:
        return Draws(sum(sizes), settings.fill)
    generator = torch.Generator()
    numbers = [
        _numbers(settings, n, generator.manual_seed(seed))
        for seed, n in zip(seeds, sizes, strict=True)
    ]
    return _draws(settings, numbers, image_size)


def _numbers(settings: Augment, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Uniform numbers of a batch: (n, columns), and (n, 2, 5, 5) where there is a field."""
    device = generator.device
    # Drawn whether or not it is used: arms with and without `elastic` share all other draws.
    field_seed = torch.randint(2**62, (), generator=generator, device=device)
    uniform = torch.rand((n, len(_COLUMNS)), generator=generator, device=device)
    if not settings.elastic:
        return uniform, None
    field_generator = torch.Generator(device).manual_seed(int(field_seed))
    shape = (n, 2, _ELASTIC_POINTS, _ELASTIC_POINTS)
    return uniform, torch.rand(shape, generator=field_generator, device=device)


def _draws(
    settings: Augment, numbers: Sequence[tuple[Tensor, Tensor | None]], image_size: tuple[int, int]
) -> Draws:
    """What follows from the numbers of some batches."""
    uniform = torch.cat([columns for columns, _ in numbers])
    noise = [field for _, field in numbers if field is not None]
    column = dict(zip(_COLUMNS, uniform.unbind(1), strict=True))
    return Draws(
        len(uniform),
        settings.fill,
        matrix=_matrix(settings, column, image_size) if settings.moves else None,
        field=_displacement(settings.elastic, torch.cat(noise), image_size) if noise else None,
        boxes=_boxes(settings, column, image_size) if settings.erase else None,
    )


def apply(images: Tensor, draws: Draws) -> Tensor:
    """The changed images: moved and bent in one bilinear resampling, then partly covered.

    Args:
        images: float32 (N, C, H, W), 0..1, on any device; draws elsewhere are copied to it.
        draws: of the same N.

    Returns:
        float32 (N, C, H, W); `images` itself where there is nothing to change. Calling it twice
        gives equal bits; a slice of the batch gives what that slice of the whole result is.

    Raises:
        ValueError: the batch and the draws differ in length.
    """
    if len(draws) != images.shape[0]:
        raise ValueError(f"{images.shape[0]} images, but draws for {len(draws)}")
    draws = draws.to(images.device)
    if draws.matrix is not None:
        images = _resample(images, draws.matrix, draws.field, draws.fill)
    if draws.boxes is not None:
        images = torch.where(_covered(draws.boxes, images), draws.fill, images)
    return images


def _matrix(settings: Augment, column: dict[str, Tensor], image_size: tuple[int, int]) -> Tensor:
    """The inverse of translate · rotate · shear · scale, between `grid_sample` coordinates."""
    height, width = image_size
    angle = torch.deg2rad(_symmetric(column["rotate"], settings.rotate))
    slant = torch.tan(torch.deg2rad(_symmetric(column["shear"], settings.shear)))
    zoom = _between(column["scale"], *settings.scale_range)
    # A move by a fraction t of the width is 2t in coordinates that run from -1 to 1.
    move_x = 2 * _symmetric(column["translate_x"], settings.translate)
    move_y = 2 * _symmetric(column["translate_y"], settings.translate)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # Unshear · unrotate / zoom in pixels; `aspect` turns pixels into coordinates of each axis.
    aspect = height / width
    xx, xy = cos + slant * sin, (sin - slant * cos) * aspect
    yx, yy = -sin / aspect, cos
    rows = (xx, xy, -(xx * move_x + xy * move_y), yx, yy, -(yx * move_x + yy * move_y))
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def _displacement(elastic: float, noise: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Displacements (n, 2, 5, 5), root mean square `elastic` of the shorter side on each axis."""
    height, width = image_size
    pixels = _symmetric(noise, math.sqrt(3) * elastic * min(height, width))
    return pixels * pixels.new_tensor([2 / width, 2 / height]).view(1, 2, 1, 1)


def _boxes(settings: Augment, column: dict[str, Tensor], image_size: tuple[int, int]) -> Tensor:
    """Rectangles (left, top, right, bottom) in fractions; nothing where the draw says no."""
    height, width = image_size
    area = _between(column["erase_area"], *settings.erase_area)
    lowest, highest = (math.log(shape) for shape in _ERASE_SHAPES)
    shape = torch.exp(_between(column["erase_shape"], lowest, highest)) * (width / height)
    box_height = torch.sqrt(area * shape).clamp(max=1)
    box_width = (area / box_height).clamp(max=1)
    left = column["erase_x"] * (1 - box_width)
    top = column["erase_y"] * (1 - box_height)
    chosen = (column["erase"] < settings.erase).float()
    edges = torch.stack((left, top, left + box_width, top + box_height), dim=1)
    return edges * chosen[:, None]


def _resample(images: Tensor, matrix: Tensor, field: Tensor | None, fill: float) -> Tensor:
    height, width = images.shape[-2:]
    place = images.device
    x, y = _pixel_centres(width, place), _pixel_centres(height, place)[:, None]
    # Element by element instead of a matrix product, so that no result depends on the batch size.
    m = matrix[..., None, None]
    grid_x = m[:, 0, 0] * x + (m[:, 0, 1] * y + m[:, 0, 2])
    grid_y = m[:, 1, 0] * x + (m[:, 1, 1] * y + m[:, 1, 2])
    if field is not None:
        bent = _cubic_weights(height, place).T @ field @ _cubic_weights(width, place)
        grid_x, grid_y = grid_x + bent[:, 0], grid_y + bent[:, 1]
    grid = torch.stack((grid_x, grid_y), dim=-1)
    # Outside the image grid_sample reads 0; measured from `fill`, 0 is the fill.
    moved = functional.grid_sample(
        images - fill if fill else images, grid, padding_mode="zeros", align_corners=False
    )
    return moved + fill if fill else moved


@lru_cache(maxsize=64)
def _cubic_weights(n: int, device: torch.device) -> Tensor:
    """float32 (5, n): cubic interpolation of the control points at n pixels, as a matrix.

    Two matrix products with it are several times faster than resampling the field of every image.
    It is computed on the CPU and kept: on a GPU it would take hundreds of kernels in every step.
    """
    points = torch.eye(_ELASTIC_POINTS)[None, :, :, None]
    weights = functional.interpolate(points, size=(n, 1), mode="bicubic", align_corners=True)
    return weights[0, :, :, 0].to(device)


def _covered(boxes: Tensor, images: Tensor) -> Tensor:
    """bool (N, 1, H, W): which pixels have their centre in the erased rectangle."""
    height, width = images.shape[-2:]
    x = (_pixel_centres(width, images.device) + 1) / 2
    y = (_pixel_centres(height, images.device)[:, None] + 1) / 2
    left, top, right, bottom = boxes[:, :, None, None].unbind(1)
    return ((x >= left) & (x < right) & (y >= top) & (y < bottom))[:, None]


@lru_cache(maxsize=64)
def _pixel_centres(n: int, device: torch.device) -> Tensor:
    """float32 (n,): where the centres of n pixels lie between -1 and 1."""
    steps = torch.arange(n, dtype=torch.float32, device=device)
    return (2 * steps + 1) / n - 1


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * uniform


def _symmetric(uniform: Tensor, limit: float) -> Tensor:
    return _between(uniform, -limit, limit)
