"""Whether a sheet clearly shows something else than its labels say, and what.

In: ink of each digit, row by row, and the labels. Out: what the rows look like, where that is
clear: how somebody writes a seven is no reason to refuse a sheet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets.sheet.looks.shapes import DIGITS, NO_DIGIT, probabilities

_LEAST = 0.005
_CLEARLY = 2.0  # nats a digit: a row of another class
_READABLE = 0.8  # probability: a single digit that is clearly another
_HARDLY = 0.2  # probability of its own label: marks that are less so, on the whole, are not it
_MOSTLY = 0.5  # of the rows, or of the marks
_MOSTLY_OF_TEXT = 0.4  # of its digits
_HABITS = 3  # classes: nobody writes so many of them like others


def looks_like(inks: Sequence[Sequence[np.ndarray]], labels: Sequence[str]) -> str | None:
    """What is written in the rows, where it clearly is not what the labels say.

    Args:
        inks: of each row the images, uint8 (h, w), of its digits.
        labels: of each row one character a digit.

    Returns:
        For rows of one class each: a character a row. Else the text of each row, with spaces
        between the rows. None where more than half of it may be what the labels say.
    """
    if len(labels) < 2 and len(set("".join(labels))) < 2:
        return None
    if not set("".join(labels)) <= set(DIGITS):
        return None
    shares = [probabilities(row) for row in inks]
    if all(len(set(row)) == 1 for row in labels):
        return _other_classes(shares, [row[0] for row in labels])
    return _other_text(shares, labels)


def look_like_no_digits(inks: Sequence[np.ndarray], labels: str) -> bool:
    """Whether the marks that are labelled as digits look, on the whole, like none: no sheet.

    A hand that writes its sevens in its own way still looks like digits, and mostly like its own.
    """
    known = [(ink, int(c)) for ink, c in zip(inks, labels, strict=True) if c in DIGITS]
    if not known:
        return False
    shares = probabilities([ink for ink, _ in known])
    own = shares[np.arange(len(known)), [label for _, label in known]]
    return float(shares[:, NO_DIGIT].mean()) > _MOSTLY and float(own.mean()) < _HARDLY


def _other_classes(shares: Sequence[np.ndarray], labels: Sequence[str]) -> str | None:
    logs = np.stack([np.log(np.maximum(row[:, :NO_DIGIT], _LEAST)).mean(axis=0) for row in shares])
    own = logs[np.arange(len(labels)), [int(label) for label in labels]]
    other = logs.max(axis=1) - own > _CLEARLY
    read = "".join(DIGITS[i] for i in logs.argmax(axis=1))
    return read if other.sum() > max(1, _MOSTLY * len(labels)) else None


def _other_text(shares: Sequence[np.ndarray], labels: Sequence[str]) -> str | None:
    whole = np.concatenate(shares)[:, :NO_DIGIT]
    own = np.array([int(label) for label in "".join(labels)])
    other = (whole.max(axis=1) > _READABLE) & (whole.argmax(axis=1) != own)
    is_habit = len(set(own[other].tolist())) < _HABITS  # somebody's sevens look like ones
    if is_habit or other.sum() <= _MOSTLY_OF_TEXT * len(own):
        return None
    return " ".join("".join(DIGITS[i] for i in row[:, :NO_DIGIT].argmax(axis=1)) for row in shares)
