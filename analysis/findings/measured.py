"""What a report measures, and which trials left a record of it.

In: what the sweeps asked, trials and curves. Out: the `Course`, its final column, and which trials
are of a version that did not record it. It stands alone because everything else in the
findings takes the answer as given.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis import words
from analysis.findings.asked import Asked
from analysis.statistics.times.course import COURSES, Course
from headstart.errors import InputError


def course_of(asked: Iterable[Asked]) -> Course:
    """The metric that the sweeps of one report measure.

    Raises:
        InputError: they measure several, which no table of comparisons can hold.
    """
    names = {a.metric: a.name for a in asked}
    if len(names) > 1:
        each = [f"“{sweep}” {metric}" for metric, sweep in names.items()]
        raise InputError(
            f"these sweeps measure different metrics ({words.listed(each)}): report them one by one"
        )
    return COURSES[next(iter(names), "accuracy")]


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
