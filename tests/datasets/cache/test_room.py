"""The sets used longest ago go first, one that is open never; what is too large is said."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from data_files import dataset_of, request

from datasets.base import DatasetOptions
from datasets.cache import room
from datasets.cache.cached import cached
from headstart.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 255, (100, 1, 100, 100), dtype=np.uint8)  # 1 MB
OPEN = "import pathlib, sys; from datasets.cache.room import mark_used; "
OPEN += "mark_used(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"


class Options(DatasetOptions):
    seed: int = 0


def load(folder, name):
    source = folder / "source.bin"
    source.touch()
    build = lambda asked: dataset_of(np.arange(100) % 2, images=IMAGES)  # noqa: E731
    return cached(name, 1, Options(), request(folder), [source], build, may_repeat=False)


def names(folder):
    entries = (folder / "cache" / "decoded").glob("[!.]*")
    return sorted(entry.name.split("-")[0] for entry in entries)


@pytest.fixture
def three_sets(tmp_path, monkeypatch):
    """Loaded by commands that have ended: `first` was used last of all."""
    for name in ("first", "second", "third"):
        load(tmp_path, name)
    folder = tmp_path / "cache" / "decoded"
    for name, when in (("second", 1.0e9), ("third", 1.1e9), ("first", 1.2e9)):
        os.utime(next(folder.glob(f"{name}-*")) / "meta.json", (when, when))
    for mark in folder.glob(".*.tmp"):
        mark.unlink()
    monkeypatch.setenv("HEADSTART_DECODED_GB", "0.0035")
    return tmp_path


def test_the_set_used_longest_ago_goes_and_that_is_said(three_sets, capfd):
    load(three_sets, "fourth")
    assert names(three_sets) == ["first", "fourth", "third"]
    (line,) = capfd.readouterr().err.splitlines()
    assert "second-" in line
    assert "removed to make room (HEADSTART_DECODED_GB=0.0035): 0.00 GB, last used on 2001-" in line


def test_what_a_running_command_has_open_stays(three_sets):
    (second,) = (three_sets / "cache" / "decoded").glob("second-*")
    with subprocess.Popen(
        [sys.executable, "-c", OPEN, second], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as command:
        assert command.stdout.readline() == b"open\n"
        load(three_sets, "fourth")
        assert "second" in names(three_sets)
        assert "third" not in names(three_sets)
        command.stdin.close()
    os.utime(second / "meta.json", (1, 1))
    load(three_sets, "fifth")
    assert "second" not in names(three_sets)


def test_without_a_limit_a_quarter_of_the_free_disk_stays_free(three_sets, monkeypatch, capfd):
    monkeypatch.delenv("HEADSTART_DECODED_GB")
    load(three_sets, "fourth")
    assert len(names(three_sets)) == 4
    capfd.readouterr()
    folder = three_sets / "cache" / "decoded"

    def disk_usage(path):
        """Of a disk of 4.5 MB: a quarter is no set's, so three sets of 1 MB fit."""
        taken = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return SimpleNamespace(free=4_500_000 - taken)

    monkeypatch.setattr(room.shutil, "disk_usage", disk_usage)
    load(three_sets, "fifth")
    assert names(three_sets) == ["fifth", "first", "fourth"]
    lines = capfd.readouterr().err.splitlines()
    assert ["second-" in lines[0], "third-" in lines[1]] == [True, True]
    assert "removed to make room (without HEADSTART_DECODED_GB: three quarters of" in lines[0]


def test_a_set_that_is_larger_than_the_limit_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_DECODED_GB", "0.0001")
    with pytest.raises(InputError, match=r"decoded images take 0.00 GB, and HEADSTART_DECODED_GB"):
        load(tmp_path, "large")
    monkeypatch.setenv("HEADSTART_DECODED_GB", "many")
    with pytest.raises(InputError, match="'many': a number of gigabytes over 0 is expected"):
        load(tmp_path, "large")


def test_a_disk_that_is_too_small_is_one_line_before_anything_is_written(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 900_000})
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: usage)
    monkeypatch.delenv("HEADSTART_DECODED_GB", raising=False)
    with pytest.raises(
        InputError, match=r"take 0.00 GB here.* 0.00 GB are free; .*free some space"
    ):
        load(tmp_path, "large")
    assert names(tmp_path) == []
