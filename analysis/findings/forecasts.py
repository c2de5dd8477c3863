"""Forecasts that were made of a run's starts, set against what came out.

In: `RUN/forecast/forecast.parquet`, which `harness.forecast` wrote, and the trials. Out:
`Forecasts`: a row a data set, start and score, and a row a data set and score that says how well
the score ordered the starts. It stands alone because most runs have no forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings.asked import read_asked
from analysis.findings.by_arm import final_interval
from analysis.findings.load import Runs, load_runs, read_rows
from analysis.findings.measured import course_of, final_of
from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.intervals import Interval
from analysis.statistics.samples.ordering import judge_order
from analysis.statistics.times.course import Course
from headstart.errors import RunFolderError
from headstart.private import publishable
from headstart.records import FORECAST
from headstart.rows import ForecastRow

LABELS = {
    "logme": "LogME", "h_score": "H-score", "shrunk_h_score": "H-score, shrunk", "leep": "LEEP",
    "nce": "NCE", "neighbour": "Nearest neighbour", "probe": "Linear probe",
}  # fmt: skip
FIRST = "logme"  # the score that is shown where there is room for one
KEYS = ("arm", "seed", "data_set", "dataset_fingerprint", "start", "score")
JOINED = ["folder", "arm_name", "seed", "dataset_fingerprint"]


@dataclass(frozen=True)
class Forecasts:
    """scores: a row a data set, start and score: `value` (mean over the scored seeds) and
    its `rank` among its starts, `arms` that start so, the `arm` (and `task`) of them that
    validation takes, its final value (`final`, low, high) over `n` seeds. orders: a row a data set
    and score: τ and regret with intervals, the start that it chose, the best one; `tau_note` on
    intervals, `note`. arms: the rows of `scores` by task and arm. remarks: what has no result
    beside it."""

    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    orders: pd.DataFrame = field(default_factory=pd.DataFrame)
    arms: pd.DataFrame = field(default_factory=pd.DataFrame)
    remarks: tuple[str, ...] = ()


def find_forecasts(runs: Runs, evidence: pd.DataFrame, score: str, course: Course) -> Forecasts:
    """The forecasts of the run folders, joined with `evidence` (trials of stage `arm`).

    Of arms that share a start the one counts whose mean of the best validation accuracy is
    highest: a forecast is of a start, and test images choose nothing.
    """
    tables, remarks = [], []
    for folder in runs.folders:
        path = folder / FORECAST / f"{FORECAST}.parquet"
        if path.exists():
            try:
                tables.append(_published(read_rows(path, ForecastRow, KEYS), folder))
            except RunFolderError as err:
                remarks.append(words.sentence(f"A forecast is left out: {err}"))
    if not tables:
        return Forecasts(remarks=tuple(remarks))
    made = pd.concat(tables, ignore_index=True).rename(columns={"arm": "arm_name"})
    done = evidence[(evidence["status"] == "done") & evidence[score].notna()]
    done = done.assign(result=done[score], validated=done["best_val_accuracy"])
    columns = [*JOINED, "task", "arm", "validated", "result"]
    joined = made.merge(done[columns].drop_duplicates(JOINED), on=JOINED, how="left")
    named = evidence.drop_duplicates("arm_name").set_index("arm_name")["arm"]
    joined["arm"] = joined["arm"].fillna(joined["arm_name"].map(named)).fillna(joined["arm_name"])
    data_sets = list(joined.groupby("data_set", sort=False))
    intervals = {
        place: final_interval(rows, score, course.is_share)
        for place, rows in done.groupby(["task", "arm"])
    }
    parts = [_scores(rows, str(t), intervals) for t, rows in data_sets]
    scores = pd.concat(parts, ignore_index=True)
    orders = [row for t, rows in data_sets for row in _orders(rows, scores, str(t), course)]
    remarks += [text for t, rows in data_sets if (text := _unset(rows, str(t)))]
    places = joined.dropna(subset="task")[["task", "arm", "data_set", "start", "score"]]
    by_start = scores[["data_set", "start", "score", "value", "rank", "n_ranked"]]
    arms = places.drop_duplicates().merge(by_start, on=["data_set", "start", "score"])
    return Forecasts(scores, pd.DataFrame(orders), arms, tuple(remarks))


def _published(rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Rows of one run folder, their texts without what is private here: a report is published."""
    texts = {name: rows[name].map(publishable) for name in ("data_set", "start", "reason")}
    return rows.assign(**texts, folder=str(folder))


def _scores(rows: pd.DataFrame, data_set: str, intervals: Mapping[Any, Interval]) -> pd.DataFrame:
    """A row a start and score of one data set; `intervals` of final values by task and arm."""
    parts = []
    for start, own in rows.groupby("start", sort=False):
        task, arm = _taken(own)
        final = intervals[task, arm] if arm else Interval.unknown("no trial finished")
        for name, each in own.groupby("score", sort=False):
            values = _by_seed(each, "value", whole=True)
            parts.append({
                "data_set": data_set, "start": start, "score": name,
                "value": float(values.mean()), "arms": words.listed(dict.fromkeys(own["arm"])),
                "task": task, "arm": arm, **final.columns("final", also=("n",)),
                "n_features": own["n_features"].max(),
                "seconds": _seconds(each), "reason": next(filter(None, each["reason"]), ""),
            })  # fmt: skip
    table = pd.DataFrame(parts)
    values = table.groupby("score")["value"]
    table = table.assign(
        rank=values.rank(ascending=False, method="min"), n_ranked=values.transform("count")
    )
    return table.assign(label=[LABELS.get(str(n), str(n)) for n in table["score"]])


def _taken(rows: pd.DataFrame) -> tuple[str, str]:
    """Task and arm of a start that validation takes; empty where none has finished."""
    done = rows[rows["result"].notna()].drop_duplicates(["task", "arm", "seed"])
    if done.empty:
        return "", ""
    means = done.groupby(["task", "arm"], sort=False)["validated"].mean().fillna(-math.inf)
    task, arm = means.index[int(np.argmax(means))]
    return str(task), str(arm)


def _by_seed(rows: pd.DataFrame, column: str, whole: bool = False) -> pd.Series:
    """One value a seed; without those that lack one, or with them where all count (`whole`)."""
    values = rows.drop_duplicates("seed").set_index("seed")[column].astype(float).sort_index()
    if whole:
        return values if values.notna().all() else values * math.nan
    return values.dropna()


def _seconds(rows: pd.DataFrame) -> float:
    """Features and score of all seeds of a start."""
    each = rows.drop_duplicates("seed")
    return float((each["features_time_s"] + each["score_time_s"]).sum())


def _orders(
    rows: pd.DataFrame, scores: pd.DataFrame, data_set: str, course: Course
) -> Iterator[dict[str, object]]:
    """A row a score: starts that have it, at the seeds at which all of them have a result."""
    own = scores[(scores["data_set"] == data_set) & (scores["arm"] != "")]
    finals = {
        r.start: _by_seed(rows[(rows["task"] == r.task) & (rows["arm"] == r.arm)], "result")
        for r in own.drop_duplicates("start").itertuples()
    }
    sign = -1.0 if course.lower_is_better else 1.0
    for name, members in own.groupby("score", sort=False):
        starts = [str(r.start) for r in members.itertuples() if not math.isnan(r.value)]
        values = {
            s: _by_seed(rows[(rows["start"] == s) & (rows["score"] == name)], "value")
            for s in starts
        }
        seeds = sorted(set.intersection(*(
            set(series.index) for s in starts for series in (values[s], finals[s])
        ))) if len(starts) > 1 else []  # fmt: skip
        if not seeds:
            continue
        order = judge_order(_columns(values, starts, seeds),
                            sign * _columns(finals, starts, seeds))  # fmt: skip
        n_without = own["start"].nunique() - len(starts)
        without = f"{words.plural(n_without, 'start')} without this score left out"
        yield {
            "data_set": data_set, "score": name, "label": LABELS.get(str(name), str(name)),
            **order.tau.columns("tau", "tau_"), **order.regret.columns("regret", "regret_"),
            "chosen": starts[order.chosen], "best": starts[order.best],
            "n_starts": order.n_items, "n_seeds": len(seeds),
            "tau_note": order.tau.note, "note": without if n_without else "",
        }  # fmt: skip


def _columns(by_start: dict[str, pd.Series], starts: list[str], seeds: list[int]) -> Floats:
    return np.column_stack([by_start[start].loc[seeds] for start in starts])


def _unset(rows: pd.DataFrame, data_set: str) -> str:
    """Which forecasts have no result beside them; nothing where all have one."""
    own = rows.groupby("start", sort=False)["result"].apply(lambda values: values.notna().any())
    lacking = [str(start) for start, has in own.items() if not has]
    if not lacking:
        return ""
    return f"{data_set}: no finished trial of these data stands beside {words.listed(lacking)}."


def judged_lines(run: Path) -> Iterator[str]:
    """What a console says of a run's forecasts: a line a score, the best one first."""
    try:
        runs = load_runs([run])
    except RunFolderError as err:
        yield f"No result stands beside these scores yet: {err}"
        return
    evidence = runs.trials[runs.trials["stage"] == "arm"]
    if not (evidence["status"] == "done").any():
        yield "No result stands beside these scores yet: no trial of an arm has finished."
        return
    course = course_of(read_asked(runs))
    score = final_of(course, evidence)
    found = find_forecasts(runs, evidence, score, course)
    for data_set, rows in found.orders.groupby("data_set", sort=False) if len(found.orders) else ():
        first = rows.iloc[0]
        yield (
            f"{data_set}: against final {course.words}, over "
            f"{words.plural(first.n_starts, 'start')} and {words.plural(first.n_seeds, 'seed')}"
            + (f" ({first.tau_note})" if first.tau_note else "")
        )
        yield from (f"  {text}" for text in orders_in_words(rows, course))
    yield from found.remarks


def orders_in_words(rows: pd.DataFrame, course: Course) -> list[str]:
    """`LogME, LEEP: weighted τ …` of rows of `Forecasts.orders`; scores that came to the same stand
    together."""
    labels: dict[str, list[str]] = {}
    for row in rows.itertuples():
        labels.setdefault(order_words(row, course), []).append(str(row.label))
    return [f"{', '.join(names)}: {text}" for text, names in labels.items()]


def order_words(row: Any, course: Course) -> str:
    """`weighted τ 0.67 [0.33, 1.00]; regret 0.12 points [0.00, 0.30]; it chose A, the best was B`.

    row: of `Forecasts.orders`. Over two starts τ has no other value than 1 and −1, so there it is
    said whether the order was right.
    """
    tau = f"weighted τ {words.interval('number', row.tau, row.tau_low, row.tau_high)}"
    if row.n_starts == 2 and not math.isnan(row.tau):
        tau = "right order" if row.tau > 0 else "wrong order"
    kind = "points_plain" if course.is_share else "number"
    regret, *ends = words.interval(kind, row.regret, row.regret_low, row.regret_high).split(" ", 1)
    regret = " ".join([regret, *(["points"] if course.is_share else []), *ends])
    right = "the best one" if row.chosen == row.best else f"the best was {row.best}"
    note = f" ({row.note})" if row.note else ""
    return f"{tau}; regret {regret}; it chose {row.chosen}, {right}{note}"
