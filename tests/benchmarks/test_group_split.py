"""Both ways share out the same groups, and what the table measures of them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.group_split import PARTS, grouped, measured, ours, theirs

DATA = grouped("tiny", np.tile([0, 1], 120), np.repeat(np.arange(40), 6))


@pytest.mark.parametrize("search", [ours, theirs])
@pytest.mark.parametrize("folds", PARTS.values())
def test_groups_stay_whole_and_equal_ones_give_parts_of_the_sizes_asked_for(search, folds):
    for draw in (0, 7):
        part_of = search(DATA, folds, draw)
        whole = part_of.reshape(40, 6)
        assert (whole == whole[:, :1]).all()
        asked = [len(part_of) * n / sum(folds) for n in folds]
        assert np.bincount(part_of).tolist() == asked


def test_the_measures_of_a_split_worked_out_by_hand():
    """Test parts of 1 and 3 images, where 2 were asked for; the first has no image of class 0."""
    data = grouped("tiny", np.array([0] * 6 + [1] * 4), np.arange(10))
    splits = [np.array([0] * 6 + [0, 0, 0, 1]), np.array([1, 0, 0, 0, 0, 0, 1, 1, 0, 0])]
    cells = measured(data, (4, 1), lambda data, folds, draw: splits[draw], 2).split(" | ")
    assert cells[:5] == ["50.00 %", "43.33", "60.00", "1 of 4", "2 of 2"]
