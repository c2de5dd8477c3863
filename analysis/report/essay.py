"""The report as running text, under Assignment 4's headings: data, network, tuning, comparison.

In: `Findings`. Out: headings and paragraphs. Every sentence is a template over values of the run;
where the run tested nothing, the sentence says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import words
from analysis.findings.asked import Asked
from analysis.findings.findings import Findings
from analysis.findings.searches import Search, describe_search
from analysis.report import displays_classes, methods
from analysis.report.answers import Answer, Paragraph, score_name
from analysis.report.displays import PARTS
from headstart.metrics import WITHOUT_ACCURACY

MOST_ITEMS = 6  # of one kind that the text lists
USES = {  # of data, by stage
    "pretrain": "pretraining",
    "search": "the search",
    "arm": "the comparison",
    "refit": "the networks that are handed over",
}


@dataclass(frozen=True)
class Passage:
    """A heading and its paragraphs."""

    heading: str
    paragraphs: tuple[str, ...]


def write_essay(
    findings: Findings, answers: Sequence[Answer], at_top: Sequence[Paragraph], most_answers: int
) -> list[Passage]:
    """The passages; of the comparisons at most `most_answers` have a paragraph in them.

    `at_top`: paragraphs that stand at the head already, and are not repeated.
    """
    passages = (
        ("Data set", _data(findings)),
        ("Network and why", _network(findings)),
        ("Tuning process", _tuning(findings)),
        ("Comparison and analysis", _comparison(findings, answers, at_top, most_answers)),
        ("Methods in brief", _methods(findings)),
    )
    return [Passage(heading, tuple(paragraphs)) for heading, paragraphs in passages]


def _done(findings: Findings) -> pd.DataFrame:
    trials = findings.runs.trials
    return trials[trials["status"] == "done"]


def _data(findings: Findings) -> Iterator[str]:
    done = _done(findings)
    done = done[done["stage"] != "double"]
    groups = list(done.groupby(["dataset", "stage"], sort=False))
    if not groups:
        yield "Not tested: no trial finished."
        return
    for (name, stage), rows in groups[:MOST_ITEMS]:
        use = USES[stage]
        counts = [
            f"{_range(rows[key])} images {noun}"
            for key, noun in PARTS.items()
            if key in rows and rows[key].max() > 0
        ]
        classes = f" in {_range(rows['n_classes'])} classes" if "n_classes" in rows else ""
        split = f": {words.listed(counts)}{classes}" if counts else ""
        wanted = sorted(set(rows["stand_in_for"]) - {""})
        stand = f" It stands in for {words.listed(wanted)}." if wanted else ""
        yield f"For {use}: {name}{split}.{stand}"
    remarks = findings.data.remarks
    for each in findings.data.sets.head(MOST_ITEMS).itertuples():
        known = [
            words.plural(int(each.n_images), "image") if pd.notna(each.n_images) else "",
            words.plural(int(each.n_groups), "group") if pd.notna(each.n_groups) else "",
            f"source: {each.source}" if each.source else "",
            f"fingerprint {each.fingerprint}",
        ]
        facts = f"{each.name}: {', '.join(filter(None, known))}."
        texts = remarks.loc[remarks["name"] == each.name, "remark"]
        yield f"{facts} {words.joined(*texts)}".strip()


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def _starts(findings: Findings) -> Iterator[str]:
    """What networks started from, arms that did so alike together."""
    alike = ["start", "n_loaded", "new", "remark"]
    groups = list(findings.starts.groupby(alike, sort=False))
    for (start, n_loaded, new, remark), rows in groups[:MOST_ITEMS]:
        loaded = f"{words.plural(int(n_loaded), 'tensor')} loaded"
        done = words.joined(loaded, f"new: {new}" if new else "", remark)
        yield f"{words.shortened(list(rows['place']))} started from {start}: {done}."


def _network(findings: Findings) -> Iterator[str]:
    done = _done(findings)
    done = done[done["stage"] == "arm"]
    if done.empty:
        yield "Not tested: no trial of an arm finished."
        return
    for model, rows in list(done.groupby("model", sort=False))[:MOST_ITEMS]:
        arms = list(dict.fromkeys(rows["arm"]))
        parameters = f"{_range(rows['n_parameters'])} parameters" if "n_parameters" in rows else ""
        yield f"{model} ({parameters}) in {words.shortened([f'“{a}”' for a in arms])}."
    yield from _starts(findings)
    reasons = [str(a.sweep["why"]) for a in findings.asked if a.sweep.get("why")]
    if reasons:
        yield f"Why, as the sweep says: {words.listed(reasons)}"
    models = findings.arms.dropna(subset=["score"]).sort_values("score", ascending=False)
    if len(set(models["model"])) > 1:
        best = models.drop_duplicates("model")
        items = [
            f"{r.model} {words.interval(findings.course.kind, r.score, r.score_low, r.score_high)}"
            for r in best.itertuples()
        ]
        name = score_name(findings.score)
        yield f"Best arm of each network by {name}: {words.shortened(items)}."
    elif not reasons:
        yield "The choice of the network was not tested: the run has one."


_COLUMNS = ("learning_rate", "batch_size", "epochs")
_KEYS = ("optimizer", "schedule", "weight_decay", "early_stopping", "augment", "label_smoothing")


def _tuning(findings: Findings) -> Iterator[str]:
    if not findings.searches:
        yield "Hyperparameters were not searched: that other values do better was not tested."
    decided = {(d.sweep, d.arm): describe_search(d) for d in findings.decisions}
    for search in findings.searches[:MOST_ITEMS]:
        yield decided.get((search.sweep, search.arm)) or _search(search)
    for asked in findings.asked[:MOST_ITEMS]:
        rows = findings.evidence[findings.evidence["sweep"] == asked.name]
        yield from _trained_with(asked, rows)
    yield (
        "The checkpoint that is tested is the one with the best validation score; test images "
        "were used once, at the end."
        if findings.score == findings.course.finals[0]
        else "Nothing was tested: the run has no test part."
    )


def _search(search: Search) -> str:
    rows, best, settings = search.trials, search.best, search.settings
    ranges = words.listed(f"{words.spaced(key)} ({_tried(rows[key])})" for key in settings)
    chosen = words.listed(f"{words.spaced(key)} {_setting(best[key])}" for key in settings)
    return (
        f"For “{search.arm}” {words.plural(len(rows), 'search trial')} varied {ranges}, scored on "
        f"validation images only. The best of them, with {chosen}, reached "
        f"{words.percent(best['best_val_accuracy'])}."
    )


def _trained_with(asked: Asked, rows: pd.DataFrame) -> Iterator[str]:
    """The settings that all arms of a sweep share, and those that differ."""
    used = {key: {_setting(v) for v in rows[key].dropna()} for key in _COLUMNS if key in rows}
    entries = [e for e in (asked.sweep.get("arms") or {}).values() if isinstance(e, Mapping)]
    common = asked.sweep.get("train") or {}
    trains = [{**common, **(e.get("train") or {})} for e in entries]
    for key in _KEYS:
        used[key] = {_used(train.get(key)) for train in trains}
    same = [
        f"{words.spaced(key)} {next(iter(values))}"
        for key, values in used.items()
        if len(values) == 1 and values != {""}
    ]
    differ = [words.spaced(key) for key, values in used.items() if len(values) > 1]
    if same:
        but = f"; {words.listed(differ)} differ{'s' * (len(differ) == 1)} by arm" if differ else ""
        yield f"All arms of {asked.name}: {words.listed(same)}{but}."


def _used(value: object) -> str:
    """A key of `train` as far as it does anything; empty where it does nothing, or is not there."""
    if not isinstance(value, Mapping):
        return _setting(value) if value else ""
    if "name" in value:  # a schedule
        return "" if value["name"] == "none" else str(value["name"])
    idle = () if value.get("erase") else ("erase_area", "fill")
    return _setting({k: v for k, v in value.items() if v and k not in idle})


def _setting(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return words.listed(f"{words.spaced(str(k))} {_setting(v)}" for k, v in value.items())
    return str(value)


def _tried(values: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(values):
        return f"{values.min():.3g} to {values.max():.3g}"
    return words.shortened(sorted(values.astype(str).unique()))


def _comparison(
    findings: Findings, answers: Sequence[Answer], at_top: Sequence[Paragraph], most_answers: int
) -> Iterator[str]:
    if not answers:
        yield "Not tested: the run has no two arms to compare."
    rest = [answer for answer in answers if answer.words not in at_top]
    if answers and not rest:
        yield "The comparisons stand at the head of this report."
    shown = surest(findings, rest, most_answers)
    yield from (answer.words.text for answer in shown)
    left_out = [f"“{a.treatment}” against “{a.control}”" for a in rest if a not in shown]
    if left_out:
        more = words.plural(len(left_out), "further comparison")
        which = f"less sure than these: {words.shortened(left_out)}" if shown else "in full"
        yield f"{more} in index.html and results.xlsx, {which}."
    yield from _steadiness(findings)
    yield from class_words(findings)


def surest(findings: Findings, answers: Sequence[Answer], most: int) -> list[Answer]:
    """At most so many answers, in their order: those with the smallest p among its question."""
    least: dict[tuple[str, str, str], float] = {}
    for row in findings.pairs.comparisons:
        if not math.isnan(row.p_question):
            pair = (row.task, row.treatment, row.control)
            least[pair] = min(least.get(pair, math.inf), row.p_question)
    ps = [least.get((a.task, a.treatment, a.control), math.inf) for a in answers]
    order = sorted(range(len(answers)), key=lambda k: ps[k])
    return [answers[k] for k in sorted(order[:most])]


def _steadiness(findings: Findings) -> Iterator[str]:
    rows = findings.stability.dropna(subset=["sd"])
    if rows.empty:
        return
    course = findings.course
    kind, unit = ("points_plain", ", in points") if course.is_share else ("number", course.of_unit)
    items = [
        f"“{r.arm}” {words.interval(kind, r.sd, r.sd_low, r.sd_high)}" for r in rows.itertuples()
    ]
    yield f"Standard deviation over seeds{unit}: {words.shortened(items, 4)}."


def class_words(findings: Findings) -> Iterator[str]:
    """Which classes are hardest, and in which two arms differ."""
    scores = findings.classes.scores
    if scores.empty and set(findings.evidence.get("target", [])) & set(WITHOUT_ACCURACY):
        return
    if scores.empty:
        yield "Single classes were not tested: no trial left predictions."
        return
    table = displays_classes.class_table(findings).frame
    table = table[table["scope"] == "class"]
    lowest = table.sort_values("f1", kind="stable").drop_duplicates("class_name").head(3)
    items = [
        f"“{r.class_name}” {words.interval('percent', r.f1, r.f1_low, r.f1_high)} in “{r.arm}”"
        for r in lowest.itertuples()
    ]
    yield f"Classes with the lowest F1: {words.listed(items)}."
    differing = findings.classes.classes
    if len(differing):
        sure = differing[differing["differs"].astype(bool)]
        names = [f"“{r.class_name}” ({words.points(r.difference)})" for r in sure.itertuples()]
        yield (
            f"Classes in which two arms differ after Holm’s adjustment, recall in points: "
            f"{words.shortened(names)}."
            if names
            else "In no class is a difference between two arms shown."
        )


IN_BRIEF = (
    "Trial, seed, pair",
    "Interval of a mean",
    "Redrawn splits",
    "Time to a target",
    "Verdict",
    "Speedup",
)


def _methods(findings: Findings) -> Iterator[str]:
    """The terms a reader needs for the text above; index.html has all with their sources."""
    for term in methods.describe_methods(findings):
        if term.name in IN_BRIEF:
            yield f"{term.name}: {term.text}"
    yield (
        "The intervals speak for other seeds of this set-up on these data. That the result holds "
        "for other data sets, networks or budgets was not tested"
        + (" beyond the tasks of this report." if len(findings.tasks) > 1 else ".")
    )
