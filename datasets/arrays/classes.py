"""Label values of any kind → labels 0 … C−1 with class names: one rule for every reader.

In: the labels as a file has them (numbers, texts, one-hot rows), and the names that the file or
the sweep gives. Out: classes in the order of their values, and a note wherever this had to close a
gap or match names to values. It stands alone because tables, arrays and idx files need it alike.
What names fit in two ways, or in none, is refused with both shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeGuard

import numpy as np
from pydantic import BeforeValidator

from headstart.errors import DataError
from headstart.settings import key

_MOST_SHOWN = 4  # gaps or names in a note
_MANY_CLASSES = 50  # with gaps, and more than half as many as images: these are no classes
ClassNames = Sequence[str] | Mapping[int | str, str]
"""Names by position, or for each label its name."""


def _checked_names(given: object) -> object:
    """A list of names as a tuple, a mapping as it is; raises ValueError for anything else."""
    if given is None:
        return None
    names = list(given.values() if isinstance(given, dict) else given) if _holds(given) else []
    odd = next((name for name in names if not isinstance(name, str)), None)
    if odd is not None:
        raise ValueError(f"names are texts; write '{odd}' in quotes")
    if len(names) < 2:
        raise ValueError("give two names or more: [cat, dog], or {1: cat, 2: dog}")
    return given if isinstance(given, dict) else tuple(names)


def _holds(given: object) -> TypeGuard[list[object] | tuple[object, ...] | dict[object, object]]:
    return isinstance(given, (list, tuple, dict))


NamesSetting = Annotated[
    tuple[str, ...] | dict[int | str, str] | None, BeforeValidator(_checked_names)
]
"""`ClassNames` as an option of a data set."""


def names_key() -> Any:
    """The option `class_names`, in the same words for every reader."""
    return key("Names of the labels: in the order of the labels 0, 1, … or 1, 2, … or of those "
        "that occur; or a mapping that gives each label its name; or the texts that may occur. "
        "Without it, what occurs.", None, example=["cat", "dog"])  # fmt: skip


def labels_to_classes(
    values: np.ndarray, where: str, class_names: ClassNames | None = None
) -> tuple[np.ndarray, tuple[str, ...], str]:
    """Label values of any kind as int64 0 … C−1, the class names, and a note (may be empty).

    The classes are the values that occur, numbers by value and texts sorted (or in the order of
    `class_names`). Names by position may be given for 0 … the largest label, for 1 … the largest
    label, or for the values that occur.

    Args:
        values: (N,) or (N, 1) whole numbers or text, or (N, C) one-hot rows.
        where: the file, for messages.
        class_names: names by position, the texts that may occur, or a name for each label.

    Raises:
        DataError: a label that is no class, or names that fit the labels in no way or in two.
    """
    values, note = _one_dimensional(np.asarray(values), where)
    if values.dtype.kind in "US":
        labels, names, more = _text_classes(_as_text(values, where), where, class_names)
    elif _are_whole(values):
        labels, names, more = _number_classes(_whole_numbers(values, where), where, class_names)
    else:
        raise DataError(
            f"{where}: labels of type {values.dtype} that are not whole numbers{_odd_row(values)}"
        )
    return labels.astype(np.int64), names, "; ".join(each for each in (note, more) if each)


def _number_classes(
    numbers: np.ndarray, where: str, class_names: ClassNames | None
) -> tuple[np.ndarray, tuple[str, ...], str]:
    present, labels = np.unique(numbers, return_inverse=True)
    if present.size == 0:
        return labels, (), ""
    if isinstance(class_names, Mapping):
        return labels, *_named_each(present.tolist(), class_names, where)
    if present[0] < 0 and present.tolist() != [-1, 1]:
        row = int(np.flatnonzero(numbers == present[0])[0])
        raise DataError(
            f"{where}: label {present[0]} (row {row}) is below 0; leave out images without a label,"
            f" or name every label: class_names: {{{present[0]}: NAME, …}}"
        )
    if class_names:
        return labels, *_named_by_position(present, tuple(class_names), where)
    gaps = _gaps(present)
    if gaps and present.size > max(_MANY_CLASSES, numbers.size / 2):
        raise DataError(
            f"{where}: {present.size:,} different labels, {present[0]} … {present[-1]}, for "
            f"{numbers.size:,} images; are these classes?"
        )
    return labels, tuple(str(value) for value in present.tolist()), _said_of_gaps(present, gaps)


def _named_by_position(
    present: np.ndarray, given: tuple[str, ...], where: str
) -> tuple[tuple[str, ...], str]:
    n, low, high = len(given), int(present[0]), int(present[-1])
    if n == present.size:
        plain = low == 0 and high == n - 1
        note = "" if plain else f"label {low} is called '{given[0]}', {high} '{given[-1]}'"
        return given, note
    first = 0 if n == high + 1 or (n > high and low == 0) else 1 if n == high and low > 0 else None
    if first is not None:
        names = tuple(given[value - first] for value in present.tolist())
        absent = [name for k, name in enumerate(given, first) if k not in set(present.tolist())]
        called = f"label {low} is called '{names[0]}'; " if first else ""
        return names, called + _said_of_absent(absent)
    ways = [f"{high + 1} names for 0 … {high}", f"{present.size} for the labels that occur"]
    if low > 0 and high != present.size:
        ways.insert(1, f"{high} for 1 … {high}")
    never = f" ({_never(_gaps(present))})" if _gaps(present) else ""
    raise DataError(
        f"{where}: {n} class_names for {present.size} labels, {low} … {high}{never}: give "
        f"{', '.join(ways)}, or a name for each: class_names: {{{low}: {given[0]}, …}}"
    )


def _text_classes(
    values: np.ndarray, where: str, class_names: ClassNames | None
) -> tuple[np.ndarray, tuple[str, ...], str]:
    present, labels = np.unique(values, return_inverse=True)
    texts = present.tolist()
    if "" in texts:
        row = int(np.flatnonzero(values == "")[0])
        raise DataError(f"{where}: the label of row {row} is empty; leave such images out")
    if isinstance(class_names, Mapping):
        return labels, *_named_each(texts, class_names, where)
    if not class_names:
        return labels, tuple(texts), _said_of_case(texts)
    unknown = next((text for text in texts if text not in class_names), None)
    if unknown is not None:
        raise DataError(
            f"{where}: label '{unknown}' is none of {', '.join(class_names)}; another name for it "
            f"is given so: class_names: {{{unknown}: NAME, …}}"
        )
    names = tuple(name for name in class_names if name in set(texts))
    index = np.array([names.index(text) for text in texts], np.int64)
    return index[labels], names, _said_of_absent([n for n in class_names if n not in set(texts)])


def _named_each(
    present: Sequence[int | str], given: Mapping[int | str, str], where: str
) -> tuple[tuple[str, ...], str]:
    """The names of labels that are named one by one."""
    names_of = {str(label): name for label, name in given.items()}
    missing = next((label for label in present if str(label) not in names_of), None)
    if missing is not None:
        raise DataError(f"{where}: class_names has no name for the label {missing}")
    names = tuple(names_of.pop(str(label)) for label in present)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where}: class_names calls two labels '{twice}'; give each its own name")
    return names, _said_of_absent(list(names_of.values()))


def _gaps(present: np.ndarray) -> list[str]:
    """The ranges of numbers between labels that never occur; what is below the first is none."""
    steps = np.flatnonzero(np.diff(present) > 1)
    pairs = [(int(present[k]) + 1, int(present[k + 1]) - 1) for k in steps]
    return [f"{low}" if low == high else f"{low} … {high}" for low, high in pairs]


def _never(gaps: Sequence[str]) -> str:
    shown = _some(gaps)
    return f"{shown} never {'occurs' if len(gaps) == 1 and '…' not in shown else 'occur'}"


def _said_of_gaps(present: np.ndarray, gaps: Sequence[str]) -> str:
    if present[0] in (0, 1) and not gaps:
        return ""
    never = f" ({_never(gaps)})" if gaps else ""
    return (
        f"labels are {present.size} of the numbers {present[0]} … {present[-1]}{never}; the "
        f"{present.size} classes are those that occur, named by their numbers"
    )


def _said_of_absent(names: Sequence[str]) -> str:
    return f"no image of class {_some(names)}: left out of the classes" if names else ""


def _said_of_case(texts: Sequence[str]) -> str:
    """Labels that are different classes, though they differ in upper and lower case only."""
    first: dict[str, str] = {}
    alike = [(text, first[text.casefold()]) for text in texts
             if first.setdefault(text.casefold(), text) != text]  # fmt: skip
    if not alike:
        return ""
    return f"labels '{alike[0][1]}' and '{alike[0][0]}' differ in case only, and are two classes"


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_MOST_SHOWN]) + (", …" if len(names) > _MOST_SHOWN else "")


def _are_whole(values: np.ndarray) -> bool:
    if values.dtype.kind == "f":
        return bool(np.isfinite(values).all() and (np.round(values) == values).all())
    return values.dtype.kind in "bui"


def _odd_row(values: np.ndarray) -> str:
    """Where the first label is that is no whole number, if they are numbers at all."""
    if values.dtype.kind != "f":
        return ""
    row = int(np.flatnonzero(~(np.isfinite(values) & (np.round(values) == values)))[0])
    return f" (row {row} is {values[row]:g})"


def _whole_numbers(values: np.ndarray, where: str) -> np.ndarray:
    """Label values as int64; refuses those that an int64, or a double, does not hold exactly."""
    largest = int(np.abs(values.astype(np.float64)).max(initial=0))
    if largest >= 2**53:
        raise DataError(f"{where}: a label is {largest:.3g}; labels are numbers of classes")
    return values.astype(np.int64)


def _as_text(values: np.ndarray, where: str) -> np.ndarray:
    try:
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError as err:
        raise DataError(f"{where}: a label is no UTF-8 text ({err.reason})") from err


def _one_dimensional(values: np.ndarray, where: str) -> tuple[np.ndarray, str]:
    if values.ndim > 1 and values.size == len(values):  # (N, 1), or (N, 1, 1, 1) as in HDF5
        return values.reshape(-1), ""
    if values.ndim == 2 and values.dtype.kind in "buif" and _is_one_hot(values):
        return values.argmax(axis=1), "labels were one-hot rows"
    if values.ndim != 1:
        raise DataError(f"{where}: labels of shape {values.shape}; one label an image is needed")
    return values, ""


def _is_one_hot(values: np.ndarray) -> bool:
    return bool(np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all())
