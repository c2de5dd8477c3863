"""Handwriting in 62 classes, 0–9 A–Z a–z, 40 images each: the set of "Part 1".

The images are a part of Chars74K's "EnglishHnd" (de Campos, Babu, Varma 2009): black strokes on
white, 1200×900. They are read from trainPart1.zip, from an unpacked folder, or from the public
archive, which has 55 images a class; `handwritten62_files.csv` says which 40 of them are used and
what their strokes must be, so a download is checked whatever way it was packed. Images come out
white on black, as MNIST's are.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import numpy as np

from datasets.base import Dataset, DatasetInfo, DatasetOptions, Preprocess, Request, build_dataset
from datasets.cache.cached import cached
from datasets.files.downloads import Download, fetch
from datasets.files.trees import Tree, open_tree
from datasets.images.blocks import decode_files
from datasets.images.decode import OnDamaged, decode_image
from datasets.locations import downloads_folder, first_existing, not_found
from datasets.preprocess import shape_images, shape_ink
from headstart.errors import DataError, DataNotFoundError
from headstart.files import safe_name
from headstart.private import without_secrets
from headstart.settings import key

VERSION = 2
SOURCE = "http://www.ee.surrey.ac.uk/CVSSP/demos/chars74k/EnglishHnd.tgz"
OWN_SIZE = (28, 28)  # where the network asks for none: MNIST's
_CLASSES = {
    "all": (0, 62),
    "digits": (0, 10),
    "upper": (10, 36),
    "lower": (36, 62),
    "letters": (10, 62),
}
_LIST = Path(__file__).with_name("handwritten62_files.csv")
_MEMBER = re.compile(r"(?:^|/)Sample(\d{3})/img\d{3}-(\d{3})\.png$", re.IGNORECASE)
CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
INFO = DatasetInfo(
    is_ink=True,
    download="13 MB",
    class_aliases={f"sample{n}": c for n, c in enumerate(CHARACTERS, 1)},
)


class Options(DatasetOptions):
    """What part of the set, and in which form."""

    classes: Literal["all", "digits", "upper", "lower", "letters"] = key("Which of the 62 classes.",
        "all", example="digits")  # fmt: skip
    preprocess: Preprocess = key("`resize`: the whole image is scaled; `mnist_style`: it is "
        "cropped to its ink, fitted and centred as MNIST's digits are, in gray; `centred`: the "
        "ink is moved to the middle and keeps its size, in gray; `sized`: as `mnist_style`, with a "
        "bar at either side that shows where on the page the ink was.", "resize",
        example="mnist_style")  # fmt: skip
    on_damaged: OnDamaged = key("Whether a damaged image is refused, or skipped with a note in "
        "the report.", "refuse", example="skip")  # fmt: skip
    source: str = key("Address of an archive to fetch where the set is not on this machine.",
        SOURCE, example="https://example.org/EnglishHnd.tgz")  # fmt: skip
    sha256: str | None = key("Of that archive; without it, the strokes of all images are checked "
        "instead.", None,
        example="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        pattern=r"^[0-9a-fA-F]{64}$")  # fmt: skip


@dataclass(frozen=True)
class ListedClass:
    """One line of the list: a class, its 40 file numbers, and the digest of their strokes."""

    name: str
    numbers: tuple[int, ...]
    strokes: str


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The archive or the folder that holds the images."""
    path = first_existing(_candidates(options, request))
    if path is None:
        raise not_found(
            "handwritten62",
            request,
            f"put trainPart1.zip, or EnglishHnd.tgz of Chars74K, into "
            f"{request.data_dir / 'handwritten62'}, or run: python -m datasets --get handwritten62 "
            f"({INFO.download})",
        )
    return (path,)


def load(options: Options, request: Request) -> Dataset:
    """The images of the chosen classes, class by class; no parts of its own."""
    try:
        (path,) = locate(options, request)
    except DataNotFoundError as missing:
        if not request.allow_download:
            raise
        path = _fetch(options, request, missing)
    # Where it was fetched from does not change what the images are.
    key = options.model_copy(update={"source": SOURCE, "sha256": None})
    return cached(
        "handwritten62", VERSION, key, request, [path], lambda asked: _decode(path, options, asked)
    )


def listed_classes() -> tuple[ListedClass, ...]:
    """The 62 classes and the files that are used of each, from the committed list."""
    with open(_LIST, encoding="utf-8", newline="") as file:
        return tuple(
            ListedClass(row["class"], tuple(map(int, row["numbers"].split())), row["strokes"])
            for row in csv.DictReader(file)
        )


def strokes_digest(images: list[np.ndarray]) -> str:
    """Digest of which pixels are ink (darker than half), of uint8 (H, W) images in order.

    It depends on the drawing alone, not on how the file was compressed.
    """
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        digest.update(np.packbits(image < 128).tobytes())
    return digest.hexdigest()


def _candidates(options: Options, request: Request) -> list[Path]:
    data, own = request.data_dir, request.data_dir / "handwritten62"
    folders = [own / "trainPart1", own / "English" / "Hnd" / "Img", own, data / "trainPart1"]
    return [
        own / "trainPart1.zip",
        data / "trainPart1.zip",
        *(folder for folder in folders if os.path.isdir(folder / "Sample001")),
        own / "EnglishHnd.tgz",
        data / "EnglishHnd.tgz",
        _download_path(options, request),
    ]


def _download_path(options: Options, request: Request) -> Path:
    file_name = safe_name(Path(urlsplit(options.source).path).name)
    return downloads_folder(request) / "handwritten62" / file_name


def _fetch(options: Options, request: Request, missing: DataNotFoundError) -> Path:
    """Fetch the archive; without a checksum of the file, its strokes must be the listed ones."""
    path = _download_path(options, request)
    checksum = None if options.sha256 is None else f"sha256:{options.sha256}"
    fetch(Download([options.source], path, checksum), missing)
    if checksum is None:
        try:
            _check_strokes(path)
        except DataError as err:
            path.unlink()
            source = without_secrets(options.source)
            raise DataError(f"{source}: {err}; the file was thrown away") from err
    return path


def _check_strokes(path: Path) -> None:
    with open_tree(path) as tree:
        members = _members(tree)
        for index, listed in enumerate(listed_classes()):
            names = [members.get((index, number), "") for number in listed.numbers]
            if not all(names):
                raise DataError(f"{path}: not all 40 images of class '{listed.name}' are there")
            images = [
                decode_image(tree.read(name), tree.label(name), as_gray=True) for name in names
            ]
            if strokes_digest(images) != listed.strokes:
                raise DataError(
                    f"{path}: the images of class '{listed.name}' are not those of the set"
                )


def _members(tree: Tree) -> dict[tuple[int, int], str]:
    """(class index, file number) → name, for every file that is named like one of the set."""
    matches = ((name, _MEMBER.search(name)) for name in tree.names)
    return {(int(m[1]) - 1, int(m[2])): name for name, m in matches if m is not None}


def _decode(path: Path, options: Options, request: Request) -> Dataset:
    start, end = _CLASSES[options.classes]
    listed = listed_classes()
    size = request.image_size or OWN_SIZE

    def shape(page: np.ndarray) -> np.ndarray:
        return shape_ink(np.invert(page), size, options.preprocess)

    with open_tree(path) as tree:
        members = _members(tree)
        wanted = [(label, n) for label in range(start, end) for n in listed[label].numbers]
        present = [key for key in wanted if key in members]
        if not present:
            raise DataError(f"{path}: no image of the set (like Sample001/img001-001.png) is in it")
        names = [members[key] for key in present]
        images, good, skipped = decode_files(tree, names, shape, options.on_damaged, as_gray=True)
    labels = np.array([label - start for label, _ in present])[good]
    notes = list(skipped)
    if len(present) < len(wanted):
        notes.append(
            f"{len(wanted) - len(present)} of the {len(wanted)} images of the set are not there"
        )
    return build_dataset(
        "handwritten62",
        shape_images(images, size, request.channels),
        labels,
        [each.name for each in listed[start:end]],
        source=str(path),
        notes=notes,
    )
