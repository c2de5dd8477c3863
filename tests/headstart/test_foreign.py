"""Names and files of a run folder that a stranger made."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from headstart import foreign
from headstart.errors import RunFolderError
from headstart.foreign import checked_name, copy_inside, is_inside, open_inside, read_inside

PLAIN = (
    "trial.json", "curve.parquet", "checkpoints/epoch-0001.safetensors", "0123456789abcdef", "a",
    "trials/0123456789abcdef/state/abc/result/checkpoints/epoch-0001.safetensors", "console.txt",
    "x" * 100,
)  # fmt: skip
HOSTILE = (
    "", "/", ".", "..", "../yaml.py", "a/../../b", "/etc/passwd", "a//b", "a/", "/a", "a/./b",
    ".hidden", "a/.ssh", "~/x", "~", "-rf", "+x", "=1+1", "a\\b", "..\\b", "C:\\x", "C:x", "a b",
    "a\nb", "a\r", "a\x00b", "a\x1b[31m", "\x7f", "é", "ａ", "a\u202eb", "$(id)", "`id`", "a;b",
    "a|b", "a&b", "a>b", "a'b", 'a"b', "%2e%2e", "a*", "a?", "{a,b}", "nul", "CON", "com1.txt",
    "a/NUL.tar", "trailing.", "x" * 101, "a/" * 9 + "a", "/".join(["x" * 99] * 30),
    None, 7, b"trial.json", ["trial.json"], {"a": 1}, True,
)  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names_are_taken(name):
    assert checked_name(name, "record") == name


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_other_names_are_refused_on_one_plain_line(name):
    with pytest.raises(RunFolderError) as caught:
        checked_name(name, "record")
    message = str(caught.value)
    assert message.startswith("record: the name ")
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 250


def test_a_file_is_read_where_it_lies(tmp_path):
    (tmp_path / "trials" / "t").mkdir(parents=True)
    (tmp_path / "trials" / "t" / "x.json").write_bytes(b"content")
    assert read_inside(tmp_path, "trials/t/x.json") == b"content"
    (tmp_path / "link").symlink_to(tmp_path)
    assert read_inside(tmp_path / "link", "trials/t/x.json") == b"content"  # the folder may be one
    assert is_inside(tmp_path, "trials/t/x.json")
    for absent in ("trials/t/y.json", "trials/u/x.json", "trials/t/x.json/z", "nothing"):
        assert not is_inside(tmp_path, absent)
        with pytest.raises(FileNotFoundError):
            open_inside(tmp_path, absent)


def make_link_to_a_file(path, other):
    path.symlink_to(other / "secret")


def make_link_to_nothing(path, other):
    path.symlink_to(other / "nothing")


def make_link_to_itself(path, other):
    path.symlink_to(path)


def make_pipe(path, other):
    os.mkfifo(path)


def make_socket(path, other):
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket has at most 107 bytes
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def make_folder(path, other):
    path.mkdir()


@pytest.mark.parametrize(
    "make",
    [make_link_to_a_file, make_link_to_nothing, make_link_to_itself, make_pipe, make_socket,
     make_folder],
)  # fmt: skip
@pytest.mark.parametrize("read", [read_inside, is_inside])
def test_what_is_no_file_is_not_opened(tmp_path, make, read):
    (tmp_path / "secret").write_text("mine")
    run = tmp_path / "run"
    (run / "trials" / "t").mkdir(parents=True)
    make(run / "trials" / "t" / "predictions.npz", tmp_path)
    with pytest.raises(RunFolderError, match=r"predictions\.npz: (is|cannot be opened)"):
        read(run, "trials/t/predictions.npz")


@pytest.mark.parametrize("linked", ["trials", "trials/t"])
def test_a_link_on_the_way_is_not_followed(tmp_path, linked):
    other = tmp_path / "other" / "t"
    other.mkdir(parents=True)
    (other / "x.json").write_text("mine")
    run = tmp_path / "run"
    run.joinpath(linked).parent.mkdir(parents=True)
    run.joinpath(linked).symlink_to(other.parent if linked == "trials" else other)
    with pytest.raises(RunFolderError, match="links in a run folder are not followed"):
        read_inside(run, "trials/t/x.json")


def test_a_link_that_is_put_there_between_look_and_reading_is_not_followed(tmp_path):
    """A file is swapped for a link to a secret again and again while it is read."""
    (tmp_path / "secret").write_bytes(b"mine")
    run = tmp_path / "run"
    run.mkdir()
    path, spare = run / "x.json", tmp_path / "spare"
    path.write_bytes(b"theirs")
    is_over = threading.Event()

    def swap():
        while not is_over.is_set():
            spare.symlink_to(tmp_path / "secret")
            os.replace(spare, path)
            spare.write_bytes(b"theirs")
            os.replace(spare, path)

    swapper = threading.Thread(target=swap)
    swapper.start()
    contents, n_refused = set(), 0
    n_read, until = 0, time.monotonic() + 120
    try:
        while n_read < 3000 or not (n_refused or time.monotonic() > until):
            n_read += 1
            try:
                contents.add(read_inside(run, "x.json"))
            except RunFolderError:
                n_refused += 1
    finally:
        is_over.set()
        swapper.join()
    assert contents <= {b"theirs", b""}
    assert n_refused


def test_a_file_over_the_limit_is_not_read(tmp_path):
    with open(tmp_path / "plan.json", "wb") as file:
        file.truncate(1 << 40)  # no blocks on the disk
    with pytest.raises(RunFolderError, match=r"plan\.json: has 1,099,511,627,776 bytes"):
        read_inside(tmp_path, "plan.json")
    with pytest.raises(RunFolderError, match="too many to be copied"):
        copy_inside(tmp_path, "plan.json", tmp_path / "copy")


def test_a_copy_is_equal(tmp_path):
    content = os.urandom(3 << 20)
    (tmp_path / "model.safetensors").write_bytes(content)
    copy_inside(tmp_path, "model.safetensors", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


def test_an_own_folder_is_made_and_a_link_is_none(tmp_path):
    assert foreign.own_folder(tmp_path, "report", "tables").is_dir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report").symlink_to(tmp_path / "report")
    for names in (("report",), ("report", "tables")):
        with pytest.raises(RunFolderError, match="report: is a link"):
            foreign.own_folder(tmp_path / "run", *names)


def test_links_are_refused_in_a_folder_and_below_it(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    foreign.refuse_links(tmp_path, deep=True)
    foreign.refuse_links(tmp_path / "nothing", deep=True)
    (tmp_path / "a" / "b" / "c").symlink_to("/")
    foreign.refuse_links(tmp_path)
    with pytest.raises(RunFolderError, match="c: is a link"):
        foreign.refuse_links(tmp_path, deep=True)


def test_a_record_is_guarded_below_trials_and_what_lies_above_is_the_users(tmp_path):
    """The user's own path may have links, spaces and a folder called trials."""
    real = tmp_path / "disk" / "trials" / "my run"
    (real / "trials" / "t").mkdir(parents=True)
    (real / "trials" / "t" / "trial.json").write_text("{}")
    (real / "plan.json").write_text("{}")
    (tmp_path / "trials").symlink_to(tmp_path / "disk" / "trials")
    for run in (real, tmp_path / "trials" / "my run"):
        foreign.open_record(run / "trials" / "t" / "trial.json").close()
        foreign.open_record(run / "plan.json").close()
    (real / "trials" / "u").symlink_to(real / "trials" / "t")
    with pytest.raises(RunFolderError, match="u: is a link"):
        foreign.open_record(real / "trials" / "u" / "trial.json")
    odd = tmp_path / "trials" / "my weights"
    odd.mkdir()
    (odd / "trial.json").write_text("{}")
    foreign.open_record(odd / "trial.json").close()
