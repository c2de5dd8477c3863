"""What `auto` comes to, and what GPUs of a worker may be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from harness.sweepfile.settings import Resources
from headstart.settings import Measure


@pytest.mark.parametrize(
    ("written", "n_gpus", "gpus", "pack"),
    [
        ({}, 0, 0, 1),
        ({}, 1, 1, "auto"),
        ({}, 8, 1, "auto"),
        ({"pack": 5}, 0, 0, 5),
        ({"pack": 5}, 8, 1, 5),
        ({"gpus": 0}, 8, 0, 1),
        ({"gpus": 0.25}, 0, 0.25, "auto"),  # refused where there is none, never put on CPUs
        ({"workers": 2}, 8, 1, 1),  # several workers run one trial after another
        ({"fuse": "always"}, 0, 0, 1),
    ],
)
def test_auto_comes_to_a_gpu_a_worker_where_there_is_one(written, n_gpus, gpus, pack):
    resources = Resources(**written)
    settled = resources.settled(n_gpus)
    assert (settled.gpus, settled.pack) == (gpus, pack)
    assert settled.device == ("cuda" if gpus else "cpu")
    assert settled.gpus_per_trial == gpus * resources.workers
    kept = ("cpus", "workers", "fuse", "max_failures")
    assert all(getattr(settled, name) == getattr(resources, name) for name in kept)
    assert settled.settled(0) == settled, "what is decided stays"


def test_the_default_leaves_both_to_the_machine():
    assert (Resources().gpus, Resources().pack) == ("auto", "auto")


@pytest.mark.parametrize("gpus", [-1, True, "all", "1", float("nan"), None, [1]])
def test_gpus_that_are_neither_a_number_nor_auto_are_refused(gpus):
    with pytest.raises(ValidationError, match="neither a number from 0 to 1 nor auto"):
        Resources(gpus=gpus)


def test_none_in_place_of_images_is_no_audit():
    assert [Measure(audit=each).audit for each in ("none", None, "all", 300)] == [
        None,
        None,
        "all",
        300,
    ]
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        Measure(audit=1)
