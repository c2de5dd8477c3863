"""How often nominal 95 % intervals cover the truth, beside the percentile and BCa bootstraps.

    python -m benchmarks.coverage [--quick] [--seed N]

Prints two Markdown tables: for the mean, coverage and (in brackets) median width over Student's
for each method; for the other statistics, coverage. The data: normal, skewed (1 - gamma, as
accuracies near their ceiling), accuracies rounded to 1/10,000, lognormal (σ 0.5 and 1), t₃.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import integrate, stats

from analysis.statistics.samples.intervals import (
    Interval,
    iqm_interval,
    mean_interval,
    mean_intervals,
    median_interval,
    sd_interval,
)

SIZES = (5, 10, 20, 30)
BLOCK = 200  # data sets that share their resamples


@dataclass(frozen=True)
class Population:
    """Where data comes from: `sign · X + offset`, rounded; the truths are those of `X`."""

    name: str
    x: stats.rv_continuous
    sign: float = 1.0
    offset: float = 0.0
    digits: int | None = None

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        values = self.offset + self.sign * self.x.rvs(size=shape, random_state=rng)
        return values if self.digits is None else np.round(values, self.digits)

    def truth(self, statistic: str) -> float:
        if statistic == "SD":
            return float(self.x.std())
        if statistic == "IQM":
            value = 2 * integrate.quad(self.x.ppf, 0.25, 0.75)[0]
        else:
            value = float(self.x.mean() if statistic == "mean" else self.x.median())
        return self.offset + self.sign * value


POPULATIONS = (
    Population("normal", stats.norm(0.98, 0.002)),
    Population("1 − gamma(2)", stats.gamma(2, scale=0.005), -1.0, 1.0),
    Population("rounded to 1e-4", stats.norm(0.99, 0.001), digits=4),
    Population("lognormal 0.5", stats.lognorm(0.5)),
    Population("lognormal 1", stats.lognorm(1.0)),
    Population("t₃", stats.t(3)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="400 data sets instead of 5,000")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    n_sets = 400 if given.quick else 5_000
    print(f"Coverage of nominal 95 % intervals, {n_sets:,} data sets a cell.\n")
    print_means(n_sets, rng)
    print_others(n_sets // 2, rng)


def print_means(n_sets: int, rng: np.random.Generator) -> None:
    """The mean: our methods, and the two bootstraps that others print."""
    methods = ("auto", "student", "bootstrap-t", "percentile", "BCa")
    print(f"| n | data | {' | '.join(methods)} |\n|---|---|{'---|' * len(methods)}")
    for n in SIZES:
        for population in POPULATIONS:
            truth = population.truth("mean")
            blocks_of: dict[str, list[np.ndarray]] = {method: [] for method in methods}
            for _ in range(n_sets // BLOCK):
                data = population.draw((n, BLOCK), rng)
                for method in methods:
                    blocks_of[method].append(bounds(data, method, rng))
            ends = {method: np.concatenate(blocks, axis=1) for method, blocks in blocks_of.items()}
            widths = {m: np.median(np.diff(e, axis=0)) for m, e in ends.items()}
            cells = [
                f"{covered(e, truth):.3f} ({widths[m] / widths['student']:.2f})"
                for m, e in ends.items()
            ]
            print(f"| {n} | {population.name} | {' | '.join(cells)} |", flush=True)
    print()


def print_others(n_sets: int, rng: np.random.Generator) -> None:
    """Median, IQM, SD, and the ratio of two paired columns (of which both are exp(data))."""
    names = ("median", "IQM", "SD", "ratio")
    print(f"| n | data | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}")
    for n in SIZES:
        for population in POPULATIONS:
            data = population.draw((n_sets, n), rng)
            cells = [
                f"{share(median_interval, data, population.truth('median')):.3f}",
                f"{share(iqm_interval, data, population.truth('IQM')):.3f}",
                f"{share(sd_interval, data, population.truth('SD')):.3f}",
                f"{ratio_share(population, n, n_sets // 5, rng):.3f}",
            ]
            print(f"| {n} | {population.name} | {' | '.join(cells)} |", flush=True)


def bounds(data: np.ndarray, method: str, rng: np.random.Generator) -> np.ndarray:
    """Low and high (2, k) for each column of `data` (n, k)."""
    if method not in ("percentile", "BCa"):
        intervals = mean_intervals(data, 0.95, method, rng)
        return np.array([[i.low for i in intervals], [i.high for i in intervals]])
    with np.errstate(all="ignore"):
        result = stats.bootstrap(
            (data,), np.mean, axis=0, n_resamples=999, method=method, rng=rng, vectorized=True
        )
    return np.stack(result.confidence_interval)


def covered(ends: np.ndarray, truth: float) -> float:
    """Share of intervals with the truth inside; a NaN interval covers nothing."""
    return float(((ends[0] <= truth) & (truth <= ends[1])).mean())


def share(interval: Callable[[np.ndarray], Interval], data: np.ndarray, truth: float) -> float:
    intervals: Sequence[Interval] = [interval(row) for row in data]
    return covered(np.array([[i.low for i in intervals], [i.high for i in intervals]]), truth)


def ratio_share(population: Population, n: int, n_sets: int, rng: np.random.Generator) -> float:
    """Coverage of the geometric mean ratio of exp(data) to exp(other data): truth 1."""
    hits = 0
    for _ in range(n_sets):
        top, bottom = population.draw((2, n), rng)
        interval = mean_interval(top - bottom, rng=rng)
        hits += interval.low <= 0.0 <= interval.high
    return hits / n_sets if n_sets else math.nan


if __name__ == "__main__":
    main()
