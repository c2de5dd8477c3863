"""How often two arms are said to differ in their spread over seeds, where they do and do not.

    python -m benchmarks.stability

Simulated pairs of arms through `analysis.statistics` as a report compares them: Gini's mean
differences by the paired t-test of the jackknife pseudo-values of their logarithms. Printed for
each shape of the values and each number of seeds: the share of studies with p at most .05 for equal
spreads, and for a treatment that spreads three times as far; beside it Pitman and Morgan's test.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import stats

from analysis.statistics.samples.gini import log_pseudo_values

SHAPES = ("normal", "correlated", "t3", "lognormal")


def draw(rng: np.random.Generator, shape: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Both arms' values, of one distribution."""
    if shape == "correlated":
        shared = 0.8 * rng.normal(size=n)
        return shared + 0.6 * rng.normal(size=n), shared + 0.6 * rng.normal(size=n)
    if shape == "t3":
        return rng.standard_t(3, n), rng.standard_t(3, n)
    if shape == "lognormal":
        return rng.lognormal(sigma=0.6, size=n), rng.lognormal(sigma=0.6, size=n)
    return rng.normal(size=n), rng.normal(size=n)


def p_gini(x: np.ndarray, y: np.ndarray) -> float:
    """Of the test that a report makes; 1 where it makes none."""
    d = log_pseudo_values(x) - log_pseudo_values(y)
    if np.isnan(d).any():
        return 1.0
    t = d.mean() / (d.std(ddof=1) / math.sqrt(len(d)))
    return float(2 * stats.t.sf(abs(t), len(d) - 1))


def p_pitman(x: np.ndarray, y: np.ndarray) -> float:
    return float(stats.pearsonr(x + y, x - y)[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    n_studies = parser.parse_args().studies
    print("values      seeds   equal   three times   Pitman-Morgan: equal")
    for shape in SHAPES:
        for n in (3, 5, 10, 20):
            rng = np.random.default_rng([11, n, SHAPES.index(shape)])
            studies = [draw(rng, shape, n) for _ in range(n_studies)]
            equal = np.mean([p_gini(x, y) <= 0.05 for x, y in studies])
            wider = np.mean([p_gini(3 * x, y) <= 0.05 for x, y in studies])
            pitman = np.mean([p_pitman(x, y) <= 0.05 for x, y in studies])
            print(f"{shape:10}  {n:5}   {equal:5.3f}   {wider:11.3f}   {pitman:20.3f}")


if __name__ == "__main__":
    main()
