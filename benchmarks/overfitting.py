"""How often an arm is said to overfit more or less, where it does and does not, and what intervals
of it cover.

    python -m benchmarks.overfitting [--sweeps N] [--seed N]

Sweeps are simulated whole: three arms against a control, half of each seed's luck shared by its
arms. Training accuracy leaves validation accuracy behind, validation loss falls and then rises;
both the faster, the more a trial overfits, and evaluations waver. The gaps, the rise and their
comparisons are those of a report, 12 rows. Printed for each number of seeds, noise and true
difference of the first arm (in SDs of paired differences): the share of sweeps with anything shown
(where nothing differs: the error) and with the first arm shown, and the share of rows of that arm
whose interval of one row alone, and whose interval for all rows, holds the true difference.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.findings.quantities import with_quantities
from analysis.measures.pairs.contrasts import build_contrasts
from analysis.statistics.pairs.compare import compare_contrasts
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.metrics import OVERFITTING
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import ACCURACY
from benchmarks.verdicts import ARMS, BATCH, NOISES, any_shown

EPOCHS = np.arange(1.0, 21.0)
N_VALIDATION = 10_000
SIZES = (3, 5, 10, 20)
GAINS = (0.0, 1.0, 2.0)
OF_TRUTH = 20_000  # seeds from which the true differences are computed


def simulate(
    n: int, gain: float, noise: str, rng: np.random.Generator, n_sweeps: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials, with what they are compared on, and curves; names as in `benchmarks.verdicts`."""
    draw, arms = NOISES[noise], len(ARMS)
    luck = np.sqrt(0.5) * (draw(rng, (n_sweeps, 1, n)) + draw(rng, (n_sweeps, arms, n)))
    more = (luck + np.array([0.0, gain, 0.0, 0.0])[:, None])[..., None]
    waver = rng.normal(0, 0.002, (2, n_sweeps, arms, n, len(EPOCHS)))
    accuracy = 0.97 - 0.5 * np.exp(-EPOCHS / 2) + waver[0]
    accuracy = np.round(accuracy * N_VALIDATION) / N_VALIDATION
    trained = accuracy - waver[0] + (0.01 + 0.004 * more) * EPOCHS / EPOCHS[-1] + waver[1]
    loss = 0.1 + np.exp(-EPOCHS / 2) + 0.002 * (1 + 0.4 * more) * np.maximum(0, EPOCHS - 6)
    loss = loss + rng.normal(0, 0.002, loss.shape)
    names = [f"{k}.{arm}" for k in range(n_sweeps) for arm in ARMS]
    ids = [f"{name}.{seed}" for name in names for seed in range(n)]
    curves = pd.DataFrame(
        {
            "trial_id": np.repeat(ids, len(EPOCHS)),
            "step": np.tile(EPOCHS, len(ids)).astype(int),
            "epoch": np.tile(EPOCHS, len(ids)),
            "val_accuracy": accuracy.ravel(),
            "train_accuracy": trained.ravel(),
            "val_loss": loss.ravel(),
            "train_loss": 0.05,
        }
    )
    chosen = np.arange(len(ids)) * len(EPOCHS) + loss.reshape(len(ids), -1).argmin(axis=1)
    at = curves.loc[chosen].reset_index(drop=True)
    trials = pd.DataFrame(
        {
            "trial_id": ids,
            "arm": np.repeat(names, n),
            "seed": np.tile(np.arange(n), len(names)),
            "stage": "arm",
            "status": "done",
            "test_accuracy": at["val_accuracy"],
            "n_validation": N_VALIDATION,
            **{f"best_{name}": at[name] for name in ("val_accuracy", "train_accuracy")},
            **{f"best_{name}": at[name] for name in ("val_loss", "train_loss")},
        }
    )
    return with_quantities(trials, curves, "test_accuracy", ACCURACY), curves


def sweeps(
    n: int, gain: float, noise: str, n_sweeps: int, rng: np.random.Generator
) -> Iterator[list[Comparison]]:
    """The comparisons of each sweep."""
    for first in range(0, n_sweeps, BATCH):
        size = min(BATCH, n_sweeps - first)
        pairs = [Pair(f"{k}.{arm}", f"{k}.control") for k in range(size) for arm in ARMS[1:]]
        trials, curves = simulate(n, gain, noise, rng, size)
        contrasts = build_contrasts(trials, curves, pairs, (), OVERFITTING)
        each = len(contrasts) // size
        for k in range(size):
            yield compare_contrasts(contrasts[k * each : (k + 1) * each], None)


def true_differences(gain: float, noise: str) -> dict[str, float]:
    """Of the first arm against the control, from many seeds of one sweep."""
    if not gain:
        return dict.fromkeys(OVERFITTING, 0.0)
    trials, _ = simulate(OF_TRUTH, gain, noise, np.random.default_rng(0), 1)
    means = trials.groupby("arm")[list(OVERFITTING)].mean()
    return dict(means.loc["0.one"] - means.loc["0.control"])


def measure(n: int, gain: float, noise: str, n_sweeps: int, rng: np.random.Generator) -> np.ndarray:
    """Shares (4,): anything shown, the first arm shown, held alone, held together."""
    truth = true_differences(gain, noise)
    counts = np.zeros(4)
    for rows in sweeps(n, gain, noise, n_sweeps, rng):
        own = [row for row in rows if row.treatment.endswith(".one")]
        counts[0] += any_shown(rows, "overfitting")
        counts[1] += any_shown(own, "overfitting")
        counts[2] += np.mean([row.low <= truth[row.metric] <= row.high for row in own])
        counts[3] += np.mean(
            [row.low_question <= truth[row.metric] <= row.high_question for row in own]
        )
    return counts / n_sweeps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=1_000, help="for each row of the table")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    print("| seeds | noise | truth | anything shown | the arm shown | held alone | held for all |")
    print("|---|---|---|---|---|---|---|")
    for n in SIZES:
        for noise in NOISES:
            for gain in GAINS:
                shares = measure(n, gain, noise, given.sweeps, rng)
                text = " | ".join(f"{share:.3f}" for share in shares)
                print(f"| {n} | {noise} | {gain:+g} SD | {text} |", flush=True)


if __name__ == "__main__":
    main()
