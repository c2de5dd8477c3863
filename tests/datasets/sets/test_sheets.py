"""Photographs of sheets as a data set: what is read, in which order, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from sheet_scenes import Hardness, drawn_digit, make_scene

from datasets import load_dataset, locate_dataset
from datasets.base import Dataset
from headstart.errors import DataError, DataNotFoundError

EASY = Hardness(
    slant=2, lines=0, squares=0, table=0, strip=0, shadow=0, overwritten=0, near=0, turned=0
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: `mine/rows.jpg` has rows of 3, 5, 8, `mine/all_3.jpg` rows of threes."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mine").mkdir()
    for name, labels, seed in (("rows", "358", 21), ("all_3", "33", 22)):
        scene = make_scene(np.random.default_rng(seed), drawn_digit, labels, EASY)
        cv2.imwrite(str(folder / "mine" / f"{name}.jpg"), scene.photo)
    return folder


def load(data_dir: Path, tmp_path: Path, photos: object, **request: object):
    return load_dataset("sheets", data_dir=data_dir, cache_dir=tmp_path, photos=photos, **request)


@pytest.mark.slow
def test_all_digits_of_all_photos_pooled_by_class(data_dir: Path, tmp_path: Path) -> None:
    """Slow: it reads several photographs."""
    photos = {"mine/rows.jpg": "358", "mine/all_*.jpg": "name"}
    dataset = load(data_dir, tmp_path, photos)
    assert dataset.class_names == ("3", "5", "8")
    assert dataset.images.shape[1:] == (1, 28, 28)
    assert dataset.parts == {}  # each seed draws its own
    assert (np.diff(dataset.labels) >= 0).all()
    counts = np.bincount(dataset.labels)
    assert counts[0] > counts[1] > 2  # the photo of threes came on top
    assert dataset.images[:, :, 0].max() < 40  # white on black
    alone = load(data_dir, tmp_path, {"mine/rows.jpg": "358"})
    assert len(alone.labels) < len(dataset.labels)
    ink = load(data_dir, tmp_path, photos, image_size=(20, 20), channels=3)
    assert ink.images.shape[1:] == (3, 20, 20)


@pytest.mark.slow
def test_a_file_that_a_pattern_all_but_means_is_named(data_dir: Path, tmp_path: Path) -> None:
    """Slow: it reads several photographs."""
    photo = (data_dir / "mine" / "all_3.jpg").read_bytes()
    (tmp_path / "my").mkdir()
    for name in ("a_3.jpg", ".b_7.jpg", "c_8.JPG", "._a_3.jpg", "a_3.txt", ".notes"):
        (tmp_path / "my" / name).write_bytes(photo)
    (tmp_path / "my" / "d_5.jpg").write_bytes((data_dir / "mine" / "rows.jpg").read_bytes())
    rest = {"my/d_*.jpg": "358"}
    assert load(tmp_path, tmp_path / "cache", {"my/*_3.jpg": "3", **rest}).warnings == ()
    (warning,) = load(tmp_path, tmp_path / "cache", {"my/*_[378].jpg": "3", **rest}).warnings
    assert "photos: my/*_[378].jpg: 2 files left out: .b_7.jpg, c_8.JPG (a dot" in warning


def test_a_page_of_a_scan_is_named_with_what_its_rows_hold(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.4")
    photos: dict[str, object] = {"scan.pdf#1": "-358", "scan.pdf#2": {"rows": "35", "per_row": 4}}
    located = locate_dataset("sheets", tmp_path, {"photos": photos})
    assert located == (tmp_path / "scan.pdf",)
    with pytest.raises(DataError, match=r"per_row: 'four' is not a whole number, 1 or more"):
        locate_dataset(
            "sheets", tmp_path, {"photos": {"scan.pdf": {"rows": "35", "per_row": "four"}}}
        )
    with pytest.raises(DataNotFoundError, match=r"other\.pdf#3 is missing"):
        locate_dataset("sheets", tmp_path, {"photos": {"other.pdf#3": "35"}})


@pytest.mark.slow
def test_corrections_change_the_digits_and_so_the_fingerprint(
    data_dir: Path, tmp_path: Path
) -> None:
    """The left half of the page is dropped: by a file named from the data folder.

    Slow: it reads several photographs.
    """
    photos = {"mine/rows.jpg": "358"}
    page = (data_dir / "mine" / "rows.jpg").read_bytes()
    height, width = cv2.imdecode(np.frombuffer(page, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    file = data_dir / "mine" / "c.yaml"

    def load_corrected(drop: list[int]) -> Dataset:
        digest = hashlib.sha256(page).hexdigest()
        file.write_text(f"rows.jpg: {{sha256: {digest}, drop: [{drop}]}}\n")
        return load(data_dir, tmp_path, photos, corrections="mine/c.yaml")

    whole = load(data_dir, tmp_path, photos)
    half = load_corrected([0, 0, width // 2, height])
    assert len(half.labels) < len(whole.labels)
    assert half.fingerprint != whole.fingerprint
    assert half.class_names == ("3", "5", "8")
    again = load_corrected([0, 0, 1, 1])  # the cache notices that the file has changed
    assert again.fingerprint == whole.fingerprint
    assert again.notes[0].startswith(
        "mine/c.yaml:1: mine/rows.jpg: nothing was found in the box [0,"
    )
    options = {"photos": photos, "corrections": "mine/c.yaml"}
    assert file in locate_dataset("sheets", data_dir, options)
    file.unlink()
    with pytest.raises(DataError, match=r"corrections: mine/c\.yaml: no such file") as err:
        load(data_dir, tmp_path, photos, corrections="mine/c.yaml")
    assert not isinstance(err.value, DataNotFoundError), "no other data set may stand in"


@pytest.mark.slow
def test_what_each_photograph_gave_is_noted_and_shown_from_the_cache_too(
    data_dir: Path, tmp_path: Path
) -> None:
    """Slow: three sheets are read."""
    for _ in range(2):
        dataset = load(data_dir, tmp_path, {"mine/rows.jpg": "358", "mine/all_*.jpg": "name"})
        said = [note for note in dataset.notes if " digits (" in note]
        assert [note.split(" digits")[0].rpartition(": ")[0] for note in said] == [
            "mine/rows.jpg", "mine/all_3.jpg",  # without the folder that only this machine has
        ]  # fmt: skip
        n_digits = [int(note.split(": ")[1].split()[0]) for note in said]
        assert sum(n_digits) == len(dataset.labels)
        assert list(dataset.pictures) == ["01-rows.jpg", "02-all_3.jpg"]
        sheet = cv2.imdecode(np.frombuffer(dataset.pictures["01-rows.jpg"], np.uint8), 1)
        blue, green, red = sheet.astype(int).transpose(2, 0, 1)
        assert ((red - blue > 100) & (red - green > 100)).sum() > 200  # boxes of the first row


def test_a_digit_may_be_a_number_and_a_row_of_labels_may_not(
    data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="only one class"):  # it was read, as threes
        load(data_dir, tmp_path, {"mine/all_3.jpg": 3})
    with pytest.raises(DataError, match="write 358 in quotes"):
        load(data_dir, tmp_path, {"mine/rows.jpg": 358})


@pytest.mark.parametrize(
    ("photos", "error", "message"),
    [
        ({"mine/none.jpg": "358"}, DataNotFoundError, "mine/none.jpg is missing; put them there"),
        ({"mine/x*.jpg": "358"}, DataNotFoundError, "no file is named as mine/x"),
        ({"mine/*.JPG": "358"}, DataNotFoundError, r"mine holds all_3.jpg, rows.jpg\)"),
        ({"mine/rows.jpg": "358", "mine/x.jpg": "3"}, DataError, "rows.jpg is there, but mine/x"),
        ({"mine": "358"}, DataError, r"mine: is a folder; name what is in it: 'mine/\*.jpg'"),
        pytest.param(
            {"mine/rows.jpg": "35"},
            DataError,
            "rows found where there should be 2 rows",
            marks=pytest.mark.slow,  # the sheet is read
        ),
        ({"mine/rows.jpg": "name"}, DataError, "does not end in one digit"),
        ({"mine/rows.jpg": {"row": "358"}}, DataError, "did you mean 'rows'"),
        ({"mine/rows.jpg": "358", "mine/r*.jpg": "358"}, DataError, "given twice"),
        ({}, DataError, "photos"),
    ],
)
def test_what_does_not_fit_is_said(
    data_dir: Path, tmp_path: Path, photos: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        load(data_dir, tmp_path, photos)
    assert caught.type is error


@pytest.mark.slow
def test_all_photographs_that_do_not_fit_are_named_each_on_a_line(
    data_dir: Path, tmp_path: Path
) -> None:
    """Slow: it reads several photographs."""
    photos = {"mine/rows.jpg": "35", "mine/all_3.jpg": "333"}
    with pytest.raises(DataError) as caught:
        load(data_dir, tmp_path, photos)
    first, second = str(caught.value).splitlines()
    assert "rows.jpg: 3 rows found where there should be 2 rows" in first
    assert "all_3.jpg: 2 rows found where there should be 3 rows" in second
    with pytest.raises(DataError) as caught:
        load(data_dir, tmp_path, {**photos, "mine/all_3.jpg": "name"})
    alone, go_on = str(caught.value).splitlines()
    assert alone == first
    assert go_on == "the other photo fits its labels: leave it out to go on with that alone"


def test_the_photos_can_be_located_without_reading_them(data_dir: Path) -> None:
    found = locate_dataset("sheets", data_dir, {"photos": {"mine/*.jpg": "3"}})
    assert [path.name for path in found] == ["all_3.jpg", "rows.jpg"]


def test_files_that_systems_hide_are_no_photographs(tmp_path: Path) -> None:
    (tmp_path / "old.jpg").mkdir()
    for name in ("1.jpg", "._1.jpg"):
        (tmp_path / name).touch()
    found = locate_dataset("sheets", tmp_path, {"photos": {str(tmp_path / "*.jpg"): "3"}})
    assert [path.name for path in found] == ["1.jpg"]
