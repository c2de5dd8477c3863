"""Random changes of the training images: turned, moved, scaled, slanted, bent, partly covered.

Elastic bending as in Simard et al. (2003), erasing as in Zhong et al. (2020). All moves together
resample an image once, with one grid of torch.nn.functional.grid_sample.
"""

import math

import torch
from torch.nn import functional as F

POINTS = 5  # control points along each side of an elastic field
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


def augment(images, limits, generator):
    """float32 (N, C, H, W) in 0..1 → the same shape; each image is changed within the limits."""
    n, (height, width) = len(images), images.shape[2:]
    field_seed = int(torch.randint(2**62, (), generator=generator))
    drawn = dict(zip(COLUMNS, torch.rand((n, len(COLUMNS)), generator=generator).unbind(1)))
    if limits["moves"]:
        grid = moved_grid(drawn, limits, height, width)
        if limits["elastic"]:
            grid = bent_grid(grid, n, limits["elastic"], field_seed)
        fill = limits["fill"]
        images = F.grid_sample(
            images - fill if fill else images,
            torch.stack(grid, dim=-1),
            padding_mode="zeros",
            align_corners=False,
        )
        images = images + fill if fill else images
    if limits["erase"]:
        images = torch.where(erased(drawn, limits, height, width), limits["fill"], images)
    return images


def moved_grid(drawn, limits, height, width):
    """For each pixel of the result the place of the image that it shows: x, y in -1..1."""
    angle = torch.deg2rad(around_0(drawn["rotate"], limits["rotate"]))
    slant = torch.tan(torch.deg2rad(around_0(drawn["shear"], limits["shear"])))
    zoom = between(drawn["scale"], *limits["scale"])
    move_x = 2 * around_0(drawn["translate_x"], limits["translate"])
    move_y = 2 * around_0(drawn["translate_y"], limits["translate"])
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    aspect = height / width
    xx, xy = cos + slant * sin, (sin - slant * cos) * aspect
    yx, yy = -sin / aspect, cos
    rows = (xx, xy, -(xx * move_x + xy * move_y), yx, yy, -(yx * move_x + yy * move_y))
    a, b, c, d, e, f = (row[:, None, None] for row in rows)
    x, y = centres(width), centres(height)[:, None]
    return a * x + (b * y + c), d * x + (e * y + f)


def bent_grid(grid, n, elastic, seed):
    """The places moved by a smooth random field; elastic: its root mean square."""
    height, width = grid[0].shape[1:]
    noise = torch.rand((n, 2, POINTS, POINTS), generator=torch.Generator().manual_seed(seed))
    pixels = around_0(noise, math.sqrt(3) * elastic * min(height, width))
    field = pixels * pixels.new_tensor([2 / width, 2 / height]).view(1, 2, 1, 1)
    bent = cubic(height).T @ field @ cubic(width)
    return grid[0] + bent[:, 0], grid[1] + bent[:, 1]


def cubic(n):
    """(5, n): cubic interpolation of the control points at n pixels."""
    points = torch.eye(POINTS)[None, :, :, None]
    return F.interpolate(points, size=(n, 1), mode="bicubic", align_corners=True)[0, :, :, 0]


def erased(drawn, limits, height, width):
    """(N, 1, H, W): which pixels lie in the rectangle that is covered, if there is one."""
    area = between(drawn["erase_area"], *limits["erase_area"])
    shape = torch.exp(between(drawn["erase_shape"], math.log(0.3), math.log(1 / 0.3)))
    tall = torch.sqrt(area * (shape * (width / height))).clamp(max=1)
    wide = (area / tall).clamp(max=1)
    left, top = drawn["erase_x"] * (1 - wide), drawn["erase_y"] * (1 - tall)
    chosen = (drawn["erase"] < limits["erase"]).float()
    edges = torch.stack((left, top, left + wide, top + tall), dim=1) * chosen[:, None]
    left, top, right, bottom = edges[:, :, None, None].unbind(1)
    x, y = (centres(width) + 1) / 2, (centres(height)[:, None] + 1) / 2
    return ((x >= left) & (x < right) & (y >= top) & (y < bottom))[:, None]


def centres(n):
    """Where the centres of n pixels lie between -1 and 1."""
    return (2 * torch.arange(n, dtype=torch.float32) + 1) / n - 1


def between(uniform, low, high):
    return low + (high - low) * uniform


def around_0(uniform, limit):
    return between(uniform, -limit, limit)
