"""A frozen sweep in, the ordered list of its trials out, each with its id (`trials/spec.py`).

Planning opens the data sets (from their cache: milliseconds), because their content is in the id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from datasets.locations import cache_folder, data_folder
from harness.seeds import derive_streams
from harness.sweepfile.settings import Condition, Start, Sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import DataUse, Plan, TrialSpec, trial_id
from headstart.errors import DataError, DataNotFoundError, InputError, SpecError


def make_plan(sweep: Sweep, catalogue: DataCatalogue, seeds: Iterable[int] | None = None) -> Plan:
    """All trials of a sweep, stages before the arms that start from them.

    Args:
        sweep: as read by `harness.sweepfile.reader`.
        catalogue: opens the data sets.
        seeds: replicates to plan; None for the sweep's own.

    Raises:
        SpecError: what can only be seen with the data at hand (more images asked than there are).
    """
    planner = _Planner(sweep, catalogue, tuple(sweep.seeds.values if seeds is None else seeds))
    plan = planner.plan()
    if sweep.resources.workers > 1:
        from harness.teams.rules import check_workers  # torch: only where several are asked for

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
            grid=self.sweep.grid_points[arm].values,
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


def _model_of_run(start: Start, seed: int) -> Path:
    from headstart.records import finished_rows

    rows = [
        row
        for row in finished_rows(Path(start.name))
        if row.arm == start.arm and row.seed == seed and row.status == "done"
    ]
    if not rows:
        raise InputError(
            f"initialize: {start.name} has no finished trial of arm {start.arm!r} at seed {seed}"
        )
    return Path(start.name) / "trials" / rows[0].trial_id / "model.safetensors"
