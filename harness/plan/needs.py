"""What a sweep needs from outside, its data sets and weights: here, to be fetched, or missing.

In: a sweep, and where data lies. Out: a `Need` for each. `lacking` looks for files only, so that
`--dry-run` can name all that is missing and fetches nothing. `fetch` brings what has a public
source into the caches and opens every data set, for nodes that have no network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import datasets
from datasets.base import Request
from datasets.locations import data_folder, downloads_folder
from harness.sweepfile.settings import AlsoTest, Condition, DataChoice, Sweep
from harness.trials.catalogue import MAY_BE_MISSING, DataCatalogue
from headstart.caches import cache_folder
from headstart.errors import DataNotFoundError, InputError, WeightsNotFoundError

State = Literal["here", "to fetch", "fetched", "replaced", "missing"]


@dataclass(frozen=True)
class Need:
    """A data set or a file of weights.

    Attributes:
        name: for people.
        state: `replaced`: it is missing, and the sweep names another one to use then.
        detail: where it is, or why it is not and what to do.
        at: the line and key of the sweep file that names it.
        is_needed: whether no other one may be used where it is missing: a person named its files,
            or they are here and cannot be read.
    """

    name: str
    state: State
    detail: str
    at: str = ""
    is_needed: bool = False

    def line(self) -> str:
        """For a console."""
        state = "would be fetched" if self.state == "to fetch" else self.state
        where = f" ({self.at})" if self.at and self.state == "missing" else ""
        return f"{self.name}: {state}: {self.detail}{where}"


def lacking(sweep: Sweep, data_dir: Path | None) -> list[Need]:
    """What the sweep's stages and arms need and is not here, each once; nothing is fetched."""

    def look(_: Condition, choice: DataChoice) -> Need:
        return _look(choice, data_dir)

    needs = _each_once(sweep, look, _Weights(data_dir, allow_download=False))
    needs += _of_test_sets(sweep, lambda choice: _look(choice, data_dir))
    return [need for need in needs if need.state in ("missing", "to fetch")]


def is_in_files_here(condition: Condition, data_dir: Path | None) -> bool:
    """Whether its data would be read from files that are here; nothing is drawn or fetched."""
    for choice in condition.data:
        need = _look(choice, data_dir)
        if need.state == "here":
            return bool(datasets.locate_dataset(choice.name, data_dir, choice.options))
        if need.state == "to fetch" or need.is_needed:
            return False
    return False


def why_missing(choices: Sequence[DataChoice], data_dir: Path | None) -> str:
    """Why none of these data sets can be had; an empty text where one of them can."""
    needs = [_look(choice, data_dir) for choice in choices]
    missing = [need for need in needs if need.state == "missing"]
    lacking = missing if len(missing) == len(needs) else [n for n in missing if n.is_needed]
    return "; nor ".join(f"{need.name}: {need.detail}" for need in lacking)


def fetch(sweep: Sweep, data_dir: Path | None) -> list[Need]:
    """All that it needs, after what has a public source was fetched and the data sets opened."""
    catalogue = DataCatalogue(data_dir)

    def get(condition: Condition, choice: DataChoice) -> Need:
        need, kept = _look(choice, data_dir), _Kept()
        if need.state == "missing":
            return need
        try:
            catalogue.use(condition.model_copy(update={"data": (choice,)}))
        except DataNotFoundError as err:
            return Need(need.name, "missing", err.reason)
        except InputError as err:
            return Need(need.name, "missing", f"it cannot be used: {err}", is_needed=True)
        return kept.fetched(need.name) or replace(need, state="here")

    def get_test_set(choice: DataChoice) -> Need:
        need, kept = _look(choice, data_dir), _Kept()
        if need.state != "to fetch":
            return need
        try:
            datasets.load_dataset(choice.name, choice.options, data_dir=data_dir)
        except InputError as err:
            return Need(need.name, "missing", str(err), is_needed=True)
        return kept.fetched(need.name) or replace(need, state="here")

    needs = _each_once(sweep, get, _Weights(data_dir, allow_download=True))
    return [*needs, *_of_test_sets(sweep, get_test_set)]


def _of_test_sets(sweep: Sweep, get: Callable[[DataChoice], Need]) -> list[Need]:
    """The need of each data set of `also_test`; nothing stands in for one."""
    needs = []
    for item, at in zip(sweep.also_test, sweep.also_at, strict=True):
        if isinstance(item, AlsoTest):
            choice = DataChoice(name=item.name, options=item.options)
            needs.append(replace(get(choice), name=item.called, at=at))
    return needs


def _each_once(
    sweep: Sweep, data: Callable[[Condition, DataChoice], Need], weights: _Weights
) -> list[Need]:
    needs: dict[str, list[Need]] = {}
    for name, condition in (*sweep.stages.items(), *sweep.arms.items()):
        info, start = condition.model.info, condition.start
        key = repr((condition.data, info.image_size, info.channels))
        if key not in needs:
            at = sweep.data_at.get(name, "")
            each = _first_of(condition.data, weights.data_dir, partial(data, condition))
            needs[key] = [replace(need, at=at) for need in each]
        key = repr((start, condition.model.name))
        if key not in needs and start.kind not in ("random", "stage"):
            needs[key] = [replace(weights.need(condition), at=sweep.starts_at.get(name, ""))]
    once: dict[Need, Need] = {}
    for need in (need for some in needs.values() for need in some):
        once.setdefault(replace(need, at=""), need)
    return list(once.values())


def _first_of(
    choices: Sequence[DataChoice], data_dir: Path | None, get: Callable[[DataChoice], Need]
) -> Iterator[Need]:
    """Each choice until one is here or can be fetched; those before it are then replaced.

    Where some are missing that no other one may replace, these alone.
    """
    advice = f" ({MAY_BE_MISSING})" if len(choices) > 1 else ""
    if needed := [n for each in choices if (n := _look(each, data_dir, advice)).is_needed]:
        yield from needed
        return
    missing: list[Need] = []
    for choice in choices:
        need = get(choice)
        if need.is_needed:
            yield need
            return
        if need.state != "missing":
            instead = f"{need.name} stands in for it; "
            yield from (replace(n, state="replaced", detail=instead + n.detail) for n in missing)
            yield need
            return
        missing.append(need)
    yield from missing


def _look(choice: DataChoice, data_dir: Path | None, advice: str = "") -> Need:
    """Where a data set is; `advice` for one that a person named and that is not there."""
    try:
        paths = datasets.locate_dataset(choice.name, data_dir, choice.options)
    except DataNotFoundError as err:
        size = datasets.dataset_info(choice.name).download
        if size:
            return Need(choice.label, "to fetch", f"{size}, or {err.put}")
        if datasets.remote_address(choice.options) is not None:
            return Need(choice.label, "to fetch", err.put)
        if err.is_named and not choice.optional:
            return Need(choice.label, "missing", err.reason + advice, is_needed=True)
        return Need(choice.label, "missing", err.reason)
    except InputError as err:
        return Need(choice.label, "missing", str(err), is_needed=True)
    folders = dict.fromkeys(str(path if path.is_dir() else path.parent) for path in paths)
    return Need(choice.label, "here", ", ".join(folders) or "it needs no files")


@dataclass(frozen=True)
class _Weights:
    """Looks for the weights that a condition starts from, and may fetch them."""

    data_dir: Path | None
    allow_download: bool

    def need(self, condition: Condition) -> Need:
        start = condition.start
        if start.kind == "imagenet":
            return self._imagenet(condition.model.name)
        path = start.path
        if start.kind == "run":
            is_here, name, missing = path.is_dir(), f"run {path.name}", f"{path}: no such folder"
        else:
            is_here, name, missing = path.is_file(), f"weights {path.name}", f"{path}: no such file"
        return Need(name, "here", str(path)) if is_here else Need(name, "missing", missing)

    def _imagenet(self, network: str) -> Need:
        from models.imagenet import locate_imagenet  # torch: only where ImageNet is asked for

        name, kept = f"ImageNet weights of {network}", _Kept()
        try:
            path = locate_imagenet(
                network,
                weights_dir=data_folder(self.data_dir) / "weights",
                cache_dir=cache_folder(),
                allow_download=self.allow_download,
            )
        except WeightsNotFoundError as err:
            return Need(name, "missing" if self.allow_download else "to fetch", err.put)
        except InputError as err:
            return Need(name, "missing", str(err))
        return kept.fetched(name) or Need(name, "here", str(path))


class _Kept:
    """The files that were fetched before, to tell which of them are new."""

    def __init__(self) -> None:
        self.before = self._files()

    def fetched(self, name: str) -> Need | None:
        """What is new, as the need that it met; None where nothing is."""
        now = self._files()
        new = {path: size for path, size in now.items() if self.before.get(path) != size}
        if not new:
            return None
        folders = ", ".join(dict.fromkeys(os.path.dirname(path) for path in new))
        return Need(name, "fetched", f"{sum(new.values()):,} bytes, into {folders}")

    def _files(self) -> dict[str, int]:
        cache = cache_folder()
        tops = (downloads_folder(Request(data_folder(), cache)), cache / "weights")
        return {
            entry.path: entry.stat().st_size
            for top in tops
            for folder, _, _ in os.walk(top)
            for entry in os.scandir(folder)
            if entry.is_file() and not entry.name.startswith(".")
        }
