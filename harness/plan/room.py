"""What a plan will take of this machine's disk and memory, and whether that is there.

In: a plan, what a trial gets, and how many run at once. Out: one line for a console, or one for
what cannot be. It stands alone because it looks at the machine, where `disk.py` looks at the plan
alone.

The line estimates. What is refused is what cannot be in any case: images, networks and processes
as they lie there, without a single step.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.plan.disk import TrialBytes, bytes_of_plan, shown_bytes
from harness.sweepfile.settings import Settled
from harness.training.cards import Cards
from harness.training.machine import CONTEXT_BYTES, PROCESS_BYTES, fits, memory_here
from harness.trials.spec import DataUse, Plan, TrialSpec
from headstart.errors import InputError

CHECKSUM_BYTES = 4  # of a decoded image


@dataclass(frozen=True)
class There:
    """What this machine has, in bytes; None: not known, or it does not count.

    Attributes:
        disk: free for the run folder `out`.
        memory: of the machine, or of the group of processes that the command is in.
        card: of the smallest card, or what a worker's share of it leaves beside CUDA's own; None
            too where trials train on CPUs.
        n_slots: trials at once; None: they run elsewhere.
        workers: processes to a trial.
    """

    disk: int | None = None
    memory: int | None = None
    card: int | None = None
    n_slots: int | None = None
    workers: int = 1
    out: Path = Path()


@dataclass(frozen=True)
class Needed:
    """What a plan takes, in bytes.

    Attributes:
        decoded: of all decoded sets, in the cache.
        weights: of the files of weights that trials will still write.
        fewest: of those among them that are written whenever training stops.
        state: of the largest state of a trial that runs.
        images: of the images that a worker holds, where most are held.
        process: of a worker's memory, an estimate.
        card: of a card for each worker, an estimate; 0 on CPUs.
        least: of the memory in which a worker's trials train, without a step.
    """

    decoded: int
    weights: int
    fewest: int
    state: int
    images: int
    process: int
    card: int
    least: int


def there(out: Path, resources: Settled, cards: Cards, n_slots: int) -> There:
    """What this machine has for trials that get `resources` and write into `out`."""
    on_card = None
    if resources.gpus and cards.memory:
        on_card = min(cards.memory)
        if resources.gpus < 1:  # what `memory.keep_to_share` lets a worker take
            on_card = max(0, int(resources.gpus * on_card) - CONTEXT_BYTES)
    return There(disk_free(out), memory_here(), on_card, n_slots, resources.workers, out)


def disk_free(out: Path) -> int | None:
    """Bytes that are free where a folder lies, or will lie."""
    for folder in (out, *out.absolute().parents):
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            continue
    return None


def needed(
    plan: Plan, resources: Settled, left: Collection[str], *, is_apart: bool = False
) -> Needed:
    """What the trials with the ids `left` take of a plan that is not empty.

    `is_apart`: networks whose sizes are not known are built in a process that ends.

    Raises:
        ModelError: a network cannot be built for its images.
    """
    by_id = bytes_of_plan(plan, on_card=resources.gpus > 0, is_apart=is_apart)
    trials = [trial for trial in plan.by_id.values() if trial.id in left]
    pack = resources.pack if isinstance(resources.pack, int) else 1
    alike = {(id(by_id[t.id]), id(t.data)): t for t in trials}.values()
    workers = [_worker(trial, by_id[trial.id], resources, pack) for trial in alike]
    return Needed(
        decoded=sum(map(decoded_bytes, {use.fingerprint: use for use in plan.data}.values())),
        weights=sum(by_id[trial.id].weights for trial in trials),
        fewest=sum(_fewest(trial, by_id[trial.id]) for trial in trials),
        state=max((by_id[trial.id].state for trial in trials), default=0),
        images=max((worker.images for worker in workers), default=0),
        process=max((worker.process for worker in workers), default=0),
        card=max((worker.card for worker in workers), default=0),
        least=max((worker.least for worker in workers), default=0),
    )


def decoded_bytes(use: DataUse) -> int:
    """Of a set in the cache: its images, and a checksum of each."""
    return use.decoded_bytes + CHECKSUM_BYTES * use.n_images


def held_bytes(trial: TrialSpec, on_card: bool) -> int:
    """Of the images that a worker holds for a trial: its parts, or on a card the whole set.

    On a card a set of which less than half is used is copied in part (`arrays.PlacedImages`).
    """
    data = trial.data
    n_used = data.n_used or data.n_images
    n = data.n_images if on_card and 2 * n_used >= data.n_images else n_used
    return n * data.channels * data.image_size[0] * data.image_size[1]


@dataclass(frozen=True)
class _Worker:
    images: int
    process: int
    card: int
    least: int


def _worker(trial: TrialSpec, sizes: TrialBytes, resources: Settled, pack: int) -> _Worker:
    on_card = resources.gpus > 0
    images = held_bytes(trial, on_card)
    training, networks = images + pack * sizes.step, images + pack * sizes.network
    if on_card:
        beside = PROCESS_BYTES + 2 * pack * sizes.network
        return _Worker(images, beside, CONTEXT_BYTES + training, networks)
    return _Worker(images, PROCESS_BYTES + training, 0, PROCESS_BYTES + networks)


def _fewest(trial: TrialSpec, sizes: TrialBytes) -> int:
    """Training that may stop early may leave one file alone."""
    stops = trial.condition.train.early_stopping is not None
    return min(sizes.weights, sizes.file) if stops else sizes.weights


def line(need: Needed, here: There) -> str:
    """`Disk: …; memory: …`, for a console."""
    at_once = f", {here.n_slots * here.workers} at once" if here.n_slots else ""
    where = "of its memory" if need.card == 0 else "of its card"
    card = f" and {shown_bytes(need.card)} of a card" if need.card else ""
    return (
        f"Needs about: on disk {shown_bytes(need.decoded)} of decoded images, "
        f"{shown_bytes(need.weights)} of weights, {shown_bytes(need.state)} for the state of each "
        f"running trial; in memory {shown_bytes(need.process)}{card} a worker{at_once} (images "
        f"take {shown_bytes(need.images)} {where}; nothing is streamed)."
    )


def check(need: Needed, here: There) -> None:
    """Refuse what cannot fit.

    Raises:
        InputError: how much is needed, how much there is, and what to do.
    """
    for problem in _problems(need, here):
        raise InputError(problem)


def _problems(need: Needed, here: There) -> Iterator[str]:
    if not fits(need.fewest, here.disk):
        assert here.disk is not None
        yield (
            f"{here.out}: the disk is too small: weights take {shown_bytes(need.fewest)}, and "
            f"{shown_bytes(here.disk)} are free; free some space, set save.weights to delta or "
            "none, leave save.every out, or give another --out"
        )
    if need.card:
        if not fits(need.least, here.card):
            assert here.card is not None
            yield (
                f"the card is too small: a worker takes {shown_bytes(need.least)} at least, "
                f"{shown_bytes(need.images)} of it images, and its part of the card is "
                f"{shown_bytes(here.card)}; raise resources.gpus, lower resources.pack, or use "
                "fewer or smaller images"
            )
        return
    if here.memory is None or here.n_slots is None:
        return
    total = here.n_slots * here.workers * need.least
    if not fits(total, here.memory):
        most = here.memory // (here.workers * need.least)
        advice = f"give --slots {most}" if most else "use fewer or smaller images"
        yield (
            f"the memory is too small: {here.n_slots * here.workers} workers at once take "
            f"{shown_bytes(total)} at least, {shown_bytes(need.least)} each, "
            f"{shown_bytes(need.images)} of it images, and this machine lets the command have "
            f"{shown_bytes(here.memory)}; {advice}"
        )
