"""The benchmark of several processes: it compares programs that do the same."""

from __future__ import annotations

import pytest

from benchmarks import workers


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_sums_of_two_processes_are_those_of_distributed_data_parallel_bit_for_bit():
    """Slow: two processes that import torch and build five networks each."""
    results = workers.run(2, ("squeezenet1_0", 32, 4, 2))
    for _, seconds, apart in results:
        assert apart == 0.0
        assert list(seconds) == list(workers.PROGRAMS)
        assert all(s > 0 for s in seconds.values())
