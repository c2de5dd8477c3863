"""A run in a notebook: `load` gives its tables as DataFrames, its figures as Axes, its answer.

In: run folders. Out: a `Run`, whose numbers are those of the report. It stands alone because a
person at a prompt asks for one thing after the other: what nobody asks for is not computed, and
what was computed is kept.
"""

from __future__ import annotations

import html
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis import words
from analysis.findings.asked import read_asked
from analysis.findings.findings import Findings, find
from analysis.findings.load import Runs, load_runs
from analysis.findings.looked import looks_now, remember
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.wording import row_name, row_words
from headstart.cli import as_line, path_error
from headstart.errors import HeadstartError, InputError, did_you_mean

if TYPE_CHECKING:
    from altair import Chart
    from matplotlib.axes import Axes

    from analysis.report.glance import Card, Glance

Folder = str | os.PathLike[str]


def load(*folders: Folder) -> Run:
    """Read one or several run folders: runs of one sweep are merged, other sweeps become tasks.

    A run that is not finished, and folders that are not alike, give a warning that says so.

    Raises:
        RunFolderError: a folder is no run folder, is damaged, or no trial in it has ended.
        InputError: no folder, or runs that no report can hold together.
    """
    paths = [_path(folder) for folder in folders]
    if not paths:
        raise InputError("load(): the path of a run folder is expected, as load('runs/part2')")
    try:
        run = Run(load_runs(paths))
        missing = run.unfinished
    except HeadstartError as err:
        raise err.with_traceback(None) from None  # its line says all that a reader needs
    except OSError as err:
        raise path_error(err, as_line(err)) from None
    for text in filter(None, (missing, *run.remarks)):
        warnings.warn(text, stacklevel=2)
    return run


def _path(folder: object) -> Path:
    """Absolute, so that a notebook may change its working folder later."""
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise InputError(f"load({folder!r}): the path of a run folder is expected")
    return Path(os.path.abspath(os.path.expanduser(os.fsdecode(folder))))


class Run:
    """One or several run folders, read: tables, figures and the answer, each when it is asked for.

    Whoever sees comparisons has looked at the run, as whoever makes a report has: the folder
    remembers at which number of seeds that was.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is not alike in folders that were merged."""
        return self._runs.remarks

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial of any stage: the columns of `trials.parquet`, `task` and `folder`.

        Accuracies are fractions, columns that end in `_s` seconds. `arm` is an ordered category.
        """
        return self._in_order(self._runs.trials, "arm")

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row an evaluation of a trial: the columns of `curves.parquet`, `task` and `stage`."""
        return self._in_order(self._runs.curves, "arm")

    @cached_property
    def arms(self) -> pd.DataFrame:
        """One row a task and arm: counts of trials, final value and training time with intervals.

        `score` is the mean over seeds (a fraction where an accuracy is measured) with its 95 %
        interval `score_low` to `score_high`; `sd` is the spread over seeds with its own interval.
        """
        keys = ["task", "arm"]
        columns = [*keys, "sd", "sd_low", "sd_high"]
        spread = self.findings.stability.reindex(columns=columns)  # of no arm it has no columns
        return self._in_order(self.findings.arms.merge(spread, on=keys, how="left"), "arm")

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """One row a comparison of two arms: estimate, interval, p, verdict, the same in words.

        Columns: task, treatment, control, quantity, target (a fraction; empty but for times),
        estimate, low, high (95 % interval of this comparison alone), unit (`fraction` and `nats`:
        treatment minus control; `speedup`: control over treatment, above 1 the treatment is
        sooner; `ratio`: treatment over control), bound (`at least`, `at most` or nothing), n
        (pairs of seeds, or trials of the smaller arm), p_alone, p_question (among the comparisons
        of its question; the verdict rests on it), question, verdict (`better`, `worse`,
        `equivalent` or `not shown`), words.
        """
        rows = [_row(comparison) for comparison in self.findings.pairs.comparisons]
        return self._in_order(pd.DataFrame(rows, columns=list(_COLUMNS)), "treatment", "control")

    @cached_property
    def findings(self) -> Findings:
        """Everything that a report is made from; its tables are `docs/report.md`'s."""
        findings = find(self._runs)
        remember(looks_now(self._runs, findings.asked))
        return findings

    @property
    def unfinished(self) -> str:
        """How many trials of the plan have ended, where some have not; else empty."""
        left = self._runs.unfinished
        return f"unfinished: {left}; all numbers are of those" if left is not None else ""

    @cached_property
    def figures(self) -> tuple[str, ...]:
        """The names that `figure` knows: the figures that a report of this run has."""
        return tuple(self._modules)

    def figure(self, name: str) -> Axes:
        """Draw one figure of the report anew and return its (first) axes; `.figure` is the whole.

        It belongs to pyplot, so that a notebook shows it and `plt.show()` opens it.

        Raises:
            InputError: there is no figure of this name; the message has the names that there are.
        """
        from matplotlib import pyplot

        from analysis.figures import each_drawing
        from analysis.figures.style import arm_styles

        if name not in self._modules:
            raise _unknown("figure", name, self.figures)
        styles = arm_styles(self.findings.arm_names)
        with closing(each_drawing(self.findings, styles, (self._modules[name],))) as drawings:
            figure = next(drawn.figure for _, drawn in drawings if drawn.name == name)
        assert figure is not None
        figure.set_facecolor("white")  # also where a notebook is dark
        pyplot.figure(figure)
        return figure.axes[0]

    @cached_property
    def charts(self) -> tuple[str, ...]:
        """The names that `chart` knows: the interactive charts of the report's page."""
        return tuple(self._specs)

    def chart(self, name: str) -> Chart:
        """One interactive chart of the report's page, as an `altair.Chart`.

        Raises:
            InputError: there is no chart of this name; the message has the names that there are.
        """
        import altair

        from analysis.report.charts import in_light

        if name not in self._specs:
            raise _unknown("chart", name, self.charts)
        spec = {**in_light(self._specs[name]), "background": "white"}  # in a dark notebook too
        return altair.Chart.from_dict(spec)

    def report(self, out: Folder | None = None) -> Path:
        """Write the whole report, to `out` or to `report` in the first folder; returns its page."""
        from analysis.report.report import write_report

        return write_report(self._runs.folders, None if out is None else _path(out)).index

    @cached_property
    def _modules(self) -> Mapping[str, str]:
        """Each figure's name, and the module of `analysis.figures` that draws it."""
        from analysis.figures import each_drawing
        from analysis.figures.style import arm_styles

        drawn = each_drawing(self.findings, arm_styles(self.findings.arm_names))
        return {drawing.name: module for module, drawing in drawn}

    @cached_property
    def _specs(self) -> Mapping[str, Any]:
        """Each chart's name, and its description."""
        from analysis.figures.style import arm_styles
        from analysis.report.charts.by_section import charts_by_section

        styles = arm_styles(self.findings.arm_names)
        charts = [c for each in charts_by_section(self.findings, styles).values() for c in each]
        return {chart.id.removeprefix("chart-"): chart.spec for chart in charts}

    def _in_order(self, table: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """A copy of the table whose columns of arms are categories in the order of the sweeps."""
        asked = [arm for a in read_asked(self._runs) for arm in a.arms]
        stages = self._runs.trials["arm"].astype(str)
        order = pd.CategoricalDtype(list(dict.fromkeys([*asked, *stages])), ordered=True)
        return table.assign(**{name: table[name].astype(str).astype(order) for name in columns})

    @cached_property
    def glance(self) -> Glance:
        """What the first screen of the report says: question, answer in a sentence, arms."""
        from analysis.report.glance import at_a_glance

        return at_a_glance(self.findings)

    @property
    def answer(self) -> str:
        """The same as text, as the console prints it."""
        from analysis.report.console import console_text

        return console_text(self.glance)

    def _repr_html_(self) -> str:
        """The answer at a glance, as a notebook shows it under a cell."""
        glance = self.glance
        head = filter(None, (glance.stand_in, *glance.reservations))
        lines = [f"<p><em>{html.escape(text)}</em></p>" for text in head]
        lines.append(f"<p>{html.escape(glance.question)}</p>")
        said = " ".join(filter(None, (glance.sentence, glance.more)))
        lines.append(f"<p><strong>{html.escape(said)}</strong></p>")
        names = [reading.name for reading in glance.cards[0].readings] if glance.cards else []
        heads = "".join(f"<th>{html.escape(name)}</th>" for name in ("Arm", *names))
        rows = "".join(f"<tr>{_card_row(card)}</tr>" for card in glance.cards)
        lines.append(f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")
        if glance.others:
            more = words.plural(len(glance.others), "more arm")
            lines.append(f"<p>… {more} in <code>run.arms</code></p>")
        return "".join(lines)

    def __repr__(self) -> str:
        return f"<Run {'; '.join(self._lines())}>"

    def _lines(self) -> Iterator[str]:
        """What was read, in a few words each; nothing is computed for it."""
        trials = self._runs.trials
        evidence = trials[trials["stage"] == "arm"]
        yield ", ".join(folder.name for folder in self._runs.folders)
        yield (
            f"{words.plural(evidence['arm'].nunique(), 'arm')}, "
            f"{words.plural(evidence['seed'].nunique(), 'seed')}, "
            f"{int((trials['status'] == 'done').sum()):,} of {words.plural(len(trials), 'trial')} "
            "done"
        )
        if self.unfinished:
            yield "unfinished"


def _unknown(kind: str, name: object, known: Sequence[str]) -> InputError:
    names = ", ".join(known) or "none, since no trial finished"
    return InputError(
        f"{kind}({name!r}): no such {kind}{did_you_mean(str(name), known)}; there are: {names}"
    )


def _card_row(card: Card) -> str:
    """The cells of one arm: its name, and each number with its 95 % interval and its mark."""
    where = "; ".join(filter(None, (card.task, card.note)))
    name = f"{card.arm} ({where})" if where else card.arm
    cells = [f"<td>{html.escape(name)}</td>"]
    for reading in card.readings:
        value = html.escape(" ".join(filter(None, (reading.value, reading.about))))
        inside = html.escape("; ".join(filter(None, (reading.interval, reading.note))))
        mark = f"<strong>{html.escape(reading.mark_words)}</strong>" if reading.mark else ""
        below = " · ".join(filter(None, (inside, mark)))
        cells.append(f"<td>{value}<br><small>{below}</small></td>")
    return "".join(cells)


_COLUMNS = (
    *("task", "treatment", "control", "quantity", "target", "estimate", "low", "high", "unit"),
    *("bound", "n", "p_alone", "p_question", "question", "verdict", "words"),
)


def _row(row: Comparison) -> dict[str, object]:
    """A comparison as `Run.comparisons` shows it."""
    ends: tuple[float, ...] = (row.estimate, row.low, row.high)
    if row.kind == "log_ratio":
        ends = tuple(math.exp(end) for end in ends)
    units = {"ratio": "speedup", "log_ratio": "ratio", "points": "fraction"}
    values = (
        *(row.task, row.treatment, row.control, row_name(row), row.target, *ends),
        *(units.get(row.kind, row.unit), row.bound, row.n, row.p_value, row.p_question),
        *(row.question_words, "not shown" if row.verdict == "inconclusive" else row.verdict),
        row_words(row, named=False),
    )
    return dict(zip(_COLUMNS, values, strict=True))
