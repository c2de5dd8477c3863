"""Parts that lie inside the class folders (`cat/train`, `cat/test`) → a `Reading`.

In: the folder that has the data set in it, and what its owner says. Out: a `Reading`; None where
its folders hold no parts; or one line on what does not fit. It stands alone because nothing of it
is shared with parts above the classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from datasets.layout.folder_names import holds_images, is_of_no_class, part_name, parts_among
from datasets.layout.folders import Folder, said, shown, shown_names, with_counts
from datasets.layout.types import Case, Place, Reading, refuse_evaluation
from headstart.errors import DataError


def parts_in_classes(top: Folder, case: Case) -> Reading | None:
    """The reading of CLASS/PART (`cat/train`); None where the folders in `top` hold no parts."""
    named = {name: parts_among(folder.folders) for name, folder in top.folders.items()}
    split = [name for name, parts in named.items() if _most_in(top.folders[name], parts)]
    if len(split) < 2 or 2 * len(split) < len(top.folders):
        return None
    _check_no_sets(top, named, split, case)
    whole = [f for name, f in top.folders.items() if name not in split]
    whole = [folder for folder in whole if not is_of_no_class(folder.name)]
    if whole:
        raise DataError(
            f"{case.where}: {shown_names(split)} hold the parts "
            f"{shown_names(sorted(named[split[0]]))}, and {with_counts(whole)} none; give each "
            "class the same parts, or take the folders away that are no classes"
        )
    part_of = _part_of_names({n: p.part for name in split for n, p in named[name].items()}, case)
    of = {}
    for name in split:
        for inner in named[name]:
            folder = top.folders[name].folders[inner]
            if inner in part_of:
                home = top.folders[name].path
                of.update({each: Place(part_of[inner], name, home) for each in folder.below()})
    return Reading(of, [f"the parts lie inside the class folders: {said(part_of)}"])


def _most_in(folder: Folder, parts: Collection[str]) -> bool:
    return 2 * sum(folder.folders[name].n_images for name in parts) > folder.n_images


def _check_no_sets(
    top: Folder, named: Mapping[str, Collection[str]], split: Sequence[str], case: Case
) -> None:
    """Raises DataError where each folder is a data set with parts and classes of its own."""
    below: dict[str, set[str]] = {}
    for name in split:
        for part in named[name]:
            for inner in top.folders[name].folders[part].folders:
                below.setdefault(inner, set()).add(name)
    if sum(len(above) > 1 for above in below.values()) > 1 or any(map(holds_images, split)):
        inside = sorted(below) or sorted(named[split[0]])
        raise DataError(
            f"{case.where}: each of {shown_names(split)} holds parts of its own (in them "
            f"{shown_names(inside, 3)}); give one of them as the path, or, to read the folders "
            f"{shown_names(split, 3)} as classes, classes_at: {top.depth + 1}"
        )


def _part_of_names(part_of: Mapping[str, str], case: Case) -> dict[str, str]:
    """The names of part folders inside classes → parts, as the owner's `parts` has them."""
    parts = dict(part_of)
    for part, value in case.asked.parts.items():
        meant = part_name(value)
        hits = [n for n, own in part_of.items() if n == value or (meant and meant.part == own)]
        if not hits:
            raise DataError(
                f"{case.where}: parts: {part}: no part is called '{shown(value)}'; inside the "
                f"class folders are {shown_names(sorted(part_of))}"
            )
        parts = {n: own for n, own in parts.items() if own != part} | dict.fromkeys(hits, part)
    unclear = next((name for name, part in parts.items() if part == "evaluation"), None)
    if unclear is not None:
        refuse_evaluation(unclear, case)
    return parts
