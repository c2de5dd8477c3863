"""The benchmark of many JPEGs: what it counts of processes, and that its images differ."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2

from benchmarks import streaming

HOLDS = """
import os, sys
memory = bytearray(50_000_000)
memory[::4096] = b"x" * len(memory[::4096])
files = [open(os.devnull) for _ in range(7)]
print("ready", flush=True)
sys.stdin.read()
"""


def test_memory_and_files_of_a_process_and_of_what_it_started_are_counted():
    watch = streaming.Watch(os.getpid())
    watch.look()
    before, files_before = watch.together, watch.n_files
    command = [sys.executable, "-c", HOLDS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert child.pid in watch.pids()
        watch.look()
        child.stdin.close()
    assert watch.together - before > 50_000_000
    assert watch.n_files - files_before >= 7
    assert 50_000_000 < watch.largest < watch.together
    assert child.pid not in streaming.Watch(os.getpid()).pids()


def test_images_are_as_many_as_asked_for_and_differ(tmp_path):
    streaming.make_images(tmp_path / "images", 40)
    paths = sorted((tmp_path / "images").rglob("*.jpg"))
    images = {cv2.imread(str(path)).tobytes() for path in paths}
    assert len(paths) == len(images) == 40
    assert len(list((tmp_path / "images").iterdir())) == streaming.N_CLASSES
    assert {len(image) for image in images} == {3 * streaming.SIZE**2}


def test_images_of_an_earlier_command_are_taken_up(tmp_path):
    streaming.make_images(tmp_path / "at once", 30)
    folder = tmp_path / "in steps"
    streaming.make_images(folder, 20)
    begun = min(folder.rglob("*.jpg"))
    at = begun.stat().st_mtime_ns
    for n, expected in ((30, 30), (10, 10)):
        streaming.make_images(folder, n)
        made = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.jpg")}
        assert len(made) == expected
        for path, content in made.items():
            assert (tmp_path / "at once" / path).read_bytes() == content
    assert begun.stat().st_mtime_ns == at
