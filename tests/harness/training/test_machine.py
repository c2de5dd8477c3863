"""What a command may take of a machine: its memory, or less where a control group says so."""

from __future__ import annotations

import os

import pytest

from harness.training.machine import fits, memory_here

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_in(folder, own, limits):
    """`own`: what /proc/self/cgroup says; `limits`: by file below the folder of groups."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(own, encoding="utf-8")
    for name, text in limits.items():
        path = folder / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="ascii")
    return memory_here(folder / "proc", folder / "groups")


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/job/step\n", {"job/memory.max": 4000, "job/step/memory.max": "max"}, 4000),
        ("0::/job/step\n", {"job/memory.max": 4000, "job/step/memory.max": 3000}, 3000),
        ("0::/\n", {"memory.max": 5000}, 5000),
        ("0::/../../other\n", {"memory.max": 5000}, 5000),
        ("5:cpu,memory:/a\n2:cpu:/b\n", {"memory/a/memory.limit_in_bytes": 700}, 700),
        ("2:cpu:/b\n", {"memory/b/memory.limit_in_bytes": 700}, PHYSICAL),
        ("0::/job\n", {"job/memory.max": "max"}, PHYSICAL),
        ("0::/job\n", {"job/memory.max": 1 << 62}, PHYSICAL),
        ("what is this", {}, PHYSICAL),
    ],
)
def test_the_smallest_limit_of_all_groups_counts(tmp_path, own, limits, expected):
    assert memory_in(tmp_path, own, limits) == expected


def test_a_machine_without_groups_has_its_memory(tmp_path):
    assert memory_here(tmp_path, tmp_path) == PHYSICAL


def test_what_is_not_known_refuses_nothing():
    assert fits(10**15, None)
    assert fits(10, 10)
    assert not fits(11, 10)
