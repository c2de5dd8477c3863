"""Which faults run: a fixed sample, or the whole where HEADSTART_FAULTS=all asks for it.

It stands alone because test files ask while they are collected, before any fixture.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
SEED = int(os.environ.get("HEADSTART_FAULTS_SEED", "0"))


def is_whole() -> bool:
    asked = os.environ.get("HEADSTART_FAULTS", "")
    assert asked in ("", "all"), f"HEADSTART_FAULTS={asked}: 'all', or nothing, is expected"
    return asked == "all"


def chosen(whole: Sequence[T], sample: Sequence[T]) -> list[T]:
    """The cases to run; the sample is a part of the whole."""
    assert all(case in whole for case in sample), "a case of the sample is not one of the whole"
    return list(whole if is_whole() else sample)


def generator(name: str) -> random.Random:
    """The draws of one case: of its name and HEADSTART_FAULTS_SEED alone."""
    return random.Random(f"{SEED} {name}")
