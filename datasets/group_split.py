"""Whole groups of images shared out among parts, each part as near as can be to what it asks for.

In: how many images of each class every group has, and how many each part wants. Out: the part of
each group. It knows numbers only. It stands alone because it is a search, and the rest of a split
is counting.

scikit-learn's StratifiedGroupKFold gives folds of one size, and puts the largest groups first, so
that many draws resemble each other. Here the parts have any size, a random draw comes first, and
moves and exchanges of groups mend it for as long as they make it better.
"""

from __future__ import annotations

import numpy as np

UNUSED = -1
_PASSES = 20  # most searches end after three to six
_LOOKED_AT = 1000  # groups in one pass; so many exchanges bring any number of groups near enough
_TRIED = 48  # groups that one group is tried against, in exchange
_NO_IMAGE = 10.0  # of a class in a part that wants it, beside the squares of what is missing


def assign_groups(counts: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The part of each group, int64 (n_groups,), `UNUSED` where it is in none.

    Args:
        counts: int64 (n_groups, n_classes), the images of each group.
        wanted: int64 (n_parts, n_classes), the images that each part asks for; train comes first.
            Where they add up to all images, every group is used.
        rng: draws first, and the order in which the search looks.
    """
    if len(counts) == 0:
        return np.empty(0, np.int64)
    search = _Search(counts, wanted)
    part_of = search.random_start(rng)
    for _ in range(_PASSES):
        if not search.one_pass(part_of, rng):
            break
    return np.where(part_of < len(wanted), part_of, UNUSED)


class _Search:
    """What each part has and wants. The last row is a part that wants nothing: what is not used."""

    def __init__(self, counts: np.ndarray, wanted: np.ndarray):
        n_parts, n_classes = wanted.shape
        self.counts = counts.astype(np.float64)
        self.wanted = np.vstack([wanted, np.zeros(n_classes)]).astype(np.float64)
        self.has = np.zeros_like(self.wanted)
        is_open = [*(wanted.sum(1) > 0), bool(wanted.sum() < counts.sum())]
        self.open = np.flatnonzero(is_open)
        self.absence = np.full((n_parts + 1, 1), _NO_IMAGE)
        # A class that cannot be learned is worse than any count that is missed.
        self.absence[0] = 1000 + float(counts.sum()) ** 2 * n_classes
        self.counted = np.ones(n_parts + 1)
        self.counted[n_parts] = 0  # how much is not used is nobody's wish

    def cost(self, parts: np.ndarray, has: np.ndarray) -> np.ndarray:
        """How far `parts` (n,) are from what they want if they have `has` (n, n_classes)."""
        wanted = self.wanted[parts]
        by_class = ((has - wanted) ** 2 / (wanted + 1)).sum(1)
        total = wanted.sum(1)
        in_all = (has.sum(1) - total) ** 2 / (total + 1) * wanted.shape[1]
        absent = ((wanted > 0) & (has < 0.5)) * self.absence[parts]
        costs: np.ndarray = self.counted[parts] * (by_class + in_all + absent.sum(1))
        return costs

    def random_start(self, rng: np.random.Generator) -> np.ndarray:
        """Each group in a part at random, by the room that is left there."""
        sizes, order = self.counts.sum(1), rng.permutation(len(self.counts))
        whole = self.wanted.sum(1)
        whole[-1] = max(0.0, sizes.sum() - whole.sum())
        room = {int(part): float(whole[part]) for part in self.open}
        part_of = np.empty(len(self.counts), np.int64)
        for group, drawn in zip(order.tolist(), rng.random(len(order)).tolist(), strict=True):
            chances = {part: left for part, left in room.items() if left > 0}
            chances = chances or {part: float(whole[part]) for part in room}
            part = _drawn(chances, drawn)
            part_of[group] = part
            room[part] -= sizes[group]
        np.add.at(self.has, part_of, self.counts)
        return part_of

    def one_pass(self, part_of: np.ndarray, rng: np.random.Generator) -> bool:
        """Move or exchange groups, each where that is better; whether any was and more is to do."""
        everywhere, is_better = np.arange(len(self.wanted)), False
        for group in rng.permutation(len(part_of))[:_LOOKED_AT]:
            if self._moved(part_of, group) or self._exchanged(part_of, group, rng):
                is_better = True
                if self.cost(everywhere, self.has).sum() < 1e-9:
                    return False
        return is_better

    def _moved(self, part_of: np.ndarray, group: int) -> bool:
        own, size = part_of[group], self.counts[group]
        others = self.open[self.open != own]
        if len(others) == 0:
            return False
        gain = self.cost(others, self.has[others] + size) - self.cost(others, self.has[others])
        gain += self._change(own, -size)
        best = int(gain.argmin())
        if gain[best] > -1e-9:
            return False
        self._put(part_of, group, int(others[best]))
        return True

    def _exchanged(self, part_of: np.ndarray, group: int, rng: np.random.Generator) -> bool:
        own = part_of[group]
        tried = rng.integers(len(part_of), size=_TRIED)
        tried = tried[part_of[tried] != own]
        if len(tried) == 0:
            return False
        parts, step = part_of[tried], self.counts[tried] - self.counts[group]
        owns = np.full(len(tried), own)
        gain = self.cost(parts, self.has[parts] - step) - self.cost(parts, self.has[parts])
        gain += self.cost(owns, self.has[own] + step) - self.cost(owns, self.has[owns])
        best = int(gain.argmin())
        if gain[best] > -1e-9:
            return False
        other, part = int(tried[best]), int(parts[best])
        self._put(part_of, other, own)
        self._put(part_of, group, part)
        return True

    def _change(self, part: int, step: np.ndarray) -> float:
        parts = np.array([part])
        has = self.has[parts]
        return float((self.cost(parts, has + step) - self.cost(parts, has))[0])

    def _put(self, part_of: np.ndarray, group: int, part: int) -> None:
        self.has[part_of[group]] -= self.counts[group]
        self.has[part] += self.counts[group]
        part_of[group] = part


def _drawn(chances: dict[int, float], at: float) -> int:
    """One of the keys, by their chances and a number that was drawn from 0 … 1."""
    left = at * sum(chances.values())
    for part, chance in chances.items():
        left -= chance
        if left < 0:
            return part
    return next(reversed(chances))
