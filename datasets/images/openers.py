"""Bytes of a file → a picture that Pillow opened, its size checked and nothing decoded yet.

In: content that a stranger made. Out: an open image, or one line that says what the file is
instead. It stands alone because what a file may be taken for is decided here, by content and never
by its name: Pillow's other readers are not needed, and that of EPS starts a program. HEIC pictures
and PDF files are read by packages that a user may add.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.images import pdf_page
from headstart.errors import DataError, MissingPackageError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
MAX_PIXELS = 100_000_000  # 10,000 × 10,000: beyond any camera's character, well within memory
BROKEN_IMAGE = (  # what readers raise at a file that lies
    *(OSError, ValueError, SyntaxError, RuntimeError, EOFError, MemoryError, LookupError),
    *(TypeError, AttributeError, ArithmeticError, struct.error),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_PDF = b"%PDF-"
_PDF_DOTS_PER_INCH = 150
_PDF_MOST_PIXELS = 25_000_000
_PDF_MOST_PAGES = 100
_PDF_TIMEOUT_S = 2 * pdf_page.SECONDS
_STARTS = (  # of files that are often named as images and are none
    (b"version https://git-lfs", "a pointer of Git LFS, not the file; run `git lfs pull`"),
    (_PDF, "a PDF document; name it .pdf, and say also: [pdf]"),
    (b"PK\x03\x04", "a zip file"),
    (b"\x1f\x8b", "a file packed with gzip"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-zip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"8BPS", "a Photoshop file; export it as PNG"),
    (b"%!PS", "a PostScript file; export it as PNG"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file; export it as PNG"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file; export it as PNG"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL file; export it as PNG"),
    (b"\xff\x0a", "a JPEG XL file; export it as PNG"),
)


def open_image(data: bytes, where: str) -> Image:
    """The image with its header read and its size checked, nothing decoded yet.

    Raises:
        DataError: not an image, damaged, or over `MAX_PIXELS`.
        MissingPackageError: a HEIC picture, and what reads it is not installed.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_formats(data, where))
    except UnidentifiedImageError as err:
        raise DataError(
            f"{where}: not an image in a format that is known{_what_else(data)}"
        ) from err
    except Image.DecompressionBombError as err:  # beyond Pillow's own limit, which is higher
        raise DataError(
            f"{where}: more than {MAX_PIXELS // 1_000_000} million pixels, which is the limit"
        ) from err
    except BROKEN_IMAGE as err:
        raise DataError(f"{where}: damaged image: {err}") from err
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{where}: {width} × {height} pixels; the limit is {MAX_PIXELS // 1_000_000} million"
        )
    return image


def is_pdf(data: bytes, where: str) -> bool:
    """Whether a file is a PDF by its name and its content."""
    return data.startswith(_PDF) and where.lower().endswith(".pdf")


def read_pdf(data: bytes, where: str) -> np.ndarray:
    """The only page of a PDF file at 150 dots an inch, uint8 (H, W, 3).

    Raises:
        DataError: it has several pages, is damaged, or takes too much memory or time.
        MissingPackageError: what reads it is not installed.
    """
    return _draw_page(data, where, "only")[0]


def read_pdf_pages(data: bytes, where: str) -> list[np.ndarray]:
    """Every page of a PDF file at 150 dots an inch, each uint8 (H, W, 3).

    Raises:
        DataError: it has too many pages, is damaged, or takes too much memory or time.
        MissingPackageError: what reads it is not installed.
    """
    first, n_pages = _draw_page(data, where, "0")
    if n_pages > _PDF_MOST_PAGES:
        raise DataError(
            f"{where}: has {n_pages} pages; up to {_PDF_MOST_PAGES} are read: split the file"
        )
    return [first, *(_draw_page(data, where, str(page))[0] for page in range(1, n_pages))]


def _draw_page(data: bytes, where: str, page: str) -> tuple[np.ndarray, int]:
    """A page, uint8 (H, W, 3), and how many there are."""
    if find_spec("pypdfium2") is None:
        raise _missing(where, "a PDF file", "pdf")
    command = [sys.executable, "-I", str(Path(pdf_page.__file__))]
    command += [str(_PDF_DOTS_PER_INCH), str(_PDF_MOST_PIXELS), page]
    try:
        drawn = subprocess.run(
            command, input=data, capture_output=True, timeout=_PDF_TIMEOUT_S, start_new_session=True
        )
    except subprocess.TimeoutExpired as err:
        raise DataError(f"{where}: its page takes over {_PDF_TIMEOUT_S} s to draw") from err
    head, _, rows = drawn.stdout.partition(b"\n")
    if head.startswith(b"refused "):
        raise DataError(f"{where}: {head.removeprefix(b'refused ').decode()}")
    if drawn.returncode != 0:
        raise DataError(f"{where}: its page cannot be drawn within the limits of memory and time")
    width, height, stride, n_pages = map(int, head.split())
    pixels = np.frombuffer(rows, np.uint8).reshape(height, stride)[:, : 3 * width]
    return np.ascontiguousarray(pixels.reshape(height, width, 3)), n_pages


def _formats(data: bytes, where: str) -> tuple[str, ...]:
    """What Pillow may take the content for."""
    if data[4:8] != b"ftyp":
        return FORMATS
    if b"avif" in data[8:64] or b"avis" in data[8:64]:
        from PIL import features

        if not features.check("avif"):
            raise MissingPackageError(
                f"{where}: an AVIF picture, which this Pillow does not read: uv pip install -U "
                "pillow, or export it as PNG"
            )
        return ("AVIF",)
    if data[8:12] not in _HEIC_BRANDS:
        return FORMATS
    if find_spec("pillow_heif") is None:
        raise _missing(where, "a HEIC picture", "heic")
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    return ("HEIF",)


def _missing(where: str, what: str, extra: str) -> MissingPackageError:
    return MissingPackageError(
        f"{where}: {what}, which needs a package that is not installed: uv pip install -r "
        f"pyproject.toml --extra {extra}; or export it as PNG"
    )


def _what_else(data: bytes) -> str:
    """What a file is that is no image, as the end of a message; empty where nobody knows."""
    if not data:
        return ": it is empty (0 bytes)"
    text = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return ": it is an HTML page, as a failed download leaves one"
    if text.startswith((b"<svg", b"<?xml")):
        return ": it is an SVG drawing or another XML file; export it as PNG"
    if data[128:132] == b"DICM":
        return ": it is a DICOM file; export it as 16-bit PNG"
    if data[4:8] == b"ftyp" and data[8:12] in (*_HEIC_BRANDS, b"avif", b"avis"):
        return ": it begins as a HEIC or AVIF picture and is damaged"
    if data[4:8] == b"ftyp":
        return ": it is a film or another file of the MP4 family"
    if not any(data):
        return ": it holds zeros only, as a broken copy does"
    return next((f": it is {what}" for start, what in _STARTS if data.startswith(start)), "")
