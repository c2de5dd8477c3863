"""At which level of folders the classes are: from rows of folder names to a `Reading`.

In: images with the folders that they lie in, and their parts where these are known. Out: what each
image is, or one line that shows the levels that may be meant. It stands alone because it knows
nothing of how parts were found: names that repeat below several folders are all its evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

from datasets.layout.folder_names import PartName, parts_among
from datasets.layout.folders import Folder, shown, shown_names
from datasets.layout.types import Asked, Case, Place, Reading, Row, rows_of
from headstart.errors import DataError

_INITIALS = 2  # characters


def by_levels(rows: Sequence[Row], case: Case) -> Reading:
    """The reading at the first level, unless names that repeat make another one possible.

    Names repeat at a level where two or more of them lie in several folders of the first level, or
    in several parts, and hold over half of the images, as digits do below writers. Where there are
    parts, the classes are at the level whose names all parts share.

    Raises:
        DataError: several levels are possible.
    """
    rows = [row for row in rows if row.folders]
    levels = [1, *_levels_that_repeat(rows)]
    chosen = levels
    if len(levels) > 1:
        chosen = [level for level in levels if _parts_share(rows, level)] or levels
        fitting = [level for level in chosen if _is_meant(_names(rows, level), case.asked)]
        chosen = fitting if len(fitting) == 1 else chosen
    if len(chosen) > 1:
        _refuse_levels(rows, levels, case)
    elif chosen[0] == 1 and not _is_meant(_names(rows, 1), case.asked) and _are_initials(rows):
        _refuse_levels(rows, [1, 2], case, are_initials=True)
    reading = reading_at(rows, chosen[0])
    reading.notes += _note_on_levels(rows, chosen[0], levels)
    return reading


def reading_at(rows: Iterable[Row], level: int, joined: Sequence[int] = ()) -> Reading:
    """Every image that lies at least `level` folders below its base.

    Its class is the folder at that level, or those at the levels `joined`, as in `Greek/alpha`.
    """

    @cache  # of the few folders that many files lie in
    def place(part: str, base: str, folders: tuple[str, ...]) -> Place:
        way = [base] * (base != "") + list(folders[:level])
        label = "/".join(folders[each - 1] for each in joined or (level,))
        return Place(part, label, "/".join(way))

    return Reading(
        {r.image: place(r.part, r.base, r.folders) for r in rows if len(r.folders) >= level}
    )


def at_level(root: Folder, roots: Mapping[str, Sequence[Folder]], case: Case) -> Reading:
    """The reading at the level of `classes_at`; parts are `roots`, or a level that names them.

    Raises:
        DataError: no image lies so deep.
    """
    level = case.asked.classes_at or 1
    rows = rows_of(root)
    deepest = max(len(row.folders) for row in rows)
    if level > deepest:
        raise DataError(
            f"{case.where}: classes_at: {level}: no image lies so deep; folders that hold images "
            f"are at levels 1 to {deepest}"
        )
    rows = [row for row in rows if len(row.folders) >= level]
    rows = _with_parts(rows, level, roots)
    if not rows:
        raise DataError(f"{case.where}: classes_at: {level}: no image at this level is in a part")
    if any(row.part == "evaluation" for row in rows):
        raise DataError(
            f"{case.where}: a folder is called 'eval', which is a test part or a validation part; "
            "name its folder: parts: {test: DIR} or parts: {validation: DIR}"
        )
    return reading_at(rows, level, case.asked.joined)


def _with_parts(
    rows: Sequence[Row], level: int, roots: Mapping[str, Sequence[Folder]]
) -> list[Row]:
    """The rows that are in a part, if any are: of `roots`, or else of a level that names parts."""
    parts = [_part_by_path(row, roots) for row in rows]
    given = [row._replace(part=part) for row, part in zip(rows, parts, strict=True) if part]
    if "train" in roots:
        return given
    rest = [row for row, part in zip(rows, parts, strict=True) if not part]
    own = _with_parts_of_a_level(rest, level) if rest else []
    return [*given, *(row for row in own if row.part not in roots and (row.part or not given))]


def _part_by_path(row: Row, roots: Mapping[str, Sequence[Folder]]) -> str:
    """The part whose folder the image lies in, the deepest one where several hold it."""
    hits = [
        (len(folder.path), part)
        for part, folders in roots.items()
        for folder in folders
        if not folder.path or row.image.startswith(f"{folder.path}/")
    ]
    return max(hits, default=(0, ""))[1]


def _with_parts_of_a_level(rows: list[Row], classes_at: int) -> list[Row]:
    """The rows with the parts that a level of folders names, where there is one; else as they are.

    Over half of the images must lie in a part there; those that do not are left out.
    """
    deepest = max(len(row.folders) for row in rows)
    for level in range(1, deepest + 1):
        counts = Counter(row.folders[level - 1] for row in rows if len(row.folders) >= level)
        named: Mapping[str, PartName] = parts_among(counts)
        n_named = sum(counts[name] for name in named)
        kinds = {part.part for part in named.values()}
        if level == classes_at or "train" not in kinds or 2 * n_named <= len(rows):
            continue
        return [
            row._replace(part=named[row.folders[level - 1]].part)
            for row in rows
            if len(row.folders) >= level and row.folders[level - 1] in named
        ]
    return rows


def _levels_that_repeat(rows: Sequence[Row]) -> list[int]:
    levels = []
    deeper = [row for row in rows if len(row.folders) > 1]
    level = 2
    while 2 * len(deeper) > len(rows):
        below: dict[str, set[tuple[str, str]]] = {}
        counts: Counter[str] = Counter()
        for row in deeper:
            below.setdefault(row.folders[level - 1], set()).add((row.part, row.folders[0]))
            counts[row.folders[level - 1]] += 1
        repeated = [name for name, above in below.items() if len(above) > 1]
        if len(repeated) > 1 and 2 * sum(counts[name] for name in repeated) > len(rows):
            levels.append(level)
        level += 1
        deeper = [row for row in deeper if len(row.folders) >= level]
    return levels


def _names(rows: Iterable[Row], level: int) -> set[str]:
    return {row.folders[level - 1] for row in rows if len(row.folders) >= level}


def _is_meant(names: Collection[str], asked: Asked) -> bool:
    """Whether the names of a level are those of the classes that somebody wants or knows."""
    if asked.class_names:
        return set(asked.class_names) <= set(names)
    return asked.knows is not None and all(map(asked.knows, names))


def _parts_share(rows: Sequence[Row], level: int) -> bool:
    """Whether each other part has half of its names at `level` in common with the first part."""
    by_part: dict[str, set[str]] = {}
    for row in rows:
        if len(row.folders) >= level:
            by_part.setdefault(row.part, set()).add(row.folders[level - 1])
    first, *others = [by_part[part] for part in sorted(by_part, key="train".__ne__)]
    return bool(others) and all(2 * len(each & first) >= len(each) for each in others)


def _are_initials(rows: Sequence[Row]) -> bool:
    """Whether folders sort others by how their names begin, as `a/abbey` and `b/barn` do."""
    pairs = {(row.folders[0], row.folders[1]) for row in rows if len(row.folders) > 1}
    n_deeper = sum(len(row.folders) > 1 for row in rows)
    return 2 * n_deeper > len(rows) and all(
        len(first) <= _INITIALS and second.casefold().startswith(first.casefold())
        for first, second in pairs
    )


def _refuse_levels(
    rows: Sequence[Row], levels: Sequence[int], case: Case, *, are_initials: bool = False
) -> None:
    base = rows[0].base
    above = base.count("/") + 1 if base else 0
    readings, settings = [], []
    for level in levels:
        counts = Counter(row.folders[level - 1] for row in rows if len(row.folders) >= level)
        names = ", ".join(f"{shown(name)} ({n:,})" for name, n in sorted(counts.items())[:3])
        more = f" … ({len(counts):,} classes)" if len(counts) > 3 else ""
        readings.append(f"{names}{more} at level {above + level}")
        settings.append(f"classes_at: {above + level}")
    parts = (
        ""
        if rows[0].part or are_initials
        else "; where the first are parts, not classes: parts: {train: DIR, test: DIR}"
    )
    if len(levels) == 2 and not are_initials:
        parts += (
            f"; where the first are writers, patients or scenes: {settings[1]} with "
            f"group_at: {above + levels[0]}, so that none is in two parts"
        )
    why = "the first are initials" if are_initials else "since the same folder names repeat"
    raise DataError(
        f"{case.where}: {len(levels)} readings are possible, {why}: "
        f"classes {'; or '.join(readings)}; choose with {' or '.join(settings)}{parts}"
    )


def _note_on_levels(rows: Sequence[Row], chosen: int, levels: Sequence[int]) -> list[str]:
    """That folders below those of classes make no classes, or that those above do not."""
    base = rows[0].base
    above = base.count("/") + 1 if base else 0
    if chosen > 1:
        return [
            f"the classes are the folders at level {above + chosen}, whose names all parts share "
            f"(classes_at: {above + levels[0]} would read those above them, and "
            f"classes_at: [{above + levels[0]}, {above + chosen}] the names of both together)"
        ]
    below = _names(rows, 2)
    n_deeper = sum(len(row.folders) > 1 for row in rows)
    if len(below) < 2 or 2 * n_deeper <= len(rows):
        return []
    return [
        f"folders inside the class folders ({shown_names(sorted(below), 3)}) make no classes; "
        f"classes_at: {above + 2} would read them"
    ]
