"""A new data set is one new file: every command takes it, and none of them knows its name."""

import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from datasets import class_alias, dataset_for_path, dataset_names, describe, sets
from harness.evaluate.test_sets import preparation, read_test_set
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue

MODULE = '''\
"""Upright and lying bars, drawn: a set of one file."""

import numpy as np

from datasets.base import DatasetInfo, DatasetOptions, build_dataset

INFO = DatasetInfo(
    is_ink=True,
    preprocess="mnist_style",
    suffixes=(".bars",),
    folder_sign=".bar",
    class_aliases={"class1": "upright", "class2": "lying"},
)


class Options(DatasetOptions):
    count: int = 40


def locate(options, request):
    return ()


def load(options, request):
    labels = np.arange(options.count) % 2
    images = np.zeros((options.count, 1, *request.image_size), np.uint8)
    for number, (image, label) in enumerate(zip(images, labels)):
        place = 4 + number // 2 % 20
        image[0, :, place] = 255 * (label == 0)
        image[0, place, :] += np.uint8(255 * (label == 1))
    rows = np.arange(options.count)
    parts = {"train": rows[:-10], "test": rows[-10:]}
    return build_dataset("bars", images, labels, ["upright", "lying"], source="drawn", parts=parts)
'''
SWEEP = {
    "name": "bars",
    "question": "Which way does a bar lie?",
    "model": {"name": "lenet5"},
    "data": {"name": "bars", "count": 60, "corrupt_labels": {"kind": "uniform", "fraction": 0.1}},
    "arms": {"cnn": {}},
    "seeds": 1,
}


@pytest.fixture
def bars(tmp_path, monkeypatch):
    """The file `bars.py`, dropped into a folder that the catalogue scans."""
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "bars.py").write_text(MODULE)
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path / "sets")])
    dataset_names.cache_clear()
    yield
    dataset_names.cache_clear()
    sys.modules.pop("datasets.sets.bars", None)
    vars(sets).pop("bars", None)


@pytest.fixture
def trial(bars, tmp_path):
    path = tmp_path / "bars.yaml"
    path.write_text(yaml.safe_dump(SWEEP))
    return make_plan(load_sweep(path), DataCatalogue()).trials[0]


def test_a_sweep_plans_with_it(trial):
    assert trial.data.choice.name == "bars"
    assert trial.data.n_images == 60
    assert trial.data.class_names == ("upright", "lying")
    assert any("labels made wrong on purpose" in note for note in trial.data.notes)


def test_networks_trained_on_it_read_pages_as_it_declares(trial, tmp_path):
    prepare = preparation(trial.data.choice, (28, 28), 1)
    assert (prepare.preprocess, prepare.invert) == ("mnist_style", "paper")
    assert prepare.as_gray
    assert prepare.accepts_prepared
    for name in ("Class 001", "class-2"):  # as the set's own archive calls its folders
        (tmp_path / "pages" / name).mkdir(parents=True)
        Image.new("L", (28, 28), 255).save(tmp_path / "pages" / name / "page.png")
    test = read_test_set(str(tmp_path / "pages"), trial.data.class_names, prepare)
    assert test.labels.tolist() == [0, 1]


def test_it_is_a_test_set_met_later(trial):
    prepare = preparation(trial.data.choice, (28, 28), 1)
    test = read_test_set("bars", trial.data.class_names, prepare)
    np.testing.assert_array_equal(test.labels, [0, 1] * 5)


def test_it_is_described_by_name(bars, tmp_path, capsys):
    describe.main(["glyphs", "--set", "count=20", "--against", "bars", "--out", str(tmp_path)])
    assert "against bars" in capsys.readouterr().out


def test_paths_of_its_kind_are_read_by_it(bars, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "1.bar").touch()
    assert dataset_for_path(tmp_path / "mine") == "bars"
    assert dataset_for_path(tmp_path / "table.BARS") == "bars"
    assert dataset_for_path(tmp_path) == "folder"
    assert class_alias("class_02") == "lying"
    assert class_alias("class3") == "class3"
