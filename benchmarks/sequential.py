"""What the rule `seeds: {until: …}` covers: simulated sweeps that stop when an interval is narrow.

    python -m benchmarks.sequential [--quick] [--seed N]

Each sweep starts at 8 paired seeds and may go to 60. The half-width is set so that a known
spread would need the number of seeds in the first column. Prints coverage of the final interval
as the report draws it (and in brackets without the widening), the mean number of seeds, and the
share of sweeps that stopped at 60.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from analysis.statistics.pairs.sequential import WIDENING, Until, next_seeds
from analysis.statistics.samples.intervals import CONFIDENCE, mean_intervals

NEEDED = (10, 20, 30, 45)
BLOCK = 200  # sweeps that share their resamples
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
DIFFERENCES: dict[str, Draw] = {  # of mean 0 and standard deviation 1
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed (gamma 2)": lambda rng, shape: (rng.gamma(2, size=shape) - 2) / np.sqrt(2),
    "lognormal 0.5": lambda rng, shape: (
        (rng.lognormal(0, 0.5, shape) - np.exp(1 / 8)) / np.sqrt(np.exp(1 / 2) - np.exp(1 / 4))
    ),
    "t₃": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 sweeps a row instead of 1,500")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    n_sweeps = 200 if given.quick else 1_500
    print(f"{n_sweeps:,} sweeps a row, 8 to 60 seeds, one comparison, nominal 95 %.\n")
    print("| needed | differences | covered | mean seeds | stopped at 60 |")
    print("|---|---|---|---|---|")
    for needed in NEEDED:
        for name, draw in DIFFERENCES.items():
            wide, plain, seeds, at_most = simulate(draw, needed, n_sweeps, rng)
            cells = f"{wide:.3f} ({plain:.3f}) | {seeds:.1f} | {at_most:.2f}"
            print(f"| {needed} | {name} | {cells} |", flush=True)


def simulate(
    draw: Draw, needed: int, n_sweeps: int, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Many sweeps at once: coverage, coverage without widening, mean seeds, share that hit the end.

    The same steps as `decide` takes, for many sweeps that have one number of seeds together.
    """
    until = Until("test_accuracy", half_width=1.96 / np.sqrt(needed), at_least=8, at_most=60)
    differences = draw(rng, (until.at_most, n_sweeps))
    n = np.full(n_sweeps, until.at_least)
    ends = np.full((2, n_sweeps), np.nan)
    for size in range(until.at_least, until.at_most + 1):
        for block in np.array_split(np.flatnonzero(n == size), 1 + (n == size).sum() // BLOCK):
            intervals = mean_intervals(differences[:size, block], CONFIDENCE, "auto", rng)
            for sweep, interval in zip(block, intervals, strict=True):
                ends[:, sweep] = interval.low, interval.high
                width = WIDENING * (interval.high - interval.low) / 2
                if width > until.half_width:
                    n[sweep] = next_seeds(size, size, width, until.half_width, until)
    means = np.array([differences[:k, i].mean() for i, k in enumerate(n)])
    wide = means + WIDENING * (ends - means)
    return inside(wide), inside(ends), float(n.mean()), float((n == until.at_most).mean())


def inside(ends: np.ndarray) -> float:
    """Share of intervals (2, n) around the true mean, 0."""
    return float(((ends[0] <= 0) & (ends[1] >= 0)).mean())


if __name__ == "__main__":
    main()
