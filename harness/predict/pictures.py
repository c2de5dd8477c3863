"""Pictures that a person names, without labels → images as a network knows them, some at a time.

In: paths of image files, folders and archives. Out: names and images. Nothing is kept, so there may
be more pictures than fit into memory. It stands alone because a set with labels is read by
`harness.evaluate.test_sets`, which needs a class for each; what prepares an image is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from datasets.files.image_kinds import (
    ENDINGS,
    KINDS_READ,
    Also,
    is_image_name,
    kinds_of,
    left_out_by_setting,
)
from datasets.files.peek import refuse_pointers
from datasets.files.trees import Tree, is_archive, open_tree, tree_of_files
from datasets.images.blocks import Decoding, decode_each_block, outcome_of
from datasets.images.decode import OnDamaged
from datasets.locations import check_plain
from harness.evaluate.test_sets import SKIP_FLAG, Preparation
from headstart.caches import expanded
from headstart.errors import DataError

CHUNK_BYTES = 256 << 20  # of images that the networks are shown at once


@dataclass(frozen=True)
class Pictures:
    """Image files in one place.

    Attributes:
        tree: where they lie.
        names: of the pictures in it.
        notes: what must be said of them.
    """

    tree: Tree
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass
class Chunk:
    """Pictures that are shown at once: their paths, and uint8 (n, C, H, W)."""

    files: list[str] = field(default_factory=list)
    stacks: list[np.ndarray] = field(default_factory=list)

    @property
    def images(self) -> np.ndarray:
        return np.concatenate(self.stacks).transpose(0, 3, 1, 2)

    @property
    def n_bytes(self) -> int:
        return sum(stack.nbytes for stack in self.stacks)


@contextmanager
def open_pictures(given: Sequence[Path], also: Sequence[Also] = ()) -> Iterator[list[Pictures]]:
    """The pictures of each path, in the order given; `also` as of `datasets.sets.folder`.

    Raises:
        DataError: a path that is not there, holds no picture, or cannot be read.
    """
    paths = [expanded(path) for path in given]
    for path in paths:
        _check(path)
    with ExitStack() as stack:
        pictures: list[Pictures] = []
        for is_loose, group in groupby(paths, _is_loose):
            if is_loose:
                tree = tree_of_files(list(group))
                pictures.append(Pictures(tree, tree.names))
            else:
                trees = (stack.enter_context(open_tree(path)) for path in group)
                pictures += [_pictures_of(tree, also) for tree in trees]
        yield pictures


def chunks(
    pictures: Pictures, prepare: Preparation, on_damaged: OnDamaged, notes: list[str]
) -> Iterator[Chunk]:
    """The prepared pictures, one `Chunk` after another; what must be said is added to `notes`.

    Raises:
        DataError: a damaged picture, or all of them; samples of 16 bits that are all nearly black.
    """
    how = Decoding(prepare.shape, on_damaged, prepare.as_gray, prepare.value_range, SKIP_FLAG)
    records: list[Any] = []
    chunk, n_done = Chunk(), 0
    for stack, record in decode_each_block(pictures.tree, pictures.names, how):
        names = pictures.names[n_done : n_done + record["names"]]
        n_done += len(names)
        records.append(record)
        if stack is None:
            continue
        good = (name for name, flag in zip(names, record["good"], strict=True) if flag == "1")
        chunk.files += [pictures.tree.label(name) for name in good]
        chunk.stacks.append(stack)
        if chunk.n_bytes >= CHUNK_BYTES:
            yield chunk
            chunk = Chunk()
    if chunk.files:
        yield chunk
    notes += outcome_of(pictures.tree, pictures.names, records).notes


def _is_loose(path: Path) -> bool:
    return not path.is_dir() and not is_archive(path)


def _check(path: Path) -> None:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    check_plain(path)
    refuse_pointers([path])
    if _is_loose(path) and not path.name.lower().endswith(ENDINGS):
        raise DataError(
            f"{path}: no picture by its name; give image files ({KINDS_READ}), folders of them, or "
            ".zip, .tar and .tgz files of them"
        )


def _pictures_of(tree: Tree, also: Sequence[Also]) -> Pictures:
    names = tuple(name for name in tree.names if is_image_name(name, also))
    others = [name for name in tree.names if not name.lower().endswith(ENDINGS)]
    notes = left_out_by_setting(tree.names, also)
    if not names:
        there = f"; it holds {kinds_of(tree.names)}" if tree.names else "; it is empty"
        raise DataError(f"{tree.where}: no pictures in it{there}; {KINDS_READ} are read")
    if others:
        notes = (*notes, f"{tree.where}: files of other kinds were not read: {kinds_of(others)}")
    return Pictures(tree, names, notes)
