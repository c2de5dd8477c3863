"""Members of WebDataset shards → samples: the files of one key, its image and its label.

In: trees of files whose names are a key, a dot and an ending (`0001.jpg`, `0001.cls`). Out: for
each sample the name of its image and its label. It stands alone because the convention is one of
names, whether the files lie in tar files or in a folder.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from datasets.files.image_kinds import is_image_name
from datasets.files.trees import Tree
from datasets.images.labelled import Label
from headstart.errors import DataError, did_you_mean

_LABEL_ENDINGS = ("cls", "class", "label", "target", "cls.txt", "class.txt", "label.txt")
_LABEL_KEYS = (
    "label",
    "cls",
    "class",
    "target",
    "category",
    "class_name",
    "label_name",
    "class_id",
)
_TEXT_ENDINGS = (*_LABEL_ENDINGS, "json", "txt")
_LONGEST = 1_000  # characters of a label


@dataclass(frozen=True)
class Sample:
    """`files`: from an ending in lower case (`jpg`, `cls`) to the whole name."""

    key: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Chosen:
    """Names of images, and a label of each."""

    images: tuple[str, ...]
    labels: tuple[Label, ...]
    notes: tuple[str, ...]


def samples_of(names: Iterable[str]) -> list[Sample]:
    """The files of each key: what stands before the first dot of a name, with its folder."""
    samples: dict[str, dict[str, str]] = {}
    for name in names:
        folder, _, last = name.rpartition("/")
        stem, dot, ending = last.partition(".")
        if dot and stem:
            samples.setdefault(f"{folder}/{stem}", {})[ending.lower()] = name
    return [Sample(key, files) for key, files in samples.items()]


def are_samples(names: Sequence[str]) -> bool:
    """Whether an archive of these names holds samples rather than class folders.

    A label beside each image means samples, where it is called `.cls`; `.json` and `.txt` mean so
    where all images lie in one folder.
    """
    endings: set[str] = set()
    folders: set[str] = set()
    for sample in samples_of(names):
        if any(is_image_name(f"x.{ending}") for ending in sample.files):
            endings |= sample.files.keys()
            folders.add(sample.key.rpartition("/")[0])
    return bool(endings & set(_LABEL_ENDINGS)) or (
        len(folders) == 1 and bool(endings & {"json", "txt"})
    )


def choose(tree: Tree, image_key: str | None, label_key: str | None) -> Chosen:
    """The image and the label of each sample.

    Args:
        tree: of all shards.
        image_key: the ending of the images, where samples have several.
        label_key: the ending of the files of labels, or the key in `.json` files.

    Raises:
        DataError: no images, no labels, or several that may be meant.
    """
    where = str(tree.where)
    samples = samples_of(tree.names)
    counts = Counter(ending for sample in samples for ending in sample.files)
    with_image = [
        (sample, _image(sample, image_key, where))
        for sample in samples
        if any(_is_image(ending, image_key) for ending in sample.files)
    ]
    if not with_image:
        shown = ", ".join(f".{ending} ({n:,})" for ending, n in counts.most_common(5))
        raise DataError(f"{where}: no image in its samples; they hold {shown or 'no files'}")
    ending, key = _where_labels_are(tree, [sample for sample, _ in with_image], label_key)
    labels = [
        _read_label(tree, sample.files[ending], ending, key) if ending in sample.files else None
        for sample, _ in with_image
    ]
    if ending == "txt" and len(set(labels)) > len(labels) / 2:
        raise DataError(
            f"{where}: {len(set(labels)):,} different texts in the .txt files of {len(labels):,} "
            "samples; these are no classes. Labels are read from .cls or .json"
        )
    n_odd = sum(bool(sample.files.keys() & set(_TEXT_ENDINGS)) for sample in samples)
    n_odd -= sum(bool(sample.files.keys() & set(_TEXT_ENDINGS)) for sample, _ in with_image)
    return Chosen(
        images=tuple(image for _, image in with_image),
        labels=tuple(_all_alike(labels)),
        notes=(
            f"labels were read from .{ending}{f', key {key}' if key else ''}",
            *([f"{n_odd:,} samples without an image were left out"] if n_odd else []),
        ),
    )


def _is_image(ending: str, image_key: str | None) -> bool:
    return ending == image_key if image_key else is_image_name(f"x.{ending}")


def _image(sample: Sample, image_key: str | None, where: str) -> str:
    images = [ending for ending in sample.files if _is_image(ending, image_key)]
    if len(images) > 1:
        raise DataError(
            f"{where}: the sample '{sample.key.strip('/')}' has several images "
            f"({', '.join(sorted(images))}); choose one with image_key"
        )
    return sample.files[images[0]]


def _where_labels_are(tree: Tree, samples: Sequence[Sample], given: str | None) -> tuple[str, str]:
    """The ending of the files with labels, and the key in them, which is empty but for `.json`."""
    there = {ending for sample in samples for ending in sample.files}
    texts = [ending for ending in _TEXT_ENDINGS if ending in there]
    where = str(tree.where)
    if given is not None and given.lstrip(".") in there - {"json"}:
        return given.lstrip("."), ""
    if not texts:
        raise DataError(
            f"{where}: no label beside its images ({', '.join(sorted(there)[:8])}): .cls, .json or "
            ".txt files of the same names are read. If its folders are the classes, it is a "
            "data: {name: folder, path: FILE.tar}"
        )
    ending = "json" if given is not None and "json" in there else texts[0]
    if ending != "json":
        if given is not None:
            raise DataError(f"{where}: label_key: no '{given}'; there are {', '.join(texts)}")
        return ending, ""
    first = next(sample.files["json"] for sample in samples if "json" in sample.files)
    keys = list(_json(tree, first))
    if given is not None:
        if given not in keys:
            raise DataError(
                f"{tree.label(first)}: label_key: no key '{given}'{did_you_mean(given, keys)}; it "
                f"has {', '.join(keys[:12])}"
            )
        return "json", given
    likely = [key for key in keys if key.lower() in _LABEL_KEYS]
    if len(likely) != 1:
        which = ", ".join(likely or keys[:12]) or "no keys"
        raise DataError(
            f"{tree.label(first)}: which of {which} is the label? Say so with label_key"
        )
    return "json", likely[0]


def _read_label(tree: Tree, name: str, ending: str, key: str) -> Label:
    if ending == "json":
        return _plain(_json(tree, name).get(key), tree.label(name), key)
    content = tree.read(name)
    try:
        text = content.decode().strip()
    except UnicodeDecodeError as err:
        raise DataError(f"{tree.label(name)}: its label is no UTF-8 text") from err
    if len(text) > _LONGEST:
        raise DataError(f"{tree.label(name)}: a label of {len(text):,} characters")
    return text or None


def _json(tree: Tree, name: str) -> Mapping[str, object]:
    try:
        said = json.loads(tree.read(name))
    except (ValueError, RecursionError) as err:
        raise DataError(f"{tree.label(name)}: cannot be read as JSON: {err}") from err
    if not isinstance(said, dict):
        raise DataError(f"{tree.label(name)}: holds no keys; an object with a label is expected")
    return said


def _plain(value: object, where: str, key: str) -> Label:
    if value is None or (isinstance(value, str) and len(value) <= _LONGEST):
        return value
    if isinstance(value, (int, float)) and float(value).is_integer():
        return int(value)
    what = "several labels (a list)" if isinstance(value, list) else repr(value)[:60]
    raise DataError(f"{where}: '{key}' holds {what}; one whole number or text is needed")


def _all_alike(labels: Sequence[Label]) -> list[Label]:
    """Texts that are all whole numbers as numbers; otherwise all that are known as texts."""
    texts = [str(label) for label in labels if label is not None]
    if all(re.fullmatch(r"-?[0-9]{1,15}", text) for text in texts):
        return [None if label is None else int(label) for label in labels]
    return [None if label is None else str(label) for label in labels]
