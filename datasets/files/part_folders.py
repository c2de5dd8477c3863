"""Folders that are parts (train, validation, test), above or below those of classes → a `Reading`.

In: the folder that has the data set in it, and what its owner says. Out: a `Reading`; None where no
folder is a part; or one line that shows the readings that are possible. It stands alone because
people spell and nest parts in more ways than anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from os.path import commonprefix

from datasets.files.folder_names import (
    holds_images,
    is_no_class_of_a_part,
    is_of_no_class,
    is_usual_part,
    part_name,
    parts_among,
)
from datasets.files.folders import Folder, counted, shown, shown_names
from datasets.files.levels import Case, Place, Reading, Row, by_levels, rows_of
from headstart.cli import did_you_mean
from headstart.errors import DataError

Roots = Mapping[str, Sequence[Folder]]
"""Part → the folders in which its class folders lie."""

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
    inner = {name: _class_folder(top.folders[name], top, named) for name in named}
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


def _class_folder(folder: Folder, top: Folder, parts: Collection[str] = ()) -> Folder | None:
    """The folder in which the classes of a part lie; None where it has no class folders.

    Folders that hold all of the part are looked through, as in `seg_train/seg_train`; `parts` are
    the names of all parts in `top`.
    """
    others = [top.folders[name] for name in parts if name != folder.name]
    classes = {inner for other in others if len(other.folders) > 1 for inner in other.folders}
    known = classes | {name for other in others for name in _names_below(other)}
    while len(folder.folders) == 1:
        (inner,) = folder.folders.values()
        is_again = inner.name == top.name or is_part_again(inner.name, folder.name)
        if inner.is_flat:
            is_class = not (is_again or is_no_class_of_a_part(inner.name))
            return folder if is_class or inner.name in classes else None
        is_wrapper = is_again or holds_images(inner.name) or not known
        if not is_wrapper and 2 * len(known & set(inner.folders)) < len(inner.folders):
            return folder
        folder = inner
    return None if folder.is_flat else folder


def _names_below(folder: Folder) -> Iterator[str]:
    """The names of the folders in the folder that holds all of a part."""
    while len(folder.folders) == 1 and not next(iter(folder.folders.values())).is_flat:
        (folder,) = folder.folders.values()
    yield from folder.folders


def is_part_again(name: str, above: str) -> bool:
    """Whether a folder is called as the part that it lies in."""
    own, outer = part_name(name), part_name(above)
    return name == above or (own is not None and outer is not None and own.part == outer.part)


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
            f"{case.where}: {_with_counts(parts)} may be a class, or a part whose images have no "
            f"labels; beside it: {_with_counts(others)}; choose with {level} (a "
            f"class){without}{case.on_tables}"
        )
    raise DataError(
        f"{case.where}: {_with_counts(parts)} hold{'s' * (len(parts) == 1)} images in no class "
        "folders, so nothing says what they show; put each class into a folder of its own "
        f"(train/CLASS){case.on_tables}; if they are classes, {level}"
    )


def _refuse_part_among_classes(
    top: Folder, parts: Sequence[str], others: Sequence[Folder], case: Case
) -> None:
    part = part_name(parts[0])
    word = part.part if part else "test"
    names = [folder.name for folder in others]
    rest = names[0] if len(names) == 1 else "."
    given = {"train": rest, word: parts[0]} if word != "train" else {"train": parts[0]}
    level = top.depth + 1
    raise DataError(
        f"{case.where}: two readings are possible: '{shown(parts[0])}' is the {word} part, or a "
        f"class as {_with_counts(others)} beside it may be; choose with parts: "
        f"{_setting(given)}, or with classes_at: {level}"
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
            _refuse_evaluation(names[0], case)
        if len(chosen) > 1 and part not in case.asked.parts:
            pattern = {part: _pattern(chosen)}
            given = pattern if part == "train" else {"train": "DIR", **pattern}
            raise DataError(
                f"{case.where}: {shown_names(chosen)} all look like the {part} part; name the "
                f"folders of every part, patterns will do: parts: {_setting(given)}"
            )
        roots[part] = [full[name] for name in chosen]
    return roots


def _refuse_evaluation(name: str, case: Case) -> None:
    raise DataError(
        f"{case.where}: '{shown(name)}' is a test part or a validation part; choose with parts: "
        f"{_setting({'test': name})} or parts: {_setting({'validation': name})}"
    )


def _pattern(names: Sequence[str]) -> str:
    """A pattern of all of `names`: what they begin and end with."""
    start = commonprefix(names)  # noqa: RUF071
    end = commonprefix([name[len(start) :][::-1] for name in names])[::-1]  # noqa: RUF071
    return f"{start}*{end}"


def asked_roots(root: Folder, top: Folder, own: Roots, case: Case) -> Roots:
    """The folders of each part, as `parts` of the owner names them.

    Where it names train, its parts are all; else they go before those that the folder has itself
    (`own`), and a folder serves in one part only.

    Raises:
        DataError: there is no such folder, or one is asked for twice.
    """
    asked = case.asked.parts
    given = {part: _folders_called(root, top, value, own) for part, value in asked.items()}
    for part, folders in given.items():
        if not folders:
            there = sorted(folder.path for folder in _all_folders(root, 3))
            raise DataError(
                f"{case.where}: parts: {part}: there is no folder '{shown(asked[part])}' with "
                f"images{did_you_mean(asked[part], there)}; there are {shown_names(there, 8)}"
            )
    paths = Counter(folder.path for folders in given.values() for folder in folders)
    twice = next((path for path, n in paths.items() if n > 1), None)
    if twice is not None:
        raise DataError(f"{case.where}: parts: the folder '{shown(twice)}' is named for two parts")
    given = {part: _class_folders(part, folders, top, case) for part, folders in given.items()}
    if "train" in given or not own:
        return given
    kept = {part: [f for f in folders if f.path not in paths] for part, folders in own.items()}
    return {part: folders for part, folders in {**kept, **given}.items() if folders}


def _class_folders(part: str, folders: Sequence[Folder], top: Folder, case: Case) -> list[Folder]:
    """Where the classes of a part lie that the owner names; as it is with `classes_at`."""
    if case.asked.classes_at is not None:
        return list(folders)
    inner = [f if f is top else _class_folder(f, top) for f in folders]
    flat = [folder for folder, within in zip(folders, inner, strict=True) if within is None]
    if flat:
        raise DataError(
            f"{case.where}: parts: {part}: {_with_counts(flat)} hold{'s' * (len(flat) == 1)} "
            f"images in no class folders{case.on_tables}"
        )
    return [within for within in inner if within is not None]


def rows_in_parts(roots: Roots) -> list[Row]:
    """A row for each image of each part; a folder inside another part's is that part's no more."""
    paths = [folder.path for folders in roots.values() for folder in folders]
    rows = []
    for part, folders in roots.items():
        for folder in folders:
            inside = [p for p in paths if p != folder.path and _lies_in(p, folder.path)]
            rows += rows_of(folder, part, inside)
    return rows


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
            f"{shown_names(sorted(named[split[0]]))}, and {_with_counts(whole)} none; give each "
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
    return Reading(of, [f"the parts lie inside the class folders: {_said(part_of)}"])


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
        _refuse_evaluation(unclear, case)
    return parts


def _folders_called(root: Folder, top: Folder, value: str, own: Roots) -> list[Folder]:
    """The folders that a value of `parts` means: by path, by pattern, or by an own part's name."""
    wanted = [part for part in value.split("/") if part not in ("", ".")]
    if not wanted:
        return [top]
    for start in (root, top):
        hits = list(_matching(start, wanted))
        if hits:
            return hits
    meant = part_name(value)
    return list(own.get(meant.part, ())) if meant else []


def _matching(folder: Folder, patterns: Sequence[str]) -> Iterator[Folder]:
    if not patterns:
        yield folder
        return
    for name, inner in folder.folders.items():
        if name == patterns[0] or fnmatchcase(name, patterns[0]):
            yield from _matching(inner, patterns[1:])


def _all_folders(folder: Folder, depth: int) -> Iterator[Folder]:
    for inner in folder.folders.values() if depth else ():
        yield inner
        yield from _all_folders(inner, depth - 1)


def _lies_in(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _say_parts(
    reading: Reading, top: Folder, flat: Sequence[str], roots: Roots, case: Case
) -> None:
    """Note which folders are which part where that is not plain, and which hold no labels."""
    if flat:
        folders = [top.folders[name] for name in flat]
        reading.explained |= {folder.path for folder in folders}
        reading.notes.append(
            f"{_with_counts(folders)} hold{'s' * (len(flat) == 1)} images in no class folders; "
            "without labels they were not read"
        )
    names = {
        (folder.path[len(top.path) :].lstrip("/") or ".").split("/")[0]: part
        for part, folders in roots.items()
        for folder in folders
    }
    unusual = {name: part for name, part in names.items() if not is_usual_part(name)}
    if unusual and not case.asked.parts:
        reading.notes.append(f"parts by the names of their folders: {_said(unusual)}")


def _said(part_of: Mapping[str, str]) -> str:
    said = (
        shown(name) if name == part else f"{shown(name)} is {part}"
        for name, part in part_of.items()
    )
    return ", ".join(said)


def _with_counts(folders: Sequence[Folder]) -> str:
    named = [f"{shown(folder.name)} ({counted(folder.n_images)})" for folder in folders[:4]]
    text = ", ".join(named[:-1]) + " and " * (len(named) > 1) + named[-1]
    return text if len(folders) <= 4 else f"{text} … ({len(folders):,} folders)"


def _setting(parts: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{part}: {_quoted(name)}" for part, name in parts.items()) + "}"


def _quoted(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else f'"{shown(name)}"'
