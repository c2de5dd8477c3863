"""Any set in MNIST's own format: a folder of idx files, unpacked or .gz.

`{name: idx, path: DIR}` reads the pairs `train-images…` and `train-labels…`, `t10k-…` or
`test-…`, and `validation-…`, as MNIST, Fashion-MNIST, KMNIST, QMNIST and EMNIST name them. Where a
folder holds several sets, as EMNIST's does, `set: letters` says which. A file such as
`emnist-letters-mapping.txt` names the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.arrays.classes import ClassNames, NamesSetting, labels_to_classes, names_key
from datasets.arrays.idx import IdxSet, idx_sets, is_idx_name, read_mapping, read_pairs
from datasets.arrays.pixels import images_to_nhwc, images_to_uint8
from datasets.base import Dataset, DatasetInfo, DatasetOptions, Request, build_dataset
from datasets.cache.cached import cached
from datasets.locations import user_path
from datasets.preprocess import shape_for
from headstart.errors import DataError
from headstart.settings import key

VERSION = 2
_DEEPEST = 3  # folders below the one that was named in which files are looked for
_MOST_FOLDERS = 1000
_LETTERS = 26


def _knows(names: Sequence[str]) -> bool:
    return any(is_idx_name(name.rsplit("/", 1)[-1]) for name in names)


INFO = DatasetInfo(folder_sign="-images", knows=_knows)


class Options(DatasetOptions):
    """Where the files are, and what they cannot say themselves."""

    path: Path = key("The folder with the IDX files.", example="my/emnist")
    set: str | None = key("Which one, where the folder holds several: what stands before "
        "`-train-images` in the names of its files, or the last word of it.", None,
        example="letters")  # fmt: skip
    class_names: NamesSetting = names_key()
    transpose: bool = key("Whether rows and columns are swapped (EMNIST stores its images on "
        "their side).", False, example=True)  # fmt: skip
    value_range: tuple[float, float] | None = key("[black, white], for pixels in a range that is "
        "not recognised.", None, example=[0, 1023], unit="pixel values")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The idx files of the folder, images and labels of each part."""
    return tuple(_choose(options, request)[2].paths)


def load(options: Options, request: Request) -> Dataset:
    """All parts of the set, one after the other."""
    folder, name, files = _choose(options, request)
    return cached(
        "idx", VERSION, options, request, files.paths,
        lambda asked: _decode(options, asked, folder, name, files),
    )  # fmt: skip


def _choose(options: Options, request: Request) -> tuple[Path, str, IdxSet]:
    """The folder, the name and the files of the set that is meant.

    Raises:
        DataNotFoundError: no such folder.
        DataError: no idx files, several sets or folders of them, or a folder that cannot be read.
    """
    given = user_path(options.path, request.data_dir)
    try:
        folder, sets = _below(given)
    except OSError as err:
        raise DataError(f"{err.filename or given}: cannot be read: {err.strerror}") from err
    if options.set is not None:
        wanted = options.set.lower()
        names = [name for name in sets if wanted in (name, *name.split("-")[-1:])]
    else:
        names = list(sets)
    if len(names) == 1:
        return folder, names[0], sets[names[0]]
    shown = ", ".join(_short(name, sets) for name in sorted(sets))
    if not names:
        raise DataError(f"{folder}: set: '{options.set}' is none of {shown}")
    example = _short(max(names, key=len), sets)
    raise DataError(f"{folder}: holds the sets {shown}; say which, as in set: {example}")


def _short(name: str, names: dict[str, IdxSet]) -> str:
    """The last word of a set's name, where no other set has it."""
    if not name:
        return "''"
    last = name.split("-")[-1]
    return last if [each.split("-")[-1] for each in names].count(last) == 1 else name


def _below(given: Path) -> tuple[Path, dict[str, IdxSet]]:
    """The folder with idx files, `given` itself or the only such one below it, and its sets."""
    level, n_left = [given] if given.is_dir() else [], _MOST_FOLDERS
    for _ in range(_DEEPEST + 1):
        held = [(folder, sets) for folder in level if (sets := idx_sets(folder))]
        if len(held) == 1:
            return held[0]
        if held:
            shown = ", ".join(str(folder.relative_to(given)) for folder, _ in held)
            raise DataError(f"{given}: idx files are in {shown}; give the path of one of them")
        inner = [p for folder in level for p in sorted(folder.iterdir()) if p.is_dir()]
        level, n_left = inner[:n_left], max(0, n_left - len(inner))
    raise DataError(
        f"{given}: no idx files; they must be named like train-images-idx3-ubyte and "
        "train-labels-idx1-ubyte (or with .gz), in this folder or one below it"
    )


def _decode(options: Options, request: Request, folder: Path, name: str, files: IdxSet) -> Dataset:
    stored, values, parts, notes = read_pairs(files.pairs)
    where = str(folder)
    if stored.size == 0:
        raise DataError(f"{where}: no images, or images without pixels (shape {stored.shape})")
    images, range_note = images_to_uint8(images_to_nhwc(stored, where), where, options.value_range)
    if options.transpose:
        images = images.transpose(0, 2, 1, 3)
    elif "emnist" in f"{folder.name} {name}".lower():
        notes.append("EMNIST's images lie on their side; transpose: true turns them upright")
    labels, names, label_note = _classes(options, values, where, name, files)
    unread = [f"{path.name} was not read: another file has its part" for path in files.unread]
    return build_dataset(
        "idx",
        shape_for(images, request),
        labels,
        names,
        source=where,
        parts=parts if "train" in parts else {},
        notes=[note for note in (*notes, *unread, range_note, label_note) if note],
        target=options.target,
    )


def _classes(
    options: Options, values: np.ndarray, where: str, name: str, files: IdxSet
) -> tuple[np.ndarray, tuple[str, ...], str]:
    """Labels and classes, named by the options, else by the mapping file where it fits."""
    given: ClassNames | None = options.class_names
    if isinstance(given, tuple) and len(given) == _LETTERS and name.endswith("letters"):
        given = dict[int | str, str](enumerate(given, 1))  # EMNIST counts letters from 1
    if given or files.mapping is None:
        return labels_to_classes(values, where, given)
    mapping = read_mapping(files.mapping)
    missing = sorted(set(values.tolist()) - set(mapping))
    if not missing and len(set(mapping.values())) == len(mapping):
        return labels_to_classes(values, where, mapping)
    reason = f"has no label {missing[0]}" if missing else "gives two labels one character"
    labels, names, note = labels_to_classes(values, where)
    said = f"classes are named by their numbers: {files.mapping.name} {reason}"
    return labels, names, "; ".join(each for each in (note, said) if each)
