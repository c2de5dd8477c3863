"""Parquet files of encoded images and labels, as Hugging Face's hub keeps data sets.

`{name: parquet, path: DIR}` reads a file, or all of a folder: `data/train-00000-of-00002.parquet`,
`test-…` and the like are the parts. The columns are found by the schema: the images as bytes (or a
structure of `bytes` and `path`), the labels by what the file says of classes, or by their name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from datasets.arrays.classes import NamesSetting
from datasets.base import Dataset, DatasetInfo, Request
from datasets.cache.cached import cached
from datasets.files.peek import refuse_pointers
from datasets.files.places import Place, Reader
from datasets.files.shards import files_by_part
from datasets.files.trees import Tree, walk
from datasets.images.image_set import ImageOptions, dataset_of_files, in_place
from datasets.images.labelled import Labelled, layout_of, names_are_used
from datasets.images.parquet import Columns, Images, Rows, find_columns, read_rows
from datasets.locations import user_path
from headstart.errors import DataError
from headstart.settings import key

VERSION = 1
SUFFIXES = (".parquet", ".parq", ".pq")


def _knows(names: Sequence[str]) -> bool:
    """A table of labels beside images (`metadata.parquet`) is none of its files."""
    files = [name for name in names if name.lower().endswith(SUFFIXES)]
    return any(PurePosixPath(name).stem.lower() != "metadata" for name in files)


INFO = DatasetInfo(suffixes=SUFFIXES, starts=(b"PAR1",), knows=_knows)


class Options(ImageOptions):
    """Where the files are, and which columns hold what."""

    path: Path = key("A .parquet file, or a folder of them.", example="my/parquet")
    class_names: NamesSetting = key(  # type: ignore[assignment]
        "Which classes, in the order of their labels; names of the labels, where these are "
        "numbers; or for each label its name. Without it all that occur.",
        None, example=["cat", "dog"])  # fmt: skip
    image_column: str | None = key("The column of encoded images; without it the only one there "
        "is.", None, example="image")  # fmt: skip
    label_column: str | None = key("The column of labels; without it the one that the file calls "
        "classes, or that is called label.", None, example="fine_label")  # fmt: skip
    group: str | None = key("The column of groups: the images of one writer, patient or scene go "
        "to one part together.", None, example="writer")  # fmt: skip


def locate(options: Options, request: Request) -> tuple[Path, ...]:
    """All Parquet files of the folder, or the file."""
    path = user_path(options.path, request.data_dir)
    if not path.is_dir():
        return (path,)
    files = [Path(entry.path) for entry in walk(path) if entry.name.lower().endswith(SUFFIXES)]
    if not files:
        raise DataError(f"{path}: no .parquet file in this folder")
    return tuple(sorted(file for file in files if not file.is_dir()))


def load(options: Options, request: Request) -> Dataset:
    """All images of the files, part by part."""
    files = locate(options, request)
    path = user_path(options.path, request.data_dir)
    return cached(
        "parquet",
        VERSION,
        options,
        request,
        files,
        lambda asked: _decode(path, files, options, asked),
        in_place=in_place(options, request, _reader(options)),
    )


def _reader(options: Options) -> Reader:
    """Of images in their rows."""

    @cache
    def columns(path: Path) -> Columns:
        return find_columns(path, options.image_column, options.label_column, options.group)

    def said(place: Place) -> str:
        return f"{place.path}: row {place.n_packed:,} of row group {place.at:,}"

    return Reader(Images(columns).read, said)


def _decode(path: Path, files: Sequence[Path], options: Options, request: Request) -> Dataset:
    refuse_pointers(files)
    folder = path if path.is_dir() else path.parent
    names = [file.relative_to(folder).as_posix() for file in files]
    _check_one_set(names, path)
    by_part, notes = files_by_part(names, path)
    columns = find_columns(
        folder / next(iter(by_part.values()))[0],
        options.image_column,
        options.label_column,
        options.group,
    )
    rows = {
        (part, name): read_rows(folder / name, columns)
        for part, names in by_part.items()
        for name in names
    }
    tree, images = _as_tree(path, rows, columns, _reader(options))
    notes.append(f"labels were read from the column '{columns.label}'")
    layout, order = layout_of(images, str(path), options.class_names, notes)
    if names_are_used(images, options.class_names):
        options = options.model_copy(update={"class_names": None})
    return dataset_of_files("parquet", tree, layout, options, request, order)


def _check_one_set(names: Sequence[str], path: Path) -> None:
    """Refuse a folder of several sets, such as `coarse/train-…` beside `fine/train-…`."""
    folders = {name.rpartition("/")[0] for name in names}
    parts = {name.rpartition("/")[2] for name in names}
    if len(folders) > 1 and len(parts) < len(names) and not _are_parts(folders):
        shown = ", ".join(sorted(folder or "." for folder in folders)[:5])
        raise DataError(f"{path}: holds several sets, in {shown}; give the path of one of them")


def _are_parts(folders: set[str]) -> bool:
    """Whether the folders are those of parts, as in `default/train/0000.parquet`."""
    by_part, _ = files_by_part(sorted(f"{folder}/x" for folder in folders), Path())
    return all(len(names) == 1 for names in by_part.values()) and "" not in by_part


def _as_tree(
    path: Path, rows: dict[tuple[str, str], Rows], columns: Columns, reader: Reader
) -> tuple[Tree, Labelled]:
    """The rows as files `NAME/row 17`, in their order, with their labels and parts."""
    places: dict[str, Place] = {}
    parts: list[str] = []
    groups: list[str] = []
    for (part, name), held in rows.items():
        before = f"{name}/" if path.is_dir() else ""
        places |= {f"{before}row {row}": place for row, place in enumerate(held.places)}
        parts += [part] * len(held.places)
        groups += held.groups

    def read(name: str) -> bytes:
        return reader.read(places[name], f"{path}: {name}")

    tree = Tree(path, tuple(places), frozenset(), read, places.__getitem__, reader)
    labels = [label for held in rows.values() for label in held.labels]
    return tree, Labelled(tuple(places), labels, parts, columns.names, groups)
