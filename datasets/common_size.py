"""The size that a set of images of several sizes gets where nobody says one, and whether it fits.

In: (height, width) of images. Out: the commonest of them, and a warning where it is that of few.
It stands alone because image files and the items of a user's own code are brought to a size alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

Size = tuple[int, int]  # (height, width)
_FEW = 10  # one in so many


def commonest_size(sizes: Iterable[Size]) -> Size:
    """The size that most images have; of equals the smaller one."""
    counts = Counter(sizes)
    return min(counts, key=lambda size: (-counts[size], size), default=(1, 1))


def few_of_a_size(sizes: Sequence[tuple[Size, str]], size: Size) -> list[str]:
    """A warning where one image, or a tenth or fewer, have the size to which all are brought.

    Args:
        sizes: of the images that chose, with their names; empty where somebody said the size.
        size: the chosen one.
    """
    of_it = [name for each, name in sizes if each == size]
    is_common = len(of_it) > 1 and len(of_it) * _FEW > len(sizes)
    if is_common or len({each for each, _ in sizes}) < 2:
        return []
    height, width = size
    if len(of_it) == 1:
        why = f"no two of {len(sizes):,} images have the same size, so the smallest decided"
    else:
        why = f"only {len(of_it):,} of {len(sizes):,} images have the commonest size, which decided"
    return [
        f"{why}: all were brought to {width}×{height} pixels (width × height), those of "
        f"{of_it[0]}; say another size: model: {{image_size: [HEIGHT, WIDTH]}}"
    ]
