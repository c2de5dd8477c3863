"""Anybody's images: a folder (or zip) with one folder a class, with or without parts above them.

`{name: folder, path: DIR}` reads DIR/CLASS/*.png, or DIR/PART/CLASS/*.png where PART is `train`,
`validation`, `test` or a usual spelling of them ("Training Set", "val", …). PNG, JPEG, BMP, TIFF
and WebP, of any depth and colour, are made alike: the network's image size and channels, or the
commonest size of the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from datasets.base import Dataset, Request
from datasets.cache.cached import cached
from datasets.files.trees import is_archive, open_tree
from datasets.images.image_set import dataset_of_files, in_place
from datasets.labels.settings import LabelOptions, labelled_layout, tables_elsewhere
from datasets.layout.folder_names import part_name
from datasets.layout.layout import Layout, check_classes, read_layout
from datasets.layout.types import Asked
from datasets.locations import user_path
from datasets.target import are_classes
from headstart.errors import DataError
from headstart.settings import key

VERSION = 3
Part = Literal["train", "validation", "test"]


class Options(LabelOptions):
    """Where the images are, and what to make of them."""

    path: Path = key("A folder that has a folder for each class, or a zip or tar file of it.",
        example="my/photos")  # fmt: skip
    classes_at: int | tuple[int, ...] | None = key("The level of folders whose "
        "names are the classes, from 1 just below `path`; several, as [1, 2], whose names together "
        "are; without it, it is found where only one is possible.", None, example=2)  # fmt: skip
    parts: Mapping[Part, str] | None = key("Which folder below `path` is the train, the "
        "validation or the test part (a pattern takes several: `fold[1-8]`); `{test: val}` tests "
        "on the folder's own part called val. Without it, parts are known by their names.",
        None, example={"train": "fold[1-8]", "test": "fold9"})  # fmt: skip

    @field_validator("classes_at", mode="before")
    @classmethod
    def _are_levels(cls, given: object) -> object:
        levels = given if isinstance(given, (list, tuple)) else [given]
        is_level = all(type(each) is int and each > 0 for each in levels)
        if given is not None and not (is_level and levels and list(levels) == sorted({*levels})):
            raise ValueError("a level from 1, or several from the upper to the lower, as [1, 2]")
        return tuple(levels) if levels is given else given

    @field_validator("parts", mode="before")
    @classmethod
    def _usual_names(cls, parts: object) -> object:
        """`val` and other spellings of a part as its own name."""
        if not isinstance(parts, Mapping):
            return parts
        named = {key: part_name(key) if isinstance(key, str) else None for key in parts}
        return {(own.part if (own := named[key]) else key): parts[key] for key in parts}


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """The folder or archive, and the tables of labels that lie elsewhere."""
    path = user_path(options.path, request.data_dir)
    if not path.is_dir() and not is_archive(path):
        raise DataError(f"{path}: not a folder, and no .zip, .tar or .tgz file of one")
    return (path, *tables_elsewhere(options, path, request))


def load(options: Options, request: Request) -> Dataset:
    """All images of the folder, class by class; its parts, where it has them."""
    sources = locate(options, request)
    path = sources[0]
    return cached(
        "folder",
        VERSION,
        options,
        request,
        sources,
        lambda asked: _decode(path, options, asked),
        in_place=in_place(options, request),
    )


def _decode(path: Path, options: Options, request: Request) -> Dataset:
    parts = {str(part): folder for part, folder in (options.parts or {}).items()}
    chosen = options.class_names if isinstance(options.class_names, tuple) else None

    def by_folders() -> Layout:
        at = options.classes_at
        deepest, joined = (at[-1], at) if isinstance(at, tuple) else (at, ())
        asked = Asked(deepest, parts, chosen, joined=joined)
        layout = read_layout(tree, options.also, asked)
        if are_classes(options.target):
            notes = (*layout.notes, *check_classes(layout, chosen, tree))
            layout = replace(layout, notes=notes)
        return layout

    with open_tree(path) as tree:
        layout, names, classes = labelled_layout(
            tree, options, request, by_folders, also=options.also, on_missing=options.on_damaged
        )
        return dataset_of_files("folder", tree, layout, options.choosing(names), request, classes)
