"""The starts of a sweep's arms: arms that differ in how they are tuned alone share one.

In: a plan. Out: `Start`s, in the order of the arms, each with a trial a seed. It stands alone
because a forecast is of a start on a data set and not of a way to fine-tune: whoever shows it must
say which arms it is of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.trials.spec import Plan, TrialSpec
from headstart.errors import InputError
from headstart.records import MODEL, trial_rows


@dataclass(frozen=True)
class Start:
    """Weights of one network on one data set.

    Attributes:
        name: for people; no other start of its data set has it.
        data_set: the data set, and how many images train.
        arms: those that start so, under the plan's names.
        trials: by seed, a trial that stands for all of these arms.
    """

    name: str
    data_set: str
    arms: tuple[str, ...]
    trials: Mapping[int, TrialSpec]


def starts_of(plan: Plan) -> list[Start]:
    """The starts of the plan's arms."""
    data_set_of = _DataSets(plan)
    members: dict[str, list[TrialSpec]] = {}
    for trial in plan.trials:
        if trial.stage == "arm":
            members.setdefault(_key(trial), []).append(trial)
    firsts = [trials[0] for trials in members.values()]
    models: dict[str, set[str]] = {}
    for trial in firsts:
        models.setdefault(data_set_of(trial), set()).add(trial.condition.model.shown)
    plain = [_name(plan, t, len(models[data_set_of(t)]) > 1) for t in firsts]
    n_alike = Counter((data_set_of(t), name) for t, name in zip(firsts, plain, strict=True))
    starts = []
    for trials, name in zip(members.values(), plain, strict=True):
        data_set = data_set_of(trials[0])
        if n_alike[data_set, name] > 1:  # as two parts of one file
            name = f"{name} ({trials[0].arm})"
        by_seed: dict[int, TrialSpec] = {}
        for trial in trials:
            by_seed.setdefault(trial.seed, trial)
        arms = tuple(dict.fromkeys(trial.arm for trial in trials))
        starts.append(Start(name, data_set, arms, by_seed))
    return starts


class _DataSets:
    """`mnist, 5,000 to train`: what arms must share for their starts to be ranked together."""

    def __init__(self, plan: Plan):
        prints: dict[str, set[str]] = {}
        for trial in (trial for trial in plan.trials if trial.stage == "arm"):
            prints.setdefault(trial.data.choice.label, set()).add(trial.data.fingerprint)
        self.shared = {label for label, found in prints.items() if len(found) > 1}

    def __call__(self, trial: TrialSpec) -> str:
        data = trial.data
        which = f" ({data.fingerprint[:8]})" if data.choice.label in self.shared else ""
        return f"{data.choice.label}{which}, {data.n_train:,} to train"


def check_stages(plan: Plan, starts: list[Start], run: Path, command: str) -> None:
    """Whether the stages that arms start from have run.

    Raises:
        InputError: some have not; says with which command they do.
    """
    needed = {t.parent: t for s in starts for t in s.trials.values() if t.parent is not None}
    rows = dict(trial_rows(run, needed))
    lacking = {
        plan.by_id[stage].arm
        for stage in needed
        if (row := rows[stage]) is None
        or row.status != "done"
        or not (run / "trials" / stage / MODEL).is_file()
    }
    if lacking:
        names = ", ".join(sorted(lacking))
        raise InputError(
            f"{run}: arms start from {names}, whose weights are not there yet; train them first: "
            f"{command} --only pretrain"
        )


def _key(trial: TrialSpec) -> str:
    """All that decides features but the seed."""
    condition, data = trial.condition, trial.data
    return repr((
        data.fingerprint, data.n_train, data.image_size, data.kept_size, data.channels,
        condition.model.hashed(), condition.start, condition.train.threads,
    ))  # fmt: skip


def _name(plan: Plan, trial: TrialSpec, with_model: bool) -> str:
    start = trial.condition.start
    name = {"random": "random", "imagenet": "imagenet"}.get(start.kind, start.name)
    if start.kind == "stage":
        name = plan.sweep.grid_points[start.name].arm
    elif start.kind == "file":
        name = start.path.name
    return f"{trial.condition.model.shown}, {name}" if with_model else name
