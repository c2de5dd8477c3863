"""How often verdicts are wrong, how often they see what is there, and whether intervals agree.

    python -m benchmarks.verdicts [--sweeps N] [--seed N] [--only errors|power|agree|single]

Sweeps are simulated whole: three arms against a control, test accuracy, the area under the curve
and four targets (18 rows), curves that rise, level off and waver, half of each seed's luck shared
by its arms. Everything goes through `compare_all`. Tables:

errors: nothing differs. The share of sweeps with anything shown, for each question; with any two
    arms called equivalent though they differ by the margin; and the share of sweeps in which all
    simultaneous intervals of a question hold the truth (accuracy also with three true differences).
power: a true difference of accuracy in SDs of paired differences (shown for that arm), or arms that
    are 1.3 times as fast (any target shown).
agree: how many intervals contradict their p-values (none may).
single: the error of final accuracy alone, straight from normal scores, with more sweeps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.pairs.compare import compare_all
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.questions import RowTest, judge
from analysis.statistics.samples.pairing import Pair

ARMS = ("control", "one", "two", "three")
PAIRS = [Pair(arm, "control") for arm in ARMS[1:]]
TARGETS = (0.8, 0.9, 0.95, 0.97)
STEPS = 50 * np.arange(1, 31)
SD = 0.004  # of final accuracies over seeds; half of the variance is a seed's own
SIZES = (3, 5, 7, 8, 10, 20)
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
NOISES: dict[str, Noise] = {  # mean 0, variance 1
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "skewed": lambda rng, shape: (2 - rng.gamma(2, 1, shape)) / np.sqrt(2),
    "t₃": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
}


@dataclass(frozen=True)
class Truth:
    """What differs: of each treatment, its gain in accuracy in SDs of differences, and its pace."""

    gains: tuple[float, ...] = (0.0, 0.0, 0.0)
    faster: tuple[float, ...] = (1.0, 1.0, 1.0)
    noise: str = "normal"
    n_test: int = 10_000


def simulate(n: int, truth: Truth, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials and curves of one sweep with `n` seeds."""
    noise = NOISES[truth.noise]
    arms = len(ARMS)
    luck = np.sqrt(0.5) * (noise(rng, (1, n)) + noise(rng, (arms, n)))
    pace_luck = np.sqrt(0.5) * (noise(rng, (1, n)) + noise(rng, (arms, n)))
    gain = SD * np.array([0.0, *truth.gains])[:, None]  # SD of differences is SD: 2 · ½
    top = 0.98 + gain + SD * luck
    pace = 220 * np.exp(0.25 * pace_luck) / np.array([1.0, *truth.faster])[:, None]
    accuracy = top[..., None] - (top[..., None] - 0.1) * np.exp(-STEPS / pace[..., None])
    accuracy = np.round(accuracy + rng.normal(0, 0.001, accuracy.shape), 4)
    tested = np.clip(np.round(top * truth.n_test) / truth.n_test, 0, 1)
    ids = [f"{arm}{seed}" for arm in ARMS for seed in range(n)]
    trials = pd.DataFrame(
        {
            "trial_id": ids,
            "arm": np.repeat(ARMS, n),
            "seed": np.tile(np.arange(n), arms),
            "status": "done",
            "test_accuracy": tested.ravel(),
            "n_test": truth.n_test,
        }
    )
    curves = pd.DataFrame(
        {
            "trial_id": np.repeat(ids, len(STEPS)),
            "step": np.tile(STEPS, len(ids)),
            "val_accuracy": accuracy.ravel(),
        }
    )
    return trials, curves


def sweeps(
    n: int, truth: Truth, n_sweeps: int, rng: np.random.Generator, margin: float | None = None
) -> Iterator[list[Comparison]]:
    for _ in range(n_sweeps):
        yield compare_all(*simulate(n, truth, rng), PAIRS, TARGETS, margin)


def any_shown(rows: Sequence[Comparison], question: str) -> bool:
    return any(row.question == question and row.p_question <= 0.05 for row in rows)


def contradictions(rows: Sequence[Comparison]) -> int:
    """Intervals that exclude no difference where their p does not, or the other way round."""
    n = 0
    for row in rows:
        nothing = 1.0 if row.is_time else 0.0
        for p, low, high in (
            (row.p_value, row.low, row.high),
            (row.p_question, row.low_question, row.high_question),
        ):
            if not np.isnan(p):
                n += (not low <= nothing <= high) != (p <= 0.05)
    return n


def errors(n_sweeps: int, rng: np.random.Generator) -> None:
    print("\n| seeds | noise | accuracy | the way there | false equivalence | disagree |")
    print("|---|---|---|---|---|---|")
    for n in SIZES:
        for name in NOISES:
            margin = 2.0 * SD
            found = np.zeros(4)
            for rows in sweeps(n, Truth(noise=name), n_sweeps, rng):
                found[0] += any_shown(rows, "final")
                found[1] += any_shown(rows, "way")
                found[3] += contradictions(rows)
            at_margin = Truth(gains=(2.0, 2.0, 2.0), noise=name)
            for rows in sweeps(n, at_margin, n_sweeps, rng, margin):
                found[2] += any(row.verdict == "equivalent" for row in rows)
                found[3] += contradictions(rows)
            shares = found[:3] / n_sweeps
            print(f"| {n} | {name} | {' | '.join(f'{v:.3f}' for v in shares)} | {found[3]:.0f} |")


def power(n_sweeps: int, rng: np.random.Generator) -> None:
    print("\n| seeds | truth | alone | among its question | by Holm over all 18 rows |")
    print("|---|---|---|---|---|")
    for n, gain in ((5, 0.5), (5, 1.0), (5, 2.0), (10, 0.5), (10, 1.0)):
        found = np.zeros(3)
        for rows in sweeps(n, Truth(gains=(gain, 0.0, 0.0)), n_sweeps, rng):
            row = next(r for r in rows if r.metric == "test_accuracy" and r.treatment == "one")
            found += [row.p_value <= 0.05, row.state == "shown", row.p_value <= 0.05 / 18]
        print(_power_row(n, f"accuracy +{gain:g} SD", found / n_sweeps), flush=True)
    for n in (5, 10):
        found = np.zeros(3)
        for rows in sweeps(n, Truth(faster=(1.3, 1.0, 1.0)), n_sweeps, rng):
            times = [row for row in rows if row.is_time and row.treatment == "one"]
            best = min(row.p_value for row in times)
            shown = any(row.state == "shown" for row in times)
            found += [best <= 0.05, shown, best <= 0.05 / 18]
        print(_power_row(n, "1.3× as fast, any target", found / n_sweeps), flush=True)


def _power_row(n: int, truth: str, shares: np.ndarray) -> str:
    return f"| {n} | {truth} | {' | '.join(f'{v:.2f}' for v in shares)} |"


def single(n_sweeps: int, rng: np.random.Generator) -> None:
    """Three accuracies against one control, straight from scores: no tables, many sweeps.

    held: all three simultaneous intervals hold the truth, under the truth of that column.
    """
    print(
        "\n| seeds | noise | error, nothing differs | held, nothing differs | held, +1, +2, +4 SD |"
    )
    print("|---|---|---|---|---|")
    for n in SIZES:
        for name, noise in NOISES.items():
            found = np.zeros(3)
            for _ in range(n_sweeps):
                scores = noise(rng, (n, 4))
                null = scores[:, 1:] - scores[:, :1]
                shown, held = _judged(null, np.zeros(3))
                truth = np.sqrt(2) * np.array([1.0, 2.0, 4.0])
                found += [shown, held, _judged(null + truth, truth)[1]]
            shares = found / n_sweeps
            print(f"| {n} | {name} | {' | '.join(f'{v:.4f}' for v in shares)} |", flush=True)


def _judged(scores: np.ndarray, truth: np.ndarray) -> tuple[bool, bool]:
    n, k = scores.shape
    mean, error = scores.mean(axis=0), scores.std(axis=0, ddof=1) / np.sqrt(n)
    t = mean / error
    p = 2 * stats.t.sf(np.abs(t), n - 1)
    seeds = np.arange(n)
    tests = [RowTest("final", t[i], n - 1.0, p[i], seeds, scores[:, i]) for i in range(k)]
    among = judge(tests)
    factor = np.array([a.c for a in among])
    held = bool((np.abs(mean - truth) <= factor * error).all())
    return min(a.p for a in among) <= 0.05, held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=1_000, help="for each row of a table")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("errors", "power", "single"))
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    print(f"{given.sweeps:,} sweeps a row ({10 * given.sweeps:,} for single scores).")
    if given.only in (None, "errors"):
        errors(given.sweeps, rng)
    if given.only in (None, "power"):
        power(given.sweeps, rng)
    if given.only in (None, "single"):
        single(10 * given.sweeps, rng)


if __name__ == "__main__":
    main()
