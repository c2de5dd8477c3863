"""Files of photographs: pages of a PDF scan, and kinds whose reader is not installed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.images import openers
from datasets.sheet.labels import by_row, one_class
from datasets.sheet.labels_file import read_labels_file
from datasets.sheet.paper.pages import file_of, open_pictures
from headstart.errors import DataError, DataNotFoundError, MissingPackageError


def scan(path: Path, *levels: int) -> Path:
    """A PDF file with a plain page of each grey level."""
    pytest.importorskip("pypdfium2")
    pages = [Image.new("RGB", (60, 40), (level,) * 3) for level in levels]
    content = io.BytesIO()
    pages[0].save(content, "PDF", save_all=True, append_images=pages[1:], resolution=150)
    path.write_bytes(content.getvalue())
    return path


def test_each_page_of_a_scan_is_a_photograph_of_its_own(tmp_path: Path) -> None:
    path = scan(tmp_path / "scan.pdf", 200, 100)
    ((first, second),) = open_pictures([path])
    assert [first.path.name, second.path.name] == ["scan.pdf#1", "scan.pdf#2"]
    assert [int(np.median(page.image)) for page in (first, second)] == [200, 100]
    assert first.digest != second.digest
    ((alone,),) = open_pictures([Path(f"{path}#2")])
    assert (alone.path, alone.digest) == (second.path, second.digest)
    assert file_of(alone.path) == path
    with pytest.raises(DataNotFoundError, match=r"scan\.pdf#3: no such page; .* ends with page 2"):
        open_pictures([Path(f"{path}#3")])
    with pytest.raises(DataError, match="the same photo as"):
        open_pictures([path, Path(f"{path}#2")])


@pytest.mark.parametrize("ending", ["tiff", "gif"])
def test_no_page_of_another_file_is_passed_over_in_silence(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"scan.{ending}"
    first, second = (Image.new("L", (60, 40), level) for level in (200, 100))
    first.save(path, save_all=True, append_images=[second])
    with pytest.raises(
        DataError, match=rf"scan\.{ending}: holds several pictures .*: save the one"
    ):
        open_pictures([path])
    first.save(path)
    ((alone,),) = open_pictures([path])
    assert alone.image.shape[:2] == (40, 60)


def test_a_scan_of_one_page_goes_by_its_own_name(tmp_path: Path) -> None:
    path = scan(tmp_path / "scan.pdf", 150)
    ((page,),) = open_pictures([path])
    assert page.path == path


def test_a_labels_file_names_a_scan_or_its_pages(tmp_path: Path) -> None:
    pages = [Path(f"a/scan.pdf#{number}") for number in (1, 2, 3)]
    labels = tmp_path / "labels.yaml"
    labels.write_text("scan.pdf: 123\nscan.pdf#2: 7\n")
    of_all = by_row("123", "")
    assert read_labels_file(labels, pages) == [of_all, one_class("7", ""), of_all]


@pytest.mark.parametrize(
    ("name", "content", "extra"),
    [
        ("photo.heic", b"\0\0\0\x18ftypheic" + bytes(100), "heic"),
        ("scan.pdf", b"%PDF-1.4 " + bytes(100), "pdf"),
    ],
)
def test_what_is_not_installed_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, extra: str
) -> None:
    (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(openers, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=f"{name}: .*--extra {extra}; or export") as err:
        open_pictures([tmp_path / name])
    assert "\n" not in str(err.value)
