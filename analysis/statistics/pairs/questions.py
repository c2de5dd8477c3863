"""The questions of a report, and what each row's test is worth among the rows of its question.

In: the test of each row by itself. Out: for each row its p among the rows of its question, and the
factor c of `estimate ± c · error` that holds for all of them together. It stands alone because how
often a report may be wrong is decided here and nowhere else.

Two questions are declared: *final accuracy*, and *the way there* (the mean accuracy over training
and every target that somebody reached). Each may be wrong in 5 % of reports in which nothing
differs. Inside a question, rows that have the same seeds form a block, judged by step-down max-|t|;
blocks, and rows whose seeds do not pair, are joined by Holm's argument (`recycling`). c excludes no
difference exactly where the p among the question is at most 5 %. Of several tasks, the rows of all
tasks together are a block of their own with half of the question's 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from analysis import words
from analysis.statistics.samples.arrays import Floats, Ints
from analysis.statistics.samples.max_t import FEWEST, MaxT, max_t
from analysis.statistics.samples.recycling import levels, recycle
from analysis.statistics.samples.resampling import student_quantile
from analysis.statistics.samples.significance import holm

ALPHA = words.ALPHA
Question = Literal["final", "way", "stability", "overfitting", "outside"]
QUESTION_WORDS: dict[str, str] = {
    "final": "final accuracy",
    "way": "the way there",
    "stability": "stability",
    "overfitting": "overfitting",
    "outside": "accuracy on further test sets",
}
Errors = Literal["question", "report"]  # what may be wrong in 5 %: each question, or the report
MOST_BLOCKS = 100  # beyond, 9,999 draws are too few for a block's part of 5 %


@dataclass(frozen=True)
class RowTest:
    """One row by itself. t, df, p: of its t-test. seeds: of its pairs, in the order of `scores`
    (n,), none where arms do not pair; least: the variance below which theirs is never taken.
    over_tasks: a row of all tasks together, whose t is a normal z; it has no interval."""

    question: str
    t: float
    df: float
    p: float
    seeds: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    scores: Floats = field(default_factory=lambda: np.empty(0))
    least: float = 0.0
    over_tasks: bool = False


@dataclass(frozen=True)
class Among:
    """What a test is worth among those of its question: the p, and the c of its interval."""

    p: float
    c: float


NOT_TESTED = Among(math.nan, math.nan)


def judge(tests: Sequence[RowTest], errors: Errors = "question") -> list[Among]:
    """Each test among those of its question. A test whose p is NaN is none, and costs nothing.

    Args:
        errors: `question`: 5 % for each question. `report`: 5 % for all of them together, equal
            parts, and the part of a question whose rows are all shown passes to the others.
    """
    members: dict[str, list[int]] = {}
    for i, test in enumerate(tests):
        if not math.isnan(test.p):
            members.setdefault(test.question, []).append(i)
    strict = errors == "report"
    share = 1 / len(members) if strict and members else 1.0
    families = [_Family([tests[i] for i in rows], ALPHA * share) for rows in members.values()]
    p_values = [family.p_values for family in families]
    judged_at = np.full(len(families), ALPHA)
    if strict and families:
        equal = np.ones(len(families))
        judged_at = levels(p_values, equal, ALPHA)
        p_values = recycle(p_values, equal)
    among = [NOT_TESTED] * len(tests)
    for family, rows, p, level in zip(families, members.values(), p_values, judged_at, strict=True):
        for i, p_row, c in zip(rows, p, family.factors(float(level)), strict=True):
            among[i] = Among(float(p_row), float(c))
    return among


class _Family:
    """The tests of one question, as blocks. level: its part of 5 % before any other is done."""

    def __init__(self, tests: Sequence[RowTest], level: float) -> None:
        self.tests = tests
        self.level = level
        self.rows = _blocks(tests)
        self.weights = _weights([tests[rows[0]].over_tasks for rows in self.rows], self.rows)
        self.parts = level * self.weights / self.weights.sum()
        self.blocks = [
            _Block([tests[i] for i in rows], part)
            for rows, part in zip(self.rows, self.parts, strict=True)
        ]
        self.p_values = self._spread(recycle([b.p_values for b in self.blocks], self.weights))

    def factors(self, level: float) -> Floats:
        """c of each test, where the whole question is judged at `level` in the end."""
        judged_at = levels([b.p_values for b in self.blocks], self.weights, level)
        together = zip(self.blocks, self.parts, judged_at, strict=True)
        return self._spread([b.factors(float(part), float(at)) for b, part, at in together])

    def _spread(self, parts: Sequence[Floats]) -> Floats:
        """Values of blocks in the order of the tests."""
        values = np.empty(len(self.tests))
        for rows, part in zip(self.rows, parts, strict=True):
            values[rows] = part
        return values


class _Block:
    """Tests that share their seeds (or one test), judged together."""

    def __init__(self, tests: Sequence[RowTest], level: float) -> None:
        self.t = np.abs([test.t for test in tests])
        self.df = np.array([test.df for test in tests])
        alone = np.array([test.p for test in tests])
        self.draws: MaxT | None = None
        self.over_tasks = tests[0].over_tasks
        self.p_values = holm(alone) if self.over_tasks else alone
        if len(tests) > 1 and not self.over_tasks:
            scores = np.stack([_in_order(test) for test in tests], axis=1)
            least = np.array([test.least for test in tests])
            self.draws = max_t(scores, least, self.t, level)
            steps = np.maximum(self.draws.p_values(self.t), alone)[self.draws.order]
            self.p_values = np.empty(len(tests))
            self.p_values[self.draws.order] = np.maximum.accumulate(steps)

    def factors(self, part: float, level: float) -> Floats:
        """c of each test: for all at the block's own `part` of 5 %; where a test is shown only
        because others were shown before it (it is then judged at `level`, among the rest), of its
        own step. NaN for all tasks together, which have no interval."""
        if self.over_tasks:
            return np.full(len(self.t), math.nan)
        c = np.maximum(self._critical(0, part), self._alone(part))
        if self.draws is not None:
            c = np.maximum(c, self.draws.together(part))
        late = np.flatnonzero((self.p_values <= level) & (self.t <= c))
        own = self._alone(level)
        for row in late:
            step = 0 if self.draws is None else int(np.flatnonzero(self.draws.order == row)[0])
            c[row] = max(self._critical(step, level), float(own[row]))
        return c

    def _critical(self, step: int, level: float) -> float:
        return 0.0 if self.draws is None else self.draws.critical(step, level)

    def _alone(self, level: float) -> Floats:
        return np.array([student_quantile(df, 1 - level) for df in self.df])


def _blocks(tests: Sequence[RowTest]) -> list[list[int]]:
    """Numbers of the tests that are judged together: all tasks together, those of the same seeds,
    others alone."""
    over = [i for i, test in enumerate(tests) if test.over_tasks]
    single = [i for i, test in enumerate(tests) if not test.over_tasks]
    blocks: dict[object, list[int]] = {}
    for i in single:
        seeds = tests[i].seeds
        together = len(seeds) >= FEWEST
        blocks.setdefault(np.sort(seeds).tobytes() if together else i, []).append(i)
    parts = list(blocks.values()) if len(blocks) <= MOST_BLOCKS else [[i] for i in single]
    return [over, *parts] if over else parts


def _weights(over_tasks: Sequence[bool], rows: Sequence[Sequence[int]]) -> Floats:
    """Parts of blocks: their rows; of all tasks together as much as of all others."""
    sizes = np.array([float(len(numbers)) for numbers in rows])
    over = np.array(over_tasks)
    if over.any() and not over.all():
        sizes[over] = sizes[~over].sum()
    return sizes


def _in_order(test: RowTest) -> Floats:
    """The scores in the order of their seeds, which is one order for all tests of a block."""
    return np.asarray(test.scores[np.argsort(test.seeds)])
