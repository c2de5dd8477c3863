"""The further trials of `decompose`: an arm's trials with one source of randomness drawn anew.

In: an arm's trials. Out: their doubles, for each source from which the arm draws at all. It stands
alone because only a sweep that decomposes its spread looks so closely at what an arm draws, and
builds its network for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from datasets.split import split_dataset
from harness.seeds import AXES, derive_seed
from harness.sweepfile.settings import Sweep
from harness.training.network import build_network
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import TrialSpec, trial_id
from headstart.errors import ModelError
from models.dropout import SeededDropout

START = "start"  # the trial of the pretrain stage that an arm's trial starts from


def doubles_of(
    sweep: Sweep,
    trials: Sequence[TrialSpec],
    planned: Sequence[TrialSpec],
    catalogue: DataCatalogue,
    keeps_head: bool,
) -> list[TrialSpec]:
    """The doubles of an arm's `trials`; `planned` are those of all its seeds.

    A source's new draw is of a stream of its own, so no double shares it with any other trial. A
    double in its start takes the checkpoint of another seed; each checkpoint serves one trial only,
    so that with fewer than twice as many seeds there are fewer of these.
    """
    drawn = set(_drawn(trials[0], catalogue, keeps_head))
    doubles = []
    for source in (axis for axis in AXES if axis in drawn and axis in sweep.vary):
        for trial in trials:
            anew = derive_seed(sweep.seed, f"{source} of a double", trial.seed)
            streams = {**trial.streams, source: anew}
            doubles.append(_double(trial, source, streams, trial.parent))
    if len({trial.parent for trial in planned}) == len(planned) and trials[0].parent:
        n = min(len(trials), len(planned) // 2)
        for trial, other in zip(planned[:n], planned[n : 2 * n], strict=True):
            doubles.append(_double(trial, START, dict(trial.streams), other.parent))
    return doubles


def note(doubles: Sequence[TrialSpec], n_seeds: int) -> str:
    """What the doubles cost, in a line for people."""
    by_arm: dict[str, dict[str, None]] = {}
    for double in doubles:
        by_arm.setdefault(double.arm, {})[double.redrawn] = None
    arms = "; ".join(f"{arm}: {', '.join(sources)}" for arm, sources in by_arm.items())
    return (
        f"decompose: {len(doubles)} further trials, doubles of {n_seeds} seeds for each source "
        f"that an arm draws from ({arms})"
    )


def _double(
    trial: TrialSpec, source: str, streams: dict[str, int], parent: str | None
) -> TrialSpec:
    start = parent or trial.start_content
    return replace(
        trial,
        id=trial_id(trial.condition, trial.data, streams, start),
        stage="double",
        streams=streams,
        parent=parent,
        redrawn=source,
    )


def _drawn(trial: TrialSpec, catalogue: DataCatalogue, keeps_head: bool) -> Iterator[str]:
    """The sources from which a trial draws; what cannot be known before it runs is named."""
    condition = trial.condition
    if _splits_differ(trial, catalogue):
        yield "split"
    if condition.start.kind == "random" or condition.tuning.draws:
        yield "init"
    if condition.tuning.is_fitted:  # whatever head was drawn, the same one is fitted
        if condition.train.changes_images:
            yield "augment"
        return
    if condition.head != "keep" and not (condition.head == "auto" and keeps_head):
        yield "head"
    if condition.fine_tune == "none":
        return
    yield "order"
    if condition.train.changes_images:
        yield "augment"
    if condition.runs_users_code or _has_dropout(trial):
        yield "dropout"


def _splits_differ(trial: TrialSpec, catalogue: DataCatalogue) -> bool:
    dataset = catalogue.open(trial.data)
    one, other = (
        split_dataset(dataset, trial.data.choice.split, np.random.default_rng(seed))
        for seed in (1, 2)
    )
    return any(not np.array_equal(a, b) for a, b in zip(_parts(one), _parts(other), strict=True))


def _parts(split: object) -> Iterable[np.ndarray]:
    return [np.asarray(getattr(split, part)) for part in ("train", "validation", "test")]


def _has_dropout(trial: TrialSpec) -> bool:
    try:
        network, _ = build_network(trial)
    except ModelError:  # each trial reports it
        return False
    return any(isinstance(m, SeededDropout) and m.p > 0 for m in network.modules())
