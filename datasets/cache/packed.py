"""Images that stay encoded in their files, and are decoded when they are read.

In: the place of each image's file, how a file becomes an image, and the checksum of each image as
it was when the set was read first. Out: what is indexed as an array is, with the same bits as a
decoded set's, or one line. It stands alone because a set that is too large for the disk must look
like any other to all that index it. It is no array: nothing can take it for memory by mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from datasets.files.places import Place
from headstart.errors import DataError
from headstart.processes import n_cores

Decode = Callable[[Place], tuple[np.ndarray, str]]
"""The image of the set, uint8 (C, H, W), that lies in a place; and the place in words."""
_MANY = 32  # images; above this, they are decoded on all cores


@dataclass(frozen=True)
class InPlace:
    """How images of one set are decoded where they lie.

    Attributes:
        decoder: from the shape (C, H, W) of the set's images to what makes one.
        version: names and versions of all that decides the pixels.
    """

    decoder: Callable[[tuple[int, int, int]], Decode]
    version: Callable[[], str]


@dataclass(frozen=True)
class Places:
    """Where the file of each image lies, as arrays of one number an image.

    Attributes:
        paths: the files that images lie in.
        path: int64 (N,), an index into `paths`.
        at, n_packed, n, is_deflated: int64 (N,), as of `Place`.
    """

    paths: tuple[str, ...]
    path: np.ndarray
    at: np.ndarray
    n_packed: np.ndarray
    n: np.ndarray
    is_deflated: np.ndarray

    @classmethod
    def of(cls, places: Sequence[Place]) -> Places:
        index: dict[str, int] = {}
        path = [index.setdefault(str(place.path), len(index)) for place in places]
        numbers = np.array([place[1:] for place in places], np.int64).reshape(-1, 4)
        return cls(tuple(index), np.array(path, np.int64), *numbers.T.copy())

    def __getitem__(self, row: int) -> Place:
        return Place(
            Path(self.paths[self.path[row]]),
            int(self.at[row]),
            int(self.n_packed[row]),
            int(self.n[row]),
            bool(self.is_deflated[row]),
        )


@dataclass(eq=False)
class PackedImages:
    """uint8 (N, C, H, W); see above. What indexing gives is a plain array."""

    shape: tuple[int, int, int, int]
    places: Places
    crcs: np.ndarray
    decode: Decode
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.uint8), init=False)
    ndim: int = field(default=4, init=False)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Of all images, decoded."""
        return self.size

    def read(self, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Decode the images at `rows` (integers) into `out`, uint8 (n, C, H, W).

        Raises:
            DataError: a file cannot be read, or has other pixels than when the set was read first.
        """
        for place, row in enumerate(rows.tolist()):
            out[place] = self._image(row)
        return out

    def _image(self, row: int) -> np.ndarray:
        image, where = self.decode(self.places[row])
        image = np.ascontiguousarray(image)
        if crc32(image.data) != self.crcs[row]:
            raise DataError(
                f"{where}: image {row:,} of the set has other pixels than when the set was read "
                "first; its file or what decodes it has changed: run the same command again"
            )
        return image

    def __getitem__(self, key: Any) -> np.ndarray:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        rows = np.arange(len(self))[() if isinstance(key, tuple) and not key else first]
        images = self._decoded(np.atleast_1d(rows).ravel())
        shaped = images.reshape(*np.shape(rows), *self.shape[1:])
        return shaped[(*(slice(None) for _ in np.shape(rows)), *rest)] if rest else shaped

    def _decoded(self, rows: np.ndarray) -> np.ndarray:
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        if len(rows) <= _MANY:
            return self.read(rows, images)
        with ThreadPoolExecutor(n_cores()) as pool:
            starts = range(0, len(rows), _MANY)
            list(
                pool.map(
                    lambda at: self.read(rows[at : at + _MANY], images[at : at + _MANY]), starts
                )
            )
        return images

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._image(row) for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of them, in memory."""
        return self[:].astype(np.uint8 if dtype is None else dtype, copy=False)
