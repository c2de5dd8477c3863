"""The arms of a table of trials against each other: what a report says of them.

In: the tables of trials and curves, pairs of arms, targets, the sweep's margin. Out: one
`Comparison` for each, as `statistics.pairs.compare` judges it. For scripts of one's own:
`from analysis import compare_all`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from analysis.measures.pairs.contrasts import build_contrasts
from analysis.statistics.pairs.compare import compare_contrasts
from analysis.statistics.pairs.comparison import COLUMNS, Comparison
from analysis.statistics.pairs.looks import CHOSEN_BEFORE, Stopping
from analysis.statistics.pairs.metrics import DEFAULT_METRICS
from analysis.statistics.pairs.questions import Errors
from analysis.statistics.samples.arrays import Rng
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import ACCURACY, Course


def compare_all(
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    targets: Sequence[float],
    margin: float | None,
    rng: Rng | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    stopping: Stopping = CHOSEN_BEFORE,
    errors: Errors = "question",
    places: Collection[tuple[str, Pair]] | None = None,
    course: Course = ACCURACY,
) -> list[Comparison]:
    """Every pair on every metric (and target): one `Comparison` each, judged by questions.

    Args:
        trials, curves: as `load_runs` gives them; only stage `arm` counts. With a column `task`
            each task is compared by itself, and all belong to the same questions.
        pairs: names of arms, (treatment, control) each.
        targets: validation accuracies (fractions) for the times to target.
        margin: equivalence margin for accuracies, a fraction; None claims no equivalence.
        rng: for the p of the sign-flip test of one row beyond 16 pairs, which stands beside and
            decides nothing; without it the number of pairs decides its draws.
        metrics: names of `metrics.METRICS`.
        stopping: how the sweep came to its number of seeds. Under `seeds: {until: …}` errors
            count for more (`Stopping.widening`): intervals are wider, t-statistics smaller, and
            the note says why.
        errors: what may be wrong in 5 %: each `question`, or the whole `report`.
        places: tasks and pairs that were asked for; what was not asked is not compared, and
            costs nothing. None: every pair in every task that has both arms.
        course: what is measured at evaluations: targets and the area are of it.

    One pair has an estimate and no interval or test; no pair has neither. Trials without a value
    are left out and noted, and a verdict about accuracy says whether it also holds with those
    that failed at chance; a time is never left out, an unreached one stands at the common budget,
    which keeps the test's error rate (docs/statistics.md).

    Raises InputError as `build_contrasts`, and for a margin that is not above zero.
    """
    named = [Pair(*pair) for pair in pairs]
    contrasts = [
        contrast
        for contrast in build_contrasts(trials, curves, named, targets, metrics, course)
        if places is None or (contrast.task, contrast.pair) in places
    ]
    return compare_contrasts(contrasts, margin, rng, stopping, errors)


def comparison_table(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """One row a comparison, with the columns `COLUMNS`."""
    rows = [[getattr(comparison, name) for name in COLUMNS] for comparison in comparisons]
    return pd.DataFrame(rows, columns=list(COLUMNS))
