"""What a person says of labels, parts and groups of image files, and the `Layout` that follows.

In: the keys of a `data` entry, a tree, and how its folders would be read. Out: a `Layout` from a
table, from the names of the files, or from the folders; refused where a table and the folders say
different things and nobody chose. It stands alone because it is the one place where these meet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated

from pydantic import BeforeValidator, field_validator, model_validator

from datasets.arrays.classes import NamesSetting
from datasets.base import Request
from datasets.files.image_kinds import Also, is_image_name
from datasets.files.part_words import part_in
from datasets.files.trees import Tree
from datasets.images.decode import OnDamaged
from datasets.images.image_set import ImageOptions
from datasets.labels.class_files import names_in
from datasets.labels.columns import Wanted
from datasets.labels.named_files import folder_of_label
from datasets.labels.names import groups_by_level, groups_by_pattern, in_parts, layout_of_names
from datasets.labels.offered import advice, compared_with_tables, defined_sources
from datasets.labels.table import Source, layout_of_tables, with_class_names
from datasets.layout.layout import Layout
from datasets.tables.header import Column
from datasets.tables.matlab_table import POSITION
from datasets.tables.records import MAX_TABLE_BYTES, SUFFIXES, is_table_name, read_table, with_parts
from datasets.tables.text import read_bytes
from datasets.target import check_distinct
from headstart.caches import expanded
from headstart.errors import DataError, did_you_mean
from headstart.settings import key

BY_FOLDERS = "folders"  # of `labels`: the class folders, whatever tables lie beside them
_EXAMPLES = 3


def _checked_labels(given: object) -> object:
    """A file's name, or one for each part under the part's own name; raises ValueError."""
    if not isinstance(given, Mapping):
        return given
    tables = {}
    for part, file in given.items():
        if not isinstance(part, str) or not part_in(part):
            raise ValueError(
                f"'{part}' is no part; give a table for train, validation or test (its columns "
                "are named beside labels: path_column, label_column)"
            )
        tables[part_in(part)] = file
    if len(tables) < len(given) or "train" not in tables:
        raise ValueError("give one table for each part, and one for train among them")
    return tables


class LabelOptions(ImageOptions):
    """The keys that say where labels, parts and groups stand, if not in the names of folders."""

    labels: Annotated[str | dict[str, str] | None, BeforeValidator(_checked_labels)] = key(
        "A table that says the class of each image (CSV, .txt, JSON, .mat), from `path` or the "
        "working folder; or one for each part; or `folders`: the class folders, whatever tables "
        "lie there.", None, example="train.csv")  # fmt: skip
    class_names: str | NamesSetting = key(  # type: ignore[assignment]
        "Which classes, in the order of their labels (without it "
        "all, sorted, numbers by value); or names for the labels of a table, in their order or as "
        "a mapping; or a file that names them (`classes.txt`, a table of ids and names, JSON).",
        None, example=["cat", "dog"])  # fmt: skip
    path_column: Column | None = key("The table's column that names the images, by its name or "
        "its number from 1; without it, the one whose values are images.", None,
        example="id")  # fmt: skip
    label_column: Column | None = key("The table's column of classes, by its name or its number "
        "from 1; without it, the one that is called so, or whose values repeat.", None,
        example="breed")  # fmt: skip
    part_column: Column | None = key("The table's column of parts (train, validation, test); "
        "without it, the one that holds these words.", None, example="split")  # fmt: skip
    encoding: str = key("Of the table's text, where it does not begin with a byte order mark.",
        "utf-8", example="cp1252")  # fmt: skip
    label_pattern: str | None = key("A regular expression for the whole name of each file, "
        "without its ending; its group in parentheses is the class.", None,
        example=r"(.+)_\d+")  # fmt: skip
    group: Column | None = key("The table's column of groups: the images of one writer, patient, "
        "animal or scene go to one part together.", None, example="patient_id")  # fmt: skip
    group_at: int | None = key("The level of folders whose names are the groups, from 1 below "
        "`path`.", None, example=1, unit="level", ge=1)  # fmt: skip
    group_pattern: str | None = key("A regular expression for the whole name of each file, without "
        "its ending; its group in parentheses is the group.", None,
        example=r"(patient\d+)_.*")  # fmt: skip

    @field_validator("label_pattern", "group_pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        try:
            if pattern is None or re.compile(pattern).groups == 1:
                return pattern
        except re.error as err:
            raise ValueError(f"no regular expression: {err}") from err
        raise ValueError(r"needs one group in parentheses, as in (.+)_\d+")

    @model_validator(mode="after")
    def _one_way(self) -> LabelOptions:
        groups = [k for k in ("group", "group_at", "group_pattern") if getattr(self, k) is not None]
        if len(groups) > 1:
            raise ValueError(f"{' and '.join(groups)}: give one of them")
        if self.label_pattern is not None and self.labels is not None:
            raise ValueError("labels and label_pattern: give one of them")
        return self

    def choosing(self, classes: tuple[str, ...] | None) -> ImageOptions:
        """What else is said of the images, once their classes have their names."""
        rest = {name: getattr(self, name) for name in ImageOptions.model_fields}
        return ImageOptions.model_construct(**{**rest, "class_names": classes})

    @property
    def wanted(self) -> Wanted:
        """What is said of the columns."""
        return Wanted(
            self.path_column, self.label_column, self.part_column, self.group, target=self.target
        )

    @property
    def tables(self) -> dict[str, str]:
        """Part (or "") → its table."""
        if isinstance(self.labels, dict):
            return {part: file for part, file in self.labels.items() if file != BY_FOLDERS}
        return {} if self.labels in (None, BY_FOLDERS) else {"": str(self.labels)}

    @property
    def parts_by_folders(self) -> tuple[str, ...]:
        """The parts whose classes are folders, beside others that have tables."""
        labels = self.labels if isinstance(self.labels, dict) else {}
        return tuple(part for part, file in labels.items() if file == BY_FOLDERS)


def tables_elsewhere(options: LabelOptions, path: Path, request: Request) -> list[Path]:
    """The tables that lie outside of `path`, as files that the set is read from."""
    names = [options.class_names] if isinstance(options.class_names, str) else []
    found_at = (_elsewhere(file, path, request) for file in (*options.tables.values(), *names))
    return [place for place in found_at if place is not None]


def labelled_layout(
    tree: Tree,
    options: LabelOptions,
    request: Request,
    by_folders: Callable[[], Layout],
    *,
    also: Collection[Also] = (),
    parts: Mapping[str, str] = MappingProxyType({}),
    on_missing: OnDamaged = "refuse",
) -> tuple[Layout, tuple[str, ...] | None, tuple[str, ...]]:
    """Files, classes, parts and groups as `options` say.

    Args:
        tree: where the images are.
        options: the keys of the `data` entry.
        request: where tables are looked for beside the tree.
        by_folders: reads the folders' names, where nothing else says the classes.
        also: kinds of files that are images beside the usual ones.
        parts: part → the folder of its images, where `by_folders` does not say it.
        on_missing: what becomes of rows that name no image.

    Returns:
        The layout; which of its classes are wanted, in the order of their labels (None: all); the
        order of all classes, where labels say one.

    Raises:
        DataError: a table, a pattern or the folders do not say one class for each image.
    """
    images = [name for name in tree.names if is_image_name(name, also)]
    is_by_folders = False
    if options.tables:
        sources = [
            _source(tree, part, file, request, options.encoding)
            for part, file in options.tables.items()
        ]
        folders = by_folders() if options.parts_by_folders else None
        wanted = replace(options.wanted, among=frozenset(folders.classes if folders else ()))
        of_folders = _of_parts(folders, options.parts_by_folders) if folders else frozenset()
        others = [name for name in images if name not in of_folders]
        layout = layout_of_tables(tree, sources, wanted, others, on_missing)
        if folders is not None:
            layout = _joined(folders, options.parts_by_folders, layout, tree)
    elif options.label_pattern is not None:
        layout = layout_of_names(tree, options.label_pattern, images)
    else:
        layout, is_by_folders = _without_settings(tree, options, by_folders, images, on_missing)
    layout = layout if is_by_folders else in_parts(layout, parts, tree)
    layout = _grouped(layout, options, tree)
    only_tests = request.prepare is not None  # may be of one number alone
    if options.target is not None and not (only_tests and options.target.kind == "number"):
        check_distinct(options.target, layout.classes, str(tree.where))
    given = _class_names(tree, options, layout, request)
    if is_by_folders and not isinstance(given, dict):
        return layout, given, ()
    if isinstance(given, tuple) and set(given) <= set(layout.classes):
        return layout, given, ()
    layout, classes = with_class_names(
        layout, str(tree.where), given, as_texts=options.target is not None
    )
    return layout, None, classes


def _of_parts(folders: Layout, parts: Sequence[str]) -> frozenset[str]:
    rows = zip(folders.files, folders.parts, strict=True)
    return frozenset(name for name, part in rows if (part or "train") in parts)


def _joined(folders: Layout, parts: Sequence[str], tables: Layout, tree: Tree) -> Layout:
    """The images of `parts` by their folders, and those of the other parts by their tables.

    Raises:
        DataError: a table has a label that is no class folder, or no folder is of such a part.
    """
    known = sorted(set(folders.classes))
    class_of = {
        name: folder_of_label(label, known)
        for name, label in zip(tables.files, tables.classes, strict=True)
    }
    unknown = sorted(set(class_of.values()) - set(known))
    if unknown:
        raise DataError(
            f"{tree.where}: labels: '{unknown[0]}' of a table is no class folder; there are "
            f"{', '.join(known[:_EXAMPLES])} …; label_column names another "
            "column"
        )
    part_of = dict(zip(tables.files, tables.parts, strict=True))
    for name, label, part in zip(folders.files, folders.classes, folders.parts, strict=True):
        if name not in part_of and (part or "train") in parts:
            part_of[name], class_of[name] = part or "train", label
    if missing := set(parts) - set(part_of.values()):
        raise DataError(f"{tree.where}: labels: no class folders of the part {missing.pop()}")
    files = [name for name in tree.names if name in part_of]
    return Layout(
        tuple(files),
        tuple(class_of[name] for name in files),
        tuple(part_of[name] for name in files),
        tables.notes,
        warnings=tables.warnings,
    )


def _class_names(
    tree: Tree, options: LabelOptions, layout: Layout, request: Request
) -> tuple[str, ...] | dict[int | str, str] | None:
    """The names of classes as they are given, read from their file where they stand in one."""
    if not isinstance(options.class_names, str):
        return options.class_names
    content, name, where = _content(tree, options.class_names, request, "class_names")
    return names_in(content, name, where, set(layout.classes))


def _grouped(layout: Layout, options: LabelOptions, tree: Tree) -> Layout:
    if options.group is not None and not layout.groups:
        raise DataError(
            f"{tree.where}: group: {options.group} is a column of a table of labels, and the "
            "labels are not read from one; say labels: FILE, or group_at: LEVEL for folders"
        )
    if options.group_pattern is not None:
        return groups_by_pattern(layout, options.group_pattern, tree)
    return groups_by_level(layout, options.group_at, tree) if options.group_at else layout


def _without_settings(
    tree: Tree,
    options: LabelOptions,
    by_folders: Callable[[], Layout],
    images: Sequence[str],
    on_missing: OnDamaged,
) -> tuple[Layout, bool]:
    """By the folders (then also True), or by a table whose format says that it has labels."""
    try:
        layout = by_folders()
        if len(set(layout.classes)) == 1 and options.labels != BY_FOLDERS:
            raise DataError(f"{tree.where}: only one class ({layout.classes[0]})")
    except DataError as err:
        if options.labels != BY_FOLDERS and (sources := defined_sources(tree)):
            wanted = replace(options.wanted, is_one_hot=_is_roboflow(sources))
            return layout_of_tables(tree, sources, wanted, images, on_missing), False
        raise DataError(f"{err}{advice(tree)}") from err
    if options.labels != BY_FOLDERS:
        notes = (*layout.notes, *compared_with_tables(tree, layout))
        layout = replace(layout, notes=notes)
    return layout, True


def _is_roboflow(sources: Sequence[Source]) -> bool:
    return all(PurePosixPath(source.name).name == "_classes.csv" for source in sources)


# -- where tables are -----------------------------------------------------------------------------


def _source(tree: Tree, part: str, file: str, request: Request, encoding: str) -> Source:
    """The table `file`: in the tree, beside it, in the working folder or in the data folder."""
    content, name, where = _content(tree, file, request, "labels")
    if not is_table_name(name):
        raise DataError(f"{where}: labels are read from {', '.join(SUFFIXES)}; export it as CSV")
    if re.search(r"sample.?submission", name, re.IGNORECASE):
        raise DataError(f"{where}: a form for answers; what stands there as labels is made up")
    table = read_table(content, name, where, encoding)
    beside = str(PurePosixPath(name).with_name("setid.mat"))
    if table.columns[:1] == (POSITION,) and not part and beside in tree.names:
        table = with_parts(table, tree.read(beside), tree.label(beside))
    return Source(table, part, _in_tree(tree, file) or "")


def _content(tree: Tree, file: str, request: Request, setting: str) -> tuple[bytes, str, str]:
    """The bytes of a file that a setting names, its name, and how messages call it."""
    name = _in_tree(tree, file)
    if name is not None:
        return tree.read(name), name, tree.label(name)
    place = _elsewhere(file, tree.where, request)
    if place is None:
        tables = [each for each in tree.names if is_table_name(each)]
        raise DataError(
            f"{tree.where}: {setting}: there is no file '{file}'{did_you_mean(file, tables)}"
            f"{_there(tables)}"
        )
    return read_bytes(place, MAX_TABLE_BYTES), place.name.removesuffix(".gz"), str(place)


def _there(tables: Sequence[str]) -> str:
    if not tables:
        return "; no table lies in it"
    return f"; tables in it are {', '.join(tables[:_EXAMPLES])}{' …' * (len(tables) > _EXAMPLES)}"


def _in_tree(tree: Tree, file: str) -> str | None:
    """The name in the tree that `file` means: from its top, or the only one that ends so."""
    top, whole = tree.where.absolute(), expanded(file)
    if whole.is_absolute() and whole.is_relative_to(top):
        file = whole.relative_to(top).as_posix()
    plain = str(PurePosixPath(file.replace("\\", "/")))
    if plain in tree.names:
        return plain
    ends = [name for name in tree.names if name.endswith(f"/{plain}")]
    return ends[0] if len(ends) == 1 else None


def _elsewhere(file: str, path: Path, request: Request) -> Path | None:
    places = [path / file, path.parent / file, expanded(file), request.data_dir / file]
    is_below = not Path(file).is_absolute() and ".." not in Path(file).parts
    inside = is_below and path.is_dir() and (path / file).is_file()
    return None if inside else next((place for place in places if place.is_file()), None)
