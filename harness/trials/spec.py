"""What a trial is: the settings, data and seeds that decide its result, under an id.

An id is a hash of all that decides a trial's result: the resolved condition with defaults left
out, the content fingerprint of its data, its seeds, the id of the trial it starts from, and the
version of the result format. Nothing else enters: renaming the sweep or an arm, adding arms or
seeds, changing `measure` or `resources` changes no id. So a run folder never runs a trial twice,
and records of two folders can be merged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from harness.sweepfile.settings import Condition, DataChoice, Sweep, Train
from headstart.grid import Values
from models.forms import Gradual

RESULT_FORMAT = 3  # part of every id: raise it when the same settings give other numbers


@dataclass(frozen=True)
class PassedOver:
    """A data set that a sweep prefers to the one that is used, and why it is not used; `brief`:
    the same in a few words."""

    name: str
    reason: str
    brief: str = ""


@dataclass(frozen=True)
class DataUse:
    """The data set that a condition uses on this machine.

    Attributes:
        choice: its name, its options, and how it is split.
        stand_in_for: the first choice, where another one is used; else empty.
        passed_over: the earlier choices.
        has_test: whether the split leaves test images.
        source: where it came from, for people.
        counts: of each part of its own, images by class; under "" where it has no parts.
        n_groups: how many groups a split keeps together; None: the images have none.
        notes, warnings: as the data set has them; the warnings are said first.
        split_notes: what the split says beside them.
        n_train: training images of the first seed's split; 0: not known.
        n_used: images of all its parts; 0: not known.
        n_tested: test images of the first seed's split.
        n_evaluated: of the larger of the parts that are not trained on; 0: not known.
        decoded_bytes: of its images as they lie on disk, which gray ones do in one channel.
        is_mapped: whether they lie in a file of the cache, which processes map.
        image_size: (height, width) that a network is given.
        kept_size: of the images as they are kept, where `train.crop_fraction` keeps larger ones.
        in_files: whether they stay in their own files, and are decoded while trials read them.
        target: what its labels are (`labels`, `ordered`, `number`); empty: classes.
        unit: of the target's numbers; may be empty.
    """

    choice: DataChoice
    fingerprint: str
    n_images: int
    class_names: tuple[str, ...]
    stand_in_for: str
    has_test: bool
    image_size: tuple[int, int]
    channels: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    source: str = ""
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    n_groups: int | None = None
    split_notes: tuple[str, ...] = ()
    n_train: int = 0
    n_used: int = 0
    n_evaluated: int = 0
    n_tested: int = 0
    decoded_bytes: int = 0
    is_mapped: bool = False
    kept_size: tuple[int, int] | None = None
    in_files: bool = False
    target: str = ""
    unit: str = ""


@dataclass(frozen=True)
class TrialSpec:
    """One arm (or pretrain stage) at one seed: everything `run_trial` needs, picklable."""

    id: str
    stage: Literal["pretrain", "search", "arm", "double", "refit"]
    arm: str
    seed: int
    condition: Condition
    data: DataUse
    streams: Mapping[str, int]
    parent: str | None = None  # id of the pretrain trial it starts from
    start_file: Path | None = None  # weights it starts from, where no trial of this plan makes them
    grid: Values = field(default_factory=dict)  # by full key: of the grid, or drawn
    start_content: str | None = None  # a hash of the start file
    redrawn: str = ""  # of a double: the source in which it differs from the arm's trial
    refits: str = ""  # of a refit: the id of the arm's trial that it repeats on all images

    @property
    def train(self) -> Train:
        """The settings, with the loss and the scores that the data's target has."""
        return self.condition.train.for_target(self.data.target)

    @property
    def is_tested(self) -> bool:
        """A search trial never sees a test image."""
        return self.stage != "search"

    @property
    def leaves_one_image(self) -> bool:
        """Whether a batch of an epoch has one image alone; so of batches of one."""
        n, size = self.data.n_train, self.condition.train.batch_size
        parts = self.condition.train.accumulate
        if parts > 1:  # the smallest part of a whole batch, or of an epoch's last one
            return n > 0 and any(0 < b < 2 * parts for b in (min(n, size), n % size))
        return n > 0 and (n % size == 1 or size == 1)

    @property
    def waits_for(self) -> str | None:
        """Id of the trial that must be done before this one can begin."""
        return self.refits or self.parent

    def refitted(self) -> TrialSpec:
        """The same trial once more, on all images of its split; its id follows from this one's."""
        content = json.dumps({"format": RESULT_FORMAT, "refits": self.id})
        refit_id = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
        return replace(self, id=refit_id, stage="refit", refits=self.id)

    @property
    def step_key(self) -> str:
        """All that decides the network and its steps but the seeds: equal where steps are alike."""
        data = self.data
        return repr((self.condition, data.image_size, data.channels, len(data.class_names)))

    def with_condition(
        self,
        condition: Condition,
        data: DataUse,
        searched: Values | None = None,
        chosen_by: str = "",
        parent: str | None = None,
    ) -> TrialSpec:
        """The trial with other settings, or another start, and so another id.

        Args:
            condition: the other settings.
            data: what `DataCatalogue.use` gives for them.
            parent: the id of the stage's trial that it starts from, where it is another one.
            searched: what a search drew; the trial is then one of that search.
            chosen_by: the key of the search that chose the settings of this arm. Without it in
                the id, two arms that come to the same settings would be one trial.
        """
        parent = parent or self.parent
        start, tested = parent or self.start_content, searched is None
        changed = replace(
            self,
            id=trial_id(condition, data, self.streams, start, tested, chosen_by),
            condition=condition,
            data=data,
            parent=parent,
        )
        if searched is None:
            return changed
        return replace(changed, stage="search", grid=dict(searched))


@dataclass(frozen=True)
class Plan:
    """Trials in an order in which every trial stands after the one it starts from.

    Stages that come to the same settings have the same trials, each of which runs once: `trials`
    has them for each of the stages, `by_id` has them once.
    """

    sweep: Sweep
    trials: tuple[TrialSpec, ...]
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def by_id(self) -> dict[str, TrialSpec]:
        return {trial.id: trial for trial in self.trials}

    @cached_property
    def data(self) -> tuple[DataUse, ...]:
        """The data sets of the trials, each of them once, however it is split."""
        uses: dict[tuple[str, str], DataUse] = {}
        for use in {id(trial.data): trial.data for trial in self.trials}.values():
            first = uses.setdefault((use.choice.name, use.fingerprint), use)
            notes = tuple(dict.fromkeys((*first.split_notes, *use.split_notes)))
            uses[use.choice.name, use.fingerprint] = replace(first, split_notes=notes)
        return tuple(uses.values())

    @cached_property
    def by_arm(self) -> dict[tuple[str, str], list[TrialSpec]]:
        """Trials by stage and arm; the seeds of one keep their order."""
        arms: dict[tuple[str, str], list[TrialSpec]] = {}
        for trial in self.trials:
            arms.setdefault((trial.stage, trial.arm), []).append(trial)
        return arms

    def shown_arm(self, trial: TrialSpec) -> str:
        """What people read in place of the trial's arm, or the name of its stage."""
        return trial.arm if trial.stage == "pretrain" else self.sweep.shown(trial.arm)

    def with_refits(self) -> Plan:
        """The plan with a refit of each of its arms' trials, where the sweep asks for them."""
        if not self.sweep.refit:
            return self
        others = tuple(trial for trial in self.trials if trial.stage != "refit")
        refits = (trial.refitted() for trial in others if trial.stage == "arm")
        return replace(self, trials=(*others, *refits))

    def repeated(self) -> Iterator[str]:
        """A line for stages, or arms, that come to the same trials.

        An arm that is searched comes to others than one that is not: the key of its search will be
        in their ids.
        """
        names: dict[tuple[str, bool], dict[str, None]] = {}
        for trial in self.trials:
            is_searched = trial.stage != "pretrain" and trial.arm in self.sweep.searches
            names.setdefault((trial.id, is_searched), {})[self.shown_arm(trial)] = None
        for *others, last in dict.fromkeys(tuple(each) for each in names.values()):
            if others:
                yield (
                    f"{', '.join(others)} and {last} come to the same trials: each of these runs "
                    f"once, and tables and the report have it as {last}"
                )

    def shard(self, k: int, n: int) -> Plan:
        """Shard `k` of `n` (from 1): arms by the hash of their id, and the stages they need.

        A pretrain trial may be needed by several shards; each runs it for itself where no other
        has finished it, and both results are the same bits.
        """
        own = [t for t in self.trials if t.stage != "pretrain"]
        chosen = [t for t in own if int(t.refits or t.id, 16) % n == k - 1]
        needed = {trial.id for trial in chosen}
        frontier = chosen
        while frontier:
            frontier = [
                self.by_id[t.parent] for t in frontier if t.parent and t.parent not in needed
            ]
            needed.update(trial.id for trial in frontier)
        if k == 1:  # a stage that nothing starts from still runs once
            used = {trial.parent for trial in self.trials}
            needed.update(t.id for t in self.trials if t.stage == "pretrain" and t.id not in used)
        return Plan(self.sweep, tuple(t for t in self.trials if t.id in needed), self.notes)


def trial_id(
    condition: Condition,
    data: DataUse,
    streams: Mapping[str, int],
    start: str | None,
    tested: bool = True,
    chosen_by: str = "",
) -> str:
    """16 hexadecimal characters: a hash of all that decides the trial's result, and no more."""
    at_least = condition.train.at_least_steps
    content = {
        "format": RESULT_FORMAT,
        "model": condition.model.hashed(),
        "data": {
            "fingerprint": data.fingerprint,
            "split": data.choice.split.model_dump(mode="json", exclude_defaults=True),
        },
        "train": condition.train.hashed(),
        "start": start,
        **condition.start.hashed(),
        "fine_tune": condition.fine_tune,
        "head": condition.head,
        "streams": dict(streams),
        **({} if tested else {"tested": False}),
        **({"chosen_by": chosen_by} if chosen_by else {}),
        # As the format, of these conditions alone: it was raised when their numbers changed.
        **({"joining": 2} if isinstance(condition.tuning, Gradual) and at_least else {}),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
