"""Folders and archives read alike, and what a hostile archive gets."""

import io
import os
import stat
import tarfile
import zipfile

import pytest
from data_files import write_tree, write_zip

from datasets.files import trees
from datasets.files.trees import open_tree
from headstart.errors import DataError

FILES = {"a/1.png": b"one", "a/deep/2.png": b"two", "b/3.png": b"three"}
HIDDEN = {"__MACOSX/a/1.png": b"x", ".DS_Store": b"x", "a/.hidden": b"x"}


def write_tar(path, files, members=()):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for member in members:
            archive.addfile(member)
    return path


@pytest.fixture(params=["folder", "zip", "tar"])
def any_tree(request, tmp_path):
    files = {**FILES, **HIDDEN}
    if request.param == "folder":
        return write_tree(tmp_path / "set", files)
    if request.param == "zip":
        return write_zip(tmp_path / "set.zip", files)
    return write_tar(tmp_path / "set.tgz", files)


def test_every_kind_gives_the_same_names_folders_and_bytes(any_tree):
    with open_tree(any_tree) as tree:
        assert tree.names == tuple(FILES)
        assert tree.folders == {"a", "a/deep", "b"}
        assert {name: tree.read(name) for name in tree.names} == FILES
        assert tree.label("a/1.png") == f"{any_tree}/a/1.png"


def read_all(path):
    with open_tree(path) as tree:
        return [tree.read(name) for name in tree.names]


def refused(path):
    with pytest.raises(DataError) as caught:
        read_all(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up.png", "a/../../up.png", "C:\\x.png", "..\\x"]
)
def test_names_that_lead_outside_are_refused(tmp_path, name):
    assert "outside its folder" in refused(write_zip(tmp_path / "a.zip", {name: b"x"}))
    if "\\" not in name:
        assert "outside its folder" in refused(write_tar(tmp_path / "a.tgz", {name: b"x"}))


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "'a/link.png' is a link" in refused(tmp_path / "a.zip")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
        member = tarfile.TarInfo("a/link.png")
        member.type, member.linkname = kind, "/etc/passwd"
        assert "a link or a device" in refused(write_tar(tmp_path / "a.tgz", FILES, [member]))


def test_an_entry_that_swells_is_refused_before_it_is_unpacked(tmp_path):
    bomb = {"a/1.png": bytes(8 << 20)}
    assert "times its size; the limit is 200" in refused(write_zip(tmp_path / "a.zip", bomb))
    assert "over 200 times its size" in refused(write_tar(tmp_path / "a.tgz", bomb))


@pytest.mark.parametrize("limit", ["MAX_FILE_BYTES", "MAX_TOTAL_BYTES"])
def test_sizes_over_a_limit_are_refused(tmp_path, monkeypatch, limit):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": os.urandom(600), "a/2.png": os.urandom(600)})
    monkeypatch.setattr(trees, limit, 1000 if limit == "MAX_TOTAL_BYTES" else 500)
    assert "the limit" in refused(path)


def test_an_encrypted_entry_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", FILES)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refused(path)


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_truncated_archive_is_refused(tmp_path, write):
    path = write(
        tmp_path / ("a.zip" if write is write_zip else "a.tgz"), {"a/1.png": os.urandom(5000)}
    )
    path.write_bytes(path.read_bytes()[:2000])
    assert "not a whole" in refused(path)


def test_a_damaged_entry_is_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": os.urandom(5000)})
    content = bytearray(path.read_bytes())
    content[1000] ^= 0xFF
    path.write_bytes(content)
    assert "'a/1.png' cannot be unpacked" in refused(path)


def test_a_folder_that_may_not_be_read_is_one_message(tmp_path, monkeypatch):
    """The refusal is staged: tests may run as root, whom no permission stops."""
    write_tree(tmp_path / "set", FILES)
    scandir = os.scandir

    def forbidding(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    with pytest.raises(DataError, match="deep: cannot be read: Permission denied"):
        read_all(tmp_path / "set")
