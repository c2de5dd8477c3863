"""How often the band over a difference of curves errs where they are equal, and what it shows.

    python -m benchmarks.band [--quick] [--seed N]

Made-up curves of 20 evaluations: a level of each seed, a drift, the noise of each evaluation. A/A:
the share of studies in which the band leaves 0 anywhere (at most .06). Bump: the treatment is ahead
by 1 SD of a seed's difference in the middle third; the share in which some of it is shown, and in
which anything outside of it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from analysis.statistics.times.band import difference_band

SIZES = (4, 5, 7, 8, 10, 20)
N_EVALUATIONS = 20
Draw = Callable[[np.random.Generator, int], np.ndarray]


def _drifting(rng: np.random.Generator, n: int) -> np.ndarray:
    drift = np.cumsum(rng.normal(size=(n, N_EVALUATIONS)), axis=1) / np.sqrt(2 * N_EVALUATIONS)
    return 0.5 * rng.normal(size=(n, 1)) + drift + 0.5 * rng.normal(size=(n, N_EVALUATIONS))


CURVES: dict[str, Draw] = {
    "drifting": _drifting,
    "unrelated evaluations": lambda rng, n: rng.normal(size=(n, N_EVALUATIONS)),
    "one level a seed": lambda rng, n: (
        rng.normal(size=(n, 1)) + 0.02 * rng.normal(size=(n, N_EVALUATIONS))
    ),
    "t₃": lambda rng, n: rng.standard_t(3, (n, 1)) + 0.3 * rng.standard_t(3, (n, N_EVALUATIONS)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 studies a row instead of 2,000")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    n_studies = 100 if given.quick else 2_000
    print(f"{n_studies:,} studies a row, {N_EVALUATIONS} evaluations.\n")
    print("| curves | pairs | A/A: outside anywhere | bump: shown | bump: shown elsewhere |")
    print("|---|---|---|---|---|")
    middle = np.zeros(N_EVALUATIONS, dtype=bool)
    middle[N_EVALUATIONS // 3 : 2 * N_EVALUATIONS // 3] = True
    for name, draw in CURVES.items():
        for n in SIZES:
            equal, shown, elsewhere = [], [], []
            for _ in range(n_studies):
                table = draw(rng, n)
                equal.append(_outside(table).any())
                where = _outside(table + middle * table.std())
                shown.append(where[middle].any())
                elsewhere.append(where[~middle].any())
            cells = " | ".join(f"{np.mean(share):.3f}" for share in (equal, shown, elsewhere))
            print(f"| {name} | {n} | {cells} |", flush=True)


def _outside(table: np.ndarray) -> np.ndarray:
    band = difference_band(table)
    return np.asarray(band.ahead | band.behind)


if __name__ == "__main__":
    main()
