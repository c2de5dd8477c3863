"""Files in MNIST's own format (idx): which of a folder belong together, and the array in each.

In: a folder as its owner filled it, with files unpacked or .gz, for one set or several. Out: for
each set the files of its parts, and their arrays. It stands alone because MNIST itself and
anybody's set in its format are read alike.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import numpy as np

from datasets.base import PART_NAMES
from datasets.files.part_words import PART_OF
from datasets.locations import check_plain
from headstart.errors import DataError
from headstart.packed import BROKEN, most_unpacked, read_pieces

MAX_BYTES = 4 << 30
MAX_DIMENSIONS = 32
_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_PARTS = {**PART_OF, "t10k": "test"}
_FILE = re.compile(
    rf"^(?:(?P<set>.*?)[-_. ]+)?(?P<part>{'|'.join(_PARTS)})[-_. ](?P<kind>image|label)s?(?![a-z])",
    re.IGNORECASE,
)
_MAPPING = re.compile(r"^(?:(?P<set>.*?)[-_. ]+)?mapping\.txt$", re.IGNORECASE)
_QMNIST_COLUMNS = 8  # class, series, writer, …


@dataclass
class IdxSet:
    """The files of one set.

    Attributes:
        images: for each part its file of images.
        labels: for each part its file of labels.
        mapping: the text file that says which characters the labels stand for.
        unread: other files that could be one of these.
    """

    images: dict[str, Path] = field(default_factory=dict)
    labels: dict[str, Path] = field(default_factory=dict)
    mapping: Path | None = None
    unread: list[Path] = field(default_factory=list)

    @property
    def pairs(self) -> dict[str, tuple[Path, Path]]:
        """Images and labels of each part that has both."""
        return {
            part: (self.images[part], self.labels[part])
            for part in PART_NAMES
            if part in self.images and part in self.labels
        }

    @property
    def paths(self) -> list[Path]:
        """All files that are read."""
        paths = [path for pair in self.pairs.values() for path in pair]
        return paths if self.mapping is None else [*paths, self.mapping]


def is_idx_name(name: str) -> bool:
    """Whether a file is called as one of a set, and after its format, as `…-idx3-ubyte`."""
    return bool(_FILE.search(name)) and bool(re.search(r"idx\d", name, re.IGNORECASE))


def idx_sets(folder: Path) -> dict[str, IdxSet]:
    """The sets of a folder, by what stands before the name of the part ("" where nothing does).

    An unpacked file comes before its .gz, and a file before one of its name in a folder of its
    name, as archives of single files unpack to.
    """
    sets: dict[str, IdxSet] = {}
    for path in sorted(_files(folder), key=lambda path: (path.parent != folder, _is_gz(path))):
        if match := _MAPPING.search(path.name):
            sets.setdefault((match["set"] or "").lower(), IdxSet()).mapping = path
        elif match := _FILE.search(path.name):
            files = sets.setdefault((match["set"] or "").lower(), IdxSet())
            of_kind = files.images if match["kind"].lower() == "image" else files.labels
            first = of_kind.setdefault(_PARTS[match["part"].lower()], path)
            if _plain(first) != _plain(path):
                files.unread.append(path)
    return {name: files for name, files in sets.items() if files.pairs}


def read_pairs(
    pairs: Mapping[str, tuple[Path, Path]],
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], list[str]]:
    """Images (N, H, W) or (N, H, W, C), labels int64 (N,), the indices of each part, and notes.

    Raises:
        DataError: a file is damaged, or images and labels do not fit together.
    """
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    parts, n, notes = {}, 0, list[str]()
    for part, (image_file, label_file) in pairs.items():
        images.append(_checked_images(read_idx(image_file), image_file, label_file))
        labels.append(_checked_labels(read_idx(label_file), label_file, notes))
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
    return np.concatenate(images), np.concatenate(labels), parts, notes


def read_idx(path: Path) -> np.ndarray:
    """The array of one idx file, big-endian dtype as stored; `.gz` is unpacked on the way.

    Raises:
        DataError: it is no idx file, or is not exactly as long as its header says.
    """
    check_plain(path)
    try:
        with gzip.open(path, "rb") if _is_gz(path) else open(path, "rb") as file:
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


def read_mapping(path: Path) -> dict[int | str, str]:
    """Label → character, from lines of a label and the codes of its characters, as EMNIST has.

    Raises:
        DataError: a line is none such.
    """
    check_plain(path, 1 << 20)
    try:
        lines = path.read_text("ascii").splitlines()
        fields = [line.split() for line in lines if line.strip()]
        return {int(label): chr(int(code)) for label, code, *_ in fields}
    except (OSError, ValueError, OverflowError) as err:
        raise DataError(
            f"{path}: needs a label and the code of its character in each line, as '1 65' ({err})"
        ) from err


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder, and those in its folders that bear such a file's name themselves."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            yield path
        elif _FILE.search(path.name):
            yield from (inner for inner in sorted(path.iterdir()) if inner.is_file())


def _is_gz(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _plain(path: Path) -> str:
    """The name without `.gz` and without what separates its words."""
    return re.sub(r"[\W_]", "", path.name.lower().removesuffix(".gz"))


def _checked_images(images: np.ndarray, path: Path, label_file: Path) -> np.ndarray:
    if images.ndim not in (3, 4):
        swapped = images.ndim == 1 and read_idx(label_file).ndim in (3, 4)
        hint = f"; {label_file.name} holds images: are the two names swapped?" if swapped else ""
        raise DataError(
            f"{path}: holds {images.ndim}-dimensional {images.dtype.name}, not images (number × "
            f"rows × columns){hint}"
        )
    return images


def _checked_labels(labels: np.ndarray, path: Path, notes: list[str]) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == _QMNIST_COLUMNS and labels.dtype == np.dtype(">i4"):
        said = f"labels are the first of {_QMNIST_COLUMNS} columns, as in QMNIST"
        notes += [said] if said not in notes else []
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        raise DataError(f"{path}: holds {labels.ndim}-dimensional {labels.dtype.name}, not labels")
    return labels.astype(np.int64)
