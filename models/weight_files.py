"""A file of weights that anybody may have made in, its tensors out, or one line that says why not.

What a file is, its first bytes say and not its name: torch's zip files and the older ones, plain
pickles, safetensors. Anything else that people take for weights (a pointer of Git LFS, a web page,
Keras's or ONNX's files) is named. Nothing in a file is run (`pickles.py`), and the values of those
tensors alone are read that are asked for.
"""

from __future__ import annotations

import json
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from headstart.errors import ModelError
from headstart.packed import BROKEN
from models.pickles import DAMAGED, BoundedFile, StandIn, StorageRef, TensorRef, read_pickle

_PICKLES = (*(b"\x80" + bytes([protocol]) for protocol in range(1, 6)), b"(dp", b"}q")
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's files before zip
_MOST_JSON = 1 << 24
_N_SHOWN = 4
_SAVE = "torch.save(model.state_dict(), 'weights.pth')"
_BEGINS = (
    (b"\x89HDF", "is an HDF5 file, as Keras and TensorFlow write; weights of PyTorch are read"),
    (b"\x93NUMPY", "is one array of numpy, without names; a state dict of PyTorch is expected"),
    (b"GGUF", "is a GGUF file of a language model; a state dict of PyTorch is expected"),
    (b"\x1f\x8b", "is packed with gzip; unpack it first"),
    (b"BZh", "is packed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "is packed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstandard; unpack it first"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it first"),
    (b"Rar!", "is a RAR archive; unpack it first"),
)
_PRIMARY = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights",
            "params", "module", "ema")  # fmt: skip
_NOT_WEIGHTS = re.compile(r"optim|sched|scaler|rng|criterion|loss|history|callbacks|loops", re.I)
_MOST_DEPTH = 3
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


@dataclass
class _Entry:
    """A state dict in a file: where it lies, and its references to tensors by name."""

    path: str  # empty: the file itself
    tensors: dict[str, TensorRef | np.ndarray]
    others: list[str] = field(default_factory=list)


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
        raise ModelError(f"{self.path}: {_what_it_is(self.head, self.path)}")

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
                         f"programs are not run; where it was made, {_SAVE}")  # fmt: skip
    if any(name.endswith("/archive_format") for name in names):
        raise ModelError(
            f"{path}: is a program that torch.export wrote; where it was made, {_SAVE}"
        )
    if any(name.endswith(".npy") for name in names):
        raise ModelError(f"{path}: holds arrays of numpy (.npz); a state dict is expected")
    if not any(name.endswith("data.pkl") for name in names):
        raise ModelError(f"{path}: is a zip file that torch has not written; it holds "
                         f"{_few(names)}; if weights are among them, unpack it")  # fmt: skip
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
    if not isinstance(keys, list):
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


# -- which of a file's entries ---------------------------------------------------------------


def _chosen(path: Path, content: _Content, entry: str) -> Weights:
    entries = {found.path: found for found in _entries(content.value)}
    if entry and entry not in entries:
        raise ModelError(f"{path}: has no state dict under {entry!r}; {_offered(entries)}")
    if not entries:
        raise ModelError(f"{path}: {_no_state_dict(content.value)}")
    chosen = entries[entry] if entry else _only(path, entries)
    tensors = {
        name: torch.from_numpy(ref.copy()) if isinstance(ref, np.ndarray) else content.read(ref)
        for name, ref in chosen.tensors.items()
    }
    return Weights(tensors, tuple(_notes(content.value, chosen)))


def _entries(value: object) -> Iterator[_Entry]:
    """Mappings from names to tensors, each once; the outermost first."""
    waiting: list[tuple[str, Any]] = [("", value)]
    seen: set[int] = set()
    for _ in range(_MOST_DEPTH + 1):
        below: list[tuple[str, Any]] = []
        for path, item in waiting:
            if (item := _mapping(item)) is None or id(item) in seen:
                continue
            seen.add(id(item))
            tensors = {key: ref for key, it in item.items() if isinstance(key, str)
                       and (ref := _reference(it)) is not None}  # fmt: skip
            if any(map(_is_weight, tensors.values())):
                others = [str(key) for key, it in item.items() if _mapping(it) is None]
                yield _Entry(path, tensors, [key for key in others if key not in tensors])
            below += [(f"{path}.{key}" if path else key, it) for key, it in item.items()
                      if isinstance(key, str) and not _NOT_WEIGHTS.search(key)]  # fmt: skip
        waiting = below


def _mapping(item: object) -> dict[Any, Any] | None:
    """A mapping of any class, which the file may have made itself."""
    if isinstance(item, StandIn):
        return item.items
    return item if isinstance(item, dict) else None


def _reference(item: object) -> TensorRef | np.ndarray | None:
    if isinstance(item, StandIn) and isinstance(item.state, np.ndarray):
        return item.state
    return item if isinstance(item, TensorRef) else None


def _is_weight(ref: TensorRef | np.ndarray) -> bool:
    """Whether it has several numbers with a point; a counter or a random state has not."""
    if isinstance(ref, np.ndarray):
        return ref.ndim > 0 and ref.dtype.kind == "f"
    return len(ref.shape) > 0 and "float" in ref.dtype


def _only(path: Path, entries: Mapping[str, _Entry]) -> _Entry:
    """The one state dict of a file, or the one whose name is usual and that no other resembles.

    Raises:
        ModelError: two of them may be meant.
    """
    if len(entries) == 1:
        return next(iter(entries.values()))
    usual = [entry for name, entry in entries.items() if name.rpartition(".")[2] in _PRIMARY]
    if len(usual) == 1:
        names = _last_parts(usual[0])
        if not any(other is not usual[0] and _last_parts(other) & names
                   for other in entries.values()):  # fmt: skip
            return usual[0]
    raise ModelError(
        f"{path}: holds several state dicts, and one must be chosen; {_offered(entries)}; say "
        f"initialize: {{file: {path}, entry: {next(name for name in entries if name)}}}"
    )


def _last_parts(entry: _Entry) -> set[str]:
    """Names by their last two parts, so that prefixes do not count."""
    return {".".join(name.split(".")[-2:]) for name in entry.tensors}


def _offered(entries: Mapping[str, _Entry]) -> str:
    if not entries:
        return "it has none"
    listed = [f"{name or '(the file itself)'} ({len(entry.tensors)} tensors)"
              for name, entry in entries.items()]  # fmt: skip
    return f"it has {_few(listed)}"


def _notes(value: object, chosen: _Entry) -> Iterator[str]:
    top = [str(key) for key in _mapping(value) or {}]
    if chosen.path:
        beside = [key for key in top if key != chosen.path.split(".", 1)[0]]
        left = f"; left out: {_few(beside)}" if beside else ""
        yield f"its entry {chosen.path} was taken{left}"
    if chosen.others:
        yield f"left out, since they are no plain tensors: {_few(chosen.others)}"


def _no_state_dict(value: object) -> str:
    """Why a file's content holds no weights that can be taken."""
    top = _mapping(value)
    for key, item in {"": value, **(top or {})}.items():
        if isinstance(item, StandIn) and _is_module(item.state):
            where = f"holds a whole pickled network under {key!r}" if key else (
                "is a whole pickled network"
            )  # fmt: skip
            return (f"{where} (of the class {item.name}), which only the code that made it can "
                    f"open; nothing in it was run; where it was made, {_SAVE}")  # fmt: skip
    if top is not None:
        if any("_packed_params" in str(key) for key in top):
            return "holds quantised weights, which are not read; save those before quantisation"
        stand_ins = sorted({item.name for item in top.values() if isinstance(item, StandIn)})
        wants = f" (it wants to make {_few(stand_ins)})" if stand_ins else ""
        return (f"holds no state dict (names → tensors), and nothing in it was run; it has "
                f"{_few([str(key) for key in top]) or 'nothing'}{wants}")  # fmt: skip
    name = value.name if isinstance(value, StandIn) else type(value).__name__
    if isinstance(value, TensorRef):
        name = "single tensor"
    return f"holds a {name}, not a state dict (names → tensors), and nothing in it was run"


def _is_module(state: object) -> bool:
    return isinstance(state, dict) and "_parameters" in state and "_modules" in state


# -- safetensors, and what is no file of weights ---------------------------------------------


def _is_safetensors(head: bytes) -> bool:
    """A length of 8 bytes, then JSON."""
    return len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as err:
        raise ModelError(f"{path}: is no safetensors file, or a damaged one ({err})") from err


def _what_it_is(head: bytes, path: Path) -> str:
    """What a file is that holds no weights of PyTorch, by its first bytes."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        size = re.search(rb"^size (\d{1,15})", head, re.M)
        of = f" ({int(size[1]):,} bytes)" if size else ""
        return (f"is a pointer of Git LFS to the weights{of}, not the weights themselves; fetch "
                "them with git lfs pull")  # fmt: skip
    for begin, what in _BEGINS:
        if head.startswith(begin):
            return what
    if text[:1] == b"<":
        title = re.search(rb"<title[^>]*>([^<]{1,80})", head, re.I)
        shown = f" ({title[1].decode('utf-8', 'replace').strip()})" if title else ""
        return f"is a web page{shown}, not weights; the address must give the file itself"
    if text[:1] in (b"{", b"["):
        return _of_json(path)
    if head[257:262] == b"ustar":
        return ("is a tar archive; if it holds weights, unpack them; torch's own files of 2016 "
                "must be saved anew by torch.save")  # fmt: skip
    if b"onnx" in head or (head[:1] == b"\x08" and b"pytorch" in head) or path.suffix == ".onnx":
        return f"is an ONNX file, a program with its weights; where it was made, {_SAVE}"
    if head[4:8] == b"TFL3" or path.suffix in (".pb", ".tflite", ".index", ".msgpack", ".mlmodel"):
        return "is a file of TensorFlow, Flax or Core ML; weights of PyTorch are read"
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return f"is a text that begins {head[:40].decode('ascii')!r}, not weights"
    return ("holds no weights that can be read, by its first bytes; safetensors and what "
            f"torch.save writes are read: {_SAVE}")  # fmt: skip


def _of_json(path: Path) -> str:
    """Of an index of shards, or of what a server answered."""
    content = None
    if path.stat().st_size <= _MOST_JSON:
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            content = None
    if isinstance(content, dict) and isinstance(content.get("weight_map"), dict):
        shards = sorted({str(name) for name in content["weight_map"].values()})
        return (f"is the index of weights in {len(shards)} files ({_few(shards)}); one file is "
                "read: write them into one with safetensors or torch.save")  # fmt: skip
    if isinstance(content, dict):
        for key in ("error", "message", "detail", "msg"):
            if isinstance(content.get(key), str):
                return f"is the answer of a server, not weights: {content[key][:120]}"
    return "is JSON, not weights"


def _few(names: list[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:_N_SHOWN])
    return shown + (f" and {len(names) - _N_SHOWN} more" if len(names) > _N_SHOWN else "")
