"""A frozen sweep in, the ordered list of its trials out, each with an id that is its content.

An id is a hash of all that decides a trial's result: the resolved condition with defaults left
out, the content fingerprint of its data, its seeds, the id of the trial it starts from, and the
version of the result format. Nothing else enters: renaming the sweep or an arm, adding arms or
seeds, changing `measure` or `resources` changes no id. So a run folder never runs a trial twice,
and records of two folders can be merged.

Planning opens the data sets (from their cache: milliseconds), because their content is in the id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import datasets
import models
from datasets.base import Dataset
from datasets.locations import cache_folder, data_folder
from datasets.split import SplitSettings
from harness.seeds import derive_streams
from harness.settings import Condition, DataChoice, Start, Sweep
from headstart.errors import DataError, DataNotFoundError, InputError, SpecError

RESULT_FORMAT = 3  # part of every id: raise it when the same settings give other numbers


@dataclass(frozen=True)
class DataUse:
    """The data set that a condition uses on this machine."""

    choice: DataChoice
    fingerprint: str
    n_images: int
    class_names: tuple[str, ...]
    stand_in_for: str  # the first choice, where another one is used; else empty
    has_test: bool  # whether the split leaves test images
    image_size: tuple[int, int]
    channels: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrialSpec:
    """One arm (or pretrain stage) at one seed: everything `harness.trial` needs, picklable."""

    id: str
    stage: Literal["pretrain", "search", "arm"]
    arm: str
    seed: int
    condition: Condition
    data: DataUse
    streams: Mapping[str, int]
    parent: str | None = None  # id of the pretrain trial it starts from
    start_file: Path | None = None  # weights it starts from, where no trial of this plan makes them
    grid: str = ""
    start_content: str | None = None  # a hash of the start file

    @property
    def is_tested(self) -> bool:
        """A search trial never sees a test image."""
        return self.stage != "search"

    def with_condition(
        self,
        condition: Condition,
        data: DataUse,
        searched: Mapping[str, Any] | None = None,
        chosen_by: str = "",
    ) -> TrialSpec:
        """The trial with other settings, and so another id.

        Args:
            condition: the other settings.
            data: what `DataCatalogue.use` gives for them.
            searched: what a search drew; the trial is then one of that search.
            chosen_by: the key of the search that chose the settings of this arm. Without it in
                the id, two arms that come to the same settings would be one trial.
        """
        start, tested = self.parent or self.start_content, searched is None
        changed = replace(
            self,
            id=trial_id(condition, data, self.streams, start, tested, chosen_by),
            condition=condition,
            data=data,
        )
        if searched is None:
            return changed
        return replace(changed, stage="search", grid=json.dumps(searched, sort_keys=True))


@dataclass(frozen=True)
class Plan:
    """Trials in an order in which every trial stands after the one it starts from."""

    sweep: Sweep
    trials: tuple[TrialSpec, ...]
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def by_id(self) -> dict[str, TrialSpec]:
        return {trial.id: trial for trial in self.trials}

    def shard(self, k: int, n: int) -> Plan:
        """Shard `k` of `n` (from 1): arms by the hash of their id, and the stages they need.

        A pretrain trial may be needed by several shards; each runs it for itself where no other
        has finished it, and both results are the same bits.
        """
        mine = [t for t in self.trials if t.stage != "pretrain" and int(t.id, 16) % n == k - 1]
        needed = {trial.id for trial in mine}
        frontier = mine
        while frontier:
            frontier = [
                self.by_id[t.parent] for t in frontier if t.parent and t.parent not in needed
            ]
            needed.update(trial.id for trial in frontier)
        if k == 1:  # a stage that nothing starts from still runs once
            used = {trial.parent for trial in self.trials}
            needed.update(t.id for t in self.trials if t.stage == "pretrain" and t.id not in used)
        return Plan(self.sweep, tuple(t for t in self.trials if t.id in needed), self.notes)


class DataCatalogue:
    """Opens each data set of a plan once; remembers what was chosen from every `first_of`."""

    def __init__(self, data_dir: Path | None = None, allow_download: bool = True):
        self.data_dir = data_dir
        self.allow_download = allow_download
        self._uses: dict[str, DataUse] = {}
        self._opened: dict[str, Dataset] = {}

    def use(self, condition: Condition) -> DataUse:
        """The first available choice of the condition's data, at its network's image size.

        Raises:
            DataNotFoundError: none of the choices is available; one message names them all.
            DataError: a data set is there and cannot be used.
        """
        info = models.model_info(condition.model.name, condition.model.options)
        key = repr((condition.data, info.image_size, info.channels))
        if key not in self._uses:
            self._uses[key] = self._first_available(condition.data, info)
        return self._uses[key]

    def open(self, use: DataUse) -> Dataset:
        """The images and labels of a data set that was chosen; cached by fingerprint.

        Raises:
            DataError: the content changed since the plan was made.
        """
        if use.fingerprint not in self._opened:
            dataset = self._load(use.choice, use.image_size, use.channels)
            if dataset.fingerprint != use.fingerprint:
                raise DataError(
                    f"{use.choice.name}: its content changed since the plan was made "
                    f"({use.fingerprint[:8]} then, {dataset.fingerprint[:8]} now)"
                )
            self._opened[use.fingerprint] = dataset
        return self._opened[use.fingerprint]

    def _first_available(self, choices: Sequence[DataChoice], info: Any) -> DataUse:
        missing: list[str] = []
        for position, choice in enumerate(choices):
            try:
                dataset = self._load(choice, info.image_size, info.channels)
            except DataNotFoundError as err:
                missing.append(str(err))
                continue
            self._opened[dataset.fingerprint] = dataset
            return DataUse(
                choice=choice,
                fingerprint=dataset.fingerprint,
                n_images=len(dataset.labels),
                class_names=dataset.class_names,
                stand_in_for=choices[0].name if position else "",
                has_test=_has_test(dataset, choice.split),
                image_size=tuple(dataset.images.shape[2:]),
                channels=dataset.images.shape[1],
                notes=dataset.notes,
            )
        raise DataNotFoundError("\n".join(missing))

    def _load(
        self, choice: DataChoice, image_size: tuple[int, int] | None, channels: int | None
    ) -> Dataset:
        return datasets.load_dataset(
            choice.name,
            data_dir=self.data_dir,
            image_size=image_size,
            channels=channels,
            allow_download=self.allow_download,
            **choice.options,
        )


def _has_test(dataset: Dataset, split: SplitSettings) -> bool:
    """Whether `split_dataset` will leave test images: the set's own, a count or a share."""
    if split.test is not None:
        return split.test > 0
    if "test" in dataset.parts:
        return True
    if split.split is not None:
        return split.split.get("test", 0) > 0
    return split.train is None and split.validation is None


def make_plan(sweep: Sweep, catalogue: DataCatalogue, seeds: Iterable[int] | None = None) -> Plan:
    """All trials of a sweep, stages before the arms that start from them.

    Args:
        sweep: as read by `harness.spec`.
        catalogue: opens the data sets.
        seeds: replicates to plan; None for the sweep's own.

    Raises:
        SpecError: what can only be seen with the data at hand (more images asked than there are).
    """
    planner = _Planner(sweep, catalogue, tuple(sweep.seeds.values if seeds is None else seeds))
    plan = planner.plan()
    if sweep.resources.workers > 1:
        from harness.worker_rules import check_workers  # torch: only where several are asked for

        check_workers(plan)
    return plan


class _Planner:
    def __init__(self, sweep: Sweep, catalogue: DataCatalogue, seeds: tuple[int, ...]):
        self.sweep = sweep
        self.catalogue = catalogue
        self.seeds = seeds
        self.made: dict[tuple[str, str, int], TrialSpec] = {}
        self.contents: dict[Path, str] = {}
        self.uses: dict[tuple[bool, str], DataUse] = {}  # by whether it is an arm, and its name
        self.streams: dict[int, Mapping[str, int]] = {}  # of a seed: shared by all arms

    def plan(self) -> Plan:
        mistakes = []
        notes: dict[str, None] = {}
        stages = [(False, *item) for item in self.sweep.stages.items()]
        for is_arm, name, condition in (*stages, *((True, *i) for i in self.sweep.arms.items())):
            try:
                data = self.uses[is_arm, name] = self.catalogue.use(condition)
                notes.update(dict.fromkeys(data.notes))
                if is_arm and not data.has_test:
                    raise DataError(
                        f"{data.choice.name} has no test part of its own: say how many images "
                        "an arm is tested on, as in data.test: 1000"
                    )
            except DataNotFoundError:
                raise
            except InputError as err:
                mistakes.append(f"{self.sweep.name}: {name}: {err}")
        if mistakes:
            raise SpecError(mistakes)
        wanted = {c.start.name for c in self.sweep.arms.values() if c.start.kind == "stage"}
        for stage in self.sweep.stages:
            if stage not in wanted and not self._is_ancestor(stage, wanted):
                for seed in self.seeds:
                    self._trial("pretrain", stage, seed)
        for seed in self.seeds:
            for arm in self.sweep.arms:
                self._trial("arm", arm, seed)
        trials = sorted(self.made.values(), key=lambda trial: trial.stage != "pretrain")
        return Plan(self.sweep, tuple(trials), tuple(notes))

    def _is_ancestor(self, stage: str, wanted: set[str]) -> bool:
        """Whether a wanted stage starts, directly or not, from this one."""
        for name in wanted:
            start = self.sweep.stages[name].start
            while start.kind == "stage":
                if start.name == stage:
                    return True
                start = self.sweep.stages[start.name].start
        return False

    def _trial(self, stage: Literal["pretrain", "arm"], arm: str, seed: int) -> TrialSpec:
        conditions = self.sweep.stages if stage == "pretrain" else self.sweep.arms
        condition = conditions[arm]
        if stage == "pretrain" and condition.shared:
            seed = 0
        key = (stage, arm, seed)
        if key not in self.made:
            parent = None
            if condition.start.kind == "stage":
                parent = self._trial("pretrain", condition.start.name, seed)
            self.made[key] = self._new_trial(stage, arm, seed, condition, parent)
        return self.made[key]

    def _new_trial(
        self,
        stage: Literal["pretrain", "arm"],
        arm: str,
        seed: int,
        condition: Condition,
        parent: TrialSpec | None,
    ) -> TrialSpec:
        data = self.uses[stage == "arm", arm]
        if seed not in self.streams:
            self.streams[seed] = derive_streams(self.sweep.seed, seed, self.sweep.vary)
        streams = self.streams[seed]
        start_file, start_content = self._start_content(condition, seed)
        grid = self.sweep.grid_points.get(arm, {})
        return TrialSpec(
            id=trial_id(condition, data, streams, parent.id if parent else start_content),
            stage=stage,
            arm=arm,
            seed=seed,
            condition=condition,
            data=data,
            streams=streams,
            parent=parent.id if parent else None,
            start_file=start_file,
            grid=json.dumps(grid, sort_keys=True) if grid else "",
            start_content=start_content,
        )

    def _start_content(self, condition: Condition, seed: int) -> tuple[Path | None, str | None]:
        """The weights file a trial starts from, where no trial of the plan makes it; its hash."""
        start = condition.start
        if start.kind in ("random", "stage"):
            return None, None
        if start.kind == "imagenet":
            path = self._imagenet(condition.model.name)
        else:
            path = Path(start.name) if start.kind == "file" else _model_of_run(start, seed)
        path = path.absolute()
        if path not in self.contents:
            try:
                content = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
            except OSError as err:
                raise InputError(f"{path}: weights cannot be read: {err.strerror}") from err
            self.contents[path] = content
        return path, self.contents[path]

    def _imagenet(self, name: str) -> Path:
        from models.imagenet import locate_imagenet  # torch: only where ImageNet is asked for

        return locate_imagenet(
            name,
            weights_dir=data_folder(self.catalogue.data_dir) / "weights",
            cache_dir=cache_folder(),
            allow_download=self.catalogue.allow_download,
        )


def trial_id(
    condition: Condition,
    data: DataUse,
    streams: Mapping[str, int],
    start: str | None,
    tested: bool = True,
    chosen_by: str = "",
) -> str:
    """16 hexadecimal characters: a hash of all that decides the trial's result, and no more."""
    content = {
        "format": RESULT_FORMAT,
        "model": condition.model.model_dump(mode="json"),
        "data": {
            "fingerprint": data.fingerprint,
            "split": data.choice.split.model_dump(mode="json", exclude_defaults=True),
        },
        "train": condition.train.model_dump(mode="json", exclude_defaults=True),
        "start": start,
        "fine_tune": condition.fine_tune,
        "head": condition.head,
        "streams": dict(streams),
        **({} if tested else {"tested": False}),
        **({"chosen_by": chosen_by} if chosen_by else {}),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _model_of_run(start: Start, seed: int) -> Path:
    from harness.store import finished_rows

    rows = [
        row
        for row in finished_rows(Path(start.name))
        if row["arm"] == start.arm and row["seed"] == seed and row["status"] == "done"
    ]
    if not rows:
        raise InputError(
            f"initialize: {start.name} has no finished trial of arm {start.arm!r} at seed {seed}"
        )
    return Path(start.name) / "trials" / rows[0]["trial_id"] / "model.safetensors"
