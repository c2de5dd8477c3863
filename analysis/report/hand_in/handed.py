"""What the report of a hand-in is about: the four evaluations of one seed, and their trials.

In: `Findings` and the seed. Out: `Handed`, which every paragraph asks. It stands alone so that all
paragraphs speak of the same trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from analysis import words
from analysis.findings.by_arm import final_interval
from analysis.findings.findings import Findings
from analysis.report.evaluations import Evaluation, accuracy_of, list_evaluations
from analysis.statistics.samples.intervals import Interval


@dataclass(frozen=True)
class Handed:
    """The findings, the named seed and its networks."""

    findings: Findings
    seed: int

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """Those that were run, in the assignment's order."""
        return [each for each in list_evaluations(self.findings) if len(each.trials)]

    @property
    def pretrained(self) -> Evaluation:
        return self.evaluations[0]

    @property
    def untuned(self) -> Evaluation:
        return self.evaluations[1]

    @property
    def tuned(self) -> list[Evaluation]:
        """Last layer, then the last n layers."""
        return self.evaluations[2:]

    @property
    def sweep(self) -> Mapping[str, Any]:
        """What the sweep file asked, as it was resolved."""
        return self.findings.asked[0].sweep

    @property
    def selects(self) -> str:
        """What chose the weights that are tested: `val_loss`, `val_accuracy`; `last`: nothing."""
        return str((self.sweep.get("train") or {}).get("select", "val_accuracy"))

    def row(self, evaluation: Evaluation) -> pd.Series:
        """The named seed's trial."""
        trials = evaluation.trials
        return trials[trials["seed"] == self.seed].iloc[0]

    def of_seed(self, evaluation: Evaluation) -> float:
        """Test accuracy of the named seed."""
        return accuracy_of(evaluation, self.seed)

    def mean(self, evaluation: Evaluation) -> Interval:
        """Test accuracy over seeds with its interval."""
        done = evaluation.trials[evaluation.trials["status"] == "done"]
        return final_interval(done[done["test_accuracy"].notna()], "test_accuracy")

    def mean_words(self, evaluation: Evaluation) -> str:
        """`95.33 % [90.00, 100.00]`."""
        mean = self.mean(evaluation)
        return words.interval("percent", mean.estimate, mean.low, mean.high)

    @property
    def n_seeds(self) -> int:
        return int(self.untuned.trials["seed"].nunique())

    @property
    def seeds_words(self) -> str:
        return words.plural(self.n_seeds, "seed")

    @property
    def over_seeds(self) -> str:
        """`in the mean of 3 seeds`; of one seed there is no mean: `for seed 0`."""
        return f"for seed {self.seed}" if self.n_seeds < 2 else f"in the mean of {self.seeds_words}"

    def data(self, evaluation: Evaluation) -> pd.Series:
        """What is known of the images of an evaluation."""
        sets = self.findings.data.sets
        fingerprint = self.row(evaluation)["dataset_fingerprint"]
        return sets[sets["fingerprint"] == fingerprint].iloc[0]

    def gap(self, evaluation: Evaluation, key: str) -> float:
        """A column of the table of overfitting; NaN where it is not known."""
        gaps = self.findings.gaps
        if gaps.empty or key not in gaps:
            return math.nan
        rows = gaps.loc[gaps["arm"] == evaluation.arm, key]
        return float(rows.iloc[0]) if len(rows) and pd.notna(rows.iloc[0]) else math.nan

    def spread(self, evaluation: Evaluation) -> tuple[float, float, float]:
        """SD over seeds of the final value, with its interval; NaN where it is not known."""
        rows = self.findings.stability
        rows = rows[rows["arm"] == evaluation.arm] if len(rows) else rows
        if rows.empty:
            return math.nan, math.nan, math.nan
        first = rows.iloc[0]
        return float(first["sd"]), float(first["sd_low"]), float(first["sd_high"])


def quoted(evaluation: Evaluation) -> str:
    """`“Last layer tuned”`: the arm as tables have it."""
    return f"“{evaluation.arm}”"
