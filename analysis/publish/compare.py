"""Where two reports differ: numbers to their last bits, words exactly.

In: the content of a report that somebody published, and of the one that its tables give. Out: one
line a difference, with where it is and both values. It stands alone because it knows no files:
JSON, CSV and pages come to it as values and texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

RELATIVE, ABSOLUTE = 1e-9, 1e-12  # machines differ in the last bits of what they calculate
SHOWN = 60  # characters of a value
AROUND = 24  # characters before a difference in a text
_NAMING = (
    *("name", "task", "treatment", "control", "arm", "class", "class_name"),
    *("metric", "quantity", "target", "unit", "seed"),
)
_NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w])")
_LONG = 6  # digits from which a number may have last bits that differ


def differences(said: object, made: object, where: str = "") -> Iterator[str]:
    """A line for each place where two contents of JSON differ.

    `said`: what the publication has; `made`: what its tables give.
    """
    if isinstance(said, Mapping) and isinstance(made, Mapping):
        for key in dict.fromkeys([*made, *said]):
            place = f"{where}, {key}" if where else str(key)
            if key not in said:
                yield f"{place}: lacks in the report; the tables give {shown(made[key])}"
            elif key not in made:
                yield f"{place}: the report says {shown(said[key])}; the tables give no such thing"
            else:
                yield from differences(said[key], made[key], place)
    elif isinstance(said, list) and isinstance(made, list):
        if len(said) != len(made):
            yield f"{where}: the report has {len(said)} entries, the tables give {len(made)}"
        for k, (left, right) in enumerate(zip(said, made, strict=False), 1):
            yield from differences(left, right, f"{where}, {k}{_named(right)}")
    elif not _equal(said, made):
        yield f"{where}: the report says {shown(said)}, the tables give {shown(made)}"


def text_differences(said: str, made: str) -> Iterator[str]:
    """The first place where two texts differ, if any; long numbers may in their last digits."""
    places = zip_longest(_pieces(said), _pieces(made), fillvalue=(0, "", False))
    for (start, left, is_number), (_, right, both) in places:
        if left == right or (is_number and both and _equal(_value(left), _value(right))):
            continue
        n = _n_alike(left, right)
        before = " ".join(said[max(0, start + n - AROUND) : start + n].split())
        yield (
            f"after “{before}”: the report says {shown(left[n:])}, the tables give "
            f"{shown(right[n:])}"
        )
        return


def shown(value: object) -> str:
    """A value as a line has it: short, and nothing that a terminal obeys."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split()) or "nothing"
    text = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return f"“{text}”" if isinstance(value, str) and text != "nothing" else text


def _equal(said: object, made: object) -> bool:
    if isinstance(said, bool) or isinstance(made, bool):
        return said is made
    if isinstance(said, int | float) and isinstance(made, int | float):
        return math.isclose(said, made, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if isinstance(said, str) and isinstance(made, str):
        return said == made
    return type(said) is type(made) and said == made


def _named(row: object) -> str:
    """` (pretrained, scratch, test_accuracy)`: what names a row of a table, else nothing."""
    if not isinstance(row, Mapping):
        return ""
    words = [str(row[key]) for key in _NAMING if row.get(key) not in (None, "")]
    return f" ({', '.join(words)})" if words else ""


def _pieces(text: str) -> Iterator[tuple[int, str, bool]]:
    """Start and text of what stands between long numbers, and of these; whether it is one."""
    at = 0
    for match in _NUMBER.finditer(text):
        if sum(map(str.isdigit, match[0])) >= _LONG:
            yield at, text[at : match.start()], False
            yield match.start(), match[0], True
            at = match.end()
    yield at, text[at:], False


def _value(number: str) -> float:
    return float(number.replace("−", "-"))


def _n_alike(left: str, right: str) -> int:
    """How many characters two texts begin alike with."""
    pairs: Iterator[tuple[str, str]] = zip(left, right, strict=False)
    return next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def listed(lines: Sequence[str], most: int) -> list[str]:
    """The first `most` lines, and how many more there are."""
    more = len(lines) - most
    return [*lines[:most], *([f"… {more:,} more"] if more > 0 else [])]
