"""What a start makes of images before it is tuned: features, and answers of the head that it has.

In: a trial of a start, its data set, the images that may be looked at. Out: `Extract`. Features are
those of the layer before the head, from the same tables as those of trials with a frozen front. So
a start whose last layer alone was trained costs nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from datasets.base import Dataset
from datasets.split import Split, split_dataset
from harness.seeds import derive_seed
from harness.training.context import TrialContext
from harness.training.features import Front
from harness.training.network import (
    Prepared,
    StartWeights,
    build_network,
    normalise_of,
    planned_start,
)
from harness.training.process import make_accelerator, set_up_process
from harness.trials.spec import TrialSpec
from headstart.errors import ModelError
from headstart.metrics import WITHOUT_ACCURACY
from models import finetune
from models.forms import Unfreezing

CHUNK = 256  # rows that are read from a table at once
RANDOM = "its weights are drawn at random, and so is its head"
OTHER_HEAD = "its file has no head of this network's layers"
Groups = tuple[finetune.LayerGroup, ...]


@dataclass(frozen=True)
class Extract:
    """features: float32 (n, d). labels: int64 (n,), the classes that occur, from 0 without gaps.
    wanted: float64 (n, outputs), of a target without classes what they stand for; else None.
    probabilities: float32 (n, z) of the start's own head; None where it has none, for `reason`."""

    features: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray | None
    reason: str = ""
    wanted: np.ndarray | None = None


def extract(spec: TrialSpec, trials: Path, context: TrialContext, most: int) -> Extract:
    """Of at most `most` training and validation images of the trial's split, never of test images.

    `trials` is the folder in which the trials of stages lie.

    Raises:
        ModelError: weights that do not fit, or a network that cannot be cut before its head.
    """
    settings = spec.condition.train
    plain = type(settings).model_fields["augment"].default
    train = settings.model_copy(
        update={"augment": plain, "frozen_views": None, "cache_precision": "float32"}
    )
    spec = replace(spec, condition=spec.condition.model_copy(update={"train": train}))
    set_up_process(train)
    accelerator = make_accelerator(train.precision, context.device)
    dataset = context.catalogue.open(spec.data)
    chosen = _chosen(spec, dataset, most)
    network, groups, reason = _started(spec, trials)
    network.to(accelerator.device).eval()
    head = groups[-1]
    tuned = finetune.Tuned(
        groups, Unfreezing.at_once([head.name]), frozenset(head.parameters), "all"
    )
    prepared = Prepared(
        network=network, tuned=tuned, n_frozen=len(groups) - 1,
        normalise=normalise_of(spec, accelerator.device), parameter_groups=[],
        before_epoch=lambda _: None, n_trainable=0, load_report={},
    )  # fmt: skip
    none = chosen[:0]
    split = Split(chosen, none, none)
    front = Front(spec, prepared, dataset, split, accelerator, context.features, lambda: False)
    part = front.parts.train
    features, answers = [], []
    for start in range(0, len(part), CHUNK):
        rows = part.between(start, min(start + CHUNK, len(part)))
        features.append(pooled(rows).cpu().numpy())
        if not reason:
            answers.append(_answers(front.tail, rows))
    labels = np.unique(dataset.labels[chosen], return_inverse=True)[1]
    probabilities = np.concatenate(answers) if answers else None
    wanted = None
    if dataset.target is not None and dataset.target.kind in WITHOUT_ACCURACY:
        wanted = dataset.target.table[dataset.labels[chosen]].astype(np.float64)
    return Extract(np.concatenate(features), labels, probabilities, reason, wanted)


def pooled(features: Tensor) -> Tensor:
    """(n, d, …) → (n, d): the mean over the places of a map, where the head is given maps."""
    return features.float() if features.dim() == 2 else features.float().flatten(2).mean(dim=2)


def _answers(tail: nn.Module, rows: Tensor) -> np.ndarray:
    with torch.inference_mode():
        shares: np.ndarray = tail(rows).float().softmax(dim=1).cpu().numpy()
    return shares


def _chosen(spec: TrialSpec, dataset: Dataset, most: int) -> np.ndarray:
    """Which images: those of the trial's split that are not tested, or a draw of them, in order."""
    rng = np.random.default_rng(spec.streams["split"])
    split = split_dataset(dataset, spec.data.choice.split, rng)
    known = np.concatenate([split.train, split.validation])
    if len(known) > most:
        draws = np.random.default_rng(derive_seed(spec.streams["split"], "forecast", most))
        known = draws.choice(known, most, replace=False)
    return np.sort(known)


def _started(spec: TrialSpec, trials: Path) -> tuple[nn.Module, Groups, str]:
    """The network with the start's weights, and its own head where it has one, else why not."""
    network, groups = build_network(spec)
    if spec.condition.start.kind == "random":
        return network, groups, RANDOM
    start = planned_start(spec, trials)
    n_outputs = outputs_of(start.tensors, groups[-1])
    if n_outputs:
        names = tuple(map(str, range(n_outputs)))
        own = replace(spec, data=replace(spec.data, class_names=names))
        with_head, own_groups = build_network(own)
        if not _misfit(replace(start, head="keep"), own, with_head, own_groups):
            return with_head, own_groups, ""
    start.for_network(spec, network, groups).load(spec, network, groups)
    return network, groups, OTHER_HEAD


def _misfit(start: StartWeights, spec: TrialSpec, network: nn.Module, groups: Groups) -> bool:
    try:
        start.load(spec, network, groups)
    except ModelError:
        return True
    return False


def outputs_of(tensors: Mapping[str, Tensor], head: finetune.LayerGroup) -> int:
    """How many classes the head of a file knows; 0 where the file has none of these layers."""
    for own in reversed(head.parameters):
        for name, tensor in tensors.items():
            if f".{name}".endswith(f".{own}") and tensor.dim() >= 1:
                return int(tensor.shape[0])
    return 0
