"""How many seeds to fuse: as many as fit into memory and still make each seed faster.

In: free memory and a short measurement of some pack sizes. Out: a number of seeds. It stands alone
because the choice is a pure function of the measurements. The measurement makes steps on images of
noise, which cost as much as steps on real ones.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from harness.joint import scores
from harness.joint.steps import JointSteps
from harness.training.arrays import Normalise, Part
from harness.training.context import TrialContext
from harness.training.loop import Trainer, wait_for
from harness.training.machine import IMAGES_SHARE
from harness.training.memory import give_back, is_out_of_memory, room
from harness.training.network import build_frozen
from harness.training.process import make_accelerator, set_up_process
from harness.trials.spec import TrialSpec
from headstart.errors import HeadstartError

MEMORY_SHARE = 0.8  # of what may be taken; the rest is for what the allocator loses
WORTH_IT = 0.05  # a larger pack must make each seed this much faster
N_WARM, N_TIMED = 3, 5  # steps


@dataclass(frozen=True)
class Measured:
    """One pack size: seconds of a joint step, and the most bytes that its steps take."""

    seconds: float
    n_bytes: int


def choose_pack_size(
    free_bytes: int, bytes_for_one: int, bytes_for_two: int, seconds_by_k: Mapping[int, float]
) -> int:
    """The smallest measured pack size that fits and is within `WORTH_IT` of the best rate.

    Memory is assumed to grow by the same amount with each seed after the first. Where the second
    seed seems to need no memory, each is assumed to need what the first did.

    Args:
        free_bytes: on the device, of which `MEMORY_SHARE` may be used.
        bytes_for_one, bytes_for_two: of a pack of one, and of two.
        seconds_by_k: seconds of one joint step by the number of seeds.

    Returns:
        At least 1: where not even one seed fits, the run will say so.

    Raises:
        ValueError: nothing was measured, or a time that is not over 0.
    """
    if not seconds_by_k or min(seconds_by_k.values()) <= 0 or min(seconds_by_k) < 1:
        raise ValueError(f"seconds over 0 by sizes from 1 are expected, not {dict(seconds_by_k)}")
    most = most_that_fit(free_bytes, bytes_for_one, bytes_for_two)
    each = {k: seconds / k for k, seconds in seconds_by_k.items() if k <= most}
    if not each:
        return 1
    limit = min(each.values()) * (1 + WORTH_IT)
    return min(k for k, seconds in each.items() if seconds <= limit)


def most_that_fit(free_bytes: int, bytes_for_one: int, bytes_for_two: int) -> int:
    """The most seeds whose memory is under `MEMORY_SHARE` of what is free; 1 at least."""
    further = bytes_for_two - bytes_for_one
    further = further if further > 0 else max(bytes_for_one, 1)
    room = int(free_bytes * MEMORY_SHARE) - bytes_for_one
    return max(1, 1 + room // further)


def search_pack_size(n_trials: int, free_bytes: int, measure: Callable[[int], Measured]) -> int:
    """Measure 1, 2, 4, … seeds, until no more fit or more gain too little, and choose.

    No pack is larger than `n_trials`.
    """
    measured = {1: measure(1)}
    if n_trials == 1:
        return 1
    measured[2] = measure(2)
    memory = (free_bytes, measured[1].n_bytes, measured[2].n_bytes)
    most = min(n_trials, most_that_fit(*memory))

    def each(n: int) -> float:
        return measured[n].seconds / n

    k = 2
    while k < most and each(k) < each(k // 2) * (1 - WORTH_IT):
        if 2 * k > most:
            measured[most] = measure(most)
            break
        k *= 2
        measured[k] = measure(k)
    return choose_pack_size(*memory, {k: size.seconds for k, size in measured.items()})


def measured_pack_size(unit: Sequence[TrialSpec], context: TrialContext, steps: JointSteps) -> int:
    """How many of a unit's trials to fuse on this GPU; 1 where the device counts no memory.

    What may be taken is this worker's share of the GPU, less what the worker holds there and what
    the data will take. Afterwards other processes have back what the measuring took.
    """
    if context.device != "cuda":
        return 1
    give_back()  # what earlier trials left with the allocator
    free = room()
    free -= min(bytes_of_data(unit[0], context), int(IMAGES_SHARE * free))

    def measure(k: int) -> Measured:
        try:
            return measure_steps(unit[0], k, context.device, steps)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
        give_back()
        return Measured(math.inf, free)  # it does not fit

    size = search_pack_size(len(unit), free, measure)
    give_back()
    return size


@dataclass
class PackSize:
    """How many trials of an arm a worker computes together."""

    n: int
    is_fused: bool  # else its trials run one after another
    measured_for: int  # trials: where all of them fitted, a larger unit is measured anew


class PackSizes:
    """What one worker measured, by all that decides a step: an arm is measured once there.

    Once its trials were fused, later ones are as well, even where a pack is left with one trial, so
    that a worker does not run an arm in two ways.
    """

    def __init__(self) -> None:
        self._known: dict[str, PackSize] = {}

    def is_fused(self, spec: TrialSpec) -> bool:
        """Whether trials of this one's arm were fused."""
        known = self._known.get(spec.step_key)
        return known is not None and known.is_fused

    def of(self, unit: Sequence[TrialSpec], context: TrialContext, steps: JointSteps) -> PackSize:
        """The size for a unit of one arm; measured where that was not done."""
        key = unit[0].step_key
        known = self._known.get(key)
        if known is None:
            n = measured_pack_size(unit, context, steps)
            known = self._known[key] = PackSize(n, n > 1, len(unit))
        elif known.n == known.measured_for < len(unit):
            known.n = max(known.n, measured_pack_size(unit, context, steps))
            known.measured_for = len(unit)
        return known

    def keep_to(self, spec: TrialSpec, n: int) -> None:
        """Let no further pack of this trial's arm be larger: there was no memory for more."""
        known = self._known[spec.step_key]
        known.n = max(1, min(known.n, n))


def bytes_of_data(spec: TrialSpec, context: TrialContext) -> int:
    """What the trials' data set will take of the device; 0 where it lies there already."""
    try:
        dataset = context.catalogue.open(spec.data)
    except HeadstartError:  # each trial reports it
        return 0
    return context.images.n_bytes_of(dataset)


def measure_steps(spec: TrialSpec, n: int, device: str, steps: JointSteps) -> Measured:
    """Time steps of `n` seeds on images of noise; bytes are 0 where the device counts none.

    The bytes are the most of all that a pack does: steps beside the kept best weights and each
    trainer's own state, and an evaluation.
    """
    counts = device == "cuda"
    before = torch.cuda.memory_allocated() if counts else 0
    if counts:
        torch.cuda.reset_peak_memory_stats()
    trainers = _trainers(spec, n, device)
    with steps.joint(trainers) as together:
        for _ in range(N_WARM):
            together.step()
    best = [copy.deepcopy(trainer.unprepared.state_dict()) for trainer in trainers]
    with steps.joint(trainers) as together:
        wait_for(trainers[0].device)
        started = time.perf_counter()
        for _ in range(N_TIMED):
            together.step()
        wait_for(trainers[0].device)
        seconds = (time.perf_counter() - started) / N_TIMED
    if counts and steps.as_one is not None:
        n_classes = len(spec.data.class_names)
        scores.evaluate(trainers, [_validation(trainers)] * n, steps.as_one, n_classes)
    del best
    used = torch.cuda.max_memory_allocated() - before if counts else 0
    return Measured(seconds, used)


def _validation(trainers: Sequence[Trainer]) -> Part:
    """One batch of an evaluation: images of the training part, over and over."""
    part = trainers[0].part
    places = np.arange(scores.images_of_each(trainers[0], part, len(trainers))) % len(part)
    rows = torch.from_numpy(places).to(part.labels.device)
    return Part(part.inputs, part.labels[rows], places, rows)


def _trainers(spec: TrialSpec, n: int, device: str) -> list[Trainer]:
    """Trainers of `n` copies of a trial's network, all on the same few images of noise."""
    settings = spec.condition.train
    set_up_process(settings)
    accelerator = make_accelerator(settings.precision, device)
    network, _, _ = build_frozen(spec)
    info = spec.condition.model.info.for_channels(spec.data.channels)
    count = settings.batch_size * (N_WARM + N_TIMED)
    shape = (count, spec.data.channels, *spec.data.image_size)
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=noise)
    labels = torch.randint(len(spec.data.class_names), (count,), generator=noise)
    rows = torch.arange(count)
    place = accelerator.device
    part = Part(images.to(place), labels.to(place), np.arange(count), rows.to(place))
    normalise = Normalise(info.mean, info.std, place)

    def one_of_them() -> Trainer:
        seeds_own = copy.deepcopy(network).to(place)
        groups = [{"params": [p for p in seeds_own.parameters() if p.requires_grad]}]
        return Trainer(seeds_own, part, settings, spec.streams, accelerator, normalise, groups)

    return [one_of_them() for _ in range(n)]
