"""Names of arms as a report shows them: their labels, and without where a path lies.

In: the tables and sweeps of run folders. A sweep may give its arms labels, and a grid over files
has put paths into their names. Out: the same with the label in place of the name, and `…/NAME` for
each path, wherever an arm is named; the trials' column `arm_name` keeps the name. It stands alone
because an arm's name joins tables, sweep and comparisons: it is changed in all of them or in none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from headstart.output import on_one_line
from headstart.private import without_paths

Tables = tuple[list[pd.DataFrame], list[pd.DataFrame], list[dict[str, Any]]]
_MOST_PARTS = 64  # of a path, that tell two arms apart


def with_shown_names(
    trials: Sequence[pd.DataFrame],
    curves: Sequence[pd.DataFrame],
    sweeps: Sequence[Mapping[str, Any]],
) -> tuple[list[pd.DataFrame], list[pd.DataFrame], list[dict[str, Any]]]:
    """The tables and sweeps of all run folders that are read together.

    An arm that has different labels in two of them, or the label of another one, keeps its name:
    over all folders one arm is one arm.
    """
    return _with_labels(*_with_short_paths(trials, curves, sweeps))


def _with_labels(
    trials: list[pd.DataFrame], curves: list[pd.DataFrame], sweeps: list[dict[str, Any]]
) -> Tables:
    labels = _labels(trials, sweeps)
    if not labels:
        return trials, curves, sweeps
    stages = {i for table in trials for i in table.loc[table["stage"] == "pretrain", "trial_id"]}
    contents = [_labelled(sweep, labels) for sweep in sweeps]
    named = [[_renamed(t, labels, stages) for t in tables] for tables in (trials, curves)]
    return named[0], named[1], contents


def _labels(trials: Sequence[pd.DataFrame], sweeps: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The label of each arm that has one, alike in all sweeps; no two arms come to one text."""
    names: set[str] = set()
    given: dict[str, set[str]] = {}
    for sweep in sweeps:
        for name, arm in (sweep.get("arms") or {}).items():
            names.add(str(name))
            if isinstance(arm, Mapping) and isinstance(arm.get("label"), str):
                given.setdefault(str(name), set()).add(on_one_line(arm["label"]))
    if not given:
        return {}
    names.update(*(table.loc[table["stage"] != "pretrain", "arm"] for table in trials))
    labels = {name: min(texts) for name, texts in given.items() if len(texts) == 1}
    while True:
        n_of = Counter(labels.get(name, name) for name in names)
        clear = {name: text for name, text in labels.items() if text and n_of[text] == 1}
        if len(clear) == len(labels):
            return labels
        labels = clear


def _labelled(sweep: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """A sweep with labels in place of names, where it names arms."""
    content = dict(sweep)
    if content.get("arms"):
        content["arms"] = {
            labels.get(name, name): {**(arm or {}), "label": labels[name]}
            if name in labels
            else arm
            for name, arm in content["arms"].items()
        }
    if content.get("compare"):
        content["compare"] = [
            {key: labels.get(name, name) for key, name in pair.items()}
            for pair in content["compare"]
        ]
    return content


def _with_short_paths(
    trials: Sequence[pd.DataFrame],
    curves: Sequence[pd.DataFrame],
    sweeps: Sequence[Mapping[str, Any]],
) -> Tables:
    names = {str(name) for table in (*trials, *curves) for name in table["arm"].unique()}
    names |= {str(name) for sweep in sweeps for name in sweep.get("arms") or ()}
    n_parts, shown = told_apart(sorted(names), _without_paths)
    if not shown:
        return list(trials), list(curves), [dict(sweep) for sweep in sweeps]
    renamed = [_renamed(table, shown) for table in trials]
    for table in renamed:
        if "grid" in table:
            table["grid"] = [
                without_paths(grid, n_parts) if isinstance(grid, str) else grid
                for grid in table["grid"]
            ]
    contents = [{key: _replaced(value, shown) for key, value in sweep.items()} for sweep in sweeps]
    for content in contents:
        content["arms"] = {
            name: {**arm, "label": _without_paths(arm["label"], n_parts)}
            if isinstance(arm, Mapping) and isinstance(arm.get("label"), str)
            else arm
            for name, arm in (content.get("arms") or {}).items()
        }
    return renamed, [_renamed(table, shown) for table in curves], contents


def told_apart(
    names: Iterable[str], shorten: Callable[[str, int], str]
) -> tuple[int, dict[str, str]]:
    """How many parts of a path tell all names apart, and the names that change.

    `shorten`: a name, and how many parts of each path in it are left.
    """
    names = list(names)
    for n_parts in range(1, _MOST_PARTS):
        shown = {name: shorten(name, n_parts) for name in names}
        if len(set(shown.values())) == len(names):
            break
    else:  # no two arms may become one
        shown = {name: f"{shown[name]} ({k})" for k, name in enumerate(names, 1)}
    return n_parts, {name: text for name, text in shown.items() if text != name}


def _without_paths(name: str, n_parts: int) -> str:
    """Of `arm [key=value]` the values alone: what stands before is the user's own name."""
    own, bracket, values = name.partition(" [")
    return own + bracket + without_paths(values, n_parts)


def _renamed(
    table: pd.DataFrame, shown: Mapping[str, str], spared: Collection[str] = ()
) -> pd.DataFrame:
    """With the names that are shown, but for the trials that are spared."""
    arms = table["arm"].map(lambda name: shown.get(name, name))
    return table.assign(
        arm=arms.mask(table["trial_id"].isin(spared), table["arm"]) if spared else arms
    )


def _replaced(content: Any, shown: Mapping[str, str]) -> Any:
    """Keys and texts of a sweep that name such an arm, at any depth."""
    if isinstance(content, str):
        return shown.get(content, content)
    if isinstance(content, Mapping):
        return {_replaced(key, shown): _replaced(value, shown) for key, value in content.items()}
    if isinstance(content, list):
        return [_replaced(item, shown) for item in content]
    return content
