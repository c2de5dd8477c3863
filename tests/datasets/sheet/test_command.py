"""The command: what it writes, that it writes all or nothing, and what bad input is told."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sheet_scenes import Hardness, drawn_digit, make_scene

from datasets.sheet import __main__ as sheet
from datasets.sheet.write import PARTS, draw_parts
from headstart.errors import DataError, DataNotFoundError, StorageError
from headstart.files import temporary_beside

EASY = Hardness(
    slant=2, lines=0, squares=0, table=0, strip=0, shadow=0, overwritten=0, near=0, turned=0
)


def write_sheet(path: Path, row_labels: str, seed: int) -> Path:
    scene = make_scene(np.random.default_rng(seed), drawn_digit, row_labels, EASY)
    cv2.imwrite(str(path), scene.photo)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sheet with rows of 3, 5, 8 and a photo of threes alone."""
    folder = tmp_path_factory.mktemp("photos")
    return write_sheet(folder / "rows.jpg", "358", 21), write_sheet(folder / "only_3.jpg", "33", 22)


def run(*arguments: object) -> int | None:
    return sheet.main([str(argument) for argument in arguments])


def files_of(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_pooled_photos_become_a_data_set(
    photos: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.yaml"
    labels.write_text("rows.jpg: 358\nonly_3.jpg: 3\n")
    out = tmp_path / "deep" / "digits"
    run(*photos, "--labels-file", labels, "--counts", "2/1/1", "--keep-originals", "--out", out)
    for part, n in zip(PARTS, (2, 1, 1), strict=True):
        assert {p.name for p in (out / part).iterdir()} == {"3", "5", "8"}
        for label in "358":
            images = list((out / part / label).iterdir())
            assert len(images) == n
            image = cv2.imread(str(images[0]), cv2.IMREAD_UNCHANGED)
            assert image.shape == (28, 28)
            assert image[0].max() < 20  # black ground
            assert image.max() > 200  # white ink
            originals = out / "Originals" / part / label
            assert {p.stem for p in originals.iterdir()} == {p.stem for p in images}
    assert (out / "contact-sheet-rows.png").exists()
    assert (out / "contact-sheet-only_3.png").exists()
    record = json.loads((out / "sheet.json").read_text())
    assert set(record["files"]) == files_of(out)
    counts = [sum(photo["digits_by_line"]) for photo in record["photos"]]
    assert f"left over: {sum(counts) - 12} (class 3: " in capsys.readouterr().out


def test_classes_of_letters_and_signs_get_folders_of_their_own(
    photos: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "letters"
    run(photos[0], "--labels", "α/+", "--counts", "2/0/0", "--out", out)
    assert {p.name for p in (out / PARTS[0]).iterdir()} == {"α", "solidus", "plus-sign"}
    assert json.loads((out / "sheet.json").read_text())["photos"][0]["labels"][0][0] == "α"


@pytest.mark.slow
def test_the_same_seed_draws_the_same_and_another_does_not(
    photos: tuple[Path, Path], tmp_path: Path
) -> None:
    """Slow: it reads photographs more than once."""
    sets = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(photos[1], "--label", 3, "--counts", "3/1/1", "--seed", seed, "--out", tmp_path / name)
        sets.append({n: (tmp_path / name / n).read_bytes() for n in files_of(tmp_path / name)})
    assert sets[0] == sets[1]
    assert set(sets[0]) != set(sets[2])


@pytest.mark.slow
def test_rows_that_do_not_fit_leave_only_the_contact_sheet(
    photos: tuple[Path, Path], tmp_path: Path
) -> None:
    """Slow: it reads photographs more than once."""
    out = tmp_path / "out"
    with pytest.raises(DataError, match="3 rows found where there should be 4 rows") as err:
        run(photos[0], "--labels", 3581, "--counts", "1/1/1", "--out", out)
    assert "row 1 has " in str(err.value)
    assert "row 3 has " in str(err.value)
    assert err.value.exit_status == 2
    assert f"open {out / 'correct-refused.html'} in a browser" in str(err.value)
    assert files_of(out) == {"contact-sheet-rows-refused.png", "correct-refused.html"}
    run(photos[0], "--labels", 358, "--counts", "1/1/1", "--out", out)  # and may be replaced
    assert not [name for name in files_of(out) if "refused" in name]
    assert "correct.html" in files_of(out)


@pytest.mark.slow
def test_one_photo_that_does_not_fit_is_named_alone_with_the_way_to_go_on(
    photos: tuple[Path, Path], tmp_path: Path
) -> None:
    """Slow: it reads a photograph several times."""
    labels, out = tmp_path / "labels.yaml", tmp_path / "out"
    labels.write_text("rows.jpg: 3581\nonly_3.jpg: 3\n")
    with pytest.raises(DataError) as err:
        run(*photos, "--labels-file", labels, "--counts", "2/1/1", "--out", out)
    first, second, *others = str(err.value).splitlines()
    assert "rows.jpg: 3 rows found where there should be 4 rows" in first
    assert second == "the other photo fits its labels: leave it out to go on with that alone"
    assert not any("only_3.jpg" in line for line in (first, second))
    assert len(others) == 2
    sheets = {f"contact-sheet-{name}-refused.png" for name in ("rows", "only_3")}
    assert files_of(out) == {*sheets, "correct-refused.html"}


def test_too_few_of_a_class_is_said_for_every_class(
    photos: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"needs 60 digits of each class: class 3 has \d+, class 5"):
        run(photos[0], "--labels", 358, "--counts", "50/5/5", "--out", tmp_path / "out")
    assert files_of(tmp_path / "out") == {"contact-sheet-rows-refused.png", "correct-refused.html"}


@pytest.mark.slow
def test_a_folder_of_ones_own_is_never_replaced(photos: tuple[Path, Path], tmp_path: Path) -> None:
    """Slow: it reads a photograph several times."""
    out = tmp_path / "out"
    command = (photos[1], "--label", "name", "--counts", "2/1/1", "--out", out)
    run(*command)
    run(*command)  # our own folder is replaced
    (out / "Training Set" / "3" / "mine.jpg").write_bytes(b"precious")
    before = files_of(out)
    with pytest.raises(DataError, match=r"holds 'Training Set/3/mine.jpg'.*another --out"):
        run(*command)
    assert files_of(out) == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.slow
def test_what_a_killed_command_moved_aside_goes_once_the_folder_is_there_again(
    photos: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: it reads photographs more than once."""
    out = tmp_path / "out"
    own = temporary_beside(out)
    aside = own.with_name(own.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-"))
    aside.mkdir()
    (aside / "sheet.json").write_text("of the earlier content")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", full)
        with pytest.raises(StorageError):
            run(photos[1], "--label", "name", "--counts", "2/1/1", "--out", out)
    assert files_of(aside) == {"sheet.json"}, "it is all that there is"
    run(photos[1], "--label", "name", "--counts", "2/1/1", "--out", out)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_corrections_are_applied_recorded_and_kept_where_they_lie(
    photos: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: it reads photographs more than once."""
    out = tmp_path / "out"
    command = (photos[1], "--label", 3, "--counts", "1/1/1", "--out", out)
    run(*command)
    n_digits = sum(record_of(out)["digits_by_line"])
    height, width = cv2.imread(str(photos[1])).shape[:2]
    file = out / "corrections.yaml"  # as a browser may save it, beside the page
    half = f"[0, 0, {width // 2}, {height}]"
    content = f"{{only_3.jpg: {{sha256: {record_of(out)['sha256']}, drop: [{half}]}}}}"
    file.write_text(content)
    with pytest.raises(DataError, match=r"'corrections.yaml' \(give it as --corrections"):
        run(*command)
    for _ in range(2):
        run(*command, "--corrections", file)
        assert file.read_text() == content
        record = record_of(out)
        assert sum(record["digits_by_line"]) < n_digits
        assert (record["dropped_by_hand"], record["placed_by_hand"]) == (1, 0)
    assert "by hand: 1 dropped, 0 placed or labelled" in capsys.readouterr().out
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def record_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "sheet.json").read_text())["photos"][0]


def test_the_same_photo_twice_is_refused(photos: tuple[Path, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy_3.jpg"
    copy.write_bytes(photos[1].read_bytes())
    with pytest.raises(DataError, match="the same photo as"):
        run(photos[1], copy, "--label", 3, "--out", tmp_path / "out")


@pytest.mark.slow
def test_photos_of_one_name_get_names_of_their_own(
    photos: tuple[Path, Path], tmp_path: Path
) -> None:
    """Slow: it reads photographs more than once."""
    other = write_sheet(tmp_path / "only_3.jpg", "33", 23)
    run(photos[1], other, "--label", 3, "--counts", "2/1/1", "--out", tmp_path / "out")
    names = files_of(tmp_path / "out")
    assert {"contact-sheet-01-only_3.png", "contact-sheet-02-only_3.png"} <= names


def test_missing_and_damaged_photos_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"none\.jpg: no such file"):
        run(tmp_path / "none.jpg", "--label", 3, "--out", tmp_path / "out")
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8\xff\xe0 no more")
    with pytest.raises(DataError, match=r"damaged\.jpg: "):
        run(damaged, "--label", 3, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--label", "3", "--counts", "8/2"), "'8/2' is not three whole numbers"),
        (("--label", "3", "--size", "4"), "'4' is not a whole number from 8 to 512"),
        (("--label", "3", "--labels", "12"), "not allowed with"),
        ((), "one of the arguments --labels --label --labels-file is required"),
    ],
)
def test_wrong_options(
    given: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as err:
        run("photo.jpg", *given, "--out", tmp_path / "out")
    assert err.value.code == 2
    assert message in capsys.readouterr().err


def test_as_a_command_a_mistake_is_a_line_and_status_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "datasets.sheet", str(tmp_path / "no.jpg"), "--label", "33"]
    done = subprocess.run([*command, "--out", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "--label: '33' is not one digit, letter or sign\n"


def test_a_class_is_drawn_alike_whatever_else_is_there() -> None:
    alone = draw_parts("3" * 10, (4, 2, 2), seed=7)
    mixed = draw_parts("3" * 10 + "5" * 8, (4, 2, 2), seed=7)
    for part in PARTS:
        assert alone.parts[part] == tuple(i for i in mixed.parts[part] if i < 10)
    used = [i for part in PARTS for i in mixed.parts[part]]
    assert sorted([*used, *mixed.left_over]) == list(range(18))
