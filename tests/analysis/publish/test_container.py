"""The zip file of a publication, as a stranger may have made it."""

from __future__ import annotations

import io
import json
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.publish import container
from analysis.publish.container import open_container, write_container
from headstart.errors import InputError

Members = list[tuple[str | zipfile.ZipInfo, bytes]]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "runs/1").mkdir(parents=True)
    (folder / "README.txt").write_text("read me")
    (folder / "publication.json").write_text(json.dumps({"kind": container.KIND, "format": 1}))
    (folder / "runs/1/sweep.yaml").write_text("name: made")
    write_container(folder, tmp_path / "good.zip")
    return tmp_path / "good.zip"


@pytest.fixture
def zip_of(tmp_path: Path) -> Callable[[Members], Path]:
    """A zip file with what makes it a publication, and these members."""

    def write(members: Members) -> Path:
        about = json.dumps({"kind": container.KIND, "format": 1}).encode()
        with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
            warnings.simplefilter("ignore")  # duplicates
            for name, content in [("publication.json", about), ("digests.json", b"{}"), *members]:
                archive.writestr(name, content)
        return tmp_path / "bad.zip"

    return write


def test_the_same_files_give_the_same_bytes_and_come_back(good: Path, tmp_path: Path) -> None:
    write_container(tmp_path / "folder", tmp_path / "again.zip")
    assert good.read_bytes() == (tmp_path / "again.zip").read_bytes()
    with open_container(good) as opened:
        assert list(opened.changed()) == []
        opened.unpack(tmp_path / "out", "runs/")
    assert (tmp_path / "out/runs/1/sweep.yaml").read_text() == "name: made"
    assert not (tmp_path / "out/README.txt").exists()


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("README.txt", b"read this", "README.txt: is not what was published"),
        ("runs/1/plan.json", b"{}", "runs/1/plan.json: was added"),
        ("README.txt", None, "README.txt: is missing"),
    ],
)
def test_changed_members_are_named(
    good: Path, tmp_path: Path, name: str, content: bytes | None, line: str
) -> None:
    with zipfile.ZipFile(good) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    members = (
        {**members, name: content} if content else {k: members[k] for k in members if k != name}
    )
    with zipfile.ZipFile(tmp_path / "changed.zip", "w") as archive:
        for member, its in members.items():
            archive.writestr(member, its)
    with open_container(tmp_path / "changed.zip") as opened:
        (said,) = opened.changed()
    assert said.startswith(line)


@pytest.mark.parametrize(
    "name",
    [
        "../outside", "runs/../../outside", "/etc/outside", "runs//1", "./runs/1", "runs/1/",
        "C:outside", "runs\\1", "runs/\x1b[2J", "r" * 300, "/".join("abcdefghij"), " runs",
        "runs/.",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(zip_of, tmp_path: Path, name: str) -> None:
    path = zip_of([(name, b"x")])
    with pytest.raises(InputError) as raised, open_container(path):
        pass
    assert str(raised.value).startswith(f"{path}: cannot be read as a publication")
    assert not (tmp_path.parent / "outside").exists()


def _link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("runs/1/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def _packed(method: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("runs/1/x")
    info.compress_type = method
    return info


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([(_link(), b"/etc/passwd")], "a link or a device"),
        ([("runs/1/a", b"1"), ("runs/1/a", b"2")], "two members have one name"),
        ([("runs/1/a", b"1"), ("runs/1/A", b"2")], "two members have one name"),
        ([("runs", b"1"), ("runs/1/a", b"2")], "the name of a folder"),
        ([(_packed(zipfile.ZIP_BZIP2), b"1")], "packed otherwise"),
        ([(_packed(zipfile.ZIP_DEFLATED), bytes(80 << 20))], "unpacks to"),
        ([("digests.json", b"[]")], "two members have one name"),
    ],
)
def test_links_duplicates_and_bombs_are_refused(zip_of, members: Members, reason: str) -> None:
    with pytest.raises(InputError, match=reason), open_container(zip_of(members)):
        pass


def test_many_small_bombs_are_refused_together(zip_of) -> None:
    members: Members = []
    for k in range(3):
        info = _packed(zipfile.ZIP_DEFLATED)
        info.filename = f"runs/1/{k}"
        members.append((info, bytes(30 << 20)))  # each below what harms nobody
    with pytest.raises(InputError, match="too many"), open_container(zip_of(members)):
        pass


def test_too_many_members_are_refused(zip_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MOST_MEMBERS", 3)
    members: Members = [("a", b""), ("b", b"")]
    with pytest.raises(InputError, match="at most 3"), open_container(zip_of(members)):
        pass


def test_a_format_of_later_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "later.zip", "w") as archive:
        about = {"kind": container.KIND, "format": 2}
        archive.writestr("publication.json", json.dumps(about))
        archive.writestr("digests.json", "{}")
    with pytest.raises(InputError, match="of format 2; 1 is read"):
        open_container(tmp_path / "later.zip").__enter__()


def test_a_member_that_is_damaged_is_one_line(zip_of) -> None:
    path = zip_of([("runs/1/a", b"some text")])
    path.write_bytes(path.read_bytes().replace(b"some text", b"some tent"))
    with open_container(path) as opened, pytest.raises(InputError, match="Bad CRC"):
        opened.read("runs/1/a", 100)


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _encrypted(content: bytes) -> bytes:
    at = content.index(b"PK\x01\x02") + 8
    return content[:at] + struct.pack("<H", 1) + content[at + 2 :]


def _damaged(content: bytes) -> bytes:
    at = content.index(b'"kind"')
    return content[:at] + b"\0" + content[at + 1 :]


@pytest.mark.parametrize("change", [_cut, _encrypted, _damaged, lambda _: b"", lambda _: b"no zip"])
def test_what_is_no_publication_is_one_line(zip_of, change) -> None:
    path = zip_of([])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError) as raised, open_container(path):
        pass
    assert "\n" not in str(raised.value)


def test_a_zip_of_something_else_a_folder_and_nothing_are_one_line(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("weights.npy", b"1")
    (tmp_path / "other.zip").write_bytes(sink.getvalue())
    for name, reason in (
        ("other.zip", "publication.json"),
        (".", "is a folder"),
        ("none.zip", "no such file"),
    ):
        with pytest.raises(InputError, match=reason), open_container(tmp_path / name):
            pass
