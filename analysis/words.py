"""Numbers as a reader sees them, and lists and plurals in plain English.

In: values. Out: texts. It stands alone so that a value looks the same in the page, the PDF, the
LaTeX tables and the sentences. Accuracies come in as fractions and go out as percent; differences
of accuracies go out as points (hundredths).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

NOTHING = "–"
ALPHA = 0.05  # what is at most this is beyond chance
_NOTHING_AT_ALL = 1e-9  # rounding of sums
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")  # of the direction of reading


def percent(value: float) -> str:
    """0.98123 → `98.12 %`."""
    return f"{100 * value:.2f} %"


def target(value: float) -> str:
    """0.975 → `97.5 %`: a round number that somebody chose."""
    return f"{100 * value:g} %"


def chosen(value: float) -> str:
    """2.5 → `2.5`: a round number that somebody chose, in a unit that stands elsewhere."""
    return f"{value:g}".replace("-", "−")


def verdict(name: str) -> str:
    """`inconclusive` → `not known`; `better`, `worse`, `equivalent` as they are."""
    return "not known" if name == "inconclusive" else name


def points(value: float) -> str:
    """0.0034 → `+0.34` (percentage points).

    What is not 0 is not written as 0: an end of an interval must show on which side it lies.
    """
    if abs(value) < _NOTHING_AT_ALL:
        return "0.00"
    digits = 2
    while not float(text := f"{100 * value:+.{digits}f}"):
        digits += 1
    return text.replace("-", "−")


def signed(value: float, digits: int | None = None) -> str:
    """0.0123 → `+0.0123`: a difference of what is no share."""
    text = number(value, digits)
    return text if text.startswith("−") or not value else f"+{text}"


def points_plain(value: float) -> str:
    """0.0034 → `0.34`: points of something that is no difference, as a standard deviation."""
    return f"{100 * value:.2f}"


def share(value: float) -> str:
    """0.934 → `93 %`."""
    return f"{100 * value:.0f} %"


def count(value: float) -> str:
    """1234.4 → `1,234`, 6.6 → `7`; what is not 0 is not written as 0."""
    return _not_zero(value, 0).replace("-", "−")


def ratio(value: float) -> str:
    """1.4342 → `1.43×`; what is not 1 is not written as 1."""
    digits = 2
    while abs(value - 1) > _NOTHING_AT_ALL and float(f"{value:.{digits}f}") == 1:
        digits += 1
    return f"{value:.{digits}f}×" if digits > 2 else f"{number(value)}×"


def log_ratio(value: float) -> str:
    """−0.334 → `0.716×`: the ratio of which it is the logarithm."""
    return ratio(math.exp(value))


def number(value: float, digits: int | None = None) -> str:
    """Three significant digits, without an exponent where that can be read.

    Or so many `digits` after the point, with more for what would be written as 0.
    """
    if value == 0:
        return "0"
    if 1e-5 <= abs(value) < 1e6:
        digits = _decimals(value) if digits is None else digits
        return _not_zero(value, digits).replace("-", "−")
    return f"{value:.2e}".replace("-", "−")


def _decimals(value: float) -> int:
    """Digits after the point that leave three significant ones."""
    return max(0, 2 - math.floor(math.log10(abs(value))))


def _not_zero(value: float, digits: int) -> str:
    while value and digits < 9 and not float(f"{value:.{digits}f}"):
        digits += 1
    return f"{value:,.{digits}f}"


def seconds(value: float, digits: int | None = None) -> str:
    """12.34 → `12.3 s`, in seconds however long, so that a column can be compared."""
    return f"{number(value, digits)} s"


def probability(value: float) -> str:
    """A p-value: `0.012`, `<0.001`; with more digits where 0.05 would stand for more than that."""
    digits = 3
    while digits < 9 and value > ALPHA * (1 + 1e-9) and float(f"{value:.{digits}f}") <= ALPHA:
        digits += 1
    return "<0.001" if value < 0.001 else f"{value:.{digits}f}"


_WRITERS: tuple[Callable[[float], str], ...] = (
    *(percent, target, chosen, points, points_plain, share, signed),
    *(count, ratio, log_ratio, number, seconds, probability),
)
_KINDS = {writer.__name__: writer for writer in _WRITERS}
_ALIKE: dict[str, Callable[[float, int | None], str]] = {
    writer.__name__: writer for writer in (number, signed, seconds)
}  # kinds of which the numbers of an interval have equally many digits after the point


def write(kind: str, value: object, digits: int | None = None) -> str:
    """`value` as text of that kind; `–` for a missing one, `not reached` for an infinite time.

    `kind` is one of percent, target, chosen, points, points_plain, share, signed, count, ratio,
    log_ratio, number, seconds, probability, text.
    """
    if kind == "text" or isinstance(value, str):
        return "" if value is None or value != value else str(value)
    if value is None or math.isnan(float(value)):  # type: ignore[arg-type]
        return NOTHING
    value = float(value)  # type: ignore[arg-type]
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return _KINDS[kind](value) if digits is None else _ALIKE[kind](value, digits)


def interval(kind: str, estimate: float, low: float, high: float, bound: str = "") -> str:
    """`98.12 % [98.02, 98.21]`; the estimate alone without bounds; a lone bound as `≥` or `≤`.

    An interval without width is no interval: the estimate alone. A ratio above 0 says nothing: `–`.
    `bound` stands before it: `at least 1.57× [1.44, ∞]`.
    """
    text = _interval(kind, estimate, low, high)
    return f"{bound} {text}" if bound else text


def _interval(kind: str, estimate: float, low: float, high: float) -> str:
    bounds = [math.isfinite(low), math.isfinite(high)]
    known = math.isfinite(estimate) and not math.isnan(low) and not math.isnan(high)
    if known and not low == estimate == high:
        digits = _common_digits(kind, (estimate, low, high))
        ends = ", ".join(bare(kind, end, digits) for end in (low, high))
        return f"{write(kind, estimate, digits)} [{ends}]"
    if not math.isfinite(estimate) and any(bounds):
        if bounds[0]:
            return NOTHING if kind == "ratio" and not low else f"≥ {write(kind, low)}"
        return f"≤ {write(kind, high)}"
    return write(kind, estimate)


def _common_digits(kind: str, values: Iterable[float]) -> int | None:
    """As many after the point as the largest has with three significant digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return _decimals(largest) if kind in _ALIKE and largest else None


def bare(kind: str, value: float, digits: int | None = None) -> str:
    """The number without its unit, for the second and third numbers of an interval."""
    return write(kind, value, digits).removesuffix(" %").removesuffix(" s").removesuffix("×")


def listed(items: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    words = list(items)
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def shortened(items: Sequence[str], limit: int = 6) -> str:
    """`listed`, with `and 12 more` in place of what exceeds `limit`."""
    if len(items) <= limit:
        return listed(items)
    return f"{', '.join(items[:limit])} and {len(items) - limit} more"


def plural(n: int, noun: str, nouns: str = "") -> str:
    """`1 seed`, `2 seeds`."""
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def spaced(key: str) -> str:
    """`learning_rate` → `learning rate`."""
    return key.replace("_", " ")


def joined(*notes: str) -> str:
    """Notes as one text: `a; b`. Empty ones are left out."""
    return "; ".join(note for note in notes if note)


def sentence(text: str) -> str:
    """`text` with a capital first letter and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def one_way(text: str) -> str:
    """`text` without the characters that turn the direction of reading for all that follows."""
    return _TURNS.sub("", text)
