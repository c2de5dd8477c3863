"""CIFAR-10 and CIFAR-100 as their authors publish them: batches, packed or not.

`{name: cifar, path: cifar-10-python.tar.gz}` reads `data_batch_1` … `data_batch_5`, `test_batch`
and `batches.meta`, or CIFAR-100's `train`, `test` and `meta`, from a folder, a tar or a zip file;
so too the binary version (`data_batch_1.bin`), and any set in the same form, as ImageNet in 32×32
pixels. Its pickles are opened without running what they name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets.arrays.classes import NamesSetting, labels_to_classes, names_key
from datasets.base import PART_NAMES, Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.cache.cached import cached
from datasets.files.pickles import read_pickle
from datasets.files.trees import Tree, is_archive, open_tree
from datasets.locations import user_path
from datasets.preprocess import shape_for
from headstart.errors import DataError, did_you_mean
from headstart.settings import key

VERSION = 1
_BATCH = re.compile(r"(?:train_)?data_batch(?:_(\d+))?|test_batch|val_data|train|test")
_BINARY = re.compile(rf"({_BATCH.pattern})\.bin")
_META = ("batches.meta", "meta")
_NAMES = {"labels": "batches.meta.txt", "fine_labels": "fine_label_names.txt",
          "coarse_labels": "coarse_label_names.txt"}  # fmt: skip
_OF = re.compile(r"of (\d+)$")


def _knows(names: Sequence[str]) -> bool:
    files = {name.rpartition("/")[2] for name in names}
    first = {"batches.meta", "data_batch_1", "train_data_batch_1", "data_batch_1.bin"}
    of_100 = ({"train", "test", "meta"}, {"train.bin", "test.bin", "fine_label_names.txt"})
    return bool(files & first) or any(files >= each for each in of_100)


INFO = DatasetInfo(knows=_knows, reads_archives=True)


class Options(DatasetOptions):
    """Where the batches are, and which of their labels are meant."""

    path: Path = key("The folder of the batches, or a .tar.gz or .zip file of it.",
        example="my/cifar-10-python.tar.gz")  # fmt: skip
    class_names: NamesSetting = names_key()
    label_key: str | None = key("Which labels, where an image has several, as those of CIFAR-100: "
        "`fine_labels` (100 classes), which are taken without it, or `coarse_labels` (20).", None,
        example="coarse_labels")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The folder or the archive."""
    path = user_path(options.path, request.data_dir)
    if not path.is_dir() and not is_archive(path):
        raise DataError(f"{path}: not a folder, and no .zip, .tar or .tar.gz file of one")
    return (path,)


def load(options: Options, request: Request) -> Dataset:
    """All batches, those of the training part first."""
    (path,) = locate(options, request)
    return cached(
        "cifar", VERSION, options, request, [path], lambda asked: _decode(path, options, asked)
    )


def _decode(path: Path, options: Options, request: Request) -> Dataset:
    with open_tree(path) as tree:
        folder, files = _batches(tree)
        batches = {name: _read(tree, folder + name) for name in files}
        meta = _meta(tree, folder)
    _check_complete(path, batches)
    label_key, notes = _label_key(path, batches, options.label_key)
    images = [_images(batch, tree.label(folder + name)) for name, batch in batches.items()]
    labels = [_labels(batch.get(label_key), path) for batch in batches.values()]
    for name, pixels, numbers in zip(batches, images, labels, strict=True):
        if numbers.ndim != 1 or len(pixels) != len(numbers):
            raise DataError(
                f"{tree.label(folder + name)}: {len(pixels)} images but labels of shape "
                f"{numbers.shape} in '{label_key}'"
            )
    if len({pixels.shape[1:] for pixels in images}) > 1:
        raise DataError(f"{path}: batches of images of different sizes")
    names = options.class_names or _names(meta, label_key, path)
    values, classes, label_note = labels_to_classes(np.concatenate(labels), str(path), names)
    ends = np.cumsum([len(pixels) for pixels in images])
    of_part: dict[str, list[np.ndarray]] = {part: [] for part in PART_NAMES}
    for name, pixels, end in zip(batches, images, ends, strict=True):
        of_part[_part(name)].append(np.arange(end - len(pixels), end))
    parts = {part: np.concatenate(indices) for part, indices in of_part.items() if indices}
    return build_dataset(
        "cifar",
        shape_for(np.concatenate(images), request),
        values,
        classes,
        source=str(path),
        parts=parts if "train" in parts else {},
        notes=[note for note in (*notes, label_note) if note],
    )


def _batches(tree: Tree) -> tuple[str, list[str]]:
    """The folder of the batches, with its `/`, and their names, the training part's first."""
    folders: dict[str, list[str]] = {}
    for name in tree.names:
        folder, _, last = name.rpartition("/")
        if _BATCH.fullmatch(last) or _BINARY.fullmatch(last):
            folders.setdefault(f"{folder}/" if folder else "", []).append(last)
    if not folders:
        raise DataError(
            f"{tree.where}: no batches as CIFAR has them (data_batch_1 …, test_batch; or train, "
            "test, meta)"
        )
    if len(folders) > 1:
        raise DataError(
            f"{tree.where}: holds several sets, in {', '.join(sorted(folders))}; give the path of "
            "one of them"
        )
    ((folder, names),) = folders.items()
    return folder, sorted(names, key=lambda name: (PART_NAMES.index(_part(name)), _number(name)))


def _part(name: str) -> str:
    return "test" if name[:4] == "test" else "validation" if name[:8] == "val_data" else "train"


def _number(name: str) -> int:
    match = _BATCH.fullmatch(name.removesuffix(".bin"))
    return int(match[1]) if match and match[1] else 0


def _meta(tree: Tree, folder: str) -> Mapping[str, Any]:
    """The names of the classes by their keys; empty where nothing says them."""
    for name in _META:
        if folder + name in tree.names:
            return _read(tree, folder + name)
    texts = {label: folder + name for label, name in _NAMES.items() if folder + name in tree.names}
    lines = {label: _text(tree.read(name)).splitlines() for label, name in texts.items()}
    return {
        f"{label.removesuffix('s')}_names": [line.strip() for line in names if line.strip()]
        for label, names in lines.items()
    }


def _read(tree: Tree, name: str) -> Mapping[str, Any]:
    """The mapping in a batch, its keys as texts."""
    if _BINARY.fullmatch(name.rpartition("/")[2]):
        return _read_binary(tree, name)
    try:
        held = read_pickle(tree.read(name))
    except ValueError as err:
        raise DataError(f"{tree.label(name)}: cannot be read as a batch: {err}") from err
    if not isinstance(held, dict):
        raise DataError(f"{tree.label(name)}: holds no mapping; a batch has data and labels")
    return {_text(k): value for k, value in held.items()}


def _read_binary(tree: Tree, name: str) -> Mapping[str, Any]:
    """Rows of one label (two in CIFAR-100: coarse, fine) and 3,072 pixels, as a mapping."""
    content = tree.read(name)
    is_100 = name.rpartition("/")[2] in ("train.bin", "test.bin")
    keys = ("coarse_labels", "fine_labels") if is_100 else ("labels",)
    n_row = len(keys) + 3 * 32 * 32
    if not content or len(content) % n_row:
        raise DataError(
            f"{tree.label(name)}: has {len(content):,} bytes, which are no rows of {n_row:,} "
            f"({len(keys)} for labels, 3,072 for pixels)"
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, n_row)
    return {**{key: rows[:, k] for k, key in enumerate(keys)}, "data": rows[:, len(keys) :]}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _check_complete(path: Path, batches: Mapping[str, Mapping[str, Any]]) -> None:
    """Whether all batches of the training part are here, by their numbers and what they say."""
    numbers = [_number(name) for name in batches if _number(name)]
    said = [_OF.search(_text(batch.get("batch_label", ""))) for batch in batches.values()]
    n = max([len(numbers), *numbers, *(int(match[1][:6]) for match in said if match)])
    missing = next((k for k in range(1, n + 1) if k not in numbers), None)
    if numbers and missing is not None:
        raise DataError(f"{path}: data_batch_{missing} of {n} is not here; fetch it")


def _label_key(
    path: Path, batches: Mapping[str, Mapping[str, Any]], given: str | None
) -> tuple[str, list[str]]:
    keys = [key for key in next(iter(batches.values())) if key.endswith("labels")]
    if given is not None:
        if given not in keys:
            raise DataError(
                f"{path}: label_key: no '{given}'{did_you_mean(given, keys)}; there are "
                f"{', '.join(keys)}"
            )
        return given, []
    if not keys:
        raise DataError(f"{path}: no labels in its batches")
    if len(keys) == 1:
        return keys[0], []
    if "fine_labels" in keys:
        others = ", ".join(key for key in keys if key != "fine_labels")
        return "fine_labels", [f"labels are fine_labels; label_key chooses {others}"]
    raise DataError(f"{path}: which of {', '.join(keys)} are meant? Say so with label_key")


def _labels(values: object, path: Path) -> np.ndarray:
    try:
        return np.asarray([] if values is None else values)
    except ValueError as err:
        raise DataError(f"{path}: labels of a batch that are no list of one each") from err


def _names(meta: Mapping[str, Any], label_key: str, path: Path) -> tuple[str, ...] | None:
    """What the meta file calls the classes, where there is one."""
    names = meta.get(f"{label_key.removesuffix('s')}_names")
    if not isinstance(names, list) or not names:
        return None
    texts = tuple(_text(name) for name in names)
    if len(set(texts)) < len(texts):
        raise DataError(f"{path}: its meta file calls two classes by one name")
    return texts


def _images(batch: Mapping[str, Any], where: str) -> np.ndarray:
    """uint8 (N, H, W, 3), from rows of the red, then the green, then the blue pixels."""
    data = batch.get("data")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8:
        raise DataError(f"{where}: no uint8 array 'data' in it; it holds {', '.join(batch)[:200]}")
    if data.ndim == 4 and data.shape[3] == 3:
        return data
    side = math.isqrt(data.shape[1] // 3) if data.ndim == 2 else 0
    if data.ndim == 4 and data.shape[1] == 3:
        return data.transpose(0, 2, 3, 1)
    if side == 0 or 3 * side * side != data.shape[1] or not len(data):
        raise DataError(f"{where}: 'data' of shape {data.shape} are no square images in colour")
    return data.reshape(-1, 3, side, side).transpose(0, 2, 3, 1)
