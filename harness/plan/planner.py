"""A frozen sweep in, the ordered list of its trials out, each with its id (`trials/spec.py`).

Planning opens the data sets (from their cache: milliseconds), because their content is in the id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from datasets.locations import data_folder
from harness.plan.recipe_check import check_recipes
from harness.seeds import derive_streams
from harness.sweepfile.settings import Condition, Start, Sweep
from harness.teams.rules import check_workers
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import DataUse, Plan, TrialSpec, trial_id
from headstart.caches import cache_folder
from headstart.errors import DataError, DataNotFoundError, InputError, SpecError
from headstart.records import finished_rows, kept_weights
from models.delta_record import digest_of_weights

Stage = Literal["pretrain", "arm"]
Concerns = Callable[[Condition], bool]


def make_plan(sweep: Sweep, catalogue: DataCatalogue, seeds: Iterable[int] | None = None) -> Plan:
    """All trials of a sweep, stages before the arms that start from them.

    `seeds` are the replicates to plan; None for the sweep's own.

    Raises:
        SpecError: what can only be seen with the data at hand (more images asked than there are).
    """
    planner = _Planner(sweep, catalogue, tuple(sweep.seeds.values if seeds is None else seeds))
    plan = planner.plan()
    check_workers(plan)
    check_recipes(plan)
    return plan


def data_mistakes(sweep: Sweep, catalogue: DataCatalogue, concerns: Concerns) -> list[str]:
    """A line for each mistake of the data of these conditions, where no plan can be made yet."""
    return _Planner(sweep, catalogue, sweep.seeds.values).look_at_data(concerns)[1]


class _Planner:
    def __init__(self, sweep: Sweep, catalogue: DataCatalogue, seeds: tuple[int, ...]):
        self.sweep = sweep
        self.conditions: dict[Stage, dict[str, Condition]]
        self.conditions = {"pretrain": sweep.stages, "arm": sweep.arms}
        self.catalogue = catalogue
        self.seeds = seeds
        self.made: dict[tuple[Stage, str, int], TrialSpec] = {}
        self.contents: dict[Path, str] = {}
        self.imagenet: dict[str, Path] = {}  # by the network's name
        self.uses: dict[tuple[Stage, str], DataUse] = {}
        self.streams: dict[int, Mapping[str, int]] = {}  # of a seed: shared by all arms

    def plan(self) -> Plan:
        self._open_data()
        needed = set()
        for condition in self.sweep.arms.values():
            start = condition.start
            while start.kind == "stage":
                needed.add(start.name)
                start = self.sweep.stages[start.name].start
        for stage in self.sweep.stages:
            if stage not in needed:
                for seed in self.seeds:
                    self._trial("pretrain", stage, seed)
        for seed in self.seeds:
            for arm in self.sweep.arms:
                self._trial("arm", arm, seed)
        trials = sorted(self.made.values(), key=lambda trial: trial.stage != "pretrain")
        doubles, notes = self._doubles()
        return Plan(self.sweep, (*trials, *doubles), notes).with_refits()

    def _doubles(self) -> tuple[list[TrialSpec], tuple[str, ...]]:
        """The further trials of `decompose`, and a line that says what they cost."""
        if not self.sweep.decompose:
            return [], ()
        from harness.plan.doubles import doubles_of, note  # torch: only where it is asked for

        seeds = self.seeds[: self.sweep.decompose]
        doubles = []
        for arm in self.sweep.arms:
            trials = [self.made["arm", arm, seed] for seed in seeds]
            others = [self.made["arm", arm, seed] for seed in self.seeds]
            doubles += doubles_of(
                self.sweep, trials, others, self.catalogue, self._same_classes(arm)
            )
        return doubles, (note(doubles, len(seeds)),)

    def _same_classes(self, arm: str) -> bool:
        """Whether an arm starts from a stage of the same classes, whose head it keeps."""
        start = self.sweep.arms[arm].start
        names = self.uses["arm", arm].class_names
        return start.kind == "stage" and self.uses["pretrain", start.name].class_names == names

    def _open_data(self) -> None:
        """Fills `uses`; every data set that cannot be used is named, each mistake once.

        Raises:
            DataNotFoundError: data sets are not on this machine.
            SpecError: the mistakes, each with the conditions that it concerns.
        """
        missing, wrong = self.look_at_data()
        if not (missing or wrong):
            wrong = self._unknown_right_labels()
        texts = [*wrong, *self._start_mistakes(may_fetch=not (missing or wrong))]
        if texts:
            raise SpecError([*missing, *texts])
        if missing:
            raise DataNotFoundError("\n".join(missing))

    def _unknown_right_labels(self) -> list[str]:
        """A line where right labels are to be watched and are known of no arm's data."""
        if self.sweep.measure.also_watch is None:
            return []
        uses = [self.uses["arm", arm] for arm in self.sweep.arms]
        if any(self.catalogue.right_labels(use) is not None for use in uses):
            return []
        shown = _some(list(dict.fromkeys(use.choice.shown for use in uses)))
        return [
            f"{self.sweep.name}: measure.also_watch: right_labels: the right labels of {shown} are "
            "not known; they are of data with corrupt_labels, and of mnist_task3 where MNIST lies "
            "beside it"
        ]

    def look_at_data(self, concerns: Concerns = lambda _: True) -> tuple[list[str], list[str]]:
        """Fills `uses` of the conditions that it concerns: what is missing, and what is wrong."""
        missing: dict[str, str] = {}  # to the first line of the sweep file that names it
        mistakes: dict[str, list[str]] = {}  # to the names of conditions
        for stage, conditions in self.conditions.items():
            for name, condition in conditions.items():
                if not concerns(condition):
                    continue
                try:
                    data = self.uses[stage, name] = self.catalogue.use(condition)
                    if stage == "arm" and not data.has_test:
                        raise DataError(
                            f"{data.choice.shown} has no test part of its own: say how many images "
                            "an arm is tested on, as in data.test: 1000"
                        )
                    streams = self._split_streams(condition)
                    self.catalogue.check_splits(data, streams, is_tested=stage == "arm")
                except DataNotFoundError as err:
                    for line in str(err).splitlines():
                        missing.setdefault(line, self.sweep.data_at.get(name, ""))
                except InputError as err:
                    mistakes.setdefault(str(err), []).append(name)
        texts = [
            f"{self.sweep.name}: {_some(names)}: {line}"
            for mistake, names in mistakes.items()
            for line in mistake.splitlines()
        ]
        return [f"{at}: {text}" if at else text for text, at in missing.items()], texts

    def _split_streams(self, condition: Condition) -> dict[int, int]:
        """By seed the stream of its split, also of seeds that a rule may add."""
        until = self.sweep.seeds.most
        seeds = range(until) if until else self.seeds
        return {
            seed: self._streams(seed)["split"] for seed in ((0,) if condition.shared else seeds)
        }

    def _streams(self, seed: int) -> Mapping[str, int]:
        if seed not in self.streams:
            self.streams[seed] = derive_streams(self.sweep.seed, seed, self.sweep.vary)
        return self.streams[seed]

    def _start_mistakes(self, may_fetch: bool) -> list[str]:
        """What is wrong with the files of weights that conditions start from, each once."""
        texts: dict[str, None] = {}
        for conditions in self.conditions.values():
            for name, condition in conditions.items():
                if condition.start.kind == "imagenet" and not may_fetch:
                    continue
                try:
                    for seed in self.seeds if condition.start.kind == "run" else (0,):
                        self._start_content(condition, seed)
                except InputError as err:
                    at = self.sweep.starts_at.get(name, f"{self.sweep.name}: {name}")
                    texts[f"{at}: {err}"] = None
        return list(texts)

    def _trial(self, stage: Stage, arm: str, seed: int) -> TrialSpec:
        condition = self.conditions[stage][arm]
        if condition.shared:
            seed = 0
        key = (stage, arm, seed)
        if key in self.made:
            return self.made[key]
        start = condition.start
        parent = self._trial("pretrain", start.name, seed).id if start.kind == "stage" else None
        start_file, start_content = self._start_content(condition, seed)
        data = self.uses[stage, arm]
        streams = self._streams(seed)
        self.made[key] = TrialSpec(
            id=trial_id(condition, data, streams, parent or start_content),
            stage=stage,
            arm=arm,
            seed=seed,
            condition=condition,
            data=data,
            streams=streams,
            parent=parent,
            start_file=start_file,
            grid=self.sweep.grid_points[arm].values,
            start_content=start_content,
        )
        return self.made[key]

    def _start_content(self, condition: Condition, seed: int) -> tuple[Path | None, str | None]:
        """The weights file a trial starts from, where no trial of the plan makes it; its hash."""
        start = condition.start
        if start.kind in ("random", "stage"):
            return None, None
        if start.kind == "imagenet":
            name = condition.model.name
            if name not in self.imagenet:
                self.imagenet[name] = self._imagenet(name)
            path = self.imagenet[name]
        else:
            path = start.path if start.kind == "file" else _model_of_run(start, seed)
        path = path.absolute()
        if path not in self.contents:
            try:
                self.contents[path] = digest_of_weights(path)
            except OSError as err:
                raise InputError(f"{path}: weights cannot be read: {err.strerror}") from err
        return path, self.contents[path]

    def _imagenet(self, name: str) -> Path:
        from models.imagenet import locate_imagenet  # torch: only where ImageNet is asked for

        return locate_imagenet(
            name,
            weights_dir=data_folder(self.catalogue.data_dir) / "weights",
            cache_dir=cache_folder(),
            allow_download=self.catalogue.allow_download,
        )


def _some(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _model_of_run(start: Start, seed: int) -> Path:
    rows = [
        row
        for row in finished_rows(start.path)
        if row.arm == start.arm and row.seed == seed and row.status == "done"
    ]
    if not rows:
        raise InputError(f"{start.name} has no finished trial of arm {start.arm!r} at seed {seed}")
    folder = start.path / "trials" / rows[0].trial_id
    return kept_weights(folder, rows[0])
