"""From what a stranger calls a class to the classes of a network.

In: class folders' names or the labels of a CSV table. Out: indices into a network's class names.
Other names of a class that some data set declares (`DatasetInfo.class_aliases`) are understood
wherever the network has that class: Sample001 is `0` to any network of digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from datasets.base import Dataset
from datasets.catalog import class_alias
from datasets.files.image_kinds import is_image_name
from datasets.files.trees import Tree
from datasets.tables.text import decode, read_bytes
from datasets.tables.text import rows as rows_of
from datasets.target import TargetSettings
from headstart.caches import expanded
from headstart.errors import DataError
from headstart.metrics import WITHOUT_ACCURACY

FILE_COLUMNS = ("file", "filename", "file_name", "image", "path", "name")
LABEL_COLUMNS = ("label", "class", "target", "y", "character")
MAX_TABLE_BYTES = 64 << 20
_N_SHOWN = 5


def labels_of(
    given: Sequence[str],
    class_names: Sequence[str],
    where: str,
    setting: str = "--set class_names=",
) -> np.ndarray:
    """int64 (n,): for each given label its index among `class_names`.

    `setting`: how the set is told which names its numbers have.

    Raises:
        DataError: labels that are no class of the network; one line that names them.
    """
    index = {name: k for k, name in enumerate(class_names)}
    table = {label: index.get(label, index.get(class_alias(label), -1)) for label in set(given)}
    unknown = sorted(label for label, k in table.items() if k < 0)
    if unknown:
        n_images = sum(label in set(unknown) for label in given)
        shown = ", ".join(repr(label) for label in unknown[:_N_SHOWN])
        more = f" and {len(unknown) - _N_SHOWN} more" if len(unknown) > _N_SHOWN else ""
        numbers = all(label.isdigit() for label in unknown)
        hint = f"; {setting}[…] gives numbers their names" if numbers else ""
        raise DataError(
            f"{where}: {n_images} of {len(given)} images have labels that the network does not "
            f"know: {shown}{more}; it knows {', '.join(class_names)}{hint}"
        )
    return np.array([table[label] for label in given], dtype=np.int64)


def wanted_of(
    dataset: Dataset,
    rows: np.ndarray,
    class_names: Sequence[str],
    target: TargetSettings | None,
    where: str,
) -> np.ndarray | None:
    """float64 (n, outputs): what several labels or numbers of these rows are; None of classes.

    Args:
        class_names: the outputs of the networks, whose labels are in this order.
        target: of the networks' own data; None: they say classes.

    Raises:
        DataError: the set and the networks have different targets, or a label that these lack.
    """
    kinds = ("" if t is None else t.kind for t in (dataset.target, target))
    here, known = (kind if kind in WITHOUT_ACCURACY else "" for kind in kinds)
    if here != known:
        asked, given = (f"a target of the kind {k}" if k else "classes" for k in (known, here))
        raise DataError(f"{where}: the networks say {asked}, and the set has {given}")
    if dataset.target is None or target is None or not known:
        return None
    there: np.ndarray = dataset.target.table.astype(np.float64)[dataset.labels[rows]]
    if known == "number":
        if dataset.target.unit != target.unit:
            raise DataError(f"{where}: its numbers have the unit '{dataset.target.unit}', and the "
                            f"networks say '{target.unit}'")  # fmt: skip
        return there
    strangers = [name for name in dataset.target.names if name not in class_names]
    if strangers:
        raise DataError(f"{where}: has the label '{strangers[0]}', which the networks do not know; "
                        f"they know {', '.join(class_names)}")  # fmt: skip
    wanted = np.zeros((len(rows), len(class_names)))
    wanted[:, [class_names.index(name) for name in dataset.target.names]] = there
    return wanted


def listed_files(tree: Tree, table: str) -> tuple[list[str], list[str], tuple[str, ...]]:
    """The images that a CSV table names (a file in the tree or beside it), their labels, and notes.

    Raises:
        DataError: the table cannot be read, or names a file that is not there or is there twice.
    """
    inside = table in tree.names
    where = tree.label(table) if inside else table
    path = expanded(table)
    content = tree.read(table) if inside else read_bytes(path, limit=MAX_TABLE_BYTES)
    images = [name for name in tree.names if is_image_name(name)]
    by_path = {name: name for name in images}
    base = Counter(PurePosixPath(name).name for name in images)
    by_name = {PurePosixPath(name).name: name for name in images}
    files: dict[str, str] = {}
    listed, notes = _listed(content, where)
    for line, (file, label) in listed:
        plain = file.replace("\\", "/").removeprefix("./")
        name = by_path.get(plain)
        if name is None and base[PurePosixPath(plain).name] == 1:
            name = by_name[PurePosixPath(plain).name]
        if name is None:
            raise DataError(f"{where}:{line}: '{file}' is no image in {tree.where}")
        if name in files:
            raise DataError(f"{where}:{line}: '{file}' is listed twice")
        files[name] = label
    n_left = len(images) - len(files)
    if n_left:
        notes = (*notes, f"{n_left} images that the table does not list were not read")
    return list(files), list(files.values()), notes


def _listed(
    content: bytes, where: str
) -> tuple[list[tuple[int, tuple[str, str]]], tuple[str, ...]]:
    """(line number, (file, label)) of every line that is not blank, the header left out; notes.

    Where a table has more than two columns, a note says which one was taken for the labels, and
    how the rows of the test part alone are read where another column holds parts.
    """
    lines = list(rows_of(decode(content, where), where))
    if not lines:
        raise DataError(f"{where}: empty; a file name and a label on each line are needed")
    file_column, label_column, n_header = _columns(lines[0][1])
    if len(lines) == n_header:
        raise DataError(f"{where}: only a header; a file name and a label on each line are needed")
    listed = []
    for line, fields in lines[n_header:]:
        if len(fields) <= max(file_column, label_column):
            raise DataError(f"{where}:{line}: {len(fields)} fields; a file name and a label")
        listed.append((line, (fields[file_column].strip(), fields[label_column].strip())))
    header, name = lines[0][1], PurePosixPath(where).name
    if not n_header or len(header) <= 2:
        return listed, ()
    notes = [f"labels are those of {name}: the column '{header[label_column].strip()}'"]
    others = {fields[k].strip() for _, fields in lines[1:] for k in range(len(fields))}
    if {"train", "test"} <= others:
        notes.append(
            f"all rows of {name} are read, of whatever part; --set labels=FILE knows parts"
        )
    return listed, tuple(notes)


def _columns(first: Sequence[str]) -> tuple[int, int, int]:
    """Columns of file and label, and how many lines are header (0 or 1)."""
    names = [field.strip().lower() for field in first]
    file = next((names.index(name) for name in FILE_COLUMNS if name in names), None)
    label = next((names.index(name) for name in LABEL_COLUMNS if name in names), None)
    if file is None and label is None:
        return 0, 1, 0
    if file is not None and label is None:
        return file, 1 if file == 0 else 0, 1
    if file is None:
        return (1 if label == 0 else 0), int(label or 0), 1
    return file, int(label or 0), 1
