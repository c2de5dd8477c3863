"""What a command may take of a machine: its memory, or less where a control group says so."""

from __future__ import annotations

import os
import subprocess
import sys

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


FAULTS = """
import ctypes, resource, sys
from harness.training.machine import give_freed_memory_back, keep_freed_memory

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: a page that is huge is one fault
size = int("64000000")

def pages_now():
    return int(open("/proc/self/statm").read().split()[1])

def faults(n):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n):
        b"x" * size  # of a size that is not known when this is compiled
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    keep_freed_memory()
faults(1)
held = pages_now()
n_faults = faults(5)
give_freed_memory_back()
print(n_faults, held - pages_now())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its faults")
def test_freed_memory_is_kept_until_it_is_given_back():
    def look(way: str, **variables: str) -> list[int]:
        argv = [sys.executable, "-c", FAULTS, way]
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("MALLOC_", "GLIBC_"))}
        done = subprocess.run(argv, capture_output=True, text=True, check=True,
                              env={**kept, **variables})  # fmt: skip
        return [int(word) for word in done.stdout.split()]

    (asked, nothing), (kept, given) = look("system"), look("kept")
    block = 64_000_000 // os.sysconf("SC_PAGE_SIZE")
    assert asked > 4 * block
    assert kept < block
    assert given > block / 2 > nothing
    assert look("kept", MALLOC_MMAP_THRESHOLD_="131072")[0] > 4 * block, "the user's own setting"
