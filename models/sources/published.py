"""The published weights of a network of timm or transformers: where their file lies.

In: a name and the folders to look in. Out: a path. Looked for offline first: in the data folder, in
the caches of the hub and of torch, then on the hub. Of transformers' networks safetensors alone
are taken. Reading is `weight_files.py`'s, which runs nothing in a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from headstart.caches import expanded
from headstart.errors import ModelError, WeightsNotFoundError
from models.sources.hub import cached, file_of
from models.sources.options import HF
from models.sources.timm_networks import Configuration, configuration

_ENDS = (".safetensors", ".pth", ".bin")


def locate_published(name: str, *, weights_dir: Path, allow_download: bool) -> Path:
    """The file of weights that a network of timm or transformers was published with.

    Raises:
        ModelError: nothing was published under this name.
        WeightsNotFoundError: it is not here and cannot be fetched; says what to put where.
    """
    if name.startswith(HF):
        return _of_transformers(name, allow_download)
    chosen = configuration(name)
    if chosen is None or not (chosen.hf_hub_id or chosen.url):
        raise ModelError(f"{name}: timm has no published weights of it; give a stage, a file or "
                         "a run")  # fmt: skip
    full = f"{chosen.architecture}.{chosen.tag}" if chosen.tag else str(chosen.architecture)
    for path in (*_by_hand(weights_dir, full, str(chosen.architecture)), *_in_caches(chosen)):
        if path.is_file():
            return path
    wanted = weights_dir / f"{full}.safetensors"
    return _fetched(name, chosen.hf_hub_id, f"put them at {wanted} (or .pth)", allow_download)


def _by_hand(folder: Path, full: str, architecture: str) -> Iterator[Path]:
    """`NAME.TAG` in the data folder; of ImageNet weights `NAME_imagenet` too."""
    for end in _ENDS:
        yield folder / f"{full}{end}"
    yield folder / full / "model.safetensors"
    if "in1k" in full or full == architecture:
        for end in _ENDS:
            yield folder / f"{architecture}_imagenet{end}"


def _in_caches(chosen: Configuration) -> Iterator[Path]:
    for file in (chosen.hf_hub_filename, "model.safetensors", "pytorch_model.bin"):
        if chosen.hf_hub_id and file and (path := cached(chosen.hf_hub_id, file)):
            yield path
    if chosen.url:
        yield _hub_of_torch() / "checkpoints" / chosen.url.rpartition("/")[2]


def _hub_of_torch() -> Path:
    """As `torch.hub.get_dir` says, which takes a second to import."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return expanded(os.environ.get("TORCH_HOME", os.path.join(caches, "torch"))) / "hub"


def _of_transformers(name: str, allow_download: bool) -> Path:
    source = name.removeprefix(HF)
    if Path(source).expanduser().is_dir():
        path = file_of(source, "model.safetensors", name)
        if path is None:
            raise ModelError(f"{name}: the folder has no model.safetensors, and of transformers' "
                             "networks safetensors alone are read")  # fmt: skip
        return path
    if path := cached(source, "model.safetensors"):
        return path
    return _fetched(name, source, f"{HF} is followed by a folder, too", allow_download)


def _fetched(name: str, source: str | None, advice: str, allow_download: bool) -> Path:
    text = f"{name}: its published weights are not on this machine"
    if not (allow_download and source):
        raise WeightsNotFoundError(f"{text}; {advice}", advice)
    try:
        path = file_of(source, "model.safetensors", name)
    except ModelError as err:
        failed = f"fetching them from the hub failed; {advice}"
        raise WeightsNotFoundError(f"{text}, and {failed}", failed) from err
    if path is None:
        raise ModelError(f"{name}: the hub has no model.safetensors of it; {advice}")
    return path
