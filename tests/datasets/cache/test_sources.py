"""Files are known by what they hold, and read again only where something may have changed."""

import json
import os
from pathlib import Path

import pytest

from datasets.cache import sources
from datasets.cache.sources import content_of

LONG_AGO = 10**18  # ns


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    (folder / "a").mkdir(parents=True)
    for name, content in (("a/1.png", b"11"), ("2.png", b"22"), ("labels.csv", b"0,1")):
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def n_read(monkeypatch):
    """How often a file's content is read."""
    read, count = sources._piece, []
    monkeypatch.setattr(sources, "_piece", lambda *args: count.append(args) or read(*args))
    return lambda: len([count.pop() for _ in count[:]])


def later(monkeypatch):
    """So long after the last change that a second one in the same tick is impossible."""
    monkeypatch.setattr(sources.time, "time_ns", lambda: 4 * 10**18)


def test_what_did_not_change_is_read_once(tmp_path, files, n_read, monkeypatch):
    later(monkeypatch)
    first = content_of([files], tmp_path / "memory")
    assert n_read() == 3
    assert content_of([files], tmp_path / "memory") == first
    assert n_read() == 0


def test_a_file_of_the_same_size_and_time_is_another_one(tmp_path, files, monkeypatch):
    later(monkeypatch)
    labels = files / "labels.csv"
    os.utime(labels, ns=(LONG_AGO, LONG_AGO))
    first = content_of([files], tmp_path / "memory")
    labels.write_bytes(b"1,0")
    os.utime(labels, ns=(LONG_AGO, LONG_AGO))
    in_place = content_of([files], tmp_path / "memory")
    new = files.parent / "new.csv"
    new.write_bytes(b"1,1")
    os.utime(new, ns=(LONG_AGO, LONG_AGO))
    new.replace(labels)
    replaced = content_of([files], tmp_path / "memory")
    assert len({str(each) for each in (first, in_place, replaced)}) == 3


def test_what_changed_just_now_is_not_taken_as_known(tmp_path, files, n_read, monkeypatch):
    """A second change in the same tick of the clock would go unseen."""
    monkeypatch.setattr(sources, "_FRESH_S", 3600)  # however slow this machine is
    for _ in range(2):
        content_of([files], tmp_path / "memory")
        assert n_read() == 3


def test_a_damaged_memory_is_read_as_none(tmp_path, files, n_read, monkeypatch):
    later(monkeypatch)
    first = content_of([files], tmp_path / "memory")
    (kept,) = (tmp_path / "memory").iterdir()
    said = json.loads(kept.read_text())
    for content in ("", "[1]", json.dumps({**said, "digests": ["0"] * 5}), '{"digests": 1}'):
        kept.write_text(content)
        n_read()
        assert content_of([files], tmp_path / "memory") == first
        assert n_read() == 3


def test_a_large_file_is_read_in_pieces_and_wholly(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_PIECE", 4)
    path = tmp_path / "large.zip"
    digests = set()
    for content in (b"0123456789", b"0123456780", b"1123456789", b"0123556789"):
        path.write_bytes(content)
        ((_, digest),) = content_of([path], tmp_path / "memory")
        digests.add(digest)
    assert len(digests) == 4


def test_a_pipe_and_a_link_that_leads_nowhere_are_not_waited_for(tmp_path, files):
    os.mkfifo(files / "pipe")
    (files / "link").symlink_to("nowhere")
    (tmp_path / "read-only").write_text("a file, so nothing can be remembered")
    names = [Path(path).name for path, _ in content_of([files], tmp_path / "read-only")]
    assert names == ["2.png", "a", "1.png", "labels.csv", "link", "pipe"]
