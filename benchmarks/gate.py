"""How often the gate passes, raises an alarm, or cannot tell: simulated pairs of runs.

    python -m benchmarks.gate [--quick] [--seed N]

One arm, seeds paired; true differences in margins (0: unchanged, -1: worse by exactly the margin),
the margin in standard deviations of the paired differences. A wrong pass is a pass at -1 or below;
a wrong alarm is one at -1 or above. Both should be at most 5 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.metrics import metric_of
from analysis.statistics.pairs.non_inferiority import not_worse
from analysis.statistics.samples.pairing import Pair

SIZES = (5, 10, 20)
MARGINS = (0.5, 1.0, 2.0)
TRUTHS = (0.0, -0.5, -1.0, -1.5, -2.0)
ANSWERS = ("not worse", "cannot tell", "worse")
Draw = Callable[[np.random.Generator, int], np.ndarray]
DIFFERENCES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed (gamma 2)": lambda rng, n: (rng.gamma(2, size=n) - 2) / np.sqrt(2),
    "t₃": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 gates a cell instead of 1,000")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    n_gates = 200 if given.quick else 1_000
    print(f"{n_gates:,} gates a cell: not worse / cannot tell / worse, in per cent.\n")
    names = " | ".join(f"{truth:g} margins" for truth in TRUTHS)
    print(f"| differences | seeds | margin, in SDs | {names} |")
    print("|---|---|---|" + "---|" * len(TRUTHS))
    for name, draw in DIFFERENCES.items():
        for n in SIZES:
            for margin in MARGINS:
                cells = [shares(draw, n, margin, truth * margin, n_gates, rng) for truth in TRUTHS]
                print(f"| {name} | {n} | {margin} | {' | '.join(cells)} |", flush=True)


def shares(
    draw: Draw, n: int, margin: float, truth: float, n_gates: int, rng: np.random.Generator
) -> str:
    """The three shares of one cell."""
    answers = [gate(draw(rng, n) + truth, margin) for _ in range(n_gates)]
    return " / ".join(f"{100 * answers.count(answer) / n_gates:.1f}" for answer in ANSWERS)


def gate(differences: np.ndarray, margin: float) -> str:
    """The answer for these paired differences."""
    steps = np.zeros_like(differences)
    contrast = Contrast(
        "", Pair("new", "base"), metric_of("test_accuracy"), np.nan, differences,
        np.zeros_like(differences), True, (steps, steps),
    )  # fmt: skip
    return not_worse(contrast, margin).answer()


if __name__ == "__main__":
    main()
