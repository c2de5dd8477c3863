"""What stands on a sheet and is no digit of the set, and what is one that a person should check.

In: marks, and why the reading took them so. Out: what the console, `sheet.json` and the
contact sheet show. It stands alone because several files find such marks.
"""

from __future__ import annotations

from dataclasses import dataclass

from datasets.sheet.strokes.marks import Mark

DIRT = "taken for dirt"
CUT_OFF = "cut off by the edge of the photograph"
CROSSED_OUT = "crossed out"
ROW_LABEL = "in front of a row, and no digit of it"
SKIPPED = "in a row that the label - skips"
HEADING = "in a row that is unlike the rows of digits"
SURPLUS = "more than the row should hold, and like no digit"
SMALL = "in a row, and much smaller than its digits"
LIKE_NO_DIGIT = "looks like no whole digit"
MUCH_INK = "much more ink than its neighbours: crossed out?"
OTHER_SIZE = "much larger or smaller than the other digits"
OTHER_INK = "in another ink than the other digits"


@dataclass(frozen=True)
class Noted:
    """A mark that is none of the set, or one that is and that a person should check; and why."""

    mark: Mark
    why: str
