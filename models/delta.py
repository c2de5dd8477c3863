"""Files of weights that hold only what differs from a start, written and put together again.

In: a state dict and the start that its training had; or the path of any file of weights. Out: a
safetensors file with the tensors that differ, bit by bit, and a record of the others
(`delta_record.py`); or all tensors. Every reader of weights comes through `open_whole`, so none has
to know which kind a file is. It stands alone because it is the only place that knows both kinds.

Exact: a tensor is left out only where the start has the same bits, looked at when the file is
written. Read again, the start must have its digest, and all tensors together the digest of the
whole file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG

import torch
from torch import Tensor

from headstart.errors import InputError, ModelError
from headstart.files import atomic_file
from models.build import build_model
from models.delta_record import (
    KEY,
    DeltaRecord,
    DrawnStart,
    FileStart,
    digest_of_bytes,
    digest_of_weights,
    read_record,
)
from models.weight_files import Weights, open_weights

STARTS = "starts"  # folder of a run: copies of start files, for a machine that lacks them
MOST_STARTS = 8  # that one file may lead to, each by the one before


@dataclass(frozen=True)
class Start:
    """What a training started from, and where this process reads it.

    Attributes:
        record: how a file of differences names it; a file's digest is filled in when it is read.
        path: the file; None where the weights are drawn.
    """

    record: FileStart | DrawnStart
    path: Path | None = None


def open_whole(path: Path | str, entry: str = "") -> Weights:
    """All tensors of a file of weights, on the CPU, whichever kind of file it is.

    Args:
        entry: as of `open_weights`.

    Raises:
        ModelError: as of `open_weights`; of a file of differences also that its start is not
            there, is another one, or is drawn otherwise here.
    """
    return _whole(Path(path), entry, MOST_STARTS)


def save_difference(state: Mapping[str, Tensor], path: Path, start: Start) -> int:
    """Write the tensors of a state dict that differ from the start; all where none is the same.

    Returns how many tensors were left out.

    Raises:
        InputError: the start cannot be read; nothing was written.
        StorageError: the disk is full.
    """
    record, tensors = _read_start(start)
    same = {name: place for name, value in state.items() if (place := _place(name, value, tensors))}
    content = to_bytes(state)
    if same:
        delta = DeltaRecord(
            start=record, same=same, whole=digest_of_bytes(content), torch=torch.__version__
        )
        rest = {name: value for name, value in state.items() if name not in same}
        content = to_bytes(rest, {KEY: delta.model_dump_json()})
    write_content(content, path)
    return len(same)


def whole_content(path: Path) -> bytes:
    """The content of the file that holds all tensors, for programs that know no other kind.

    Raises:
        ModelError: as of `open_whole`.
    """
    if read_record(path) is None:
        return path.read_bytes()
    return to_bytes(open_whole(path).tensors)


def to_bytes(state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """A state dict as the content of a safetensors file."""
    from safetensors.torch import save

    # Copies: safetensors refuses tensors that share memory, and wants them contiguous.
    tensors = {key: _own_copy(tensor) for key, tensor in state.items()}
    return bytes(save(tensors, None if metadata is None else dict(metadata)))


def _own_copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def write_content(content: bytes, path: Path | str) -> None:
    """Write the content of a safetensors file, atomically.

    Raises:
        StorageError: the disk is full.
    """
    with atomic_file(path, "wb") as file:  # safetensors' own writer hides that a disk is full
        file.write(content)


# -- the start, when a file is written --------------------------------------------------------


def _read_start(start: Start) -> tuple[FileStart | DrawnStart, Mapping[str, Tensor]]:
    if isinstance(start.record, DrawnStart):
        return start.record, _drawn(start.record)
    assert start.path is not None
    try:
        digest = digest_of_weights(start.path)
    except OSError as err:
        raise ModelError(f"{start.path}: weights cannot be read: {err.strerror}") from err
    record = start.record.model_copy(update={"digest": digest})
    return record, open_whole(start.path, record.entry).tensors


def _place(name: str, value: Tensor, tensors: Mapping[str, Tensor]) -> tuple[str, str] | None:
    """Where the start has the same bits: the name there, and the type that they are turned to."""
    kind = str(value.dtype).removeprefix("torch.")
    places = [name] if name in tensors else [n for n in tensors if n.endswith(f".{name}")]
    for place in places:
        other = tensors[place]
        if other.shape == value.shape and _bits(other.to(value.dtype)).equal(_bits(value)):
            return place, kind
    return None


def _bits(tensor: Tensor) -> Tensor:
    """uint8 (n,): NaN is then equal to itself, and 0 is not -0."""
    return _own_copy(tensor).reshape(-1).view(torch.uint8)


def _drawn(start: DrawnStart) -> Mapping[str, Tensor]:
    return build_model(
        start.model,
        n_classes=start.n_classes,
        image_size=start.image_size,
        channels=start.channels,
        init_seed=start.init_seed,
        head_seed=start.head_seed,
        options=start.options,
    ).state_dict()


# -- put together -----------------------------------------------------------------------------


def _whole(path: Path, entry: str, n_left: int) -> Weights:
    record = read_record(path)
    if record is None:
        return open_weights(path, entry)
    if n_left == 0:
        raise ModelError(f"{path}: holds what differs from a start, which holds what differs from "
                         f"another, over {MOST_STARTS} times")  # fmt: skip
    own = open_weights(path, entry).tensors
    start = _start_of(path, record, n_left)
    together = dict(own)
    for name, (place, kind) in record.same.items():
        dtype = getattr(torch, kind, None)
        if place not in start or not isinstance(dtype, torch.dtype):
            raise ModelError(f"{path}: its start has no tensor {place} of type {kind}")
        together[name] = start[place].to(dtype)
    if digest_of_bytes(to_bytes(together)) != record.whole:
        raise ModelError(f"{path}: {_other_bits(record)}")
    return Weights(together)


def _other_bits(record: DeltaRecord) -> str:
    if isinstance(record.start, FileStart):
        return "with its start it comes to other weights than those that were saved"
    return (f"holds what differs from random weights, and torch {torch.__version__} draws other "
            f"ones here than torch {record.torch} did; read it with that version")  # fmt: skip


def _start_of(path: Path, record: DeltaRecord, n_left: int) -> Mapping[str, Tensor]:
    if isinstance(record.start, DrawnStart):
        try:
            return _drawn(record.start)
        except InputError as err:
            raise ModelError(f"{path}: its random start cannot be drawn: {err}") from err
    wanted, others = record.start, []
    for place in _places(path, wanted.path):
        if not _is_regular(place):
            continue
        if (digest := _digest(place)) == wanted.digest:
            return _whole(place, wanted.entry, n_left - 1).tensors
        others.append((place, digest))
    holds = f"{path}: holds only what differs from the weights that its trial started from"
    if others:
        place, digest = others[0]
        raise ModelError(
            f"{holds}, and {place} is another file now (BLAKE2b {wanted.digest[:12]}… is expected, "
            f"it has {digest[:12]}…); put the earlier one back, or into a folder {STARTS} in the "
            "run folder"
        )
    raise ModelError(
        f"{holds}: {wanted.path} (BLAKE2b {wanted.digest[:12]}…), which is not there; put it back, "
        f"or into a folder {STARTS} in the run folder"
    )


def _places(path: Path, start: str) -> Iterator[Path]:
    """Where a start may lie: at its path, or in `starts/` of a folder above the file."""
    above = list(dict.fromkeys((*path.absolute().parents, *path.resolve().parents)))
    if Path(start).is_absolute():
        yield Path(start)
    elif ".." not in Path(start).parts:
        yield from (folder / start for folder in above)
    yield from (folder / STARTS / Path(start).name for folder in above)


def _is_regular(path: Path) -> bool:
    """A pipe or a device that a stranger's file names is not opened."""
    try:
        return S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _digest(path: Path) -> str:
    status = path.stat()
    try:
        return _digest_of(path, status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError as err:
        raise ModelError(f"{path}: weights cannot be read: {err.strerror}") from err


@lru_cache(maxsize=256)
def _digest_of(path: Path, *_as_it_is: int) -> str:
    """Many files have one start: it is read through once."""
    return digest_of_weights(path)
