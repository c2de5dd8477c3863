"""How often verdicts are wrong, and whether power is what was promised, in simulated sweeps.

    python -m benchmarks.verdicts [--quick] [--seed N]

A/A: two equal arms, 5 metrics (3 of them times to 4 targets: 14 comparisons); the share of sweeps
with any significant difference. A/B: a true difference of test accuracy; the share of `better`
beside the promise of `power.paired_power`. Margin: a true difference that equals the equivalence
margin; the share of `equivalent`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.statistics.pairs.compare import compare_all
from analysis.statistics.pairs.power import paired_power

SIZES = (5, 10, 30)
TARGETS = (0.8, 0.9, 0.97, 0.98)
METRICS = (
    *("test_accuracy", "area_under_curve"),
    *("steps_to_target", "samples_to_target", "train_time_s_to_target"),
)
PAIRS = [("treatment", "control")]
N_EVALUATIONS, SPACING = 20, 50
NO_CURVES = pd.DataFrame({"trial_id": [], "step": []})
Ceiling = Callable[[np.ndarray, np.random.Generator], np.ndarray]
CEILINGS: dict[str, Ceiling] = {  # final accuracy of a trial, from a standard normal
    "normal": lambda u, rng: 0.98 + 0.002 * u,
    "skewed": lambda u, rng: 0.99 - 0.002 * np.exp(0.7 * u),
    "t₃": lambda u, rng: 0.98 + 0.002 * rng.standard_t(3, len(u)),
    "rounded to 0.001": lambda u, rng: np.round(0.98 + 0.0003 * u, 3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="30 sweeps a row instead of 1,000")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    n_sweeps = 30 if given.quick else 1_000
    print(f"{n_sweeps:,} sweeps a row.\n")
    print("| seeds | true difference, in SDs | better | promised |\n|---|---|---|---|")
    for n in SIZES:
        for effect in (2.5, 1.0, 0.6):
            share = share_of("better", n, effect, None, n_sweeps, rng)
            promise = paired_power(n, effect, 1.0)
            print(f"| {n} | {effect} | {share:.3f} | {promise:.3f} |", flush=True)
    print("\n| seeds | margin, in SDs | `equivalent` at that true difference |\n|---|---|---|")
    for n in SIZES:
        for margin in (2.0, 0.8):
            share = share_of("equivalent", n, margin, margin, n_sweeps, rng)
            print(f"| {n} | {margin} | {share:.3f} |", flush=True)
    print("\n| seeds | accuracies | A/A sweeps with any `better` or `worse` |\n|---|---|---|")
    for n in SIZES:
        for name, ceiling in CEILINGS.items():
            share = np.mean([any_difference(n, ceiling, rng) for _ in range(n_sweeps)])
            print(f"| {n} | {name} | {share:.3f} |", flush=True)


def share_of(
    wanted: str,
    n: int,
    effect: float,
    margin: float | None,
    n_sweeps: int,
    rng: np.random.Generator,
) -> float:
    """Share of this verdict on test accuracy alone; normal differences, effects in their SDs.

    All sweeps are pairs of one table; verdicts are taken before Holm, for each is one comparison.
    """
    pairs = [(f"treatment{i}", f"control{i}") for i in range(n_sweeps)]
    arms = [arm for pair in pairs for arm in pair]
    accuracy = 0.9 + 0.002 * rng.normal(size=(n_sweeps, 2, n)) / np.sqrt(2)
    accuracy[:, 0] += 0.002 * effect
    trials = pd.DataFrame(
        {
            "trial_id": [f"{arm}-{seed}" for arm in arms for seed in range(n)],
            "arm": np.repeat(arms, n),
            "seed": np.tile(np.arange(n), len(arms)),
            "status": "done",
            "test_accuracy": accuracy.ravel(),
        }
    )
    limit = None if margin is None else 0.002 * margin
    rows = compare_all(trials, NO_CURVES, pairs, (), limit, rng, ("test_accuracy",))
    if wanted == "equivalent":
        return float(np.mean([row.p_equivalence <= 0.05 for row in rows]))
    return float(np.mean([row.mean_score > 0 and row.p_value <= 0.05 for row in rows]))


def any_difference(n: int, ceiling: Ceiling, rng: np.random.Generator) -> bool:
    """Whether one A/A sweep has a significant difference, hidden by equivalence or not."""
    trials, curves = equal_arms(n, ceiling, rng)
    rows = compare_all(trials, curves, PAIRS, TARGETS, 0.001, rng, METRICS)
    return any(row.p_question <= 0.05 for row in rows)


def equal_arms(
    n: int, ceiling: Ceiling, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two arms that differ by chance; half of each seed's luck is shared, as in paired runs."""
    steps = np.arange(1, N_EVALUATIONS + 1) * SPACING
    luck, pace_luck = rng.normal(size=(2, n))
    trials, curves = [], []
    for arm in PAIRS[0]:
        top = ceiling(np.sqrt(0.5) * (luck + rng.normal(size=n)), rng)[:, None]
        pace = 200 * np.exp(0.25 * np.sqrt(0.5) * (pace_luck + rng.normal(size=n)))[:, None]
        accuracy = top - (top - 0.1) * np.exp(-steps / pace)
        accuracy = np.round(accuracy + rng.normal(0, 0.0005, accuracy.shape), 4)
        seconds = steps * 0.004 * np.exp(rng.normal(0, 0.05, (n, 1)))
        ids = [f"{arm}{seed}" for seed in range(n)]
        tested = np.round(top[:, 0] + rng.normal(0, 0.0005, n), 4)
        trials.append(
            pd.DataFrame(
                {"trial_id": ids, "arm": arm, "seed": range(n), "status": "done",
                 "test_accuracy": tested, "n_test": 10_000}
            )
        )  # fmt: skip
        curves.append(
            pd.DataFrame(
                {"trial_id": np.repeat(ids, N_EVALUATIONS), "step": np.tile(steps, n),
                 "samples": np.tile(128 * steps, n), "train_time_s": seconds.ravel(),
                 "val_accuracy": accuracy.ravel()}
            )
        )  # fmt: skip
    return pd.concat(trials, ignore_index=True), pd.concat(curves, ignore_index=True)


if __name__ == "__main__":
    main()
