"""The first names and bytes of a path: what tells a kind of data set before it is read.

In: a path that somebody gave. Out: some names of files in a folder or an archive, or the beginning
of a file. It stands alone because it must be quick on any path, and refuses nothing: the reader
that is chosen says what is wrong.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from datasets.files.image_kinds import is_image_name, kinds_of, stem_of
from datasets.files.part_words import part_in
from datasets.files.trees import first_members, is_wanted
from headstart.errors import DataError
from headstart.packed import BROKEN

_MOST_NAMES = 2_000
_MOST_FOLDERS = 500
_FEW_IMAGES = 5
_ADVICE = {
    (".pt", ".pth"): "PyTorch's own format is opened by PyTorch alone; write its tensors with "
    "numpy.savez(NEW, x=images.numpy(), y=labels.numpy())",
    (".arrow", ".feather"): "write it as Parquet: datasets.load_from_disk(FOLDER)"
    "['train'].to_parquet(NEW), or pyarrow.feather.read_table and pyarrow.parquet.write_table",
    (".tfrecord", ".tfrecords"): "write its images as files in a folder for each class",
    (".joblib",): "it may run code when it is opened; write its arrays with "
    "numpy.savez(NEW, x=images, y=labels)",
    (".rar", ".7z", ".bz2", ".xz", ".zst", ".tbz", ".txz"): "unpack it and give the folder",
    (".mp4", ".avi", ".mov", ".mkv"): "write its pictures as files in a folder for each class",
    (".xls", ".xlsx", ".ods"): "save the table as .csv",
    (".lmdb", ".mdb"): "write its images as files in a folder for each class",
    (".json", ".jsonl", ".xml", ".yaml", ".yml", ".txt"): "give the folder of the images that "
    "it speaks of",
}
_FORM = re.compile(r"sample.?submission", re.I)
_START = 600  # bytes; HDF5's signature may come after 512


def first_names(path: Path) -> tuple[str, ...]:
    """Relative names of files in a folder (those of the upper levels first) or in an archive."""
    if path.is_dir():
        return tuple(islice(_names_below(path), _MOST_NAMES))
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/")]
        else:
            names = first_members(path)
    except BROKEN:
        return ()
    return tuple(islice(filter(is_wanted, names), _MOST_NAMES))


def first_bytes(path: Path) -> bytes:
    """The beginning of a regular file; empty where it is none or cannot be read."""
    if not path.is_file():
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(_START)
    except OSError:
        return b""


def refuse_pointers(paths: Iterable[Path]) -> None:
    """Refuse files that stand for others: pointers of Git LFS, pages that a server sent instead.

    Raises:
        DataError: names the first of them.
    """
    for path in paths:
        if said := _stands_for(first_bytes(path)):
            raise DataError(f"{path}: {said}")


def unread_file(name: str, start: bytes) -> str:
    """What is said of a file that no set reads, with the way to one that is read."""
    if said := _stands_for(start):
        return said
    for endings, advice in _ADVICE.items():
        if name.lower().endswith(endings):
            return f"this file is not read: {advice}"
    if start.startswith((b"Rar!", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        return "this archive is not read: unpack it and give the folder"
    if re.search(r"idx\d-", name.lower()):
        return "one of the files of a set: give the folder in which its images and labels lie"
    if is_image_name(name):
        return "one image is no data set: give a folder that has a folder for each class"
    return "no set reads this file"


def _stands_for(start: bytes) -> str:
    """What a file is that stands for another; empty where it does not."""
    if start.startswith(b"version https://git-lfs"):
        return "this is a pointer of Git LFS and not the file: fetch it with git lfs pull"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "this is a web page, as a server sends it in place of a file: fetch it again"
    return ""


def advice_without_images(path: Path, names: Sequence[str], endings: tuple[str, ...]) -> str:
    """What to give in place of a folder or an archive that holds no image; empty where unknown.

    Args:
        path: the folder or archive.
        names: of its files.
        endings: of files that a set reads one at a time.
    """
    if any(is_image_name(name, ("gif", "pdf")) for name in names):
        return ""
    files = [name for name in names if name.lower().endswith(endings) and not _FORM.search(name)]
    if files:
        part_of = {part_in(stem_of(PurePosixPath(name).stem)): name for name in reversed(files)}
        first, test = part_of.get("train", files[0]), part_of.get("test", "")
        unpack = "" if path.is_dir() else "unpack it; "
        said = (
            f"holds no images but {kinds_of(files)}, which are read one at a time: {unpack}give "
            f"the path of one, as {path / first}"
        )
        if not test or test == first:
            return said
        return f"{said} (test_path: {path / test} adds its test part, where it has labels)"
    packed = [name for name in names if "unpack" in unread_file(name, b"")]
    return f"{packed[0]}: {unread_file(packed[0], b'')}" if packed else ""


def advice_on_archives(path: Path, archives: Sequence[str]) -> str:
    """What to do with archives in a folder or in another archive."""
    if not path.is_dir():
        return f"holds an archive, {archives[0]}: unpack the outer one, and give what it holds"
    if len(archives) == 1:
        return f"holds an archive; give its path: {path / archives[0]}"
    return (
        f"holds {len(archives)} archives: unpack them, each into a folder of its own where they "
        f"are classes or parts, and give the folder of all; or give one of them, as "
        f"{path / archives[0]}"
    )


def has_images(names: Sequence[str]) -> bool:
    """Whether image files are what lies there, and not a picture or two that belong to a text."""
    folders = [name.rpartition("/")[0] for name in names if is_image_name(name)]
    return len(set(folders)) > 1 or len(folders) > _FEW_IMAGES


def _names_below(folder: Path) -> Iterator[str]:
    """Level by level, so that many files of one class folder hide no other."""
    folders = deque([""])
    for _ in range(_MOST_FOLDERS):
        if not folders:
            return
        inside = folders.popleft()
        try:
            entries = sorted(os.scandir(folder / inside), key=lambda entry: entry.name)
            for entry in entries[:_MOST_NAMES]:
                name = str(PurePosixPath(inside, entry.name))
                if entry.is_dir() and is_wanted(name):
                    folders.append(name)
                elif entry.is_file() and is_wanted(name):
                    yield name
        except OSError:
            continue
