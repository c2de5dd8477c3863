"""`python -m datasets.describe` and `python -m datasets`: what they measure, print and write."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_files import class_folders, dataset_of, image_bytes, write_mnist, write_tree
from PIL import Image

from datasets.__main__ import main as show_places
from datasets.catalog import load_dataset
from datasets.describe import as_text, describe, main
from datasets.given import Given, read_given
from datasets.measures import class_means, differences, measure_images, nearest_mean_accuracy
from headstart.errors import InputError

ROOT = Path(__file__).parents[2]


def test_measures_of_a_bar_by_hand():
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 10:14] = 255
    measures = {key: float(values[0]) for key, values in measure_images(bar[None]).items()}
    assert measures["ink"] == measures["brightness"] == pytest.approx(80 / 784)
    assert measures["height"] == pytest.approx(20 / 28)
    assert measures["width"] == pytest.approx(4 / 28)
    assert measures["off_centre"] == pytest.approx(2 / 28)
    assert measures["stroke"] == pytest.approx(4, abs=0.3)


def test_an_image_without_ink_has_no_size():
    measures = measure_images(np.zeros((1, 5, 5), np.uint8))
    assert measures["ink"] == 0
    assert np.isnan(measures["stroke"])


def test_differences_are_in_the_references_spread():
    own = {"a": np.array([5.0, np.nan, 7.0]), "b": np.ones(2), "c": np.ones(2)}
    reference = {"a": np.array([1.0, 3.0]), "b": np.zeros(2), "c": np.ones(2)}
    result = differences(own, reference)
    assert result["a"] == pytest.approx(4 / np.sqrt(2))
    assert result["b"] == np.inf
    assert result["c"] == 0


def test_class_means_and_the_nearest_of_them():
    images = np.array([[0, 0], [0, 2], [9, 9], [9, 7]], np.uint8).reshape(4, 1, 1, 2)
    means = class_means(dataset_of([0, 0, 1, 1], images=images))
    np.testing.assert_allclose(means.reshape(2, 2), [[0, 1], [9, 8]])
    assert nearest_mean_accuracy(means, images[:, 0], np.array([0, 0, 1, 0])) == 0.75


def test_a_description_counts_parts_and_copies():
    images = dataset_of(range(6)).images.copy()
    images[5] = images[0]
    parts = {"train": np.arange(4), "test": np.array([4, 5])}
    description = describe(dataset_of([0, 1, 0, 1, 0, 1], images=images, parts=parts))
    assert description.counts == {"train": {"0": 2, "1": 2}, "test": {"0": 1, "1": 1}}
    assert description.n_copies == 1
    assert description.n_copies_between_parts == 1
    assert sum(description.histogram) == pytest.approx(1)


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_warnings_come_before_notes():
    said = replace(dataset_of([0, 0, 1, 1]), notes=("a note",), warnings=("half is not read",))
    lines = as_text(describe(said)).splitlines()
    assert lines[-2:] == ["warning: half is not read", "note: a note"]


def test_a_folder_is_described_against_a_named_set(places, capsys):
    write_mnist(places / "data" / "mnist" / "raw")
    write_tree(places / "mine", class_folders(2, "0123456789", (28, 28)))
    main(["mine", "--against", "mnist"])
    out = capsys.readouterr().out
    assert "28×28 pixels, grayscale" in out
    assert "against mnist: differences of means" in out
    assert "nearest class mean of mnist" in out
    written = places / "describe-mine"
    assert json.loads((written / "description.json").read_text())["counts"]["all"]["7"] == 2
    assert Image.open(written / "montage.png").size == (2 + 2 * 30, 2 + 10 * 30)
    assert Image.open(written / "means.png").size == (2 + 10 * 30, 2 + 2 * 30)


def test_a_set_takes_its_options_and_a_place(places, capsys):
    main(["glyphs", "--set", "count=20", "--set", "classes=digits", "--out", "there"])
    assert "total" in capsys.readouterr().out
    assert sorted(path.name for path in (places / "there").iterdir()) == [
        "description.json",
        "means.png",
        "montage.png",
    ]


@pytest.mark.parametrize(
    ("file", "name"), [("x.npz", "npz"), ("x.csv", "csv"), ("x-images-idx3-ubyte", "idx")]
)
def test_the_kind_of_a_path_is_known(places, file, name):
    path = places / "some" / file
    path.parent.mkdir()
    path.write_bytes(b"")
    given = path.parent if name == "idx" else path
    assert read_given(str(given)) == Given(name, {"path": given})


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["mnits"], r"'mnits' is no data set \(did you mean 'mnist'\?\) and no file or folder"),
        (["glyphs", "--set", "count"], "--set count: give KEY=VALUE"),
        (["glyphs", "--set", "count=[1"], "--set: count: .* is not a YAML value"),
        (["glyphs", "--set", "cuont=5"], "no option 'cuont'"),
    ],
)
def test_a_wrong_word_is_one_message(places, argv, message):
    with pytest.raises(InputError, match=message):
        main(argv)
    assert not list(places.glob("describe-*"))


def test_the_table_says_what_is_here_and_how_to_get_the_rest(places, capsys):
    write_mnist(places / "data" / "mnist" / "raw")
    show_places([])
    out = capsys.readouterr().out
    assert f"here:    {places}/data/mnist/raw" in out
    assert "missing: put trainPart1.zip" in out
    assert "python -m datasets --get handwritten62" in out
    assert "here:    needs no files" in out
    assert "data: {name: folder, path: …}" in out


def test_the_table_ends_with_the_files_that_the_sweeps_here_name(places, capsys, monkeypatch):
    monkeypatch.chdir(places)
    (places / "sweeps").mkdir()
    (places / "sweeps" / "two.yaml").write_text(
        "name: two\ndata: {first_of: [{name: folder, path: a.zip}, {name: folder, path: s3://b/c}]}\n"
        "pretrain: {one: {data: {name: csv, path: d/e.csv}}, two: {data: {name: csv, path: a.zip}}}"
    )
    (places / "sweeps" / "broken.yaml").write_text("name: [")
    (places / "data" / "d").mkdir(parents=True)
    (places / "data" / "d" / "e.csv").write_text("1")
    show_places([])
    lines = capsys.readouterr().out.split("two.yaml: ", 1)[1].split()
    assert " ".join(lines) == (
        f"a.zip missing: put it at {places}/data/a.zip; sweeps/two.yaml says where it is from "
        f"two.yaml: d/e.csv here: {places}/data/d/e.csv"
    )


def test_a_set_is_fetched_by_name(places, capsys):
    write_mnist(places / "data" / "mnist" / "raw")
    show_places(["--get", "mnist"])
    assert capsys.readouterr().out.startswith("mnist: 40 images from ")


def run(*argv, cwd=ROOT, env=None):
    return subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_damaged_folder_ends_with_status_2_and_one_line(tmp_path):
    files = class_folders(2) | {"a/bad.png": image_bytes(np.zeros((6, 5), np.uint8))[:50]}
    write_tree(tmp_path / "mine", files)
    done = run(
        "datasets.describe",
        str(tmp_path / "mine"),
        "--out",
        str(tmp_path / "out"),
        env={"HEADSTART_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"{tmp_path}/mine/a/bad.png: " in done.stderr
    assert not (tmp_path / "out").exists()


def test_of_many_large_pictures_a_sample_is_described_and_full_looks_at_all(
    places, capsys, monkeypatch
):
    folders = {f"{part}/{name}": data for part in ("train", "test")
               for name, data in class_folders(6, "ab", (40, 30)).items()}  # fmt: skip
    write_tree(places / "mine", folders)
    monkeypatch.setattr("datasets.describe._MOST_PIXELS", 12 * 1200)
    main(["mine"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == (
        "a sample of 12 of 24 images, each scaled to 30×40 pixels, grayscale; --full looks at all "
        "of them as they are"
    )
    assert lines[2:4] == [
        "files: .png 24",
        "sizes: smallest 30×40, median 30×40, largest 30×40 pixels (width × height)",
    ]
    assert [line.split() for line in lines[6:9]] == [
        ["a", "6", "6"], ["b", "6", "6"], ["total", "12", "12"],
    ]  # fmt: skip
    assert not list((places / "cache").glob("decoded/*"))  # a sample is never trained on
    main(["mine", "--full"])
    assert "fingerprint" in capsys.readouterr().out.splitlines()[1]
    main(["mine"])  # it is decoded now, so all of it is described
    lines = capsys.readouterr().out.splitlines()
    assert "fingerprint" in lines[1]
    assert lines[2] == "files: .png 24"


def test_large_pictures_are_small_in_the_montage(places):
    files = class_folders(2, "ab", (300, 200))
    write_tree(places / "mine", files)
    main(["mine"])
    assert Image.open("describe-mine/montage.png").size == (2 + 2 * 87, 2 + 2 * 130)


@pytest.mark.parametrize("given", ["mnist", "own"])
def test_a_flat_table_is_read_again_with_the_same_pixels(places, given, capsys):
    write_mnist(places / "data" / "mnist" / "raw")
    write_tree(places / "own", class_folders(3, "ABab", (40, 30)))
    main([given, "--csv", "flat.csv"])
    assert "Label and 784 pixels of " in capsys.readouterr().out
    read = load_dataset("csv", {"path": places / "flat.csv"})
    name, options = ("mnist", {}) if given == "mnist" else ("folder", {"path": places / "own"})
    own = load_dataset(name, options, image_size=(28, 28), channels=1)
    assert np.array_equal(read.images, own.images)
    names = [[s.class_names[label] for label in s.labels] for s in (read, own)]
    assert names[0] == names[1]
    parts = [{name: rows.tolist() for name, rows in s.parts.items()} for s in (read, own)]
    assert parts[0] == parts[1]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("flat.txt", "ends in .csv"),
        ("none/flat.csv", "there is no folder none"),
        ("is.csv", "is a folder"),
    ],
)
def test_a_flat_table_that_cannot_be_is_refused_first(path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("is.csv").mkdir()
    with pytest.raises(InputError, match=message):
        main(["no such set", "--csv", path])
