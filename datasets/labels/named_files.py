"""Which image of a tree a text means: a path, a name, or an id without an ending.

In: the images' names, and texts as tables have them (`train/0.jpg`, `0`, `C:\\data\\0.jpg`,
`../input/pets/0.jpg`). Out: for each text the images that it may mean. Only names of the tree are
ever given back, whatever a text says. It stands alone because it is a question of names, asked of
every column of every table.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

from datasets.files.image_kinds import ENDINGS, stem_of
from datasets.files.part_words import part_in
from datasets.layout.folder_names import holds_images

_FEW_FOLDERS = 2
_FOREIGN = re.compile(r"([A-Za-z]:)?/|~|\.\./|[a-z][a-z0-9+.-]+://")


class NamedFiles:
    """The images of a tree, found by what others call them.

    `by_number`: whether a number means the image of that number (`3`: image_0003.jpg), where all
    images are called alike and numbered. A table whose texts are names has numbers of other things.
    """

    def __init__(self, names: Sequence[str], root: Path):
        self.names = names
        self.by_number = False
        self._root = stem_of(root.name)
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in names:
            last = _plain(name).rsplit("/", 1)[-1]
            self._by_name.setdefault(last, []).append(name)
            self._by_stem.setdefault(stem_of(last), []).append(name)

    def meant_by(self, text: str) -> list[str]:
        """The images that `text` may mean: those that share most folders with it.

        A text without folders means any image of that name. Folders of the text that the tree
        does not have are allowed where the tree lies in them: they lead to its root, or begin at
        the root of another machine.
        """
        is_foreign = _FOREIGN.match(text.replace("\\", "/")) is not None
        wanted = [part for part in _plain(text).split("/") if part not in ("", ".", "..")]
        if not wanted:
            return []
        candidates = self._by_name.get(wanted[-1], [])
        if not candidates and not wanted[-1].lower().endswith(ENDINGS):
            candidates = self._by_stem.get(wanted[-1], [])
        if not candidates:
            candidates = self._by_folded.get(wanted[-1].casefold(), [])
        is_number = len(wanted) == 1 and wanted[0].isdecimal() and len(wanted[0]) < 16
        if self.by_number and not candidates and is_number:
            return self._by_number.get(int(wanted[0]), [])
        shared = {name: self._shared(wanted, name, is_foreign) for name in candidates}
        most = max(shared.values(), default=0)
        return [name for name, n in shared.items() if n == most and n > 0]

    @cached_property
    def _by_number(self) -> dict[int, list[str]]:
        return _numbered(self.names)

    @cached_property
    def _by_folded(self) -> dict[str, list[str]]:
        """Images by their names in lower case, as a system that knows no case would find them."""
        by_name: dict[str, list[str]] = {}
        for last, names in self._by_name.items():
            by_name.setdefault(last.casefold(), []).extend(names)
        return by_name

    def _shared(self, wanted: Sequence[str], name: str, is_foreign: bool) -> int:
        """How many last parts of a path agree with the image's; 0 where it must be another one."""
        own = _plain(name).split("/")
        own[-1] = wanted[-1]  # which is how the image was found
        n = 1
        while n < min(len(own), len(wanted)) and own[-1 - n] == wanted[-1 - n]:
            n += 1
        if n == len(wanted):
            return n
        before = wanted[-1 - n]  # a folder of the text that the image is not in
        if n == len(own):
            leads_here = before == self._root
            other_part = part_in(before) and part_in(before) != part_in(self._root)
            is_whole = n > _FEW_FOLDERS  # all of a long way: the set's own folder was renamed
            return n if leads_here or ((is_foreign or is_whole) and not other_part) else 0
        parts = part_in(before), part_in(own[-1 - n])
        is_enough = n > 1 or holds_images(own[-2])
        return n if is_foreign and is_enough and not (all(parts) and parts[0] != parts[1]) else 0


def _numbered(names: Sequence[str]) -> dict[int, list[str]]:
    """Images by number, where their names are one word, the same for all, and a number."""
    fits = [re.fullmatch(r"(\D*)(\d{1,15})", stem_of(name.rsplit("/", 1)[-1])) for name in names]
    if None in fits or len({fit[1] for fit in fits if fit is not None}) != 1:
        return {}
    by_number: dict[int, list[str]] = {}
    for name, fit in zip(names, fits, strict=True):
        by_number.setdefault(int(fit[2]) if fit is not None else 0, []).append(name)
    return by_number


def folder_of_label(label: str, folders: Collection[str]) -> str:
    """The class folder that a label means: of its name, else of its number (`7`: `00007`)."""
    if label in folders or not _is_number(label):
        return label
    same = [name for name in folders if _is_number(name) and int(name) == int(label)]
    return same[0] if len(same) == 1 else label


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 16


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text.replace("\\", "/"))
