"""Classes, parts and groups that the names of files and folders say, where a setting tells how.

In: the images of a tree, or a `Layout`, and a regular expression, a level or a folder. Out: a
`Layout`. It stands alone because no table is read here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from datasets.files.image_kinds import stem_of
from datasets.files.part_words import part_in
from datasets.files.trees import Tree
from datasets.labels.table import lies_in_no_class
from datasets.layout.layout import Layout
from headstart.errors import DataError

_EXAMPLES = 3


def layout_of_names(tree: Tree, pattern: str, images: Sequence[str]) -> Layout:
    """Classes from the names of the images; the folders may be parts, and nothing else.

    Raises:
        DataError: a name does not fit, or images lie in several folders.
    """
    names = [name for name in images if not lies_in_no_class(name)] or list(images)
    if not names:
        raise DataError(f"{tree.where}: holds no images")
    parts = [part_in(PurePosixPath(name).parent.name) for name in names]
    folders = sorted({str(PurePosixPath(name).parent) for name in names})
    has_parts = "train" in parts and "" not in parts and len(set(parts)) > 1
    if len(folders) > 1 and not (has_parts and len(folders) == len(set(parts))):
        raise DataError(
            f"{tree.where}: label_pattern is for images in one folder, or in one for each part; "
            f"images lie in {', '.join(folders[:_EXAMPLES])}; give one of them as path: DIR"
        )
    labels = _by_pattern(tree, names, pattern, "label_pattern")
    notes = [f"classes are parts of the files' names, by {pattern}"]
    if n_out := len(images) - len(names):
        notes.append(f"{n_out:,} images in folders of masks, plots and the like were not read")
    parts = parts if has_parts else [""] * len(names)
    return Layout(tuple(names), tuple(labels), tuple(parts), tuple(notes))


def in_parts(layout: Layout, parts: Mapping[str, str], tree: Tree) -> Layout:
    """The parts that are named by folders, patterns of such, or the layout's own parts."""
    if not parts:
        return layout
    part_of: dict[str, str] = {}
    for part, given in parts.items():
        inside = [name for name in layout.files if _lies_in(name, given.strip("/"))]
        own = zip(layout.files, layout.parts, strict=True)
        inside = inside or [name for name, its in own if its and its == part_in(given)]
        if not inside:
            raise DataError(
                f"{tree.where}: parts: there is no folder '{given}' with images that have a label"
            )
        part_of.update(dict.fromkeys(inside, part))
    if "train" not in parts:
        for name, own_part in zip(layout.files, layout.parts, strict=True):
            part_of.setdefault(name, own_part or "train")
    at = [k for k, name in enumerate(layout.files) if name in part_of]
    n_out = len(layout.files) - len(at)
    note = (f"{n_out:,} images in no part's folder were left out",) if n_out else ()
    return Layout(
        tuple(layout.files[k] for k in at),
        tuple(layout.classes[k] for k in at),
        tuple(part_of[layout.files[k]] for k in at),
        (*layout.notes, *note),
        groups=tuple(layout.groups[k] for k in at) if layout.groups else (),
        warnings=layout.warnings,
    )


def _lies_in(name: str, pattern: str) -> bool:
    way = name.split("/")[:-1]
    return any(fnmatchcase("/".join(way[:k]), pattern) for k in range(1, len(way) + 1))


def _by_pattern(tree: Tree, names: Sequence[str], pattern: str, setting: str) -> list[str]:
    fits = [re.fullmatch(pattern, stem_of(PurePosixPath(name).name)) for name in names]
    odd = [name for name, fit in zip(names, fits, strict=True) if fit is None or not fit[1]]
    if odd:
        raise DataError(
            f"{tree.where}: {setting}: {pattern} does not fit {len(odd):,} of {len(names):,} "
            f"names, the first is '{odd[0]}'; it must fit the whole name without its ending"
        )
    return [fit[1] for fit in fits if fit is not None]


def groups_by_pattern(layout: Layout, pattern: str, tree: Tree) -> Layout:
    """The groups are a part of each file's name."""
    groups = _by_pattern(tree, layout.files, pattern, "group_pattern")
    return replace(layout, groups=tuple(groups))


def groups_by_level(layout: Layout, at: int, tree: Tree) -> Layout:
    """The groups are the names of the folders at a level, from 1 below the tree's own.

    Raises:
        DataError: an image lies less deep, or the level is that of the classes.
    """
    ways = [PurePosixPath(name).parent.parts for name in layout.files]
    short = next((k for k, way in enumerate(ways) if len(way) < at), None)
    if short is not None:
        raise DataError(
            f"{tree.where}: group_at: {at}: '{layout.files[short]}' lies {len(ways[short])} deep "
            f"only; levels are counted from 1 below {tree.where.name}"
        )
    groups = [way[at - 1] for way in ways]
    if groups == list(layout.classes):
        raise DataError(
            f"{tree.where}: group_at: {at}: the folders of this level are the classes "
            f"({', '.join(sorted(set(groups))[:_EXAMPLES])}); no class can be in two parts then. "
            "Give the level of the groups, and that of the classes with classes_at"
        )
    return replace(layout, groups=tuple(groups))
