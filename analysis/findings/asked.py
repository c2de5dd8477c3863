"""What each sweep asked: arms in their order, pairs to compare, targets, margin, seeds.

In: the `sweeps` of `load.Runs` and the rows of trials. Out: one `Asked` a sweep. A run folder whose
sweep.yaml is silent on something (or lost) is read from its trials, and `Asked` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis import words
from analysis.findings.load import Content, Runs
from analysis.measures.stopping import stopping_of
from analysis.statistics.samples.pairing import Pair
from headstart.settings import Measure


@dataclass(frozen=True)
class Asked:
    """One sweep's questions.

    `tasks`: its points of the grid, as `load.task_name` names them.
    `pairs_named` is False where the sweep names no comparison and every arm was set against the
    first. `margin` is None where no equivalence was asked for. `n_seeds` is None where the number
    of seeds was left to a rule; `rule` then says which. `errors`: what may be wrong in 5 %, each
    `question` or the whole `report`.
    """

    name: str
    question: str
    tasks: tuple[str, ...]
    arms: tuple[str, ...]
    pairs: tuple[Pair, ...]
    pairs_named: bool
    targets: tuple[float, ...]
    margin: float | None
    n_seeds: int | None
    rule: str
    sweep: Content
    metric: str
    errors: str = "question"


def read_asked(runs: Runs) -> tuple[Asked, ...]:
    """What was asked, one entry a sweep, in the order of their names."""
    return tuple(
        _asked(sweep, runs.trials[runs.trials["sweep"].astype(str) == str(sweep["name"])])
        for sweep in runs.sweeps
    )


def _asked(sweep: Content, trials: pd.DataFrame) -> Asked:
    evidence = trials[trials["stage"] == "arm"]
    named = [str(arm) for arm in sweep.get("arms") or {}]
    arms = tuple(dict.fromkeys([*named, *(str(arm) for arm in evidence["arm"].unique())]))
    pairs = tuple(
        Pair(str(pair["treatment"]), str(pair["control"])) for pair in sweep.get("compare") or []
    )
    measure = Measure.of_run(sweep.get("measure"))
    seeds = sweep.get("seeds")
    number = len(seeds) if isinstance(seeds, list) else seeds
    return Asked(
        name=str(sweep["name"]),
        question=str(sweep.get("question") or ""),
        tasks=tuple(dict.fromkeys(evidence["task"])) or (str(sweep["name"]),),
        arms=arms,
        pairs=pairs or tuple(Pair(arm, arms[0]) for arm in arms[1:]),
        pairs_named=bool(pairs),
        targets=measure.targets,
        margin=measure.equivalence,
        metric=measure.metric,
        n_seeds=number if isinstance(number, int) else None,
        rule=_rule(seeds),
        sweep=sweep,
        errors=measure.error,
    )


def _rule(seeds: object) -> str:
    """The rule that decided the number of seeds, in words; empty where a number was given."""
    looks = stopping_of(seeds).looks
    if looks:
        places = words.listed(str(look) for look in looks)
        return (
            "seeds were added until every comparison of the final result had a verdict, or a "
            f"verdict had become unlikely, at planned looks ({places}); p-values and intervals "
            "allow for all of them together"
        )
    if not isinstance(seeds, Mapping) or not isinstance(seeds.get("until"), Mapping):
        return ""
    until = seeds["until"]
    limits = [
        f"{word} {seeds[key]}"
        for key, word in (("at_least", "at least"), ("at_most", "at most"))
        if seeds.get(key) is not None
    ]
    return (
        f"seeds were added until every interval of {until.get('metric', 'the metric')} was "
        f"± {until.get('half_width', '?')} or narrower" + (f" ({', '.join(limits)})" * bool(limits))
    )
