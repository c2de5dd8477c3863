"""Do intervals of censored times cover what they promise?

Simulates arms that reach a target at log-normal times, paired by seed, seen on a grid of
evaluations and cut at a budget, and prints how often nominal 95 % intervals hold the truth, for
more and more trials of the control that never reach it. Beside ours stand the two habits: leaving
out the pairs that did not reach, and taking the budget for the time.

    python benchmarks/censoring.py [--quick] [--simulations N] [--seed N]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analysis.measures.times.speedups import speedup
from analysis.measures.times.survival import kaplan_meier, restricted_mean_difference
from analysis.statistics.samples.intervals import mean_interval
from headstart.cli import run_command

SIZES = (5, 10, 20, 30)
UNREACHED = (0.0, 0.1, 0.3, 0.6, 0.9)  # share of the control's trials; about a third in treatment
SPACING = 25  # steps between evaluations
MEDIAN = 1000  # steps that the control's median trial needs
RATIO = 1.3  # of the median times
SEED_SD, TRIAL_SD = 0.2, 0.25  # of log time: shared by a pair, and each trial's own


@dataclass(frozen=True)
class Truth:
    """What a very large simulation gives for one budget."""

    budget: float
    log_ratio: float
    restricted_difference: float
    median_time: float
    share_at_median: float


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="60 simulations a cell")
    parser.add_argument("--simulations", type=int, default=1000, help="a cell (default 1000)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    n_simulations = 60 if given.quick else given.simulations
    rng = np.random.default_rng(given.seed)
    rows = []
    for unreached in UNREACHED:
        truth = find_truth(unreached, rng)
        for n in SIZES:
            hits = pd.DataFrame([one_study(n, truth, rng) for _ in range(n_simulations)])
            rows.append({"never reached": unreached, "n": n} | hits.mean().to_dict())
    error = 1.96 * (0.95 * 0.05 / n_simulations) ** 0.5
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print(
        f"\nShares of {n_simulations} simulations in which the truth lay in the 95 % interval "
        f"(each within {error:.3f}); of the speedup where its mean or a bound is known, "
        "else the median stands in. 'bound': in which it was a bound."
    )


def draw_times(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Times of n treatment and n control trials on the grid of evaluations, without a budget."""
    shared = rng.normal(0, SEED_SD, n)
    own = rng.normal(0, TRIAL_SD, (2, n))
    centre = np.log([[MEDIAN / RATIO], [MEDIAN]])
    treatment, control = np.ceil(np.exp(centre + shared + own) / SPACING) * SPACING
    return treatment, control


def find_truth(unreached: float, rng: np.random.Generator) -> Truth:
    """The budget that leaves `unreached` of the control, and the true values for it."""
    treatment, control = draw_times(1_000_000, rng)
    quantile = np.quantile(control, 1 - unreached) if unreached else control.max()
    budget = float(np.ceil(quantile / SPACING) * SPACING)
    median = float(np.median(np.minimum(treatment, budget)))
    return Truth(
        budget=budget,
        log_ratio=float(np.mean(np.log(control / treatment))),
        restricted_difference=float(
            np.mean(np.minimum(treatment, budget) - np.minimum(control, budget))
        ),
        median_time=median,
        share_at_median=float((treatment <= median).mean()),
    )


def one_study(n: int, truth: Truth, rng: np.random.Generator) -> dict[str, bool | float]:
    """Whether each interval of one simulated study holds the truth."""
    drawn = draw_times(n, rng)
    treatment, control = (as_rows(times, truth.budget) for times in drawn)
    ours = speedup(treatment, control, rng=rng)
    restricted = restricted_mean_difference(treatment, control, truth.budget, rng=rng)
    shares = kaplan_meier(treatment)
    at = shares[shares["time"] <= truth.median_time].iloc[-1]
    true_ratio = float(np.exp(truth.log_ratio))
    mean_known = not ours.method.startswith("median")
    both = (treatment["reached"] & control["reached"]).to_numpy()
    return {
        "restricted mean": covers(restricted.low, restricted.high, truth.restricted_difference),
        "share reached": covers(at["low"], at["high"], truth.share_at_median),
        "speedup": covers(ours.low, ours.high, true_ratio) if mean_known else float("nan"),
        "bound": float(mean_known and ours.bound is not None),
        "median ratio": covers(ours.median_low, ours.median_high, true_ratio),
        "pairs left out": naive(drawn[0][both], drawn[1][both], true_ratio, rng),
        "budget as time": naive(
            treatment["time"].to_numpy(), control["time"].to_numpy(), true_ratio, rng
        ),
    }


def as_rows(times: np.ndarray, budget: float) -> pd.DataFrame:
    """Times as `times_to_targets` would give them for trials that end at `budget`."""
    return pd.DataFrame(
        {
            "arm": "simulated",
            "seed": np.arange(len(times)),
            "time": np.minimum(times, budget),
            "reached": times <= budget,
            "budget": budget,
        }
    )


def covers(low: float, high: float, truth: float) -> float:
    """1 where the interval holds the truth, 0 where not, NaN (left out) where there is none."""
    return float("nan") if np.isnan([low, high]).any() else float(low <= truth <= high)


def naive(
    treatment: np.ndarray, control: np.ndarray, truth: float, rng: np.random.Generator
) -> float:
    """The same, of the ratio of numbers that are taken as they are; NaN below two pairs."""
    if len(treatment) < 2:
        return float("nan")
    interval = mean_interval(np.log(control) - np.log(treatment), rng=rng)
    return covers(float(np.exp(interval.low)), float(np.exp(interval.high)), truth)


if __name__ == "__main__":
    run_command(main)
