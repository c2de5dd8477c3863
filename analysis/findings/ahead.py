"""From which step to which is one arm ahead of another? Their learning curves as a whole.

In: what was asked, curves and trials of stage `arm`. Out: an `Ahead` for each pair that shares
seeds, and its sentence. It stands apart from `learning`, which describes arms one by one: here
curves are paired by seed, and the band holds for the whole curve.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings.asked import Asked
from analysis.measures.stopping import stopping_of
from analysis.measures.trials import pair_trials
from analysis.statistics.pairs.looks import Stopping, strictest
from analysis.statistics.samples.arrays import Floats
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.band import FEWEST_PAIRS, Band, difference_band, stretches
from analysis.statistics.times.course import ACCURACY, Course

MOST_WORDS = 8  # pairs that are told; the rest are in the figure's table


@dataclass(frozen=True)
class Ahead:
    """How far the treatment is ahead of the control at each evaluation that both have.

    Of the metric that is measured, on validation images; of a loss its negative.
    steps: (n_evaluations,). n_left_out: seeds of which one of the two trials did not finish.
    """

    task: str
    pair: Pair
    steps: Floats
    band: Band
    n_left_out: int

    @property
    def words(self) -> str:
        """`“pretrained” is ahead of “scratch” from step 25 to 400 (95 % for the whole curve …)`."""
        treatment, control = (f"“{arm}”" for arm in self.pair)
        parts = [
            f"{verb} {control} {_places(stretches(where, self.steps))}"
            for verb, where in (("ahead of", self.band.ahead), ("behind", self.band.behind))
            if where.any()
        ]
        n = words.plural(self.band.n, "pair")
        left_out = f"; {self.n_left_out} that did not finish left out" if self.n_left_out else ""
        sure = f"95 % for the whole curve, {n}{left_out}"
        if not parts:
            neither = f"ahead of {control} or behind it at any step"
            return f"{treatment} is not shown to be {neither} ({sure})."
        return f"{treatment} is {words.listed(parts)} ({sure})."


def find_ahead(
    asked: Sequence[Asked], curves: pd.DataFrame, evidence: pd.DataFrame, course: Course = ACCURACY
) -> tuple[Ahead, ...]:
    """For each pair that was asked for and has 4 or more pairs of finished trials.

    Curves are compared at the steps at which both arms were evaluated, up to the shorter of the
    two arms' longest trainings. A trial that stopped early counts with its last value from there
    on, as its network no longer changes.
    """
    stopping = strictest([stopping_of(a.sweep.get("seeds")) for a in asked])
    rows = []
    for a in asked:
        for task in a.tasks:
            trials = evidence[evidence["task"] == task]
            own = curves[curves["task"] == task] if "task" in curves else curves
            for pair in dict.fromkeys(a.pairs):
                row = _ahead(task, pair, trials, own, stopping, course)
                if row is not None:
                    rows.append(row)
    return tuple(rows)


def ahead_words(rows: Iterable[Ahead]) -> Iterator[str]:
    """A sentence for each pair, with the task where there are several."""
    rows = list(rows)
    several = len({row.task for row in rows}) > 1
    for row in rows[:MOST_WORDS]:
        yield f"{row.task}: {row.words}" if several else row.words
    if len(rows) > MOST_WORDS:
        yield f"{MOST_WORDS} of {len(rows)} pairs are told here."


def _ahead(
    task: str,
    pair: Pair,
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    stopping: Stopping,
    course: Course,
) -> Ahead | None:
    sides = [trials[trials["arm"] == arm] for arm in pair]
    if any(side.empty for side in sides):
        return None
    done = [side[side["status"] == "done"] for side in sides]
    both = pair_trials(*done)
    if len(both) < FEWEST_PAIRS:
        return None
    ids = [
        done[0]["trial_id"].iloc[both.treatment].tolist(),
        done[1]["trial_id"].iloc[both.control].tolist(),
    ]
    tables = [_table(curves, names, course.column) for names in ids]
    steps = np.intersect1d(tables[0].index, tables[1].index)
    values = [table.loc[steps].to_numpy(dtype=float).T for table in tables]
    difference = values[1] - values[0] if course.lower_is_better else values[0] - values[1]
    whole = ~np.isnan(difference).any(axis=0)
    if not whole.any():
        return None
    n_all = len(pair_trials(*sides))
    least = _least_variance(done) if course.is_share else 0.0
    band = difference_band(difference[:, whole], least, stopping.widening(len(both)))
    return Ahead(task, pair, steps[whole].astype(float), band, n_all - len(both))


def _table(curves: pd.DataFrame, ids: list[str], column: str) -> pd.DataFrame:
    """A column of the curves (steps, trials), each trial's last value carried on."""
    own = curves[curves["trial_id"].isin(ids)]
    table = own.set_index(["step", "trial_id"])[column].unstack()  # noqa: PD010
    return table.reindex(columns=ids).ffill()


def _least_variance(done: Sequence[pd.DataFrame]) -> float:
    """Variance that counting whole validation images leaves to a difference of two accuracies."""
    grains = [
        1 / float(side["n_validation"].min())
        if "n_validation" in side and side["n_validation"].min() > 0
        else 0.0
        for side in done
    ]
    return sum(grain**2 for grain in grains) / 12


def _places(runs: Sequence[tuple[float, float]]) -> str:
    texts = [
        f"at step {first:,.0f}" if first == last else f"from step {first:,.0f} to {last:,.0f}"
        for first, last in runs
    ]
    return words.shortened(texts, 3)
