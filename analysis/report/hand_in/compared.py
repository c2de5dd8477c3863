"""The second half of the report: evaluations, last layer against last n, insights, sources.

In: `Handed` and the paragraphs of the comparisons. Out: paragraphs, each a template over numbers of
the run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from analysis import words
from analysis.report.answers import Answer
from analysis.report.evaluations import Evaluation
from analysis.report.hand_in.handed import Handed, quoted
from analysis.report.hand_in.sources import mark
from analysis.statistics.pairs.wording import row_words

MOST_MISTAKES = 6


def evaluated(handed: Handed) -> Iterator[str]:
    """What lies between the four numbers."""
    first, second = handed.pretrained, handed.untuned
    fall = handed.mean(first).estimate - handed.mean(second).estimate
    n_test = int(handed.row(second)["n_test"])
    gains = [
        f"{quoted(each)} {words.points(handed.mean(each).estimate - handed.mean(second).estimate)}"
        for each in handed.tuned
    ]
    yield (
        f"From its own test images to these digits the pretrained network "
        f"{'loses' if fall >= 0 else 'gains'} {words.points_plain(abs(fall))} points "
        f"{handed.over_seeds}. Fine-tuning changes its accuracy on these digits by, in points, "
        f"{words.listed(gains)}. One of {n_test} test images is "
        f"{100 / n_test:.3g} points, and chance alone moves an accuracy of "
        f"{words.percent(handed.mean(second).estimate)} on {n_test} images by "
        f"{words.points_plain(_binomial(handed.mean(second).estimate, n_test))} points (1 SD)"
        f"{_pool(handed)}."
    )


def _binomial(share: float, n: int) -> float:
    return math.sqrt(share * (1 - share) / n)


def _pool(handed: Handed) -> str:
    """Whether the seeds' splits depend on one another."""
    row = handed.row(handed.untuned)
    if handed.n_seeds < 2 or pd.isna(row.get("n_pool")):
        return ""
    return (
        f"; the seeds draw from {int(row['n_pool']):,} images, and the intervals are wider for it"
        f"{mark('redrawn')}"
    )


def layers(handed: Handed, answers: Sequence[Answer]) -> Iterator[str]:
    """Last layer against last n: performance, stability, reasons."""
    last = handed.tuned[0]
    for more in handed.tuned[1:]:
        direct = [a for a in answers if {a.treatment, a.control} == {more.arm, last.arm}]
        if handed.n_seeds < 2:
            yield _once(handed, last, more)
        elif direct:
            yield _performance(handed, direct[0])
        else:
            yield (
                f"{quoted(more)} and {quoted(last)} were not compared directly; their means are "
                f"{handed.mean_words(more)} and {handed.mean_words(last)}."
            )
        yield _stability(handed, last, more)
        yield _reasons(handed, last, more)


def _performance(handed: Handed, answer: Answer) -> str:
    """The verdict, then the final value before the way there: this page has no room for all."""
    pair = (answer.treatment, answer.control)
    rows = [
        row
        for row in handed.findings.pairs.comparisons
        if (row.task, row.treatment, row.control) == (answer.task, *pair)
    ]
    final = [row for row in rows if row.metric == handed.findings.score]
    way = [row for row in rows if row.question == "way" and not row.is_time]
    times = [row for row in rows if row.is_time and row.someone_reached][-1:]
    said = "; ".join(row_words(row) for row in (*final, *way, *times))
    return (
        f"{answer.words.lead} Performance, “{pair[0]}” minus “{pair[1]}” with 95 % intervals "
        f"({handed.seeds_words}, p alone and among several{mark('adjusted')}): {said}."
    )


def _once(handed: Handed, last: Evaluation, more: Evaluation) -> str:
    """Two single runs: how many images lie between them, and that it proves nothing."""
    values = [handed.of_seed(each) for each in (more, last)]
    apart = abs(values[0] - values[1])
    n_test = int(handed.row(last)["n_test"])
    return (
        f"Performance: {quoted(more)} reads {words.percent(values[0])}, {quoted(last)} "
        f"{words.percent(values[1])} of {n_test} test images: {words.points_plain(apart)} points, "
        f"or {words.plural(round(apart * n_test), 'image')}, apart. Each ran for 1 seed, which "
        "allows no interval and no test, so which of the 2 does better is not known."
    )


def _stability(handed: Handed, last: Evaluation, more: Evaluation) -> str:
    if handed.n_seeds < 2:
        return "Training stability over seeds was not measured: the run has 1 seed."
    items = [
        f"{words.interval('points_plain', *handed.spread(each))} for {quoted(each)}"
        for each in (last, more)
    ]
    text = "Training stability: test accuracy has an SD over seeds, in points, of "
    text += f"{words.listed(items)}"
    noise = [_noise(handed, each) for each in (last, more)]
    if all(map(math.isfinite, noise)):
        text += (
            f"; within a run validation accuracy moves in the last third of training by "
            f"{words.points_plain(noise[0])} and {words.points_plain(noise[1])} points from one "
            "evaluation to the next"
        )
    return f"{text}."


def _noise(handed: Handed, evaluation: Evaluation) -> float:
    """Mean size of the steps of validation accuracy in the last third of the curves."""
    curves = handed.findings.runs.curves
    own = curves[curves["trial_id"].isin(evaluation.trials["trial_id"])]
    moves = []
    for _, curve in own.sort_values("step").groupby("trial_id"):
        late = curve["val_accuracy"].to_numpy(dtype=float)[-max(2, len(curve) // 3) :]
        moves.append(float(np.abs(np.diff(late)).mean()) if len(late) > 1 else math.nan)
    return float(np.nanmean(moves)) if moves and not np.isnan(moves).all() else math.nan


def _reasons(handed: Handed, last: Evaluation, more: Evaluation) -> str:
    rows = [handed.row(each) for each in (last, more)]
    n_train = int(rows[0]["n_train"])
    weights = [int(row["n_trainable"]) for row in rows]
    whole = int(rows[0]["n_parameters"])
    text = (
        f"Reasons that the numbers support, where the first layers stay frozen{mark('frozen')}: "
        f"{quoted(last)} trains {weights[0]:,} of {whole:,} "
        f"weights ({weights[0] / n_train:.3g} for each of the {n_train} training images), "
        f"{quoted(more)} {weights[1]:,} ({weights[1] / n_train:.3g})"
    )
    gaps = [handed.gap(each, "end_accuracy_gap") for each in (last, more)]
    if all(map(math.isfinite, gaps)):
        text += (
            f"; at the end of training the training batches were ahead of the validation images by "
            f"{words.points(gaps[0])} and {words.points(gaps[1])} points (below 0: training images "
            "are changed at random and seen under dropout)"
        )
    rises = [handed.gap(each, "loss_rise") for each in (last, more)]
    if all(map(math.isfinite, rises)):
        larger = rises[1] > rises[0]
        text += (
            f"; validation loss rose by {words.number(rises[0])} and {words.number(rises[1])}, "
            f"{'more' if larger else 'not more'} where more weights train"
        )
    return f"{text}."


def insights(handed: Handed) -> Iterator[str]:
    """Mistakes of the named seed, hard classes, what pretraining gave."""
    items = [f"{quoted(each)} {_mistakes(handed, each)}" for each in handed.evaluations[1:]]
    yield f"Of seed {handed.seed}'s test images these were misread: {'; '.join(items)}."
    yield from _hardest(handed)
    yield from _from_scratch(handed)


def _mistakes(handed: Handed, evaluation: Evaluation) -> str:
    row = handed.row(evaluation)
    predictions = handed.findings.runs.predictions(str(row["trial_id"]))
    record = handed.findings.runs.record(str(row["trial_id"]))
    if predictions is None or record is None:
        return "(not kept)"
    names = record.class_names or tuple(map(str, range(int(row["n_classes"]))))
    wrong = predictions.labels != predictions.predicted
    pairs = zip(predictions.labels[wrong], predictions.predicted[wrong], strict=True)
    counts = Counter(f"{names[label]} as {names[said]}" for label, said in pairs)
    texts = [f"{text} ({n}×)" if n > 1 else text for text, n in counts.most_common()]
    return words.shortened(texts, MOST_MISTAKES) if texts else f"none of {len(wrong)}"


def _hardest(handed: Handed) -> Iterator[str]:
    scores = handed.findings.classes.scores
    if scores.empty:
        return
    own = scores[(scores["scope"] == "class") & (scores["metric"] == "recall")]
    items = []
    for each in handed.evaluations[1:]:
        rows = own[own["arm"] == each.arm].sort_values("estimate", kind="stable")
        if len(rows) and rows.iloc[0]["estimate"] < 1:
            low = rows.iloc[0]
            items.append(
                f"“{low['class_name']}” for {quoted(each)} ({words.share(low['estimate'])})"
            )
    if items:
        yield (
            f"{handed.over_seeds.capitalize()} the class that was recognised least often is "
            f"{words.listed(items)}."
        )


def _from_scratch(handed: Handed) -> Iterator[str]:
    arms = handed.findings.arms
    evidence = handed.findings.evidence
    random = evidence[evidence["initialize"].fillna("random").isin(["", "random"])]
    for arm in dict.fromkeys(random["arm"]):
        row = arms[arms["arm"] == arm].iloc[0]
        mean = words.interval("percent", row["score"], row["score_low"], row["score_high"])
        yield (
            f"What pretraining gives: {mean} is what the same network reads after the same search "
            f"from random weights (“{arm}”), against {handed.mean_words(handed.untuned)} before "
            "any fine-tuning."
        )
        return
