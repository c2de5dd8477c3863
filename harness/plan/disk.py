"""How many bytes the weights and the states of a plan will take, before anything runs.

In: a plan. Out: bytes of each trial's files of weights, and of the state that it saves while it
runs. They follow from the sizes of its network, its optimizer and what the sweep says of `save`. It
stands alone because nothing has to have run for it, as for the estimate of time.

Sizes of networks are kept in the cache folder: building them takes torch, whose import takes longer
than all of a plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import models
from datasets.locations import cache_folder
from harness.sweepfile.settings import Train
from harness.trials.spec import Plan, TrialSpec
from headstart.digests import digest_of
from headstart.errors import HeadstartError
from headstart.files import make_folder, read_mapping, write_json

HEADER_BYTES = 90  # of a tensor in a file of weights
RECORD_BYTES = 65  # of one that a file of differences leaves out
MOMENTS = {"adam": 2, "adamw": 2}  # numbers of an optimizer's state for each weight


@dataclass(frozen=True)
class NetworkBytes:
    """Bytes of a network's tensors; `trained`: of those that training may change, statistics of
    batch norm included; `parameters`: of the weights among these."""

    whole: int
    trained: int
    parameters: int
    n_tensors: int
    n_trained: int


@dataclass(frozen=True)
class TrialBytes:
    """Bytes that one trial takes.

    Attributes:
        weights: of its files of weights, when it has trained all its epochs.
        file: of one of these.
        state: of the state that it saves while it runs; for a moment there are two.
    """

    weights: int
    file: int
    state: int


def bytes_of_plan(plan: Plan) -> dict[str, TrialBytes]:
    """What each trial of a plan takes, by id; upper bounds where trials stop early.

    Raises:
        ModelError: a network cannot be built for its images.
    """
    started_from = {trial.parent for trial in plan.trials}
    sizes: dict[str, NetworkBytes] = {}
    made: dict[str, TrialBytes] = {}
    for trial in plan.by_id.values():
        key = _key(trial)
        if key not in sizes:
            sizes[key] = _network_bytes(trial, key)
        made[trial.id] = _trial_bytes(plan, trial, sizes[key], trial.id in started_from)
    return made


def describe(plan: Plan) -> Iterator[str]:
    """One line: bytes of all weights, of a file, and of a state."""
    if not plan.trials:
        return
    trials = bytes_of_plan(plan).values()
    total = sum(trial.weights for trial in trials)
    largest, state = max(t.file for t in trials), max(t.state for t in trials)
    save = plan.sweep.save
    kept = ["none but of stages"] if save.weights == "none" else [
        "differences from the start" if save.weights == "delta" else "those that validation chose"
    ]  # fmt: skip
    kept += ["the last ones"] if save.last else []
    kept += [f"every {save.every} epochs"] if save.every else []
    yield (
        f"Weights: about {shown_bytes(total)} on disk when all have ended ({', '.join(kept)}; a "
        f"file has {shown_bytes(largest)} at most); the state of a trial that runs: "
        f"{shown_bytes(state)} at most, twice while it is replaced."
    )


def shown_bytes(n: int) -> str:
    """As `2.9 MB`: in the largest unit that leaves a number from 1 on."""
    number, unit = float(n), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 999.5:
            break
        number, unit = number / 1000, larger
    return f"{number:.3g} {unit}"


def _trial_bytes(plan: Plan, trial: TrialSpec, sizes: NetworkBytes, is_needed: bool) -> TrialBytes:
    save = plan.sweep.save.of_refit() if trial.refits else plan.sweep.save
    is_drawn_by_code = bool(trial.condition.model.code) and trial.condition.start.kind == "random"
    file = sizes.whole + HEADER_BYTES * sizes.n_tensors
    if save.weights == "delta" and sizes.n_trained < sizes.n_tensors and not is_drawn_by_code:
        n_same = sizes.n_tensors - sizes.n_trained
        file = sizes.trained + HEADER_BYTES * sizes.n_trained + RECORD_BYTES * n_same
    train = trial.condition.train
    epochs = train.for_images(trial.data.n_train or 1).epochs if sizes.parameters else 0
    has_best = save.weights != "none" or is_needed or trial.stage == "pretrain"
    n_files = (has_best and trial.is_tested) + save.last + epochs // (save.every or epochs + 1)
    state = 2 * sizes.whole + _moments(train) * sizes.parameters
    return TrialBytes(weights=n_files * file, file=file, state=state)


def _moments(train: Train) -> int:
    """Numbers that the optimizer remembers for each weight; of one of the user's own, two."""
    return int(train.momentum > 0) if train.optimizer == "sgd" else MOMENTS.get(train.optimizer, 2)


# -- sizes of networks ------------------------------------------------------------------------


def _key(trial: TrialSpec) -> str:
    """All that decides the sizes of a network and what of it trains."""
    data, condition = trial.data, trial.condition
    what = (condition.model.hashed(), condition.fine_tune, len(data.class_names),
            data.image_size, data.channels)  # fmt: skip
    return repr((what, version("torch"), _digest_of_networks()))


@cache
def _digest_of_networks() -> str:
    """Of the code that builds networks: where it changed, sizes are looked at anew."""
    folder = Path(models.__file__).parent
    return digest_of(b"".join(path.read_bytes() for path in sorted(folder.rglob("*.py"))))


def _network_bytes(trial: TrialSpec, key: str) -> NetworkBytes:
    """From the cache; else of the network itself, for the next time."""
    path = cache_folder() / "sizes" / f"{digest_of(key.encode())[:32]}.json"
    with suppress(TypeError, ValueError):
        kept = read_mapping(path)
        if kept.pop("key", None) == key and all(type(value) is int for value in kept.values()):
            return NetworkBytes(**kept)
    sizes = _measured(trial)
    with suppress(OSError, HeadstartError):  # a cache that may not be written
        make_folder(path.parent)
        write_json(path, {"key": key, **asdict(sizes)})
    return sizes


def _measured(trial: TrialSpec) -> NetworkBytes:
    from harness.training.network import build_frozen  # torch: only for what was not seen before

    network, groups, _ = build_frozen(trial)
    state = network.state_dict()
    parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}
    moved = set(parameters)
    for group in groups:
        if any(name in parameters for name in group.parameters):
            moved.update(group.buffers)
    bytes_by_name = {name: value.nbytes for name, value in state.items()}
    return NetworkBytes(
        whole=sum(bytes_by_name.values()),
        trained=sum(n for name, n in bytes_by_name.items() if name in moved),
        parameters=sum(parameter.nbytes for parameter in parameters.values()),
        n_tensors=len(state),
        n_trained=sum(name in moved for name in state),
    )
