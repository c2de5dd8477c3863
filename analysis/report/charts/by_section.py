"""All charts of a report, by the section that they stand in, each with its title and caption.

In: `Findings` and the look of each arm. Out: `document.Chart`s. It stands apart from the charts,
which know one table each, and from `sections`, which decides the order.
"""

from __future__ import annotations

from collections.abc import Iterator

from altair.utils import schemapi

from analysis import words
from analysis.figures import focus
from analysis.figures.rows import search_rows, surest_rows
from analysis.figures.style import Styles
from analysis.findings.by_class import named
from analysis.findings.findings import Findings
from analysis.report.charts.base import Spec
from analysis.report.charts.by_class import f1_chart
from analysis.report.charts.confusion import confusion_chart, confusion_difference_chart
from analysis.report.charts.difference import difference_chart
from analysis.report.charts.finals import finals_chart
from analysis.report.charts.forest import forest_chart
from analysis.report.charts.learning import learning_chart
from analysis.report.charts.reached import reached_chart
from analysis.report.charts.searched import search_chart
from analysis.report.charts.speedup import speedup_chart
from analysis.report.charts.steadiness import steadiness_chart
from analysis.report.document import Chart

MOST_ROWS = 60  # of a forest


def charts_by_section(findings: Findings, styles: Styles) -> dict[str, list[Chart]]:
    """Charts by the id of their section, in the order in which they stand there.

    Altair checks each part of a chart against its schema as it is made, which takes four fifths of
    the time. Tests let it; a report does not, since the same code makes the same parts.
    """
    with schemapi.debug_mode(False):
        return _charts(findings, styles)


def _charts(findings: Findings, styles: Styles) -> dict[str, list[Chart]]:
    shown: dict[str, list[Chart]] = {"verdicts": list(_forest(findings))}
    for task in focus.focus_tasks(findings):
        for section, charts in (
            ("learning", _learning(findings, styles, task)),
            ("targets", _targets(findings, styles, task)),
            ("arms", _finals(findings, styles, task)),
            ("stability", _stability(findings, styles, task)),
            ("classes", _classes(findings, styles, task)),
        ):
            shown.setdefault(section, []).extend(charts)
    shown["search"] = list(_searches(findings, styles))
    return shown


def _searches(findings: Findings, styles: Styles) -> Iterator[Chart]:
    groups = search_rows(findings.searches, findings.decisions)
    for number, tried in enumerate(groups):
        file = focus.each_search(number, groups)
        of_sweep = f", {tried.sweep}" if len(groups) > 1 else ""
        lost = f" {words.plural(tried.n_without, 'trial')} without a score." * (tried.n_without > 0)
        for k, setting in enumerate(tried.settings):
            spec = search_chart(tried, setting, styles)
            if spec is None:
                continue
            caption = (
                f"Best {tried.score} of every search trial; a ring marks what a search chose. No "
                f"test image was seen by the search.{lost}"
            )
            title = f"Search: {words.spaced(setting)}{of_sweep}"
            yield Chart(f"chart-{file}-{k + 1}", title, caption, spec, file)


def _forest(findings: Findings) -> Iterator[Chart]:
    rows = findings.pairs.table
    rows = rows[rows["metric"] == findings.score]
    rows = rows[rows["estimate"].notna()]
    rows, left_out = surest_rows(rows, MOST_ROWS)
    spec = forest_chart(rows, findings.course)
    if spec is not None:
        caption = (
            "Treatment minus control over paired seeds, with the 95 % interval of each comparison "
            "alone; green is better, red is worse, blue equivalent, grey not known. The shaded "
            f"strip is the margin inside which arms count as equivalent.{left_out}"
        )
        title = f"Differences in final {findings.course.words}"
        yield Chart("chart-differences", title, caption, spec, "differences")


def _learning(findings: Findings, styles: Styles, task: str) -> Iterator[Chart]:
    caption = (
        "Mean over seeds (line), pointwise 95 % interval (band, Student’s t) and single runs on "
        "validation images (faint). A trial that stopped early counts with its last value."
    )
    spec = learning_chart(findings.learning, task, styles, findings.course)
    yield from _chart(spec, "learning_curves", findings, task, "Learning curves", caption)
    caption = (
        f"Mean paired difference of {findings.course.words} on validation images. The band holds "
        "for the whole curve at once (95 %): where it leaves 0, one arm is ahead, and the line is "
        "thick."
    )
    ahead = [row for row in findings.ahead if row.task == task]
    spec = difference_chart(ahead, styles, findings.course)
    yield from _chart(spec, "ahead", findings, task, "Who is ahead, and when", caption)


def _targets(findings: Findings, styles: Styles, task: str) -> Iterator[Chart]:
    if len(findings.pairs.speedups):
        caption = (
            "Control over treatment: above 1 the treatment is sooner. Geometric mean over paired "
            "seeds with the 95 % interval of each alone. An arrow is a bound: trials did not reach "
            "the target, and only one end is known. A hollow mark is a ratio within the budget "
            "that trials had."
        )
        spec = speedup_chart(findings.pairs.speedups, task, styles, findings.course)
        yield from _chart(spec, "speedup", findings, task, "Speedup against target", caption)
    caption = (
        "Kaplan–Meier estimate with 95 % intervals; a tick marks trials whose training ended "
        "before they reached the target."
    )
    survival = findings.survival[findings.survival["task"] == task]
    spec = reached_chart(survival, styles, findings.course)
    title = "Share of seeds that reached the target"
    yield from _chart(spec, "reached", findings, task, title, caption)


def _finals(findings: Findings, styles: Styles, task: str) -> Iterator[Chart]:
    title = f"Final {findings.course.words} by arm"
    caption = "Every seed a dot; mean over seeds with its 95 % interval."
    evidence, arms = (t[t["task"] == task] for t in (findings.evidence, findings.arms))
    spec = finals_chart(evidence, arms, findings.score, styles, findings.course)
    yield from _chart(spec, "final_accuracy", findings, task, title, caption)


def _stability(findings: Findings, styles: Styles, task: str) -> Iterator[Chart]:
    rows = findings.stability[findings.stability["task"] == task]
    spec = steadiness_chart(rows, styles, findings.course)
    title = f"How much the final {findings.course.words} moves"
    noise = "; the grey bar is what a test set of this size causes by itself (binomial)"
    caption = (
        "Standard deviation over seeds with its 95 % interval"
        f"{noise if rows['binomial_sd'].notna().any() else ''}. Less is steadier. Spreads stand on "
        "a logarithmic axis; an arrow says that an interval goes on beyond it."
    )
    yield from _chart(spec, "stability", findings, task, title, caption)


def _classes(findings: Findings, styles: Styles, task: str) -> Iterator[Chart]:
    classes = findings.classes
    if len(classes.scores):
        rows = classes.scores[(classes.scores["task"] == task)]
        rows = rows[(rows["scope"] == "class") & (rows["metric"] == "f1")]
        rows = rows[rows["arm"].isin(focus.focus_arms(findings, task))]
        caption = "Mean over seeds with its 95 % interval, the hardest class first."
        spec = f1_chart(named(rows, "f1"), styles)
        yield from _chart(spec, "f1_by_class", findings, task, "F1 by class", caption)
    own = {arm: names for (where, arm), names in classes.class_names.items() if where == task}
    for k, names in enumerate(dict.fromkeys(own.values())):
        arms = [arm for arm in own if own[arm] == names]
        matrices = {arm: classes.confusions[task, arm] for arm in styles if arm in arms}
        caption = (
            "Share of each true class that was given each label, mean over seeds; counts are of "
            "all seeds. One scale for all arms; what was right stands in a frame, without colour."
        )
        number = f"_{k + 1}"
        spec = confusion_chart(matrices, names)
        yield from _chart(spec, f"confusion{number}", findings, task, "Mistakes by class", caption)
        pairs = {
            (treatment, control): cells
            for (where, treatment, control), cells in classes.differences.items()
            if where == task and treatment in arms
        }
        caption = (
            "Mean over seeds of the treatment’s shares minus those of the control, in points of "
            "the true class. Green: right more often, or wrong more seldom, with the treatment."
        )
        name, title = f"confusion_difference{number}", "Where mistakes differ"
        spec = confusion_difference_chart(pairs, names)
        yield from _chart(spec, name, findings, task, title, caption)


def _chart(
    spec: Spec | None, kind: str, findings: Findings, task: str, title: str, caption: str
) -> Iterator[Chart]:
    """The chart, beside the drawn figure of the same name; nothing where there is none."""
    if spec is not None:
        name = focus.file_name(kind, findings, task)
        yield Chart(f"chart-{name}", focus.titled(title, findings, task), caption, spec, name)
