"""Whether columns of numbers are measurements (Iris, Wine, UCI's letters) and no pixels.

In: names and values of the columns that are left for pixels. Out: what gives them away, or nothing.
It stands alone because it is a doubt, not a reading: four numbers a line may be a 2×2 image, and a
network that is trained on the lengths of petals learns nothing that anybody asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from datasets.tables.header import is_number

_FEW = 36  # columns; the smallest images that people keep in tables have 6×6 to 8×8 pixels
_FEWEST_ROWS = 5  # of fewer, their largest value says little
_DARK = 100  # white in a table is 255 or 1 as a rule
_WORD = re.compile(r"[^\W\d_]{3,}")  # `pixel0`, `p0` and `1x1` have one word in all, or none


def sign_of_measurements(names: Sequence[str], columns: Sequence[Sequence[str]]) -> str:
    """What says that the columns are no pixels; empty where nothing does.

    Args:
        names: of the columns; empty where the table has none.
        columns: their fields, of as many rows as are at hand.
    """
    if names:
        stems = {re.sub(r"\d+", "", name.lower()) for name in names if _WORD.search(name)}
        shown = f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
        return f"its columns are called {shown}" if 2 * len(stems) > len(names) else ""
    if len(columns) >= _FEW or any(len(column) < _FEWEST_ROWS for column in columns):
        return ""
    values = [float(field) for column in columns for field in column if is_number(field)]
    largest = max(filter(math.isfinite, values), default=0.0)
    is_dark = 1 < largest < _DARK
    return f"it has {len(columns)} columns of values up to {largest:g}" if is_dark else ""
