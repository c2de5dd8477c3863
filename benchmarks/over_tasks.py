"""One test of all tasks together, and what it costs the comparisons of single tasks.

    python -m benchmarks.over_tasks [--sweeps N] [--seed N]

Final accuracy of `TASKS` tasks with the same seeds, straight from scores, judged as a report does
(`compare_tasks`). Columns: anything of the question shown that is not true; the row of
all tasks shown; some task shown; a task that differs shown; the same without a row of all tasks.
alike: the correlation of the tasks' differences over seeds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np

from analysis.statistics.pairs.compare import compare_tasks
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.metrics import metric_of
from analysis.statistics.pairs.questions import ALPHA, RowTest, judge
from analysis.statistics.samples.pairing import Pair

TASKS = 4
TRUTHS = {
    "nothing differs": (0.0,) * TASKS,
    "+1 SD in each": (1.0,) * TASKS,
    "+2 SD in one": (2.0,) + (0.0,) * (TASKS - 1),
    "+2 SD in two, -2 SD in two": (2.0, 2.0, -2.0, -2.0),
}


def contrasts(
    n: int, n_pairs: int, truth: Sequence[float], alike: float, rng: np.random.Generator
) -> list[Contrast]:
    """Of each task and pair; the first pair alone differs."""
    own = rng.standard_normal((TASKS, n_pairs, n))
    common = rng.standard_normal((1, n_pairs, n))
    d = 0.004 * (math.sqrt(1 - alike) * own + math.sqrt(alike) * common)
    d[:, 0] += 0.004 * np.asarray(truth)[:, None]
    steps, seeds = np.zeros(n), np.arange(n)
    return [
        Contrast(
            str(task), Pair(f"arm {p}", "control"), metric_of("test_accuracy"), math.nan,
            d[task, p], np.zeros(n), True, (steps, steps), seeds=seeds,
        )
        for task in range(TASKS)
        for p in range(n_pairs)
    ]  # fmt: skip


def outcome(rows: Sequence[Contrast], truth: Sequence[float]) -> np.ndarray:
    """(5,) the columns of the table, of one report."""
    compared = compare_tasks(rows, None)
    differs = [truth[int(c.task)] != 0 and c.treatment == "arm 0" for c in compared.comparisons]
    shown = np.array([c.p_question <= ALPHA for c in compared.comparisons])
    over = np.array([row.p_question <= ALPHA for row in compared.together])
    true_over = np.array([any(truth) and r.treatment == "arm 0" for r in compared.together])
    tests = [
        RowTest("final", c.t, row.n - 1.0, c.p_value, row.seeds, row.scores[0] - row.scores[1])
        for c, row in zip(compared.comparisons, rows, strict=True)
    ]
    without = np.array([a.p <= ALPHA for a in judge(tests)])
    is_true = np.array(differs)
    false = (shown & ~is_true).any() or (over & ~true_over).any()
    share, before = (x[is_true].mean() if is_true.any() else math.nan for x in (shown, without))
    return np.array([false, over[0], shown.any(), share, before])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=1_000, help="for each row of the table")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    print("| seeds | pairs | alike | truth | false | all tasks | some task | its task | without |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n, n_pairs in ((5, 1), (5, 3), (10, 1)):
        for words, truth in TRUTHS.items():
            for alike in (0.0, 0.3) if not any(truth) else (0.0,):
                total = np.zeros(5)
                for _ in range(given.sweeps):
                    total += outcome(contrasts(n, n_pairs, truth, alike, rng), truth)
                shares = " | ".join(f"{v:.3f}" for v in total / given.sweeps)
                print(f"| {n} | {n_pairs} | {alike:g} | {words} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
