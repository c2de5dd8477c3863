"""What each arm takes beside how good it ends: weights that train, and seconds.

In: what was asked, and the evidence. Out: `Costs`: a row a task and arm, and for each task how sure
it is that an arm is on the frontier of accuracy and seconds. It stands alone because seconds are
compared here only among trials that ran alike, which is no matter of the other tables by arm.

An arm is *on the frontier* where no other arm is at least as accurate in at most as many seconds,
one of both better. That is of the means as they were measured. How sure it is: the share of draws,
seeds drawn with replacement and one draw of seeds for all arms (they are paired), in which it is
so (bootstrap; Efron and Tibshirani 1993, chapter 6). It is a description and no test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.findings.asked import Asked
from analysis.findings.by_arm import final_interval, in_order, time_interval
from analysis.measures.conditions import numbered_conditions
from analysis.statistics.samples.arrays import Bools, Floats, Rng
from analysis.statistics.times.course import Course

N_DRAWS = 2_000
FEWEST = 3  # seeds of every arm, for a share of draws


@dataclass(frozen=True)
class Costs:
    """table: a row a task and arm: n_done, n_trainable, n_parameters, share (of the weights that
    train), train_time_s with its interval, with_features_s (training, and computing the frozen part
    once) with its interval, setup_time_s (mean, before the first step), memory_bytes (mean; NaN
    where no trial has it), score with its interval, is_on_frontier and p_frontier (NaN where seeds
    are few). remarks: what is to say of the seconds of a task."""

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    remarks: tuple[str, ...] = ()


def find_costs(
    asked: Sequence[Asked], evidence: pd.DataFrame, score: str, course: Course, rng: Rng
) -> Costs:
    """The costs of all arms that finished; without two arms in a task it has no frontier."""
    done = evidence[(evidence["status"] == "done") & evidence["train_time_s"].notna()]
    if done.empty or score not in done:
        return Costs()
    parts, remarks = [], []
    for task, trials in done.groupby("task", sort=False, observed=True):
        trials = trials.assign(seconds=_seconds(trials))
        rows = pd.DataFrame([
            {"task": task, "arm": arm, **_of_arm(own, score, course)}
            for arm, own in trials.groupby("arm", sort=False, observed=True)
        ])  # fmt: skip
        differ = [n for n, v in numbered_conditions(trials).items() if len(np.unique(v)) > 1]
        if differ:
            remarks.append(
                f"{task}: seconds are not compared, and there is no frontier: trials differ in "
                f"{', '.join(differ)}."
            )
            rows = rows.assign(is_on_frontier=False, p_frontier=np.nan)
        else:
            sign = -1.0 if course.lower_is_better else 1.0
            rows = rows.assign(**_frontier(trials, rows, score, sign, rng))
        parts.append(rows)
    return Costs(in_order(pd.concat(parts, ignore_index=True), asked), tuple(remarks))


def on_frontier(seconds: Floats, scores: Floats) -> Bools:
    """Which of n arms (n,) no other one beats: more is better in `scores`, less in `seconds`."""
    faster = seconds[None, :] <= seconds[:, None]
    better = scores[None, :] >= scores[:, None]
    strictly = (seconds[None, :] < seconds[:, None]) | (scores[None, :] > scores[:, None])
    return np.asarray(~(faster & better & strictly).any(axis=1))


def _frontier(
    trials: pd.DataFrame, rows: pd.DataFrame, score: str, sign: float, rng: Rng
) -> dict[str, np.ndarray]:
    seconds, scores = rows["with_features_s"].to_numpy(float), rows["score"].to_numpy(float)
    ours = on_frontier(seconds, sign * scores)
    unknown = np.full(len(rows), np.nan)
    if len(rows) < 2:
        return {"is_on_frontier": np.zeros(len(rows), bool), "p_frontier": unknown}
    arms = list(rows["arm"])
    tables = [
        trials.pivot_table(index="seed", columns="arm", values=name, observed=True)
        .reindex(columns=arms).dropna().to_numpy(float)
        for name in ("seconds", score)
    ]  # fmt: skip
    n = min(map(len, tables))
    if n < FEWEST or len(tables[0]) != len(tables[1]):
        return {"is_on_frontier": ours, "p_frontier": unknown}
    drawn = rng.integers(n, size=(N_DRAWS, n))
    times, values = (table[drawn].mean(axis=1) for table in tables)
    shares = np.mean([on_frontier(t, sign * v) for t, v in zip(times, values, strict=True)], axis=0)
    return {"is_on_frontier": ours, "p_frontier": shares}


def _seconds(trials: pd.DataFrame) -> pd.Series:
    """Training, and computing the frozen part once, where a trial did that."""
    train = trials["train_time_s"].astype(float)
    if "prefix_time_s" not in trials:
        return train
    return train + pd.to_numeric(trials["prefix_time_s"], errors="coerce").fillna(0.0)


def _of_arm(trials: pd.DataFrame, score: str, course: Course) -> dict[str, object]:
    def mean(name: str) -> float:
        values = pd.to_numeric(trials[name], errors="coerce") if name in trials else pd.Series()
        return float(values.mean()) if values.notna().any() else np.nan

    n_trainable, n_parameters = mean("n_trainable"), mean("n_parameters")
    train = time_interval(trials["train_time_s"].to_numpy(float))
    whole = time_interval(trials["seconds"].to_numpy(float))
    final = final_interval(trials, score, course.is_share)
    return {
        "n_done": len(trials),
        "n_trainable": n_trainable,
        "n_parameters": n_parameters,
        "share": n_trainable / n_parameters if n_parameters > 0 else np.nan,
        **train.columns("train_time_s", "train_time_s_"),
        **whole.columns("with_features_s", "with_features_s_"),
        "setup_time_s": mean("setup_time_s"),
        "memory_bytes": mean("memory_bytes"),
        **final.columns("score", "score_"),
    }
