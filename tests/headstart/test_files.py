"""Atomic writes: the old content or the new one, never a part of either; names that are safe."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headstart.errors import StorageError
from headstart.files import (
    atomic_file,
    atomic_path,
    distinct_name,
    make_folder,
    read_mapping,
    remove_dead_temporaries,
    safe_name,
    sync_tree,
    temporary_beside,
    write_json,
)


def test_the_new_content_replaces_the_old_when_the_block_ends(tmp_path):
    target = tmp_path / "table"
    target.write_text("old")
    with atomic_path(str(target)) as temporary:
        assert temporary.parent == tmp_path
        assert re.fullmatch(
            rf"\.table\.[0-9a-f]{{8}}-{os.getpid()}-\d+-[0-9a-f]{{8}}\.tmp", temporary.name
        ), "hidden: readers leave it out"
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["table"]


def write_and_raise(target: Path, error: BaseException) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("a part")
        raise error


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.ENOENT, "no")]
)
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


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EACCES, errno.EFBIG])
def test_a_disk_that_takes_nothing_is_one_line(tmp_path, number):
    with pytest.raises(StorageError) as caught:
        write_and_raise(tmp_path / "table", OSError(number, "no"))
    assert str(caught.value) == f"{tmp_path / 'table'}: cannot be written: {os.strerror(number)}"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_error_after_the_content_was_written_removes_it(tmp_path, monkeypatch, call):
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    (tmp_path / "table").write_text("old")
    monkeypatch.setattr(os, call, broken)
    with pytest.raises(StorageError, match="Input/output error"), atomic_file(tmp_path / "table"):
        pass
    assert (tmp_path / "table").read_text() == "old"
    assert os.listdir(tmp_path) == ["table"]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_no_file(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "table"):
        pass
    assert os.listdir(tmp_path) == []


def test_the_content_is_on_the_disk_before_the_rename_and_its_name_after(tmp_path, monkeypatch):
    calls = flushes(monkeypatch)
    with atomic_file(tmp_path / "table") as file:
        file.write("content")
        assert calls == []
    assert calls == ["flush a file", "rename", f"flush {tmp_path}"]


def flushes(monkeypatch) -> list[str]:
    """What is flushed and renamed from here on, in order."""
    calls = []
    fsync, replace = os.fsync, os.replace

    def note(opened: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(opened).st_mode)
        what = os.readlink(f"/proc/self/fd/{opened}") if is_folder else "a file"
        calls.append(f"flush {what}")
        fsync(opened)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("rename"), replace(*names)))
    return calls


def test_folders_are_made_to_last(tmp_path, monkeypatch):
    calls = flushes(monkeypatch)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert sorted(calls) == [f"flush {tmp_path}", f"flush {tmp_path / 'a'}"]
    calls.clear()
    make_folder(tmp_path / "a" / "b")
    assert calls == []
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


def test_a_tree_is_flushed_whole(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    for name in ("x", "a/y", "a/z"):
        (tmp_path / name).touch()
    calls = flushes(monkeypatch)
    sync_tree(tmp_path)
    assert calls == ["flush a file", f"flush {tmp_path}", *["flush a file"] * 2,
                     f"flush {tmp_path / 'a'}"]  # fmt: skip


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no")

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(StorageError, match="a: cannot be written: No space left"):
        make_folder(tmp_path / "a")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_flush_folders_is_fine(tmp_path, monkeypatch, number):
    fsync = os.fsync

    def refuse(opened: int) -> None:
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            raise OSError(number, "no")
        fsync(opened)

    monkeypatch.setattr(os, "fsync", refuse)
    write_json(tmp_path / "a.json", {})
    assert os.listdir(tmp_path) == ["a.json"]


# -- temporary names -----------------------------------------------------------------------


def test_a_temporary_name_is_never_given_twice(tmp_path, monkeypatch):
    """Process 1 of one container and process 1 of another one write side by side."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert temporary_beside(tmp_path / "a") != temporary_beside(tmp_path / "a")


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 127, ".hidden", "\n", "x.tmp"])
def test_a_temporary_name_fits_into_a_folder(tmp_path, name):
    with atomic_file(tmp_path / name) as file:
        file.write("content")
        (entry,) = os.listdir(tmp_path)
        assert entry.startswith(".")
        assert entry.endswith(".tmp")
    assert os.listdir(tmp_path) == [name]


def left_behind(folder: Path, machine: str = "", **process: object) -> Path:
    """A file as a command left it half-written: of another process, or on another machine."""
    own = temporary_beside(folder / "table").name
    match = re.fullmatch(r"\.table\.(\w+)-(\d+)-(\d+)-(\w+)\.tmp", own)
    assert match is not None
    values = {"pid": match[2], "started": match[3], **process}
    name = f".table.{machine or match[1]}-{values['pid']}-{values['started']}-{match[4]}.tmp"
    (folder / name).write_text("a part")
    return folder / name


def test_what_dead_commands_left_is_removed_and_nothing_else(tmp_path):
    dead = [left_behind(tmp_path, pid=2**22 + 1), left_behind(tmp_path, started=1)]
    folder = temporary_beside(tmp_path / "entry")
    folder.mkdir()
    (folder / "array.npy").touch()
    folder = folder.rename(str(folder).replace(f"-{os.getpid()}-", f"-{2**22 + 1}-"))
    link = left_behind(tmp_path, pid=2**22 + 2)
    link.unlink()
    (tmp_path / "elsewhere").write_text("a user's")
    link.symlink_to(tmp_path / "elsewhere")
    kept = [left_behind(tmp_path), left_behind(tmp_path, machine="0" * 8)]
    for name in ("table", ".table.tmp", ".table.123.tmp", "note.tmp", ".of a user.tmp"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
        kept.append(tmp_path / name)
    remove_dead_temporaries(tmp_path)
    assert set(tmp_path.iterdir()) == {*kept, tmp_path / "elsewhere"}
    assert not any(path.exists() or path.is_symlink() for path in [*dead, folder, link])


@pytest.mark.parametrize("name", ["table", ".hidden", "a[1]*", "ä" * 127])
def test_the_next_write_of_a_file_removes_what_a_dead_command_left_of_it(tmp_path, name):
    dead, other = (
        own.with_name(own.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-"))
        for own in (temporary_beside(tmp_path / name), temporary_beside(tmp_path / "table.other"))
    )
    living = temporary_beside(tmp_path / name)
    for path in (dead, other, living):
        path.touch()
    with atomic_file(tmp_path / name):
        pass
    assert set(tmp_path.iterdir()) == {other, living, tmp_path / name}


def test_what_another_machine_left_goes_when_it_is_a_day_old(tmp_path):
    other = left_behind(tmp_path, machine="0" * 8)
    for age, is_left in ((80_000, True), (-(10**6), True), (90_000, False)):
        at = time.time() - age
        os.utime(other, (at, at))
        remove_dead_temporaries(tmp_path)
        assert other.exists() == is_left
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_holds_nothing_dead(tmp_path):
    remove_dead_temporaries(tmp_path / "nothing")


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


@pytest.mark.parametrize("text", ["scratch", "last_2", "a.b-c", "обучение", "字", "x" * 60])
def test_a_text_that_can_be_a_name_stays_as_it_is(text):
    assert distinct_name(text) == text


@given(st.text(), st.text())
@example("с нуля", "с-нуля")
@example("a b", "a  b")
@example("x" * 61, "x" * 62)
@example("..", "/")
@example("", ".")
@example("\udcff", "\udcfe")
def test_two_texts_never_have_one_name(one, other):
    names = [distinct_name(text) for text in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert name == os.path.basename(name)
        assert name[0] not in ".-"
        assert 0 < len(name.encode()) <= 255


def test_files_can_be_read_by_others(tmp_path):
    """As `open` would make them: a group shares a run folder."""
    before = os.umask(0o022)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o644
