"""Pickled arrays of images and labels (.pkl, .p); what they name is never run.

`{name: pickle, path: FILE}` reads a mapping (`features` and `labels`, as the German traffic signs
have them; `train_dataset` and `train_labels`), a pair of arrays, or three pairs for train,
validation and test, as the old `mnist.pkl.gz`; a folder's `train.p`, `valid.p` and `test.p` are its
parts. Arrays, numbers and texts are read; a pickle that names anything else is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from datasets.arrays.files import (
    ArrayFileOptions,
    Kind,
    OpenArrays,
    knows_files,
    load_files,
    locate_files,
)
from datasets.base import Dataset, DatasetInfo, Request
from datasets.files.pickles import read_pickle
from datasets.tables.text import read_bytes
from headstart.errors import DataError
from headstart.settings import key

SUFFIXES = (".pkl", ".pickle", ".p", ".pkl.gz", ".pickle.gz")
_MOST_BYTES = 4 << 30
_PARTS = ("train", "validation", "test")


INFO = DatasetInfo(suffixes=SUFFIXES, knows=knows_files(SUFFIXES))


class Options(ArrayFileOptions):
    """Where the arrays are, and what they cannot say themselves."""

    path: Path = key("A pickle, also as .gz, or a folder of them.", example="my/train.p")


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The pickles."""
    return locate_files(options, request, _KIND)


def load(options: Options, request: Request) -> Dataset:
    """All images, part by part where names or places say parts."""
    return load_files(options, request, _KIND)


@contextmanager
def _open(path: Path) -> Iterator[OpenArrays]:
    try:
        held = read_pickle(read_bytes(path, _MOST_BYTES))
    except ValueError as err:
        raise DataError(f"{path}: cannot be read as a pickle of arrays: {err}") from err
    arrays = {name: array for name, array in _named(held).items() if array.dtype.kind in "buifSU"}
    shapes = {name: array.shape for name, array in arrays.items()}
    yield OpenArrays(shapes, arrays.__getitem__)


def _named(held: Any) -> Mapping[str, np.ndarray]:
    """Arrays by name: by their keys, or by their places in a pair or three pairs."""
    if isinstance(held, dict):
        return {_text(name): np.asarray(v) for name, v in held.items() if _is_array(v)}
    if isinstance(held, (list, tuple)) and len(held) == 2 and all(map(_is_array, held)):
        return {"images": np.asarray(held[0]), "labels": np.asarray(held[1])}
    if isinstance(held, (list, tuple)) and len(held) in (2, 3):
        parts = _PARTS if len(held) == 3 else ("train", "test")
        pairs = {part: _named(pair) for part, pair in zip(parts, held, strict=True)}
        return {
            f"{part}_{kind}": array for part, pair in pairs.items() for kind, array in pair.items()
        }
    return {}


def _is_array(value: Any) -> bool:
    """Arrays, and lists of numbers or texts, which labels often are."""
    if isinstance(value, np.ndarray):
        return bool(value.ndim)
    is_list = isinstance(value, list) and len(value) > 0
    return is_list and all(isinstance(each, (int, float, str)) for each in value)


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


_KIND = Kind("pickle", 1, SUFFIXES, _open)
