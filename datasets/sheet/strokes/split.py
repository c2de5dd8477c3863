"""A mark that holds several digits → one mark each, cut where least ink is crossed.

In: a mark and how many digits it should hold. Out: as many marks, or none where no cut is good. It
stands alone because it looks at the ink of one mark only, whatever stands around it.
"""

from __future__ import annotations

import numpy as np

from datasets.sheet.strokes.marks import Mark


def split_wide(mark: Mark, n: int, pen: float) -> list[Mark] | None:
    """Cut a mark into `n` side by side along the paths that cross least ink.

    None where a cut would go through more than two strokes' worth of ink (`pen` is a stroke's
    thickness in pixels) or leave a part too small to be a digit.
    """
    parts, rest = [], mark
    for i in range(n, 1, -1):
        at = rest.width / i
        reach = max(2, round(0.3 * at))
        cut = _seam(rest.mask, max(1, round(at - reach)), min(rest.width - 1, round(at + reach)))
        if cut is None or cut[1] > 2.5 * pen:
            return None
        columns = np.arange(rest.width)[None]
        head, tail = rest.part(columns < cut[0][:, None]), rest.part(columns >= cut[0][:, None])
        if head is None or tail is None:
            return None
        parts.append(head)
        rest = tail
    parts.append(rest)
    if min(part.height for part in parts) < 0.5 * mark.height:
        return None
    return parts


def split_tall(mark: Mark, n: int, pen: float) -> list[Mark] | None:
    """The same for digits of neighbouring rows that touch: cut one above the other."""
    lying = Mark(mark.top, mark.left, mark.mask.T)
    parts = split_wide(lying, n, pen)
    return parts and [Mark(part.top, part.left, part.mask.T) for part in parts]


def _seam(mask: np.ndarray, first: int, last: int) -> tuple[np.ndarray, float] | None:
    """The path from top to bottom within columns first..last that crosses least ink.

    Returns int (h,), the column of the cut in each row, and the ink pixels crossed; moves of one
    column a row are free but for a small charge, so that cuts are straight where they may be.
    """
    if last <= first:
        return None
    ink = mask[:, first : last + 1].astype(np.float32)
    middle = np.abs(np.arange(ink.shape[1]) - (ink.shape[1] - 1) / 2) / ink.shape[1]
    cost = ink + 0.02 * middle[None]
    total = cost.copy()
    back = np.zeros(cost.shape, np.int8)
    choices = np.full((3, cost.shape[1]), np.inf)  # from the left, straight, right
    for row in range(1, len(cost)):
        above = total[row - 1]
        choices[0, 1:], choices[1], choices[2, :-1] = above[:-1] + 0.05, above, above[1:] + 0.05
        back[row] = choices.argmin(0) - 1
        total[row] += choices.min(0)
    column = int(total[-1].argmin())
    path = np.empty(len(cost), int)
    for row in range(len(cost) - 1, -1, -1):
        path[row] = column
        column += int(back[row, column])
    crossed = float(ink[np.arange(len(ink)), path].sum())
    return path + first, crossed
