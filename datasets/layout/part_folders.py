"""Folders that are parts (train, validation, test), above those of classes → a `Reading`.

In: the folder that has the data set in it, and what its owner says. Out: a `Reading`; None where no
folder is a part; or one line that shows the readings that are possible. It stands alone because
people spell and nest parts in more ways than anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import commonprefix

from datasets.layout.folder_names import is_of_no_class, is_usual_part, part_name, parts_among
from datasets.layout.folders import Folder, parts_setting, said, shown, shown_names, with_counts
from datasets.layout.levels import by_levels
from datasets.layout.part_roots import Roots, asked_roots, class_folder, rows_in_parts
from datasets.layout.types import Case, Reading, refuse_evaluation
from headstart.errors import DataError

_KEPT_BESIDE = "originals"  # what datasets.sheet keeps beside the parts on request
_MANY = 10  # images beside a part over a tenth of all may be of classes


def in_parts(root: Folder, top: Folder, case: Case) -> Reading | None:
    """The reading of PART/CLASS; None where no folder in `top` is a part.

    Raises:
        DataError: the parts hold no class folders, or two readings are possible.
    """
    named = parts_among(top.folders)
    if not named:
        return None
    inner = {name: class_folder(top.folders[name], top, named) for name in named}
    full = {name: folder for name, folder in inner.items() if folder is not None}
    others = [folder for name, folder in top.folders.items() if name not in named]
    if not full:
        others = [folder for folder in others if not is_of_no_class(folder.name)]
        return _flat_parts(top, [top.folders[name] for name in named], others, case)
    others = [folder for folder in others if folder.name.lower() != _KEPT_BESIDE]
    n_others = sum(folder.n_images for folder in others)
    is_only_part = len({named[name].part for name in full}) == 1
    if is_only_part and _MANY * n_others > top.n_images and not case.asked.parts:
        _refuse_part_among_classes(top, list(full), others, case)
    roots: Roots = _one_folder_each(full, {name: named[name].part for name in full}, case)
    if case.asked.parts:
        roots = asked_roots(root, top, roots, case)
    reading = by_levels(rows_in_parts(roots), case)
    _say_parts(
        reading, top, [name for name, folder in inner.items() if folder is None], roots, case
    )
    return reading


def _flat_parts(
    top: Folder, parts: Sequence[Folder], others: Sequence[Folder], case: Case
) -> Reading | None:
    """None where folders called like parts are classes; else refuses."""
    plain = [folder for folder in parts if (part := part_name(folder.name)) and not part.rest]
    if others and plain:  # `dev_board` beside `train` says nothing of parts
        others, parts = [*others, *(f for f in parts if f not in plain)], plain
    kinds = {part.part for folder in parts if (part := part_name(folder.name)) is not None}
    if others and kinds == {"train"}:
        return None  # a train among vehicles: the other folders would be in no part
    level = f"classes_at: {top.depth + 1}"
    if others and len(kinds) == 1:
        wanted = case.asked.class_names
        if wanted and set(wanted) <= set(top.folders):
            return None
        names = [folder.name for folder in others]
        without = (
            f", or leave it out: class_names: [{shown_names(names)}]" if len(names) > 1 else ""
        )
        raise DataError(
            f"{case.where}: {with_counts(parts)} may be a class, or a part whose images have no "
            f"labels; beside it: {with_counts(others)}; choose with {level} (a "
            f"class){without}{case.on_tables}"
        )
    raise DataError(
        f"{case.where}: {with_counts(parts)} hold{'s' * (len(parts) == 1)} images in no class "
        "folders, so nothing says what they show; put each class into a folder of its own "
        f"(train/CLASS){case.on_tables}; if they are classes, {level}"
    )


def _refuse_part_among_classes(
    top: Folder, parts: Sequence[str], others: Sequence[Folder], case: Case
) -> None:
    part = part_name(parts[0])
    word = part.part if part and part.part != "evaluation" else "test"
    names = [folder.name for folder in others]
    rest = names[0] if len(names) == 1 else "."
    given = {"train": rest, word: parts[0]} if word != "train" else {"train": parts[0]}
    level = top.depth + 1
    raise DataError(
        f"{case.where}: two readings are possible: '{shown(parts[0])}' is the {word} part, or a "
        f"class as {with_counts(others)} beside it may be; choose with parts: "
        f"{parts_setting(given)}, or with classes_at: {level}"
    )


def _one_folder_each(
    full: Mapping[str, Folder], parts: Mapping[str, str], case: Case
) -> dict[str, list[Folder]]:
    """Part → its folder; a plain name (`Test`) goes before one with more words (`test-extra`)."""
    roots: dict[str, list[Folder]] = {}
    for part in dict.fromkeys(parts.values()):
        names = [name for name in full if parts[name] == part]
        plain = [name for name in names if (own := part_name(name)) and not own.rest]
        chosen = plain if len(plain) == 1 else names
        if part == "evaluation" and case.asked.parts:
            continue  # what it is has been said
        if part == "evaluation":
            refuse_evaluation(names[0], case)
        if len(chosen) > 1 and part not in case.asked.parts:
            pattern = {part: _pattern(chosen)}
            given = pattern if part == "train" else {"train": "DIR", **pattern}
            raise DataError(
                f"{case.where}: {shown_names(chosen)} all look like the {part} part; name the "
                f"folders of every part, patterns will do: parts: {parts_setting(given)}"
            )
        roots[part] = [full[name] for name in chosen]
    return roots


def _pattern(names: Sequence[str]) -> str:
    """A pattern of all of `names`: what they begin and end with."""
    start = commonprefix(names)  # noqa: RUF071
    end = commonprefix([name[len(start) :][::-1] for name in names])[::-1]  # noqa: RUF071
    return f"{start}*{end}"


def _say_parts(
    reading: Reading, top: Folder, flat: Sequence[str], roots: Roots, case: Case
) -> None:
    """Note which folders are which part where that is not plain, and which hold no labels."""
    if flat:
        folders = [top.folders[name] for name in flat]
        reading.explained |= {folder.path for folder in folders}
        reading.notes.append(
            f"{with_counts(folders)} hold{'s' * (len(flat) == 1)} images in no class folders; "
            "without labels they were not read"
        )
    names = {
        (folder.path[len(top.path) :].lstrip("/") or ".").split("/")[0]: part
        for part, folders in roots.items()
        for folder in folders
    }
    unusual = {name: part for name, part in names.items() if not is_usual_part(name)}
    if unusual and not case.asked.parts:
        reading.notes.append(f"parts by the names of their folders: {said(unusual)}")
