"""The words for the parts of a data set, in the spellings of people and tools.

In: names of files, folders, arrays and values of columns. Out: the part that one says. It stands
alone because all readers find parts by the same words; where a word may mean something else, as
`tr` may, a reader adds it for itself.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType

WORDS = MappingProxyType(
    {
        "train": ("train", "training", "trn", "trainval"),
        "validation": ("val", "vali", "valid", "validation", "validate", "validating", "dev"),
        "test": ("test", "tests", "testing", "tst", "holdout"),
    }
)
PART_OF = MappingProxyType({word: part for part, words in WORDS.items() for word in words})


@lru_cache(maxsize=4096)  # the same few folders are asked of again and again
def part_in(name: str) -> str:
    """The part that a name speaks of (`trainLabels`, `test_images`, `val`); empty where none."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())
    parts = {PART_OF[word] for word in words if word in PART_OF}
    return parts.pop() if len(parts) == 1 else ""
