"""What is private in the records of runs, and what is published in its place.

In: the tables and records of run folders. Out: `Cleaner`, which gives the same text for the same
text wherever it stands, so that tables, sweep and plan still fit each other: arms keep different
names, machines become `machine-1`. It stands alone because every file of a publication goes
through it, and nothing that it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.findings.load import Part
from analysis.findings.shown_names import told_apart
from headstart.private import HIDDEN, publishable, without_passwords, without_paths

AS_IT_IS = ("trial_id", "parent_id", "stage", "status", "dataset_fingerprint", "finished_at")
_USER = re.compile(r"(?:[/\\](?:home|Users)[/\\]+|(?<![\w.])~)([\w.-]+)", re.IGNORECASE)
_NOBODY = {
    "root", "user", "users", "home", "data", "admin", "ubuntu", "runner", "work", "shared",
    "public", "test", "train", "student", "localhost",
}  # fmt: skip
_SHORTEST = 4  # a shorter user name stands in too many other words


@dataclass(frozen=True)
class Cleaner:
    """names: of arms, stages and sweeps; grids: their points; hosts: machines; users: people."""

    names: Mapping[str, str]
    grids: Mapping[str, str]
    hosts: Mapping[str, str]
    users: frozenset[str]

    def text(self, value: str) -> str:
        """Any text but a name: without paths, passwords, tokens, machines and people."""
        text = str(publishable(value))
        for name in self.users:
            text = _word(name).sub(HIDDEN, text)
        for host, shown in self.hosts.items():
            text = _word(host).sub(shown, text)
        return text

    def content(self, value: Any) -> Any:
        """Mappings and lists of a record, keys included; what is called `host` is left out."""
        if isinstance(value, str):
            return self.names[value] if value in self.names else self.text(value)
        if isinstance(value, Mapping):
            kept = {key: below for key, below in value.items() if key != "host"}
            return {self.content(key): self.content(below) for key, below in kept.items()}
        return [self.content(item) for item in value] if isinstance(value, list | tuple) else value

    def cell(self, column: str, value: str) -> str:
        """A text of a table."""
        if column in AS_IT_IS:
            return value
        known = {"arm": self.names, "sweep": self.names, "grid": self.grids, "host": self.hosts}
        return known[column].get(value, "") if column in known else self.text(value)


def cleaner_of(parts: Iterable[Part]) -> Cleaner:
    """What is private in these run folders."""
    parts = list(parts)
    tables = [part[0] for part in parts]
    hosts = sorted({host for table in tables for host in _texts(table, "host")} - {""})
    return Cleaner(
        names=_shown({name for part in parts for name in _names(part)}),
        grids=_shown({grid for table in tables for grid in _texts(table, "grid")}),
        hosts={host: f"machine-{k}" for k, host in enumerate(hosts, 1)},
        users=frozenset(_users(parts)),
    )


def _names(part: Part) -> Iterator[str]:
    trials, curves, sweep, _, plan = part
    for table in (trials, curves):
        yield from _texts(table, "arm")
    yield from _texts(trials, "sweep")
    yield from (str(sweep["name"]), plan.sweep)
    for key in ("arms", "pretrain"):
        yield from map(str, sweep.get(key) or ())
    yield from (trial.arm for trial in plan.trials)


def _texts(table: pd.DataFrame, column: str) -> set[str]:
    return set(table[column].dropna().astype(str)) if column in table else set()


def _shown(names: Iterable[str]) -> dict[str, str]:
    """Each name without where a path in it lies; no two become one."""
    known = sorted(names)
    _, changed = told_apart(known, lambda name, n: without_paths(without_passwords(name), n))
    return {name: changed.get(name, name) for name in known}


def _users(parts: Iterable[Part]) -> Iterator[str]:
    """The names of home folders in any text, and of who publishes."""
    candidates = [Path.home().name]
    for trials, _, sweep, provenance, plan in parts:
        columns = [name for name in trials if isinstance(name, str)]
        words = {text for name in columns if name not in AS_IT_IS and _is_text(trials[name])
                 for text in _texts(trials, name)}  # fmt: skip
        for text in (*words, *_strings(sweep), *_strings(provenance), *_strings(plan.labels)):
            candidates += _USER.findall(text)
    for name in candidates:
        if len(name) >= _SHORTEST and name.lower() not in _NOBODY:
            yield name


def _is_text(column: pd.Series) -> bool:
    return bool(pd.api.types.is_string_dtype(column) or column.dtype == object)


def _strings(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from (*_strings(key), *_strings(value))
    elif isinstance(content, list | tuple):
        for item in content:
            yield from _strings(item)


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])", re.IGNORECASE)
