"""How a number looks in a cell: the workbook's number formats, one for each kind of `words.write`.

In: a kind, and the values of a column. Out: what to write and the format to write it in. It stands
alone because it needs no workbook: a cell must say the same as the page does in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.words import ALPHA

MOST_PLACES = 6  # after the point
HALF = 0.5  # what is less would be written as 0
_PLAIN = ("number", "signed", "seconds")  # three digits that count, the same for a whole column


@dataclass(frozen=True)
class Look:
    """How the numbers of one column look: their kind, and the places after the point."""

    kind: str
    places: int = 0

    def form(self, value: float) -> str:
        """The format of a cell that holds `value` (see `held`).

        What is not 0 is never shown as 0, a ratio that is not 1 never as 1, and no probability
        above 5 % as 5 %.
        """
        match self.kind:
            case "points" | "points_named":
                zeros = _zeros(_places(2, value, 0.0))
                unit = '" points"' if self.kind == "points_named" else ""
                return f"+{zeros}{unit};-{zeros}{unit};0.00{unit}"
            case "ratio" | "log_ratio":
                return f'{_zeros(_places(2, value, 1.0))}"×"'
            case "probability":
                places = _places(3, value, ALPHA) if value > ALPHA else 3
                return f'[<0.001]"<0.001";{_zeros(places)}'
        return self._of_column()

    def _of_column(self) -> str:
        zeros = _zeros(self.places)
        return {
            "percent": "0.00%",
            "points_plain": "0.00",
            "share": "0%",
            "target": f"{zeros}%",
            "count": f"#,##{zeros}",
            "number": f"#,##{zeros}",
            "signed": f"+{zeros};-{zeros};{zeros}",
            "seconds": f'#,##{zeros}" s"',
            "setting": "General",
            "chosen": "General",
        }[self.kind]


def look_of(kind: str, values: Iterable[object]) -> Look:
    """How a column of these values looks."""
    numbers = [abs(float(v)) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    if kind in _PLAIN:
        return Look(kind, _three_digits(numbers))
    if kind == "target":
        fits = (
            n for n in range(3) if all(math.isclose(100 * v, round(100 * v, n)) for v in numbers)
        )
        return Look(kind, next(fits, 3))
    if kind == "count":
        return Look(kind, int(any(0 < v < HALF for v in numbers)))
    return Look(kind)


def held(kind: str, value: float) -> float:
    """What a cell holds for `value`: points are hundredths, a ratio is no logarithm."""
    if kind.startswith("points"):
        return 100 * value
    return math.exp(value) if kind == "log_ratio" else value


def _three_digits(numbers: list[float]) -> int:
    """Places after the point that show three digits of the value in the middle."""
    sizes = sorted(v for v in numbers if v > 0)
    if not sizes:
        return 0
    return min(MOST_PLACES, max(0, 2 - math.floor(math.log10(sizes[len(sizes) // 2]))))


def _places(least: int, value: float, apart_from: float) -> int:
    """Places that tell `value` from a number that it is not, at least `least`."""
    places = least
    while places < 9 and value != apart_from and round(value, places) == apart_from:
        places += 1
    return places


def _zeros(places: int) -> str:
    return "0." + "0" * places if places else "0"
