"""An image file of any common kind → a uint8 array; damaged and monstrous ones are refused.

In: the bytes of a file. Out: its pixels. What a file may be taken for is in `openers`, samples of
more than 8 bits are in `bit_depth`, many files at once in `blocks`.
"""

from __future__ import annotations

import importlib
import struct
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from datasets.images.bit_depth import ValueRange, bits_of, gray_to_uint8, refuse_floats, scaled
from datasets.images.openers import (
    BROKEN_IMAGE,
    MAX_PIXELS,
    is_pdf,
    open_image,
    read_pdf,
    read_pdf_pages,
)
from datasets.preprocess import gray
from headstart.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

OnDamaged = Literal["refuse", "skip"]
_INTERLACED = 28  # the byte of a PNG that says so; libpng would print a warning for each
_ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}  # of a whole file
_APP0 = 0xE0
_PLAIN = (_APP0, 0xDB, 0xC4, 0xDD, 0xFE)  # JFIF, tables, restarts, comments
_FRAMES = (0xC0, 0xC2)  # baseline and progressive
_FILMS = ("GIF", "PNG", "TIFF", "WEBP", "AVIF")  # a second picture of a JPEG or HEIC is a preview


_DECODERS = (
    *("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
    *("opencv-contrib-python-headless", "pillow", "imagecodecs", "pillow-heif", "pypdfium2"),
)


class Decoded(NamedTuple):
    """Pixels, uint8; whether the file holds further pictures; the highest of its 16-bit samples."""

    pixels: np.ndarray
    has_more: bool = False
    highest: int | None = None


@cache
def decoder_versions() -> str:
    """All packages that pixels may depend on, as `opencv-python-headless 4.12.0, pillow 11.3.0`."""
    said = []
    for name in _DECODERS:
        with suppress(PackageNotFoundError):
            said.append(f"{name} {version(name)}")
    return ", ".join(said)


def decode_image(
    data: bytes, where: str, *, as_gray: bool = False, value_range: ValueRange | None = None
) -> np.ndarray:
    """One image as uint8 (H, W), or (H, W, 3) RGB where the file has colour and `as_gray` is off.

    Turned as its EXIF entry says; 16 bits a sample become 8 (the high ones), or are scaled from
    `value_range` = (black, white); what is transparent lies on white; of several pictures in a file
    the first is read.

    Raises:
        DataError: not an image, damaged, over `MAX_PIXELS`, or of a kind without a fixed range.
        MissingPackageError: a kind of file whose reader is not installed.
    """
    return decode(data, where, as_gray=as_gray, value_range=value_range).pixels


def decode_pages(data: bytes, where: str) -> list[np.ndarray]:
    """Every page of a PDF file, or the one picture of any other; as `decode_image` gives them.

    Raises:
        DataError: as `decode_image` does; another file that holds several pictures.
    """
    if is_pdf(data, where):
        return read_pdf_pages(data, where)
    picture = decode(data, where, as_gray=False)
    if picture.has_more:
        raise DataError(
            f"{where}: holds several pictures (pages, frames): save the one that counts as PNG or "
            "JPEG, or all pages as a PDF file"
        )
    return [picture.pixels]


def read_image_size(data: bytes, where: str) -> tuple[int, int]:
    """(height, width) from an image's header alone; raises as `decode_image` does."""
    if is_pdf(data, where):  # it has no pixels before it is drawn
        height, width, _ = read_pdf(data, where).shape
        return height, width
    width, height = open_image(data, where).size
    return height, width


def decode(
    data: bytes, where: str, *, as_gray: bool, value_range: ValueRange | None = None
) -> Decoded:
    """As `decode_image`, with what else is known of the file."""
    n_channels = 0 if value_range else _plain_jpeg(data)
    if n_channels:
        pixels = _decode_with_opencv(data, as_gray=as_gray or n_channels == 1)
        if pixels is not None:
            return Decoded(pixels)
    if is_pdf(data, where):
        page = read_pdf(data, where)
        return Decoded(gray(page) if as_gray else page)
    image = open_image(data, where)
    if image.format == "PNG" and _ENDS["PNG"] not in data:  # Pillow would let the end be missing
        raise DataError(f"{where}: damaged image: it ends too early")
    try:
        has_more = image.format in _FILMS and getattr(image, "is_animated", False)
        fast = None if value_range else _decode_plain(data, image, as_gray)
        if fast is not None:
            return Decoded(fast, has_more)
        decoded, highest = _to_uint8(image, data, where, value_range)
    except BROKEN_IMAGE as err:
        raise DataError(f"{where}: damaged image: {err}") from err
    if as_gray and decoded.ndim == 3:
        decoded = gray(decoded)
    return Decoded(decoded, has_more, highest)


def _plain_jpeg(data: bytes) -> int:
    """Channels of a whole JFIF file of 8 bits whose header holds nothing else; 0 for any other.

    For small images Pillow takes longer to read the header than OpenCV to decode the file.
    """
    if not (data.startswith(b"\xff\xd8\xff") and data.endswith(_ENDS["JPEG"])):
        return 0
    at = 2
    while at + 10 < len(data) and data[at] == 0xFF:
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if kind in _FRAMES:
            bits, height, width, n = struct.unpack_from(">BHHB", data, at + 4)
            is_usual = bits == 8 and n in (1, 3) and 0 < height * width <= MAX_PIXELS
            return n if is_usual else 0
        if kind not in _PLAIN or (kind == _APP0 and data[at + 4 : at + 8] != b"JFIF"):
            return 0
        at += 2 + size
    return 0


def _decode_plain(data: bytes, image: Image, as_gray: bool) -> np.ndarray | None:
    """A whole 8-bit grayscale or RGB PNG or JPEG without EXIF, decoded fast; None for any other.

    Pillow takes twice the time for large PNGs and ten times for small JPEGs. What is damaged goes
    to Pillow all the same, which can say what is wrong.
    """
    if image.format not in _ENDS or not data.endswith(_ENDS[image.format]):
        return None
    # getexif() would decode the whole of a PNG, so the chunk's name is looked for instead.
    has_exif = b"eXIf" in data if image.format == "PNG" else "exif" in image.info
    if image.mode not in ("L", "RGB") or "transparency" in image.info or has_exif:
        return None
    if image.format == "PNG" and (bits_of(image, data) > 8 or data[_INTERLACED]):
        return None
    if image.format == "JPEG":
        return _decode_with_opencv(data, as_gray=as_gray or image.mode == "L")
    try:
        imagecodecs = importlib.import_module("imagecodecs")
    except ImportError:  # the same pixels, in a third more time
        decoded = _decode_with_opencv(data, as_gray=image.mode == "L")
    else:
        try:
            decoded = imagecodecs.png_decode(data)
        except imagecodecs.PngError:
            return None
    return gray(decoded) if as_gray and decoded is not None and decoded.ndim == 3 else decoded


def _decode_with_opencv(data: bytes, *, as_gray: bool) -> np.ndarray | None:
    import cv2

    flags = cv2.IMREAD_GRAYSCALE if as_gray else cv2.IMREAD_COLOR_RGB
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def _to_uint8(
    image: Image, data: bytes, where: str, value_range: ValueRange | None
) -> tuple[np.ndarray, int | None]:
    """Pixels, and how high the samples of a 16-bit file reach where it does not say it itself."""
    from PIL import Image as PillowImage
    from PIL import ImageOps

    if value_range is not None:
        pixels = scaled(image, data, where, value_range)
        has_alpha = pixels.ndim == 3 and pixels.shape[2] == 4
        return np.asarray(_on_white(PillowImage.fromarray(pixels))) if has_alpha else pixels, None
    is_deep = bits_of(image, data) > 8
    refuse_floats(image, where)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode[0] in "IF":
        return gray_to_uint8(image, where)
    if image.mode == "La":
        image = image.convert("LA")  # Pillow makes no RGBA of it
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info
    gray_or_rgb = "L" if image.mode in ("1", "L") else "RGB"
    image = image.convert("RGBA" if has_alpha else gray_or_rgb)
    reach = _reach(image) if is_deep else None
    return np.asarray(_on_white(image) if has_alpha else image), reach


def _reach(image: Image) -> int:
    """The most that 16-bit samples can be of which Pillow kept the high 8 bits."""
    return int(np.asarray(image)[..., :3].max()) << 8 | 0xFF


def _on_white(image: Image) -> Image:
    from PIL import Image as PillowImage

    paper = PillowImage.new("RGBA", image.size, "white")
    return PillowImage.alpha_composite(paper, image).convert("RGB")
