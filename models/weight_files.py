"""A file of weights that anybody may have made in, its tensors out, or one line that says why not.

What a file is, its first bytes say and not its name: torch's zip files and the older ones, plain
pickles, safetensors. Anything else is named by `other_files.py`. Which of the mappings in a file is
meant, `state_dicts.py` says. Nothing in a file is run (`pickles.py`), and the values of those
tensors alone are read that are asked for.
"""

from __future__ import annotations

import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from headstart.cli import few
from headstart.errors import ModelError
from headstart.packed import BROKEN
from headstart.pickles import DAMAGED, BoundedFile, StorageRef, TensorRef, read_pickle
from models.other_files import SAVE, what_it_is
from models.state_dicts import notes_on, offered, only, state_dicts_of, why_none

_PICKLES = (*(b"\x80" + bytes([protocol]) for protocol in range(1, 6)), b"(dp", b"}q")
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's files before zip
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.")

Readable = Callable[[TensorRef], Tensor]


@dataclass(frozen=True)
class Weights:
    """The tensors of a file by name, on the CPU, and what there is to say of how they were read."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Content:
    """What a pickle holds, and how the values of its tensors are read."""

    value: object
    read: Readable


def open_weights(path: Path | str, entry: str = "") -> Weights:
    """The tensors of a file of weights.

    Args:
        entry: which of the file's state dicts, as `ema` or `model.ema`; empty: the only one.

    Raises:
        ModelError: there is no such file, it holds no weights of PyTorch, is damaged, or holds
            several state dicts and `entry` names none of them.
    """
    path = Path(path)
    if path.is_dir():
        raise ModelError(f"{path}: is a folder; one of its files is expected")
    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file")
    if part := _SHARD.search(path.name):
        raise ModelError(f"{path}: is part {int(part[1])} of {int(part[2])} of weights that lie in "
                         "several files; one file is read: write them into one")  # fmt: skip
    try:
        with open(path, "rb") as file:
            head = file.read(512)
            file.seek(0)
            if _is_safetensors(head):
                if entry:
                    raise ModelError(f"{path}: a safetensors file has no entries; leave entry out")
                return Weights(_read_safetensors(path))
            with _Opened(path, head, file) as content:
                return _chosen(path, content, entry)
    except PermissionError as err:
        raise ModelError(f"{path}: weights cannot be read: {err.strerror}") from err
    except (*BROKEN, *DAMAGED, RuntimeError) as err:
        text = " ".join(str(err).split())[:200] or type(err).__name__
        raise ModelError(
            f"{path}: is damaged or cut off, and nothing in it was run ({text}); fetch it again"
        ) from err


class _Opened:
    """The content of torch's files and plain pickles; open as long as tensors may be read."""

    def __init__(self, path: Path, head: bytes, file: IO[bytes]):
        self.path, self.head, self.file = path, head, file
        self.archive: zipfile.ZipFile | None = None

    def __enter__(self) -> _Content:
        n_bytes = os.fstat(self.file.fileno()).st_size
        if self.head.startswith(b"PK\x03\x04"):
            self.archive = _torch_archive(self.path, self.file)
            return _read_archive(self.path, self.archive)
        if self.head.startswith(_PICKLES):
            return _read_stream(BoundedFile(self.file, n_bytes))
        raise ModelError(f"{self.path}: {what_it_is(self.head, self.path)}")

    def __exit__(self, *_: object) -> None:
        if self.archive is not None:
            self.archive.close()


# -- torch's zip files -----------------------------------------------------------------------


def _torch_archive(path: Path, file: IO[bytes]) -> zipfile.ZipFile:
    """The open archive, if torch has written it.

    Raises:
        ModelError: it is another kind of zip file, or takes more than the file has.
    """
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as err:
        raise ModelError(f"{path}: is cut off: it begins as a zip file of torch does, and its end "
                         "is not there; fetch it again") from err  # fmt: skip
    names = archive.namelist()
    if any(re.match(r"[^/]*/(code/|constants\.pkl)", name) for name in names):
        raise ModelError(f"{path}: is a TorchScript archive, a program with its weights, and "
                         f"programs are not run; where it was made, {SAVE}")  # fmt: skip
    if any(name.endswith("/archive_format") for name in names):
        raise ModelError(f"{path}: is a program that torch.export wrote; where it was made, {SAVE}")
    if any(name.endswith(".npy") for name in names):
        raise ModelError(
            f"{path}: holds arrays of numpy (.npz); a state dict is expected: "
            "torch.save({name: torch.from_numpy(array) for name, array in "
            f"numpy.load({path.name!r}).items()}}, 'weights.pth')"
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise ModelError(f"{path}: is a zip file that torch has not written; it holds "
                         f"{few(names)}; if weights are among them, unpack it")  # fmt: skip
    n_bytes = sum(info.file_size for info in archive.infolist())
    if n_bytes > path.stat().st_size:
        raise ModelError(f"{path}: unpacks to {n_bytes:,} bytes, more than it has, and was not "
                         "read; what torch writes is stored, not packed")  # fmt: skip
    return archive


def _read_archive(path: Path, archive: zipfile.ZipFile) -> _Content:
    name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
    root = name.removesuffix("data.pkl")
    order = f"{root}byteorder"
    if order in archive.NameToInfo and archive.read(order) != sys.byteorder.encode():
        raise ModelError(f"{path}: was written on a machine of the other byte order")
    n_bytes = archive.getinfo(name).file_size
    with archive.open(name) as member:
        value = read_pickle(BoundedFile(member, n_bytes))
    kept: dict[str, bytearray] = {}

    def values_of(storage: StorageRef) -> bytearray:
        if storage.key not in kept:
            info = archive.getinfo(f"{root}data/{storage.key}")
            buffer = bytearray(info.file_size)
            with archive.open(info) as member:
                member.readinto(buffer)  # type: ignore[attr-defined]
                member.read(1)  # the checksum is looked at where the member ends
            kept[storage.key] = buffer
        return kept[storage.key]

    return _Content(value, lambda ref: _as_tensor(ref, values_of(ref.storage)))


# -- torch's older files, and plain pickles --------------------------------------------------


def _read_stream(file: BoundedFile) -> _Content:
    value = read_pickle(file)
    if value != _TORCH_MAGIC:
        return _Content(value, _no_values)
    read_pickle(file)  # the version of the format
    machine = read_pickle(file)
    if isinstance(machine, dict) and machine.get("little_endian", True) is not True:
        raise ValueError("it was written on a machine of the other byte order")
    types: dict[str, str] = {}
    value = read_pickle(file, types)
    keys = read_pickle(file)
    if not isinstance(keys, list) or not all(isinstance(key, str | int) for key in keys):
        raise ValueError("it does not say where its values lie")
    places = dict(_places(file, list(map(str, keys)), types))
    kept: dict[str, bytearray] = {}

    def read(ref: TensorRef) -> Tensor:
        key = ref.storage.key
        if key not in kept:
            start, n_bytes = places[key]
            file.file.seek(start)
            kept[key] = bytearray(file.read(n_bytes))
        return _as_tensor(ref, kept[key])

    return _Content(value, read)


def _no_values(ref: TensorRef) -> Tensor:
    raise ValueError("a pickle without torch's header has no stored values")


def _places(
    file: BoundedFile, keys: list[str], types: Mapping[str, str]
) -> Iterator[tuple[str, tuple[int, int]]]:
    """(key, (first byte, bytes)) of each run of values: its length, then the values."""
    at = file.tell()
    for key in keys:
        file.file.seek(at)
        n = int.from_bytes(file.read(8), "little", signed=True)
        n_bytes = n * _dtype(types[key]).itemsize
        at += 8
        if n < 0 or at + n_bytes > file.n_bytes:
            raise ValueError("it ends before its values do")
        yield key, (at, n_bytes)
        at += n_bytes


def _as_tensor(ref: TensorRef, values: bytearray) -> Tensor:
    dtype = _dtype(ref.dtype)
    if not values or 0 in ref.shape:
        if 0 not in ref.shape:
            raise ValueError("a tensor without stored values")
        return torch.empty(ref.shape, dtype=dtype)
    n = len(values) // dtype.itemsize
    flat = torch.frombuffer(values, dtype=dtype, count=n)
    return flat.as_strided(ref.shape, ref.stride, ref.storage.first + ref.offset)


_DTYPES = {str(kind).removeprefix("torch."): kind for kind in vars(torch).values()
           if isinstance(kind, torch.dtype)}  # fmt: skip


def _dtype(name: str) -> torch.dtype:
    if name not in _DTYPES:
        raise ValueError(f"values of the unknown type {name[:40]}")
    return _DTYPES[name]


# -- which of its state dicts ----------------------------------------------------------------


def _chosen(path: Path, content: _Content, entry: str) -> Weights:
    entries = state_dicts_of(content.value)
    if entry and entry not in entries:
        raise ModelError(f"{path}: has no state dict under {entry!r}; {offered(entries)}")
    if not entries:
        raise ModelError(f"{path}: {why_none(content.value)}")
    chosen = entries[entry] if entry else only(path, entries)
    tensors = {
        name: torch.from_numpy(ref.copy()) if isinstance(ref, np.ndarray) else content.read(ref)
        for name, ref in chosen.tensors.items()
    }
    return Weights(tensors, tuple(notes_on(content.value, chosen)))


# -- safetensors ----------------------------------------------------------------------------


def _is_safetensors(head: bytes) -> bool:
    """A length of 8 bytes, then JSON."""
    return len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as err:
        raise ModelError(
            f"{path}: is no safetensors file, or a damaged one ({err}); fetch it again"
        ) from err
