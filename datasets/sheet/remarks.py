"""What is said of a photograph that was read: on the console, one line each, and in `sheet.json`.

In: a `Photo` and its `Reading`. Out: lines for people, and a record. It stands alone because both
say the same things: how the page lay, what was left out, which rows and digits a person should see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from datasets.sheet.hand.boxes import box_of
from datasets.sheet.labels import n_of
from datasets.sheet.photos import Photo

if TYPE_CHECKING:
    from datasets.sheet.hand.corrections import Correction
    from datasets.sheet.reading.read import Reading
    from datasets.sheet.strokes.marks import Mark

_TURNS = ("", "turned left by 90°", "turned by 180°", "turned right by 90°")
_MOST = 12  # lines about single digits of a photograph
_USUAL = 0.5  # of the rows: so many of one length make it the usual one


def summary(photo: Photo, reading: Reading, by_hand: Correction | None) -> str:
    """One line: how many digits, in which rows, and how the page lay."""
    counts = " + ".join(str(n) for n in reading.counts)
    said = [f"{photo.path}: {n_of(sum(reading.counts), 'digit')} ({counts})"]
    said += [_TURNS[reading.quarters]] if reading.quarters else []
    said += ["a dark page, read as light writing on dark"] if reading.ink.inverted else []
    if by_hand:
        placed, dropped = len(by_hand.digits), len(by_hand.drops)
        said.append(f"by hand: {dropped} dropped, {placed} placed or labelled")
    return "; ".join(said)


def remarks(photo: Photo, reading: Reading) -> list[str]:
    """Lines about what was left out, and what a person should look at on the contact sheet."""
    lines = [
        f"{n_of(n, 'mark')} left out: {why}"
        for why, n in Counter(item.why for item in reading.left_out).items()
    ]
    lines += uneven_rows(reading.counts, photo)
    doubts = [
        f"{photo.noun} {row}, digit {place}: {why}" for row, place, _, why in _doubts(reading)
    ]
    lines += doubts[:_MOST]
    if len(doubts) > _MOST:
        lines.append(f"and {len(doubts) - _MOST} more digits to check, boxed on the contact sheet")
    return [f"{photo.path}: {line}" for line in lines]


def uneven_rows(counts: Sequence[int], photo: Photo) -> list[str]:
    """Rows that hold more or fewer digits than the others, or than the user said."""
    if photo.labels.kind == "text":
        return []
    noun, per_row = photo.noun, photo.labels.per_row
    usual, n_usual = Counter(counts).most_common(1)[0]
    if per_row is None and n_usual <= _USUAL * len(counts):
        return (
            [f"{noun}s hold from {min(counts)} to {max(counts)} digits"] if len(counts) > 2 else []
        )
    wanted = usual if per_row is None else per_row
    reason = f"most {noun}s hold {wanted}" if per_row is None else f"{per_row} were said"
    return [
        f"{noun} {i} holds {n_of(n, 'digit')}, and {reason}"
        for i, n in enumerate(counts, 1)
        if n != wanted
    ]


def record(photo: Photo, reading: Reading, by_hand: Correction | None) -> dict[str, object]:
    """What `sheet.json` says of one photograph; boxes are as in a file of corrections."""
    return {
        "photo": photo.path.name,
        "sha256": photo.digest,
        "quarter_turns": reading.quarters,
        "dark_page": reading.ink.inverted,
        "digits_by_line": list(reading.counts),
        "labels": reading.labels,
        "evidence_nats_a_digit": round(reading.support, 3),
        "left_out": [
            {"why": item.why, "box": box_of(item.mark, photo, reading)} for item in reading.left_out
        ],
        "to_check": [
            {"line": row, "place": place, "why": why, "box": box_of(mark, photo, reading)}
            for row, place, mark, why in _doubts(reading)
        ],
        "dropped_by_hand": len(by_hand.drops) if by_hand else 0,
        "placed_by_hand": len(by_hand.digits) if by_hand else 0,
        "remarks": uneven_rows(reading.counts, photo),
    }


def _doubts(reading: Reading) -> list[tuple[int, int, Mark, str]]:
    """(row, place, mark, why), counted from 1, of every digit that a person should check."""
    places = {
        id(mark): (row, place)
        for row, line in enumerate(reading.rows, 1)
        for place, mark in enumerate(line, 1)
    }
    return [(*places[id(item.mark)], item.mark, item.why) for item in reading.doubts]
