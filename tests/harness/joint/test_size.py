"""How many seeds are fused, from free memory and a few timings."""

from __future__ import annotations

import pytest

from harness.joint.fused import FusedJoint
from harness.joint.size import (
    Measured,
    choose_pack_size,
    measure_steps,
    most_that_fit,
    search_pack_size,
)
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue

GB = 10**9


def test_the_fastest_size_for_each_seed_is_chosen():
    """Per seed: 1, 0.6, 0.4, 0.5."""
    assert choose_pack_size(GB, 10, 20, {1: 1.0, 2: 1.2, 4: 1.6, 8: 4.0}) == 4


def test_a_smaller_pack_is_chosen_where_a_larger_one_gains_nothing():
    """8 is 1 % faster a seed than 4: not worth twice the memory."""
    assert choose_pack_size(GB, 10, 20, {1: 1.0, 4: 1.6, 8: 3.168}) == 4


def test_only_what_fits_counts():
    """100 fixed and 50 a seed: (0.8 × 500 − 150) / 50 = 5 further seeds."""
    assert most_that_fit(500, 150, 200) == 6
    seconds = {1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0}
    assert choose_pack_size(500, 150, 200, seconds) == 4
    assert choose_pack_size(100, 150, 200, seconds) == 1


def test_memory_that_does_not_grow_is_not_taken_for_free():
    """A second seed that seems to cost nothing is taken to cost what the first did."""
    assert most_that_fit(1000, 100, 100) == 8
    assert most_that_fit(1000, 100, 90) == 8
    assert most_that_fit(1000, 0, 0) == 801  # a device that counts nothing


@pytest.mark.parametrize("seconds", [{}, {1: 0.0}, {1: 1.0, 2: -1.0}, {0: 1.0}])
def test_what_cannot_have_been_measured_is_refused(seconds):
    with pytest.raises(ValueError, match="seconds over 0"):
        choose_pack_size(GB, 10, 20, seconds)


def probe(seconds, n_bytes, seen):
    def measure(k):
        seen.append(k)
        return Measured(seconds(k), n_bytes(k))

    return measure


def test_measuring_ends_where_it_is_not_worth_it():
    """A step costs 1 s until 8 seeds fill the card, and then in proportion."""
    seen = []
    size = search_pack_size(256, GB, probe(lambda k: max(1.0, k / 8), lambda k: 10 + k, seen))
    assert size == 8
    assert seen == [1, 2, 4, 8, 16]


def test_measuring_ends_at_the_number_of_trials_and_at_the_memory():
    seen = []
    assert search_pack_size(6, GB, probe(lambda k: 1.0, lambda k: 10 + k, seen)) == 6
    assert seen == [1, 2, 4, 6]
    seen = []
    assert search_pack_size(256, 1000, probe(lambda k: 1.0, lambda k: 100 * k, seen)) == 8
    assert max(seen) == 8
    assert search_pack_size(1, GB, probe(lambda k: 1.0, lambda k: 1, [])) == 1


def test_steps_on_noise_are_timed(write_sweep):
    sweep = load_sweep(write_sweep())
    trial = make_plan(sweep, DataCatalogue()).trials[-1]
    measured = measure_steps(trial, 2, "cpu", FusedJoint)
    assert measured.seconds > 0
    assert measured.n_bytes == 0
