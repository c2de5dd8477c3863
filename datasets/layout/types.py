"""What is asked of folders, and what is said of images: the types of the search for a layout.

In: nothing. Out: `Asked` (the owner's settings), `Reading` (what each image is) and what the steps
of the search hand on. It stands alone because each of them is another module's answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from datasets.layout.folders import Folder, parts_setting, shown
from headstart.errors import DataError


@dataclass(frozen=True)
class Asked:
    """What the owner of a folder says of it.

    Attributes:
        classes_at: the level of folders whose names are the classes, from 1 below the tree's own.
        joined: levels whose names together are the classes, the last of which is `classes_at`;
            empty where the name at `classes_at` alone is.
        parts: part → a folder below the tree's own or a pattern of such (`fold[1-8]`), or the name
            that the folder's own part has.
        class_names: the classes that are wanted.
        knows: whether a name is that of a class; where names repeat, the level of which it knows
            every name is taken.
    """

    classes_at: int | None = None
    parts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    class_names: tuple[str, ...] | None = None
    knows: Callable[[str], bool] | None = None
    joined: tuple[int, ...] = ()


class Place(NamedTuple):
    """What a reading says of an image; `home` is the folder that names its class."""

    part: str
    label: str
    home: str


@dataclass
class Reading:
    """Image → what it is. `explained`: folders whose images are left out and named in `notes`."""

    of: dict[str, Place]
    notes: list[str] = field(default_factory=list)
    explained: set[str] = field(default_factory=set)

    def counts(self) -> Counter[str]:
        """Images of each class."""
        return Counter(place.label for place in self.of.values())


class Row(NamedTuple):
    """An image, its part, and the folders between `base` (a part's, or the set's) and itself."""

    image: str
    part: str
    base: str
    folders: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """What every step needs: what is asked, how messages begin, and words on tables of labels."""

    asked: Asked
    where: str
    on_tables: str


def rows_of(folder: Folder, part: str = "", but: Iterable[str] = ()) -> list[Row]:
    """A row for each image below `folder`, without those in the folders of the paths `but`."""
    start = len(folder.path) + 1 if folder.path else 0
    outside = tuple(f"{path}/" for path in but)
    return [
        Row(name, part, folder.path, tuple(name[start:].split("/")[:-1]))
        for name in folder.below()
        if not name.startswith(outside)
    ]


def refuse_evaluation(name: str, case: Case) -> None:
    raise DataError(
        f"{case.where}: '{shown(name)}' is a test part or a validation part; choose with parts: "
        f"{parts_setting({'test': name})} or parts: {parts_setting({'validation': name})}"
    )
