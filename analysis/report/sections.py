"""The sections of the report: what is shown, in which order, with which words.

In: the content of a report. Out: `Section`s of charts, figures, tables and paragraphs. It stands
alone because it decides and renders nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import yaml

from analysis import words
from analysis.figures.drawing import Drawing
from analysis.findings.by_class import MOST_TASKS
from analysis.findings.findings import Findings
from analysis.findings.right_labels import right_words
from analysis.findings.searches import Search, describe_search, setting_text
from analysis.report import (
    displays_arms,
    displays_classes,
    displays_data,
    displays_forecasts,
    displays_labels,
    displays_outside,
    displays_pairs,
    document,
    methods,
)
from analysis.report.answers import MOST_AT_TOP
from analysis.report.charts.by_section import charts_by_section
from analysis.report.tables import Table
from analysis.statistics.pairs.verdicts import advice
from headstart.metrics import WITHOUT_ACCURACY
from headstart.private import publishable
from headstart.records import CONTACT_SHEETS


def build_tables(findings: Findings) -> dict[str, list[Table]]:
    """Every table that has rows, by the id of the section it stands in."""
    makers = {
        "verdicts": [displays_pairs.verdict_table] if findings.pairs.comparisons else [],
        "arms": [displays_arms.arm_table],
        "targets": [displays_arms.reached_table],
        "stability": [displays_arms.stability_table],
        "trials": [displays_arms.trial_table],
    }
    pairs, classes, data = findings.pairs, findings.classes, findings.data
    for section, frame, make in (
        ("targets", pairs.speedups, displays_pairs.speedup_table),
        ("targets", pairs.break_evens, displays_pairs.break_even_table),
        ("stability", findings.sources, displays_arms.source_table),
        ("stability", findings.gaps, displays_arms.gap_table),
        ("stability", findings.layers.table, displays_arms.layer_table),
        ("classes", classes.scores, displays_classes.average_table),
        ("classes", classes.images, displays_classes.image_table),
        ("classes", classes.classes, displays_classes.class_difference_table),
        ("classes", classes.scores, displays_classes.class_table),
        ("tasks", findings.over_tasks.together, displays_pairs.together_table),
        ("tasks", findings.over_tasks.aggregates, displays_arms.aggregate_table),
        ("tasks", findings.over_tasks.improvements, displays_pairs.improvement_table),
        ("outside", findings.outside, displays_outside.outside_table),
        ("outside", displays_outside.outside_rows(findings), displays_outside.outside_pairs),
        ("cost", findings.cost.table, displays_outside.cost_table),
        ("verdicts", findings.matrix, displays_forecasts.transfer_table),
        ("forecasts", findings.forecasts.orders, displays_forecasts.order_table),
        ("forecasts", findings.forecasts.scores, displays_forecasts.forecast_table),
        ("labels", findings.right, displays_labels.right_label_table),
        ("seeds", pairs.seeds_needed, displays_pairs.seeds_table),
        ("data", data.sets, displays_data.data_table),
        ("data", data.remarks, displays_data.remark_table),
        ("data", data.classes, displays_data.class_count_table),
        ("data", findings.starts, displays_data.start_table),
    ):
        if len(frame):
            makers.setdefault(section, []).append(make)
    tables = {key: [make(findings) for make in makers[key]] for key in makers}
    tables["search"] = displays_arms.search_tables(findings)
    tables["classes"] = [*tables.get("classes", []), *displays_classes.confusion_tables(findings)]
    return {key: [table for table in tables[key] if len(table.frame)] for key in tables}


def gather(content: document.Content) -> dict[str, list[document.Block]]:
    """All that a report can show, by what it is about; `chapters` puts it in order."""
    findings, styles = content.findings, content.styles
    blocks: dict[str, list[document.Block]] = {
        key: [
            *(
                document.Plate(f"figure-{d.name}", d.title, d.caption, d.name, d.svg, d.broad)
                for d in content.drawn
                if d.section == key and d.in_page
            ),
            *(
                document.TableBlock(t, LIMITS.get(key, t.n_page))
                for t in content.tables.get(key, ())
            ),
        ]
        for key in ORDER
    }
    drawn = {drawing.name for drawing in content.drawn}
    for key, charts in charts_by_section(findings, styles).items():
        files = (chart.file if chart.file in drawn else "" for chart in charts)
        shown = [replace(chart, file=file) for chart, file in zip(charts, files, strict=True)]
        blocks[key] = [*shown, *blocks[key]]
    if content.contact_sheets:
        blocks["data"].append(_contact_sheets(content.contact_sheets))
    blocks["methods"] = [document.Terms(methods.describe_methods(findings))]
    blocks["provenance"] += _provenance(findings)
    return blocks


def _contact_sheets(files: Sequence[str]) -> document.Pictures:
    more = len(files) - MOST_PICTURES
    caption = (
        "Every digit that was cut from a photograph has a box and its label here; grey boxes are "
        "marks that were left out. Look at them: labels come from a digit’s place alone."
        + f" {words.plural(more, 'more picture')} in {CONTACT_SHEETS}/."
        * (more > 0)
    )
    shown = tuple(files[:MOST_PICTURES])
    return document.Pictures("Contact sheets", caption, CONTACT_SHEETS, shown)


MOST_PICTURES = 48
LIMITS = {"trials": 60}  # rows of a table that the page shows, where not 200
ORDER = {
    "verdicts": ("Verdicts", "Verdicts"),
    "learning": ("Learning", "Learning curves"),
    "targets": ("Targets", "How soon each target was reached"),
    "arms": ("Arms", "Results by arm"),
    "stability": ("Stability", "Stability"),
    "outside": ("Further tests", "Further test sets"),
    "cost": ("Cost", "What each arm takes"),
    "classes": ("Classes", "By class and by image"),
    "labels": ("Labels", "The labels: given and right"),
    "tasks": ("Tasks", "Over all tasks"),
    "forecasts": ("Forecasts", "Forecasts, held against the results"),
    "search": ("Search", "The search for hyperparameters"),
    "seeds": ("Seeds", "How many seeds would be needed"),
    "data": ("Data", "Data and first weights"),
    "trials": ("Trials", "Every trial, with its files"),
    "methods": ("Methods", "Methods"),
    "provenance": ("Provenance", "Provenance"),
}


def in_order(drawn: Sequence[Drawing]) -> list[Drawing]:
    """Figures in the order of their sections."""
    order = list(ORDER)
    return sorted(drawn, key=lambda drawing: order.index(drawing.section))


def paragraphs_of(key: str, findings: Findings) -> Iterator[str]:
    """What is said beside the blocks of that key."""
    if key in ("learning", "targets", "classes") and len(findings.tasks) > MOST_TASKS:
        yield (
            f"Charts of the first {MOST_TASKS} of {len(findings.tasks)} tasks; the tables have all "
            "of them."
        )
    unknown = findings.gaps.empty or not findings.gaps["n_gap"].any()
    if key == "stability" and unknown and findings.arms["n_done"].sum():
        rise = not findings.gaps.empty and findings.gaps["loss_rise"].notna().any()
        targets = findings.evidence.get("target", [])
        why = "no finished trial has a record of its training accuracy at the chosen step (a " \
            "version before recorded none, and at step 0 there is none)"  # fmt: skip
        if set(targets) & set(WITHOUT_ACCURACY):
            why = "these targets have no accuracy; the gap of losses stands below"
        what = "The gap between training and validation" if rise else "Overfitting"
        yield f"{what} is not known: {why}."
    curves = findings.learning
    if key == "learning" and curves.n_drawn < curves.n_trials:
        yield (
            f"Of {curves.n_trials:,} finished trials {curves.n_drawn:,} are drawn as single "
            "runs, the first seeds of each arm; means and intervals are over all of them."
        )
    classes = findings.classes
    has_classes = displays_classes.has_classes(findings)
    if key == "classes" and not has_classes:
        yield displays_classes.NO_CLASSES
        return
    if key == "classes" and classes.n_read < classes.n_trials:
        yield (
            f"From the predictions of {classes.n_read:,} of {classes.n_trials:,} finished trials: "
            f"those that left predictions, at most {words.plural(classes.most_seeds, 'seed')} of "
            "each arm."
        )
    if key == "classes" and not classes.n_read and len(findings.evidence):
        yield "Not tested: no trial left predictions."
    if key == "outside":
        yield from displays_outside.outside_words(findings)
    if key == "cost":
        yield from findings.cost.remarks
    if key == "forecasts":
        yield from displays_forecasts.forecast_words(findings)
    if key == "labels":
        yield from right_words(findings.right)
    if key == "search" and findings.searches:
        decided = {(d.sweep, d.arm): describe_search(d) for d in findings.decisions}
        for search in findings.searches:
            yield decided.get((search.sweep, search.arm)) or _search_words(search)


def beside_verdicts(findings: Findings) -> Iterator[str]:
    """Of the final value: three probabilities, what pairing was worth, missing seeds."""
    finals = [row for row in findings.pairs.comparisons if row.metric == findings.score]
    for row in finals[:MOST_AT_TOP]:
        who = f"“{row.treatment}” against “{row.control}”"
        who = f"{row.task}, {who}" if len(findings.tasks) > 1 else who
        parts = []
        if not math.isnan(row.p_inside):
            three = (row.p_worse_beyond, row.p_inside, row.p_better_beyond)
            worse, inside, better = map(_chance, three)
            parts.append(
                f"taken alone, worse by more than the margin with probability {worse}, inside it "
                f"{inside}, better by more {better}"
            )
        if not math.isnan(row.worth):
            parts.append(f"pairing was worth {row.worth:.1f} times the seeds")
        if text := advice(row):
            parts.append(text)
        if parts:
            yield f"{who}, final {findings.course.words}: {'; '.join(parts)}."


def _chance(p: float) -> str:
    return "under 1 %" if p < 0.01 else "over 99 %" if p > 0.99 else words.share(p)


def _search_words(search: Search) -> str:
    best, settings = search.best, search.settings
    chosen = words.listed(f"{words.spaced(key)} {setting_text(best[key])}" for key in settings)
    return (
        f"For “{search.arm}”, {words.plural(len(search.trials), 'trial')} varied "
        f"{words.listed(map(words.spaced, settings))}. The best single trial reached "
        f"{words.percent(best['best_val_accuracy'])} on validation data, with {chosen}."
    )


def _provenance(findings: Findings) -> Iterator[document.Details]:
    """A report is published: it says neither where things lie nor what the machine is called."""
    records = [_without_host(record) for record in findings.runs.provenance]
    for k, record in enumerate(records):
        text = yaml.safe_dump(publishable(record), sort_keys=True, allow_unicode=True)
        which = f" of run {k + 1}" if len(records) > 1 else ""
        yield document.Details(f"Versions, hardware and command{which}", text)
    for asked in findings.asked:
        text = yaml.safe_dump(publishable(asked.sweep), sort_keys=False, allow_unicode=True)
        yield document.Details(f"Sweep “{asked.name}” as it was resolved", text)


def _without_host(content: object) -> object:
    if isinstance(content, dict):
        return {key: _without_host(value) for key, value in content.items() if key != "host"}
    return [_without_host(item) for item in content] if isinstance(content, list) else content
