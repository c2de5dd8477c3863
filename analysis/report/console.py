"""The answer on a console: what a reader of one screen takes away, as a few lines.

In: the `Glance` that page, PDF and workbook show, and the width of the terminal. Out: text. It
stands alone because a terminal has neither cards nor links: an arm has three lines here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from analysis import words
from analysis.report.glance import Card, Glance, Reading

MOST_COMPARED = 4  # arms that are set against a control; the others are in the report
TIED = "\xa0"  # a space at which no line ends
RANGES = "Ranges are 95 % intervals, each of one number alone."


def console_text(glance: Glance, width: int | None = None) -> str:
    """The question, the answer in a sentence, and of each arm its numbers, three lines at most.

    width: columns, at whose end lines are broken between words; None breaks none.
    """
    parts = [(line, "") for line in _head(glance)]
    shown = _shown(glance)
    if shown:
        parts.append(("", ""))
    for card in shown:
        parts += _card_lines(card)
    n_more = len(glance.cards) + len(glance.others) - len(shown)
    if n_more:
        parts.append((f"… {words.plural(n_more, 'more arm')} in the report", ""))
    if any(reading.interval for card in shown for reading in card.readings):
        parts.append((RANGES, ""))
    return "\n".join(line for text, indent in parts for line in _wrapped(text, indent, width))


def _head(glance: Glance) -> Iterator[str]:
    """What stands before the numbers: what must be known first, then question and answer."""
    yield from filter(None, (glance.stand_in, glance.question))
    yield " ".join(filter(None, (glance.sentence, glance.more)))
    yield from glance.reservations


def _shown(glance: Glance) -> list[Card]:
    """The first cards, so that each of them stands with its control."""
    cards: list[Card] = []
    n_compared = 0
    for card in glance.cards:
        n_compared += bool(card.control)
        if n_compared > MOST_COMPARED:
            break
        cards.append(card)
    while cards and len(cards) < len(glance.cards) and cards[-1].is_control:
        cards.pop()  # a control of arms that are not shown
    return cards


def _card_lines(card: Card) -> Iterator[tuple[str, str]]:
    """An arm that was compared has a line for itself and one for each number; others have one."""
    where = f", on {card.task}" if card.task else ""
    note = f" ({card.note})" if "finished" in card.note else ""
    readings = [_reading(reading) for reading in (card.final, card.head_start) if _has(reading)]
    if not card.control:
        yield f"“{card.arm}”{where}{note}: {'; '.join(readings) or 'no run finished'}", "  "
        return
    fit = f": {card.fit}" if card.fit else ""
    yield f"“{card.arm}” against “{card.control}”{where}{note}{fit}", "  "
    for text in readings:
        yield text, "    "


def _has(reading: Reading) -> bool:
    return bool(reading.value or reading.about or reading.note)


def _reading(reading: Reading) -> str:
    """`head start: 2.77 times as fast to 90 % (1.89 to 4.06): better`."""
    value = " ".join(filter(None, (reading.value, reading.about)))
    inside = "; ".join(filter(None, (reading.interval, reading.note)))
    text = f"{reading.name[:1].lower()}{reading.name[1:]} {value}".strip()
    text += f" ({inside})" if inside else ""
    return f"{text}: {reading.mark_words.replace(' ', TIED)}" if reading.mark else text


def _wrapped(text: str, indent: str, width: int | None) -> list[str]:
    if width is None or not text:
        return [(indent + text).replace(TIED, " ") if text else ""]
    tied = text.replace(" %", f"{TIED}%").replace(" points", f"{TIED}points")
    lines = textwrap.wrap(
        tied, width, initial_indent=indent, subsequent_indent=f"{indent}  " if indent else "",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace(TIED, " ") for line in lines]
