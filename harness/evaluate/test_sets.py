"""A test set met later, in the form in which a run's networks know images.

In: what stands after `--on` (a catalogue name, a folder or archive with one folder a class, or one
of flat image files with a CSV of their labels), and how the networks' own data was prepared. Out: a
`TestSet`. Nothing is unpacked to the disk: `datasets.files.trees` checks an archive's names, links
and sizes, and reads its files where they lie.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import datasets
from datasets.base import Preprocess, image_digests
from datasets.catalog import class_alias, dataset_info
from datasets.files.bit_depth import ValueRange
from datasets.files.image_kinds import is_image_name
from datasets.files.image_set import ImageOptions, has_bright_border, shape_image
from datasets.files.images import decode_files
from datasets.files.layout import read_layout
from datasets.files.layout_types import Asked
from datasets.files.trees import Tree, is_archive, open_tree
from datasets.locations import expanded
from harness.evaluate.labels import labels_of, listed_files
from harness.sweepfile.settings import DataChoice
from headstart.cli import did_you_mean
from headstart.errors import DataError, InputError


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
    """

    image_size: tuple[int, int]
    channels: int
    preprocess: Preprocess
    invert: Literal["paper", "always", "never"]
    as_gray: bool
    accepts_prepared: bool = False
    value_range: ValueRange | None = None

    def shape(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W) or (H, W, 3) → uint8 (h, w, C)."""
        on_paper = self.invert == "paper" and has_bright_border(image)
        invert = on_paper or self.invert == "always"
        preprocess: Preprocess = self.preprocess
        if self.accepts_prepared and not on_paper and image.shape[:2] == self.image_size:
            preprocess = "resize"  # which changes nothing here
        return shape_image(image, self.image_size, self.channels, preprocess, invert)

    def words(self) -> str:
        """One phrase for people."""
        height, width = self.image_size
        how = {
            "resize": "the whole image",
            "mnist_style": "cropped to the ink and centred",
            "centred": "the ink in the middle, its size kept,",
        }
        inverted = {"paper": ", dark ink on paper turned bright on black", "always": ", inverted"}
        return f"{how[self.preprocess]} at {height}×{width}{inverted.get(self.invert, '')}"


@dataclass(frozen=True)
class TestSet:
    """Images with labels among a network's classes.

    Attributes:
        name: of the set, also the stem of the files that are written about it.
        images: uint8 (n, C, H, W).
        labels: int64 (n,), indices into the network's class names.
        files: names of the images, for people.
        fingerprint: 32 hex characters of images and labels.
        notes: what must be said about it.
    """

    __test__ = False  # no test class, whatever pytest makes of the name

    name: str
    images: np.ndarray
    labels: np.ndarray
    files: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()


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
    if info.is_ink or (given is None and mode != "resize"):
        invert = "paper"
    return Preparation(
        image_size=image_size,
        channels=channels,
        preprocess=mode,
        invert=invert,
        as_gray=info.is_ink or channels == 1,
        accepts_prepared=info.is_ink and mode == "mnist_style",
        value_range=options.value_range if isinstance(options, ImageOptions) else None,
    )


def read_test_set(
    on: str,
    class_names: Sequence[str],
    prepare: Preparation,
    *,
    csv: str | None = None,
    data_dir: Path | None = None,
    on_damaged: Literal["refuse", "skip"] = "refuse",
) -> TestSet:
    """Read, prepare and label the test set.

    Args:
        on: a catalogue name (its own test part is used), a folder or an archive.
        csv: the table of file names and labels, beside or inside `on`.
        on_damaged: `refuse` a damaged image, or `skip` it with a note.

    Raises:
        DataError: nothing there, no labels, labels that the network does not know.
    """
    path = expanded(on)
    if on in datasets.dataset_names() and not _needs_options(on):
        if csv is not None:
            raise InputError(f"--csv belongs to a folder or an archive, not to data set '{on}'")
        return _of_catalogue(on, class_names, prepare, data_dir)
    if not path.exists():
        near = did_you_mean(on, datasets.dataset_names())
        raise DataError(
            f"--on {on}: no such folder or archive, and no data set of that name{near}; there are "
            f"{', '.join(datasets.dataset_names())}"
        )
    if not path.is_dir() and not is_archive(path):
        raise DataError(f"--on {on}: not a folder, and no .zip, .tar or .tgz file of one")
    with open_tree(path) as tree:
        files, given, notes = _labelled_files(tree, csv, class_names)
        labels = labels_of(given, class_names, str(path))
        decoded, good, skipped = decode_files(
            tree,
            files,
            prepare.shape,
            on_damaged,
            as_gray=prepare.as_gray,
            value_range=prepare.value_range,
        )
    images = np.ascontiguousarray(decoded.transpose(0, 3, 1, 2))
    kept = tuple(name for name, is_good in zip(files, good, strict=True) if is_good)
    name = Path(os.path.realpath(path)).name
    stem = name if path.is_dir() else name.removesuffix("".join(path.suffixes[-1:]))
    return _checked(stem, images, labels[good], kept, (*notes, *skipped))


def _needs_options(name: str) -> bool:
    """Whether a set is somebody's own files, which only a path can name."""
    return any(field.is_required() for field in datasets.options_model(name).model_fields.values())


def _of_catalogue(
    name: str, class_names: Sequence[str], prepare: Preparation, data_dir: Path | None
) -> TestSet:
    takes_it = "preprocess" in datasets.options_model(name).model_fields
    dataset = datasets.load_dataset(
        name,
        {"preprocess": prepare.preprocess} if takes_it else {},
        data_dir=data_dir,
        image_size=prepare.image_size,
        channels=prepare.channels,
    )
    if "test" not in dataset.parts:
        raise DataError(
            f"--on {name}: the set has no test part of its own; give a folder or an archive of "
            "images that the networks have not seen"
        )
    rows = dataset.parts["test"]
    given = [dataset.class_names[label] for label in dataset.labels[rows]]
    files = tuple(f"{name}/{row}" for row in rows.tolist())
    labels = labels_of(given, class_names, name)
    return _checked(name, np.ascontiguousarray(dataset.images[rows]), labels, files, dataset.notes)


def _labelled_files(
    tree: Tree, csv: str | None, class_names: Sequence[str]
) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Names of the images, the label of each as it is given, and notes."""
    tables = [name for name in tree.names if name.lower().endswith(".csv")]
    flat = not any("/" in name for name in tree.names if is_image_name(name))
    if csv is None and not flat:
        return _in_class_folders(tree, class_names)
    if csv is None and len(tables) != 1:
        raise DataError(
            f"{tree.where}: no class folders, and {len(tables) or 'no'} .csv files of labels in "
            "it; name the table: --csv FILE, with a file name and a label on each line"
        )
    return listed_files(tree, csv or tables[0])


def _in_class_folders(
    tree: Tree, class_names: Sequence[str]
) -> tuple[list[str], list[str], tuple[str, ...]]:
    known = set(class_names)
    asked = Asked(knows=lambda label: label in known or class_alias(label) in known)
    try:
        layout = read_layout(tree, asked=asked)
    except DataError as err:
        raise DataError(
            f"{err}; --on has no such settings: give the folder in which the class folders of the "
            "test images lie, or a table of labels with --csv FILE"
        ) from err
    parts = set(layout.parts)
    if parts != {""} and "test" not in parts:
        raise DataError(
            f"{tree.where}: has {' and '.join(sorted(parts))} folders and none for test; give the "
            "folder in which the class folders of the test images lie"
        )
    chosen = [i for i, part in enumerate(layout.parts) if part in ("", "test")]
    notes = layout.notes
    if len(chosen) < len(layout.files):
        n_left = len(layout.files) - len(chosen)
        notes = (*notes, f"{n_left} images of other parts than test were not read")
    return [layout.files[i] for i in chosen], [layout.classes[i] for i in chosen], notes


def _checked(
    name: str, images: np.ndarray, labels: np.ndarray, files: tuple[str, ...], notes: Sequence[str]
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
    digest.update(labels.astype("<i8").tobytes())
    return TestSet(name, images, labels, files, digest.hexdigest(), tuple(kept))
