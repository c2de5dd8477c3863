"""Files and folders of named arrays (.npy, .mat, HDF5) → a `Dataset`; each kind says how it opens.

In: a path from a sweep file, and what opens one file of its kind. Out: the set. It stands alone
because which array is what, in one file or spread over several, is one matter for all kinds: by
their names, else by their shapes, else by the options `images` and `labels`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets.arrays.named import (
    ArrayOptions,
    NamedArrays,
    array_of_kind,
    dataset_of_arrays,
    matched,
    names_classes,
    part_and_kind,
    read_named_arrays,
)
from datasets.arrays.pixels import images_to_nhwc
from datasets.base import Dataset, Request
from datasets.cache.cached import cached
from datasets.files.peek import has_images, refuse_pointers
from datasets.files.shards import PART_WORDS
from datasets.files.trees import walk
from datasets.locations import user_path, user_paths
from headstart.errors import DataError, did_you_mean
from headstart.settings import key

_SHOWN = 12


class ArrayFileOptions(ArrayOptions):
    """Where arrays are, which of them are meant, and what they cannot say themselves."""

    path: Path = key("A file, or a folder of them.", example="my/arrays")
    labels_path: Path | None = key("A second file, with the labels, where the first holds images "
        "alone.", None, example="my/labels")  # fmt: skip
    images: str | None = key("The name of the array of images, where it is not clear.", None,
        example="X")  # fmt: skip
    labels: str | None = key("The name of the array of labels, where it is not clear.", None,
        example="y")  # fmt: skip
    transpose: bool | None = key("Whether rows and columns of the images are swapped (MATLAB "
        "unfolds images column by column); without it, for EMNIST's .mat files only.", None,
        example=True)  # fmt: skip


@dataclass(frozen=True)
class OpenArrays:
    """The arrays of one file: shapes by name, and a function that reads one.

    `by_columns`: each image was unfolded column by column. `notes`: what was recognised.
    """

    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]
    by_columns: bool = False
    notes: tuple[str, ...] = ()


Opens = Callable[[Path], AbstractContextManager[OpenArrays]]


@dataclass(frozen=True)
class Kind:
    """A kind of files: the set that reads it, its version, its endings, and what opens a file.

    `otherwise`: what else a message offers where arrays are not clear.
    """

    name: str
    version: int
    suffixes: tuple[str, ...]
    opens: Opens
    otherwise: str = ""


def knows_files(suffixes: tuple[str, ...]) -> Callable[[Sequence[str]], bool]:
    """What tells files of a kind among names; beside images, they are none of its sets.

    There such a file has the images' labels, or what a network made of them.
    """

    def knows(names: Sequence[str]) -> bool:
        return not has_images(names) and any(name.lower().endswith(suffixes) for name in names)

    return knows


def locate_files(options: ArrayFileOptions, request: Request, kind: Kind) -> tuple[Path, ...]:
    """The files, all of a folder.

    Raises:
        DataNotFoundError: nothing is there.
        DataError: none of this kind in the folder, or only one of two files is there.
    """
    path, *labels = user_paths((options.path, options.labels_path), request.data_dir)
    files = [path]
    if path.is_dir():
        entries = [Path(e.path) for e in walk(path) if e.name.lower().endswith(kind.suffixes)]
        files = sorted(entry for entry in entries if entry.is_file())
        if not files:
            raise DataError(f"{path}: no {' or '.join(kind.suffixes)} file in this folder")
    return (*files, *labels)


def load_files(options: ArrayFileOptions, request: Request, kind: Kind) -> Dataset:
    """All images of the files, part by part where they have parts."""
    files = locate_files(options, request, kind)
    return cached(
        kind.name,
        kind.version,
        options,
        request,
        files,
        lambda asked: _decode(files, options, asked, kind),
    )


def _decode(
    files: Sequence[Path], options: ArrayFileOptions, request: Request, kind: Kind
) -> Dataset:
    path = user_path(options.path, request.data_dir)
    refuse_pointers(files)
    with ExitStack() as stack:
        if options.labels_path is not None:
            if path.is_dir():
                raise DataError(f"{path}: is a folder; labels_path goes with one file of images")
            images, labels = (stack.enter_context(kind.opens(file)) for file in files)
            arrays, opened = _from_two(path, files[1], images, labels, options), images
        elif path.is_dir():
            opened = _joined(path, files, stack, kind)
            arrays = _from_one(path, opened, options, kind)
        else:
            opened = stack.enter_context(kind.opens(path))
            arrays = _from_one(path, opened, options, kind)
    parts, options, notes = _turned(arrays, opened, options, path)
    return dataset_of_arrays(
        kind.name,
        path,
        parts,
        options,
        request,
        [*opened.notes, *arrays.notes, *notes],
        class_names=arrays.class_names,
    )


def _from_two(
    path: Path, labels_path: Path, images: OpenArrays, labels: OpenArrays, options: ArrayFileOptions
) -> NamedArrays:
    x = _named(path, "images", options.images, images) or array_of_kind(path, "x", [*images.shapes])
    y = _named(labels_path, "labels", options.labels, labels) or array_of_kind(
        labels_path, "y", [*labels.shapes]
    )
    names = (x or path.name, y or labels_path.name)
    pixels, values, note = matched(labels_path, names, images.read(x), labels.read(y))
    return NamedArrays({"": (pixels, values)}, notes=(note,) if note else ())


def _from_one(path: Path, opened: OpenArrays, options: ArrayFileOptions, kind: Kind) -> NamedArrays:
    x = _named(path, "images", options.images, opened)
    y = _named(path, "labels", options.labels, opened)
    if (x is None) != (y is None):
        raise DataError(f"{path}: give both images and labels, or neither")
    note = ""
    if x is None or y is None:
        originals = _simple(list(opened.shapes))
        keys, extra = _without_extra(list(originals))
        try:
            held = read_named_arrays(path, keys, lambda name: opened.read(originals[name]))
            return replace(held, notes=(*extra, *held.notes))
        except DataError as err:
            if "it needs images and labels" not in str(err):
                raise
            by_shape = (
                None if any(any(part_and_kind(k)) for k in keys) else _by_shape(opened.shapes)
            )
            if by_shape is None:
                raise _unclear(path, opened, kind) from err
        x, y = by_shape
        note = f"by their shapes '{x}' were taken as the images and '{y}' as the labels"
    pixels, values, more = matched(path, (x, y), opened.read(x), opened.read(y))
    notes = tuple(each for each in (note, more) if each)
    return NamedArrays({"": (pixels, values)}, notes=notes)


def _named(path: Path, option: str, given: str | None, opened: OpenArrays) -> str | None:
    if given is not None and given not in opened.shapes:
        raise DataError(
            f"{path}: {option}: no array '{given}'{did_you_mean(given, [*opened.shapes])}; it "
            f"holds {_shown(opened)}"
        )
    return given


def _unclear(path: Path, opened: OpenArrays, kind: Kind) -> DataError:
    """What is said where names and shapes are not clear: which arrays there are, and how to say."""
    return DataError(
        f"{path}: which arrays are the images and the labels? It holds {_shown(opened)}. Say so "
        "with images: NAME and labels: NAME, or with labels_path: FILE where labels have a file of "
        f"their own{kind.otherwise}"
    )


def _shown(opened: OpenArrays) -> str:
    shapes = [f"{name or 'an array'} {shape}" for name, shape in opened.shapes.items()]
    return ", ".join(shapes[:_SHOWN]) + (" …" if len(shapes) > _SHOWN else "") or "no arrays"


def _by_shape(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, str] | None:
    """The only array of images and the only one of as many labels; None where it is not clear."""
    images = [name for name, shape in shapes.items() if len(shape) in (3, 4)]
    labels = [
        name
        for name, shape in shapes.items()
        if len(images) == 1
        and len(shape) in (1, 2)
        and max(shape, default=0) > 1
        and sum(size > 1 for size in shape) == 1
        and max(shape) in (shapes[images[0]][0], shapes[images[0]][-1])
    ]
    return (images[0], labels[0]) if len(images) == len(labels) == 1 else None


def _joined(path: Path, files: Sequence[Path], stack: ExitStack, kind: Kind) -> OpenArrays:
    """The arrays of all files of a folder, each called by its file and its own name."""
    names = {file.relative_to(path).as_posix(): file for file in files}
    opened = {name: stack.enter_context(kind.opens(file)) for name, file in names.items()}
    places = {
        f"{_stem(name, kind)}/{array}" if array else _stem(name, kind): (name, array)
        for name, arrays in opened.items()
        for array in arrays.shapes
    }
    shapes = {key: opened[name].shapes[array] for key, (name, array) in places.items()}

    def read(key: str) -> np.ndarray:
        name, array = places[key]
        return opened[name].read(array)

    notes = dict.fromkeys(note for arrays in opened.values() for note in arrays.notes)
    by_columns = any(arrays.by_columns for arrays in opened.values())
    return OpenArrays(shapes, read, by_columns, tuple(notes))


def _stem(name: str, kind: Kind) -> str:
    return name[: -max(len(end) for end in kind.suffixes if name.lower().endswith(end))]


def _simple(names: Sequence[str]) -> dict[str, str]:
    """Names without the words that all share, and without one said twice → the whole names.

    `camelyonpatch_level_2_split_train_x/x` is `train_x` beside others of its kind.
    """
    words = {name: [word for word in re.split(r"[\W_]+", name) if word] for name in names}
    sharing = [set(each) for name, each in words.items() if not names_classes(name)]
    shared = set.intersection(*sharing) if len(sharing) > 1 else set()
    shared = {word for word in shared if word.lower() not in PART_WORDS}
    simple = {
        "_".join(dict.fromkeys(w for w in each if w not in shared)): name
        for name, each in words.items()
    }
    return simple if len(simple) == len(names) and "" not in simple else {n: n for n in names}


def _without_extra(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Without images and labels of no part (`extra_X`) where others have one; a note says so."""
    parts = {name: part_and_kind(name) for name in names}
    if not any(part and kind for part, kind in parts.values()):
        return list(names), []
    extra = [name for name, (part, kind) in parts.items() if kind and not part]
    kept = [name for name in names if name not in extra or names_classes(name)]
    extra = [name for name in names if name not in kept]
    note = f"left out, since its name says no part: {', '.join(extra[:_SHOWN])}"
    return kept, [note] if extra else []


def _turned(
    arrays: NamedArrays, opened: OpenArrays, options: ArrayFileOptions, path: Path
) -> tuple[Mapping[str, tuple[np.ndarray, np.ndarray]], ArrayFileOptions, list[str]]:
    """The parts with rows and columns of their images swapped, where they have to be."""
    if not (opened.by_columns if options.transpose is None else options.transpose):
        return arrays.parts, options, []
    parts = {
        part: (images_to_nhwc(images, str(path), options.shape).swapaxes(1, 2), labels)
        for part, (images, labels) in arrays.parts.items()
    }
    note = "rows and columns of the images were swapped" if options.transpose is None else ""
    return parts, options.model_copy(update={"shape": None}), [note] if note else []
