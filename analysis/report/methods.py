"""The methods section: each estimator of the report, what it is, and where it comes from.

In: `Findings`. Out: `Term`s, of the methods that this report used and no others. It stands alone
because page, PDF and workbooks show the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.findings.findings import Findings
from analysis.measures.redrawn import overlap_of
from analysis.report.document import Term

AGARWAL = "Agarwal et al. (2021), Deep RL at the edge of the statistical precipice."
BOUTHILLIER = "Bouthillier et al. (2021), Accounting for variance in ML benchmarks."


def describe_methods(findings: Findings) -> tuple[Term, ...]:
    """The methods that stand behind the numbers of this report."""
    return (*_chosen(findings), *_always(findings), *_compared(findings), *_classified(findings))


def _chosen(findings: Findings) -> Iterator[Term]:
    """Why the settings are what they are, as the sweep says it, and what a refit is."""
    sweeps = [asked.sweep for asked in findings.asked]
    said = dict.fromkeys(
        (str(name), str(text))
        for sweep in sweeps
        for name, text in sweep.get("choices", {}).items()
    )
    for name, text in said:
        yield Term(f"Why this {name}", text)
    if any(sweep.get("refit") for sweep in sweeps):
        yield Term(
            "Refitted networks",
            "Each seed was trained once more on the training, validation and test images of its "
            "split, for as many epochs as its trial until the weights that are tested, and at that "
            "trial's learning rates. "
            "These networks are to be handed over. They have no score of their own: every number "
            "of this report is of the trials before them.",
            "Goodfellow, Bengio and Courville (2016), Deep Learning, section 7.8.",
        )


def _always(findings: Findings) -> Iterator[Term]:
    course = findings.course
    side = "below" if course.lower_is_better else "above"
    yield Term(
        "Trial, seed, pair",
        "The sample unit is the trial: one arm at one seed. Arms at one seed share every random "
        "draw that they can share, so their difference is paired.",
        BOUTHILLIER,
    )
    yield Term(
        "Interval of a mean",
        "Student’s t for 2 to 4 values; from 5 values the bootstrap-t, whose ends go half of the "
        "way to Student’s where they are nearer; Student’s t again beyond 200. Chosen because "
        "percentile and BCa bootstraps cover too little at 5 to 30 seeds. One value has none.",
        "Efron and Tibshirani (1993), section 12.5.",
    )
    yield Term(
        "Median and interquartile mean",
        "The median over seeds with the interpolated interval between order statistics, which "
        "needs 6 seeds; the mean of the middle half of the seeds with Student’s t on winsorized "
        "values. Where they differ from the mean, a few seeds decide the mean.",
        "Hettmansperger and Sheather (1986); Tukey and McLaughlin (1963).",
    )
    if overlap_of(findings.evidence) > 0:
        yield Term(
            "Redrawn splits",
            "Where each seed draws training and test images from one pool, seeds depend on one "
            "another. The variance of a mean over n seeds, and of a mean difference, is then "
            "(1/n + n_test/n_train) times that over seeds, with Student’s t at n − 1 degrees of "
            "freedom, in place of the interval above. Sign-flip and rank tests, which need "
            "independent seeds, are left out; the interval of P(better) counts n / (1 + n · "
            "n_test/n_train) seeds. The mean accuracy over training, times, speedups, spreads and "
            "single classes are not corrected: they speak of other splits of this pool.",
            "Nadeau and Bengio (2003), Inference for the generalization error, section 3.",
        )
    yield Term(
        "Learning curves",
        "Mean over finished trials at each evaluation, with a pointwise 95 % interval (Student’s "
        "t). A trial that stopped early counts with its last value. No smoothing.",
    )
    yield Term(
        "Time to a target",
        f"The first evaluation whose validation {course.words} is at or {side} the target, in "
        "steps, images and seconds of training alone (evaluation and start-up are not on the "
        "clock). No interpolation. A trial that never reaches it, or that failed or diverged, is "
        "censored at its budget: never dropped, and never counted as its last step.",
    )
    yield Term(
        "Share that reached a target",
        "Kaplan–Meier estimate with log-log intervals.",
        "Kalbfleisch and Prentice (2002), section 1.4.1.",
    )
    yield Term(
        "Mean time where some never reached",
        "Restricted mean: the area above the Kaplan–Meier curve up to the budget, with an "
        "interval from jackknife pseudo-values. It is a lower bound of the mean time.",
        "Royston and Parmar (2013); Andersen, Hansen and Klein (2004).",
    )
    yield Term(
        "Spread over seeds",
        "At the top, and in verdicts, how far two seeds lie apart on average (Gini’s mean "
        "difference). The chart and tables also have the standard deviation (ddof 1) with its "
        "interval; the noise of the test set is the binomial standard deviation of an accuracy on "
        "that many images. Failed and diverged trials as a share with Wilson’s interval.",
        "Jordan (2023), Calibrated chaos.",
    )


def _outside(findings: Findings) -> str:
    """What is to say of further test sets, where the report has some."""
    if not any(row.question == "outside" for row in findings.pairs.comparisons):
        return ""
    return (
        " Beside them, the differences on all further test sets together are one question more: "
        "the weights that validation chose, scored once (Kumar et al. 2022 for why; corruptions by "
        "Hendrycks and Dietterich 2019, each image’s noise alike for every arm and seed)."
    )


def _compared(findings: Findings) -> Iterator[Term]:
    if not findings.pairs.comparisons:
        return
    yield Term(
        "Verdict",
        "Four questions are asked: the final value (a row a pair), the way there (mean over "
        "training, and each target that somebody reached), stability (how far two seeds lie "
        "apart, noise within a run, runs that broke) and overfitting (gaps in accuracy and loss, "
        "rise of validation loss)."
        + _outside(findings)
        + " Each is allowed to be wrong in 5 % of reports in which nothing"
        " differs. A row is shown where its paired t-test is at most 0.05 among the rows of its "
        "question: step-down max-|t|, from 8 pairs over sign flips, for 3 to 7 over random "
        "rotations; rows of other seeds are joined by Holm’s argument. By itself: only the p of "
        "the row alone is. Equivalent where two one-sided tests put the difference inside the "
        "margin (Holm over all such tests of its question). Else not shown, which is never “the "
        "same”. Sign-flip and Wilcoxon p-values stand beside it.",
        "Westfall and Young (1993); Langsrud (2005); Holm (1979); Schuirmann (1987).",
    )
    yield Term(
        "Interval of a comparison",
        "The inversion of the paired t-test: mean ± Student’s t times the error, of one row alone. "
        "An error is never taken below what the rounding of the values leaves. The simultaneous "
        "interval has in place of Student’s t the factor that holds for all rows of the question.",
        "Westfall and Young (1993), section 2.3.",
    )
    if not all(row.paired for row in findings.pairs.comparisons):
        yield Term(
            "Seeds that do not pair",
            "Compared as independent groups by Welch’s t-test, which is weaker; P(better) is "
            "then over all pairs of trials.",
            "Welch (1947).",
        )
    yield from _further()
    yield Term(
        "P(better)",
        "Share of the pairs that differ in which the treatment is better, with Clopper and "
        "Pearson’s interval, judged against 0.5 and 0.75.",
        BOUTHILLIER,
    )
    yield Term(
        "Speedup",
        "Geometric mean over pairs of control time over treatment time. Where a trial never "
        "reached the target its budget gives a bound (at least, at most), not a number.",
    )
    if len(findings.pairs.break_evens):
        yield Term(
            "Break-even",
            "Mean cost of pretraining over mean saving of one use, with Fieller’s interval.",
            "Fieller (1954).",
        )
    if len(findings.pairs.seeds_needed):
        yield Term(
            "Seeds needed",
            "From the power of the paired t-test at the standard deviation of this run’s paired "
            "differences; the brackets take the 95 % interval of that standard deviation.",
        )


def _further() -> Iterator[Term]:
    yield Term(
        "Stability",
        "How far two seeds lie apart: the ratio of Gini’s mean differences of final values, by the "
        "paired t-test of jackknife pseudo-values of their logarithms. Noise within a run: the SD "
        "of the last third of its evaluations (a curve that still rises has a larger one). Runs "
        "that failed, diverged or collapsed (no better than chance on their images, one-sided 5 "
        "%): exact sign test of the pairs in which one arm’s alone did.",
        "Yitzhaki (2003); McNemar (1947).",
    )
    yield Term(
        "Where the spread comes from",
        "With vary: decompose, trials run again with one source of randomness alone drawn anew; "
        "half of the mean squared difference of a trial and its double is the variance that it "
        "brings, with a chi-squared interval.",
        "Jansen (1999); Bouthillier et al. (2021).",
    )
    yield Term(
        "Overfitting",
        "At the step whose weights are tested, accuracy of the training batches since the "
        "evaluation before it minus validation accuracy, and validation loss minus training loss; "
        "the gap in accuracy at the last evaluation; and the validation loss there less its "
        "lowest. There is no extra pass: batches are scored as they are trained on. Trials that "
        "did not finish, or made no step, have none of these.",
    )


def _classified(findings: Findings) -> Iterator[Term]:
    if not findings.classes.n_read:
        return
    yield Term(
        "Scores by class",
        "Precision, recall and F1 of each trial over all classes, then means over seeds. A ratio "
        "without a denominator counts as 0.",
    )
    if len(findings.classes.images):
        yield Term(
            "Seeds and images",
            "The interval over seeds, with the variance that test images add to it; McNemar’s test "
            "with the image as the unit.",
            "Durkalski et al. (2003).",
        )
    yield Term(
        "Calibration error",
        "Expected calibration error in 15 bins of equal width.",
        "Guo et al. (2017).",
    )
    if len(findings.tasks) > 1:
        yield Term(
            "Several tasks",
            "Interquartile mean over tasks and seeds and performance profiles, with intervals "
            "stratified by task.",
            AGARWAL,
        )
