"""Samples of more than 8 bits, or of a range that a person says → 8 bits a sample.

In: an image that Pillow opened, and the bytes that it was opened from. Out: uint8 pixels, and how
high the samples reach, from which `check_reach` knows a whole set whose 12 bits lie in 16. It
stands alone because which value is white is not in every file, and a wrong guess shows black
images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from datasets.arrays.pixels import images_to_uint8
from headstart.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

ValueRange = tuple[float, float]
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # of a TIFF file's entries
_ORIENTATION = 0x0112  # of EXIF
_SAY_RANGE = "say value_range: [BLACK, WHITE], or export it with 8 or 16 bits"
_BLOCK = 4_000_000  # samples that are scaled at once
_USUAL_BITS = (8, 10, 12, 14)  # of cameras and scanners whose files have 16 a sample
_MOST_OF_8_BITS = 255


class EightBits(DataError):
    """A file of 8 bits a sample, which cannot reach the range that samples are said to have."""


def goes_beyond_8_bits(value_range: ValueRange) -> bool:
    """Whether 8 bits cannot reach it, so that it is a range of deeper samples, in their unit."""
    return max(value_range) > _MOST_OF_8_BITS


def bits_of(image: Image, data: bytes) -> int:
    """Bits a sample in the file, at least 8; Pillow's mode does not say them where it drops some.

    To be asked before the image is decoded.
    """
    if image.format == "PNG":
        return max(8, data[24])
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS, 1)  # type: ignore[attr-defined]
        return max(8, *map(int, bits if isinstance(bits, tuple) else (bits,)))
    if image.format == "PPM":
        args = image.tile[0].args  # type: ignore[attr-defined]
        is_deep = args == "I;16B" or (isinstance(args, tuple) and int(args[-1]) > 255)
        return 16 if is_deep or image.mode == "F" else 8
    return 8


def gray_to_uint8(image: Image, where: str) -> tuple[np.ndarray, int | None]:
    """Integer samples of one channel (Pillow's modes I…) as their high 8 bits, and the highest.

    None for the highest where the file says how many bits it uses.
    """
    bits = min(16, bits_of(image, b"")) if image.format == "TIFF" else 16
    is_inverted = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # type: ignore[attr-defined]
    fills = bits < 16 or is_inverted or image.format == "PPM"  # Pillow scales what a PPM announces
    samples = np.asarray(image)
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 0xFFFF:
        kind = "samples below 0" if low < 0 else "samples of 32 bits"
        raise DataError(f"{where}: {kind} ({low} … {high}); {_SAY_RANGE}")
    pixels: np.ndarray = (samples >> (bits - 8)).astype(np.uint8)
    return np.invert(pixels) if is_inverted else pixels, None if fills else high


def refuse_floats(image: Image, where: str) -> None:
    """Raise DataError where the samples are floating-point numbers, before they take memory."""
    if image.mode == "F":
        raise DataError(f"{where}: floating-point samples; {_SAY_RANGE}")


def scaled(image: Image, data: bytes, where: str, value_range: ValueRange) -> np.ndarray:
    """Samples as 8 bits, `value_range` (black, white) as 0 … 255; uint8 (H, W), (H, W, 3 or 4).

    Raises:
        DataError: samples outside the range, or a file whose 8 bits cannot reach it.
    """
    bits = bits_of(image, data)
    if bits <= 8 and goes_beyond_8_bits(value_range):
        raise EightBits(
            f"{where}: has 8 bits a sample, which do not fit value_range: "
            f"[{value_range[0]:g}, {value_range[1]:g}]; keep such files in a set of their own"
        )
    samples = _samples(image, data, where, bits)
    blocks = np.array_split(samples, 1 + samples.size // _BLOCK)  # scaling takes much memory
    return np.concatenate([_scaled_block(block, where, value_range) for block in blocks])


def _scaled_block(samples: np.ndarray, where: str, value_range: ValueRange) -> np.ndarray:
    if samples.ndim == 2 or samples.shape[2] == 3:
        return images_to_uint8(samples, where, value_range)[0]
    colour = images_to_uint8(samples[..., :3], where, value_range)[0]
    alpha = samples[..., 3:] >> 8 if samples.dtype == np.uint16 else samples[..., 3:]
    return np.concatenate([colour, alpha.astype(np.uint8)], axis=2)


def check_reach(highest: Sequence[int], where: str) -> tuple[str, ...]:
    """A note where the files of 16 bits use little of their range, all of them taken together.

    Args:
        highest: sample of each file of 16 bits.
        where: the folder, for messages.

    Raises:
        DataError: they reach less than a sixteenth of it, which would be read as black.
    """
    reach = max(highest, default=0xFFFF)
    bits = next((bits for bits in _USUAL_BITS if reach < 1 << bits), 16)
    files = f"{len(highest)} file{'s' * (len(highest) > 1)} of 16 bits a sample"
    if reach < 1 << 12:
        raise DataError(
            f"{where}: {files} reach {reach:,} of 65,535 only, so they may hold {bits} bits: say "
            f"value_range: [0, {(1 << bits) - 1}], or value_range: [0, 65535] where they are as "
            "dark as that"
        )
    if bits < 16:
        return (
            f"{files} reach {reach:,} of 65,535 only; where they hold {bits} bits, say "
            f"value_range: [0, {(1 << bits) - 1}]",
        )
    return ()


def _samples(image: Image, data: bytes, where: str, bits: int) -> np.ndarray:
    """All bits of all samples, upright: (H, W), (H, W, 3) or (H, W, 4)."""
    from PIL import ImageOps

    if bits <= 8 or (image.mode[0] in "IF" and image.format != "PPM"):
        ImageOps.exif_transpose(image, in_place=True)
        if bits <= 8 and image.mode not in ("L", "RGB", "RGBA"):
            has_alpha = image.mode in ("LA", "PA") or "transparency" in image.info
            image = image.convert("RGBA" if has_alpha else "L" if image.mode == "1" else "RGB")
        return np.asarray(image)
    return _deep(image, data, where)


def _deep(image: Image, data: bytes, where: str) -> np.ndarray:
    """Samples of 16 bits in colour, of which Pillow keeps 8."""
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as err:
        raise DataError(f"{where}: damaged image: {err.err}") from err
    if pixels is None or pixels.dtype == np.uint8:
        raise DataError(f"{where}: its samples of {bits_of(image, data)} bits cannot be read")
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(
            pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        )
    orientation = image.getexif().get(_ORIENTATION, 1) if image.format == "PNG" else 1
    return _turned(pixels, orientation)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turned as an EXIF entry says; OpenCV turns TIFF files by itself, and PNG files not."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    upside_down, mirrored = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1])
