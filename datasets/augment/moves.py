"""Images turned, moved, scaled, sheared and bent in one resampling, and rectangles of them covered.

In: uniform numbers of each image. Out: what `Draws` holds of them, and the changed images.

Written on `torch.nn.functional.grid_sample` instead of torchvision's kernels, because those take
one angle for a whole batch (a call for each image, many times slower), and because all moves
together then resample the image once, so strokes are blurred once.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from datasets.augment_settings import Augment

# Every image uses this many uniform numbers, whatever is switched on, so that two arms which
# differ in one setting share the draws of all others.
COLUMNS = (
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
ELASTIC_POINTS = 5  # control points along each side of the displacement field
_ERASE_SHAPES = (0.3, 1 / 0.3)  # height / width, as Zhong et al. (2020) have it


def matrix_of(settings: Augment, column: dict[str, Tensor], image_size: tuple[int, int]) -> Tensor:
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


def displacement(elastic: float, noise: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Displacements (n, 2, 5, 5), root mean square `elastic` of the shorter side on each axis."""
    height, width = image_size
    pixels = _symmetric(noise, math.sqrt(3) * elastic * min(height, width))
    return pixels * pixels.new_tensor([2 / width, 2 / height]).view(1, 2, 1, 1)


def boxes_of(settings: Augment, column: dict[str, Tensor], image_size: tuple[int, int]) -> Tensor:
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


def resample(
    images: Tensor,
    matrix: Tensor,
    field: Tensor | None,
    fill: float,
    crops: Tensor | None = None,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Moved and bent images (n, C, h, w).

    Args:
        images: (n, C, H, W).
        crops, size: as `Draws` has them: the moves are then those of the part that is taken, and
            what comes in from beside a part is what the image has there.
    """
    height, width = size or images.shape[-2:]
    place = images.device
    x, y = _pixel_centres(width, place), _pixel_centres(height, place)[:, None]
    # Element by element instead of a matrix product, so that no result depends on the batch size.
    m = matrix[..., None, None]
    grid_x = m[:, 0, 0] * x + (m[:, 0, 1] * y + m[:, 0, 2])
    grid_y = m[:, 1, 0] * x + (m[:, 1, 1] * y + m[:, 1, 2])
    if field is not None:
        bent = _cubic_weights(height, place).T @ field @ _cubic_weights(width, place)
        grid_x, grid_y = grid_x + bent[:, 0], grid_y + bent[:, 1]
    if crops is not None:
        left, top, columns, rows = crops[:, :, None, None].unbind(1)
        grid_x = (2 * left + columns * (grid_x + 1)) / images.shape[-1] - 1
        grid_y = (2 * top + rows * (grid_y + 1)) / images.shape[-2] - 1
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
    points = torch.eye(ELASTIC_POINTS)[None, :, :, None]
    weights = functional.interpolate(points, size=(n, 1), mode="bicubic", align_corners=True)
    return weights[0, :, :, 0].to(device)


def covered(boxes: Tensor, images: Tensor) -> Tensor:
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
