"""One file of features: a .npy file of a table, and behind it the checksums of its blocks.

In: rows, computed chunk by chunk; later the file, which anybody may have changed. Out: the table as
a memory map, or none where it is not what was written. It stands alone because a table is a trial's
input as its images are: a damaged one would give other numbers under the same id.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from harness.training.arrays import as_tensor
from headstart.cli import say_once
from headstart.digests import check_sealed, is_sealed, sealed
from headstart.processes import n_cores

Chunks = Callable[[], Iterator[Tensor]]
"""Computes the rows of a table, some at a time."""
_MOST_RECORD = 64 << 20  # bytes


@dataclass(frozen=True)
class TableShape:
    """Shape (rows, …) of a table, and how its numbers are kept."""

    shape: tuple[int, ...]
    precision: Literal["float32", "bf16"] = "float32"

    @property
    def stored(self) -> np.dtype[np.generic]:
        """NumPy has no bf16: its bits are kept as int16."""
        return np.dtype(np.float32 if self.precision == "float32" else np.int16)

    def header(self) -> dict[str, object]:
        """Of a .npy file."""
        descr = np.lib.format.dtype_to_descr(self.stored)
        return {"descr": descr, "fortran_order": False, "shape": self.shape}

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.stored.itemsize

    def as_bytes(self, rows: Tensor) -> bytes:
        """Computed rows (n, …), as they lie in the file."""
        kept = torch.float32 if self.precision == "float32" else torch.bfloat16
        rows = rows.to("cpu", kept).contiguous()
        return rows.reshape(-1).view(torch.uint8).numpy().tobytes()  # 1×1 maps have odd strides

    def as_tensor(self, array: np.ndarray) -> Tensor:
        """The array's own memory as float32 or bfloat16; nobody may write to it."""
        tensor = as_tensor(array)
        return tensor if self.precision == "float32" else tensor.view(torch.bfloat16)


def write_table(file: IO[bytes], key: str, shape: TableShape, chunks: Chunks) -> None:
    """Write the table `key`: its rows, and then the checksum of each chunk."""
    np.lib.format.write_array_header_1_0(file, shape.header())
    blocks = []
    for rows in chunks():
        content = shape.as_bytes(rows)
        file.write(content)
        blocks.append([len(content), crc32(content)])
    file.write(json.dumps(sealed({"key": key, "blocks": blocks})).encode())


def opened_table(path: Path, shape: TableShape) -> np.ndarray | None:
    """The file as a read-only memory map; None where it is absent or not such a table.

    A damaged one is said.
    """
    if not path.is_file():  # a pipe would be waited for
        return None
    array: np.ndarray = np.empty(0, np.uint8)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.shape != shape.shape or array.dtype != shape.stored:
            return None
        blocks = _blocks(path, array.nbytes)
    except FileNotFoundError:  # another worker makes room
        return None
    except (ValueError, KeyError, TypeError, EOFError, RecursionError):
        blocks = []
    if blocks is None:  # of a version without checksums
        return None
    if not _are_right(array, blocks):
        say_once(f"{path}: the features kept here are damaged; they are computed anew")
        return None
    with suppress(OSError):  # marks the use; another user's folder may refuse it
        os.utime(path)
    return array


def _blocks(path: Path, n_bytes: int) -> list[tuple[int, int]] | None:
    """(bytes, checksum) of each block; None where there is nothing behind the table."""
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError("another header")
        np.lib.format.read_array_header_1_0(file)
        file.seek(n_bytes, os.SEEK_CUR)
        content = file.read(_MOST_RECORD)
    if not content:
        return None
    record = json.loads(content)
    check_sealed(record)
    if not is_sealed(record) or record["key"] != path.stem:
        raise ValueError("the record of another table")
    return [(int(n), int(crc)) for n, crc in record["blocks"]]


def _are_right(array: np.ndarray, blocks: list[tuple[int, int]]) -> bool:
    """Whether the blocks, which lie one behind the other, are all of the table and unchanged."""
    content = array.reshape(-1).view(np.uint8).data
    ends = list(itertools.accumulate(n for n, _ in blocks))
    if not blocks or ends[-1] != len(content) or min(n for n, _ in blocks) < 0:
        return False

    def is_right(block: tuple[int, tuple[int, int]]) -> bool:
        end, (n, crc) = block
        return crc32(content[end - n : end]) == crc

    with ThreadPoolExecutor(n_cores()) as pool:
        return all(pool.map(is_right, zip(ends, blocks, strict=True)))
