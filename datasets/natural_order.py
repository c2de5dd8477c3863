"""The order in which people expect names that hold numbers: `2` before `10`.

In: a text. Out: a key to sort by. It stands alone because names of classes and of labels sort
alike.
"""

from __future__ import annotations

import re


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts `2` before `10`, and everything else as text."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", text)  # `²` is a digit that makes no number
    return tuple((0, int(p), "") if p[0] in "0123456789" else (1, 0, p) for p in pieces)
