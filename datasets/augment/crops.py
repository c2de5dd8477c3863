"""Which part of each image is taken, and whether it is mirrored: drawn, and cut out.

In: uniform numbers, the size of the images and of the result. Out: boxes in whole pixels, and the
parts. `random_resized_crop` draws as torchvision's `RandomResizedCrop` does (ten tries of area and
ratio, then the middle), `random_crop` as its `RandomCrop`. It stands alone because evaluation cuts
the middle by the same rule.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from datasets.augment_settings import Augment, Range

Size = tuple[int, int]
TRIES = 10
N_NUMBERS = 2 * TRIES + 2  # uniform numbers of each image's part


def middle(image_size: Size, size: Size) -> tuple[int, int]:
    """(top, left) of the middle part of `size`, as torchvision's `CenterCrop` has it."""
    (height, width), (rows, columns) = image_size, size
    return round((height - rows) / 2), round((width - columns) / 2)


def middle_of(images: Tensor, size: Size) -> Tensor:
    """The middle part of images (…, H, W): (…, h, w), a view; themselves where it is all."""
    if images.shape[-2:] == size:
        return images
    top, left = middle((images.shape[-2], images.shape[-1]), size)
    return images[..., top : top + size[0], left : left + size[1]]


def boxes_of(
    settings: Augment, flips: Tensor, numbers: Tensor | None, image_size: Size, size: Size
) -> Tensor:
    """Parts float32 (n, 4) as `Draws.crops` has them.

    Args:
        flips: uniform numbers (n, 2), for left-right and for up-down.
        numbers: uniform numbers (n, N_NUMBERS); None where the place is not random.
        image_size, size: of the image and of the result.
    """
    n, ones = len(flips), torch.ones_like(flips[:, 0])
    height, width = size[0] * ones, size[1] * ones
    top, left = (place * ones for place in middle(image_size, size))
    if numbers is not None and settings.random_crop is not None:
        pad = settings.random_crop
        room_y, room_x = (image_size[k] + 2 * pad - size[k] + 1 for k in (0, 1))
        top, left = _place(numbers[:, 0], room_y) - pad, _place(numbers[:, 1], room_x) - pad
    elif numbers is not None and settings.crop_area is not None:
        tries = numbers[:, 2:].view(n, 2, TRIES)
        height, width = _tried(tries, settings.crop_area, settings.crop_ratio, image_size)
        is_whole = (height < 0)[:, None]
        centre = torch.tensor(_fallback(settings.crop_ratio, image_size)).to(flips.device)
        top = _place(numbers[:, 0], image_size[0] - height + 1)
        left = _place(numbers[:, 1], image_size[1] - width + 1)
        part = torch.stack((left, top, width, height), dim=1)
        left, top, width, height = torch.where(is_whole, centre, part).unbind(1)
    mirrored_x = flips[:, 0] < settings.horizontal_flip
    mirrored_y = flips[:, 1] < settings.vertical_flip
    left, width = _mirrored(left, width, mirrored_x)
    top, height = _mirrored(top, height, mirrored_y)
    return torch.stack((left, top, width, height), dim=1)


def cut(images: Tensor, crops: Tensor, size: Size, fill: float) -> Tensor:
    """Parts of the result's own size: pixels are copied, and `fill` comes in from outside.

    Args:
        images: (n, C, H, W).
        crops: as `Draws.crops`, each of `size` but for its sign.
    """
    height, width = images.shape[-2:]
    x = _pixels(crops[:, 0], crops[:, 2], size[1])
    y = _pixels(crops[:, 1], crops[:, 3], size[0])
    rows, columns = y.clamp(0, height - 1), x.clamp(0, width - 1)
    n, channels = images.shape[:2]
    place = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1)
    taken = images.flatten(2).gather(2, place.expand(-1, channels, -1)).view(n, channels, *size)
    inside = (y == rows)[:, :, None] & (x == columns)[:, None, :]
    return torch.where(inside[:, None], taken, fill)


def cut_and_scaled(images: Tensor, crops: Tensor, size: Size) -> Tensor:
    """Parts of any size, scaled bilinearly: no pixel beside a part counts."""
    x = _places(crops[:, 0], crops[:, 2], size[1])
    y = _places(crops[:, 1], crops[:, 3], size[0])
    grid = torch.stack(
        (
            (2 * x / images.shape[-1] - 1)[:, None, :].expand(-1, size[0], -1),
            (2 * y / images.shape[-2] - 1)[:, :, None].expand(-1, -1, size[1]),
        ),
        dim=-1,
    )
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _places(start: Tensor, length: Tensor, n: int) -> Tensor:
    """Where n pixels lie in a part, (k, n), in pixels from the image's edge; inside of the part."""
    steps = (torch.arange(n, device=start.device) + 0.5) / n
    at = start[:, None] + steps * length[:, None]
    low = torch.minimum(start, start + length)[:, None] + 0.5
    high = torch.maximum(start, start + length)[:, None] - 0.5
    return torch.minimum(torch.maximum(at, low), high)


def _tried(tries: Tensor, area: Range, ratio: Range, image_size: Size) -> tuple[Tensor, Tensor]:
    """(height, width) of each image's first try that fits; -1 where none does."""
    height, width = image_size
    areas = (area[0] + (area[1] - area[0]) * tries[:, 0]) * (height * width)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = torch.exp(low + (high - low) * tries[:, 1])
    columns, rows = torch.round(torch.sqrt(areas * ratios)), torch.round(torch.sqrt(areas / ratios))
    fits = (columns >= 1) & (columns <= width) & (rows >= 1) & (rows <= height)
    first = fits.float().argmax(dim=1, keepdim=True)
    is_found = fits.any(dim=1)
    chosen = (torch.where(is_found, each.gather(1, first)[:, 0], -1.0) for each in (rows, columns))
    rows, columns = chosen
    return rows, columns


def _fallback(ratio: Range, image_size: Size) -> tuple[float, float, float, float]:
    """The middle (left, top, width, height), as large as the ratios allow."""
    height, width = image_size
    if width / height < ratio[0]:
        height = round(width / ratio[0])
    elif width / height > ratio[1]:
        width = round(height * ratio[1])
    top, left = (image_size[0] - height) // 2, (image_size[1] - width) // 2
    return float(left), float(top), float(width), float(height)


def _place(uniform: Tensor, room: Tensor | int) -> Tensor:
    """A whole number from 0 to room - 1."""
    places = torch.floor(uniform * room)
    return torch.minimum(places, torch.as_tensor(room, device=uniform.device) - 1.0)


def _mirrored(start: Tensor, length: Tensor, is_mirrored: Tensor) -> tuple[Tensor, Tensor]:
    return torch.where(is_mirrored, start + length, start), torch.where(
        is_mirrored, -length, length
    )


def _pixels(start: Tensor, length: Tensor, n: int) -> Tensor:
    """int64 (k, n): the pixels of parts of n pixels, backwards where they are mirrored."""
    steps = torch.arange(n, device=start.device)
    forwards, backwards = start[:, None] + steps, start[:, None] - 1 - steps
    return torch.where(length[:, None] > 0, forwards, backwards).long()
