"""One comparison of two arms: the record that travels from the tests to tables and sentences.

In: what `compare` computed. Out: `Comparison`, whose fields are the columns of the table of
comparisons. It stands alone because words need the record and none of the arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Literal

from analysis.statistics.pairs.questions import QUESTION_WORDS
from analysis.statistics.samples.intervals import Interval
from analysis.statistics.times.course import COURSES, Course

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
State = Literal["shown", "by itself", "not shown", "equivalent"]
Direction = Literal["better", "worse", ""]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two arms on one metric. NaN where something was not tested or is not known.

    Attributes:
        target: of a time to target, NaN for other metrics. unit: of `difference`.
        n_pairs: 0 where seeds do not pair.
        scale: `difference` (treatment - control) or `speedup` (control/treatment, for times: the
            geometric mean of the ratios, above 1 where the treatment is sooner).
        estimate, low, high, confidence, method: on that scale; the interval is of this row alone
            and inverts its t-test: it excludes no difference exactly where `p_value` is at most
            5 %.
        difference: mean of treatment - control in `unit`, NaN where a time is censored.
        bound: `at least` where the ratio may be larger (the control has trials that do not reach
            the target within the budget, or the treatment was there before its first step; high is
            then ∞), `at most` where it may be smaller (low is 0), `within budget` where both may
            be, or the bound would say nothing: the ratio is of the times between the first
            evaluation and the common budget. "" for none.
        effect_size: Hedges' g, of the paired differences (their own SD) or of independent arms.
        t, p_value: paired (Welch's) t-test of this row alone, two-sided.
        p_sign_flip, p_sign_flip_floor, p_sign_flip_error: NaN where unpaired.
        p_wilcoxon: signed ranks; Mann-Whitney where unpaired.
        p_better, p_better_low, p_better_high: P(treatment better), without ties, Clopper-Pearson;
            p_better_words: against 0.5 and γ = 0.75 (Bouthillier et al. 2021).
        p_equivalence, p_equivalence_holm, margin: two one-sided t-tests; NaN without a margin.
        mean_score, sd_score: mean and SD of what is tested: differences, of times of logarithms,
            positive where the treatment is better.
        n_more: seeds that are missing for a verdict, should mean and SD be as seen. n_more_low,
            n_more_high: at the ends of what the SD may be (95 %): few seeds cannot tell.
        question: the question of the report that the row belongs to (`questions`).
        p_question, factor, low_question, high_question: the p among the rows of its question; the c
            of `estimate ± c · error` that holds for all of them at once; and its ends.
        state: `shown` (p_question at most 5 %), `by itself` (only p_value is), `not shown`, or
            `equivalent`. direction: of the estimate where it is shown or by itself beyond chance.
        n_won, n_lost: pairs in which the treatment was better, or worse; the rest are ties.
        n_unreached_treatment, n_unreached_control: trials without the target within the common
            budget; n_late_…: those of them that reached it after it. n_at_once_…: trials that
            were there before their first step. n_failed_…: trials that failed or diverged, and so
            have no accuracy.
        p_at_chance: p_question with each of these at chance, 1 where that turns the sign, NaN where
            chance is not known. among_finished: a verdict that does not hold so: it is one of the
            trials that finished.
        course: the metric that the sweep measures, by name (`course.COURSES`). measured_in: what it
            is measured in, as `years`, where that is known.
        p_worse_beyond, p_inside, p_better_beyond: that the true difference is worse by more than
            the margin, inside it, or better by more (`three_probabilities`); NaN without a margin.
        worth: how many times the seeds unpaired arms would need (`pairing_worth`), NaN unpaired.
        n_question: tests of its question in the report. overlap: n_test / n_train where seeds
            redraw one pool of images, else 0. low_equivalence, high_equivalence: of an `equivalent`
            row the 90 % interval that goes with its two one-sided tests.
        test_set: the further test set that the row is about, else "".
        score: the interval of `mean_score` with its own note; no column of the table.
    """

    task: str
    treatment: str
    control: str
    metric: str
    target: float
    unit: str
    n_pairs: int
    n_treatment: int
    n_control: int
    paired: bool
    scale: Literal["difference", "speedup"]
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    confidence: float
    method: str = "none"
    difference: float = math.nan
    bound: str = ""
    n_unreached_treatment: int
    n_unreached_control: int
    budget: float
    effect_size: float = math.nan
    t: float = math.nan
    p_value: float = math.nan
    p_sign_flip: float = math.nan
    p_sign_flip_floor: float = math.nan
    p_sign_flip_error: float = math.nan
    p_wilcoxon: float = math.nan
    p_better: float = math.nan
    p_better_low: float = math.nan
    p_better_high: float = math.nan
    p_better_words: str | None = None
    p_equivalence: float = math.nan
    p_equivalence_holm: float = math.nan
    margin: float = math.nan
    mean_score: float = math.nan
    sd_score: float = math.nan
    verdict: Verdict = "inconclusive"
    verdict_words: str = ""
    n_more: float = 0.0
    note: str
    question: str = "final"
    p_question: float = math.nan
    factor: float = math.nan
    low_question: float = math.nan
    high_question: float = math.nan
    state: State = "not shown"
    direction: Direction = ""
    n_won: int = 0
    n_lost: int = 0
    n_late_treatment: int = 0
    n_late_control: int = 0
    n_at_once_treatment: int = 0
    n_at_once_control: int = 0
    n_failed_treatment: int = 0
    n_failed_control: int = 0
    p_at_chance: float = math.nan
    among_finished: bool = False
    course: str = "accuracy"
    measured_in: str = ""
    p_worse_beyond: float = math.nan
    p_inside: float = math.nan
    p_better_beyond: float = math.nan
    worth: float = math.nan
    n_more_low: float = 0.0
    n_more_high: float = 0.0
    n_question: int = 0
    overlap: float = 0.0
    low_equivalence: float = math.nan
    high_equivalence: float = math.nan
    test_set: str = ""
    score: Interval | None = None

    @property
    def measured(self) -> Course:
        """What the sweep measures."""
        return replace(COURSES[self.course], measured_in=self.measured_in)

    @property
    def behind(self) -> str:
        """What stands behind the estimate: ` points`, ` years`, or nothing."""
        if self.kind == "points":
            return " points"
        return self.measured.behind if self.unit == self.measured.unit else ""

    @property
    def target_words(self) -> str:
        """`97.5 %`, or `a loss of 0.2`."""
        return self.measured.target(self.target)

    @property
    def question_words(self) -> str:
        """`final accuracy`, or `final balanced accuracy`."""
        return QUESTION_WORDS[self.question].replace("accuracy", self.measured.words)

    @property
    def kind(self) -> str:
        """How the estimate is written (`words.write`)."""
        if self.is_time:
            return "ratio"
        if self.unit == "log ratio":
            return "log_ratio"
        return "points" if self.unit == "fraction" else "signed"

    @property
    def n(self) -> int:
        """Pairs, or the number of trials of the smaller arm where seeds do not pair."""
        return min(self.n_treatment, self.n_control)

    @property
    def is_time(self) -> bool:
        """Whether it is about times to a target, which are compared as ratios."""
        return self.scale == "speedup"

    @property
    def someone_reached(self) -> bool:
        """Of a time: whether a trial of either arm reached the target."""
        n_unreached = self.n_unreached_treatment + self.n_unreached_control
        return n_unreached < self.n_treatment + self.n_control

    @property
    def n_late(self) -> int:
        """Of a time: trials of either arm that reached the target after the common budget."""
        return self.n_late_treatment + self.n_late_control

    @property
    def is_against_never(self) -> bool:
        """Of a time with a verdict: whether the arm that comes later did not reach the target."""
        if self.verdict == "better":
            return self.n_unreached_control == self.n_control
        return self.verdict == "worse" and self.n_unreached_treatment == self.n_treatment

    @property
    def bound_words(self) -> str:
        """What to write before an estimate that is a bound: `at least `, `at most ` or nothing."""
        return f"{self.bound} " if self.bound in ("at least", "at most") else ""


COLUMNS = tuple(f.name for f in fields(Comparison) if f.name != "score")
