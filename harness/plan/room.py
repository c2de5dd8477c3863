"""What a plan will take of this machine's disk and memory, and whether that is there.

In: a plan, what a trial gets, and how many run at once. Out: one line for a console, or one for
what cannot be. It stands alone because it looks at the machine, where `disk.py` looks at the plan
alone.

The line estimates. What is refused is what cannot be in any case: networks and processes as they
lie there, without a single step. Images refuse nothing: those that do not fit are streamed.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.plan.disk import TrialBytes, bytes_of_plan, shown_bytes
from harness.sweepfile.settings import Settled
from harness.training.cards import Cards
from harness.training.machine import (
    AHEAD_BYTES,
    CONTEXT_BYTES,
    IMAGES_SHARE,
    PROCESS_BYTES,
    fits,
    memory_here,
)
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
        shared: of the largest decoded file that workers on CPUs read where it lies; it counts to
            no process, because the kernel may drop its pages.
        streamed: of the largest set that is read from disk while trials train, because it does not
            fit on the card, or into the memory; 0: none is.
        in_files: of the largest set that is decoded from its files while trials train, because
            the decoded images have no room on the disk; 0: none is.
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
    shared: int = 0
    streamed: int = 0
    in_files: int = 0


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
    plan: Plan, resources: Settled, left: Collection[str], here: There, *, is_apart: bool = False
) -> Needed:
    """What the trials with the ids `left` take of a plan that is not empty.

    Args:
        here: where they run, since a set that does not fit there is streamed.
        is_apart: whether networks whose sizes are not known are built in a process that ends.

    Raises:
        ModelError: a network cannot be built for its images.
    """
    on_card = resources.gpus > 0
    by_id = bytes_of_plan(plan, on_card=on_card, is_apart=is_apart)
    trials = [trial for trial in plan.by_id.values() if trial.id in left]
    pack = resources.pack if isinstance(resources.pack, int) else 1
    alike = {(id(by_id[t.id]), id(t.data)): t for t in trials}.values()
    worker_of = _on_card if on_card else _on_cpu
    workers = [worker_of(trial, by_id[trial.id], pack, here) for trial in alike]

    def largest(name: str) -> int:
        return max((getattr(worker, name) for worker in workers), default=0)

    return Needed(
        decoded=sum(map(decoded_bytes, {use.fingerprint: use for use in plan.data}.values())),
        weights=sum(by_id[trial.id].weights for trial in trials),
        fewest=sum(_fewest(trial, by_id[trial.id]) for trial in trials),
        state=max((by_id[trial.id].state for trial in trials), default=0),
        **{name: largest(name) for name in _Worker.__annotations__},
    )


def decoded_bytes(use: DataUse) -> int:
    """Of a set in the cache: its images, and a checksum of each."""
    return (0 if use.in_files else use.decoded_bytes) + CHECKSUM_BYTES * use.n_images


@dataclass(frozen=True)
class _Worker:
    """What a worker takes for one kind of trial; the names are those of `Needed`."""

    images: int
    process: int
    card: int
    least: int
    shared: int
    streamed: int
    in_files: int = 0


def _on_cpu(trial: TrialSpec, sizes: TrialBytes, pack: int, here: There) -> _Worker:
    """The decoded file is mapped; a set that the cache does not keep lies in each process."""
    data = trial.data
    if data.in_files:
        process = PROCESS_BYTES + AHEAD_BYTES + pack * sizes.step
        least = PROCESS_BYTES + pack * sizes.network
        return _Worker(0, process, 0, least, 0, 0, in_files=data.decoded_bytes)
    images = 0 if data.is_mapped else data.decoded_bytes
    shared = data.decoded_bytes - images
    return _Worker(
        images=images,
        process=PROCESS_BYTES + images + pack * sizes.step,
        card=0,
        least=PROCESS_BYTES + images + pack * sizes.network,
        shared=shared,
        streamed=0 if fits(_used_bytes(data), here.memory) else shared,
    )


def _on_card(trial: TrialSpec, sizes: TrialBytes, pack: int, here: There) -> _Worker:
    """As `SharedImages.parts` decides: the whole set, else what trials use of it, else none."""
    data = trial.data
    room = None if here.card is None else int(IMAGES_SHARE * here.card)
    lying = [n for n in (data.decoded_bytes, _used_bytes(data)) if fits(n, room)]
    images, streamed = (lying[0], 0) if lying else (0, data.decoded_bytes)
    images, streamed = (0, 0) if data.in_files else (images, streamed)
    ahead = AHEAD_BYTES if streamed or data.in_files else 0
    in_memory = 0 if data.is_mapped or data.in_files else data.decoded_bytes
    networks = pack * sizes.network
    return _Worker(
        images=images,
        process=PROCESS_BYTES + in_memory + 2 * networks + ahead,
        card=CONTEXT_BYTES + images + pack * sizes.step,
        least=networks,
        shared=0,
        streamed=streamed,
        in_files=data.decoded_bytes if data.in_files else 0,
    )


def _used_bytes(data: DataUse) -> int:
    """Of the images in all parts of a trial, as they lie on disk."""
    return data.decoded_bytes * (data.n_used or data.n_images) // data.n_images


def _fewest(trial: TrialSpec, sizes: TrialBytes) -> int:
    """Training that may stop early may leave one file alone."""
    stops = trial.condition.train.early_stopping is not None
    return min(sizes.weights, sizes.file) if stops else sizes.weights


def line(need: Needed, here: There) -> str:
    """What is needed, and whether sets are streamed and why, for a console."""
    at_once = f", {here.n_slots * here.workers} at once" if here.n_slots else ""
    card = f" and {shown_bytes(need.card)} of a card" if need.card else ""
    return (
        f"Needs about: on disk {shown_bytes(need.decoded)} of decoded images, "
        f"{shown_bytes(need.weights)} of weights, {shown_bytes(need.state)} for the state of each "
        f"running trial; in memory {shown_bytes(need.process)}{card} a worker{at_once} "
        f"({'; '.join(_of_images(need, here))})."
    )


def _of_images(need: Needed, here: There) -> Iterator[str]:
    """Where the images lie while trials train."""
    if need.images:
        yield f"images take {shown_bytes(need.images)} of its {'card' if need.card else 'memory'}"
    if need.shared and not need.streamed:
        yield f"all workers read the images in one file of {shown_bytes(need.shared)} together"
    if need.streamed:
        room = f"the memory has {shown_bytes(here.memory or 0)}"
        if need.card:
            room = f"images may take {shown_bytes(int(IMAGES_SHARE * (here.card or 0)))} of a card"
        yield f"a set of {shown_bytes(need.streamed)} streams from disk, because {room}"
    if need.in_files:
        size = shown_bytes(need.in_files)
        yield f"a set of {size} is decoded from its files batch by batch, for want of room on disk"
    if not (need.streamed or need.in_files):
        yield "nothing is streamed"


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
                f"the card is too small: the networks of a worker take {shown_bytes(need.least)}, "
                f"and its part of the card is {shown_bytes(here.card)}; raise resources.gpus, or "
                "lower resources.pack"
            )
        return
    if here.memory is None or here.n_slots is None:
        return
    total = here.n_slots * here.workers * need.least
    if not fits(total, here.memory):
        most = here.memory // (here.workers * need.least)
        smaller = "use fewer or smaller images" if need.images else "use a smaller network"
        advice = f"give --slots {most}" if most else smaller
        yield (
            f"the memory is too small: {here.n_slots * here.workers} workers at once take "
            f"{shown_bytes(total)} at least, {shown_bytes(need.least)} each, "
            f"{shown_bytes(need.images)} of it images, and this machine lets the command have "
            f"{shown_bytes(here.memory)}; {advice}"
        )
