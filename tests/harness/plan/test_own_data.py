"""A sweep on a data set of the user's own file: planned, with its digest, in any folder."""

import shutil

import pytest
import yaml

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.trials.catalogue import DataCatalogue
from headstart.errors import InputError

CODE = """
import numpy as np

def bars(n=40):
    images = np.zeros((n, 28, 28), np.uint8)
    images[np.arange(n), np.arange(n) % 28, np.arange(n) // 28] = 255
    return images, np.arange(n) % 2
"""
SWEEP = {
    "name": "own",
    "question": "Does it plan?",
    "model": {"name": "lenet5"},
    "data": {"name": "my_data.py:bars", "n": 60, "train": 30, "validation": 10, "test": 20},
    "arms": {"cnn": {}},
    "seeds": 1,
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "my_data.py").write_text(CODE)
    (folder / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    return folder


def trial(folder, *assignments):
    sweep = load_sweep(folder / "sweep.yaml", assignments=assignments)
    return make_plan(sweep, DataCatalogue()).trials[0]


def test_a_sweep_plans_with_it_and_the_folder_is_in_no_id(folder, tmp_path):
    planned = trial(folder)
    assert planned.data.n_images == 60
    assert planned.data.choice.shown == planned.data.choice.label == "my_data.py:bars"
    (code,) = planned.data.choice.own_code
    assert code.startswith("my_data.py:bars ")
    shutil.copytree(folder, tmp_path / "two")
    assert trial(tmp_path / "two").id == planned.id
    assert trial(folder, "data.n=50", "data.test=10").id != planned.id


def test_mistakes_stand_with_the_place_in_the_sweep(folder):
    with pytest.raises(InputError, match=r"data: no option 'm'; it takes n"):
        trial(folder, "data.m=50")
    with pytest.raises(InputError, match=r"data.name: .*my_data.py: has no 'bar' \(did you mean"):
        trial(folder, "data.name=my_data.py:bar")


def test_the_sweep_of_a_run_folder_names_the_code_and_does_not_run_it(folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "plan.json").write_text("{}")
    (run / "sweep.yaml").write_text(resolved_yaml(load_sweep(folder / "sweep.yaml")))
    (run / "my_data.py").write_text("raise SystemExit")
    with pytest.raises(InputError, match="code is never taken from a run folder: give the file"):
        load_sweep(run / "sweep.yaml")
    again = load_sweep(run / "sweep.yaml", code=[folder / "my_data.py"])
    assert make_plan(again, DataCatalogue()).trials[0].id == trial(folder).id
