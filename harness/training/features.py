"""The frozen front of a network, computed once for each image instead of in every step.

In: a trial's network, its data and its split. Out: the tail that is left to train, and the parts of
the data as rows of feature tables. `harness.sweepfile.frozen` has the rule which trials run so.

A table holds one official part of a data set, or what the trial uses of it, in the set's order,
computed in chunks of fixed size. So its bits depend on its content and not on the trial that asked
first. All epochs, seeds and search trials that share weights and images share the table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from datasets import augment
from datasets.base import Dataset
from datasets.split import Split
from harness.seeds import derive_seed
from harness.training.arrays import Part, Parts
from harness.training.context import StopAsked
from harness.training.feature_file import Chunks, TableShape
from harness.training.feature_store import FeatureStore
from harness.training.loop import forward_in_parts
from harness.training.memory import halved_until_it_fits, images_at_once
from harness.training.network import Prepared
from harness.training.sixteen_bits import SIXTEEN_BITS
from harness.training.streaming import ReadAhead
from harness.trials.spec import TrialSpec
from headstart.errors import ModelError
from models.split import split_at

AHEAD = 1  # chunks; two of 256 images of 224² are 77 MB
CHUNK = 256  # images computed at once, or fewer large ones; a part of what decides the bits
CPU_PART = 64  # images of a chunk at once on a CPU: up to 1.5 times as fast, the same bits
FORMAT = 1  # of the tables: raise it when the same key gives other numbers


@dataclass(eq=False, repr=False)
class Front:
    """The frozen front of one trial, computed or read from the store.

    Attributes:
        tail: features → logits, what is left to train; its parameters are the network's own.
        parts: training, validation and test part as rows of feature tables.
        record: what `trial.json` says of it.

    Raises:
        ModelError: the network cannot be cut; the message says what to set instead.
        InputError: the features take more than the store may hold.
        StopAsked: `should_stop` said so; what was computed of a table is removed.
    """

    spec: TrialSpec
    prepared: Prepared
    dataset: Dataset
    split: Split
    accelerator: Accelerator
    store: FeatureStore
    should_stop: Callable[[], bool]

    def __post_init__(self) -> None:
        self.train = self.spec.condition.train
        network, groups, n = self.prepared.network, self.prepared.groups, self.prepared.n_frozen
        try:
            prefix, self.tail = split_at(network, groups, n)
        except ModelError as err:
            instead = "set train: {cache_frozen: false}"
            raise ModelError(f"{err}. Its frozen part cannot be computed once; {instead}") from err
        self.prefix = prefix.eval()
        self.source = ReadAhead(self.dataset.images, self.accelerator.device, AHEAD)
        self.groups = [group.name for group in groups[:n]]
        self.shape, self.chunk = self._shape_and_chunk()
        self.identity = self._identity()
        self.parts = self._parts()
        self.record: dict[str, object] = {
            "cached": True,
            "features": list(self.shape),
            "precision": self.train.cache_precision,
            "views": self.parts.train.n_views,
            "groups": self.groups,
        }

    def _shape_and_chunk(self) -> tuple[torch.Size, int]:
        """Shape of an image's features, and how many images are computed at once."""

        def shape_of(n: int) -> torch.Size:
            return self._apply(self._images(np.arange(min(n, len(self.dataset.labels))))).shape[1:]

        device = self.accelerator.device
        if device.type == "cpu":
            return shape_of(1), CHUNK
        return halved_until_it_fits(
            shape_of, min(CHUNK, images_at_once(self.spec.data.image_size, device))
        )

    def _parts(self) -> Parts:
        """Each part of the split as rows of a table."""
        split = self.split
        views = None if self.train.augment.is_identity else self.train.frozen_views
        plain = [split.validation, split.test]
        if views is None:
            plain.append(split.train)
        tables = [(t, self._table(t)) for t in table_indices(self.dataset, plain)]
        return Parts(
            self._views(split.train, views) if views else self._part(split.train, tables),
            self._part(split.validation, tables),
            self._part(split.test, tables),
        )

    def _part(self, indices: np.ndarray, tables: Sequence[tuple[np.ndarray, Tensor]]) -> Part:
        device = self.accelerator.device
        held, table = next(t for t in tables if np.isin(indices, t[0]).all())
        labels = torch.from_numpy(np.ascontiguousarray(self.dataset.labels[indices])).to(device)
        rows = torch.from_numpy(np.searchsorted(held, indices)).to(device)
        return Part(table, labels, indices, rows)

    def _views(self, indices: np.ndarray, n_views: int) -> Part:
        """The training part in fixed augmented views, drawn once from the augmentation stream."""
        held = np.sort(indices)
        stream = self.spec.streams["augment"]
        settings = self.train.augment.model_dump(mode="json")
        key = {"indices": _hash(held.tobytes()), "views": n_views, "augment": settings}

        def chunks() -> Iterator[Tensor]:
            for view in range(n_views):
                draws = torch.Generator(device=self.accelerator.device)
                draws.manual_seed(derive_seed(stream, "view", view))
                yield from self._chunks(held, draws)

        table = self._stored({**key, "stream": stream}, n_views * len(held), chunks)
        return replace(self._part(indices, [(held, table)]), n_views=n_views)

    def _table(self, held: np.ndarray) -> Tensor:
        chunks = partial(self._chunks, held)
        return self._stored({"indices": _hash(held.tobytes())}, len(held), chunks)

    def _stored(self, what: dict[str, object], n_rows: int, chunks: Chunks) -> Tensor:
        content = json.dumps({**self.identity, **what}, sort_keys=True, default=str)
        shape = TableShape((n_rows, *self.shape), self.train.cache_precision)
        return self.store.get(_hash(content.encode()), shape, chunks, self.accelerator.device)

    def _chunks(self, held: np.ndarray, draws: torch.Generator | None = None) -> Iterator[Tensor]:
        """Features of the images `held`, in their order, at most `chunk` rows (n, …) at a time."""
        chunks = np.split(held, range(self.chunk, len(held), self.chunk))
        self.source.follow(chunks)
        for rows in chunks:
            if self.should_stop():
                raise StopAsked
            yield self._apply(self._images(rows, draws))

    def _images(self, indices: np.ndarray, draws: torch.Generator | None = None) -> Tensor:
        images = self.source.at(indices)
        images = images.expand(-1, self.dataset.images.shape[1], -1, -1).contiguous()
        if draws is None:
            return self.prepared.normalise.images(images)
        size = (images.shape[2], images.shape[3])
        shown = self.prepared.normalise.size
        drawn = augment.draw(self.train.augment, len(images), size, draws, shown)
        return self.prepared.normalise.unit_images(augment.apply(images.float().div_(255), drawn))

    def _apply(self, images: Tensor) -> Tensor:
        precision, device = self.train.precision, images.device.type
        name = SIXTEEN_BITS.get(precision)
        autocast = torch.autocast(device, getattr(torch, name)) if name else nullcontext()
        with torch.inference_mode(), autocast:
            return forward_in_parts(self.prefix, images, precision, CPU_PART)

    def _identity(self) -> dict[str, object]:
        """All that decides a table's bits beside the images that it holds."""
        device, normalise = self.accelerator.device, self.prepared.normalise
        return {
            "format": FORMAT,
            "chunk": self.chunk,
            "model": self.spec.condition.model.hashed(),
            "groups": self.groups,
            "weights": weights_hash(self.prefix.state_dict()),
            "normalise": [t.flatten().tolist() for t in (normalise.scale, normalise.shift)],
            "data": self.dataset.fingerprint,
            "precision": [self.train.precision, self.train.cache_precision],
            "threads": self.train.threads,
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(device)
            if device.type == "cuda"
            else torch.backends.cpu.get_cpu_capability(),
        }


def table_indices(dataset: Dataset, used: list[np.ndarray]) -> list[np.ndarray]:
    """Which images each table holds: int64 indices in ascending order, disjoint.

    One table for each official part of the set (and one for what is in none): the whole part where
    at least half of it is used, so that trials with other splits share the table, else what is
    used. Where one of the `used` index arrays lies in several official parts, one table holds all.
    """
    wanted = _mask(dataset, np.concatenate(used))
    segments = [_mask(dataset, indices) for indices in dataset.parts.values()]
    segments.append(~np.logical_or.reduce([np.zeros_like(wanted), *segments]))
    if any(not any(segment[indices].all() for segment in segments) for indices in used):
        segments = [np.ones_like(wanted)]
    tables = []
    for segment in segments:
        wanted_of_it = segment & wanted
        if wanted_of_it.any():
            is_mostly_wanted = 2 * wanted_of_it.sum() >= segment.sum()
            tables.append(np.flatnonzero(segment if is_mostly_wanted else wanted_of_it))
    return tables


def _mask(dataset: Dataset, indices: np.ndarray) -> np.ndarray:
    """bool (N,): which of all images are among `indices`."""
    mask = np.zeros(len(dataset.labels), dtype=bool)
    mask[indices] = True
    return mask


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """A hash of names, types, shapes and bits of a state dict."""
    content = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        content.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        content.update(flat.numpy().tobytes())
    return content.hexdigest()


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
