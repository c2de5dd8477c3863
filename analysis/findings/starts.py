"""What networks started from: which weights, and what became of their tensors, as a table.

In: `Runs`. Out: one row for each arm or stage that did not start at random. It stands alone because
only the records of trials (`load_report` of `trial.json`) say it; the first finished one of each
arm is read. Texts lose what is private here: a file of weights is a path of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis import words
from analysis.findings.load import Runs
from headstart.private import publishable

MOST_ARMS = 200  # of which records are read; a large grid has thousands
COLUMNS = ["place", "start", "head", "n_loaded", "new", "left_out", "remark"]


def describe_starts(runs: Runs) -> pd.DataFrame:
    """The table, in the order in which the trials stand."""
    return pd.DataFrame(_rows(runs), columns=COLUMNS)


def started(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials whose records are read: the first finished one of each arm with a start."""
    if "initialize" not in trials:
        return trials.head(0)
    own = trials[(trials["status"] == "done") & ~trials["initialize"].isin(["random", ""])]
    own = own[~own["stage"].isin(["search", "double", "refit"])]
    return own.drop_duplicates(["task", "stage", "arm"]).head(MOST_ARMS)


def _rows(runs: Runs) -> Iterator[dict[str, Any]]:
    for row in started(runs.trials).itertuples():
        record = runs.record(str(row.trial_id))
        report = record.load_report if record is not None else None
        if report and "loaded" in report:
            place = f"stage “{row.arm}”" if row.stage == "pretrain" else f"“{row.arm}”"
            yield {"place": place, "start": _public(row.initialize),
                   **_of_report(report)}  # fmt: skip


def _of_report(report: Mapping[str, object]) -> dict[str, Any]:
    names = {key: _texts(report.get(key)) for key in ("loaded", "new", "left_out", "notes")}
    return {
        "head": _public(report.get("head", "")),
        "n_loaded": len(names["loaded"]),
        "new": words.shortened(names["new"], 4),
        "left_out": words.shortened(names["left_out"], 4),
        "remark": words.joined(*names["notes"]),
    }


def _texts(value: object) -> list[str]:
    return [_public(text) for text in value] if isinstance(value, list | tuple) else []


def _public(text: object) -> str:
    return str(publishable(str(text)))
