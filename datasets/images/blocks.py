"""Many image files → one array of images: decoded on all cores in blocks, in memory or into a file.

In: a `Tree`, the names of its images, and how each becomes an image of the set. Out: the images,
which of the files they are of, and what a report must say. It stands alone because a set may be
larger than memory, and its decoding may be killed and continued: all that is known of a block
travels as one record. What one file may be is in `decode`.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from datasets.base import ImageFile, Measured
from datasets.cache.packed import Decode
from datasets.cache.pages import measured, rows_of_a_block
from datasets.files.places import Place, Reader
from datasets.files.trees import Tree
from datasets.images.bit_depth import ValueRange, check_reach
from datasets.images.decode import Decoded, OnDamaged, decode
from datasets.near_duplicates import is_too_small, looks_at_pictures
from headstart.errors import DataError, InputError
from headstart.processes import n_cores

_NAMED = 5  # files that a note names
_BLOCK_NAMES = 64  # decoded at once where an image's size is not known before


class Shaped(NamedTuple):
    """An image of the set; whether black and white were swapped."""

    pixels: np.ndarray
    was_inverted: bool


TO_SKIP = "set on_damaged: skip"  # how damaged files are left out, in a sweep file

Shape = Callable[[np.ndarray], "np.ndarray | Shaped"]
"""From uint8 (H, W) or (H, W, 3) to an array of one shape for all."""


@dataclass(frozen=True)
class Decoding:
    """How files become images.

    Attributes:
        shape: what is done with each decoded file.
        on_damaged: `refuse`: the first damaged file is an error; `skip`: it is left out.
        as_gray: `shape` gets (H, W) whatever the files are.
        value_range: (black, white), where the samples do not fill the range of their type.
        to_skip: what a person does to have damaged files left out, for messages.
    """

    shape: Shape
    on_damaged: OnDamaged = "refuse"
    as_gray: bool = False
    value_range: ValueRange | None = None
    to_skip: str = TO_SKIP


@dataclass
class Outcome:
    """What is known of all files together.

    Attributes:
        good: bool, one a file: whether it is an image of the set.
        notes: what was skipped, and of which files there was more to read.
        sizes: (height, width) of files to their numbers.
        turned: whether an image was inverted, to numbers of images.
        is_gray: whether no image has colour.
    """

    good: np.ndarray
    notes: tuple[str, ...]
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    turned: Counter[bool] = field(default_factory=Counter)
    is_gray: bool = True


def decode_files(
    tree: Tree,
    names: Sequence[str],
    shape: Shape,
    on_damaged: OnDamaged = "refuse",
    *,
    as_gray: bool = False,
    value_range: ValueRange | None = None,
    to_skip: str = TO_SKIP,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Decode `names` into memory; arguments as of `Decoding`.

    Returns:
        The arrays, stacked; a bool array (len(names),), which of the files they are; notes.

    Raises:
        DataError: a damaged file, or all of them; samples of 16 bits that are all nearly black.
        MissingPackageError: a kind of file whose reader is not installed.
    """
    images, outcome = decode_into_memory(
        tree, names, Decoding(shape, on_damaged, as_gray, value_range, to_skip)
    )
    return images, outcome.good, outcome.notes


def decode_into_memory(
    tree: Tree, names: Sequence[str], how: Decoding
) -> tuple[np.ndarray, Outcome]:
    """The arrays that `how.shape` made, stacked, and what is known; raises as `decode_files`."""
    images: np.ndarray | None = None
    n, records = 0, []
    for stack, record in _blocks(tree, names, how, _BLOCK_NAMES, np.stack):
        if stack is not None:
            if images is None:
                images = np.empty((len(names), *stack.shape[1:]), stack.dtype)
            images[n : n + len(stack)] = stack
            n += len(stack)
        records.append(record)
    outcome = outcome_of(tree, names, records)
    assert images is not None, "an outcome without an image is an error"
    return images[:n], outcome


def decode_each_block(
    tree: Tree, names: Sequence[str], how: Decoding
) -> Iterator[tuple[np.ndarray | None, Mapping[str, Any]]]:
    """The arrays of some files at a time (None where all were skipped), and a record, in order.

    A record has `names`, how many files it is of, and `good`, a `1` or `0` for each; `outcome_of`
    takes all of them. For images that are looked at once and never kept.
    """
    yield from _blocks(tree, names, how, _BLOCK_NAMES, np.stack)


def decode_into_pages(
    tree: Tree, names: Sequence[str], how: Decoding, pages: ImageFile, row: tuple[int, int, int]
) -> Outcome:
    """Decode into a file of rows (C, H, W), going on where a killed command stopped.

    `how.shape` gives uint8 (H, W, C). Where the file has no room, the images stay where they lie.
    Raises as `decode_files` does.
    """
    try:
        records = pages.begin(len(names), row, can_stay=tree.place is not None)
    except InputError as err:
        if tree.place is not None:
            raise
        raise InputError(
            f"{err}. {tree.where} can only be read from its start: unpack it, or pack it as a "
            "plain tar or a zip file, and its images can stay there"
        ) from err
    done = sum(int(record["names"]) for record in records)
    step = rows_of_a_block(int(np.prod(row)))
    ready = partial(_as_rows, with_looks=pages.wants_looks and not is_too_small(row))
    for block, record in _blocks(tree, names[done:], how, step, ready):
        pages.append(block or Measured(np.empty((0, *row), np.uint8), [], []), record)
        records.append(record)
    outcome = outcome_of(tree, names, records)
    if pages.is_kept:
        pages.finish()
    else:
        assert tree.place is not None, "else nothing can stay"
        good = (name for name, is_good in zip(names, outcome.good, strict=True) if is_good)
        pages.stay(decoder_of(how, tree.reader), [tree.place(name) for name in good])
    return outcome


def decoder_of(how: Decoding, reader: Reader) -> Decode:
    """What makes uint8 (C, H, W) of a file in its place; `how.shape` gives (H, W, C)."""

    def decoded(place: Place) -> tuple[np.ndarray, str]:
        where = reader.said(place)
        content = reader.read(place, where)
        file = decode(content, where, as_gray=how.as_gray, value_range=how.value_range)
        made = how.shape(file.pixels)
        pixels = made.pixels if isinstance(made, Shaped) else made
        return pixels.transpose(2, 0, 1), where

    return decoded


def _as_rows(images: Sequence[np.ndarray], with_looks: bool) -> Measured:
    """Of uint8 (H, W, C) each."""
    height, width, channels = images[0].shape
    rows = np.empty((len(images), channels, height, width), np.uint8)
    for row, image in zip(rows, images, strict=True):
        row[...] = image.transpose(2, 0, 1)
    return measured(rows, looks_at_pictures(images) if with_looks else None)


def _blocks(
    tree: Tree,
    names: Sequence[str],
    how: Decoding,
    step: int,
    ready: Callable[[Sequence[np.ndarray]], Any],
) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """`ready` of each block's images (None where it has none), and its record; in order."""

    def work(start: int) -> tuple[Any, Mapping[str, Any]]:
        images, record = _decode_block(tree, names[start : start + step], how)
        return (ready(images) if images else None), record

    starts = iter(range(0, len(names), step))
    with ThreadPoolExecutor(n_cores()) as pool:  # the decoders let go of the interpreter's lock
        ahead: deque[Future[tuple[Any, Mapping[str, Any]]]] = deque()
        try:
            for start in itertools.islice(starts, 2 * n_cores()):
                ahead.append(pool.submit(work, start))
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(work, start) for start in itertools.islice(starts, 1))
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_block(
    tree: Tree, names: Sequence[str], how: Decoding
) -> tuple[list[np.ndarray], Mapping[str, Any]]:
    """The images of some files, and all that is to be known of them, as JSON has it."""
    images: list[np.ndarray] = []
    good, skipped, several, highest = "", [], [], []
    sizes: Counter[tuple[int, int]] = Counter()
    turned: Counter[bool] = Counter()
    for name in names:
        try:
            decoded = _decode_one(tree, name, how)
            made = how.shape(decoded.pixels)
        except DataError as err:
            if how.on_damaged == "refuse":
                raise DataError(f"{err}; mend or remove it, or {how.to_skip}") from err
            skipped.append(str(err))
            good += "0"
            continue
        good += "1"
        sizes[(decoded.pixels.shape[0], decoded.pixels.shape[1])] += 1
        images.append(made.pixels if isinstance(made, Shaped) else made)
        turned[isinstance(made, Shaped) and made.was_inverted] += 1
        several += [name] * decoded.has_more
        highest += [] if decoded.highest is None else [decoded.highest]
    return images, {
        "names": len(names),
        "good": good,
        "skipped": skipped,
        "several": several,
        "highest": highest,
        "sizes": [[height, width, n] for (height, width), n in sizes.items()],
        "inverted": turned[True],
        "gray": all(map(_is_gray, images)),
    }


def _decode_one(tree: Tree, name: str, how: Decoding) -> Decoded:
    return decode(
        tree.read(name), tree.label(name), as_gray=how.as_gray, value_range=how.value_range
    )


def _is_gray(image: np.ndarray) -> bool:
    """Whether the channels of (H, W, C) are equal; (H, W) has one."""
    if image.ndim < 3:
        return True
    first = image[..., 0]
    return all(np.array_equal(first, image[..., channel]) for channel in range(1, image.shape[2]))


def outcome_of(tree: Tree, names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> Outcome:
    """What is known of all blocks together, from their records; raises as `decode_files` does."""
    good = np.array([flag == "1" for record in records for flag in record["good"]], bool)
    skipped = [text for record in records for text in record["skipped"]]
    if not good.any():
        raise DataError(f"{tree.where}: none of {len(names)} images can be read: {skipped[0]}")
    highest = [value for record in records for value in record["highest"]]
    notes = (
        *_skipped_note(skipped, len(names)),
        *_several_note([name for record in records for name in record["several"]]),
        *check_reach(highest, str(tree.where)),
    )
    outcome = Outcome(good, notes, is_gray=all(record["gray"] for record in records))
    for record in records:
        for height, width, n in record["sizes"]:
            outcome.sizes[(height, width)] += n
        outcome.turned[True] += record["inverted"]
        outcome.turned[False] += record["good"].count("1") - record["inverted"]
    return outcome


def _skipped_note(messages: Sequence[str], n_files: int) -> tuple[str, ...]:
    if not messages:
        return ()
    shown = "; ".join(messages[:_NAMED]) + (" …" if len(messages) > _NAMED else "")
    return (f"{len(messages)} of {n_files} image files were damaged and skipped: {shown}",)


def _several_note(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    shown = ", ".join(PurePosixPath(name).name for name in names[:_NAMED])
    more = " …" if len(names) > _NAMED else ""
    files = "1 file holds" if len(names) == 1 else f"{len(names)} files hold"
    return (f"{files} several pictures (pages, frames); the first was read: {shown}{more}",)
