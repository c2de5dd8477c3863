"""A data set as a person names it on a command line: a name, a path or a mapping, with settings.

In: the text (`mnist`, `photos.zip`, `my_data.py:Set`, `{name: csv, path: x.csv}`) and KEY=VALUE
pairs. Out: the set's name and its options, as a sweep's `data` entry would have them. It stands
alone because every command that takes a data set reads it alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.catalog import dataset_for_path, dataset_names
from headstart.caches import expanded
from headstart.errors import DataError, did_you_mean
from headstart.own_code import absolute, is_reference
from headstart.yaml12 import parse_scalar_or_flow


@dataclass(frozen=True)
class Given:
    """The name of a set, and its options as they were written."""

    name: str
    options: Mapping[str, object]

    @property
    def path(self) -> Path | None:
        """Where its files are, if that was said."""
        path = self.options.get("path")
        return Path(path) if isinstance(path, (str, Path)) else None


def read_given(text: str, pairs: Sequence[str] = (), flag: str = "") -> Given:
    """The set that `text` names, with the options of `pairs` (KEY=VALUE).

    Args:
        text: a name, a path, code of the user's own, or a mapping as a `data` entry has it.
        pairs: what was given with `--set`.
        flag: begins messages, as `--on`; empty where `text` needs none.

    Raises:
        DataError: it is none of these.
    """
    settings = read_settings(pairs)
    if text.lstrip().startswith("{"):
        return _of_mapping(text, settings, flag)
    if text in dataset_names():
        return Given(text, settings)
    if is_reference(text):
        return Given(absolute(text, Path.cwd()), settings)
    path = expanded(text)
    if not path.exists():
        raise DataError(
            f"{f'{flag} ' if flag else ''}'{text}' is no data set"
            f"{did_you_mean(text, dataset_names())} and no file or folder; data sets are "
            f"{', '.join(dataset_names())}"
        )
    return Given(dataset_for_path(path), {**settings, "path": path})


def read_settings(pairs: Sequence[str]) -> dict[str, object]:
    """Options from KEY=VALUE pairs, each value as YAML has it.

    Raises:
        DataError: a pair without `=`.
    """
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise DataError(f"--set {pair}: give KEY=VALUE, as in --set classes=digits")
        options[key] = parse_scalar_or_flow(value, "--set", key).plain()
    return options


def _of_mapping(text: str, settings: Mapping[str, object], flag: str) -> Given:
    entry = parse_scalar_or_flow(text, flag or "data", "").plain()
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(name, str):
        raise DataError(f"{flag} {text}: a data entry has a name: {{name: csv, path: FILE}}")
    options = {str(key): value for key, value in entry.items() if key != "name"}
    if is_reference(name):
        name = absolute(name, Path.cwd())
    return Given(name, {**options, **settings})
