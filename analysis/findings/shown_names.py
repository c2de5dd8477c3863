"""Names of arms as a report shows them: those that hold a path lose where it lies.

In: the tables and sweeps of run folders, in which a grid over files has put paths into the names of
arms. Out: the same, with `…/NAME` for each path wherever an arm is named. It stands alone because
an arm's name joins tables, sweep and comparisons: it is changed in all of them or in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from headstart.private import without_paths

_MOST_PARTS = 64  # of a path, that tell two arms apart


def with_shown_names(
    trials: Sequence[pd.DataFrame],
    curves: Sequence[pd.DataFrame],
    sweeps: Sequence[Mapping[str, Any]],
) -> tuple[list[pd.DataFrame], list[pd.DataFrame], list[dict[str, Any]]]:
    """The tables and sweeps of all run folders that are read together."""
    names = {str(name) for table in (*trials, *curves) for name in table["arm"].unique()}
    names |= {str(name) for sweep in sweeps for name in sweep.get("arms") or ()}
    n_parts, shown = _told_apart(sorted(names))
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
    return renamed, [_renamed(table, shown) for table in curves], contents


def _told_apart(names: Iterable[str]) -> tuple[int, dict[str, str]]:
    """How many parts of a path tell all names apart, and the names that change."""
    names = list(names)
    for n_parts in range(1, _MOST_PARTS):
        shown = {name: _without_paths(name, n_parts) for name in names}
        if len(set(shown.values())) == len(names):
            break
    else:  # no two arms may become one
        shown = {name: f"{shown[name]} ({k})" for k, name in enumerate(names, 1)}
    return n_parts, {name: text for name, text in shown.items() if text != name}


def _without_paths(name: str, n_parts: int) -> str:
    """Of `arm [key=value]` the values alone: what stands before is the user's own name."""
    own, bracket, values = name.partition(" [")
    return own + bracket + without_paths(values, n_parts)


def _renamed(table: pd.DataFrame, shown: Mapping[str, str]) -> pd.DataFrame:
    return table.assign(arm=[shown.get(name, name) for name in table["arm"]])


def _replaced(content: Any, shown: Mapping[str, str]) -> Any:
    """Keys and texts of a sweep that name such an arm, at any depth."""
    if isinstance(content, str):
        return shown.get(content, content)
    if isinstance(content, Mapping):
        return {_replaced(key, shown): _replaced(value, shown) for key, value in content.items()}
    if isinstance(content, list):
        return [_replaced(item, shown) for item in content]
    return content
