"""What a report measures, and which trials left a record of it.

In: what the sweeps asked, trials and curves. Out: the `Course`, its final column, and which trials
are of a version that did not record it. It stands alone because everything else in the
findings takes the answer as given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pandas as pd

from analysis import words
from analysis.findings.asked import Asked
from analysis.findings.load import Content
from analysis.statistics.times.course import COURSES, Course
from headstart.errors import InputError
from headstart.private import publishable

IN_THE_UNIT = ("mae", "rmse")  # metrics that are of the target's unit


def course_of(asked: Iterable[Asked]) -> Course:
    """The metric that the sweeps of one report measure.

    Raises:
        InputError: they measure several, which no table of comparisons can hold.
    """
    asked = tuple(asked)
    names = {a.metric: a.name for a in asked}
    if len(names) > 1:
        each = [f"“{sweep}” {metric}" for metric, sweep in names.items()]
        raise InputError(
            f"these sweeps measure different metrics ({words.listed(each)}): report them one by one"
        )
    course = COURSES[next(iter(names), "accuracy")]
    if course.name not in IN_THE_UNIT:
        return course
    units = {unit for a in asked for unit in _units(a.sweep)}
    return replace(course, measured_in=str(publishable(units.pop()))) if len(units) == 1 else course


def _units(sweep: Content) -> Iterator[str]:
    """The unit of errors of each data entry of a sweep: that of its numbers, of ordered classes
    places in their order; "" where the entry says nothing."""
    arms = sweep.get("arms") or {}
    owners = [sweep, *(arm for arm in arms.values() if isinstance(arm, Mapping))]
    for data in (owner["data"] for owner in owners if owner.get("data")):
        for entry in data if isinstance(data, list) else [data]:
            target = entry.get("target") if isinstance(entry, Mapping) else None
            if isinstance(target, Mapping) and target.get("kind") == "number":
                yield str(target.get("unit") or "")
            elif "ordered" in (target, target.get("kind") if isinstance(target, Mapping) else ""):
                yield "places"
            else:
                yield ""


def lacking_trials(course: Course, trials: pd.DataFrame, curves: pd.DataFrame) -> set[str]:
    """Ids of finished trials of which no evaluation recorded `course`.

    Raises:
        InputError: no finished trial has it.
    """
    done = set(trials.loc[trials["status"] == "done", "trial_id"])
    if course.name == "accuracy" or not done:
        return set()
    counts = curves.groupby("trial_id")[course.column].count() if course.column in curves else {}
    lacking = {trial_id for trial_id in done if not counts.get(trial_id, 0)}
    if lacking == done:
        raise InputError(
            f"measure.metric: {course.name}: none of {words.plural(len(done), 'finished trial')} "
            "recorded it: a version before wrote them, which knew accuracy alone; set "
            "measure.metric: accuracy, or run the sweep in a new folder"
        )
    return lacking


def final_of(course: Course, evidence: pd.DataFrame) -> str:
    """The trials' column of the final value: on test images where anything was tested."""
    tested, validated = course.finals
    return tested if tested in evidence and evidence[tested].notna().any() else validated
