"""Which files of a tree are images, of which class and in which part, from their names alone.

In: a `Tree`, a folder or an archive as its owner laid it out, and what its owner says of it. Out: a
`Layout`. The whole tree is looked at: which folders are parts, at which level the names repeat,
which folders hold no class. Where two readings are possible, none is taken: the message shows both
and the setting that chooses. It stands alone because all that reads anybody's images asks it (data
sets, test sets met later), and because it knows names only: nothing is decoded here.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
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
from datasets.files.trees import Tree, all_above, folders_above
from datasets.layout.folder_names import is_of_no_class, is_of_system, part_name
from datasets.layout.folders import (
    counted,
    folders_of,
    lies_in_system_folder,
    shown,
    shown_names,
    shown_path,
    take_out_beside_images,
)
from datasets.layout.readings import find_reading
from datasets.layout.types import Asked, Reading
from headstart.errors import DataError, did_you_mean

_MANY = 10  # where over a tenth of the files is not read, that is said first
_OF_DESKTOPS = {"thumbs.db", "desktop.ini"}
_OF_TABLES = "; where a table says what each image shows: labels: FILE"


@dataclass(frozen=True)
class Layout:
    """Which files are images, of which class, in which part ("" where there are no parts).

    `groups` names the group of each file (the writer, the patient), or is empty. `warnings` is what
    must be said first.
    """

    files: tuple[str, ...]
    classes: tuple[str, ...]
    parts: tuple[str, ...]
    notes: tuple[str, ...]
    groups: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_layout(tree: Tree, also: Collection[Also] = (), asked: Asked | None = None) -> Layout:
    """Find classes and parts from the names alone.

    Folders that hold everything (as a zip of `mydata/` has) are looked through. What lies beside
    the class folders, and files that are no images, are left out with a note. `also` are kinds of
    files that are read beside the usual ones, `asked` is what the owner says of the folders.

    Raises:
        DataError: no images in class folders, a class folder without an image, or two readings.
    """
    images = [name for name in tree.names if is_image_name(name, also)]
    if tree.names and not images:
        raise DataError(
            f"{tree.where}: no file in it is of a kind that is read as an image: it holds "
            f"{kinds_of(tree.names)}; read are {KINDS_READ}; other files by code of your own: "
            'docs/data.md, "A data set of your own code"'
        )
    root = folders_of(images, lies_in_system_folder)
    beside = take_out_beside_images(root)
    if root.is_flat:
        raise DataError(
            f"{tree.where}: no images in class folders; it needs one folder a class, with "
            f"images ({KINDS_READ}){_OF_TABLES}"
        )
    asked = asked or Asked()
    reading = find_reading(root, asked, f"{tree.where}", _OF_TABLES)
    _check_no_empty_class(tree, reading, images, asked.class_names)
    _join_spellings(reading)
    files = [name for name in images if name in reading.of]
    notes = [
        *reading.notes,
        *_beside_note(beside),
        *_left_out(images, reading, beside),
        *left_out_by_setting(tree.names, also),
        *_no_images(tree, also),
    ]
    return Layout(
        files=tuple(files),
        classes=tuple(reading.of[name].label for name in files),
        parts=tuple(reading.of[name].part for name in files),
        notes=tuple(notes),
        warnings=(*_warnings(tree, files, also), *_alike_but_for_case(reading)),
    )


def check_classes(layout: Layout, wanted: Sequence[str] | None, tree: Tree) -> tuple[str, ...]:
    """A note for each part that lacks a class; `wanted` are those to be read, None: all.

    Raises:
        DataError: one class only, no train part, or one that lacks a class.
    """
    classes = set(layout.classes)
    chosen = classes & set(wanted or classes)
    if len(classes) == 1:
        raise DataError(
            f"{tree.where}: only one class ({shown(layout.classes[0])}): all "
            f"{counted(len(layout.files))} are in it; a classifier needs two or more, one "
            f"folder a class{_OF_TABLES}"
        )
    by_part: dict[str, set[str]] = {part: set() for part in sorted({*layout.parts} - {""})}
    for part, label in zip(layout.parts, layout.classes, strict=True):
        if part and label in chosen:
            by_part[part].add(label)
    if by_part and "train" not in by_part:
        _refuse_no_train(sorted(by_part), layout, tree)
    if by_part and by_part["train"] < chosen:
        _refuse_untrained(layout, chosen - by_part["train"], by_part["train"], tree)
    return tuple(
        f"the {part} part has no image of {_classes(chosen - there)}"
        for part, there in by_part.items()
        if there < chosen
    )


def _refuse_no_train(parts: Sequence[str], layout: Layout, tree: Tree) -> None:
    unread = Counter(name.rpartition("/")[0] for name in set(tree.names) - set(layout.files))
    for folder, n in unread.items():
        part = part_name(folder.rpartition("/")[2])
        if part is not None and part.part == "train" and n > 1:
            raise DataError(
                f"{tree.where}: {' and '.join(parts)} has folders of classes, and "
                f"{shown_path(folder)} ({counted(n, 'file')}) has none, so nothing says what its "
                f"images show; put them into {shown_path(folder)}/CLASS{_OF_TABLES}"
            )
    raise DataError(
        f"{tree.where}: has {' and '.join(parts)} but no train part; name its folder: "
        "parts: {train: DIR}"
    )


def _refuse_untrained(
    layout: Layout, missing: Collection[str], trained: Collection[str], tree: Tree
) -> None:
    rows = zip(layout.parts, layout.classes, strict=True)
    counts = Counter(part for part, name in rows if name in missing)
    elsewhere = " and ".join(f"{part} has {counted(n)}" for part, n in sorted(counts.items()))
    names = sorted(trained)
    near = did_you_mean(min(missing), names)
    alone = f", or class_names: [{', '.join(map(shown, names))}]" if 2 <= len(names) <= 9 else ""
    raise DataError(
        f"{tree.where}: no image of {_classes(missing)} in the train part{near}, and {elsewhere}; "
        f"classes of the train part: {shown_names(names)}; name the folders of a class alike in "
        f"all parts{alone}"
    )


def _classes(names: Collection[str]) -> str:
    return f"class{'es' * (len(names) > 1)} {shown_names(sorted(names))}"


def _join_spellings(reading: Reading) -> None:
    """Make one class of two whose names look the same, as `é` in one code point or in two."""
    labels = reading.counts()
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(unicodedata.normalize("NFC", label), []).append(label)
    joined = {label: name for name, each in alike.items() if len(each) > 1 for label in each}
    if joined:
        for image, place in reading.of.items():
            label = joined.get(place.label, place.label)
            reading.of[image] = place._replace(label=label)
        names = shown_names(sorted(set(joined.values())))
        reading.notes.append(f"folders of the same name in two spellings of Unicode: {names}")


def _alike_but_for_case(reading: Reading) -> list[str]:
    """A warning on classes such as `Cat` and `cat`; letters, as `A` and `a`, are classes each."""
    alike: dict[str, list[str]] = {}
    for label in sorted(reading.counts()):
        alike.setdefault(label.casefold(), []).append(label)
    pairs = [" and ".join(map(shown, each)) for name, each in alike.items()
             if len(each) > 1 and len(name) > 1]  # fmt: skip
    if not pairs:
        return []
    return [
        f"classes differ by upper and lower case alone: {shown_names(pairs, 3)}; give their "
        "folders one name if they are one class"
    ]


def _check_no_empty_class(
    tree: Tree, reading: Reading, images: Sequence[str], wanted: Sequence[str] | None
) -> None:
    """Raises DataError where a folder beside those of classes holds no image at all."""
    full = all_above(images)
    homes = {home.rpartition("/")[0] for home in {each.home for each in reading.of.values()}}
    for folder in sorted(tree.folders):
        above, _, name = folder.rpartition("/")
        is_wanted = wanted is None or name in wanted
        if above not in homes or folder in full or not is_wanted:
            continue
        if is_of_no_class(name) or is_of_system(name):
            continue
        inside = [other for other in tree.names if other.startswith(f"{folder}/")]
        said = "; ".join(left_out_by_setting(inside, ())) or "they are not read"
        holds = f": it holds {kinds_of(inside)}; {said}" if inside else ""
        raise DataError(
            f"{tree.label(folder)}: no image in this class{holds}; add images or remove the folder"
        )


def _beside_note(beside: Counter[str]) -> list[str]:
    return [
        f"{counted(n)} in folders '{shown(name)}' beside folders of images were not read"
        for name, n in beside.items()
    ]


def _left_out(images: Sequence[str], reading: Reading, beside: Collection[str]) -> list[str]:
    """What was not read and is not said yet: by folder, as far up as nothing in it was read."""
    read = all_above(reading.of)
    counts: Counter[str] = Counter()
    n_system = 0
    for name in images:
        if name in reading.of or any(part in beside for part in name.split("/")[:-1]):
            continue
        if lies_in_system_folder(name):
            n_system += 1
            continue
        unread = next((parent for parent in folders_above(name) if parent not in read), name)
        if unread not in reading.explained:
            counts[unread] += 1
    notes = []
    if n_system:
        notes.append(
            f"{counted(n_system)} in folders of a network drive or another system "
            "(@eaDir and the like) were not read"
        )
    if counts:
        where = [f"{shown_path(name)}{f' ({n:,})' * (n > 1)}" for name, n in counts.items()]
        more = f" … ({len(where):,} places)" if len(where) > 5 else ""
        notes.append(
            f"{counts.total()} images outside the class folders were not read: "
            f"{', '.join(where[:5])}{more}"
        )
    return notes


def _no_images(tree: Tree, also: Collection[Also]) -> list[str]:
    others = [name for name in tree.names if not is_image_name(name, (*also, *ALSO))]
    if not others:
        return []
    what = (
        "1 file that is no image was"
        if len(others) == 1
        else (f"{len(others)} files that are no images were")
    )
    return [f"{what} not read ({kinds_of(others)})"]


def _warnings(tree: Tree, read: Sequence[str], also: Collection[Also]) -> tuple[str, ...]:
    """What is said first where over a tenth of the files was not read."""
    own = [
        name
        for name in tree.names
        if not lies_in_system_folder(name) and name.rpartition("/")[2].lower() not in _OF_DESKTOPS
    ]
    unread = sorted(set(own) - set(read))
    if len(unread) * _MANY <= len(own):
        return ()
    images = [name for name in unread if is_image_name(name, also)]
    others = [name for name in unread if not is_image_name(name, also)]
    kinds = [f"{counted(len(images))} outside the folders that are read"] if images else []
    kinds += [kinds_of(others)] if others else []
    return (f"{len(unread):,} of {counted(len(own), 'file')} were not read: {', '.join(kinds)}",)
