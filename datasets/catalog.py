"""From a name to a data set: which sets there are, what options each takes, loading one.

A data set is one module of `datasets/sets/` that has a class `Options` and functions `locate` and
`load`; it is found by that, so adding a set means adding one file. What commands must know of it
beyond its images it declares as `INFO`. In: a name and options from anywhere. Out: a checked
`Dataset`. No data set's module is imported until it is asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from datasets import sets
from datasets.as_jpeg import as_jpeg, jpeg_request
from datasets.as_target import as_target
from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request
from datasets.corruption import corrupt_labels
from datasets.files.image_kinds import kinds_of
from datasets.files.peek import (
    advice_on_archives,
    advice_without_images,
    first_bytes,
    first_names,
    has_images,
    unread_file,
)
from datasets.files.remote import address_of, fetched
from datasets.files.trees import is_archive
from datasets.locations import data_folder
from datasets.own import OwnOptions, OwnSet
from headstart.caches import cache_folder
from headstart.errors import DataError, did_you_mean
from headstart.own_code import is_reference, shown

OptionsOrMapping = DatasetOptions | Mapping[str, object]
"""Options that have been validated, or keys and values as a person writes them."""

_DEFINES = [
    re.compile(rf"^{text}\b", re.MULTILINE) for text in ("class Options", "def locate", "def load")
]


@cache
def dataset_names() -> tuple[str, ...]:
    """The names of all sets, sorted. Reads the modules' text, and imports none of them."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(sets.__path__) if _is_set(info)))


def dataset_module(name: str) -> ModuleType:
    """The module of set `name`, or what stands for it where the set is code of the user's own.

    Raises:
        DataError: there is no such set.
    """
    if is_reference(name):
        return cast("ModuleType", OwnSet(name))
    if name not in dataset_names():
        raise DataError(
            f"'{name}' is no data set{did_you_mean(name, dataset_names())}; there are "
            f"{', '.join(dataset_names())}, and those of a file of your own: my_data.py:NAME"
        )
    return importlib.import_module(f"datasets.sets.{name}")


def options_model(name: str) -> type[DatasetOptions]:
    """What may stand beside `name` in a `data` entry: the set's own options, `corrupt_labels`
    and `as_jpeg`.

    Raises:
        DataError: there is no such set.
    """
    model: type[DatasetOptions] = dataset_module(name).Options
    return model


def dataset_info(name: str) -> DatasetInfo:
    """What set `name` declares of itself.

    Raises:
        DataError: there is no such set.
    """
    info: DatasetInfo = getattr(dataset_module(name), "INFO", DatasetInfo())
    return info


def class_alias(label: str) -> str:
    """The class that some set also calls `label`; `label` itself where none does."""
    plain = _plain(label)
    for name in dataset_names():
        aliases = dataset_info(name).class_aliases
        if plain in aliases:
            return aliases[plain]
    return label


def dataset_for_path(path: Path) -> str:
    """The name of the set that reads a file or folder as its option `path`, by its content.

    A path that is not there is known by its ending; a folder that no other set knows is `folder`'s.

    Raises:
        DataError: no set reads such a file, or several may be meant.
    """
    infos = {name: dataset_info(name) for name in dataset_names()}
    endings = tuple(ending for info in infos.values() for ending in info.suffixes)
    is_packed_file = path.name.lower().endswith(endings)  # as a .csv.zip is
    if path.is_dir() or (is_archive(path) and path.is_file() and not is_packed_file):
        return _set_of_files(path, infos)
    start = first_bytes(path)
    by_start = [name for name, info in infos.items() if any(map(start.startswith, info.starts))]
    by_ending = [name for name, info in infos.items() if path.name.lower().endswith(info.suffixes)]
    chosen = next(iter(by_start + by_ending), "folder")
    if chosen == "folder" and path.is_file():
        raise DataError(f"{path}: {unread_file(path.name, start)}; read are {_kinds(infos)}")
    return chosen


def _set_of_files(path: Path, infos: Mapping[str, DatasetInfo]) -> str:
    """Of a folder or an archive."""
    names = first_names(path)
    top = [name for name in names if "/" not in name]
    by_sign = [
        name
        for name, info in infos.items()
        if info.folder_sign and path.is_dir() and any(info.folder_sign in file for file in top)
    ]
    by_names = [
        name for name, info in infos.items() if info.knows is not None and info.knows(names)
    ]
    beside_images = [name for name in by_names if not infos[name].reads_archives]
    if beside_images and not path.is_dir():
        raise DataError(
            f"{path}: holds {kinds_of(names)}; unpack it, and give the folder that it makes"
        )
    chosen = by_sign or by_names
    if beside_images and not by_sign and has_images(names):
        chosen = [*by_names, "folder"]
    archives = [name for name in names if is_archive(Path(name))]
    if not chosen and archives and not has_images(names) and len(archives) * 2 >= len(names):
        raise DataError(f"{path}: {advice_on_archives(path, archives)}")
    endings = tuple(ending for info in infos.values() for ending in info.suffixes)
    if not chosen and (advice := advice_without_images(path, names, endings)):
        raise DataError(f"{path}: {advice}")
    if len(chosen) > 1:
        ways = " or ".join(f"{{name: {name}, path: {path}}}" for name in chosen)
        raise DataError(
            f"{path}: holds {kinds_of(names)}, which may be read in {len(chosen)} ways: say which "
            f"as data: {ways}"
        )
    return next(iter(chosen), "folder")


def _kinds(infos: Mapping[str, DatasetInfo]) -> str:
    """The kinds of files that are read, for a message."""
    endings = sorted({ending for info in infos.values() for ending in info.suffixes})
    return (
        f"{', '.join(endings)}, and folders of images, also as .zip, .tar or .tgz "
        '(docs/data.md, "Files that are read")'
    )


def load_dataset(
    name: str,
    options: OptionsOrMapping | None = None,
    *,
    data_dir: Path | str | None = None,
    cache_dir: Path | str | None = None,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    allow_download: bool = True,
    most_pixels: int | None = None,
    prepare: Callable[[np.ndarray], np.ndarray] | None = None,
    **keywords: object,
) -> Dataset:
    """Load set `name`, from the cache where it has been decoded before.

    Args:
        name: one of `dataset_names()`.
        options: of `options_model(name)`, validated or as keys and values.
        data_dir: where the files are; default HEADSTART_DATA, else `data`.
        cache_dir: for decoded arrays and downloads; default HEADSTART_CACHE, else the user's.
        image_size: (height, width) to resize to; None: the set's own.
        channels: 1 or 3; None: the set's own.
        allow_download: fetch the set if it is not on this machine and has a public source.
        most_pixels: image files of more pixels than this together are read as a sample, each made
            small; for a description of a set, never for training.
        prepare: as of `Request`.
        **keywords: the options one by one, where `options` is not given.

    Raises:
        DataNotFoundError: the set is not here and could not be fetched; says what to put where.
        DataError: unknown name or option, or files that are damaged or do not fit.
    """
    settings = checked_options(name, keywords if options is None else options)
    request = _request(data_dir, cache_dir, image_size, channels, allow_download)
    request = replace(request, most_pixels=most_pixels, prepare=prepare)
    is_jpeg = settings.as_jpeg and prepare is None
    asked = jpeg_request(request) if is_jpeg else request
    local, address = _local(settings, request)
    dataset: Dataset = dataset_module(name).load(local, asked)
    if address is not None:
        dataset = replace(dataset, source=address)
    if is_jpeg:
        dataset = as_jpeg(dataset, request)
    if settings.corrupt_labels is not None:
        dataset = corrupt_labels(dataset, settings.corrupt_labels)
    if settings.target is None:
        return dataset
    return as_target(dataset, settings.target, only_tests=prepare is not None)


def right_labels(
    name: str,
    options: OptionsOrMapping,
    dataset: Dataset,
    *,
    data_dir: Path | str | None = None,
    cache_dir: Path | str | None = None,
) -> np.ndarray | None:
    """The right label of each image of `dataset`, int64 (N,); None where they are not known.

    They are known of labels that `corrupt_labels` made wrong, and of a set whose module has a
    function `right_labels`. Where both hold, the module's count: what it loads is wrong already.

    Args:
        dataset: what `load_dataset` gave for these name and options.
    """
    request = _request(data_dir, cache_dir, dataset.images.shape[2:], dataset.images.shape[1])
    request = replace(request, allow_download=False)
    settings, _ = _local(checked_options(name, options), request)
    its_own = getattr(dataset_module(name), "right_labels", None)
    if its_own is not None:
        labels: np.ndarray | None = its_own(settings, request, len(dataset.labels))
    elif settings.corrupt_labels is not None:
        labels = dataset_module(name).load(settings, request).labels
    else:
        labels = None
    return None if labels is None else np.asarray(labels, np.int64)


def locate_dataset(
    name: str,
    data_dir: Path | str | None = None,
    options: OptionsOrMapping | None = None,
    cache_dir: Path | str | None = None,
) -> tuple[Path, ...]:
    """The files or folders that set `name` would be read from; empty where it needs none.

    Looks for files only and reads none: a damaged file counts as there, and loading it says what
    is wrong with it.

    Raises:
        DataNotFoundError: they are not on this machine; says what to put where.
        DataError: there is no such set, or it has no such option.
    """
    request = _request(data_dir, cache_dir, allow_download=False)
    settings, _ = _local(checked_options(name, options or {}), request)
    return tuple(dataset_module(name).locate(settings, replace(request, allow_download=True)))


def remote_address(options: DatasetOptions) -> str | None:
    """Where in a remote store a set's files are; None: they are files of this machine."""
    path = getattr(options, "path", None)
    return address_of(path) if isinstance(path, Path) else None


def _local(options: DatasetOptions, request: Request) -> tuple[DatasetOptions, str | None]:
    """The options with a path of this machine, and the address that it stands for, if any."""
    address = remote_address(options)
    if address is None:
        return options, None
    path = fetched(address, request.cache_dir, request.allow_download)
    return options.model_copy(update={"path": path}), address


def checked_options(name: str, options: OptionsOrMapping) -> DatasetOptions:
    """`options` as the set's frozen options object.

    An object that this function (or a sweep file's reader) has made comes back as it is.

    Raises:
        DataError: one line for each mistake.
    """
    if isinstance(options, OwnOptions):
        return options
    model = options_model(name)
    if isinstance(options, model):
        return options
    try:
        return model.model_validate(dict(options))
    except ValidationError as err:
        own = [key for key in model.model_fields if key not in DatasetOptions.model_fields]
        allowed = [*own, *DatasetOptions.model_fields]
        mistakes = [_mistake(name, each, allowed) for each in err.errors()]
        raise DataError("\n".join(mistakes)) from err


def _is_set(info: pkgutil.ModuleInfo) -> bool:
    spec = info.module_finder.find_spec(info.name, None)
    if spec is None or spec.origin is None:
        return False
    text = Path(spec.origin).read_text(encoding="utf-8")
    return all(pattern.search(text) for pattern in _DEFINES)


def _plain(label: str) -> str:
    """Without case, spaces, `_`, `-` and the zeros before a number."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[ _-]", "", label).casefold())


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


def _mistake(name: str, error: ErrorDetails, allowed: list[str]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    name = shown(name)
    if not key:
        return f"data set '{name}': {error['msg'].removeprefix('Value error, ')}"
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return (
            f"data set '{name}': no option '{key}'{did_you_mean(key, allowed)}; "
            f"it takes {', '.join(allowed)}"
        )
    if error["type"] == "missing":
        return f"data set '{name}': option '{key}' is needed"
    return f"data set '{name}': option '{key}': {error['input']!r}: {error['msg']}"
