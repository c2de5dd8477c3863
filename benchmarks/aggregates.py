"""50,000 resamples of the interquartile mean of 10 tasks × 30 seeds: ours against rliable's.

    python -m benchmarks.aggregates [--quick]

Both make the same stratified percentile interval from the same scores. Prints both times, their
ratio and both intervals, which agree to the noise of resampling. rliable draws from numpy's
global generator in a Python loop.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import sys
import time
import types
from collections.abc import Callable

import numpy as np

from analysis.statistics.pairs.aggregates import aggregate_interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 resamples, once")
    given = parser.parse_args()
    n_resamples, repeats = (5_000, 1) if given.quick else (50_000, 2)
    scores = np.random.default_rng(1).beta(20, 3, (30, 10))
    library, metrics = import_rliable()

    def ours() -> np.ndarray:
        rng = np.random.default_rng(1)
        interval = aggregate_interval(scores, rng=rng, method="percentile", n_resamples=n_resamples)
        return np.array([interval.estimate, interval.low, interval.high])

    def theirs() -> np.ndarray:
        np.random.seed(1)  # noqa: NPY002 - it ignores the generator that it accepts
        points, ends = library.get_interval_estimates(
            {"scores": scores}, lambda s: np.array([metrics.aggregate_iqm(s)]), reps=n_resamples
        )
        return np.array([points["scores"][0], *ends["scores"].ravel()])

    seconds_ours, found_ours = fastest(ours, repeats)
    seconds_theirs, found_theirs = fastest(theirs, repeats)
    print(f"{n_resamples:,} resamples of the IQM of 10 tasks × 30 seeds (fastest of {repeats})")
    print(f"rliable   {seconds_theirs:7.3f} s   {found_theirs.round(5)}")
    print(f"headstart {seconds_ours:7.3f} s   {found_ours.round(5)}")
    print(f"ratio     {seconds_theirs / seconds_ours:7.1f}")


def fastest(work: Callable[[], np.ndarray], repeats: int) -> tuple[float, np.ndarray]:
    """Least wall-clock seconds of `repeats` calls, and the result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def import_rliable() -> tuple[types.ModuleType, types.ModuleType]:
    """rliable's `library` and `metrics`.

    It needs `arch.bootstrap` only, and asks for an arch whose other parts cannot be imported
    beside pandas 3; so where importing arch whole fails, its folder alone stands in for it.
    """
    try:
        import arch  # noqa: F401
    except TypeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "arch"]:
            del sys.modules[name]
        spec = importlib.machinery.PathFinder.find_spec("arch")
        if spec is None:
            raise
        package = types.ModuleType("arch")
        package.__path__ = list(spec.submodule_search_locations or ())
        sys.modules["arch"] = package
    from rliable import library, metrics

    return library, metrics


if __name__ == "__main__":
    main()
