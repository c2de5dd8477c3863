"""Any set in MNIST's own format: a folder of idx files, unpacked or .gz.

`{name: idx, path: DIR}` reads the pairs `train-images…` and `train-labels…`, `t10k-…` or
`test-…`, and `validation-…`, as MNIST, Fashion-MNIST, KMNIST and EMNIST name them.
"""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path
from typing import IO, cast

import numpy as np

from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.files.cache import cached
from datasets.locations import check_plain, user_path
from datasets.preprocess import shape_images
from headstart.errors import DataError, DataNotFoundError
from headstart.packed import BROKEN, most_unpacked, read_pieces
from headstart.settings import key

VERSION = 1
MAX_BYTES = 4 << 30
MAX_DIMENSIONS = 32
_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_PARTS = {"train": "train", "t10k": "test", "test": "test", "validation": "validation"}
_FILE = re.compile(r"(?:^|[-_.])(train|t10k|test|validation)[-_.](images|labels)\b", re.IGNORECASE)
INFO = DatasetInfo(folder_sign="-images")


class Options(DatasetOptions):
    """Where the files are, and what they cannot say themselves."""

    path: Path = key("The folder with the IDX files.", example="my/emnist")
    class_names: tuple[str, ...] | None = key("Names of the labels 0, 1, …; without it the "
        "numbers themselves.", None, example=["cat", "dog"])  # fmt: skip
    transpose: bool = key("Whether rows and columns are swapped (EMNIST stores its images on "
        "their side).", False, example=True)  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The idx files of the folder, images and labels of each part."""
    return tuple(path for pair in _pairs(options, request).values() for path in pair)


def load(options: Options, request: Request) -> Dataset:
    """All parts of the folder, one after the other."""
    pairs = _pairs(options, request)
    sources = [path for pair in pairs.values() for path in pair]
    return cached(
        "idx", VERSION, options, request, sources, lambda: _decode(options, request, pairs)
    )


def read_pairs(
    pairs: dict[str, tuple[Path, Path]],
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Images uint8 (N, H, W), labels int64 (N,) and the indices of each part.

    Raises:
        DataError: a file is damaged, or images and labels do not fit together.
    """
    images, labels, parts, n = [], [], {}, 0
    for part, (image_file, label_file) in pairs.items():
        images.append(_checked_images(read_idx(image_file), image_file))
        labels.append(_checked_labels(read_idx(label_file), label_file))
        if len(images[-1]) != len(labels[-1]):
            raise DataError(
                f"{label_file}: {len(labels[-1])} labels for the {len(images[-1])} images of "
                f"{image_file.name}"
            )
        if images[-1].shape[1:] != images[0].shape[1:]:
            raise DataError(
                f"{image_file}: images of {images[-1].shape[1:]} pixels, other parts have "
                f"{images[0].shape[1:]}"
            )
        parts[part] = np.arange(n, n + len(images[-1]))
        n += len(images[-1])
    return np.concatenate(images), np.concatenate(labels), parts


def read_idx(path: Path) -> np.ndarray:
    """The array of one idx file, big-endian dtype as stored; `.gz` is unpacked on the way.

    Raises:
        DataError: it is no idx file, or is not exactly as long as its header says.
    """
    check_plain(path)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            magic = file.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or not magic[3]:
                raise DataError(f"{path}: not an idx file (it begins with {magic.hex(' ')})")
            dtype = np.dtype(_DTYPES[magic[2]])
            header = file.read(4 * magic[3])
            if len(header) < 4 * magic[3]:
                raise DataError(f"{path}: ends within its header; fetch or export it again")
            if magic[3] > MAX_DIMENSIONS:
                raise DataError(f"{path}: announces {magic[3]} dimensions; images have 3")
            shape = np.frombuffer(header, ">u4").astype(int).tolist()
            wanted = math.prod(shape) * dtype.itemsize
            most = min(MAX_BYTES, most_unpacked(path.stat().st_size))
            if wanted > most:
                raise DataError(f"{path}: announces {wanted:,} bytes; the limit is {most:,}")
            content = read_pieces(cast("IO[bytes]", file), wanted + 1)
    except BROKEN as err:
        raise DataError(f"{path}: cannot be read: {err}") from err
    if len(content) != wanted:
        less = "shorter" if len(content) < wanted else "longer"
        raise DataError(
            f"{path}: {less} than its header says ({' × '.join(map(str, shape))} values of "
            f"{dtype.itemsize} bytes); fetch or export it again"
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _pairs(options: Options, request: Request) -> dict[str, tuple[Path, Path]]:
    folder = user_path(options.path, request.data_dir)
    files: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []:
        match = _FILE.search(path.name)
        if match:  # reversed order: the unpacked file comes last and wins over its .gz
            files[_PARTS[match[1].lower()], match[2].lower()] = path
    pairs = {
        part: (files[part, "images"], files[part, "labels"])
        for part in dict.fromkeys(_PARTS.values())
        if (part, "images") in files and (part, "labels") in files
    }
    if not pairs:
        raise DataNotFoundError(
            f"{folder}: no idx files; they must be named like train-images-idx3-ubyte and "
            "train-labels-idx1-ubyte (or with .gz)"
        )
    return pairs


def _decode(options: Options, request: Request, pairs: dict[str, tuple[Path, Path]]) -> Dataset:
    images, labels, parts = read_pairs(pairs)
    if options.transpose:
        images = images.transpose(0, 2, 1)
    where = str(user_path(options.path, request.data_dir))
    if images.size == 0:
        raise DataError(f"{where}: no images, or images without pixels (shape {images.shape})")
    names = options.class_names or _numbers(labels, where)
    return build_dataset(
        "idx",
        shape_images(images, request.image_size, request.channels),
        labels,
        names,
        source=where,
        parts=parts if "train" in parts else {},
    )


def _numbers(labels: np.ndarray, where: str) -> tuple[str, ...]:
    """Names of the classes 0, 1, …: each must have an image, so there are no more than labels."""
    largest = int(labels.max())
    if largest >= len(labels):
        raise DataError(f"{where}: label {largest}, and there are only {len(labels)} images")
    return tuple(str(label) for label in range(largest + 1))


def _checked_images(images: np.ndarray, path: Path) -> np.ndarray:
    if images.ndim != 3 or images.dtype != np.uint8:
        raise DataError(
            f"{path}: holds {images.ndim}-dimensional {images.dtype.name}, not images (uint8, "
            "number × rows × columns)"
        )
    return images


def _checked_labels(labels: np.ndarray, path: Path) -> np.ndarray:
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        raise DataError(f"{path}: holds {labels.ndim}-dimensional {labels.dtype.name}, not labels")
    return labels.astype(np.int64)
