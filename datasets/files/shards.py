"""Files of a set, by their names: which part each belongs to, and whether all shards lie here.

In: relative names, such as `data/train-00000-of-00002.parquet` or `val/shard-000001.tar`. Out: the
names by part. It stands alone because all sets of several files name their parts and shards alike;
what a class folder is called decides nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from datasets.base import PART_NAMES
from datasets.files.part_words import PART_OF
from headstart.errors import DataError

PART_WORDS = {**PART_OF, "tr": "train", "t10k": "test"}
_OF = re.compile(r"^(.*?)(\d{1,6})-of-(\d{1,6})(?!\d)")
_NAMED = 5


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: `X_train2.npy` has `x`, `train`, `2`, `npy`."""
    return re.findall(r"[^\W\d_]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def part_of(name: str, where: Path) -> str:
    """The part that a relative name says, its last folder or file first; "" where it says none.

    Raises:
        DataError: one word of it says another part than the next.
    """
    for piece in reversed(name.split("/")):
        words = words_of(piece)
        parts = {PART_WORDS[word] for word in words if word in PART_WORDS}
        parts |= {"test"} if "t10k" in piece.lower() else set()
        if len(parts) > 1:
            raise DataError(
                f"{where}: the name '{name}' says both {' and '.join(sorted(parts))}; give the "
                "file of each part a name with one of train, validation and test"
            )
        if parts:
            return parts.pop()
    return ""


def files_by_part(names: Sequence[str], where: Path) -> tuple[dict[str, list[str]], list[str]]:
    """The files of each part, and notes; the part "" alone where no name says a part.

    Where only some names say one, the others (`extra`, `unlabeled`) are left out with a note.

    Raises:
        DataError: a shard is missing, or shards of two versions lie here.
    """
    files: dict[str, list[str]] = {}
    for name in sorted(names):
        files.setdefault(part_of(name, where), []).append(name)
    notes = []
    if len(files) > 1 and "" in files:
        others = files.pop("")
        shown = ", ".join(others[:_NAMED]) + (" …" if len(others) > _NAMED else "")
        notes.append(f"left out, since its name says no part: {shown}")
    _check_shards((name for part in files.values() for name in part), where)
    if len(files) == 1 and not files.keys() & {"", "train"}:
        (part,) = files
        notes.append(f"its files are all of the {part} part; they are split as a set without parts")
        files = {"": files[part]}
    return {part: files[part] for part in ("", *PART_NAMES) if part in files}, notes


def expanded_braces(path: Path) -> list[Path]:
    """`shard-{000000..000003}.tar` as the paths that it means; any other path alone."""
    match = re.fullmatch(r"(.*)\{(\d+)\.\.(\d+)\}(.*)", str(path), re.DOTALL)
    if match is None:
        return [path]
    before, first, last, after = match.groups()
    if not 0 <= int(last) - int(first) < 100_000:
        raise DataError(f"{path}: give the numbers from the first to the last, as {{000..099}}")
    numbers = range(int(first), int(last) + 1)
    return [Path(f"{before}{number:0{len(first)}d}{after}") for number in numbers]


def _check_shards(names: Iterable[str], where: Path) -> None:
    """Whether all shards are here of each series whose names say how many there are."""
    series: dict[str, dict[int, set[int]]] = {}
    for name in names:
        if match := _OF.match(name):
            of_count = series.setdefault(match[1], {})
            of_count.setdefault(int(match[3]), set()).add(int(match[2]))
    for stem, of_count in series.items():
        if len(of_count) > 1:
            counts = " and ".join(str(count) for count in sorted(of_count))
            raise DataError(
                f"{where}: '{stem}…' is here as {counts} shards; remove those of the other version"
            )
        ((count, numbers),) = of_count.items()
        if len(numbers) != count:
            missing = next((k for k in range(count) if k not in numbers), count)
            raise DataError(
                f"{where}: {len(numbers)} of the {count} shards '{stem}…' are here; the first that "
                f"is missing has the number {missing}; fetch it"
            )
