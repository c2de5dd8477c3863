"""The console's table of a forecast: a line a start, a column a score, ranks and seconds.

In: starts and rows. Out: lines of text. It draws no conclusion: how right a forecast was is the
analysis's.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from harness.forecast.scores import SCORES
from harness.forecast.starts import Start
from headstart.output import on_one_line, terminal_width
from headstart.rows import ForecastRow

NOTHING = "–"
WIDTH = 200  # of a table that goes to no terminal


def describe(
    starts: Sequence[Start], rows: Sequence[ForecastRow], shown: Callable[[str], str]
) -> Iterator[str]:
    """A table for each data set, what it is of, and why a score is missing."""
    for data_set in dict.fromkeys(start.data_set for start in starts):
        own = [row for row in rows if row.data_set == data_set]
        members = [start for start in starts if start.data_set == data_set]
        n_seeds = len({row.seed for row in own})
        n_images = max(row.n_images for row in own)
        yield on_one_line(
            f"{data_set}: scores of {len(members)} start{'s' * (len(members) != 1)} on "
            f"{n_images:,} training and validation images, mean of {n_seeds} "
            f"seed{'s' * (n_seeds != 1)} (rank; more is better)"
        )
        yield from _table(members, own)
        for start in members:
            arms = ", ".join(map(shown, start.arms))
            yield on_one_line(f"  {start.name}: the start of {arms}")
    if any(len(start.arms) > 1 for start in starts):
        yield (
            "A forecast is of a start: arms that share one, and differ in how they are tuned, have "
            "the same scores."
        )
    for (name, reason), scores in _reasons(rows).items():
        yield on_one_line(f"  {NOTHING} {name}: no {', '.join(scores)}: {reason}")


def _table(starts: Sequence[Start], rows: Sequence[ForecastRow]) -> Iterator[str]:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    names = list(dict.fromkeys(row.score for row in rows))
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("start", overflow="fold")
    for name in names:
        table.add_column(SCORES[name].label, justify="right")
    table.add_column("features", justify="right")
    table.add_column("seconds", justify="right")
    means = np.array([[_mean(rows, s.name, name) for name in names] for s in starts])
    for k, start in enumerate(starts):
        own = [row for row in rows if row.start == start.name]
        cells = [_cell(means[:, j], k) for j in range(len(names))]
        n_features = next((row.n_features for row in own if row.n_features), None)
        wide = NOTHING if n_features is None else f"{n_features:,}"
        table.add_row(escape(start.name), *cells, wide, f"{_seconds(own):.1f}")
    of_scores = [f"{_score_seconds(rows, name):.1f} s" for name in names]
    table.add_section()
    table.add_row("time of the score", *of_scores, "", f"{_seconds(rows):.1f}")
    text = io.StringIO()
    Console(file=text, width=terminal_width(None) or WIDTH).print(table)
    yield from (line.rstrip() for line in text.getvalue().strip("\n").splitlines())


def _cell(column: np.ndarray, k: int) -> str:
    """`0.534 (1)`: the mean, and its rank among the starts that have one."""
    if math.isnan(column[k]):
        return NOTHING
    rank = 1 + int(np.nansum(column > column[k]))
    return f"{column[k]:.3f} ({rank})"


def _mean(rows: Sequence[ForecastRow], start: str, score: str) -> float:
    """Over seeds; NaN where one of them has no such score."""
    own = [row for row in rows if row.start == start and row.score == score]
    values = [math.nan if row.value is None else row.value for row in own]
    return float(np.mean(values))


def _seconds(rows: Sequence[ForecastRow]) -> float:
    """Of features and scores, each start and seed once."""
    features = {(row.start, row.seed): row.features_time_s for row in rows}
    scores = {(row.start, row.seed, row.score): row.score_time_s for row in rows}
    return sum(features.values()) + sum(scores.values())


def _score_seconds(rows: Sequence[ForecastRow], score: str) -> float:
    own = {(row.start, row.seed): row.score_time_s for row in rows if row.score == score}
    return sum(own.values())


def _reasons(rows: Sequence[ForecastRow]) -> dict[tuple[str, str], list[str]]:
    """Labels of missing scores by start and reason."""
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.value is None:
            reasons.setdefault((row.start, row.reason), {})[SCORES[row.score].label] = None
    return {key: list(labels) for key, labels in reasons.items()}
