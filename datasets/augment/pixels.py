"""The changes that an image may go through one after another: colours, sharpness, simple moves.

In: images (n, C, H, W) in 0..1 with a strength each. Out: images of the same shape. Each is what
torchvision's function of the same name gives for floating-point images, for a whole batch at once,
each image with a strength of its own. It stands alone because jitter and policies share them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Op = Callable[[Tensor, Tensor], Tensor]  # images (n, C, H, W) and strengths (n,)
_LUMA = (0.2989, 0.587, 0.114)  # of red, green, blue, as torchvision weighs them
_SHARP_SUM = 13.0  # of the kernel 1 1 1, 1 5 1, 1 1 1


def in_turn(images: Tensor, ops: Tensor, strengths: Tensor) -> Tensor:
    """Let each image go through its changes.

    Args:
        images: (n, C, H, W), which is written over.
        ops, strengths: (n, k) on the CPU, as `Draws` has them.
    """
    for column, amounts in zip(ops.unbind(1), strengths.unbind(1), strict=True):
        for place in column.unique().tolist():
            rows = (column == place).nonzero()[:, 0]
            if place == 0:
                continue
            amount = amounts[rows].to(images.device)
            if len(rows) == len(images):
                images = OPS[place][1](images, amount)
            else:
                at = rows.to(images.device)
                images[at] = OPS[place][1](images[at], amount)
    return images


def _blend(images: Tensor, others: Tensor, shares: Tensor) -> Tensor:
    """Share of the image and the rest of the other one, within 0..1."""
    shares = shares.view(-1, 1, 1, 1)
    return (images * shares + others * (1 - shares)).clamp_(0, 1)


def _gray(images: Tensor) -> Tensor:
    """(n, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2])[:, None]


def _brightness(images: Tensor, factors: Tensor) -> Tensor:
    return (images * factors.view(-1, 1, 1, 1)).clamp_(0, 1)


def _contrast(images: Tensor, factors: Tensor) -> Tensor:
    return _blend(images, _gray(images).mean(dim=(1, 2, 3), keepdim=True), factors)


def _saturation(images: Tensor, factors: Tensor) -> Tensor:
    return images if images.shape[1] == 1 else _blend(images, _gray(images), factors)


def _grayscale(images: Tensor, _: Tensor) -> Tensor:
    return _gray(images).expand_as(images)


def _hue(images: Tensor, shifts: Tensor) -> Tensor:
    """Hue turned by a share of the circle, in hue, saturation and value (Smith 1978)."""
    if images.shape[1] == 1:
        return images
    value, low = images.amax(dim=1), images.amin(dim=1)
    spread = value - low
    is_gray = spread == 0
    divisor = torch.where(is_gray, 1.0, spread)
    red, green, blue = images.unbind(1)
    of_red = (green - blue) / divisor
    of_green, of_blue = 2 + (blue - red) / divisor, 4 + (red - green) / divisor
    hue = torch.where(red == value, of_red, torch.where(green == value, of_green, of_blue))
    hue = (hue + 6 * shifts.view(-1, 1, 1)) % 6
    # A channel is value - spread × how far the hue is from it, from 0 to 1 (f of 5, 3, 1).
    channels = []
    for place in (5.0, 3.0, 1.0):
        k = (place + hue) % 6
        channels.append(value - spread * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim=1).clamp_(0, 1)


def _blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """A Gaussian of each image's own width, out to three deviations; edges are mirrored."""
    n, channels, height, width = images.shape
    reach = [max(1, math.ceil(3 * sigma)) for sigma in sigmas.tolist()]
    most = min(max(reach), height - 1, width - 1)
    if most < 1:
        return images
    steps = torch.arange(-most, most + 1, device=images.device)
    kernels = torch.exp(-0.5 * (steps / sigmas[:, None]).square())
    limits = torch.tensor(reach, device=images.device)[:, None]
    kernels = torch.where(steps.abs() <= limits, kernels, 0.0)
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    flat = functional.pad(images.reshape(1, n * channels, height, width), [most] * 4, "reflect")
    flat = functional.conv2d(flat, kernels[:, None, None, :], groups=n * channels)
    flat = functional.conv2d(flat, kernels[:, None, :, None], groups=n * channels)
    return flat.view(images.shape)


def _sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Away from, or towards, the mean of the neighbours; the border stays."""
    if min(images.shape[-2:]) <= 2:
        return images
    channels = images.shape[1]
    kernel = torch.ones((3, 3), device=images.device)
    kernel[1, 1] = 5
    kernel = (kernel / _SHARP_SUM).expand(channels, 1, 3, 3)
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = functional.conv2d(images, kernel, groups=channels)
    return _blend(images, smooth, factors)


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    levels = torch.exp2(bits).view(-1, 1, 1, 1)
    return torch.minimum((images * levels).floor_().clamp_(min=0), levels - 1) / levels


def _solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    return torch.where(images >= thresholds.view(-1, 1, 1, 1), 1 - images, images)


def _autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Each channel stretched to 0..1; one of a single value stays."""
    low = images.amin(dim=(2, 3), keepdim=True)
    spread = images.amax(dim=(2, 3), keepdim=True) - low
    is_flat = spread == 0
    stretched = (images - torch.where(is_flat, 0.0, low)) / torch.where(is_flat, 1.0, spread)
    return stretched.clamp_(0, 1)


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    """Each channel's 256 grey levels spread evenly, by its histogram (as Pillow does)."""
    from torchvision.transforms.v2.functional import equalize_image

    equalized: Tensor = equalize_image(images)
    return equalized


def _affine(images: Tensor, matrices: Tensor) -> Tensor:
    """The nearest pixel at the place that (n, 2, 3) gives of each, in pixels from the middle."""
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = (torch.arange(height, device=images.device) - (height - 1) / 2)[:, None]
    m = matrices[..., None, None]
    grid_x = (m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]) * (2 / width)
    grid_y = (m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]) * (2 / height)
    grid = torch.stack((grid_x, grid_y), dim=-1)
    return functional.grid_sample(images, grid, mode="nearest", align_corners=False)


def _matrices(like: Tensor, **entries: Tensor | float) -> Tensor:
    """(n, 2, 3) of entries by name; the identity but for them."""
    values = {"xx": 1.0, "xy": 0.0, "x": 0.0, "yx": 0.0, "yy": 1.0, "y": 0.0, **entries}
    columns = [torch.zeros_like(like) + value for value in values.values()]
    return torch.stack(columns, dim=1).view(-1, 2, 3)


def _shear_x(images: Tensor, tangents: Tensor) -> Tensor:
    """About the upper left corner, as the papers' code has it."""
    half = images.shape[-2] / 2
    return _affine(images, _matrices(tangents, xy=tangents, x=tangents * half))


def _shear_y(images: Tensor, tangents: Tensor) -> Tensor:
    half = images.shape[-1] / 2
    return _affine(images, _matrices(tangents, yx=tangents, y=tangents * half))


def _translate_x(images: Tensor, moves: Tensor) -> Tensor:
    return _affine(images, _matrices(moves, x=-moves))


def _translate_y(images: Tensor, moves: Tensor) -> Tensor:
    return _affine(images, _matrices(moves, y=-moves))


def _rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Against the clock."""
    angle = torch.deg2rad(degrees)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return _affine(images, _matrices(angle, xx=cos, xy=-sin, yx=sin, yy=cos))


def _nothing(images: Tensor, _: Tensor) -> Tensor:
    return images


OPS: tuple[tuple[str, Op], ...] = (
    ("nothing", _nothing),
    ("brightness", _brightness),
    ("contrast", _contrast),
    ("saturation", _saturation),
    ("hue", _hue),
    ("grayscale", _grayscale),
    ("blur", _blur),
    ("sharpness", _sharpness),
    ("posterize", _posterize),
    ("solarize", _solarize),
    ("autocontrast", _autocontrast),
    ("equalize", _equalize),
    ("shear_x", _shear_x),
    ("shear_y", _shear_y),
    ("translate_x", _translate_x),
    ("translate_y", _translate_y),
    ("rotate", _rotate),
)
PLACES = {name: place for place, (name, _) in enumerate(OPS)}
