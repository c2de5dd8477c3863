"""Anybody's images: a folder (or zip) with one folder a class, with or without parts above them.

`{name: folder, path: DIR}` reads DIR/CLASS/*.png, or DIR/PART/CLASS/*.png where PART is `train`,
`validation`, `test` or a usual spelling of them ("Training Set", "val", …). PNG, JPEG, BMP, TIFF
and WebP, of any depth and colour, are made alike: the network's image size and channels, or the
commonest size of the folder.
"""

from __future__ import annotations

from pathlib import Path

from datasets.base import Dataset, Request
from datasets.files.cache import cached
from datasets.files.image_set import ImageOptions, dataset_of_files
from datasets.files.layout import read_layout
from datasets.files.trees import is_archive, open_tree
from datasets.locations import user_path
from headstart.errors import DataError
from headstart.settings import key

VERSION = 2


class Options(ImageOptions):
    """Where the images are, and what to make of them."""

    path: Path = key("A folder that has a folder for each class, or a zip or tar file of it.",
        example="my/photos")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The folder or archive."""
    path = user_path(options.path, request.data_dir)
    if not path.is_dir() and not is_archive(path):
        raise DataError(f"{path}: not a folder, and no .zip, .tar or .tgz file of one")
    return (path,)


def load(options: Options, request: Request) -> Dataset:
    """All images of the folder, class by class; its parts, where it has them."""
    (path,) = locate(options, request)
    return cached(
        "folder", VERSION, options, request, [path], lambda: _decode(path, options, request)
    )


def _decode(path: Path, options: Options, request: Request) -> Dataset:
    with open_tree(path) as tree:
        layout = read_layout(tree, options.also)
        return dataset_of_files("folder", tree, layout, options, request)
