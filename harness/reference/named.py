"""What a run's own `sweep.yaml` names on this machine: opened only where the user keeps data.

In: the sweep of a run folder that a stranger may have made, and the user's data folder. Out:
nothing, or one line that lists what would be opened elsewhere. It stands alone because the sweep
file that a user gives is trusted, and only this command opens what a run folder names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from datasets.base import Request
from datasets.catalog import locate_dataset
from datasets.locations import data_folder, downloads_folder
from harness.sweepfile.settings import Condition, DataChoice, Sweep
from headstart.caches import cache_folder
from headstart.errors import DataNotFoundError, InputError

OPEN_NAMED = "--open-named"
_MOST_SHOWN = 5


def refuse_outside(where: Path, sweep: Sweep, data_dir: Path | None) -> None:
    """Refuse a sweep that names data or weights outside of the data folder and the cache.

    Links inside of these folders are the user's own and lead where they like.

    Raises:
        InputError: it names some; the line lists them and says how they are allowed.
    """
    data = data_folder(data_dir)
    conditions = [*sweep.stages.values(), *sweep.arms.values()]
    named = dict.fromkeys(path for each in conditions for path in _named(each, data))
    own = (data, cache_folder(), downloads_folder(Request(data, cache_folder())))
    outside = [path for path in named if not any(_is_below(path, folder) for folder in own)]
    if outside:
        shown = ", ".join(str(path) for path in outside[:_MOST_SHOWN])
        more = f" and {len(outside) - _MOST_SHOWN} more" if len(outside) > _MOST_SHOWN else ""
        raise InputError(
            f"{where}: names what lies outside of the data folder {data}: {shown}{more}; give "
            f"--data with the folder that it lies in, or {OPEN_NAMED} where you trust this file"
        )


def _named(condition: Condition, data: Path) -> Iterator[Path]:
    for choice in condition.data:
        yield from _located(choice, data)
    if condition.start.kind in ("file", "run"):
        yield condition.start.path


def _located(choice: DataChoice, data: Path) -> tuple[Path, ...]:
    """The files or folders that a data set would be read from; none where it is not there."""
    try:
        return locate_dataset(choice.name, data, choice.options)
    except DataNotFoundError:
        return ()


def _is_below(path: Path, folder: Path) -> bool:
    """Whether `path` lies in `folder` as it is written, or when all links are followed."""
    real = (Path(os.path.realpath(each)) for each in (path, folder))  # a circle of links ends too
    ways = ((path.absolute(), folder.absolute()), tuple(real))
    return any(
        at.is_relative_to(base) and ".." not in at.relative_to(base).parts for at, base in ways
    )
