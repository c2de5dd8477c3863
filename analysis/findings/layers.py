"""Arms that differ in nothing but how many layers train: which they are, and what is known of each.

In: what was asked, the trials, and the tables by arm. Out: `Layers`: the pairs of such arms that
are compared, and a table of their weights, fit and spread. It stands alone because no name of an
arm counts here: two arms of any sweep belong together where the sweep gives them the same settings
but for `fine_tune`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.findings.asked import Asked
from analysis.measures.trials import untrained, what_trains
from analysis.statistics.samples.pairing import Pair

_APART = ("fine_tune", "label")  # of an arm's settings, what two such arms may differ in
_ALIKE = ("task", "model", "initialize")  # of their trials, in which they may not
_GAPS = ("train_accuracy", "end_accuracy_gap", "loss_rise")
_SPREAD = ("mean_difference", "mean_difference_low", "mean_difference_high")


@dataclass(frozen=True)
class Layers:
    """pairs: those compared whose arms differ in `fine_tune` alone; table: a row a task and arm of
    them, the fewest weights first: task, arm, fine_tune, n_trainable, n_parameters (means over
    finished trials), n_done, score, score_low, score_high, train_accuracy, end_accuracy_gap,
    loss_rise (`gap_table`), mean_difference, _low and _high (`spread_over_seeds`)."""

    pairs: tuple[Pair, ...] = ()
    table: pd.DataFrame = field(default_factory=pd.DataFrame)


def find_layers(
    asked: Sequence[Asked],
    evidence: pd.DataFrame,
    arms: pd.DataFrame,
    gaps: pd.DataFrame,
    stability: pd.DataFrame,
) -> Layers:
    """The pairs, and the table of their arms; empty where a sweep compares no such arms."""
    if not {"n_trainable", "n_parameters"} <= set(evidence):
        return Layers()
    idle = {arm for _, rows in evidence.groupby("task") for arm in untrained(rows)}
    records = evidence[list(_ALIKE)].astype(str).groupby(evidence["arm"].astype(str))
    had = {str(arm): set(map(tuple, rows.to_numpy())) for arm, rows in records}
    pairs = tuple(
        dict.fromkeys(
            pair
            for each in asked
            for pair in _pairs(each)
            if not idle & set(pair) and had.get(pair.treatment) == had.get(pair.control)
        )
    )
    return Layers(
        pairs, _table({arm for pair in pairs for arm in pair}, evidence, arms, gaps, stability)
    )


def _pairs(asked: Asked) -> Iterator[Pair]:
    """The pairs of one sweep whose arms differ in `fine_tune` alone."""
    settings = asked.sweep.get("arms") or {}
    for pair in asked.pairs:
        one, other = (settings.get(arm) for arm in pair)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            depths = [each.get("fine_tune", "all") for each in (one, other)]
            if depths[0] != depths[1] and "none" not in depths and _rest(one) == _rest(other):
                yield pair


def _rest(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _APART}


def _table(
    names: set[str],
    evidence: pd.DataFrame,
    arms: pd.DataFrame,
    gaps: pd.DataFrame,
    stability: pd.DataFrame,
) -> pd.DataFrame:
    done = evidence[(evidence["status"] == "done") & evidence["arm"].isin(names)]
    if done.empty:
        return pd.DataFrame()
    done = done.assign(fine_tune=what_trains(done))
    groups = done.groupby(["task", "arm"], sort=False, observed=True)
    table = groups.agg(
        fine_tune=("fine_tune", lambda texts: " / ".join(sorted(set(texts)))),
        n_trainable=("n_trainable", "mean"),
        n_parameters=("n_parameters", "mean"),
    ).reset_index()
    keys = ["task", "arm"]
    for frame, columns in (
        (arms, ("n_done", "score", "score_low", "score_high")),
        (gaps, _GAPS),
        (stability, _SPREAD),
    ):
        table = table.merge(frame.reindex(columns=[*keys, *columns]), on=keys, how="left")
    return table.sort_values(["task", "n_trainable"], kind="stable", ignore_index=True)
