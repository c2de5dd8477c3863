"""Labels that stand in a table: its rows and the images of a tree → a `Layout`.

In: a tree, and the table (or one for each part) that says the class of its images. Out: which
files are images of which class, part and group, with notes of all that was left out. It stands
alone because folders, archives and CSV files of paths need it alike.

Every image has one class: a file that is named with two labels, a row that names two images, and
a row of two classes are refused. No name outside the tree is ever opened.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np

from datasets.arrays.classes import ClassNames, labels_to_classes
from datasets.files.part_words import part_in
from datasets.files.trees import Tree
from datasets.images.decode import OnDamaged
from datasets.labels.columns import (
    ONES,
    ZEROS,
    Columns,
    Wanted,
    find_columns,
    group_hint,
    shown,
    with_its_header,
)
from datasets.labels.named_files import NamedFiles
from datasets.layout.folder_names import is_of_no_class
from datasets.layout.layout import Layout
from datasets.tables.records import Table
from datasets.target import BETWEEN, NONE
from headstart.errors import DataError

_NAMED = 3  # files that a message names
_MANY = 10  # where over a tenth of the images has no label, that is said first
_BETWEEN = (*BETWEEN, " ")  # what stands between the labels of one image


@dataclass(frozen=True)
class Source:
    """A table, the part that it is of ("" where that is open), and its name in the tree, if any."""

    table: Table
    part: str = ""
    name: str = ""

    @property
    def folder(self) -> str:
        """Where it lies in the tree; empty at the top, and where it lies elsewhere."""
        return _folder(self.name)


@dataclass
class _Rows:
    """What the rows of all tables say, image by image."""

    label: dict[str, str] = field(default_factory=dict)
    part: dict[str, str] = field(default_factory=dict)
    group: dict[str, str] = field(default_factory=dict)
    at: dict[str, str] = field(default_factory=dict)  # where an image is named
    missing: list[str] = field(default_factory=list)  # rows that name no image
    n_repeated: int = 0
    unlabelled: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def layout_of_tables(
    tree: Tree,
    sources: Sequence[Source],
    wanted: Wanted,
    names: Sequence[str],
    on_missing: OnDamaged = "refuse",
) -> Layout:
    """Files, classes, parts and groups as the tables say; the classes are the labels as written.

    Args:
        tree: where the images are.
        sources: the tables, one for each part or one for all.
        wanted: which columns, where that is not clear.
        names: the images that may be meant.
        on_missing: what becomes of rows that name no image.

    Raises:
        DataError: see this module's head, and those of `columns`.
    """
    files = NamedFiles(names, tree.where)
    if not names:
        raise DataError(f"{tree.where}: holds no images that a table could name")
    said = _Rows()
    for source in sources:
        headed, path = with_its_header(source.table, files, wanted)
        columns = find_columns(headed, path, wanted)
        may_be_several = wanted.target is not None and wanted.target.kind == "labels"
        if not may_be_several and (several := _several_labels(headed, columns)):
            if wanted.label is None:
                raise DataError(
                    f"{several}; a classifier takes one class an image: take such rows out, or say "
                    f"that they are a class: label_column: {headed.called(columns.label or 0)}"
                )
            said.warnings.append(f"{several}; it is a class of its own here")
        _read_rows(replace(source, table=headed), columns, files, said, may_be_several)
    _check_missing(said, tree, on_missing)
    if not said.label:
        raise DataError(f"{sources[0].table.where}: no row of it has a label")
    chosen = [name for name in names if name in said.label]
    parts = [said.part[name] for name in chosen]
    if not any(parts):
        parts = _parts_of_folders(chosen)
    unlabelled = _unlabelled(names, said)
    is_many = _MANY * (len(names) - len(chosen)) > len(names)
    return Layout(
        tuple(chosen),
        tuple(said.label[name] for name in chosen),
        tuple(parts),
        (*said.notes, *_left_out(said), *([] if is_many else unlabelled)),
        tuple(said.group[name] for name in chosen) if said.group else (),
        (*said.warnings, *(unlabelled if is_many else [])),
    )


def with_class_names(
    layout: Layout, where: str, class_names: ClassNames | None, as_texts: bool = False
) -> tuple[Layout, tuple[str, ...]]:
    """The layout with the names of its classes in place of their labels, and the classes in order.

    `as_texts`: numbers are no numbers of classes.

    Raises:
        DataError: as `labels_to_classes` does.
    """
    values = np.array(layout.classes, str) if as_texts else as_values(layout.classes)
    labels, names, note = labels_to_classes(values, where, class_names)
    notes = (*layout.notes, note) if note else layout.notes
    return replace(layout, classes=tuple(names[label] for label in labels), notes=notes), names


def as_values(labels: Sequence[str]) -> np.ndarray:
    """Labels as whole numbers where all of them are written so, else as texts."""
    if all(re.fullmatch(r"-?(0|[1-9]\d{0,15})(\.0+)?", label) for label in set(labels)):
        return np.array([int(label.split(".")[0]) for label in labels], np.int64)
    return np.array(labels, str)


def _read_rows(
    source: Source, columns: Columns, files: NamedFiles, said: _Rows, may_be_several: bool
) -> None:
    table = source.table
    labels = list(_labels(table, columns, may_be_several))
    meant = _unambiguous(source, columns, files, said)
    for k, (row, label, names) in enumerate(zip(table.rows, labels, meant, strict=True)):
        if not names:
            said.missing.append(f"{table.at(k)}: '{row[columns.path]}'")
            continue
        if label is None and not (columns.label is None and not columns.one_hot):
            said.unlabelled.append(table.at(k))
            continue
        (name,) = names
        label = PurePosixPath(name).parent.name if label is None else label
        if name in said.label:
            _check_repeated(table.at(k), name, label, said)
            said.n_repeated += 1
            continue
        said.label[name], said.at[name] = label, table.at(k)
        said.part[name] = _part(table, columns, k, source.part)
        if columns.group is not None:
            if not row[columns.group]:
                raise DataError(f"{table.at(k)}: no value in the column of the groups")
            said.group[name] = row[columns.group]
    said.notes += _said_of(source, columns)
    if columns.label is None and not columns.one_hot and len(set(said.label.values())) < 2:
        raise DataError(f"{table.where}: lists images without labels; say which table has them")


def _labels(table: Table, columns: Columns, may_be_several: bool) -> Iterator[str | None]:
    """The label of each row; None where it has none. Several are joined by the first of BETWEEN."""
    if columns.label is not None:
        for k, label in enumerate(table.column(columns.label)):
            if "\n" in label:
                raise DataError(f"{table.at(k)}: a label of several lines: a quote is not closed")
            yield label or (NONE if may_be_several else None)
        return
    for k, row in enumerate(table.rows):
        cells = [row[column] for column in columns.one_hot]
        odd = next((cell for cell in cells if cell not in ONES | ZEROS | {""}), None)
        if odd is not None:
            raise DataError(f"{table.at(k)}: '{odd}' where 0 or 1 says whether a class is there")
        classes = [table.called(c) for c in columns.one_hot if row[c] in ONES]
        if may_be_several:
            is_known = all(row[c] for c in columns.one_hot)
            yield (BETWEEN[0].join(classes) or NONE) if is_known else None
            continue
        if len(classes) > 1:
            raise DataError(
                f"{table.at(k)}: '{row[columns.path]}' is of {len(classes)} classes "
                f"({', '.join(classes[:_NAMED])}); a classifier takes one class an image: take "
                "such rows out, or name one column: label_column: "
                f"{table.called(columns.one_hot[0])}"
            )
        yield classes[0] if classes else None


def _several_labels(table: Table, columns: Columns) -> str:
    """Words on the first cell such as `cat|dog` where both are labels by themselves."""
    labels = table.column(columns.label) if columns.label is not None else []
    distinct = set(labels)
    for label in sorted(distinct):
        for sign in _BETWEEN:
            pieces = [piece.strip() for piece in label.split(sign)]
            if len(pieces) > 1 and distinct.issuperset(pieces):
                return f"{table.at(labels.index(label))}: '{label}' is two labels of one image"
    return ""


def _check_repeated(at: str, name: str, label: str, said: _Rows) -> None:
    if said.label[name] != label:
        raise DataError(
            f"{at}: '{name}' is called '{label}', and '{said.label[name]}' in {said.at[name]}; an "
            "image has one label: take one of the rows out"
        )


def _part(table: Table, columns: Columns, row: int, part: str) -> str:
    """The part of a row: of its table, or of its column."""
    if columns.part is None:
        return part
    value = table.rows[row][columns.part]
    own = part_in(value)
    if not own:
        raise DataError(
            f"{table.at(row)}: '{value}' is no part; parts are train, validation and test"
        )
    if part not in ("", own):
        raise DataError(f"{table.at(row)}: its column says {own}, and the table is that of {part}")
    return own


# -- rows that may mean several images ------------------------------------------------------------


def _unambiguous(
    source: Source, columns: Columns, files: NamedFiles, said: _Rows
) -> list[list[str]]:
    """For each row its image, or none.

    Where a text means several images (`0` is train/0.jpg and test/0.jpg), the folder decides that
    the table lies in or is named for, or the only one that has all images of the table.

    Raises:
        DataError: nothing decides.
    """
    table = source.table
    meant = [files.meant_by(text) for text in table.column(columns.path)]
    several = next((k for k, names in enumerate(meant) if len(names) > 1), None)
    if several is None:
        return meant
    file = source.name or PurePosixPath(table.where).name
    spoken = source.part or part_in(file) or part_in(source.folder)
    beside = [[name for name in names if _folder(name) == source.folder] for names in meant]
    of_classes = [[name for name in names if not lies_in_no_class(name)] for names in meant]
    by_part = [[name for name in names if part_in(_folder(name)) == spoken] for names in meant]
    for chosen in (beside, by_part if spoken else [], of_classes):
        if any(chosen) and all(len(names) <= 1 for names in chosen):
            folders = sorted({_folder(name) for names in chosen for name in names})
            if folders != [source.folder]:
                said.notes.append(f"{file}: its images are those of {_shown_folders(folders)}")
            return chosen
    counts = Counter(folder for names in meant for folder in {_folder(name) for name in names})
    whole = [folder for folder, n in counts.items() if n == len(meant)]
    if len(whole) == 1:
        said.notes.append(f"{file}: its images are those of {_shown_folders(whole)}")
        return [[name for name in names if _folder(name) == whole[0]] for names in meant]
    raise DataError(
        f"{table.at(several)}: '{table.rows[several][columns.path]}' is "
        f"{' and '.join(repr(name) for name in meant[several][:_NAMED])}; give the folder of the "
        f"images, as in path: DIR/{_folder(meant[several][-1])}, labels: {table.where}"
    )


def lies_in_no_class(name: str) -> bool:
    """Whether an image lies in a folder of masks, plots and the like."""
    return any(map(is_of_no_class, name.split("/")[:-1]))


def _shown_folders(folders: Sequence[str]) -> str:
    shown_names = [folder or "the top folder" for folder in folders[:_NAMED]]
    return ", ".join(shown_names) + (" …" if len(folders) > _NAMED else "")


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent).removeprefix(".")


def _parts_of_folders(names: Sequence[str]) -> list[str]:
    """The parts that the images' folders are named for, where all are and train is among them."""
    parts = [next(filter(None, map(part_in, PurePosixPath(n).parent.parts)), "") for n in names]
    if "" in parts or "train" not in parts or len(set(parts)) < 2:
        return [""] * len(names)
    return parts


# -- what is said --------------------------------------------------------------------------------


def _check_missing(said: _Rows, tree: Tree, on_missing: OnDamaged) -> None:
    if not said.missing:
        return
    n = len(said.missing)
    if on_missing == "refuse" or not said.label:
        raise DataError(
            f"{said.missing[0]} names no image of {tree.where}"
            f"{f' (nor do {n - 1:,} more rows)' if n > 1 else ''}; take such rows out, or leave "
            "them out with on_damaged: skip"
        )
    said.notes.append(
        f"{n:,} rows that name no image were left out, the first in {said.missing[0]}"
    )


def _said_of(source: Source, columns: Columns) -> list[str]:
    table, name = source.table, source.name or PurePosixPath(source.table.where).name
    if columns.label is not None:
        label = table.called(columns.label)
        text = f"'{label}' ({shown(table.column(columns.label))})"
        notes = [f"labels are those of {name}: the column {text}"]
    elif columns.one_hot:
        notes = [f"labels are those of {name}: {len(columns.one_hot)} columns of 0 and 1"]
    else:
        notes = [f"{name} lists images without labels: the class of each is its folder's name"]
    hint = group_hint(table, columns)
    return [*notes, hint] if hint else notes


def _left_out(said: _Rows) -> list[str]:
    notes = []
    if said.n_repeated:
        notes.append(f"{said.n_repeated:,} rows name an image again, with the same label")
    if said.unlabelled:
        n = len(said.unlabelled)
        notes.append(f"{n:,} rows without a label were left out, the first is {said.unlabelled[0]}")
    return notes


def _unlabelled(names: Sequence[str], said: _Rows) -> list[str]:
    """Words on the images that have no row, by folder."""
    left = Counter(_folder(name) for name in names if name not in said.label)
    if not left:
        return []
    folders = [f"{n:,} in {folder or 'the top folder'}" for folder, n in left.most_common(_NAMED)]
    more = " …" if len(left) > len(folders) else ""
    return [
        f"{left.total():,} of {len(names):,} images have no label in the table and were left out "
        f"({', '.join(folders)}{more})"
    ]
