"""`harness.init`: a file that reads and plans, whatever the data are called; or one line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.catalog import checked_options
from harness.init.__main__ import main
from harness.init.choose import choose
from harness.init.look import Looked, look
from harness.init.photos import labels_to_try, photos_of
from harness.init.text import sweep_name, sweep_text
from harness.sweepfile.reader import load_sweep
from headstart.cli import status_of
from runs import environment

HOSTILE = ("# hash: {x}", "'quo\"te", "- dash", "üml äut", "yes", "1e5", "*star", "&amp", "!tag")


def pictures(folder: Path, n: int, shape: tuple[int, ...] = (20, 20), level: int = 128) -> Path:
    """`n` pictures of noise; a dark one or a bright one by its level."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(n)
    for k in range(n):
        pixels = np.clip(rng.normal(level, 20, shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder.parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without data sets, ours or the machine's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADSTART_DATA", str(tmp_path / "data"))
    return tmp_path


def written(looked: Looked, path: Path) -> tuple[str, Callable[[str | None], object]]:
    text = sweep_text("mine", "mine.yaml", looked, choose(looked))
    path.write_text(text, encoding="utf-8")
    return text, lambda profile: load_sweep(path, profile)


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is said of it, on one line, with exit status 2 and no new file."""
    before = set(Path.cwd().iterdir())
    assert status_of(main, arguments) == 2
    assert set(Path.cwd().iterdir()) == before
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


# -- what is chosen ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "level", "network", "preprocess"),
    [
        ((20, 20), 40, "lenet5", "mnist_style"),
        ((20, 20, 3), 40, "midas_cnn", "mnist_style"),
        ((200, 150), 240, "lenet5", "resize"),  # dark marks on a page
        ((200, 150), 90, "midas_cnn", "mnist_style"),
    ],
)
def test_network_and_start_suit_the_pictures(here: Path, shape, level, network, preprocess):
    for name in ("a", "b"):
        pictures(here / "set" / name, 12, shape, level)
    looked = look(["set"])
    _, load = written(looked, here / "x.yaml")
    sweep = load("quick")
    assert sweep.arms["scratch"].model.name == network
    assert sweep.arms["scratch"].model.info.channels == (3 if len(shape) == 3 else 1)
    assert sweep.stages["drawn"].data[0].options.preprocess == preprocess
    assert len(sweep.seeds.values) == 5
    assert len(load(None).seeds.values) >= 10
    assert [pair.control for pair in sweep.compare] == ["scratch", "scratch", "pretrained"]
    assert len(set(sweep.labels.values())) == 3


def test_unequal_classes_are_counted_alike(here: Path):
    pictures(here / "set" / "a", 30)
    pictures(here / "set" / "b", 10)
    _, load = written(look(["set"]), here / "x.yaml")
    measure = load(None).measure
    assert measure.metric == "balanced_accuracy"
    assert measure.targets == (0.75, 0.9, 0.95)  # half, 0.75 and 0.9 of the way from 0.5 to 1


def test_parts_of_its_own_stay(here: Path):
    for part, n in (("train", 20), ("test", 7)):
        for name in ("a", "b"):
            pictures(here / "set" / part / name, n)
    looked = look(["set"])
    assert looked.n_of("test") == 14
    text, _ = written(looked, here / "x.yaml")
    assert "its own test part; validation images are drawn from its train part" in text


@pytest.mark.slow
def test_a_set_is_not_pretrained_on_itself(here: Path, real_data: Path):
    """Slow: decodes MNIST twice."""
    looked = look([str(real_data / "mnist" / "MNIST" / "raw")], data_dir=real_data)
    assert choose(looked, real_data).begin.name == "characters"
    looked = look(["optdigits"], data_dir=real_data)
    assert choose(looked, real_data).begin.name == "mnist"


def test_many_images_are_fewer_in_the_quick_profile(here: Path):
    looked = replace(
        look(["glyphs"], ["count=90"]), counts={"all": dict.fromkeys("0123456789", 2000)}
    )
    _, load = written(looked, here / "x.yaml")
    split = load("quick").arms["scratch"].data[0].split
    assert (split.train, split.validation, split.test) == (5000, 1250, 2500)
    assert load(None).arms["scratch"].data[0].split.train is None


# -- names, places, containers -----------------------------------------------------------------


def test_hostile_names_are_quoted(here: Path):
    folder = "h öst: #'il\"e {}"
    for name in HOSTILE:
        pictures(here / folder / name, 3)
    text, load = written(look([folder]), here / "x.yaml")
    data = load("quick").arms["scratch"].data[0]
    assert data.options.path == Path(folder)
    assert all(line.startswith(("#", "question: ", "data: ")) for line in text.splitlines()
               if "il\"e" in line)  # fmt: skip
    assert sweep_name(folder) == "h_ost_il_e"
    assert sweep_name("…") == "my_data"


def test_paths_hold_from_where_the_file_lies(here: Path):
    for name in ("a", "b"):
        pictures(here / "set" / name, 3)
    (here / "link").symlink_to("set")
    looked = look(["link"])
    assert looked.title == "link"
    assert looked.beside(Path()).data["path"] == Path("link")
    assert looked.beside(here / "else").data["path"] == here / "link"


@pytest.mark.parametrize("kind", ["npz", "csv", "zip"])
def test_containers_are_read_by_the_readers_of_data_sets(here: Path, kind: str):
    images = np.random.default_rng(0).integers(0, 256, (30, 12, 12), dtype=np.uint8)
    labels = np.arange(30) % 3
    if kind == "npz":
        np.savez(here / "set.npz", images=images, labels=labels)
    elif kind == "csv":
        rows = np.column_stack([labels, images.reshape(30, -1)])
        header = ",".join(["label", *(f"pixel{k}" for k in range(144))])
        np.savetxt(here / "set.csv", rows, "%d", ",", header=header, comments="")
    else:
        for name in ("a", "b", "c"):
            pictures(here / "set" / name, 10)
        shutil.make_archive("set", "zip", here, "set")
    looked = look([f"set.{kind}"])
    assert (looked.n_images, len(looked.by_class)) == (30, 3)
    _, load = written(looked, here / "x.yaml")
    assert load(None).name == "mine"
    assert sweep_name(looked.title) == "set"


@pytest.mark.slow
def test_sheets_are_read_by_their_names_or_by_the_usual_orders(here: Path, real_data: Path):
    """Slow: reads twelve photographed sheets."""
    sheet = real_data / "sheets" / "aloksp" / "sheet.jpg"
    assert look([str(sheet)]).data["photos"] == {str(sheet): "1234567890"}
    photos = sorted(map(str, (real_data / "sheets" / "aiano").glob("source_imgs_[12].jpg")))
    assert look(photos).data["photos"] == dict.fromkeys(photos, "name")


def test_damaged_pictures_are_left_out_and_named(here: Path):
    for name in ("a", "b"):
        pictures(here / "set" / name, 4)
    (here / "set" / "a" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nx")
    looked = look(["set"])
    assert looked.data["on_damaged"] == "skip"
    assert looked.n_images == 8
    assert any("bad.png" in remark for remark in (*looked.notes, *looked.warnings))


def test_photographs_are_named_by_files_patterns_or_their_folder(here: Path):
    pictures(here / "two" / "in", 2)
    names = ["two/in/0.png", "two/in/1.png"]
    assert photos_of(["two/in/*.png"], with_labels=False) == names
    assert photos_of(["two/in/0.png", "two/in/*.png"], with_labels=False) == names
    assert photos_of(["two/in"], with_labels=True) == names
    assert photos_of(["two/in"], with_labels=False) == []  # a set with classes
    assert photos_of(["two/in/*", "two"], with_labels=True) == []


def test_labels_of_each_photograph_are_written_as_a_sweep_reads_them(here: Path):
    photos = [f"{name}.jpg" for name in "abcde"]
    (here / "l.yaml").write_text(
        "a.jpg: 0123\nb.jpg: 7\nc.jpg: {columns: 12}\nd.jpg: {text: [31, 42]}\n"
        "e.jpg: {rows: 0-1, per_row: 12}\n"
    )
    (entries,) = labels_to_try(photos, None, Path("l.yaml"))
    written = [{"columns": "12"}, {"text": ["31", "42"]}, {"rows": "0-1", "per_row": 12}]
    assert entries == ["0123", "7", *written]
    options = checked_options("sheets", {"photos": dict(zip(photos, entries, strict=True))})
    assert list(options.photos.values()) == entries  # type: ignore[attr-defined]
    assert labels_to_try(photos[:2], "123", None) == [["123", "123"]]
    assert labels_to_try(["x_1.jpg", "x_2.jpg"], None, None) == [["name", "name"]]


# -- mistakes ----------------------------------------------------------------------------------


def test_mistakes_are_one_line_and_leave_nothing(here: Path, capsys):
    (here / "empty").mkdir()
    pictures(here / "one" / "a", 5)
    for name in ("a", "b"):
        pictures(here / "single" / name, 1)
        pictures(here / "set" / name, 3)
    (here / "noise.bin").write_bytes(bytes(100))
    (here / "x.yaml").write_text("mine")
    assert "no images" in mistake(capsys, "empty")
    assert "only one class" in mistake(capsys, "one")
    few = mistake(capsys, "single")
    assert "class 'a' has 1 image (2 classes have so few)" in few
    assert "--set 'class_names=[…]'" in few
    pictures(here / "set" / "flat" / "in", 2)
    assert "say what they show with --labels" in mistake(capsys, "set/flat/in")
    photo = "set/flat/in/0.png"
    assert "not both" in mistake(capsys, photo, "--labels", "1", "--labels-file", "x.yaml")
    assert "no option 'per_rows'" in mistake(capsys, photo, "--set", "per_rows=3")
    assert "named without it" in mistake(capsys, photo, "--set", "photos={}")
    assert "no set reads this file" in mistake(capsys, "noise.bin")
    assert "did you mean 'mnist'?" in mistake(capsys, "mnits")
    assert "give their folder or file" in mistake(capsys, "cifar")
    assert "no photograph" in mistake(capsys, "set", "one")
    assert "--labels belongs to photographs" in mistake(capsys, "set", "--labels", "12")
    assert "no such folder" in mistake(capsys, "set", "--data", "nowhere")
    assert "is there already" in mistake(capsys, "set", "--out", "x.yaml")
    assert "is a folder" in mistake(capsys, "set", "--out", "one")
    assert "there is no folder" in mistake(capsys, "set", "--out", "no/x.yaml")
    assert (here / "x.yaml").read_text() == "mine"


# -- the command -------------------------------------------------------------------------------


def test_what_it_prints_and_writes(here: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("harness.init.__main__.MOST_REMARKS", 0)
    for name in ("a", "b"):
        pictures(here / "my pictures" / name, 12)
    (here / "my pictures" / "Thumbs.db").write_bytes(b"\0")
    (here / "my_pictures.yaml").write_text("mine")
    assert status_of(main, ["my pictures", "--force"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert (
        printed[0] == "my pictures: 24 images of 2 classes (a 12, b 12), gray, around 20×20 pixels"
    )
    assert "  and 2 more: python -m harness.sweep my_pictures.yaml --dry-run" in printed
    assert printed[-2] == "written: my_pictures.yaml (20 trials, planned)"
    assert printed[-1] == "next:    python -m harness.sweep my_pictures.yaml --profile quick"
    assert [path.name for path in here.iterdir() if path.is_file()] == ["my_pictures.yaml"]
    assert load_sweep(here / "my_pictures.yaml").name == "my_pictures"


@pytest.mark.slow
def test_the_quick_profile_runs_to_its_report(here: Path):
    """Slow: trains 8 trials, of two seeds and not of five."""
    for name, level in (("dark", 60), ("bright", 160)):
        pictures(here / "set" / name, 20, level=level)
    assert status_of(main, ["set"]) == 0
    command = ["-m", "harness.sweep", "set.yaml", "--profile", "quick", "--engine", "local"]
    command += ["--set", "seeds=2"]
    ended = subprocess.run(
        [sys.executable, *command], cwd=here, env=environment(), capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert (here / "runs" / "set" / "report" / "index.html").is_file()
