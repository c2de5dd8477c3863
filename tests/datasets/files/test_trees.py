"""Folders and archives read alike, and what a hostile archive gets."""

import io
import os
import stat
import tarfile
import zipfile

import pytest
from data_files import write_tree, write_zip

from datasets.files import trees
from datasets.files.trees import is_archive, open_tree, walk
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
    path = write_zip(tmp_path / "a.zip", {"a/1.png": bytes(600), "a/2.png": bytes(600)})
    monkeypatch.setattr(trees, limit, 1000 if limit == "MAX_TOTAL_BYTES" else 500)
    assert "the limit" in refused(path)


def test_an_encrypted_entry_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", FILES)
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refused(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("again", ["a/1.png", "./a/1.png"])
def test_a_name_that_two_entries_have_is_refused(tmp_path, again):
    path = write_zip(tmp_path / "a.zip", {"a/": b"", "a/1.png": b"one"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/", b"")  # folders may be named as often as one likes
        archive.writestr(again, b"another")
    assert "holds two files 'a/1.png'" in refused(path)


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.zip", True), ("A.ZIP", True), ("a.tgz", True), ("a.tar.gz", True), ("a.TAR", True),
        ("a.gz", False), ("a.png", False), ("zip", False), ("a.zip.txt", False),
    ],
)  # fmt: skip
def test_an_archive_is_known_by_its_name(tmp_path, name, expected):
    assert is_archive(tmp_path / name) is expected


def test_the_limits_are_those_of_the_documentation():
    assert trees.MAX_FILE_BYTES == 256 * 1024**2
    assert trees.MAX_TOTAL_BYTES == 16 * 1024**3
    assert trees.MAX_RATIO == 200


@pytest.mark.parametrize("write", [write_tree, write_zip, write_tar])
def test_a_file_of_just_the_limit_is_read_and_one_byte_more_is_not(tmp_path, monkeypatch, write):
    monkeypatch.setattr(trees, "MAX_FILE_BYTES", 600)
    ending = {write_tree: "", write_zip: ".zip", write_tar: ".tgz"}[write]
    content = os.urandom(600)
    assert read_all(write(tmp_path / f"fits{ending}", {"a/1.png": content})) == [content]
    path = write(tmp_path / f"over{ending}", {"a/1.png": content + b"x"})
    with pytest.raises(DataError, match=r"a/1\.png.*limit"):
        read_all(path)


def test_a_file_of_a_folder_over_the_limit_is_said_in_megabytes(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "MAX_FILE_BYTES", 2 << 20)
    folder = write_tree(tmp_path / "set", {"a/1.png": bytes((2 << 20) + 1)})
    with pytest.raises(DataError, match=r"1\.png: over 2 MB, the limit for one file"):
        read_all(folder)


def test_all_files_together_may_have_just_the_limit(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"a/1.png": bytes(600), "a/2.png": bytes(400)})
    monkeypatch.setattr(trees, "MAX_TOTAL_BYTES", 1000)
    assert len(read_all(path)) == 2
    monkeypatch.setattr(trees, "MAX_TOTAL_BYTES", 999)
    assert "unpacks to 1,000 bytes; the limit is 999" in refused(path)


def test_a_tar_file_may_unpack_to_just_its_limit(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "a.tgz", {"a/1.png": os.urandom(600), "a/2.png": os.urandom(400)})
    monkeypatch.setattr(trees, "MAX_TOTAL_BYTES", 1000)
    assert len(read_all(path)) == 2
    monkeypatch.setattr(trees, "MAX_TOTAL_BYTES", 999)
    assert "over 200 times its size" in refused(path)


def test_a_small_file_may_swell_as_it_likes(tmp_path):
    """A blank scan of a megabyte packs to a thousandth; it harms nobody."""
    blank = {"a/1.png": bytes(1 << 20)}
    for path in (write_zip(tmp_path / "a.zip", blank), write_tar(tmp_path / "a.tgz", blank)):
        assert read_all(path) == [bytes(1 << 20)]
    over = {"a/1.png": bytes((1 << 20) + 1)}
    assert "times its size" in refused(write_zip(tmp_path / "b.zip", over))


def test_the_ratio_is_that_of_the_unpacked_to_the_packed_size(tmp_path, monkeypatch):
    stored = tmp_path / "stored.zip"
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a/1.png", bytes(2 << 20))
    monkeypatch.setattr(trees, "MAX_RATIO", 1)
    assert len(read_all(stored)) == 1, "as large as it is packed: just once"
    path = write_zip(tmp_path / "a.zip", {"a/1.png": bytes(2 << 20)})
    with zipfile.ZipFile(path) as archive:
        times = (2 << 20) // archive.getinfo("a/1.png").compress_size
    assert f"'a/1.png' unpacks to {times} times its size; the limit is 1 times" in refused(path)


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_with_a_colon_or_a_dot_inside_are_names(tmp_path, write):
    files = {"a/12:30.png": b"x", "a/b..c.png": b"y", "top.png": b"z"}
    path = write(tmp_path / ("a.zip" if write is write_zip else "a.tgz"), files)
    with open_tree(path) as tree:
        assert tree.names == tuple(sorted(files))
        assert tree.folders == {"a"}


def test_a_tar_of_the_working_folder_has_the_names_without_its_dot(tmp_path):
    folders = [tarfile.TarInfo("."), tarfile.TarInfo("./b")]
    for folder in folders:
        folder.type = tarfile.DIRTYPE
    path = write_tar(tmp_path / "a.tgz", {f"./{name}": b"x" for name in (*FILES, *HIDDEN)}, folders)
    with open_tree(path) as tree:
        assert tree.names == tuple(sorted(FILES))
        assert tree.folders == {"a", "a/deep", "b"}
        assert tree.read("a/1.png") == b"x"


@pytest.mark.parametrize(("system", "name"), [(0, "a/b.png"), (3, "a\\b.png")])
def test_backslashes_of_windows_part_folders(tmp_path, system, name):
    info = zipfile.ZipInfo("x")
    info.filename, info.create_system = "a\\b.png", system
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"x")
    with open_tree(tmp_path / "a.zip") as tree:
        assert tree.names == (name,)
        assert tree.read(name) == b"x"


def test_empty_folders_are_folders_and_hidden_ones_are_not(tmp_path):
    for name in ("a/empty", ".git/objects"):
        (tmp_path / "set" / name).mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("a/empty/", ".git/objects/"):
            archive.writestr(name, b"")
    members = []
    for name in ("a/empty", ".git/objects"):
        members.append(tarfile.TarInfo(name))
        members[-1].type = tarfile.DIRTYPE
    for path in (tmp_path / "set", tmp_path / "a.zip", write_tar(tmp_path / "a.tgz", {}, members)):
        with open_tree(path) as tree:
            assert tree.folders == {"a", "a/empty"}
            assert tree.names == ()


def test_walking_gives_what_is_not_hidden(tmp_path):
    write_tree(tmp_path / "set", {**FILES, **HIDDEN, ".git/config": b"x"})
    below = {os.path.relpath(entry.path, tmp_path / "set") for entry in walk(tmp_path / "set")}
    assert below == {"a", "a/deep", "b", *FILES}


def test_a_file_that_goes_or_is_no_archive_is_one_message(tmp_path):
    folder = write_tree(tmp_path / "set", FILES)
    with open_tree(folder) as tree:
        (folder / "a" / "1.png").unlink()
        with pytest.raises(DataError, match=r"a/1\.png: cannot be read: No such file"):
            tree.read("a/1.png")
    (tmp_path / "b.zip").write_bytes(b"no archive")
    assert "not a whole zip file" in refused(tmp_path / "b.zip")


def test_a_tar_file_that_packs_much_better_than_we_do_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "SMALL_BYTES", 0)
    monkeypatch.setattr(trees, "_MOST_KEPT", 0.5)
    path = write_tar(tmp_path / "a.tgz", {"a/1.png": os.urandom(9000)})
    assert "times its size in memory" in refused(path)
