"""From folders of images to a reading: what each image's class and part is.

In: the folders that hold images, and what their owner says of them (`Asked`). Out: a `Reading`, or
one line that shows the readings that are possible and the settings that choose. It stands alone
because it weighs what the other modules find: parts above classes, parts in classes, levels.
"""

from __future__ import annotations

from collections.abc import Sequence

from datasets.layout.folder_names import (
    are_numbered_groups,
    are_numbered_pieces,
    is_of_no_class,
    is_usual_part,
    parts_among,
)
from datasets.layout.folders import Folder, counted, shown, shown_names
from datasets.layout.levels import at_level, by_levels
from datasets.layout.part_folders import in_parts
from datasets.layout.part_roots import asked_roots, rows_in_parts
from datasets.layout.parts_in_classes import parts_in_classes
from datasets.layout.types import Asked, Case, Reading, rows_of
from headstart.errors import DataError

_FEW = 3  # pictures of no class beside classes, as plots are


def find_reading(root: Folder, asked: Asked, where: str, on_tables: str) -> Reading:
    """The only reading of the folders below `root`, or the one that is asked for.

    Args:
        root: the tree's own folder; folders of no class are taken out of it.
        asked: what the owner says.
        where: begins messages.
        on_tables: ends messages where nothing but a table can say what the images show.

    Raises:
        DataError: no reading, several of them, or a setting that does not fit.
    """
    case = Case(asked, where, on_tables)
    top = _top(root, case)
    if asked.classes_at is not None:
        return at_level(root, asked_roots(root, top, {}, case), case)
    if "train" in asked.parts:
        return by_levels(rows_in_parts(asked_roots(root, top, {}, case)), case)
    reading = in_parts(root, top, case) or parts_in_classes(top, case)
    if reading is None and asked.parts:
        raise DataError(
            f"{where}: parts: no folder in it is called as parts are, so name the folder of the "
            f"train part too; there are {shown_names(list(top.folders))}"
        )
    reading = _without_no_class(reading or _plain(top, case), case)
    _check_class_names(reading, case)
    return reading


def _top(root: Folder, case: Case) -> Folder:
    """The folder in which classes or parts lie: those that hold everything are looked through."""
    folder = root
    while (inner := _only_data(folder, case)) is not None:
        folder = inner
    return folder


def _only_data(folder: Folder, case: Case) -> Folder | None:
    """The one folder in `folder` that has the data set in it, where it is plainly one.

    Raises:
        DataError: beside it lies a folder with many images that may be a class as well.
    """
    inner = list(folder.folders.values())
    doubtful = [each for each in inner if is_of_no_class(each.name)] if len(inner) > 1 else []
    if len(inner) - len(doubtful) == 1:
        (only,) = (each for each in inner if each not in doubtful)
        if is_usual_part(only.name) or only.is_flat or 2 * len(only.images) >= only.n_images:
            return None
        n_doubtful = sum(each.n_images for each in doubtful)
        if 10 * n_doubtful > only.n_images and not _has_full_parts(only):
            _refuse_one_of_two(folder, only, doubtful, case)
        return only
    with_parts = [each for each in inner if _has_full_parts(each)]
    if len(with_parts) == 1 and not parts_among(folder.folders):
        return with_parts[0]
    return None


def _refuse_one_of_two(
    folder: Folder, only: Folder, doubtful: Sequence[Folder], case: Case
) -> None:
    if case.asked.classes_at is not None or case.asked.parts:
        return  # the owner has said where to look
    inside = shown_names(list(only.folders), 3)
    raise DataError(
        f"{case.where}: two readings are possible: the classes are {inside} in "
        f"'{shown(only.path)}' ({counted(only.n_images)}), or the folders "
        f"{shown_names(list(folder.folders))} ({counted(sum(f.n_images for f in doubtful))} in "
        f"{shown_names([f.name for f in doubtful])}); choose with classes_at: {only.depth + 1} or "
        f"classes_at: {only.depth}"
    )


def _has_full_parts(folder: Folder) -> bool:
    """Whether it has a train part and another one, with folders in both."""
    folder = _inside(folder)
    parts = parts_among(folder.folders)
    full = {part.part for name, part in parts.items() if not folder.folders[name].is_flat}
    return "train" in full and len(full) > 1


def _plain(top: Folder, case: Case) -> Reading:
    """The reading of class folders without parts; a copy of all of them beside them is left out."""
    notes, explained = [], set()
    for name, folder in list(top.folders.items()):
        inner = _inside(folder).folders
        if len(inner) > 1 and name not in inner and inner.keys() <= top.folders.keys():
            notes.append(
                f"{counted(folder.n_images)} in '{shown(name)}' were not read: its folders are "
                "called as those beside it"
            )
            explained.add(folder.path)
            top.without([name])
    _check_no_sets_beside(top, case)
    reading = by_levels(rows_of(top), case)
    return Reading(reading.of, [*notes, *reading.notes], explained | reading.explained)


def _inside(folder: Folder) -> Folder:
    """The folder that holds all of `folder` and in which several lie."""
    while len(folder.folders) == 1:
        (folder,) = folder.folders.values()
    return folder


def _check_no_sets_beside(top: Folder, case: Case) -> None:
    """Raises DataError where folders of one name lie in several folders, at different levels."""
    inside = {name: _inside(folder) for name, folder in top.folders.items()}
    inside = {name: folder for name, folder in inside.items() if len(folder.folders) > 1}
    above: dict[str, list[Folder]] = {}
    for folder in inside.values():
        for name in folder.folders:
            above.setdefault(name, []).append(folder)
    repeated = [name for name, folders in above.items() if len(folders) > 1]
    sets = {folder.path: folder for name in repeated for folder in above[name]}
    n_images = sum(f.folders[name].n_images for name in repeated for f in above[name])
    levels = {folder.depth for folder in sets.values()}
    if len(repeated) > 1 and len(levels) > 1 and 2 * n_images > top.n_images:
        raise DataError(
            f"{case.where}: the folders {shown_names(repeated, 3)} lie in each of "
            f"{shown_names(sorted(sets))}: give one of these as the path, or, to read "
            f"{shown_names(list(top.folders), 3)} as classes, classes_at: {top.depth + 1}"
        )


def _without_no_class(reading: Reading, case: Case) -> Reading:
    """`reading` without a few pictures in folders such as `plots` beside those of classes.

    Raises:
        DataError: there are so many that they may be a class.
    """
    counts = reading.counts()
    doubtful = {name: n for name, n in counts.items() if is_of_no_class(name)}
    classes = {name: n for name, n in counts.items() if name not in doubtful}
    if not doubtful or not classes or case.asked.class_names:
        return reading
    smallest = min(classes.values())
    many = [n for n in doubtful.values() if 10 * n > smallest and (n > _FEW or 2 * n > smallest)]
    said = ", ".join(f"{shown(name)} ({counted(n)})" for name, n in doubtful.items())
    if many or len(classes) < 2:
        place = next(place for place in reading.of.values() if place.label in doubtful)
        names = shown_names(sorted(classes))
        leave_out = f", or leave it out: class_names: [{names}]" if len(classes) > 1 else ""
        raise DataError(
            f"{case.where}: two readings are possible: {said} beside {names} may be a class or "
            "hold pictures of no class; choose with classes_at: "
            f"{place.home.count('/') + 1} (a class){leave_out}{case.on_tables}"
        )
    homes = {place.home for place in reading.of.values() if place.label in doubtful}
    kept = {name: place for name, place in reading.of.items() if place.label not in doubtful}
    note = f"{said} beside the class folders: taken for pictures of no class and not read"
    return Reading(kept, [*reading.notes, note], reading.explained | homes)


def _check_class_names(reading: Reading, case: Case) -> None:
    """Raises DataError where all classes are called as parts are, or as pieces of an archive."""
    names = sorted(reading.counts())
    if len(names) < 2 or case.asked.class_names:
        return
    level = next(iter(reading.of.values())).home.count("/") + 1
    if all(map(is_usual_part, names)):
        raise DataError(
            f"{case.where}: the classes would be {shown_names(names)}, which are names of parts; "
            f"say what is what with classes_at: N (1 is just below the path; these are at {level}) "
            "or parts: {train: DIR, test: DIR}"
        )
    if are_numbered_groups(names):
        raise DataError(
            f"{case.where}: the folders {shown_names(names, 3)} are numbered patients or the like, "
            f"which are groups, it seems, and no classes{case.on_tables}, with group_at: {level}; "
            f"if they are classes, classes_at: {level}"
        )
    if are_numbered_pieces(names):
        raise DataError(
            f"{case.where}: the folders {shown_names(names)} look like pieces of one set, which "
            f"say nothing of classes{case.on_tables}; if they are classes, classes_at: {level}"
        )
