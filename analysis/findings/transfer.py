"""Which start helps on which data set, and by how much: comparisons as a matrix.

In: comparisons of final results, the trials, forecasts. Out: one row a start and data set. It
stands alone because the comparisons themselves know arms and tasks, and what an arm starts from,
and on which data it trains, is said by its trials.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.findings.forecasts import FIRST, Forecasts
from analysis.statistics.pairs.comparison import Comparison
from headstart.data_records import DataRecord
from headstart.grid import from_column, own_name
from headstart.private import publishable

COLUMNS = (
    "start", "data_set", "treatment", "control", "estimate", "low", "high", "verdict", "n_pairs",
    "unit", "forecast", "forecast_rank", "n_ranked",
)  # fmt: skip
_BY = ["initialize", "fine_tune", "model"]


def transfer_matrix(
    comparisons: Sequence[Comparison],
    evidence: pd.DataFrame,
    score: str,
    forecasts: Forecasts,
    records: Sequence[DataRecord] = (),
) -> pd.DataFrame:
    """A row a start (what an arm begins with, and how it is tuned) and data set (with its number of
    training images), where one control is compared with on two data sets or more; else empty.

    estimate, low, high, verdict: of treatment minus control, as the comparison has them. forecast:
    LogME of the treatment's start less that of the control's, NaN where there is none;
    forecast_rank: of the treatment's start among the `n_ranked` starts of the data set.
    records: of the data sets, for their names.
    """
    finals = [c for c in comparisons if c.metric == score and not math.isnan(c.estimate)]
    called = _called(records)
    known = {
        (task, arm): _who(rows, called)
        for (task, arm), rows in evidence[evidence["status"] == "done"].groupby(["task", "arm"])
    }
    controls: Counter[tuple[Any, ...]] = Counter()
    placed = []
    for c in finals:
        treatment, control = known.get((c.task, c.treatment)), known.get((c.task, c.control))
        if treatment and control and treatment["data_set"] == control["data_set"]:
            placed.append((c, treatment, control))
            controls[control["key"]] += 1
    if not controls:
        return pd.DataFrame(columns=list(COLUMNS))
    shared = controls.most_common(1)[0][0]
    placed = [each for each in placed if each[2]["key"] == shared]
    names = _names(placed)
    rows = [
        {
            "start": names[treatment["key"]], "data_set": treatment["data_set"],
            "treatment": c.treatment, "control": control["arm"],
            "estimate": c.estimate, "low": c.low,
            "high": c.high, "verdict": c.verdict, "n_pairs": c.n_pairs, "unit": c.unit,
            **_forecast(forecasts, c),
        }
        for c, treatment, control in placed
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(COLUMNS)).drop_duplicates(["start", "data_set"])
    return table if len(set(table["data_set"])) > 1 else table.iloc[:0]


def _called(records: Sequence[DataRecord]) -> dict[str, str]:
    """What each data set is called, by fingerprint; two of one name are told apart."""
    names = {record.fingerprint: str(publishable(record.name)) for record in records}
    n_alike = Counter(names.values())
    return {
        fingerprint: f"{name} ({fingerprint[:8]})" if n_alike[name] > 1 else name
        for fingerprint, name in names.items()
    }


def _who(rows: pd.DataFrame, called: Mapping[str, str]) -> dict[str, Any]:
    first = rows.iloc[0]
    name = called.get(str(first.get("dataset_fingerprint", "")), str(first["dataset"]))
    n_train = first.get("n_train")
    size = f", {int(n_train):,} to train" if pd.notna(n_train) else ""
    return {
        "key": tuple(str(first.get(name, "")) for name in _BY),
        "data_set": name + size,
        "arm": own_name(str(first["arm"]), from_column(str(first.get("grid") or ""))),
    }


def _names(placed: Sequence[tuple[Comparison, dict[str, Any], dict[str, Any]]]) -> dict[Any, str]:
    """Of each start: its arm's name where it has one name everywhere, else what differs."""
    arms: dict[Any, dict[str, None]] = {}
    for _, treatment, _ in placed:
        arms.setdefault(treatment["key"], {})[treatment["arm"]] = None
    differing = [i for i in range(len(_BY)) if len({key[i] for key in arms}) > 1] or [0]
    names = {
        key: next(iter(own)) if len(own) == 1 else ", ".join(key[i] for i in differing)
        for key, own in arms.items()
    }
    alike = Counter(names.values())  # one label of arms that differ in what they begin with
    return {
        key: f"{name} ({', '.join(key[i] for i in differing)})" if alike[name] > 1 else name
        for key, name in names.items()
    }


def _forecast(forecasts: Forecasts, c: Comparison) -> dict[str, float]:
    """What LogME said beforehand of both sides of a comparison."""
    none = {"forecast": math.nan, "forecast_rank": math.nan, "n_ranked": 0}
    if forecasts.arms.empty:
        return none
    own = forecasts.arms[forecasts.arms["score"] == FIRST].set_index(["task", "arm"])
    own = own[~own.index.duplicated()]
    if (c.task, c.treatment) not in own.index or (c.task, c.control) not in own.index:
        return none
    treatment, control = own.loc[(c.task, c.treatment)], own.loc[(c.task, c.control)]
    return {
        "forecast": treatment["value"] - control["value"],
        "forecast_rank": treatment["rank"],
        "n_ranked": int(treatment["n_ranked"]),
    }
