"""ImageNet weights for torchvision's networks: from the data folder, else a cache, else fetched.

In: a network's name and the folders to look in. Out: a file's path, then its tensors under the
network's own keys. Where a file lies is found without torch, wherever it is known before.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.cli import say_once
from headstart.digests import digest_of_file
from headstart.errors import ModelError, WeightsNotFoundError
from models.catalog import TorchvisionNetwork, find_network
from models.sources.options import is_source
from models.sources.published import locate_published

if TYPE_CHECKING:
    from torch import Tensor

CONNECT_TIMEOUT_S = 10.0
_CHECKSUM = re.compile(r"-([0-9a-f]{8,})\.")


def locate_imagenet(
    name: str, *, weights_dir: Path, cache_dir: Path, allow_download: bool = True
) -> Path:
    """The file of ImageNet weights for torchvision's network `name`, or another library's.

    Of timm's and transformers' networks it is what they were published with (`sources/published`).
    A torchvision network's is looked for as `NAME_imagenet.safetensors` or `.pth` in `weights_dir`,
    then among what was fetched before (`cache_dir`/weights), then fetched from the address that
    torchvision's enum gives, whose file name has the beginning of its SHA-256: a fetched file that
    is damaged is said and fetched anew. Where torchvision offers several, the first
    (`IMAGENET1K_V1`) is taken, so that a new version of torchvision changes nothing.

    Raises:
        ModelError: no such network or no such weights.
        WeightsNotFoundError: they are not here and cannot be fetched; says what to put where.
    """
    network = find_network(name)
    if is_source(name):
        return locate_published(name, weights_dir=weights_dir, allow_download=allow_download)
    if not isinstance(network, TorchvisionNetwork):
        raise ModelError(f"{name}: there are no ImageNet weights for this network, only for those "
                         "of torchvision, timm and transformers; give a stage, a file or a "
                         "run")  # fmt: skip
    wanted = weights_dir / f"{name}_imagenet.safetensors"
    for path in (wanted, wanted.with_suffix(".pth")):
        if path.is_file():
            return path
    url = _address(name)
    fetched = cache_dir / "weights" / url.rpartition("/")[2]
    if fetched.is_file() and _has_its_checksum(fetched):
        return fetched
    advice = f"put the weights at {wanted} (or .pth), or at {fetched}"
    if fetched.is_file():
        say_once(f"{fetched}: damaged: it has not the checksum that its name says")
    if not allow_download:
        raise WeightsNotFoundError(
            f"{name}: its ImageNet weights are not on this machine; {advice}", advice
        )
    try:
        _fetch(url, fetched)
    except (OSError, RuntimeError) as err:  # RuntimeError: another checksum
        failed = f"fetching {url} failed ({err}); {advice}"
        raise WeightsNotFoundError(
            f"{name}: its ImageNet weights are not on this machine, and {failed}", failed
        ) from err
    return fetched


def read_imagenet(name: str, path: Path, image_size: tuple[int, int]) -> dict[str, Tensor]:
    """The tensors of a file that `locate_imagenet` gave, as `build_model` names them.

    Auxiliary heads are dropped, old DenseNet keys renamed, and a vision transformer's position
    embedding is interpolated to `image_size` (height, width).

    Raises:
        ModelError: the file cannot be read.
    """
    from models.fitting import AUXILIARY, OLD_DENSENET  # torch
    from models.weights import read_weights

    if is_source(name):
        return read_weights(path)
    state = {
        OLD_DENSENET.sub(r"\1\2", key): tensor
        for key, tensor in read_weights(path).items()
        if not AUXILIARY.match(key)
    }
    return _resized(name, state, image_size) if name.startswith("vit_") else state


def _address(name: str) -> str:
    from torchvision.models import get_model_weights

    offered: Any = list(get_model_weights(name))
    if not offered:
        raise ModelError(f"{name}: torchvision offers no ImageNet weights for this network")
    return str(offered[0].url)


def _has_its_checksum(path: Path) -> bool:
    """Whether a fetched file has the SHA-256 whose beginning is in its name."""
    checksum = _CHECKSUM.search(path.name)
    status = path.stat()
    unchanged = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return checksum is None or _digest(path, unchanged).startswith(checksum[1])


@cache
def _digest(path: Path, unchanged: tuple[int, ...]) -> str:
    """Read once in a process, while the system says that the file is `unchanged`."""
    return digest_of_file(path)


def _fetch(url: str, path: Path) -> None:
    from torch import hub

    path.parent.mkdir(parents=True, exist_ok=True)
    checksum = _CHECKSUM.search(path.name)
    with _connect_timeout(CONNECT_TIMEOUT_S):
        hub.download_url_to_file(url, str(path), checksum and checksum[1], progress=False)


@contextmanager
def _connect_timeout(seconds: float) -> Iterator[None]:
    """torch.hub takes no timeout, so the sockets' default is lent to it."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _resized(name: str, state: dict[str, Tensor], image_size: tuple[int, int]) -> dict[str, Tensor]:
    from torchvision.models.vision_transformer import interpolate_embeddings

    patch = state["conv_proj.weight"].shape[-1]
    try:
        return dict(interpolate_embeddings(image_size[0], patch, state))
    except ValueError as err:
        raise ModelError(f"{name}: its weights cannot be fitted to {image_size}: {err}") from err
