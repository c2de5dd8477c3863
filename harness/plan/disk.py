"""How many bytes the weights and the states of a plan will take, before anything runs.

In: a plan. Out: bytes of each trial's files of weights, and of the state that it saves while it
runs. They follow from the sizes of its network, its optimizer and what the sweep says of `save`. It
stands alone because nothing has to have run for it, as for the estimate of time.

Sizes of networks are kept in the cache folder: building them takes torch, whose import takes longer
than all of a plan.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import models
from harness.sweepfile.frozen import reason_against
from harness.sweepfile.settings import Train
from harness.training.machine import CPU_PART, EVALUATION_BATCH, MOST_PIXELS
from harness.trials.spec import Plan, TrialSpec
from headstart.apart import NoAnswer, ask_apart
from headstart.cli import few
from headstart.digests import digest_of
from headstart.errors import EngineError, HeadstartError, ModelError, TuningError
from headstart.kept_answers import keep_answer, kept_answer
from headstart.own_code import said_of

if TYPE_CHECKING:
    from torch import nn

HEADER_BYTES = 90  # of a tensor in a file of weights
FLOAT = 4  # bytes of a number
LARGE_HEAD = 0.5  # share of a network's weights from which on a head is worth a line
RECORD_BYTES = 65  # of one that a file of differences leaves out
MOMENTS = {"adam": 2, "adamw": 2, "lion": 1}  # numbers of an optimizer's state for each weight


@dataclass(frozen=True)
class NetworkBytes:
    """Bytes of a network's tensors; `trained`: of those that training may change, statistics of
    batch norm included; `head`: of the weights of its last layer group; `parameters`: of what the
    optimizer moves; `added`: of what of this is in states and in no file of weights, as LoRA's
    matrices; `activations`: of what one image leaves for the way back; `widest`: of what goes into
    and comes out of its widest layer for one image; both 0 where that is not known."""

    whole: int
    trained: int
    parameters: int
    head: int
    n_tensors: int
    n_trained: int
    added: int
    activations: int
    widest: int


@dataclass(frozen=True)
class TrialBytes:
    """Bytes that one trial takes.

    Attributes:
        weights: of its files of weights, when it has trained all its epochs.
        file: of one of these.
        state: of the state that it saves while it runs; for a moment there are two.
        step: of its network, its gradients, its best weights and one batch, an estimate.
        network: of its network alone.
        head: of the weights of its head.
    """

    weights: int
    file: int
    state: int
    step: int
    network: int
    head: int


def bytes_of_plan(
    plan: Plan, *, on_card: bool = False, is_apart: bool = False
) -> dict[str, TrialBytes]:
    """What each trial of a plan takes, by id; upper bounds where trials stop early.

    Args:
        plan: any plan.
        on_card: whether its trials train on GPUs, which changes `step` alone.
        is_apart: whether networks whose sizes are not known are built in a process that ends: a
            command that trains nothing itself then never holds PyTorch.

    Raises:
        ModelError: a network cannot be built for its images.
    """
    started_from = {trial.parent for trial in plan.trials}
    by_likeness: dict[object, TrialSpec] = {}
    likeness = {
        trial.id: _likeness(trial, trial.id in started_from) for trial in plan.by_id.values()
    }
    for trial in plan.by_id.values():
        by_likeness.setdefault(likeness[trial.id], trial)
    keys = {like: _key(trial) for like, trial in by_likeness.items()}
    sizes = _sizes({keys[like]: trial for like, trial in by_likeness.items()}, is_apart)
    alike = {
        like: _trial_bytes(plan, trial, sizes[keys[like]], trial.id in started_from, on_card)
        for like, trial in by_likeness.items()
    }
    return {trial_id: alike[like] for trial_id, like in likeness.items()}


def tuning_mistakes(trials: Sequence[TrialSpec], *, is_apart: bool) -> list[TuningError | None]:
    """What each trial says of its network that the network does not have; None: nothing.

    `is_apart` is as of `bytes_of_plan`. A network that cannot be built at all is no such mistake.
    """
    looked = _looked_at({_key(trial): trial for trial in trials}, is_apart)
    answers = [looked[_key(trial)] for trial in trials]
    return [answer if isinstance(answer, TuningError) else None for answer in answers]


def _likeness(trial: TrialSpec, is_needed: bool) -> tuple[object, ...]:
    """Equal for trials that take the same; those of an arm share their settings and data."""
    return id(trial.condition), id(trial.data), trial.stage, is_needed


def describe(plan: Plan) -> Iterator[str]:
    """One line: bytes of all weights, of a file, and of a state."""
    if not plan.trials:
        return
    by_id = bytes_of_plan(plan)
    yield from _large_heads(plan, by_id)
    trials = by_id.values()
    total = sum(trial.weights for trial in trials)
    largest, state = max(t.file for t in trials), max(t.state for t in trials)
    save = plan.sweep.save
    kept = ["none but of stages"] if save.weights == "none" else [
        "differences from the start" if save.weights == "delta" else "those of `train.select`"
    ]  # fmt: skip
    kept += ["the last ones"] if save.last else []
    kept += [f"every {save.every} epochs"] if save.every else []
    yield (
        f"Weights: about {shown_bytes(total)} on disk when all have ended ({', '.join(kept)}; a "
        f"file has {shown_bytes(largest)} at most); the state of a trial that runs: "
        f"{shown_bytes(state)} at most, twice while it is replaced."
    )


def _large_heads(plan: Plan, by_id: Mapping[str, TrialBytes]) -> Iterator[str]:
    """A line for the arms that start from weights, and whose head holds most of these."""
    shares: dict[str, list[str]] = {}
    for (stage, name), (trial, *_) in plan.by_arm.items():
        sizes = by_id[trial.id]
        if stage == "arm" and trial.condition.start.kind != "random" \
                and sizes.head > LARGE_HEAD * sizes.network:  # fmt: skip
            shares.setdefault(f"{sizes.head / sizes.network:.0%}", []).append(name)
    for share, names in shares.items():
        yield (f"{few(names)}: the head holds {share} of the network's weights, and a new head "
               "takes them all anew; python -m models.describe shows the layer groups")  # fmt: skip


def shown_bytes(n: int) -> str:
    """As `2.9 MB`: in the largest unit that leaves a number from 1 on."""
    number, unit = float(n), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 999.5:
            break
        number, unit = number / 1000, larger
    return f"{number:.3g} {unit}"


def _trial_bytes(
    plan: Plan, trial: TrialSpec, sizes: NetworkBytes, is_needed: bool, on_card: bool
) -> TrialBytes:
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
    whole = sizes.whole + sizes.added
    state = (2 if train.ema is None else 3) * whole + _moments(train) * sizes.parameters
    step = _step_bytes(trial, sizes, on_card)
    return TrialBytes(n_files * file, file, state, step, whole, sizes.head)


def _step_bytes(trial: TrialSpec, sizes: NetworkBytes, on_card: bool) -> int:
    """A step and an evaluation, since an allocator keeps what a step frees.

    Images are drawn, augmented, and normalised.
    """
    train, data = trial.condition.train, trial.data
    pixels = data.image_size[0] * data.image_size[1]
    image = FLOAT * data.channels * pixels
    step = train.batch_size * (3 * image + sizes.activations)
    at_once = min(EVALUATION_BATCH, MOST_PIXELS // pixels if on_card else EVALUATION_BATCH)
    n_images = min(at_once, data.n_evaluated)
    evaluation = n_images * image + min(n_images, at_once if on_card else CPU_PART) * sizes.widest
    # With a pull also where weights began, and how far they went.
    of_trained = 1 + _moments(train) + (2 if train.pull_to_start else 0)
    of_weights = 2 * (sizes.whole + sizes.added) + of_trained * sizes.parameters
    # Of SqueezeNet at 224² a process was seen to take 1.4 to 1.5 times as much on a CPU, where what
    # is freed is kept in pieces.
    return of_weights + (step + evaluation) * (2 if on_card else 3) // 2


def _moments(train: Train) -> int:
    """Numbers that the optimizer remembers for each weight; of one of the user's own, two."""
    return int(train.momentum > 0) if train.optimizer == "sgd" else MOMENTS.get(train.optimizer, 2)


# -- sizes of networks ------------------------------------------------------------------------


def _key(trial: TrialSpec) -> str:
    """All that decides the sizes of a network and what of it trains."""
    data, condition = trial.data, trial.condition
    again, factors = condition.train.gradient_checkpointing, condition.train.learning_rate_factors
    what = (condition.model.hashed(), condition.fine_tune, len(data.class_names),
            data.image_size, data.channels, *(["computed again"] if again else []),
            *([factors] if isinstance(factors, dict) else []))  # fmt: skip
    return repr((what, builders()))


@cache
def builders() -> tuple[str, ...]:
    """What builds networks: versions of packages, and a digest of our own code.

    Where it changed, what was found out of networks is looked at anew.
    """
    folder = Path(models.__file__).parent
    own = digest_of(b"".join(path.read_bytes() for path in sorted(folder.rglob("*.py"))))
    return (*map(_version, ("torch", "torchvision", "timm", "transformers")), own)


def _version(package: str) -> str:
    """Empty: it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _sizes(trials: Mapping[str, TrialSpec], is_apart: bool) -> dict[str, NetworkBytes]:
    """By key.

    Raises:
        ModelError: a network cannot be built, or does not have what trains.
    """
    sizes = {}
    for key, answer in _looked_at(trials, is_apart).items():
        if isinstance(answer, HeadstartError):
            raise answer
        sizes[key] = answer
    return sizes


def _looked_at(
    trials: Mapping[str, TrialSpec], is_apart: bool
) -> dict[str, NetworkBytes | HeadstartError]:
    """By key, from the cache; else of the networks themselves, for the next time."""
    kept = {key: _kept(key) for key in trials}
    sizes: dict[str, NetworkBytes | HeadstartError]
    sizes = {key: value for key, value in kept.items() if value is not None}
    new = {key: trial for key, trial in trials.items() if key not in sizes}
    if not new:
        return sizes
    specs = list(new.values())
    if is_apart and "torch" not in sys.modules:
        try:
            measured = ask_apart(_all_measured, specs, name="sizes")
        except NoAnswer as err:
            raise EngineError(
                "the process that looked how large the networks are ended without an answer (exit "
                f"status {err.exit_status}); the memory may be too small even for that"
            ) from err
    else:
        measured = _all_measured(specs)
    for key, value in zip(new, measured, strict=True):
        sizes[key] = value
        if isinstance(value, NetworkBytes):
            keep_answer("sizes", key, asdict(value))
    return sizes


def _kept(key: str) -> NetworkBytes | None:
    """Sizes that an earlier plan found; None: there are none, or they are not ours."""
    match kept_answer("sizes", key):
        case (dict() as sizes,) if all(type(value) is int for value in sizes.values()):
            with suppress(TypeError):
                return NetworkBytes(**sizes)
    return None


def _all_measured(
    trials: Sequence[TrialSpec], every_s: float = 10.0
) -> list[NetworkBytes | HeadstartError]:
    """Of each what its network takes, or why it cannot train; every so often how far that is."""
    answers: list[NetworkBytes | HeadstartError] = []
    said_at = time.monotonic()
    for trial in trials:
        if answers and time.monotonic() - said_at >= every_s:
            said_at = time.monotonic()
            print(f"networks and what trains of them: {len(answers):,} of {len(trials):,} are "
                  "looked at", file=sys.stderr, flush=True)  # fmt: skip
        try:
            answers.append(_measured(trial))
        except HeadstartError as err:
            answers.append(err)
        except Exception as err:
            if not trial.condition.runs_users_code:
                raise
            answers.append(ModelError(f"{trial.condition.users_names}: {said_of(err)}"))
    return answers


def _measured(trial: TrialSpec) -> NetworkBytes:
    import torch

    from harness.training.checkpointing import blocks_of, no_blocks
    from harness.training.network import build_frozen  # torch: only for what was not seen before
    from models.finetune import learning_rate_factors
    from models.linear_head import linear_head
    from models.lora import is_added, merged, plain_name

    network, groups, _ = build_frozen(trial)
    learning_rate_factors(trial.condition.train.learning_rate_factors, groups)
    if trial.condition.tuning.is_fitted:
        images = torch.zeros(2, trial.data.channels, *trial.data.image_size)
        linear_head(trial.condition.model.shown, network, groups, images)
    is_again = trial.condition.train.gradient_checkpointing
    blocks = blocks_of(network, groups) if is_again else []
    if is_again and not blocks and reason_against(trial.condition):  # else a front is kept instead
        raise no_blocks(trial.condition.model.shown)
    state = merged(network)
    parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}
    moved = {plain_name(name) for name in parameters}
    for group in groups:
        if any(name in parameters for name in group.parameters):
            moved.update(group.buffers)
    bytes_by_name = {name: value.nbytes for name, value in state.items()}
    return NetworkBytes(
        whole=sum(bytes_by_name.values()),
        trained=sum(n for name, n in bytes_by_name.items() if name in moved),
        parameters=sum(parameter.nbytes for parameter in parameters.values()),
        head=sum(
            network.get_parameter(name).nbytes
            for name in groups[-1].parameters
            if not is_added(name)
        ),
        n_tensors=len(state),
        n_trained=sum(name in moved for name in state),
        added=sum(parameter.nbytes for name, parameter in parameters.items() if is_added(name)),
        **_by_image(network, trial.data.channels, trial.data.image_size, blocks),
    )


def _by_image(
    network: nn.Module, channels: int, image_size: tuple[int, int], blocks: Sequence[nn.Module]
) -> dict[str, int]:
    """`activations` and `widest`, of a pass over two images.

    Of `blocks`, which are computed again, the inputs and the largest one's own are counted.

    It computes: on the device `meta` PyTorch imports its compiler, which leaves a folder behind.
    """
    import torch

    from models.dropout import set_dropout_generator

    held: dict[int, torch.Tensor] = {}
    widths = [0]
    inside: list[dict[int, torch.Tensor]] = []  # of the block that computes; empty between them
    largest = [0]

    own = {value.untyped_storage()._cdata for value in (*network.parameters(), *network.buffers())}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in own:
            (inside[-1] if inside else held)[key] = tensor
        return tensor

    def enter(*_: object) -> None:
        inside.append({})

    def leave(_: nn.Module, given: tuple[object, ...], made: object) -> None:
        tensors = inside.pop().values()
        largest.append(sum(tensor.untyped_storage().nbytes() for tensor in tensors))
        for tensor in given if tensors else ():
            if isinstance(tensor, torch.Tensor):
                keep(tensor)

    def see(_: nn.Module, given: tuple[object, ...], made: object) -> None:
        tensors = [value for value in (*given, made) if isinstance(value, torch.Tensor)]
        widths.append(sum(tensor.nbytes for tensor in tensors))

    try:
        network.train()
        set_dropout_generator(network, torch.Generator().manual_seed(0))
        for layer in network.modules():
            if not any(layer.children()):
                layer.register_forward_hook(see)
        for block in blocks:
            block.register_forward_pre_hook(enter)
            block.register_forward_hook(leave)
        images = torch.zeros(2, channels, *image_size)
        with (
            torch.random.fork_rng([]),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            network(images)
    except Exception:  # a network of the user's own may take other images
        return {"activations": 0, "widest": 0}
    storages = [tensor.untyped_storage() for tensor in held.values()]
    n_bytes = sum(storage.nbytes() for storage in storages) + max(largest)
    return {"activations": n_bytes // 2, "widest": max(widths) // 2}
