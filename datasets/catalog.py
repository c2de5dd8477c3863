"""From a name to a data set: which sets there are, what options each takes, loading one.

A data set is one module of `datasets/sets/` that has a class `Options` and functions `locate` and
`load`; it is found by that, so adding a set means adding one file. In: a name and options from
anywhere. Out: a checked `Dataset`. No data set's module is imported until it is asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from datasets import sets
from datasets.base import Dataset, Request
from datasets.corruption import CorruptLabels, corrupt_labels
from datasets.locations import cache_folder, data_folder
from headstart.cli import did_you_mean
from headstart.errors import DataError, DataNotFoundError

_DEFINES = [
    re.compile(rf"^{text}\b", re.MULTILINE) for text in ("class Options", "def locate", "def load")
]


@cache
def dataset_names() -> tuple[str, ...]:
    """The names of all sets, sorted. Reads the modules' text, and imports none of them."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(sets.__path__) if _is_set(info)))


def dataset_module(name: str) -> ModuleType:
    """The module of set `name`.

    Raises:
        DataError: there is no such set.
    """
    if name not in dataset_names():
        raise DataError(
            f"'{name}' is no data set{did_you_mean(name, dataset_names())}; "
            f"there are {', '.join(dataset_names())}"
        )
    return importlib.import_module(f"datasets.sets.{name}")


@cache
def options_model(name: str) -> type[BaseModel]:
    """What may stand beside `name` in a `data` entry: the set's own options and `corrupt_labels`.

    Raises:
        DataError: there is no such set.
    """
    own = dataset_module(name).Options
    return create_model(
        f"{name}_options", __base__=own, corrupt_labels=(CorruptLabels | None, None)
    )


def load_dataset(
    name: str,
    *,
    data_dir: Path | str | None = None,
    cache_dir: Path | str | None = None,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    allow_download: bool = True,
    **options: Any,
) -> Dataset:
    """Load set `name`, from the cache where it has been decoded before.

    Args:
        name: one of `dataset_names()`.
        data_dir: where the files are; default HEADSTART_DATA, else `data`.
        cache_dir: for decoded arrays and downloads; default HEADSTART_CACHE, else the user's.
        image_size: (height, width) to resize to; None: the set's own.
        channels: 1 or 3; None: the set's own.
        allow_download: fetch the set if it is not on this machine and has a public source.
        **options: of `options_model(name)`.

    Raises:
        DataNotFoundError: the set is not here and could not be fetched; says what to put where.
        DataError: unknown name or option, or files that are damaged or do not fit.
    """
    settings = checked_options(name, options)
    request = _request(data_dir, cache_dir, image_size, channels, allow_download)
    module = dataset_module(name)
    own = module.Options.model_validate(
        settings.model_dump(include=set(module.Options.model_fields))
    )
    dataset = module.load(own, request)
    corruption = getattr(settings, "corrupt_labels", None)
    return dataset if corruption is None else corrupt_labels(dataset, corruption)


def is_local(
    name: str,
    data_dir: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    cache_dir: Path | str | None = None,
) -> bool:
    """Whether set `name` can be loaded without a network: its files are here, or it needs none.

    Looks for files only and reads none. A file that is there but damaged counts as here: loading
    it then says what is wrong with it.

    Raises:
        DataError: there is no such set, or it has no such option.
    """
    try:
        locate_dataset(name, data_dir, options, cache_dir)
    except DataNotFoundError:
        return False
    return True


def locate_dataset(
    name: str,
    data_dir: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
    cache_dir: Path | str | None = None,
) -> tuple[Path, ...]:
    """The files or folders that set `name` would be read from; empty where it needs none.

    Raises:
        DataNotFoundError: they are not on this machine; says what to put where.
        DataError: there is no such set, or it has no such option.
    """
    settings = checked_options(name, options or {})
    return tuple(dataset_module(name).locate(settings, _request(data_dir, cache_dir)))


def checked_options(name: str, options: Mapping[str, Any]) -> BaseModel:
    """`options` as the set's frozen options object.

    Raises:
        DataError: one line for each mistake.
    """
    model = options_model(name)
    try:
        return model.model_validate(dict(options))
    except ValidationError as err:
        mistakes = [_mistake(name, each, list(model.model_fields)) for each in err.errors()]
        raise DataError("\n".join(mistakes)) from err


def _is_set(info: pkgutil.ModuleInfo) -> bool:
    spec = info.module_finder.find_spec(info.name, None)
    if spec is None or spec.origin is None:
        return False
    text = Path(spec.origin).read_text(encoding="utf-8")
    return all(pattern.search(text) for pattern in _DEFINES)


def _request(
    data_dir: Path | str | None,
    cache_dir: Path | str | None,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    allow_download: bool = True,
) -> Request:
    if image_size is not None and (len(image_size) != 2 or min(image_size) < 1):
        raise DataError(f"image size {image_size}: give (height, width), each 1 pixel or more")
    if channels not in (None, 1, 3):
        raise DataError(f"channels {channels}: give 1 (grayscale) or 3 (RGB)")
    return Request(
        data_dir=data_folder(data_dir),
        cache_dir=cache_folder(cache_dir),
        image_size=None if image_size is None else (int(image_size[0]), int(image_size[1])),
        channels=channels,
        allow_download=allow_download,
    )


def _mistake(name: str, error: Any, allowed: list[str]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return (
            f"data set '{name}': no option '{key}'{did_you_mean(key, allowed)}; "
            f"it takes {', '.join(allowed)}"
        )
    if error["type"] == "missing":
        return f"data set '{name}': option '{key}' is needed"
    return f"data set '{name}': option '{key}': {error['input']!r}: {error['msg']}"
