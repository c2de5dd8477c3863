"""How often verdicts are wrong, how often they see what is there, and whether intervals agree.

    python -m benchmarks.verdicts [--sweeps N] [--seed N] [--only errors|power|single|further]

Sweeps are simulated whole: three arms against a control, test accuracy, the area under the curve
and four targets (18 rows), curves that rise, level off and waver, half of each seed's luck shared
by its arms. Everything goes through `compare`. Tables:

errors: nothing differs. The share of sweeps with anything shown, for each question; the share with
    an arm called equivalent though all differ by the margin; and how many of all intervals
    contradict their p-values (none may).
power: a true difference of accuracy in SDs of paired differences, or arms 1.3 times as fast.
single: final accuracy alone, straight from scores, with more sweeps: the error where nothing
    differs, and how often the three simultaneous intervals hold the truth together.
further: nothing differs, and one trial in ten of every arm diverges. The share of sweeps with
    anything shown for stability (spread, noise within a run, runs that broke), and for
    overfitting (both gaps).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.findings.quantities import with_quantities
from analysis.measures.pairs.contrasts import build_contrasts
from analysis.statistics.pairs.compare import compare_contrasts
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.metrics import OVERFITTING, STABILITY
from analysis.statistics.pairs.questions import RowTest, judge
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.significance import holm
from analysis.statistics.times.course import ACCURACY

ARMS = ("control", "one", "two", "three")
BATCH = 50
TARGETS = (0.8, 0.9, 0.95, 0.97)
STEPS = 50 * np.arange(1, 31)
SD = 0.004  # of final accuracies over seeds; half of the variance is a seed's own
SIZES = (5, 10, 20)
SINGLE_SIZES = (3, 5, 7, 8, 10, 20)
FURTHER_SIZES = (5, 10)
BROKEN = 0.1  # of the trials of every arm, where stability is asked of
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


def simulate(
    n: int, truth: Truth, rng: np.random.Generator, n_sweeps: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials and curves of many sweeps with `n` seeds; arm `one` of sweep 7 is called `7.one`."""
    noise = NOISES[truth.noise]
    arms = len(ARMS)
    shared, own = (n_sweeps, 1, n), (n_sweeps, arms, n)
    luck = np.sqrt(0.5) * (noise(rng, shared) + noise(rng, own))
    pace_luck = np.sqrt(0.5) * (noise(rng, shared) + noise(rng, own))
    gain = SD * np.array([0.0, *truth.gains])[:, None]  # SD of differences is SD: 2 · ½
    top = 0.98 + gain + SD * luck
    pace = 220 * np.exp(0.25 * pace_luck) / np.array([1.0, *truth.faster])[:, None]
    accuracy = top[..., None] - (top[..., None] - 0.1) * np.exp(-STEPS / pace[..., None])
    accuracy = np.round(accuracy + rng.normal(0, 0.001, accuracy.shape), 4)
    tested = np.clip(np.round(top * truth.n_test) / truth.n_test, 0, 1)
    names = [f"{k}.{arm}" for k in range(n_sweeps) for arm in ARMS]
    ids = [f"{name}.{seed}" for name in names for seed in range(n)]
    trials = pd.DataFrame(
        {
            "trial_id": ids,
            "arm": np.repeat(names, n),
            "seed": np.tile(np.arange(n), len(names)),
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
    """The comparisons of each sweep; the contrasts of many are built at once, which is quicker."""
    for first in range(0, n_sweeps, BATCH):
        size = min(BATCH, n_sweeps - first)
        pairs = [Pair(f"{k}.{arm}", f"{k}.control") for k in range(size) for arm in ARMS[1:]]
        contrasts = build_contrasts(*simulate(n, truth, rng, size), pairs, TARGETS)
        each = len(contrasts) // size
        for k in range(size):
            yield compare_contrasts(contrasts[k * each : (k + 1) * each], margin)


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
            found = np.zeros(4)
            for rows in sweeps(n, Truth(noise=name), n_sweeps, rng):
                found[0] += any_shown(rows, "final")
                found[1] += any_shown(rows, "way")
                found[3] += contradictions(rows)
            at_margin = Truth(gains=(2.0, 2.0, 2.0), noise=name)
            for rows in sweeps(n, at_margin, n_sweeps, rng, 2.0 * SD):
                found[2] += any(row.verdict == "equivalent" for row in rows)
                found[3] += contradictions(rows)
            shares = " | ".join(f"{v:.3f}" for v in found[:3] / n_sweeps)
            print(f"| {n} | {name} | {shares} | {found[3]:.0f} |", flush=True)


def power(n_sweeps: int, rng: np.random.Generator) -> None:
    """Of a row that is true: alone, among its question, by Holm over all 18 rows of before."""
    print("\n| seeds | truth | shown | alone | among its question | by Holm over all rows |")
    print("|---|---|---|---|---|---|")
    for n, gain in ((5, 0.5), (5, 1.0), (5, 2.0), (10, 0.5), (10, 1.0)):
        for truth, words in (
            (Truth(gains=(gain, gain, gain)), "all three arms"),
            (Truth(gains=(gain, 0.0, 0.0)), "one arm"),
        ):
            found = np.zeros(3)
            for rows in sweeps(n, truth, n_sweeps, rng):
                found += _shown(rows, lambda row: row.metric == "test_accuracy", truth.gains)
            print(_power_row(n, f"accuracy +{gain:g} SD, {words}", "its row", found / n_sweeps))
    for n in (5, 10):
        truth = Truth(faster=(1.3, 1.3, 1.3))
        found, hardest = np.zeros(3), np.zeros(3)
        for rows in sweeps(n, truth, n_sweeps, rng):
            found += _shown(rows, lambda row: row.is_time, truth.faster, any_of=True)
            hardest += _shown(rows, lambda row: row.target == TARGETS[-1], truth.faster)
        what = "1.3× as fast, all three arms"
        print(_power_row(n, what, "any target", found / n_sweeps))
        print(_power_row(n, what, "hardest target", hardest / n_sweeps), flush=True)


def _shown(
    rows: Sequence[Comparison],
    chosen: Callable[[Comparison], bool],
    truth: Sequence[float],
    any_of: bool = False,
) -> np.ndarray:
    """Share of the chosen rows of arms that differ (or: whether any) shown in the three ways."""
    of_all = holm(np.array([row.p_value for row in rows]))
    differs = [arm for arm, size in zip(ARMS[1:], truth, strict=True) if size]
    table = np.array(
        [
            (row.p_value <= 0.05, row.p_question <= 0.05, p <= 0.05)
            for row, p in zip(rows, of_all, strict=True)
            if chosen(row) and row.treatment.split(".")[1] in differs
        ]
    )
    return table.any(axis=0) if any_of else table.mean(axis=0)


def _power_row(n: int, truth: str, shown: str, shares: np.ndarray) -> str:
    return f"| {n} | {truth} | {shown} | {' | '.join(f'{v:.2f}' for v in shares)} |"


def single(n_sweeps: int, rng: np.random.Generator) -> None:
    """Three accuracies against one control, straight from scores: no tables, many sweeps.

    held: all three simultaneous intervals hold the truth, under the truth of that column.
    """
    print(
        "\n| seeds | noise | error, nothing differs | held, nothing differs | held, +1, +2, +4 SD |"
    )
    print("|---|---|---|---|---|")
    for n in SINGLE_SIZES:
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


def further(n_sweeps: int, rng: np.random.Generator) -> None:
    print("\n| seeds | noise | stability | overfitting |")
    print("|---|---|---|---|")
    questions = ("stability", "overfitting")
    for n in FURTHER_SIZES:
        for name in NOISES:
            counts = np.zeros(2)
            for first in range(0, n_sweeps, BATCH):
                size = min(BATCH, n_sweeps - first)
                for rows in _further_rows(n, name, size, rng):
                    counts += [any_shown(rows, question) for question in questions]
            print(
                f"| {n} | {name} | {' | '.join(f'{v:.3f}' for v in counts / n_sweeps)} |",
                flush=True,
            )


def _further_rows(
    n: int, noise: str, size: int, rng: np.random.Generator
) -> Iterator[list[Comparison]]:
    """Of each of `size` sweeps the comparisons of the two further questions."""
    trials, curves = simulate(n, Truth(noise=noise), rng, size)
    curves = curves.assign(train_loss=0.1, val_loss=0.1)
    trials = trials.assign(
        stage="arm",
        n_classes=10,
        best_val_accuracy=trials["test_accuracy"],
        best_val_loss=0.1,
        best_train_accuracy=trials["test_accuracy"] + rng.normal(0.01, 0.003, len(trials)),
        best_train_loss=rng.normal(0.08, 0.01, len(trials)),
    )
    broken = rng.random(len(trials)) < BROKEN
    trials.loc[broken, "status"] = "diverged"
    trials.loc[broken, ["test_accuracy", "best_train_accuracy"]] = np.nan
    trials = with_quantities(trials, curves, "test_accuracy", ACCURACY)
    pairs = [Pair(f"{k}.{arm}", f"{k}.control") for k in range(size) for arm in ARMS[1:]]
    contrasts = build_contrasts(trials, curves, pairs, (), (*STABILITY, *OVERFITTING))
    for k in range(size):
        own = [c for c in contrasts if c.pair.control == f"{k}.control"]
        yield compare_contrasts(own, None)


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
    parser.add_argument("--only", choices=("errors", "power", "single", "further"))
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    print(f"{given.sweeps:,} sweeps a row ({5 * given.sweeps:,} of scores alone).")
    if given.only in (None, "errors"):
        errors(given.sweeps, rng)
    if given.only in (None, "power"):
        power(given.sweeps, rng)
    if given.only in (None, "single"):
        single(5 * given.sweeps, rng)
    if given.only in (None, "further"):
        further(given.sweeps, rng)


if __name__ == "__main__":
    main()
