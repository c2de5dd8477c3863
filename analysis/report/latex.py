"""Tables for papers: LaTeX (booktabs) that fits a column of two, or else the page's width.

In: a `Table`. Out: a file to `\\input`. It stands alone because LaTeX cannot scroll: what a table
has room for is worked out here, from the widths of its texts.

Every float opens with its own font size, so nothing of a document's is changed. The document needs
booktabs and array.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.report.tables import Cell, Column, Table

MOST_ROWS = 500
COLUMN, PAGE = 8.5, 17.6  # cm: of a column of two, and of both
LINES = 44  # of one float
SIZES = {"footnotesize": 8.0, "scriptsize": 7.0}  # pt
SEPARATION = 0.21  # cm between two columns
SHORTEST = 2.6  # cm: narrower is no column of texts
_INTERVAL = r"\[[-−+\d.,%×∞ ]+\]"  # of numbers: an arm's name may have brackets too
_ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", '"': "''", "|": r"\textbar{}",
    "×": r"$\times$", "−": r"$-$", "≥": r"$\geq$", "≤": r"$\leq$", "∞": r"$\infty$",
    "±": r"$\pm$", "–": "--", "“": "``", "”": "''", "’": "'", "→": r"$\to$",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """`text` with every character that LaTeX would read as a command made harmless."""
    return "".join(_ESCAPED.get(character, character) for character in text)


def latex_table(table: Table) -> str:
    """The table's floats: the columns that authors print, estimates with their intervals.

    A long table, or one that has a float for each value of a column (`Table.paper_by`), gives
    several. Each is a `table` where it fits a column (8.5 cm), else a `table*`.
    """
    parts = [_float(*part) for part in _parts(table)]
    more = len(table.frame) - MOST_ROWS
    cut = [f"% {more} more rows in {table.name}.csv\n"] if more > 0 else []
    return "% \\usepackage{booktabs,array}\n" + "\n".join([*parts, *cut])


Place = tuple[str, ...]


def _parts(table: Table) -> Iterator[tuple[Table, list[list[Cell]], str, str]]:
    """Each float: a table, its rows, what its caption adds, and its label ("" where continued)."""
    shown = replace(table, columns=table.paper or table.first.columns)
    places = list(table.frame[list(table.paper_by)].itertuples(index=False, name=None))
    rows = list(shown.rows(MOST_ROWS))
    labels = _labels(table.name, dict.fromkeys(places[: len(rows)]))
    for place, label in labels.items():
        members = [row for row, its in zip(rows, places, strict=False) if its == place]
        name = ", ".join(f"“{value}”" for value in place)
        for k, part in enumerate(_pages(members)):
            which = ", ".join(filter(None, [name, "continued" * (k > 0)]))
            yield shown, part, which, "" if k else label


def _pages(rows: Sequence[list[Cell]]) -> Iterator[list[list[Cell]]]:
    """The rows in parts that fit a page: a long text takes several lines."""
    part: list[list[Cell]] = []
    n = 0
    for row in rows:
        lines = max(1 if cell.is_number else math.ceil(len(cell.text) / 24) for cell in row)
        if part and n + lines > LINES:
            yield part
            part, n = [], 0
        part.append(row)
        n += lines
    yield part


@dataclass(frozen=True)
class _Layout:
    """A font size, the environment, and of each column what LaTeX is told (`l`, `r`, `p{…}`)."""

    size: str
    environment: str
    columns: tuple[str, ...]


def _float(table: Table, rows: Sequence[Sequence[Cell]], which: str, label: str) -> str:
    columns = table.columns
    layout = _layout(columns, rows)
    lines = [_row(row, layout.columns) for row in rows]
    title = f"{table.title} ({which})" if which else table.title
    return "\n".join(
        [
            rf"\begin{{{layout.environment}}}",
            r"\centering",
            rf"\{layout.size}",
            rf"\setlength{{\tabcolsep}}{{{SEPARATION / 2:.3f}cm}}",
            r"\caption{" + escape_latex(f"{title}. {table.note}".strip()) + "}",
            *([rf"\label{{{label}}}"] if label else []),
            rf"\begin{{tabular}}{{@{{}}{''.join(layout.columns)}@{{}}}}",
            r"\toprule",
            " & ".join(map(_heading, columns, layout.columns)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\end{{{layout.environment}}}",
            "",
        ]
    )


def _labels(table: str, places: Iterable[Place]) -> Mapping[Place, str]:
    """A label of letters and digits for each, whatever its arm is called; no two are the same."""
    plain = {place: re.sub(r"[^A-Za-z0-9]+", "-", "-".join(place)).strip("-") for place in places}
    counts = Counter(plain.values())
    numbers = {place: str(k) * (counts[plain[place]] > 1) for k, place in enumerate(plain, 1)}
    return {
        place: "-".join(filter(None, (f"tab:{table}", plain[place], numbers[place])))
        for place in plain
    }


def _row(row: Sequence[Cell], told: Sequence[str]) -> str:
    texts = [
        _breakable(cell.text) if column.startswith(">") else escape_latex(cell.text)
        for cell, column in zip(row, told, strict=True)
    ]
    return _guarded(" & ".join(texts)) + r" \\"


def _breakable(text: str) -> str:
    """A text for a narrow paragraph: long words may break anywhere, an interval nowhere."""
    words = []
    for word in re.findall(rf"{_INTERVAL}|\S+", text):
        if re.fullmatch(_INTERVAL, word):
            words.append(escape_latex(word).replace(" ", "~"))
        else:
            pieces = textwrap.wrap(word, 8) if len(word) > 10 else [word]
            words.append(r"\allowbreak{}".join(map(escape_latex, pieces)))
    return " ".join(words)


def _guarded(line: str) -> str:
    """A line that begins with `[` or `*` would be read as an argument of the `\\\\` before it."""
    return "{}" * line.startswith(("[", "*")) + line


def _heading(column: Column, told: str) -> str:
    """The heading in lines of about the column's width, at the side on which its numbers stand."""
    if told.startswith(">"):
        return escape_latex(column.heading)
    lines = r" \\ ".join(_guarded(escape_latex(line)) for line in _lines(column))
    return rf"\shortstack[{told}]{{{lines}}}" if r"\\" in lines else lines


def _lines(column: Column) -> list[str]:
    words = column.heading.split()
    return textwrap.wrap(column.heading, max(10, *map(len, words)), break_long_words=False)


def _layout(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> _Layout:
    """The largest letters in which the table fits a column; else the page's width."""
    for environment, room in (("table", COLUMN), ("table*", PAGE)):
        for size, points in SIZES.items():
            widths = _widths(columns, rows, points)
            least = [
                w if c.is_number else min(w, SHORTEST) for c, w in zip(columns, widths, strict=True)
            ]
            free = room - SEPARATION * (len(columns) - 1) - sum(least)
            if free >= 0 or (environment, size) == ("table*", "scriptsize"):
                return _Layout(size, environment, _told(columns, widths, least, max(free, 0.0)))
    raise AssertionError("the last size takes every table")


def _told(
    columns: Sequence[Column], widths: Sequence[float], least: Sequence[float], free: float
) -> tuple[str, ...]:
    """What each column is: as wide as its texts, or a paragraph with its share of what is free."""
    wanted = sum(widths) - sum(least)
    told = []
    for column, width, narrow in zip(columns, widths, least, strict=True):
        if width <= narrow or wanted <= free:
            told.append("r" if column.is_number else "l")
        else:
            own = narrow + free * (width - narrow) / wanted
            told.append(rf">{{\raggedright\arraybackslash}}p{{{own:.2f}cm}}")
    return tuple(told)


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], points: float
) -> list[float]:
    """Of each column in cm, of letters of so many points."""
    return [
        max(
            *(_width(line, points) for line in _lines(column)),
            *(_width(row[k].text, points) for row in rows),
        )
        for k, column in enumerate(columns)
    ]


def _width(text: str, points: float) -> float:
    """Of a text in cm, a little too wide rather than too narrow (Computer Modern)."""
    return sum(map(_em, text)) * points * 1.06 * 0.03515


def _em(character: str) -> float:
    if character in "iljt.,;:'|![]()/’ ":
        return 0.34
    if character in "mwMW%×−≥≤∞±–+=":
        return 0.86
    return 0.76 if character.isupper() or not character.isascii() else 0.53
