"""Hyperparameter search before the arms: which trials a search runs, and what it decides.

In: a plan whose sweep searches arms, and a way to run trials. Out: the plan with the winners'
values laid over their arms, and `search/ARM.json` in the run folder: every ranking, what was kept,
the winner and why. Search trials are trials like any other but for two things: they are of stage
`search`, and their test images are taken away before anything is placed (`Split.without_test`).

Where every seed draws its own test images, an arm is searched once for each seed, inside that
seed's split, so that no image that a trial is tested on was seen by the search that chose its
settings. Where the test images are the data set's own, one search at the first seed serves all.
What is drawn for a stage that the arm starts from makes further trials of that stage, named as at
a point of a grid, each once; search trials and the arm's own start from them, and stages as written
from which nothing starts any more do not run.

The configurations are drawn by hash, or follow from the results before them (`proposals.py`);
rungs and rounds wait for all of their trials; ties fall to the lower loss and then to the lower
number: so a search gives the same winner wherever it runs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.plan.proposals import propose
from harness.sweepfile.settings.search import Search, by_owner, draw
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import Plan, TrialSpec
from headstart.digests import write_sealed_json
from headstart.errors import InputError, RunFolderError
from headstart.files import make_folder, safe_name
from headstart.grid import GridPoint, Values, own_name
from headstart.records import read_object, read_row, trial_curve
from headstart.rows import EvaluationRow

FORMAT = 1  # of the records
FOLDER = "search"
FIRST = ("pretrain", "search")  # the stages of what runs before the arms' settings are known


@dataclass(frozen=True)
class Study:
    """One search of one arm: at one seed, or for all of them.

    Attributes:
        base: the arm's trial at that seed, as the sweep writes it.
        seeds: those that take the winner's values.
        plan: the sweep as it is written, with the stages that the arm starts from.
    """

    search: Search
    base: TrialSpec
    seeds: tuple[int, ...]
    data: DataCatalogue
    plan: Plan

    @property
    def key(self) -> str:
        """A hash of all that decides the winner."""
        settings = self.search.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps([FORMAT, self.base.id, settings])
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def epochs(self) -> tuple[int | None, ...]:
        """Of each rung; None: the condition's own."""
        return self.search.rungs or (None,)

    @property
    def draws_stages(self) -> bool:
        """Whether settings of a stage are searched."""
        return bool(by_owner(self.search.space)[1])

    def trial(self, drawn: Values, epochs: int | None) -> TrialSpec:
        """The search trial of what was drawn, on a rung of so many epochs."""
        own, _ = by_owner(drawn)
        values = own if epochs is None else {**own, "train.epochs": epochs}
        condition = self.base.condition.with_values(values)
        parent = self._parent(self.base, drawn)
        return self.base.with_condition(condition, self.data.use(condition), drawn, parent=parent)

    def chosen(self, arm_trial: TrialSpec, drawn: Values) -> TrialSpec:
        """A trial of the arm with the values that were drawn."""
        own, _ = by_owner(drawn)
        condition = arm_trial.condition.with_values(own)
        data, parent = self.data.use(condition), self._parent(arm_trial, drawn)
        return arm_trial.with_condition(condition, data, chosen_by=self.key, parent=parent)

    def _parent(self, trial: TrialSpec, drawn: Values) -> str | None:
        """The id of the stage that was drawn for it; None where it starts as it is written."""
        stages = self.stages(trial, drawn)
        return stages[-1].id if stages else None

    def stages(self, trial: TrialSpec, drawn: Values) -> list[TrialSpec]:
        """The stages that a trial starts from, first to last, with what was drawn for them.

        From the first of which something was drawn; none where nothing was.
        """
        _, values = by_owner(drawn)
        if not values:
            return []
        stages: list[TrialSpec] = []
        so_far: dict[str, Any] = {}
        for stage in self._before(trial):
            name = own_name(stage.arm, stage.grid)
            own = values.get(name, {})
            so_far |= {f"pretrain.{name}.{key}": value for key, value in own.items()}
            if not so_far:
                continue
            condition = stage.condition.with_values(own)
            parent, data = stages[-1].id if stages else None, self.data.use(condition)
            grid = {**stage.grid, **so_far}
            changed = stage.with_condition(condition, data, parent=parent)
            stages.append(replace(changed, arm=GridPoint(name, grid).name, grid=grid))
        return stages

    def _before(self, trial: TrialSpec) -> list[TrialSpec]:
        """The trials of stages that it starts from, as the sweep writes them, first to last."""
        chain: list[TrialSpec] = []
        while trial.parent is not None:
            stages = self.plan.by_arm["pretrain", trial.condition.start.name]
            trial = next(stage for stage in stages if stage.id == trial.parent)
            chain.insert(0, trial)
        return chain


@dataclass(frozen=True)
class Entry:
    """One configuration on one rung, and how it did; the order of the ranking.

    Attributes:
        values: what was drawn, by full key.
    """

    sample: int
    values: Values
    trial: TrialSpec
    status: str = "pending"
    val_accuracy: float = math.nan
    val_loss: float = math.nan

    def rank(self, metric: str) -> tuple[float, ...]:
        """Smaller is better; what did not finish comes last."""
        if self.status != "done":
            return (math.inf, math.inf, self.sample)
        return (*_score(self, metric), self.sample)

    def told(self, metric: str) -> float:
        """What a sampler that learns from results is told: smaller is better; NaN: not finished."""
        return _score(self, metric)[0] if self.status == "done" else math.nan


def _score(point: Entry | EvaluationRow, metric: str) -> tuple[float, float]:
    """Smaller is better; the second decides between equals."""
    scores = (-point.val_accuracy, point.val_loss)
    return scores if metric == "val_accuracy" else scores[::-1]


@dataclass
class Course:
    """A study under way: the rungs that this command ran, and what won once it is decided.

    Attributes:
        asked: of `sampler: tpe`, the configurations of all rounds so far.
        winner: the values of the configuration that won.
        stages: those that were drawn with the trials.
    """

    study: Study
    rungs: list[list[Entry]] = field(default_factory=list)
    asked: list[Entry] = field(default_factory=list)
    winner: Values | None = None
    error: str = ""
    trials: list[TrialSpec] = field(default_factory=list)
    stages: list[TrialSpec] = field(default_factory=list)

    def add(self, values: Values, trial: TrialSpec) -> None:
        self.stages += self.study.stages(self.study.base, values)
        self.trials.append(trial)

    def entries(
        self, configurations: Iterable[tuple[int, Values]], epochs: int | None
    ) -> list[Entry]:
        """Their trials; one that was not among the course's trials is now."""
        entries = []
        for sample, values in configurations:
            entries.append(Entry(sample, values, self.study.trial(values, epochs)))
            if all(trial.id != entries[-1].trial.id for trial in self.trials):
                self.add(values, entries[-1].trial)
        return entries


@dataclass(frozen=True)
class Searched:
    """What came of all searches.

    Attributes:
        plan: stages, search trials, arms with the values chosen (as written where none was).
        blocked: arm trials that cannot run, by id, and why.
    """

    plan: Plan
    blocked: Mapping[str, str] = field(default_factory=dict)


def studies_of(plan: Plan, catalogue: DataCatalogue) -> tuple[Study, ...]:
    """The searches that a plan asks for, by arm and then by seed."""
    studies = []
    for arm, search in plan.sweep.searches.items():
        trials = plan.by_arm.get(("arm", arm))
        if not trials:
            continue
        if redraws_test(trials[0], plan, catalogue):
            studies += [Study(search, trial, (trial.seed,), catalogue, plan) for trial in trials]
        else:
            first = min(trials, key=lambda trial: trial.seed)
            seeds = tuple(trial.seed for trial in trials)
            studies.append(Study(search, first, seeds, catalogue, plan))
    return tuple(studies)


def redraws_test(trial: TrialSpec, plan: Plan, catalogue: DataCatalogue) -> bool:
    """Whether one seed's test images may be what another seed trains or validates on."""
    return "split" in plan.sweep.vary and "test" not in catalogue.open(trial.data).parts


def plan_searches(plan: Plan, catalogue: DataCatalogue, folder: Path) -> Plan:
    """The plan as far as it is known before anything runs, for `--dry-run`.

    With what the folder's records decided; else with the trials with which a search begins.
    """
    courses = [_open(study, folder) for study in studies_of(plan, catalogue)]
    open_arms = set()
    for course in courses:
        if course.winner is None:
            open_arms.add(course.study.base.arm)
            _begin_rung(course)
    arms = plan.sweep.searches.items()
    notes = (_budget_words(arm, search) for arm, search in arms if arm in open_arms)
    known = _settled(plan, courses).plan
    return replace(known, notes=(*plan.notes, *notes))


def _budget_words(arm: str, search: Search) -> str:
    rungs = [f"{n} epoch{'s' * (n > 1)}" for n in search.rungs] or ["the arm's epochs"]
    n, parts = search.samples, []
    for rung in rungs:
        parts.append(f"{n} for {rung}")
        n = search.n_kept(n)
    tpe = search.sampler == "tpe"
    rounds = f" in {search.rounds} rounds, each of which knows the results before it" * tpe
    after = ", each after a pretraining of its own" if by_owner(search.space)[1] else ""
    trains = ", then ".join(parts) + rounds + after
    return f"{arm}: a search trains {trains}; the winner's values then hold"


def recorded(plan: Plan, catalogue: DataCatalogue, folder: Path) -> Searched:
    """The plan with the winners that are on record.

    Raises:
        InputError: a search has not been decided yet.
    """
    courses = [_open(study, folder) for study in studies_of(plan, catalogue)]
    for course in courses:
        if course.winner is None:
            raise InputError(
                f"the search for arm {course.study.base.arm!r} at seed {course.study.base.seed} is "
                f"not decided in {folder}: run the sweep whole first (no --shard, no --only)"
            )
    return _settled(plan, courses)


def run_searches(
    plan: Plan,
    catalogue: DataCatalogue,
    folder: Path,
    run: Callable[[Plan, Plan], None],
    is_stopped: Callable[[], bool],
) -> Searched:
    """Run what the searches of a plan have left to run, rung by rung, and decide.

    Args:
        plan: stages and arms as the sweep writes them.
        folder: the run folder; finished trials are read there.
        run: runs the second plan, a part of the first.
        is_stopped: whether a signal came; the searches are then left as they are.
    """
    courses = [_open(study, folder) for study in studies_of(plan, catalogue)]
    while undecided := [c for c in courses if c.winner is None and not c.error]:
        for course in undecided:
            _begin_rung(course)
        whole = _with_searches(plan, courses)
        drawn = {course.study.base.arm for course in courses if course.study.draws_stages}
        idle = _idle([t for t in whole.trials if t.stage == "arm" and t.arm in drawn], whole)
        now = (t for t in whole.trials if t.stage in FIRST and t.id not in idle)
        run(whole, Plan(plan.sweep, tuple(now)))
        if is_stopped():
            return Searched(whole)
        for course in undecided:
            _close_rung(course, folder)
    _write_records(courses, folder)
    return _settled(plan, courses)


def _begin_rung(course: Course) -> None:
    """Adds the trials of a rung, all configurations or the best of the rung before; or of a round.

    Configurations that are equal (drawn from a small space) are trained once.
    """
    study = course.study
    if study.search.sampler == "tpe":
        _begin_round(course)
        return
    epochs = study.epochs[len(course.rungs)]
    configurations: Iterable[tuple[int, Values]] = (
        (sample, draw(study.search, sample)) for sample in range(study.search.samples)
    )
    if course.rungs:
        before = course.rungs[-1]
        kept = before[: study.search.n_kept(len(before))]
        configurations = [(entry.sample, entry.values) for entry in kept]
    course.rungs.append(_unlike(course.entries(configurations, epochs)))


def _begin_round(course: Course) -> None:
    """Adds the trials of the next round of a search that learns from results."""
    search, n = course.study.search, len(course.asked)
    proposed = propose(search, [entry.told(search.metric) for entry in course.asked])
    try:
        course.asked += course.entries(enumerate(proposed, start=n), None)
    except ValueError as err:
        raise InputError(
            f"search of arm {course.study.base.arm!r}: the settings do not take what sampler: tpe "
            f"proposed for samples {n} to {n + len(proposed) - 1} together: {err}; narrow the space"
        ) from err


def _unlike(entries: Sequence[Entry]) -> list[Entry]:
    """The first of those that come to the same trial."""
    return list({entry.trial.id: entry for entry in reversed(entries)}.values())[::-1]


def _close_rung(course: Course, folder: Path) -> None:
    """Read how the trials of a rung, or of a round, did, and decide where it was the last."""
    search = course.study.search
    if search.sampler == "tpe":
        course.asked = [_scored(entry, search.metric, folder) for entry in course.asked]
        if len(course.asked) < search.samples:
            return
        course.rungs.append(_unlike(course.asked))
    ranking = [_scored(entry, search.metric, folder) for entry in course.rungs[-1]]
    course.rungs[-1] = sorted(ranking, key=lambda entry: entry.rank(search.metric))
    best = course.rungs[-1][0]
    if best.status != "done":
        course.error = (
            f"no trial of the search for its settings finished ({len(ranking)} ran; why: "
            f"python -m harness.status {folder})"
        )
    elif len(course.rungs) == len(course.study.epochs):
        course.winner = best.values


def _scored(entry: Entry, metric: str, folder: Path) -> Entry:
    """The entry with the best validation scores of its trial.

    By accuracy: of the selected checkpoint. By loss: the lowest on the curve, and the accuracy
    there.
    """
    path = folder / "trials" / entry.trial.id
    row = read_row(path / "trial.json")
    if row is None or row.status != "done":
        return replace(entry, status=row.status if row else "pending")
    points = trial_curve(folder, entry.trial.id, row)
    finite = [p for p in points if math.isfinite(p.val_loss)]
    best = min(finite, key=lambda point: _score(point, metric))
    return replace(entry, status="done", val_accuracy=best.val_accuracy, val_loss=best.val_loss)


# -- from searches to the arms --------------------------------------------------------------


def _settled(plan: Plan, courses: Sequence[Course]) -> Searched:
    """Every arm trial with the values that its search chose."""
    of_trial = {(c.study.base.arm, seed): c for c in courses for seed in c.study.seeds}
    trials, blocked = [], {}
    stages: list[TrialSpec] = []
    replaced: list[TrialSpec] = []
    for trial in plan.trials:
        course = of_trial.get((trial.arm, trial.seed)) if trial.stage == "arm" else None
        if course is not None and course.winner is not None:
            replaced.append(trial)
            stages += course.study.stages(trial, course.winner)
            trial = course.study.chosen(trial, course.winner)
        elif course is not None:
            blocked[trial.id] = course.error
        trials.append(trial)
    settled = _with_searches(replace(plan, trials=tuple(trials)), courses, stages)
    idle = _idle(replaced, settled)
    kept = tuple(trial for trial in settled.trials if trial.id not in idle)
    return Searched(replace(settled, trials=kept), blocked)


def _with_searches(
    plan: Plan, courses: Sequence[Course], further: Sequence[TrialSpec] = ()
) -> Plan:
    """The plan's stages and those drawn, search trials (each once), its arms, their refits."""
    searched = {trial.id: trial for course in courses for trial in course.trials}
    stages = [trial for trial in plan.trials if trial.stage == "pretrain"]
    written = {trial.id for trial in stages}
    every = (*(stage for course in courses for stage in course.stages), *further)
    drawn = {stage.id: stage for stage in every if stage.id not in written}
    arms = [trial for trial in plan.trials if trial.stage == "arm"]
    return replace(plan, trials=(*stages, *drawn.values(), *searched.values(), *arms)).with_refits()


def _idle(replaced: Sequence[TrialSpec], plan: Plan) -> set[str]:
    """Ids of stages from which these trials alone start, which have others in their place."""
    gone = {trial.id for trial in replaced}
    kinds = ("pretrain", "refit")  # a refit starts as its arm does
    others = (t for t in plan.trials if t.stage not in kinds and t.id not in gone)
    return _started_from(replaced, plan) - _started_from(others, plan)


def _started_from(trials: Iterable[TrialSpec], plan: Plan) -> set[str]:
    """Ids of the stages that trials start from, directly or not."""
    ids: set[str] = set()
    for trial in trials:
        parent = trial.parent
        while parent is not None and parent not in ids:
            ids.add(parent)
            parent = plan.by_id[parent].parent
    return ids


# -- records --------------------------------------------------------------------------------


def record_path(folder: Path, arm: str) -> Path:
    """`search/ARM.json`; a name that is no file name is told apart by a hash of it."""
    name = safe_name(arm, 60)
    if name != arm:
        name += "-" + hashlib.blake2b(arm.encode(), digest_size=3).hexdigest()
    return folder / FOLDER / f"{name}.json"


def _open(study: Study, folder: Path) -> Course:
    """A new course, or the recorded one where the record is of exactly this search."""
    course = Course(study)
    path = record_path(folder, study.base.arm)
    record = read_object(path) or {}
    try:
        kept = record.get("searches", {}).get(str(study.base.seed), {})
        if kept.get("key") != study.key:
            return course
        for rung, epochs in zip(kept["rungs"], study.epochs, strict=True):
            for entry in rung["ranking"]:
                values = _drawn_before(study.search, entry)
                course.add(values, study.trial(values, epochs))
        course.winner = _drawn_before(study.search, kept["winner"])
    except (AttributeError, LookupError, TypeError, ValueError) as err:
        raise RunFolderError(
            f"{path}: is no record of a search ({type(err).__name__}: {err}); remove it to search "
            "again"
        ) from err
    return course


def _drawn_before(search: Search, entry: Mapping[str, Any]) -> Values:
    """The values of a configuration on record, which are never others than the search may draw.

    Raises:
        ValueError: of `sampler: tpe`, whose values the record alone has, they are.
    """
    if search.sampler != "tpe":
        return draw(search, entry["sample"])
    values = entry["values"]
    if set(values) != set(search.space):
        raise ValueError(f"values of {', '.join(sorted(values))}, which are not those searched")
    return {name: each.as_recorded(values[name]) for name, each in search.space.items()}


def _write_records(courses: Sequence[Course], folder: Path) -> None:
    """Add what was decided just now to the records of the arms."""
    for course in courses:
        study, arm = course.study, course.study.base.arm
        if course.winner is None or not course.rungs:
            continue
        path = record_path(folder, arm)
        make_folder(path.parent)
        searches = (read_object(path) or {}).get("searches", {})
        searches[str(study.base.seed)] = _course_record(course)
        settings = study.search.model_dump(mode="json", exclude_none=True, exclude_unset=True)
        record = {
            "format": FORMAT,
            "arm": arm,
            "search": settings,
            "one_search_for": "all seeds" if len(study.seeds) > 1 else "each seed",
            "searches": dict(sorted(searches.items(), key=lambda item: int(item[0]))),
        }
        write_sealed_json(path, record)


def _course_record(course: Course) -> dict[str, Any]:
    study = course.study
    rungs = [
        {
            "epochs": epochs or study.base.condition.train.epochs,
            "ranking": [_entry_record(entry) for entry in ranking],
        }
        for epochs, ranking in zip(study.epochs, course.rungs, strict=True)
    ]
    return {
        "key": study.key,
        "seeds": list(study.seeds),
        "winner": _entry_record(course.rungs[-1][0]),
        "reason": _reason(study.search, course.rungs),
        "n_trials": sum(len(rung) for rung in course.rungs),
        "rungs": rungs,
    }


def _entry_record(entry: Entry) -> dict[str, Any]:
    done = entry.status == "done"
    return {
        "sample": entry.sample,
        "values": dict(entry.values),
        "trial_id": entry.trial.id,
        "status": entry.status,
        "val_accuracy": entry.val_accuracy if done else None,
        "val_loss": entry.val_loss if done else None,
    }


def _reason(search: Search, rungs: Sequence[Sequence[Entry]]) -> str:
    """Why the winner won, in a sentence."""
    last = rungs[-1]
    score = last[0].rank(search.metric)[0]
    tied = [e for e in last if e.status == "done" and e.rank(search.metric)[0] == score]
    side, what, other = ("highest", "accuracy", "loss")
    if search.metric == "val_loss":
        side, what, other = ("lowest", "loss", "accuracy")
    text = f"the {side} validation {what} of {len(last)} configurations ({abs(score):.4g})"
    if len(tied) > 1:
        text += f"; {len(tied)} tied and the better validation {other} decided, then the number"
    if len(rungs) > 1:
        text += f"; they were the best of {', of '.join(str(len(r)) for r in rungs[-2::-1])}"
    return text
