"""Where the spread over seeds comes from: trials against their doubles, source by source.

In: all trials of the runs. Out: a row a task, arm and source. It stands alone because doubles are
no evidence about arms and enter nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.findings.asked import Asked
from analysis.findings.by_arm import in_order
from analysis.statistics.samples.decomposition import component
from analysis.statistics.samples.intervals import sd_interval

SOURCE_WORDS = {
    "split": "split of the data",
    "order": "order of the images",
    "init": "initialisation",
    "head": "head",
    "augment": "augmentation",
    "dropout": "dropout",
    "start": "pretraining",
    "": "all seeds together",
}


@dataclass(frozen=True)
class _Row:
    """One source of one arm, in the scale of the final value; fields are columns."""

    task: str
    arm: str
    source: str
    n: int
    sd: float
    sd_low: float
    sd_high: float
    share: float = math.nan


def source_table(asked: Iterable[Asked], trials: pd.DataFrame, score: str) -> pd.DataFrame:
    """SD that each source brings (`decomposition.component`), with its 95 % interval.

    Columns task, arm, source, n (pairs of a trial and its double; of the last row, seeds), sd with
    sd_low and sd_high, and share: of the sum of the sources' variances. The last row of an arm has
    source "" and the SD over its seeds. Empty where no sweep decomposed its spread.
    """
    if "redrawn" not in trials:
        return pd.DataFrame()
    doubles = trials[(trials["stage"] == "double") & (trials["status"] == "done")]
    evidence = trials[(trials["stage"] == "arm") & (trials["status"] == "done")]
    rows: list[_Row] = []
    for (task, arm), own in doubles.groupby(["task", "arm"], sort=False):
        seeds = evidence[(evidence["task"] == task) & (evidence["arm"] == arm)]
        rows += _of_arm(str(task), str(arm), own, seeds, score)
    return in_order(pd.DataFrame(rows), asked) if rows else pd.DataFrame()


def _of_arm(
    task: str, arm: str, doubles: pd.DataFrame, seeds: pd.DataFrame, score: str
) -> Iterator[_Row]:
    values = seeds.set_index("seed")[score].astype(float)
    grain = _grain(seeds, score)
    parts = {}
    for source in SOURCE_WORDS:
        own = doubles[doubles["redrawn"] == source].set_index("seed")[score].astype(float)
        if source and len(own):
            parts[source] = component(values.reindex(own.index), own, grain)
    total = sum(part.variance for part in parts.values() if not math.isnan(part.variance))
    for source, part in parts.items():
        share = part.variance / total if total > 0 else math.nan
        yield _Row(task, arm, source, part.n, *part.sd, share)
    over = sd_interval(values.dropna().to_numpy())
    yield _Row(task, arm, "", len(values.dropna()), over.estimate, over.low, over.high)


def _grain(trials: pd.DataFrame, score: str) -> float:
    """The share of one image; 0 where it is unknown, and of a loss."""
    name = "n_test" if score.startswith("test_") else "n_validation"
    most = trials[name].max() if name in trials and not score.endswith("loss") else math.nan
    return 1 / float(most) if most > 0 else 0.0
