"""Image files of any common kind → uint8 arrays; damaged and monstrous ones are refused.

In: the bytes of files, from a folder or an archive. Out: arrays, decoded on all cores. The size
in a file's header is looked at before anything is decoded, since a few kilobytes can announce a
picture that fills the memory.
"""

from __future__ import annotations

import importlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import numpy as np

from datasets.files.trees import Tree
from datasets.preprocess import gray
from headstart.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

OnDamaged = Literal["refuse", "skip"]
ValueRange = tuple[float, float]
# What Pillow may take a file for, whatever its name: its other readers are not needed, and that of
# EPS starts a program.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")
MAX_PIXELS = 100_000_000  # 10,000 × 10,000: beyond any camera's character, well within memory
_NAMED = 5  # skipped files that a note names
_ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}  # of a whole file


def decode_files(
    tree: Tree,
    names: Sequence[str],
    shape: Callable[[np.ndarray], np.ndarray],
    on_damaged: OnDamaged = "refuse",
    *,
    as_gray: bool = False,
    value_range: ValueRange | None = None,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Decode `names` on all cores and pass each image through `shape`.

    Args:
        tree: where the files are.
        names: of the files, each an image.
        shape: from uint8 (H, W) or (H, W, 3) to an array of one shape for all.
        on_damaged: `refuse`: the first damaged file is an error; `skip`: it is left out.
        as_gray: `shape` gets (H, W) whatever the files are.
        value_range: (black, white), where the samples do not fill the range of their type.

    Returns:
        The arrays, stacked; a bool array (len(names),), which of the files they are; a note that
        names what was skipped, or none.

    Raises:
        DataError: a damaged file, or all of them.
    """

    def decode(name: str) -> np.ndarray | DataError:
        try:
            return shape(decode_image(tree.read(name), tree.label(name), as_gray=as_gray))
        except DataError as err:
            if on_damaged == "refuse":
                raise DataError(f"{err}; mend or remove it, or set on_damaged: skip") from err
            return err

    with ThreadPoolExecutor(_n_cores()) as pool:  # the decoders let go of the interpreter's lock
        try:
            results = list(pool.map(decode, names))
        except DataError:
            pool.shutdown(cancel_futures=True)
            raise
    good = np.array([isinstance(result, np.ndarray) for result in results], bool)
    skipped = [str(result) for result in results if isinstance(result, DataError)]
    if not good.any():
        raise DataError(f"{tree.where}: none of {len(names)} images can be read: {skipped[0]}")
    notes = (_skipped_note(skipped, len(names)),) if skipped else ()
    return np.stack([result for result in results if isinstance(result, np.ndarray)]), good, notes


def decode_image(data: bytes, where: str, *, as_gray: bool = False) -> np.ndarray:
    """One image as uint8 (H, W), or (H, W, 3) RGB where the file has colour and `as_gray` is off.

    Turned as its EXIF entry says; 16 bits a sample become 8 (the high ones); what is transparent
    lies on white.

    Raises:
        DataError: not an image, damaged, over `MAX_PIXELS`, or of a kind without a fixed range.
    """
    image = _open(data, where)
    if image.format == "PNG" and _ENDS["PNG"] not in data:  # Pillow would let the end be missing
        raise DataError(f"{where}: damaged image: it ends too early")
    fast = _decode_plain(data, image, as_gray)
    if fast is not None:
        return fast
    try:
        decoded = _to_uint8(image, where)
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as err:
        raise DataError(f"{where}: damaged image: {err}") from err
    return gray(decoded) if as_gray and decoded.ndim == 3 else decoded


def read_image_size(data: bytes, where: str) -> tuple[int, int]:
    """(height, width) from an image's header alone; raises as `decode_image` does."""
    width, height = _open(data, where).size
    return height, width


def _skipped_note(messages: Sequence[str], n_files: int) -> str:
    shown = "; ".join(messages[:_NAMED]) + (" …" if len(messages) > _NAMED else "")
    return f"{len(messages)} of {n_files} image files were damaged and skipped: {shown}"


def _open(data: bytes, where: str) -> Image:
    """The image with its header read and its size checked, nothing decoded yet."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as err:
        raise DataError(f"{where}: not an image in a format that is known") from err
    except Image.DecompressionBombError as err:  # beyond Pillow's own limit, which is higher
        raise DataError(
            f"{where}: more than {MAX_PIXELS // 1_000_000} million pixels, which is the limit"
        ) from err
    except (OSError, ValueError, SyntaxError) as err:
        raise DataError(f"{where}: damaged image: {err}") from err
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{where}: {width} × {height} pixels; the limit is {MAX_PIXELS // 1_000_000} million"
        )
    return image


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


def _to_uint8(image: Image, where: str) -> np.ndarray:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        samples = np.asarray(image)
        if samples.min() < 0 or samples.max() > 0xFFFF:
            raise DataError(f"{where}: 32-bit samples; export it with 8 or 16 bits")
        return (samples >> 8).astype(np.uint8)
    if image.mode == "F":
        raise DataError(f"{where}: floating-point samples; export it with 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return np.asarray(_on_white(image.convert("RGBA")))
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def _on_white(image: Image) -> Image:
    from PIL import Image as PillowImage

    paper = PillowImage.new("RGBA", image.size, "white")
    return PillowImage.alpha_composite(paper, image).convert("RGB")


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
