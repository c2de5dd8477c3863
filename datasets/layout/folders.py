"""The folders of a tree that hold images, as a tree of objects, and what is taken out of it.

In: names of image files. Out: `Folder`s, from which folders of systems (thumbnails of a network
drive) and folders beside images that hold none of a class (masks) are taken out. It stands alone
because every way of finding classes walks the same folders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from datasets.layout.folder_names import (
    holds_images,
    is_of_no_class,
    is_of_small_copies,
    is_of_system,
)

_SHOWN = 40  # characters of a name
_NAMED = 5  # names in a list


@dataclass
class Folder:
    """A folder that holds images, straight or further down.

    Attributes:
        path: below the tree's own folder; empty for that folder.
        images: the names of images that lie straight in it.
        folders: by name, those in it that hold images.
        n_images: in it and below.
    """

    path: str
    images: list[str] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)
    n_images: int = 0

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def depth(self) -> int:
        """How many folders below the tree's own."""
        return self.path.count("/") + 1 if self.path else 0

    @property
    def is_flat(self) -> bool:
        """Whether no folder in it holds images."""
        return not self.folders

    def below(self) -> Iterator[str]:
        """The names of all images in it and below."""
        yield from self.images
        for folder in self.folders.values():
            yield from folder.below()

    def without(self, names: Iterable[str]) -> int:
        """Take the folders of these names out of it; how many images they hold."""
        n = sum(self.folders.pop(name).n_images for name in list(names))
        self.n_images -= n
        return n


def folders_of(images: Sequence[str], is_out: Callable[[str], bool]) -> Folder:
    """The tree's own folder, from the names of all its images but those that `is_out`."""
    root = Folder("")
    for name in images:
        if is_out(name):
            continue
        root.n_images += 1
        folder = root
        for part in name.split("/")[:-1]:
            path = f"{folder.path}/{part}" if folder.path else part
            folder = folder.folders.setdefault(part, Folder(path))
            folder.n_images += 1
        folder.images.append(name)
    return root


def lies_in_system_folder(name: str) -> bool:
    """Whether a folder on the way to the file is one of a network drive, a desktop or Python."""
    return _is_below_system(name.rpartition("/")[0])


@cache  # of the few folders that many files lie in
def _is_below_system(folder: str) -> bool:
    return any(is_of_system(part) for part in folder.split("/")) if folder else False


def take_out_beside_images(folder: Folder) -> Counter[str]:
    """Take out masks and the like beside a folder `images`, and small copies among images.

    Returns:
        How many images folders of each name held, at any depth.
    """
    out: Counter[str] = Counter()
    named = [name for name in folder.folders if not is_of_no_class(name)]
    has_images = bool(named) and all(map(holds_images, named))
    for name in list(folder.folders):
        is_copy = bool(folder.images) and folder.path != "" and is_of_small_copies(name)
        if is_copy or (has_images and is_of_no_class(name)):
            out[name] += folder.without([name])
    for below in folder.folders.values():
        inner = take_out_beside_images(below)
        folder.n_images -= inner.total()
        out += inner
    return out


def shown(name: str) -> str:
    """A stranger's name as a message shows it: printable, and not too long."""
    text = name if name.isprintable() else repr(name)[1:-1]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def shown_path(path: str) -> str:
    """A stranger's path as a message shows it: its end, where it is long."""
    return shown(path) if len(path) <= _SHOWN else f"…{shown(path[-_SHOWN:])}"


def shown_names(names: Sequence[str], most: int = _NAMED) -> str:
    """The first of `names`, and how many there are where not all are shown."""
    text = ", ".join(shown(name) for name in names[:most])
    return text if len(names) <= most else f"{text} … ({len(names):,})"


def counted(n: int, noun: str = "image") -> str:
    """`1 image`, `1,200 images`."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def with_counts(folders: Sequence[Folder]) -> str:
    named = [f"{shown(folder.name)} ({counted(folder.n_images)})" for folder in folders[:4]]
    text = ", ".join(named[:-1]) + " and " * (len(named) > 1) + named[-1]
    return text if len(folders) <= 4 else f"{text} … ({len(folders):,} folders)"


def parts_setting(parts: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{part}: {_quoted(name)}" for part, name in parts.items()) + "}"


def _quoted(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() else f'"{shown(name)}"'


def said(part_of: Mapping[str, str]) -> str:
    said = (
        shown(name) if name == part else f"{shown(name)} is {part}"
        for name, part in part_of.items()
    )
    return ", ".join(said)
