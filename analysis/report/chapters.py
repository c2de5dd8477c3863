"""The order of the page: what stands open, what is folded, and the sentence over it.

In: the content of a report, and the blocks of `sections`. Out: a `Layout`. Three sections answer a
reader's questions in their order: how soon, how good, how stable. Each shows one thing and folds
the rest away; what follows them is folded as a whole. It stands apart from `sections`, which makes
what is shown and decides nothing about the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from analysis.findings.ahead import ahead_words
from analysis.report.document import Block, Chart, Content, Fold, Plate, Prose, Section, TableBlock
from analysis.report.glance import find_words
from analysis.report.links import Links
from analysis.report.sections import ORDER, beside_verdicts, gather, paragraphs_of
from analysis.report.trial_list import list_trials

FOLDED = (
    *("outside", "cost", "labels", "classes", "tasks", "forecasts", "search", "seeds", "data"),
    *("trials", "methods", "provenance"),
)
OPENING = (
    "Line: mean of all runs of an arm. Band: where that mean may well lie. Faint: single runs. "
    "Dashed: on training images."
)
OF_RIGHT = " Dotted: validation images by their right labels."
Blocks = dict[str, list[Block]]


@dataclass(frozen=True)
class Layout:
    """opening: the chart beside the cards, the learning curves of the first task, where any."""

    opening: Chart | None
    sections: tuple[Section, ...]


def lay_out(content: Content, links: Links) -> Layout:
    """The whole page; sections that have nothing to say are left out."""
    blocks = gather(content)
    curves = _named(blocks["learning"], "learning_curves")
    opening = next((block for block in curves if isinstance(block, Chart)), None)
    sections = [
        _soon(content, blocks, opening),
        _good(content, blocks),
        _stable(content, blocks),
        *_rest(content, blocks, links),
    ]
    if opening is not None:
        dotted = OF_RIGHT if len(content.findings.right) else ""
        opening = replace(opening, caption=OPENING + dotted)
    return Layout(opening, tuple(s for s in sections if s.every_block or s.paragraphs))


def _soon(content: Content, blocks: Blocks, opening: Chart | None) -> Section:
    findings = content.findings
    ahead = _named(blocks["learning"], "ahead")
    targets = _named(blocks["targets"], "speedup", "reached")
    first = [*targets, *ahead][:1]
    curves = _without(_figures(blocks["learning"]), [opening, *ahead])
    folds = [
        _fold("Who is ahead at which step", _without(ahead, first), ahead_words(findings.ahead)),
        _fold("Further figures of targets", _without(_figures(blocks["targets"]), first)),
        _fold("Further learning curves", curves, paragraphs_of("learning", findings)),
        _fold("Tables of targets", _tables(blocks["targets"]), paragraphs_of("targets", findings)),
    ]
    return _section("soon", "How soon", content, first, folds, "way")


def _good(content: Content, blocks: Blocks) -> Section:
    figures = [*_figures(blocks["arms"]), *_figures(blocks["verdicts"])]
    of_starts = _named(figures, "transfer_matrix")
    of_arms = _named(figures, "final_accuracy")[:1]
    shown = [*(of_starts or of_arms), *_named(figures, "differences")[:1]]
    prose = tuple(answer.words.text for answer in content.answers)
    every, said = _tables(blocks["verdicts"]), beside_verdicts(content.findings)
    folds = [
        _fold("Further figures", _without(figures, shown)),
        _fold("Each comparison in words", [Prose("", prose)] if prose else []),
        _fold("Table of every comparison", every, said),
        _fold("Table of every arm", _tables(blocks["arms"])),
    ]
    return _section("good", "How good", content, shown, folds, "final")


def _stable(content: Content, blocks: Blocks) -> Section:
    figures = _figures(blocks["stability"])
    words = paragraphs_of("stability", content.findings)
    folds = [
        _fold("Further figures", figures[1:]),
        _fold("Tables of spread and overfitting", _tables(blocks["stability"]), words),
    ]
    section = _section("stable", "How stable", content, figures[:1], folds, "stability")
    fitting = find_words(content.findings, "overfitting")
    return replace(section, finding=f"{section.finding} {fitting}".strip())


def _rest(content: Content, blocks: Blocks, links: Links) -> Iterator[Section]:
    blocks = blocks | {"trials": [*list_trials(content, links), *blocks["trials"]]}
    for key in FOLDED:
        short, title = ORDER[key]
        of_labels = content.labels if key == "labels" else ()
        words = (*of_labels, *paragraphs_of(key, content.findings))
        yield Section(key, short, title, tuple(blocks[key]), words, is_folded=True)


def _section(
    key: str,
    title: str,
    content: Content,
    shown: Sequence[Block],
    folds: Iterable[Fold],
    question: str,
) -> Section:
    finding = find_words(content.findings, question)
    behind = tuple(fold for fold in folds if fold.blocks)
    return Section(key, title, title, tuple(shown), (), finding, behind)


def _fold(summary: str, blocks: Iterable[Block], paragraphs: Iterable[str] = ()) -> Fold:
    return Fold(summary, tuple(blocks), tuple(paragraphs))


def _figures(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if isinstance(block, Chart | Plate)]


def _named(blocks: Iterable[Block], *kinds: str) -> list[Block]:
    """The figures of these kinds, in the order of the kinds, each of every task."""
    figures = [block for block in blocks if isinstance(block, Chart | Plate)]
    return [f for kind in kinds for f in figures if f.id.partition("-")[2].startswith(kind)]


def _without(blocks: Iterable[Block], others: Sequence[Block | None]) -> list[Block]:
    return [block for block in blocks if not any(block is other for other in others)]


def _tables(blocks: Iterable[Block]) -> list[Block]:
    return [block for block in blocks if isinstance(block, TableBlock)]
