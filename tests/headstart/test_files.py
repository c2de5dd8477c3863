"""Atomic writes: the old content or the new one, never a part of either; names that are safe."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from headstart.errors import StorageError
from headstart.files import atomic_file, atomic_path, read_mapping, safe_name, write_json


def test_the_new_content_replaces_the_old_when_the_block_ends(tmp_path):
    target = tmp_path / "table"
    target.write_text("old")
    with atomic_path(str(target)) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name == f".table.{os.getpid()}.tmp", "hidden: readers leave it out"
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["table"]


def write_and_raise(target: Path, error: BaseException) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("a part")
        raise error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.EIO, "no")])
def test_an_error_in_the_block_leaves_the_old_content_alone(tmp_path, error):
    target = tmp_path / "table"
    target.write_text("old")
    with pytest.raises(type(error)) as caught:
        write_and_raise(target, error)
    assert caught.value is error
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["table"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_which_file_and_what_to_do(tmp_path, number):
    expected = rf"table: cannot be written: {os.strerror(number)}\. Free some space"
    with pytest.raises(StorageError, match=expected):
        write_and_raise(tmp_path / "table", OSError(number, os.strerror(number)))
    assert os.listdir(tmp_path) == []


def test_a_block_that_writes_nothing_is_an_error_and_leaves_no_file(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "table"):
        pass
    assert os.listdir(tmp_path) == []


def test_the_content_is_on_the_disk_before_the_rename(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("flush"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("rename"), replace(*names)))
    with atomic_file(tmp_path / "table") as file:
        file.write("content")
        assert calls == []
    assert calls == ["flush", "rename"]


def test_text_is_utf_8_and_bytes_are_bytes(tmp_path):
    with atomic_file(tmp_path / "text") as file:
        file.write("ä\n")
    assert (tmp_path / "text").read_bytes() == b"\xc3\xa4\n"
    with atomic_file(tmp_path / "bytes", "wb") as file:
        file.write(b"\xff")
    assert (tmp_path / "bytes").read_bytes() == b"\xff"


def test_json_is_written_for_people(tmp_path):
    write_json(tmp_path / "a.json", {"path": Path("x"), "loss": float("nan"), "n": [1]})
    text = (tmp_path / "a.json").read_text()
    assert text == '{\n "path": "x",\n "loss": NaN,\n "n": [\n  1\n ]\n}\n'
    assert json.loads(text)["path"] == "x"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{}", {}),
        ("[1]", {}),
        ('"text"', {}),
        ('{"a": ', {}),
        ("", {}),
        (None, {}),
    ],
)
def test_a_mapping_that_cannot_be_read_is_empty(tmp_path, content, expected):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    assert read_mapping(path) == expected
    assert read_mapping(str(path)) == expected
    assert read_mapping(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scratch", "scratch"),
        ("A_b-c.9", "A_b-c.9"),
        ("pretrained [dense=500]", "pretrained-dense-500"),
        ("../../etc/passwd", "etc-passwd"),
        (".hidden", "hidden"),
        ("ö", "unnamed"),
        ("", "unnamed"),
        ("...", "unnamed"),
        ("a" * 100, "a" * 80),
    ],
)
def test_a_name_of_a_file_is_safe(text, expected):
    assert safe_name(text) == expected


def test_a_name_is_as_long_as_it_may_be():
    assert safe_name("abcdef", 3) == "abc"
    assert safe_name("abc", 3) == "abc"


def test_files_can_be_read_by_others(tmp_path):
    """As `open` would make them: a group shares a run folder."""
    before = os.umask(0o022)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o644
