"""Stouffer's test over tasks: by hand, against scipy, its error and its power, what is left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.pairs.compare import compare_tasks
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.looks import Stopping
from analysis.statistics.pairs.metrics import metric_of
from analysis.statistics.pairs.over_tasks import stouffer, together
from analysis.statistics.samples.pairing import Pair
from headstart.settings import LOOKS


def contrast(task: str, d: np.ndarray, **more: object) -> Contrast:
    steps = np.zeros(len(d))
    return Contrast(
        task, Pair("t", "c"), metric_of("test_accuracy"), math.nan, np.asarray(d, dtype=float),
        np.zeros(len(d)), True, (steps, steps), **more,
    )  # fmt: skip


def test_by_hand_and_against_scipy() -> None:
    """t 2.776 and -1 at 4 degrees of freedom: one-sided .975 and .187, normal 1.96 and -0.89."""
    z, p = stouffer([2.776445, -1.0], [4, 4])
    second = stats.norm.ppf(stats.t.cdf(-1.0, 4))
    assert z == pytest.approx((1.959964 + second) / math.sqrt(2), abs=1e-5)
    one_sided = [stats.t.sf(t, 4) for t in (2.776445, -1.0)]
    reference = stats.combine_pvalues(one_sided, "stouffer")
    assert z == pytest.approx(reference.statistic)
    assert p == pytest.approx(2 * min(reference.pvalue, 1 - reference.pvalue))


def test_it_is_the_paired_t_of_each_task() -> None:
    draw = np.random.default_rng(1)
    tables = [draw.normal(0.5, 1, n) for n in (5, 8, 12)]
    found = together([contrast(str(k), d) for k, d in enumerate(tables)])
    assert found is not None
    t = [stats.ttest_1samp(d, 0).statistic for d in tables]
    assert (found.z, found.p_value) == pytest.approx(stouffer(t, [4, 7, 11]))
    assert (found.n_tasks, found.n_better) == (3, sum(value > 0 for value in t))


def test_errors_are_those_of_the_comparisons() -> None:
    d = np.array([0.02, 0.01, 0.03, 0.02, 0.01])
    plain = together([contrast("a", d), contrast("b", d)])
    pooled = together([contrast("a", d, overlap=0.25), contrast("b", d, overlap=0.25)])
    looks = together([contrast("a", d), contrast("b", d)], Stopping(looks=LOOKS))
    assert plain is not None
    assert pooled is not None
    assert looks is not None
    t = stats.ttest_1samp(d, 0).statistic
    assert pooled.z == pytest.approx(stouffer([t / 1.5, t / 1.5], [4, 4])[0])
    assert looks.z < plain.z


def test_one_task_or_one_pair_is_no_sum() -> None:
    d = np.array([0.1, 0.2, 0.3])
    assert together([contrast("a", d)]) is None
    assert together([contrast("a", d), contrast("b", d[:1])]) is None


def test_endless_t_stays_finite() -> None:
    z, p = stouffer([math.inf, -math.inf, 3.0], [4, 4, 4])
    assert 0 < z < 2
    assert 0 < p < 1


def test_equal_arms_and_one_sd_over_four_tasks() -> None:
    """False in 5 % within three standard errors; shown in over 95 % at +1 SD and 5 seeds."""
    draw = np.random.default_rng(3)
    shares = []
    for effect in (0.0, 1.0):
        d = draw.normal(effect, 1, (1000, 4, 5))
        t = d.mean(axis=2) / d.std(axis=2, ddof=1) * math.sqrt(5)
        shares.append(np.mean([stouffer(row, [4] * 4)[1] <= 0.05 for row in t]))
    assert shares[0] == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 1000))
    assert shares[1] > 0.95


def shared(task: str, d: np.ndarray) -> Contrast:
    return contrast(task, d, seeds=np.arange(len(d)))


def test_tasks_that_share_their_luck_count_for_less() -> None:
    """Two tasks with the same differences are one: r is 1 and Z the normal value of one t."""
    d = np.array([0.02, 0.01, 0.03, 0.02, 0.01])
    alike = together([shared("a", d), shared("b", 2 * d)])
    opposite = together([shared("a", d), shared("b", 0.04 - d)])
    assert alike is not None
    assert opposite is not None
    t = stats.ttest_1samp(d, 0).statistic
    assert alike.likeness == pytest.approx(1)
    assert alike.z == pytest.approx(stouffer([t], [4])[0])
    assert opposite.likeness == 0  # never below: the sum is not worth more


def test_it_shares_the_error_of_its_question() -> None:
    """Half of the 5 % is for the row of all tasks, half for single ones; what is shown passes."""
    draw = np.random.default_rng(5)
    tables = [draw.normal(1.5, 1, 5) for _ in range(4)]
    compared = compare_tasks([shared(str(k), d) for k, d in enumerate(tables)], None)
    (row,) = compared.together
    assert row.p_question == pytest.approx(2 * row.p_value)
    assert row.verdict == "better"
    without = compare_tasks([shared("0", d) for d in tables], None)  # one task: no such row
    assert without.together == []
    p = [c.p_question for c in compared.comparisons]
    alone = [c.p_question for c in without.comparisons]
    assert p == pytest.approx([min(2 * q, max(q, row.p_question)) for q in alone])


def test_a_pair_that_one_task_lacks_has_no_row_over_all() -> None:
    d = np.array([0.02, 0.01, 0.03, 0.02, 0.01])
    other = replace(shared("b", d), pair=Pair("u", "c"))
    assert compare_tasks([shared("a", d), other], None).together == []


def test_its_interval_is_what_the_test_does_not_reject() -> None:
    """Two tasks of equal spread: the common difference is the mean; at both ends p is 0.05."""
    d = np.array([0.02, 0.01, 0.03, 0.02, 0.01])
    tasks = [d, d + 0.01]
    row = together([contrast(str(k), task) for k, task in enumerate(tasks)])
    assert row is not None
    assert row.estimate == pytest.approx(np.mean(tasks))
    for end in (row.low, row.high):
        moved = together([contrast(str(k), task - end) for k, task in enumerate(tasks)])
        assert moved is not None
        assert moved.p_value == pytest.approx(0.05, abs=1e-6)
    assert (row.low > 0) == (row.p_value < 0.05)
    failed = together([contrast(str(k), task, failed=(1, 2)) for k, task in enumerate(tasks)])
    assert failed is not None
    assert failed.n_failed == 6
