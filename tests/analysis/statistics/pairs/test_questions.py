"""Two questions: what a row's test is worth in its own, in a part of it, and in the strict form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.pairs.questions import Among, Errors, RowTest, judge
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.samples.significance import holm


def paired(question: str, scores: np.ndarray, seeds: np.ndarray | None = None) -> RowTest:
    found = stats.ttest_1samp(scores, 0)
    n = len(scores)
    seeds = np.arange(n) if seeds is None else seeds
    return RowTest(question, float(found.statistic), n - 1.0, float(found.pvalue), seeds, scores)


def lone(question: str, t: float, df: float = 9.0) -> RowTest:
    return RowTest(question, t, df, 2 * float(stats.t.sf(abs(t), df)))


def test_rows_whose_seeds_do_not_pair_are_holms() -> None:
    tests = [lone("final", t) for t in (2.1, 3.5, -2.6, 0.3)]
    found = judge(tests)
    assert [a.p for a in found] == pytest.approx(holm(np.array([t.p for t in tests])))


def test_one_question_costs_the_other_nothing() -> None:
    scores = np.random.default_rng(1).normal(0.8, 1, 6)
    alone = judge([paired("final", scores)])[0]
    many = [paired("way", np.random.default_rng(k).normal(0, 1, 6)) for k in range(9)]
    assert judge([paired("final", scores), *many])[0] == alone
    assert alone.p == pytest.approx(stats.ttest_1samp(scores, 0).pvalue)
    assert alone.c == pytest.approx(student_quantile(5, 0.95))


def test_what_is_not_tested_costs_nothing() -> None:
    scores = np.random.default_rng(1).normal(0.8, 1, (6, 2))
    two = [paired("way", column) for column in scores.T]
    untested = RowTest("way", math.nan, math.nan, math.nan)
    found = judge([*two, untested, untested])
    assert found[:2] == judge(two)
    assert math.isnan(found[2].p)
    assert judge([]) == []


def test_other_seeds_are_another_block_with_its_part() -> None:
    """Two rows of six seeds, and one that lacks a seed: 2/3 and 1/3 of 5 %."""
    draw = np.random.default_rng(3)
    block = [paired("final", draw.normal(0.3, 1, 6)) for _ in range(2)]
    other = paired("final", draw.normal(0.3, 1, 5), np.array([0, 1, 2, 4, 5]))
    inside = judge(block)
    found = judge([*block, other])
    assert [a.p for a in found[:2]] == pytest.approx([min(1.0, 1.5 * a.p) for a in inside])
    assert found[2].p == pytest.approx(min(1.0, 3 * other.p))
    assert found[2].c == pytest.approx(student_quantile(4, 1 - 0.05 / 3))


def test_the_strict_form_halves_and_hands_on() -> None:
    final, way = lone("final", 4.0), lone("way", 2.4)
    loose = judge([final, way])
    strict = judge([final, way], "report")
    assert strict[0].p == pytest.approx(2 * loose[0].p)
    assert strict[1].p == pytest.approx(loose[1].p)  # all of the other question is shown
    assert strict[1].c == pytest.approx(student_quantile(9, 0.95))
    nothing = judge([lone("final", 1.0), way], "report")
    assert nothing[1].p == pytest.approx(2 * loose[1].p)
    assert nothing[1].c == pytest.approx(student_quantile(9, 0.975))


@pytest.mark.parametrize("errors", ["question", "report"])
def test_an_interval_excludes_no_difference_exactly_where_its_row_is_shown(errors: Errors) -> None:
    draw = np.random.default_rng(4)
    n_shown = 0
    for _ in range(60):
        n = int(draw.integers(3, 12))
        base = draw.normal(0, 1, (n, 1))
        shift = draw.choice([0.0, 1.0, 2.5], 6)
        scores = shift + 0.7 * base + draw.normal(0, 0.7, (n, 6))
        tests = [paired("final", scores[:, k]) for k in range(2)]
        tests += [paired("way", scores[:, k]) for k in range(2, 5)]
        tests.append(paired("way", scores[1:, 5], np.arange(1, n)) if n > 3 else lone("way", 2.9))
        for test, among in zip(tests, judge(tests, errors), strict=True):
            assert (abs(test.t) > among.c) == (among.p <= 0.05)
            assert among.p >= test.p
            n_shown += among.p <= 0.05
    assert 40 < n_shown < 320


def test_a_row_shown_after_others_has_the_factor_of_its_own_step() -> None:
    """A clear row goes first; the second is judged among those that are left."""
    draw = np.random.default_rng(11)
    apart = np.linalg.qr(draw.normal(0, 1, (7, 3)) - 0.0)[0]
    clear, second, third = 5 + apart[:, 0], apart[:, 1], apart[:, 2]
    second = second - second.mean() + 1.18 * second.std(ddof=1)
    found = judge([paired("final", s) for s in (clear, second, third)])
    assert isinstance(found[1], Among)
    assert found[0].p <= found[1].p
    assert found[1].p <= 0.05
    assert found[1].c < found[0].c
