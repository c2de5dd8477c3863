"""The answer at a glance: the question, one sentence, and the most telling arms.

In: `Findings`. Out: `Glance`, which the page's first screen, the workbook's first sheet, page one
of the PDF and the console all show. It stands alone so that they show the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.glance.cards import Card, cards_of
from analysis.report.glance.layers import reasons
from analysis.report.glance.sentence import say

MOST_CARDS = 6  # of arms that are shown at once; the others are in a list
MOST_SETS = 3  # stand-ins that one line names

# What a reader may ask of: the words of a card, explained for somebody who took no course.
EXPLAINED = {
    "Final": "How good the network is at the end, on images that it was not trained on: the mean "
    "over all runs of the arm.",
    "Head start": "How much sooner the arm gets there than the one it is compared with. 2 times as "
    "fast: half as many training steps to the same result.",
    "Spread over seeds": "How far two runs of the same arm lie apart on average. They differ in "
    "their seed alone: the luck of first weights and of the order of images. Small is steady.",
    "Steadiness": "How little the result moves up and down late in a run.",
    "range": "Where the value may well lie if the same were run again with many new seeds (95 %). "
    "A wide range says: few runs, or restless ones.",
    "better": "Better than the arm it is compared with, by more than chance explains.",
    "worse": "Worse than the arm it is compared with, by more than chance explains.",
    "equivalent": "As good as the arm it is compared with, but for a margin that the sweep calls "
    "unimportant.",
    "not known": "These runs show no difference, and do not show that there is none. More seeds "
    "may tell. A hint: by itself it looks like more than chance; among all the comparisons that "
    "were made it may be luck.",
}


def explain(word: str) -> str:
    """What a reading or a mark of a card means."""
    return EXPLAINED.get(word) or EXPLAINED["Final"]


@dataclass(frozen=True)
class Glance:
    """stand_in: a line where data stood in for other data, else "". sentence: what came out.
    reasons: numbers behind it of arms that differ in how many layers train, else "". more: what
    the sentence leaves out. reservations: what changes how it is read. cards: the most telling
    arms, in the order of the sweep; others: the rest."""

    question: str
    stand_in: str
    sentence: str
    reasons: str
    more: str
    reservations: tuple[str, ...]
    cards: tuple[Card, ...]
    others: tuple[Card, ...]


def at_a_glance(findings: Findings) -> Glance:
    """What a reader of one screen should take away."""
    sentence, more = say(findings)
    cards = cards_of(findings)
    shown = _most_telling(findings, cards)
    return Glance(
        question=" ".join(dict.fromkeys(a.question or a.name for a in findings.asked)),
        stand_in=_stand_in(findings),
        sentence=sentence,
        reasons=reasons(findings),
        more=more,
        reservations=tuple(_reservations(findings)),
        cards=tuple(cards[k] for k in shown),
        others=tuple(card for k, card in enumerate(cards) if k not in shown),
    )


def _most_telling(findings: Findings, cards: Sequence[Card]) -> list[int]:
    """Places of the cards that are shown: all where they are few, else those of the arms of which
    most is shown, the best among equals, each with its control."""
    if len(cards) <= MOST_CARDS:
        return list(range(len(cards)))
    down = 1 if findings.course.lower_is_better else -1
    keys = zip(findings.arms["task"], findings.arms["arm"], strict=True)
    scores = dict(zip(keys, down * findings.arms["score"].fillna(-down * math.inf), strict=True))
    place = {(card.task, card.arm): k for k, card in enumerate(cards)}

    def rank(k: int) -> tuple[int, float]:
        card = cards[k]
        shown = sum(reading.mark in ("better", "worse") for reading in card.readings)
        return -shown, scores.get((card.task or findings.tasks[0], card.arm), math.inf)

    chosen: list[int] = []
    for k in sorted((k for k, card in enumerate(cards) if not card.is_control), key=rank):
        control = place.get((cards[k].task, cards[k].control), k)
        more = [n for n in dict.fromkeys((control, k)) if n not in chosen]
        chosen += more if len(chosen) + len(more) <= MOST_CARDS else []
    return sorted(chosen)


def _stand_in(findings: Findings) -> str:
    trials = findings.runs.trials
    rows = trials.loc[trials["stand_in_for"] != "", ["dataset", "stand_in_for"]].drop_duplicates()
    pairs = [
        f"{used} in place of {words.shortened(list(wanted), MOST_SETS)}"
        for used, wanted in rows.groupby("dataset", sort=False)["stand_in_for"]
    ]
    if not pairs:
        return ""
    return f"Made with stand-in data: {'; '.join(pairs)}. The answer holds for these alone."


def _reservations(findings: Findings) -> Iterator[str]:
    arms, course = findings.arms, findings.course
    if findings.runs.unfinished is not None:
        yield (
            f"Unfinished: {findings.runs.unfinished}. This is a look before the planned number of "
            "runs is there; it holds if the run goes on to its end, whatever is read here."
        )
    if not arms["n_done"].sum():
        return
    yield from (words.sentence(text) for text in findings.runs.remarks)
    n_bad = int(arms[["n_failed", "n_diverged"]].to_numpy().sum())
    if n_bad:
        yield f"{words.plural(n_bad, 'run')} broke off, and have no final {course.words}."
    n_missing = int(arms["n_missing"].sum())
    if n_missing and findings.runs.unfinished is None:
        yield f"Not finished: {words.plural(n_missing, 'planned run')} still missing."
    if findings.score != course.finals[0]:
        yield (
            f"Nothing was tested: final {course.words} is of the images that also chose the "
            "network, and so flatters it."
        )
    if int(arms["n_done"].max()) == 1:
        yield "Each arm ran once: any difference may be chance."
