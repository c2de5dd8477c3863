"""What a command says of its data sets before it trains: classes, warnings, notes, stand-ins.

In: a plan. Out: lines for a console, each data set once. It stands alone because a run and
`--dry-run` say the same; the report has all of it (`analysis/report/displays_data.py`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from harness.trials.spec import DataUse, PassedOver, Plan
from headstart.metrics import WITHOUT_ACCURACY
from headstart.output import on_one_line

WIDTH = 100  # columns of a line, in a terminal and in a log
MOST_NOTES = 3  # of a data set
MOST_SETS = 12
MOST_USERS = 3  # stages and arms that use a data set
LONGEST_NOTE = 400  # characters
LONGEST_NAME = 40
LONGEST_REASON = 160
TIED = "\xa0"  # a space at which no line ends


def stand_ins(plan: Plan, *, with_reasons: bool = True) -> Iterator[str]:
    """A line for each data set that is used in place of another one: a command's first and last."""
    lines: dict[str, None] = {}
    for trial in plan.trials:
        use = trial.data
        if use.stand_in_for:
            lines[_stand_in(plan.sweep.name, use, with_reasons)] = None
    yield from lines


def describe(plan: Plan, *, all_notes: bool = False, width: int = WIDTH) -> Iterator[str]:
    """What is in each data set, what it warns of, and the first of its notes, or all of them.

    width: columns of a line.
    """
    users = _users(plan) if len(plan.data) > 1 else {}
    for use in plan.data[:MOST_SETS]:
        who = users.get((use.choice.name, use.fingerprint), ())
        yield from _wrapped(_content(use, who), "", width)
        for warning in use.warnings:
            yield from _wrapped(f"warning: {warning}", "  ", width)
        notes = (*use.split_notes, *use.notes)
        for note in notes if all_notes else notes[:MOST_NOTES]:
            yield from _wrapped(f"note: {note}", "  ", width)
        if len(notes) > MOST_NOTES and not all_notes:
            yield f"  … {len(notes) - MOST_NOTES} more, all in the report"
    if len(plan.data) > MOST_SETS:
        yield f"data: … {len(plan.data) - MOST_SETS} more data sets, all in the report"


def fitted(line: str, width: int | None) -> Sequence[str]:
    """A line as a terminal of this width shows it without splitting words; None: as it is."""
    if width is None or len(line) <= width:
        return [line]
    return textwrap.wrap(
        line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _users(plan: Plan) -> dict[tuple[str, str], tuple[str, ...]]:
    """By data set the stages and arms that use it."""
    names: dict[tuple[str, str], dict[str, None]] = {}
    for (_, arm), trials in plan.by_arm.items():
        use = trials[0].data
        names.setdefault((use.choice.name, use.fingerprint), {})[arm] = None
    return {key: tuple(arms) for key, arms in names.items()}


def _content(use: DataUse, users: Sequence[str]) -> str:
    """`data: folder photos.zip, 244 train + 153 validation images, 2 classes: ants 193, bees 204`.

    Where that takes over two lines, the first and the last class and the range of their counts.
    `users` stand in brackets after the name.
    """
    more = ", …" if len(users) > MOST_USERS else ""
    who = f" ({', '.join(users[:MOST_USERS])}{more})" if users else ""
    images = " + ".join(f"{sum(n)} {part}".strip() for part, n in use.counts.items())
    head = f"data: {use.choice.label}{who}, {images} images, "
    if use.target in WITHOUT_ACCURACY:  # a note says what the labels hold
        kinds = {"labels": f"{len(use.class_names)} labels: {', '.join(use.class_names)}"}
        return _cut(head + kinds.get(use.target, "each with a number"), LONGEST_NOTE)
    head += f"{len(use.class_names)} classes"
    counts = [sum(of_class) for of_class in zip(*use.counts.values(), strict=True)]
    each = [f"{name}{TIED}{n}" for name, n in zip(use.class_names, counts, strict=True)]
    text = f"{head}: {', '.join(each)}"
    if len(_wrapped(text, "")) <= 2:
        return text
    low, high = min(counts), max(counts)
    n_images = f"{low}" if low == high else f"{low} to {high}"
    ends = [_cut(use.class_names[k], LONGEST_NAME) for k in (0, -1)]
    return f"{head}: {ends[0]} … {ends[1]}, {n_images} images each"


def _stand_in(sweep: str, use: DataUse, with_reasons: bool) -> str:
    text = f"{sweep}: {use.choice.label} stands in for {use.passed_over[0].name}"
    if with_reasons:
        first, *others = use.passed_over
        also = (f"; nor is {other.name} used ({_brief(other)})" for other in others)
        text += f" ({_brief(first)}){''.join(also)}"
    return on_one_line(text)


def _brief(other: PassedOver) -> str:
    return _cut(other.brief or other.reason, LONGEST_REASON)


def _wrapped(text: str, indent: str, width: int = WIDTH) -> Sequence[str]:
    lines = textwrap.wrap(
        _cut(text, LONGEST_NOTE), width, initial_indent=indent, subsequent_indent=f"{indent}  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace(TIED, " ") for line in lines]


def _cut(text: str, most: int) -> str:
    text = on_one_line(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
