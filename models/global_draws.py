"""The global random generators, which code of the user's own may draw from: seeded, and given back.

In: a seed. Out: torch's, numpy's and Python's generators in the state that the seed decides. It
stands alone because nothing of ours draws from them; only where code of the user's runs are they
touched at all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

States = tuple[torch.Tensor, Any, Any]  # torch's, numpy's, Python's


def seed_all(seed: int, device: torch.device | None = None) -> None:
    """Seed the generators of the CPU, and that of a GPU where the device is one."""
    torch.default_generator.manual_seed(seed)
    if device is not None and device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - what the user's code draws from
    random.seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The CPU's generators as the seed decides inside of the block, and as they were after it."""
    states = states_of_all()
    try:
        seed_all(seed)
        yield
    finally:
        torch_state, numpy_state, python_state = states
        torch.default_generator.set_state(torch_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def states_of_all() -> States:
    """Where the CPU's generators stand."""
    numpy_state = np.random.get_state(legacy=True)  # noqa: NPY002
    return torch.default_generator.get_state(), numpy_state, random.getstate()


def have_drawn(before: States) -> bool:
    """Whether something was drawn from the CPU's generators since."""
    now = states_of_all()
    arrays = zip(before[1], now[1], strict=True)
    return not (
        torch.equal(before[0], now[0])
        and all(np.array_equal(old, new) for old, new in arrays)
        and before[2] == now[2]
    )
