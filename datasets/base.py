"""What a data set is, what a caller may ask of it, and the checks that every set passes.

In: arrays that a data set's own module has read. Out: a `Dataset` that has been checked once, so
that nobody downstream looks again. Imports numpy and pydantic only: planning a sweep must not wait
for torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from datasets.target import Target, TargetSetting, TargetSettings, are_classes, target_key
from headstart.errors import DataError
from headstart.output import is_text
from headstart.settings import key

PART_NAMES = ("train", "validation", "test")
TestPart = Literal["train", "validation", "test", "all"]  # which images of a set are a test
Preprocess = Literal["resize", "mnist_style", "centred", "sized", "centre_crop"]
PHOTOGRAPHIC = ("resize", "centre_crop")  # that look for no ink


class CorruptLabels(BaseModel):
    """Which labels to spoil on purpose, and how (`datasets.corruption` does it)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["complementary", "uniform", "pairs"] = key("`complementary`: a wrong class, "
        "each of the others equally likely; `uniform`: any class equally likely, the right one "
        "included; `pairs`: the next class (the last becomes the first).",
        example="uniform")  # fmt: skip
    fraction: float = key("Which share of each class's images.", example=0.4,
        unit="fraction of images", ge=0, le=1)  # fmt: skip
    seed: int = key("Of its own generator, so that no other random draw moves when labels are "
        "spoilt.", 0, example=1, ge=0)  # fmt: skip


class DatasetOptions(BaseModel):
    """Base of every set's `Options`: unknown keys refused, unchangeable once read.

    The catalogue applies `corrupt_labels`, `as_jpeg` and `target`; a set's own module looks at most
    at `target`, to know what a cell of its labels may hold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    corrupt_labels: CorruptLabels | None = key("Wrong labels on purpose; without it the labels "
        "stay as they are.", None, example={"kind": "uniform", "fraction": 0.4})  # fmt: skip
    as_jpeg: bool = key("Whether the images are taken as gray JPEG files of 28×28 pixels hold "
        "them: so a network trains on the very images that `deliver: {hand_in: …}` writes.", False,
        example=True)  # fmt: skip
    target: TargetSetting = target_key()

    @model_validator(mode="after")
    def _spoils_classes(self) -> Self:
        if self.corrupt_labels is not None and self.target is not None:
            raise ValueError("corrupt_labels spoils classes; leave it out with a target")
        return self


@dataclass(frozen=True)
class DatasetInfo:
    """What a set's module declares as `INFO`, so that no command needs to know a set by its name.

    Attributes:
        is_ink: its images are gray and show bright ink on black, whatever page they came from, so
            a page that is shown to networks trained on it is turned over as well.
        preprocess: how its images were shaped, where the set has no option `preprocess`.
        download: how much its public source sends, as `15 MB`; empty: it has none.
        suffixes: endings of the files that it reads as its option `path`.
        folder_sign: part of a file's name by which it knows a folder as its own; empty: none.
        starts: what the files begin with that it reads as its option `path`.
        knows: whether it reads a folder (or an archive, where it `reads_archives`) in which files
            of these names lie; None: by `folder_sign` alone.
        class_aliases: other names of classes → the class, such as those of folders in its public
            archive. Case, spaces, `_`, `-` and the zeros before a number do not count.
    """

    is_ink: bool = False
    preprocess: Preprocess = "resize"
    download: str = ""
    suffixes: tuple[str, ...] = ()
    folder_sign: str = ""
    starts: tuple[bytes, ...] = ()
    knows: Callable[[Sequence[str]], bool] | None = None
    reads_archives: bool = False
    class_aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Survey:
    """What the names and headers of image files say, for a description.

    Attributes:
        n_files: images of the set.
        is_sample: whether the images that were decoded are a sample, which the caller asked for.
        n_decoded: images that were decoded.
        n_sizes: images of which the size is known.
        sizes: (width, height) in pixels: the smallest, the median and the largest by area.
        kinds: endings of names to numbers of files, the most frequent first.
        counts: parts (or `all`) to classes to numbers of files.
    """

    n_files: int
    is_sample: bool
    n_decoded: int
    n_sizes: int
    sizes: tuple[tuple[int, int], ...]
    kinds: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Dataset:
    """Images with labels, in memory or as read-only memory maps.

    Attributes:
        name: the name under which it was loaded.
        images: uint8 (N, C, H, W), C is 1 or 3; background and range are the set's own.
        labels: int64 (N,), each an index into `class_names`; with a `target` into its `values`.
        class_names: what the labels mean, for people; with a `target` its `names`.
        parts: the parts the set comes with, `train`, `validation` or `test` to int64 indices into
            `images`; empty where it comes with none.
        fingerprint: 32 hex characters that depend on all of the above and on nothing else.
        source: where it came from, for people.
        notes: what a report must say about it (images skipped, copies, a recognised range).
        warnings: what must be said first, since it may make the results mean something else
            (over a tenth of the files not read, groups in two parts); none stands in `notes` too.
        first_copy: int64 (N,), for each image the index of the first one with the same pixels
            (its own where it is the first); None: not known yet.
        groups: int64 (N,), equal numbers for images that a split must keep in one part (of one
            writer, patient, animal or scene); None: each image may go where it likes.
        near_pairs: int64 (n, 2), pairs of images that show the same picture and are no exact copies
            (`datasets.near_duplicates`); None: nobody has looked.
        files: names of the files that images came from, at least of those in `near_pairs`; empty
            where images have no files of their own.
        survey: what the names and headers of its files say; None where it has none.
        pictures: JPEG files by name that show people how its images were made; mostly none.
        target: what the labels stand for, where that is not one class an image.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    parts: Mapping[str, np.ndarray]
    fingerprint: str
    source: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    first_copy: np.ndarray | None = field(default=None, repr=False)
    groups: np.ndarray | None = field(default=None, repr=False)
    near_pairs: np.ndarray | None = field(default=None, repr=False)
    files: Mapping[int, str] = field(default_factory=dict, repr=False)
    survey: Survey | None = field(default=None, repr=False)
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    target: Target | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        """What each value of `labels` means, for people."""
        return self.class_names if self.target is None else self.target.values


class Measured(NamedTuple):
    """Images, uint8 (n, C, H, W); a 16-byte digest of each, and the CRC-32 of each file row.

    `looks`: what a search for near-duplicates needs of them (`near_duplicates.Looks`); None: nobody
    has looked.
    """

    images: np.ndarray
    digests: list[bytes]
    crcs: list[int]
    looks: tuple[np.ndarray, np.ndarray] | None = None


class ImageFile(Protocol):
    """Where a set's images go block by block, so that memory need not hold all of them.

    `images` is the file as a read-only map once it is whole, `digests` are those of its rows; where
    there is no room, `is_kept` is False and the images stay in their files. `wants_looks`: whether
    blocks are to have their `looks`. `datasets.cache.pages` has what each function does.
    """

    images: np.ndarray | None
    digests: list[bytes]
    is_kept: bool
    wants_looks: bool

    def begin(
        self, n: int, row: tuple[int, int, int], can_stay: bool = False
    ) -> list[Mapping[str, Any]]: ...

    def append(self, block: Measured, record: Mapping[str, Any]) -> None: ...

    def put(self, images: np.ndarray, shape: Callable[[np.ndarray], np.ndarray] = ...) -> None: ...

    def finish(self) -> None: ...

    def stay(self, decode: Callable[..., Any], places: Sequence[Any]) -> None: ...

    def narrow(self) -> None: ...


@dataclass(frozen=True)
class Request:
    """What the caller decides, as opposed to the options of a set in a sweep's `data` entry.

    Attributes:
        data_dir: where to look for the set's files; may be read-only.
        cache_dir: where decoded arrays and downloads go.
        image_size: (height, width) in pixels that the network wants; None: the set's own.
        channels: 1 or 3; None: the set's own.
        allow_download: whether a set that is not on this machine may be fetched.
        most_pixels: image files of more pixels than this together are read as a sample, each made
            small (for a description); None: all are read as they are.
        prepare: of image files met by networks that are trained already: how each image, uint8
            (H, W) or (H, W, 3), becomes (h, w, C) of `image_size`, in place of the set's own way.
            Such a set may lack classes and a train part, and is not kept in the cache.
        pages: where decoded images go, which the cache says; None: into memory.
    """

    data_dir: Path
    cache_dir: Path
    image_size: tuple[int, int] | None = None
    channels: int | None = None
    allow_download: bool = True
    most_pixels: int | None = None
    prepare: Callable[[np.ndarray], np.ndarray] | None = None
    pages: ImageFile | None = field(default=None, compare=False)


def build_dataset(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    source: str,
    parts: Mapping[str, np.ndarray] | None = None,
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
    groups: Sequence[str] | None = None,
    files: Sequence[str] = (),
    pictures: Mapping[str, bytes] | None = None,
    may_lack: bool = False,
    target: TargetSettings | None = None,
    digests: Sequence[bytes] | None = None,
) -> Dataset:
    """Check the arrays, count copies, compute the fingerprint; shapes as in `Dataset`.

    `groups` names the group of each image (the writer, the patient); only then are groups a part
    of the fingerprint. `may_lack`: classes without images, as a set that only tests may have.
    `target`: what the labels will be read as; the train part may lack a number, or a combination.
    `digests`: those of the images, where they are known.

    Raises:
        DataError: `source` holds no image, one class only, a class without an image, a label
            outside the classes, or one group only.
    """
    labels = np.ascontiguousarray(labels, dtype=np.int64)
    class_names = tuple(str(each) for each in class_names)
    parts = {part: np.asarray(index, np.int64) for part, index in (parts or {}).items()}
    _check(images, labels, class_names, source, may_lack)
    if not may_lack and are_classes(target):
        _check_train_part(labels, class_names, parts, source)
    digests = image_digests(images) if digests is None else digests
    first_copy = first_copies(digests)
    notes = (*notes, *_copies_note(first_copy, labels, class_names))
    numbers = None if groups is None else _numbered(groups, len(images), source)
    fingerprint = _fingerprint(images, digests, labels, class_names, parts)
    if numbers is not None:
        fingerprint = _with_groups(fingerprint, numbers)
        notes = (
            *notes,
            f"its images are of {numbers.max() + 1:,} groups; a split keeps each in one part",
        )
    return Dataset(
        name=name,
        images=images,
        labels=labels,
        class_names=class_names,
        parts=parts,
        fingerprint=fingerprint,
        source=source,
        notes=notes,
        warnings=(*warnings, *_shared_groups(numbers, parts)),
        first_copy=first_copy,
        groups=numbers,
        files=dict(enumerate(files)),
        pictures=pictures or {},
    )


def image_digests(images: np.ndarray) -> list[bytes]:
    """A 16-byte BLAKE2b digest of the pixels of each image, uint8 (N, …)."""
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]


def first_copies(digests: Sequence[bytes]) -> np.ndarray:
    """int64 (N,): for each digest the position of the first equal one."""
    first: dict[bytes, int] = {}
    return np.fromiter(
        (first.setdefault(digest, index) for index, digest in enumerate(digests)),
        dtype=np.int64,
        count=len(digests),
    )


def _check(
    images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...], source: str, lacks: bool
) -> None:
    assert images.dtype == np.uint8, images.dtype
    assert images.ndim == 4, images.shape
    assert images.shape[1] in (1, 3), images.shape
    if len(images) != len(labels):
        raise DataError(f"{source}: {len(images)} images but {len(labels)} labels")
    if images.size == 0:
        what = "no images" if len(images) == 0 else "images without pixels"
        raise DataError(f"{source}: {what}")
    unreadable = next((name for name in class_names if not is_text(name)), None)
    if unreadable is not None:
        raise DataError(f"{source}: the class name {unreadable!r} is not UTF-8 text; rename it")
    if len(class_names) < 2 and not lacks:
        raise DataError(
            f"{source}: only one class ({', '.join(class_names)}); a classifier needs two or more"
        )
    if labels.min() < 0 or labels.max() >= len(class_names):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise DataError(
            f"{source}: label {wrong} is outside 0 … {len(class_names) - 1} "
            f"({len(class_names)} classes)"
        )
    counts = np.bincount(labels, minlength=len(class_names))
    if not counts.all() and not lacks:
        empty = [class_names[index] for index in np.flatnonzero(counts == 0)]
        raise DataError(
            f"{source}: no image of class {', '.join(empty[:5])}{' …' if len(empty) > 5 else ''}; "
            "add images or take the class away"
        )


def _check_train_part(
    labels: np.ndarray, class_names: tuple[str, ...], parts: Mapping[str, np.ndarray], source: str
) -> None:
    if "train" not in parts:
        return
    counts = np.bincount(labels[parts["train"]], minlength=len(class_names))
    if not counts.all():
        raise DataError(
            f"{source}: no image of class {class_names[int(counts.argmin())]} in the train part"
        )


def _copies_note(
    first_copy: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> tuple[str, ...]:
    """Also where one picture has two labels, one of which is wrong."""
    n_copies = int(np.count_nonzero(first_copy != np.arange(len(first_copy))))
    if n_copies == 0:
        return ()
    note = f"{n_copies} of {len(first_copy)} images are exact copies of another one"
    other = np.flatnonzero(labels[first_copy] != labels)
    if len(other):
        first, second = (class_names[labels[k]] for k in (first_copy[other[0]], other[0]))
        note += f", {len(other):,} of them with another label than its ({first} and {second})"
    return (note,)


def _numbered(groups: Sequence[str], n_images: int, source: str) -> np.ndarray:
    """int64 (N,): the groups' names as numbers from 0, in the order of their first images."""
    assert len(groups) == n_images, (len(groups), n_images)
    number: dict[str, int] = {}
    numbers = np.array([number.setdefault(str(name), len(number)) for name in groups], np.int64)
    if len(number) == 1:
        raise DataError(
            f"{source}: all images are of one group ('{groups[0]}'), so no part could be without "
            "it; name what tells the groups apart, or leave the groups out"
        )
    return numbers


def _shared_groups(groups: np.ndarray | None, parts: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Warns where the set's own parts share groups."""
    if groups is None:
        return ()
    held = {part: np.unique(groups[index]) for part, index in parts.items()}
    others = np.concatenate(
        [np.empty(0, np.int64), *(held[part] for part in held.keys() - {"train"})]
    )
    warnings = []
    if n := len(np.intersect1d(held.get("train", []), others)):
        n_images = int(np.isin(groups[parts["train"]], others).sum())
        warnings.append(
            f"{n:,} groups of its train part are in its validation or test part too: their "
            f"{n_images:,} images of the train part are left out of training"
        )
    if n := len(np.intersect1d(held.get("validation", []), held.get("test", []))):
        warnings.append(f"{n:,} groups are both in its validation part and in its test part")
    return tuple(warnings)


def _with_groups(fingerprint: str, groups: np.ndarray) -> str:
    content = fingerprint.encode() + groups.astype("<i8").tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _fingerprint(
    images: np.ndarray,
    digests: Sequence[bytes],
    labels: np.ndarray,
    class_names: tuple[str, ...],
    parts: Mapping[str, np.ndarray],
) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([list(images.shape), class_names, sorted(parts)]).encode())
    digest.update(b"".join(digests))
    digest.update(labels.astype("<i8").tobytes())
    for part in sorted(parts):
        digest.update(parts[part].astype("<i8").tobytes())
    return digest.hexdigest()
