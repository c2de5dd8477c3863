"""Which of a folder's images stand for all of them, where all would take too long to look at.

In: names of files and what their headers say. Out: how many pixels there are, and a sample that
keeps the shares of classes and parts. It stands alone because a description of a data set needs it
and a sweep never does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from datasets.base import Survey
from datasets.common_size import Size
from datasets.files.image_kinds import ending_of
from datasets.files.trees import Tree
from datasets.images.decode import read_image_size
from headstart.errors import DataError

_HEADERS = 200  # files of which the header is read; each is read from the disk as a whole
_LONGER_SIDE = 256  # pixels that an image of a sample is scaled to


def header_sizes(tree: Tree, files: Sequence[str]) -> list[Size]:
    """(height, width) of evenly spaced files; those that cannot be read are left out."""
    sizes = []
    for name in files[:: max(1, len(files) // _HEADERS)]:
        with suppress(DataError):  # decoding it says what is wrong
            sizes.append(read_image_size(tree.read(name), tree.label(name)))
    return sizes


def sample_of(strata: Sequence[object], sizes: Sequence[Size], most_pixels: int) -> np.ndarray:
    """Indices of all images, or of a sample where they have more than `most_pixels` together.

    Args:
        strata: class and part of each image; of each at least one image is in the sample.
        sizes: of some of the images.
        most_pixels: that may be decoded.
    """
    pixels = float(np.mean([height * width for height, width in sizes] or [1]))
    if len(strata) * pixels <= most_pixels:
        return np.arange(len(strata))
    share = most_pixels / (len(strata) * pixels)
    members: dict[object, list[int]] = {}
    for index, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(index)
    chosen = [_evenly(each, max(1, round(share * len(each)))) for each in members.values()]
    return np.sort(np.concatenate(chosen))


def small_size(sizes: Sequence[Size]) -> Size:
    """The median size, scaled so that its longer side has 256 pixels at most."""
    height, width = middle_size(sizes)
    scale = min(1.0, _LONGER_SIDE / max(height, width))
    return max(1, round(scale * height)), max(1, round(scale * width))


def middle_size(sizes: Sequence[Size]) -> Size:
    """The one of median area."""
    return sorted(sizes, key=_area)[len(sizes) // 2] if sizes else (1, 1)


def survey(
    files: Sequence[str],
    strata: Sequence[tuple[str, str]],
    sizes: Sequence[Size],
    *,
    is_sample: bool,
    n_decoded: int,
) -> Survey:
    """What names and headers say; `strata` are (part, class) of each file."""
    counts: dict[str, dict[str, int]] = {}
    for (part, name), n in Counter(strata).items():
        counts.setdefault(part or "all", {})[name] = n
    kinds = Counter(ending_of(name) or "without ending" for name in files)
    ordered = sorted(sizes, key=_area)
    named = [ordered[0], middle_size(ordered), ordered[-1]] if ordered else []
    return Survey(
        n_files=len(files),
        is_sample=is_sample,
        n_decoded=n_decoded,
        n_sizes=len(sizes),
        sizes=tuple((width, height) for height, width in named),
        kinds=dict(sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))),
        counts=counts,
    )


def _area(size: Size) -> int:
    return size[0] * size[1]


def _evenly(members: Sequence[int], n: int) -> np.ndarray:
    places = np.linspace(0, len(members) - 1, n).round().astype(np.int64)
    return np.array(members, np.int64)[places]
