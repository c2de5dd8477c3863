"""Which files of a tree are images, of which class and in which part, from their names alone.

In: a `Tree`, a folder or an archive as its owner laid it out. Out: a `Layout`. It stands alone
because all that reads anybody's images asks it (data sets, test sets met later), and because it
knows names only: nothing is decoded here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from datasets.files.image_kinds import (
    ALSO,
    KINDS_READ,
    Also,
    is_image_name,
    kinds_of,
    left_out_by_setting,
)
from datasets.files.trees import Tree
from headstart.errors import DataError

_PART_SPELLINGS = {
    **dict.fromkeys(("train", "training", "trainset", "trainingset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validationset", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "testset", "testingset"), "test"),
}
_BESIDE = {"originals"}  # what datasets.sheet keeps beside the parts on request


@dataclass(frozen=True)
class Layout:
    """Which files are images, of which class, in which part ("" where there are no parts).

    `groups` names the group of each file (the writer, the patient), or is empty.
    """

    files: tuple[str, ...]
    classes: tuple[str, ...]
    parts: tuple[str, ...]
    notes: tuple[str, ...]
    groups: tuple[str, ...] = ()


def read_layout(tree: Tree, also: Collection[Also] = ()) -> Layout:
    """Find classes and parts from the names alone.

    Folders that hold everything (as a zip of `mydata/` has) are looked through. What lies beside
    the class folders, and files that are no images, are left out with a note. `also` are kinds of
    files that are read beside the usual ones.

    Raises:
        DataError: no images in class folders, or a class folder without an image.
    """
    images = [name for name in tree.names if is_image_name(name, also)]
    if tree.names and not images:
        raise DataError(
            f"{tree.where}: no file in it is of a kind that is read as an image: it holds "
            f"{kinds_of(tree.names)}; read are {KINDS_READ}"
        )
    inside = [name for name in images if "/" in name]
    if not inside:
        raise DataError(
            f"{tree.where}: no images in class folders; it needs one folder a class, with "
            f"images ({KINDS_READ})"
        )
    top = _common_folder(inside)
    inside = [name for name in inside if name.count("/") > top.count("/")]
    files, classes, parts = [], [], []
    has_parts = _has_parts(inside, top)
    for name in inside:
        folders = name[len(top) :].split("/")[:-1]
        if has_parts and (len(folders) < 2 or _plain(folders[0]) not in _PART_SPELLINGS):
            continue
        files.append(name)
        parts.append(_PART_SPELLINGS[_plain(folders[0])] if has_parts else "")
        classes.append(folders[1] if has_parts else folders[0])
    _check_no_empty_class(tree, top, has_parts, files)
    notes = (*left_out_by_setting(tree.names, also), *_left_out(tree, images, len(files), also))
    return Layout(tuple(files), tuple(classes), tuple(parts), notes)


def _common_folder(names: Sequence[str]) -> str:
    """The folder, with its `/`, that holds all of `names` and in which classes or parts lie."""
    top = ""
    while True:
        first = {name[len(top) :].split("/", 1)[0] for name in names}
        deeper = all(name[len(top) :].count("/") >= 2 for name in names)
        if len(first) != 1 or not deeper or _plain(next(iter(first))) in _PART_SPELLINGS:
            return top
        top += f"{first.pop()}/"


def _has_parts(names: Sequence[str], top: str) -> bool:
    first = {_plain(name[len(top) :].split("/", 1)[0]) for name in names} - _BESIDE
    return (
        bool(first)
        and first <= set(_PART_SPELLINGS)
        and any(name[len(top) :].count("/") >= 2 for name in names)
    )


def _plain(folder: str) -> str:
    return re.sub(r"[\s_-]", "", folder).lower()


def _check_no_empty_class(tree: Tree, top: str, has_parts: bool, files: Sequence[str]) -> None:
    depth = top.count("/") + (2 if has_parts else 1)
    full = {"/".join(name.split("/")[:depth]) for name in files}
    for folder in sorted(tree.folders):
        if has_parts and _plain(folder[len(top) :].split("/", 1)[0]) in _BESIDE:
            continue
        if folder.startswith(top) and folder.count("/") == depth - 1 and folder not in full:
            raise DataError(
                f"{tree.label(folder)}: no image in this class; add images or remove the folder"
            )


def _left_out(
    tree: Tree, images: Sequence[str], n_files: int, also: Collection[Also]
) -> tuple[str, ...]:
    notes = []
    if len(images) > n_files:
        notes.append(f"{len(images) - n_files} images outside the class folders were not read")
    others = [name for name in tree.names if not is_image_name(name, (*also, *ALSO))]
    if others:
        notes.append(f"{len(others)} files that are no images were not read ({kinds_of(others)})")
    return tuple(notes)
