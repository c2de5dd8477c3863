"""In which folders the class folders of a part lie, as the owner names parts or as they lie there.

In: folders, and what their owner says of parts. Out: part → folders, and a row for each image in
them. It stands alone because both ways of finding parts, by their names and by the owner's, need
it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from datasets.layout.folder_names import holds_images, is_no_class_of_a_part, part_name
from datasets.layout.folders import Folder, shown, shown_names, with_counts
from datasets.layout.types import Case, Row, rows_of
from headstart.errors import DataError, did_you_mean

Roots = Mapping[str, Sequence[Folder]]
"""Part → the folders in which its class folders lie."""


def class_folder(folder: Folder, top: Folder, parts: Collection[str] = ()) -> Folder | None:
    """The folder in which the classes of a part lie; None where it has no class folders.

    Folders that hold all of the part are looked through, as in `seg_train/seg_train`; `parts` are
    the names of all parts in `top`.
    """
    others = [top.folders[name] for name in parts if name != folder.name]
    classes = {inner for other in others if len(other.folders) > 1 for inner in other.folders}
    known = classes | {name for other in others for name in _names_below(other)}
    while len(folder.folders) == 1:
        (inner,) = folder.folders.values()
        is_again = inner.name == top.name or _is_again(inner.name, folder.name)
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


def _is_again(name: str, above: str) -> bool:
    """Whether a folder is called as the part that it lies in."""
    own, outer = part_name(name), part_name(above)
    return name == above or (own is not None and outer is not None and own.part == outer.part)


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
    inner = [f if f is top else class_folder(f, top) for f in folders]
    flat = [folder for folder, within in zip(folders, inner, strict=True) if within is None]
    if flat:
        raise DataError(
            f"{case.where}: parts: {part}: {with_counts(flat)} hold{'s' * (len(flat) == 1)} "
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
