"""A test set met later, in the form in which a run's networks know images.

In: what stands after `--on` (all that a `data` entry takes, and flat image files with a CSV of
their labels), and how the networks' own data was prepared. Out: a `TestSet`. Nothing is unpacked to
the disk: `datasets.files.trees` checks an archive's names, links and sizes, and reads its files
where they lie.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

import datasets
from datasets.base import PHOTOGRAPHIC, Dataset, Preprocess, TestPart, image_digests
from datasets.catalog import class_alias, dataset_info
from datasets.files.image_kinds import is_image_name
from datasets.files.peek import first_names, has_images
from datasets.files.trees import Tree, is_archive, open_tree
from datasets.given import Given, read_given, read_settings
from datasets.images.bit_depth import EightBits, ValueRange, goes_beyond_8_bits
from datasets.images.blocks import TO_SKIP, decode_files
from datasets.images.image_set import ImageOptions, has_bright_border, shape_image
from datasets.labels.offered import column_of_images
from datasets.layout.layout import read_layout
from datasets.layout.types import Asked
from datasets.preprocess import shape_images
from datasets.split_notes import without_images
from datasets.target import TargetSettings
from harness.evaluate.labels import labels_of, listed_files, wanted_of
from harness.sweepfile.settings import DataChoice
from headstart.caches import expanded
from headstart.errors import DataError, InputError
from headstart.metrics import WITHOUT_ACCURACY
from headstart.own_code import is_reference, shown

Loaded = TypeVar("Loaded")

SKIP_FLAG = "give --skip-damaged"  # how damaged files are left out, of `evaluate` and `predict`


@dataclass(frozen=True)
class Preparation:
    """How images are made alike to those that a network was trained on; hashable.

    Attributes:
        image_size: (height, width) in pixels.
        channels: 1 or 3.
        preprocess: as of `datasets.sets.folder`.
        invert: `paper`: images whose border is bright; else always or never.
        as_gray: whether colour is taken away before anything else.
        accepts_prepared: whether an image of the right size with a dark border is taken to have
            been cropped and centred already, as those that `datasets.sheet` writes are.
        value_range: (black, white) of the samples of image files, as of `datasets.sets.folder`.
        array_range: the same of the pixels in arrays and tables, as of `datasets.sets.csv`.
    """

    image_size: tuple[int, int]
    channels: int
    preprocess: Preprocess
    invert: Literal["paper", "always", "never"]
    as_gray: bool
    accepts_prepared: bool = False
    value_range: ValueRange | None = None
    array_range: ValueRange | None = None

    def stack(self, images: np.ndarray) -> np.ndarray:
        """uint8 (n, c, H, W) of any size → (n, C, h, w)."""
        channels = 1 if self.as_gray else None
        images = shape_images(images.transpose(0, 2, 3, 1), None, channels).transpose(0, 2, 3, 1)
        if self.preprocess == "resize" and self.invert == "never":
            return shape_images(images, self.image_size, self.channels)  # as sets of arrays do
        plain = [image[..., 0] if image.shape[2] == 1 else image for image in images]
        return shape_images(np.stack([self.shape(image) for image in plain]), None, None)

    def shape(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W) or (H, W, 3) → uint8 (h, w, C)."""
        on_paper = self.invert == "paper" and has_bright_border(image)
        invert = on_paper or self.invert == "always"
        preprocess: Preprocess = self.preprocess
        if self.accepts_prepared and not on_paper and image.shape[:2] == self.image_size:
            preprocess = "resize"  # which changes nothing here
        return shape_image(image, self.image_size, self.channels, preprocess, invert)

    def range_for(self, *, are_files: bool) -> ValueRange | None:
        """The range of the samples of a set that says none: that of the training data.

        Where one has image files and the other arrays, a range beyond 255 holds for both, since it
        is in the unit of samples that are deeper than 8 bits; another one (0 … 1, 0 … 16) is of a
        scale that the other kind has not.
        """
        own, other = self.value_range, self.array_range
        if not are_files:
            own, other = other, own
        return other if own is None and other and goes_beyond_8_bits(other) else own

    def is_carried(self, *, are_files: bool) -> bool:
        """Whether `range_for` gives the range of the other kind."""
        own = self.value_range if are_files else self.array_range
        return own is None and self.range_for(are_files=are_files) is not None

    def words(self) -> str:
        """One phrase for people."""
        height, width = self.image_size
        how = {
            "resize": "the whole image",
            "centre_crop": "its middle, proportions kept,",
            "mnist_style": "cropped to the ink and centred",
            "centred": "the ink in the middle, its size kept,",
            "sized": "cropped to the ink and centred, with bars that show its place on the page,",
        }
        inverted = {"paper": ", dark ink on paper turned bright on black", "always": ", inverted"}
        return f"{how[self.preprocess]} at {height}×{width}{inverted.get(self.invert, '')}"


@dataclass(frozen=True)
class Ways:
    """How whoever named a set says more of it: on a command line, unless in a sweep file."""

    is_file: bool = False

    def named(self, on: str) -> str:
        return on if self.is_file else f"--on {on}"

    def part(self, name: str) -> str:
        return f"part: {name}" if self.is_file else f"--part {name}"

    def setting(self, key: str) -> str:
        return f"{key}: " if self.is_file else f"--set {key}="

    @property
    def to_skip(self) -> str:
        """What leaves damaged files out."""
        return TO_SKIP if self.is_file else SKIP_FLAG


COMMAND_LINE = Ways()
IN_A_FILE = Ways(is_file=True)


@dataclass(frozen=True)
class TestSet:
    """Images with labels among a network's classes, or with what its target has in their place.

    Attributes:
        name: of the set, also the stem of the files that are written about it.
        images: uint8 (n, C, H, W).
        labels: int64 (n,), indices into the network's class names; with `wanted`, 0, 1, 2, …
        files: names of the images, for people.
        fingerprint: 32 hex characters of images and labels.
        notes: what must be said about it.
        warnings: what must be said first.
        wanted: float64 (n, outputs), what several labels or numbers are; None of classes.
    """

    __test__ = False  # no test class, whatever pytest makes of the name

    name: str
    images: np.ndarray
    labels: np.ndarray
    files: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    wanted: np.ndarray | None = None

    @property
    def right(self) -> np.ndarray:
        """What a network should answer, as its score takes it."""
        return self.labels if self.wanted is None else self.wanted


def preparation(
    data: DataChoice,
    image_size: tuple[int, int],
    channels: int,
    preprocess: Preprocess | None = None,
) -> Preparation:
    """How a trial's data set prepares an image, for any other image.

    Sets of handwriting are bright ink on black: pages are turned over as that set does with its
    own. A folder keeps its options. Other sets keep their images as they are but for the size.
    `preprocess` takes the place of the set's own way.
    """
    info, options = dataset_info(data.name), data.options
    own: Preprocess = getattr(options, "preprocess", info.preprocess)
    mode = preprocess or own
    given: bool | None = getattr(options, "invert", None)
    invert: Literal["paper", "always", "never"] = "always" if given else "never"
    if info.is_ink or (given is None and mode not in PHOTOGRAPHIC):
        invert = "paper"
    return Preparation(
        image_size=image_size,
        channels=channels,
        preprocess=mode,
        invert=invert,
        as_gray=info.is_ink or channels == 1,
        accepts_prepared=info.is_ink and mode == "mnist_style",
        value_range=options.value_range if isinstance(options, ImageOptions) else None,
        array_range=None if isinstance(options, ImageOptions) else _range_of(options),
    )


def _range_of(options: object) -> ValueRange | None:
    given: ValueRange | None = getattr(options, "value_range", None)
    return given


def read_test_set(
    on: str,
    class_names: Sequence[str],
    prepare: Preparation,
    *,
    csv: str | None = None,
    data_dir: Path | None = None,
    on_damaged: Literal["refuse", "skip"] = "refuse",
    pairs: Sequence[str] = (),
    part: TestPart | None = None,
    target: TargetSettings | None = None,
) -> TestSet:
    """Read, prepare and label the test set.

    Args:
        on: a catalogue name, a folder, an archive, a file, or a `data` entry as a flow mapping.
        csv: the table of file names and labels, beside or inside a folder or an archive.
        on_damaged: `refuse` a damaged image, or `skip` it with a note.
        pairs: options of the set, KEY=VALUE.
        part: which images; None: the test part, and all where the set has no parts.
        target: of the networks' own data, where that is no class.

    Raises:
        DataError: nothing there, no labels, labels that the network does not know.
    """
    if csv is not None and part is not None:
        raise InputError(
            "--csv FILE is read whole; with --part, give the table as --set labels=FILE"
        )
    return read_set(
        _given(on, csv, pairs), class_names, prepare, on,
        csv=csv, data_dir=data_dir, on_damaged=on_damaged, part=part, target=target,
    )  # fmt: skip


def read_set(
    given: Given,
    class_names: Sequence[str],
    prepare: Preparation,
    on: str,
    *,
    csv: str | None = None,
    data_dir: Path | None = None,
    on_damaged: Literal["refuse", "skip"] = "refuse",
    part: TestPart | None = None,
    ways: Ways = COMMAND_LINE,
    target: TargetSettings | None = None,
) -> TestSet:
    """Read, prepare and label a set that is known by its name and options.

    Args:
        on: the set, as messages call it.
        ways: how whoever named the set says its part and its options.
        target: of the networks' own data. A set whose labels are several or numbers is read so,
            too; its own `target` says more of it, as which columns they stand in.

    Raises:
        DataError: as of `read_test_set`.
    """
    if target is not None and target.kind in WITHOUT_ACCURACY:
        options = {"target": target.model_dump(exclude_defaults=True), **given.options}
        if csv is not None:
            options = {"labels": csv, **options}
        given = replace(given, options=options)
    if given.name == "folder" and set(given.options) == {"path"} and part is None:
        path = given.path
        assert path is not None, "a folder is named by its path"
        return _of_tree(path, class_names, prepare, csv, on_damaged, ways)
    dataset, images = _loaded(given, prepare, data_dir, on_damaged, ways)
    rows, notes = _rows(dataset, part, ways.named(on), _is_of_catalogue(given), ways)
    stem = given.name if given.path is None else _stem(given.path)
    files = tuple(dataset.files.get(row, f"{shown(stem)}/{row}") for row in rows.tolist())
    wanted = wanted_of(dataset, rows, class_names, target, on)
    warnings = [*dataset.warnings]
    if wanted is None:
        names = [dataset.class_names[label] for label in dataset.labels[rows]]
        labels = labels_of(names, class_names, on, ways.setting("class_names"))
    else:
        labels = np.arange(len(rows))
        if target is not None and target.kind == "labels":
            warnings += without_images(class_names, wanted > 0, "no image here")
    return _checked(
        shown(stem),
        np.ascontiguousarray(images[rows]),
        labels,
        files,
        (*dataset.notes, *notes),
        warnings,
        wanted,
    )


def _given(on: str, csv: str | None, pairs: Sequence[str]) -> Given:
    """The set that is meant; a folder of images stays one whatever else lies in it."""
    path = expanded(on)
    is_of_files = path.is_dir() or (path.is_file() and is_archive(path))
    is_name = on in datasets.dataset_names()
    settings = read_settings(pairs)
    if csv is not None and (settings or not is_of_files or (is_name and not _needs_options(on))):
        raise InputError(
            f"--csv belongs to a folder or an archive, without --set, and not to '{on}'; with "
            "--set, a folder's table is --set labels=FILE"
        )
    as_folder = Given("folder", {**settings, "path": path})
    if csv is not None:
        return as_folder
    if is_name and _needs_options(on) and "path" not in settings and path.exists():
        on = f"./{on}"  # a folder that is called as a reader of files is
    try:
        return read_given(on, pairs, "--on")
    except DataError:
        if settings or not is_of_files or not has_images(first_names(path)):
            raise
        return as_folder


def _needs_options(name: str) -> bool:
    """Whether a set is somebody's own files, which only a path can name."""
    return any(field.is_required() for field in datasets.options_model(name).model_fields.values())


def _is_of_catalogue(given: Given) -> bool:
    """Whether a set has images of its own, with its own way to prepare them."""
    is_own = given.path is not None or is_reference(given.name)
    return not is_own and not _needs_options(given.name)


def _loaded(
    given: Given,
    prepare: Preparation,
    data_dir: Path | None,
    on_damaged: Literal["refuse", "skip"],
    ways: Ways,
) -> tuple[Dataset, np.ndarray]:
    """The set, and its images as the networks know images."""
    name, options = given.name, dict(given.options)
    fields = datasets.options_model(name).model_fields
    if _is_of_catalogue(given):
        if "preprocess" in fields:
            options.setdefault("preprocess", prepare.preprocess)
        size, channels = prepare.image_size, prepare.channels
        dataset = datasets.load_dataset(
            name, options, data_dir=data_dir, image_size=size, channels=channels
        )
        return dataset, dataset.images
    if "preprocess" in options:
        raise InputError("--set preprocess: give it as --preprocess")
    if isinstance(invert := options.get("invert"), bool):
        prepare = replace(prepare, invert="always" if invert else "never")
    if "on_damaged" in fields:
        options.setdefault("on_damaged", on_damaged)

    def load(value_range: ValueRange | None) -> Dataset:
        ranged = {} if value_range is None else {"value_range": value_range}
        try:
            return datasets.load_dataset(
                name,
                {**options, **ranged},
                data_dir=data_dir,
                channels=1 if prepare.as_gray else None,
                prepare=prepare.shape,
            )
        except DataError as err:
            raise DataError(str(err).replace(TO_SKIP, ways.to_skip)) from err

    is_asked = "value_range" in fields and "value_range" not in options
    dataset = _in_range(load, prepare, are_files=_are_files(given)) if is_asked else load(None)
    are_prepared = dataset.survey is not None  # image files, which `prepare.shape` has seen
    return dataset, dataset.images if are_prepared else prepare.stack(dataset.images)


def _in_range(
    load: Callable[[ValueRange | None], Loaded], prepare: Preparation, *, are_files: bool
) -> Loaded:
    """What `load` reads with the range of the training data, where that holds for it.

    A range that was said of the other kind holds where samples are deeper than 8 bits: files of
    8 bits, and arrays of values up to 255, are read as they are without a range.

    Raises:
        DataError: samples outside the range.
    """
    value_range = prepare.range_for(are_files=are_files)
    if value_range is None or not prepare.is_carried(are_files=are_files):
        return load(value_range)
    try:
        read = load(value_range)
    except DataError as err:
        if not _is_because_of(err, EightBits):
            raise
        return load(None)
    if isinstance(read, Dataset) and not are_files and _is_of_8_bits(read.images, value_range):
        return load(None)
    return read


def _is_of_8_bits(images: np.ndarray, value_range: ValueRange) -> bool:
    """Whether uint8 images had no value over 255 before `value_range` was made 0 … 255."""
    black, white = value_range
    step = (white - black) / 255
    values = [black + step * int(end) for end in (images.min(), images.max())]
    return max(values) <= 255 + abs(step) / 2


def _is_because_of(err: BaseException | None, kind: type[DataError]) -> bool:
    while err is not None and not isinstance(err, kind):
        err = err.__cause__
    return err is not None


def _are_files(given: Given) -> bool:
    """Whether a set is of encoded images, and not of arrays; a table may name some."""
    if given.name == "csv" and given.path is not None and given.path.is_file():
        return bool(column_of_images(given.path))
    return issubclass(datasets.options_model(given.name), ImageOptions)


def _rows(
    dataset: Dataset, part: TestPart | None, where: str, is_of_catalogue: bool, ways: Ways
) -> tuple[np.ndarray, list[str]]:
    """Which images are meant, and what must be said of that.

    Raises:
        DataError: the set has no such part.
    """
    every, parts = np.arange(len(dataset.labels)), dataset.parts
    if part == "all" or (part is None and not parts and not is_of_catalogue):
        return every, []
    wanted = part or "test"
    if wanted not in parts:
        raise DataError(_no_part(where, wanted, list(parts), ways))
    n_left = len(every) - len(parts[wanted])
    notes = [f"{n_left} images of other parts than {wanted} were not read"] if n_left else []
    return parts[wanted], notes


def _of_tree(
    path: Path,
    class_names: Sequence[str],
    prepare: Preparation,
    csv: str | None,
    on_damaged: Literal["refuse", "skip"],
    ways: Ways,
) -> TestSet:
    """Of a folder or an archive about which nothing is said but a table of labels."""
    with open_tree(path) as tree:
        files, given, notes, warnings = _labelled_files(tree, csv, class_names, ways)
        labels = labels_of(given, class_names, str(path), ways.setting("class_names"))

        def load(value_range: ValueRange | None) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
            return decode_files(
                tree,
                files,
                prepare.shape,
                on_damaged,
                as_gray=prepare.as_gray,
                value_range=value_range,
                to_skip=ways.to_skip,
            )

        decoded, good, skipped = _in_range(load, prepare, are_files=True)
    images = np.ascontiguousarray(decoded.transpose(0, 3, 1, 2))
    kept = tuple(name for name, is_good in zip(files, good, strict=True) if is_good)
    return _checked(_stem(path), images, labels[good], kept, (*notes, *skipped), warnings)


def _stem(path: Path) -> str:
    """The name of a set from its path's: without what a file ends with."""
    name = Path(os.path.realpath(path)).name
    return name if path.is_dir() else name.removesuffix("".join(path.suffixes[-1:]))


def _labelled_files(
    tree: Tree, csv: str | None, class_names: Sequence[str], ways: Ways
) -> tuple[list[str], list[str], tuple[str, ...], tuple[str, ...]]:
    """Names of the images, the label of each as it is given, notes and warnings."""
    tables = [name for name in tree.names if name.lower().endswith(".csv")]
    flat = not any("/" in name for name in tree.names if is_image_name(name))
    if csv is None and not flat:
        return _in_class_folders(tree, class_names, ways)
    if csv is None and len(tables) != 1:
        raise DataError(
            f"{tree.where}: no class folders, and {len(tables) or 'no'} .csv files of labels in "
            f"it; name the table: {_table_words(ways)}"
        )
    return (*listed_files(tree, csv or tables[0]), ())


def _table_words(ways: Ways) -> str:
    labels = f"{ways.setting('labels')}FILE"
    if ways.is_file:
        return labels
    return (
        f"--csv FILE, with a file name and a label on each line, or {labels} for tables of other "
        "kinds"
    )


def _in_class_folders(
    tree: Tree, class_names: Sequence[str], ways: Ways
) -> tuple[list[str], list[str], tuple[str, ...], tuple[str, ...]]:
    known = set(class_names)
    asked = Asked(knows=lambda label: label in known or class_alias(label) in known)
    try:
        layout = read_layout(tree, asked=asked)
    except DataError as err:
        raise DataError(
            f"{err}; with --on such a setting is --set KEY=VALUE, as --set classes_at=2; or give "
            "the folder in which the class folders of the test images lie, or a table of labels "
            "with --csv FILE"
            if not ways.is_file
            else str(err)
        ) from err
    parts = set(layout.parts)
    if parts != {""} and "test" not in parts:
        raise DataError(_no_part(str(tree.where), "test", sorted(parts), ways))
    chosen = [i for i, part in enumerate(layout.parts) if part in ("", "test")]
    notes = layout.notes
    if len(chosen) < len(layout.files):
        n_left = len(layout.files) - len(chosen)
        notes = (*notes, f"{n_left} images of other parts than test were not read")
    files = [layout.files[i] for i in chosen]
    return files, [layout.classes[i] for i in chosen], notes, layout.warnings


def _no_part(where: str, part: str, parts: Sequence[str], ways: Ways) -> str:
    """What is said where the wanted part is not there."""
    if not parts:
        return (
            f"{where}: the set has no {part} part of its own; {ways.part('all')} takes all of its "
            "images (give those that the networks have not seen)"
        )
    return (
        f"{where}: has the parts {' and '.join(parts)} and none for {part}; say which images with "
        f"{ways.part(parts[-1])} or {ways.part('all')} (those of train may have been trained on)"
    )


def _checked(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    files: tuple[str, ...],
    notes: Sequence[str],
    warnings: Sequence[str],
    wanted: np.ndarray | None = None,
) -> TestSet:
    if len(images) == 0:
        raise DataError(f"{name}: no test images")
    digests = image_digests(images)
    n_copies = len(digests) - len(set(digests))
    kept = [note for note in notes if "exact copies" not in note]
    if n_copies:
        kept.append(f"{n_copies} of {len(images)} test images are exact copies of another one")
    digest = hashlib.blake2b(digest_size=16)
    digest.update(b"".join(digests))
    right = labels.astype("<i8") if wanted is None else wanted.astype("<f8")
    digest.update(right.tobytes())
    return TestSet(
        name, images, labels, files, digest.hexdigest(), tuple(kept), tuple(warnings), wanted
    )
