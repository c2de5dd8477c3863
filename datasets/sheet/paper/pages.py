"""Files of photographs → the photographs: one of most files, one for each page of a PDF scan.

In: paths. Out: pictures with the name and the digest of their own that labels and corrections know
them by. It stands alone because the command and the data set open photographs alike.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.files.trees import MAX_FILE_BYTES
from datasets.images.decode import decode_pages
from datasets.locations import check_plain
from headstart.errors import DataError, DataNotFoundError

_PAGE = re.compile(r"(.+\.pdf)#([1-9][0-9]{0,3})", re.IGNORECASE)


@dataclass(frozen=True)
class Picture:
    """A photograph, uint8 (H, W) or (H, W, 3), RGB, upright as its EXIF entry says.

    `path` of a page of several is that of the file and `#2`. `digest` is of the file's content, and
    of the page where there are several.
    """

    path: Path
    image: np.ndarray
    digest: str


def open_pictures(paths: Sequence[Path]) -> list[list[Picture]]:
    """The photographs in each of the files; `scan.pdf#2` names one page.

    Raises:
        DataError: a file cannot be read, is no image, or holds the same as another.
        DataNotFoundError: a file or a page is not there.
        MissingPackageError: a HEIC picture or a PDF file, and what reads it is not installed.
    """
    first_with: dict[str, Path] = {}
    opened = []
    for path in paths:
        pictures = _pictures_in(path)
        for picture in pictures:
            if picture.digest in first_with:
                raise DataError(
                    f"{path}: the same photo as {first_with[picture.digest]}; its digits would be "
                    "in several parts: give it once"
                )
            first_with[picture.digest] = path
        opened.append(pictures)
    return opened


def file_of(path: Path) -> Path:
    """The file that a photograph lies in: `scan.pdf` for its page `scan.pdf#2`."""
    match = _PAGE.fullmatch(str(path))
    return Path(match.group(1)) if match and not path.exists() else path


def _pictures_in(path: Path) -> list[Picture]:
    file = file_of(path)
    content = _read(file)
    images = decode_pages(content, str(file))
    if len(images) == 1 and file == path:
        return [Picture(path, images[0], hashlib.sha256(content).hexdigest())]
    pages = [_page(file, content, number, image) for number, image in enumerate(images, 1)]
    chosen = pages if file == path else [page for page in pages if page.path == path]
    if not chosen:
        raise DataNotFoundError(f"{path}: no such page; {file.name} ends with page {len(images)}")
    return chosen


def _page(file: Path, content: bytes, number: int, image: np.ndarray) -> Picture:
    digest = hashlib.sha256(content + f"#{number}".encode()).hexdigest()
    return Picture(Path(f"{file}#{number}"), image, digest)


def _read(path: Path) -> bytes:
    check_plain(path, MAX_FILE_BYTES)
    try:
        return path.read_bytes()
    except FileNotFoundError as err:
        raise DataNotFoundError(f"{path}: no such file") from err
    except OSError as err:
        raise DataError(f"{path}: cannot be read: {err.strerror}") from err
