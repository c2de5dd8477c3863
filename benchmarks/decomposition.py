"""Whether the variance of each source is estimated without bias, and its interval covers.

    python -m benchmarks.decomposition

Simulated studies: planted variances of six sources, k bases and a double of each base for each
source, as `vary: decompose` runs them. Printed for each source: the mean estimate over the planted
variance, and the share of studies whose interval holds it.
"""

from __future__ import annotations

import argparse

import numpy as np

from analysis.statistics.samples.decomposition import component

SOURCES = {
    "split": 1.0, "order": 0.3, "init": 0.5, "head": 0.05, "augment": 0.1, "dropout": 0.02,
}  # fmt: skip
SHAPES = ("normal", "t5", "skewed")


def draw(rng: np.random.Generator, shape: str, size: tuple[int, ...]) -> np.ndarray:
    """Effects of mean 0 and variance 1."""
    if shape == "t5":
        return rng.standard_t(5, size) / np.sqrt(5 / 3)
    if shape == "skewed":
        return rng.gamma(4.0, 0.5, size) - 2.0
    return rng.normal(size=size)


def study(rng: np.random.Generator, shape: str, k: int) -> dict[str, tuple[float, bool]]:
    """For each source its estimate over the planted variance, and whether the interval holds it."""
    effects = {s: np.sqrt(v) * draw(rng, shape, (k,)) for s, v in SOURCES.items()}
    base = sum(effects.values())
    results = {}
    for source, planted in SOURCES.items():
        double = base - effects[source] + np.sqrt(planted) * draw(rng, shape, (k,))
        its = component(base, double)
        results[source] = (its.variance / planted, its.low <= planted <= its.high)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    n_studies = parser.parse_args().studies
    print("effects   bases  " + "  ".join(f"{source:>14}" for source in SOURCES))
    for shape in SHAPES:
        for k in (5, 10):
            rng = np.random.default_rng([7, k, SHAPES.index(shape)])
            studies = [study(rng, shape, k) for _ in range(n_studies)]
            cells = []
            for source in SOURCES:
                ratio, held = np.mean([one[source] for one in studies], axis=0)
                cells.append(f"{ratio:5.2f} × ({held:.3f})")
            print(f"{shape:8}  {k:5}  " + "  ".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    main()
