"""Tables that lie beside images: which are read unasked, which are offered, which contradict.

In: a tree whose owner named no table. Out: the tables of a format that says what it is (Hugging
Face's `metadata.csv`, Roboflow's `_classes.csv`), or words on the tables and names that could say
the classes, with the settings that read them. It stands alone because a table that is named is
read without it. Nothing here is an error by itself: a table that cannot be read is passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from datasets.base import PART_NAMES
from datasets.files.image_kinds import is_image_name, stem_of
from datasets.files.part_words import part_in
from datasets.files.trees import Tree, walk
from datasets.labels.columns import (
    LABEL_NAMES,
    Columns,
    Wanted,
    find_columns,
    shown,
    with_its_header,
)
from datasets.labels.named_files import NamedFiles, folder_of_label
from datasets.labels.table import Source, layout_of_tables, lies_in_no_class
from datasets.layout.layout import Layout
from datasets.tables.header import plain
from datasets.tables.records import Table, is_table_name, read_table
from datasets.tables.text import read_bytes
from headstart.errors import DataError

_DEFINED = ("metadata.csv", "metadata.jsonl", "_classes.csv")
_NO_TABLES = re.compile(r"readme|licen[cs]e|requirements|submission|changelog|citation", re.I)
_MOST = 12  # tables that are looked at unasked
_MOST_BYTES = 16 << 20
_MOST_ENTRIES = 50_000  # of a folder that a CSV file lies in
_MOST_COLUMNS = 60  # more are pixels
_SHARD = re.compile(
    r"(.*[ _-])?(part|images?|imgs?|batch|chunk|shard|folder|dir|set)[ _-]?\d+", re.I
)
_NUMBERED = re.compile(r"(.*?[^\W\d_].*?)[ _.-]*\(?\d+\)?")  # `Abyssinian_12`, `cat (3)`


@dataclass(frozen=True)
class _Offer:
    """A table that names images; `unclear`: why its label column is not known.

    `as_read`: before its first row was taken for the names of its columns.
    """

    name: str
    as_read: Table
    table: Table
    columns: Columns | None
    named: tuple[str, ...]
    unclear: str = ""


def defined_sources(tree: Tree) -> list[Source]:
    """The tables of a defined format, where their labels are there and name images."""
    names = [n for n in tree.names if PurePosixPath(n).name.lower() in _DEFINED]
    kind = {PurePosixPath(name).name.lower() for name in names}
    offers = _offers(tree, names) if len(kind) == 1 else []
    if len(offers) < len(names) or not all(map(_is_called_label, offers)):
        return []
    parts = [part_in(PurePosixPath(offer.name).parent.name) for offer in offers]
    has_parts = "train" in parts and "" not in parts and len(set(parts)) == len(parts) > 1
    return [
        Source(read_table(tree.read(o.name), o.name, tree.label(o.name)), part * has_parts, o.name)
        for o, part in zip(offers, parts, strict=True)
    ]


def advice(tree: Tree) -> str:
    """What could say the classes of images that no class folder names, to end a message with."""
    images = [name for name in tree.names if is_image_name(name)]
    names = [name for name in tree.names if _may_be_table(name)]
    texts = [_of_boxes(tree, images)]
    offers = _offers(tree, names)
    if offers:
        texts.append(_of_tables(offers))
    elif unreadable := _unreadable(tree, names):
        texts.append(unreadable)
    elif matlab := [name for name in tree.names if re.search(r"label.*\.mat$", name, re.I)]:
        texts.append(f"labels may stand in {matlab[0]}: labels: {matlab[0]} reads them")
    texts.append(_of_names(tree, images))
    return "".join(f"; {text}" for text in texts if text)


def column_of_images(path: Path) -> str:
    """The column of a CSV file that names images below the file's own folder; "" where none does.

    Nothing but the names of files is looked at.
    """
    try:
        entries = islice(walk(path.parent), _MOST_ENTRIES)
        below = [Path(entry.path).relative_to(path.parent).as_posix() for entry in entries]
        images = [name for name in below if is_image_name(name)]
        table = read_table(read_bytes(path, _MOST_BYTES), path.name.removesuffix(".gz"), str(path))
        if not images or table.n_columns > _MOST_COLUMNS:
            return ""
        files = NamedFiles(images, path.parent)
        headed, column = with_its_header(table, files, Wanted())
    except DataError:
        return ""
    if 2 * sum(bool(files.meant_by(text)) for text in headed.column(column)) < len(headed.rows):
        return ""
    return headed.called(column)


def compared_with_tables(tree: Tree, layout: Layout) -> list[str]:
    """Notes on tables that say more than class folders do; what contradicts them is refused.

    A table agrees where its labels follow from the folders, or the folders from its labels (finer
    and coarser classes). It counts where it names half of the images or more and has a column that
    is called as labels are; any column that may be a label counts against folders such as
    `images_1` and `images_2`.

    Raises:
        DataError: neither follows from the other; both readings are shown.
    """
    offers = _offers(tree, [name for name in tree.names if _may_be_table(name)])
    for offer in offers:
        _refuse_other_reading(tree, layout, offer)
    return [*_of_unread(tree, layout, offers), *_of_lists(layout, offers)]


def _refuse_other_reading(tree: Tree, layout: Layout, offer: _Offer) -> None:
    folder_of = dict(zip(layout.files, layout.classes, strict=True))
    are_shards = all(_SHARD.fullmatch(folder) for folder in set(layout.classes))
    if 2 * len(offer.named) < len(folder_of) or not (are_shards or _is_called_label(offer)):
        return
    labels = _labels_of(tree, offer)
    both = [(folder_of[name], label) for name, label in labels.items() if name in folder_of]
    if labels and (_follows(both) or _follows([(label, folder) for folder, label in both])):
        return
    classes = sorted(set(layout.classes))
    folders = f"{', '.join(classes[:3])}{' …' if len(classes) > 3 else ''}"
    raise DataError(
        f"{tree.where}: two readings: the classes are the folders {folders}, or the labels in "
        f"{offer.name} ({shown(list(labels.values())) if labels else offer.unclear}); choose: "
        f"labels: folders, or labels: {offer.name}"
    )


def _of_unread(tree: Tree, layout: Layout, offers: Sequence[_Offer]) -> list[str]:
    """Words on tables that label images of a part which has no class folders."""
    notes, read, classes = [], set(layout.files), frozenset(layout.classes)
    for offer in offers:
        part = _part_of(offer)
        labels = _labels_of(tree, offer, classes) if part not in ("", "train") else {}
        n = len(labels.keys() - read)
        if n > 1 and {folder_of_label(each, classes) for each in labels.values()} <= classes:
            notes.append(
                f"{offer.name} says the classes of {n:,} images that were not read: labels: "
                f"{{train: folders, {part}: {offer.name}}} reads them"
            )
    return notes


def _of_lists(layout: Layout, offers: Sequence[_Offer]) -> list[str]:
    """Words on lists of the images of each part, where the folders say no parts."""
    lists = {_part_of(offer): offer.name for offer in reversed(offers) if _has_no_labels(offer)}
    if any(layout.parts) or "train" not in lists or not lists.keys() & {"validation", "test"}:
        return []
    tables = ", ".join(f"{part}: {lists[part]}" for part in PART_NAMES if part in lists)
    return [f"lists of the images of each part lie there: labels: {{{tables}}} takes its parts"]


def _may_be_table(name: str) -> bool:
    if not is_table_name(name):
        return False
    file = PurePosixPath(name).name
    return not file.lower().endswith(".mat") and not _NO_TABLES.search(file)


def _offers(tree: Tree, names: Sequence[str]) -> list[_Offer]:
    """Of the first of `names`, those that name images in two rows or more, with labels first."""
    images = [name for name in tree.names if is_image_name(name)]
    if not images or not names:
        return []
    files = NamedFiles(images, tree.where)
    first = sorted(names, key=lambda name: (name.count("/"), name))[:_MOST]
    offers = [offer for name in first if (offer := _offer(tree, name, files)) is not None]
    return sorted(offers, key=lambda offer: (_has_no_labels(offer), -len(offer.named)))


def _has_no_labels(offer: _Offer) -> bool:
    columns = offer.columns
    return columns is not None and columns.label is None and not columns.one_hot


def _offer(tree: Tree, name: str, files: NamedFiles) -> _Offer | None:
    try:
        content = tree.read(name)
        if len(content) > _MOST_BYTES:
            return None
        as_read = read_table(content, name, name)
        table, path = with_its_header(as_read, files, Wanted())
        named = tuple(text for text in table.column(path) if files.meant_by(text))
        if len(named) < 2 or 2 * len(named) < len(table.rows):
            return None
    except DataError:
        return None
    is_one_hot = PurePosixPath(name).name.lower() == "_classes.csv"
    try:
        columns = find_columns(table, path, Wanted(is_one_hot=is_one_hot))
    except DataError as err:
        return _Offer(name, as_read, table, None, named, str(err).removeprefix(f"{name}: "))
    return _Offer(name, as_read, table, columns, named)


def _unreadable(tree: Tree, names: Sequence[str]) -> str:
    """What keeps the first table from being read, if anything does."""
    for name in names[:_MOST]:
        try:
            read_table(tree.read(name), name, name)
        except DataError as err:
            return str(err)
    return ""


def _of_tables(offers: Sequence[_Offer]) -> str:
    """The offer that names most images, or one table for each part."""
    by_part = _by_part(offers)
    if by_part:
        tables = ", ".join(f"{part}: {offer.name}" for part, offer in by_part.items())
        best, setting = next(iter(by_part.values())), f"labels: {{{tables}}}"
    else:
        best, setting = offers[0], f"labels: {offers[0].name}"
    said = f"{best.name} names {len(best.named):,} images"
    if best.columns is None:
        return f"{said}: {setting} reads it, and {best.unclear}"
    if best.columns.label is not None:
        label = best.table.called(best.columns.label)
        values = shown(best.table.column(best.columns.label))
        return f"{said} and their labels (column '{label}', {values}): {setting} reads it"
    if best.columns.one_hot:
        return f"{said} and has a column for each class: {setting} reads it"
    return f"{said}, with no labels"


def _by_part(offers: Sequence[_Offer]) -> Mapping[str, _Offer]:
    """One table for each part, where their names or folders say so and train is among them."""
    by_part: dict[str, _Offer] = {}
    for offer in offers:
        if not _may_have_labels(offer, offers[0]):
            continue
        if part := _part_of(offer):
            by_part.setdefault(part, offer)
    ordered = {part: by_part[part] for part in PART_NAMES if part in by_part}
    return ordered if len(ordered) > 1 and "train" in ordered else {}


def _part_of(offer: _Offer) -> str:
    way = PurePosixPath(offer.name)
    return part_in(way.stem) or part_in(way.parent.name)


def _may_have_labels(offer: _Offer, first: _Offer) -> bool:
    """Whether a table has labels, or is laid out as the first one, whose labels are unclear."""
    columns = offer.columns
    if columns is None or first.columns is None:
        return offer.table.columns == first.table.columns
    return columns.label is not None or bool(columns.one_hot)


def _of_boxes(tree: Tree, images: Sequence[str]) -> str:
    """Words on files of boxes, one beside each image (YOLO's .txt, VOC's .xml)."""
    stems = {stem_of(PurePosixPath(name).name) for name in images}
    for suffix, format_name in ((".txt", "YOLO"), (".xml", "VOC")):
        n = sum(PurePosixPath(name).stem in stems for name in tree.names if name.endswith(suffix))
        if n > 1 and 2 * n >= len(images):
            return (
                f"its {suffix} files are boxes of objects, one for each image ({format_name}), "
                "and are not read: Headstart classifies whole images"
            )
    return ""


def _of_names(tree: Tree, images: Sequence[str]) -> str:
    """Words on classes that begin the names of files, in the folder that has most images."""
    images = [name for name in images if not lies_in_no_class(name)]
    if not images:
        return ""
    folder, _ = Counter(_folder(name) for name in images).most_common(1)[0]
    stems = [stem_of(PurePosixPath(name).name) for name in images if _folder(name) == folder]
    prefixes = Counter(fit[1] for stem in stems if (fit := _NUMBERED.fullmatch(stem)) is not None)
    if prefixes.total() < len(stems) or not 2 <= len(prefixes) <= len(stems) / 2:
        return ""
    if any(map(part_in, prefixes)):
        return ""
    several = len({_folder(name) for name in images}) > 1
    where = f"path: {tree.where / folder} with " if several else ""
    return (
        f"the names of the images begin with {shown(list(prefixes))}: {where}label_pattern: "
        r"'(.+?)[ _.-]*\(?\d+\)?' makes those the classes"
    )


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _is_called_label(offer: _Offer) -> bool:
    """Whether the table says by a column's name, or by a column for each class, what is a label."""
    columns = offer.columns
    if columns is None or columns.label is None:
        return columns is not None and bool(columns.one_hot)
    return bool(offer.table.columns) and plain(offer.table.columns[columns.label]) in LABEL_NAMES


def _labels_of(tree: Tree, offer: _Offer, among: frozenset[str] = frozenset()) -> dict[str, str]:
    """Image → label; empty where the table does not give one to each."""
    try:
        source = Source(offer.as_read, "", offer.name)
        images = [name for name in tree.names if is_image_name(name)]
        layout = layout_of_tables(tree, [source], Wanted(among=among), images, "skip")
    except DataError:
        return {}
    return dict(zip(layout.files, layout.classes, strict=True))


def _follows(pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether the second follows from the first."""
    return len(set(pairs)) == len({first for first, _ in pairs})
