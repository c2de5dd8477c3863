"""Weights on disk and into a network: safetensors written, safetensors and .pth files read.

Nothing read here can run code: .pth files are read with `weights_only=True`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from headstart.errors import ModelError
from headstart.files import atomic_file
from models.groups import LayerGroup

_N_SHOWN = 3  # mismatching keys in a message


@dataclass(frozen=True)
class LoadReport:
    """What became of a file's tensors, as state-dict keys.

    Attributes:
        loaded: taken from the file.
        new: of the network, not in the file or not taken from it: as they were drawn.
        left_out: of the file, not used.
        summed: loaded, but first added up over their three input channels.
    """

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]
    summed: tuple[str, ...] = ()


def save_weights(weights: nn.Module | Mapping[str, Tensor], path: Path | str) -> None:
    """Write a network's state dict (or one that is given) as safetensors, atomically.

    Raises:
        StorageError: the disk is full.
    """
    from safetensors.torch import save

    state = weights.state_dict() if isinstance(weights, nn.Module) else weights
    # Copies: safetensors refuses tensors that share memory, and wants them contiguous.
    tensors = {key: _own_copy(tensor) for key, tensor in state.items()}
    with atomic_file(path, "wb") as file:  # safetensors' own writer hides that a disk is full
        file.write(save(tensors))


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pth or .pt file, on the CPU.

    Raises:
        ModelError: there is no such file, it is damaged, or it holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pth", ".pt"):
        return _read_pickled(path)
    raise ModelError(f"{path}: weights are read from .safetensors, .pth and .pt files only")


def load_into(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    head: Literal["new", "keep"],
    groups: Sequence[LayerGroup],
) -> LoadReport:
    """Copy `state` into `model`; its last layer group is taken (`keep`) or left as drawn (`new`).

    A first layer that takes grey images accepts one that takes colour: its weights are summed.

    Raises:
        ModelError: tensors are missing, of another shape, unknown or not finite; nothing was
            copied then.
    """
    own = model.state_dict()
    of_head = {*groups[-1].parameters, *groups[-1].buffers}
    skipped = of_head if head == "new" else set()
    given = {key: tensor for key, tensor in state.items() if key not in skipped}
    summed = tuple(key for key in given if key in own and _sums_to(given[key], own[key]))
    for key in summed:
        given[key] = given[key].sum(1, keepdim=True)
    mistakes = _mismatches({k: t for k, t in own.items() if k not in skipped}, given)
    if mistakes:
        raise ModelError(_message(mistakes, of_head, head))
    with torch.no_grad():
        for key in given:
            own[key].copy_(given[key])
    return LoadReport(
        loaded=tuple(key for key in own if key in given),
        new=tuple(key for key in own if key not in given),
        left_out=tuple(key for key in state if key not in given),
        summed=summed,
    )


def _own_copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as err:
        raise ModelError(f"{path}: is no safetensors file, or a damaged one ({err})") from err


def _read_pickled(path: Path) -> dict[str, Tensor]:
    try:
        _check_members(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # a hostile or torn pickle can raise anything
        reason = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
        raise ModelError(
            f"{path}: cannot be read as plain weights, and nothing in it was run: {reason}"
        ) from err
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in content.items()
    ):
        raise ModelError(
            f"{path}: holds a {type(content).__name__}, not a state dict (names → tensors)"
        )
    return dict(content)


def _check_members(path: Path) -> None:
    """torch stores what it writes: a packed member would unpack to any size.

    Raises:
        ValueError: a member of a zip file takes more than the file has.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(info.file_size for info in archive.infolist())
        if n_bytes > path.stat().st_size:
            raise ValueError(f"it unpacks to {n_bytes:,} bytes; weights are stored, not packed")


def _sums_to(given: Tensor, own: Tensor) -> bool:
    """Whether `given` is a convolution over colour where `own` is the same over grey."""
    return (
        given.dim() == own.dim() == 4
        and given.shape[1] == 3
        and own.shape == (given.shape[0], 1, *given.shape[2:])
    )


def _mismatches(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """(key, what is wrong) in the network's order, then what only the file has."""
    mismatches = []
    for key, tensor in own.items():
        if key not in given:
            mismatches.append((key, f"{key} is not in the file"))
        elif given[key].shape != tensor.shape:
            shapes = f"{list(given[key].shape)} in the file, {list(tensor.shape)} in the network"
            mismatches.append((key, f"{key} is {shapes}"))
        elif _is_broken(given[key], tensor):
            mismatches.append((key, f"{key} holds values that are not finite (NaN or infinity)"))
    unknown = ((key, f"{key} is not in the network") for key in given if key not in own)
    return [*mismatches, *unknown]


def _is_broken(given: Tensor, own: Tensor) -> bool:
    """Whether a value is not finite where a fresh network's is: a mask may hold infinities."""
    return given.is_floating_point() and bool((~given.isfinite() & own.isfinite()).any())


def _message(mistakes: Sequence[tuple[str, str]], of_head: Iterable[str], head: str) -> str:
    shown = "; ".join(what for _, what in mistakes[:_N_SHOWN])
    more = f" and {len(mistakes) - _N_SHOWN} more" if len(mistakes) > _N_SHOWN else ""
    only_head = head == "keep" and {key for key, _ in mistakes} <= set(of_head)
    advice = ": head: new gives it a fresh one" if only_head else ""
    return f"the weights do not fit the network: {shown}{more}{advice}"
