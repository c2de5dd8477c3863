"""What the interval over seeds and images covers, and how it compares with that over seeds alone.

    python -m benchmarks.nested [--quick] [--seed N]

Images differ in difficulty, seeds in skill, and what a seed makes of an image is chance. Prints how
often the interval over seeds and images holds the accuracy of all images and all seeds, how often
the interval over seeds alone does, and the ratio of their widths.
"""

from __future__ import annotations

import argparse

import numpy as np

from analysis.statistics.samples.nested import nested_differences, nested_intervals

SEEDS = (2, 3, 5, 10)
SPREADS = ((1.5, 0.3), (1.5, 0.0), (0.0, 0.3))  # of images' difficulty and seeds' skill, logits
N_IMAGES = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 studies a row instead of 2,000")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    n_studies = 100 if given.quick else 2_000
    print(f"{n_studies:,} studies a row, {N_IMAGES} images, nominal 95 %.\n")
    print("| quantity | seeds | images vary | seeds vary | covered | over seeds alone | width |")
    print("|---|---|---|---|---|---|---|")
    for difference in (False, True):
        for n_seeds in SEEDS:
            for spreads in SPREADS:
                cells = simulate(n_seeds, spreads, difference, n_studies, rng)
                name = "difference" if difference else "accuracy"
                both, alone, width = cells
                row = f"{both:.3f} | {alone:.3f} | {width:.2f}"
                print(f"| {name} | {n_seeds} | {spreads[0]} | {spreads[1]} | {row} |", flush=True)


def simulate(
    n_seeds: int,
    spreads: tuple[float, float],
    difference: bool,
    n_studies: int,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Coverage over seeds and images, of seeds alone, and the mean ratio of their widths."""
    of_images, of_seeds = spreads
    draws = np.random.default_rng(0).normal(0, np.hypot(of_images, of_seeds), 1_000_000)
    truth = 0.0 if difference else float(_chance(draws).mean())
    held, widths = np.zeros((n_studies, 2)), np.zeros((n_studies, 2))
    for k in range(n_studies):
        hard = rng.normal(0, of_images, N_IMAGES)
        tables = [
            rng.random((n_seeds, N_IMAGES)) < _chance(hard + rng.normal(0, of_seeds, (n_seeds, 1)))
            for _ in range(1 + difference)
        ]
        right = [table.astype(np.int8) for table in tables]
        found = nested_differences(right[0] - right[1]) if difference else nested_intervals(*right)
        held[k] = [interval.low <= truth <= interval.high for interval in found[::-1]]
        widths[k] = [interval.high - interval.low for interval in found[::-1]]
    both, alone = held.mean(axis=0)
    return float(both), float(alone), float((widths[:, 0] / widths[:, 1]).mean())


def _chance(logit: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-(1.8 + logit))))


if __name__ == "__main__":
    main()
