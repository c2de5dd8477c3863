"""A data set of the user's own file: by reference, options by its signature, errors with a line."""

import pickle

import numpy as np
import pytest
from data_files import request

from datasets import checked_options, describe, load_dataset, locate_dataset
from datasets.own import OwnOptions, OwnSet
from headstart.errors import DataError, InputError

CODE = """\
import numpy as np
from pathlib import Path
from shades import SHADES

runs = []

def numbers(path: str, n: int = 6, shade: float = 1.0):
    Path(path).with_name("runs").open("a").write("x")
    start = int(Path(path).read_text())
    images = np.zeros((n, 4, 4), np.uint8)
    images[:, 0, 0] = start + np.arange(n)
    images[:, 1, 1] = SHADES
    return {"images": images, "labels": np.arange(n) % 2 + 1}

class Drawn:
    classes = ["a", "b"]
    def __init__(self, n=4):
        self.n = n
    def __len__(self):
        return self.n
    def __getitem__(self, k):
        if k > 8:
            raise IndexError("no more")
        return np.full((4, 4), k, np.uint8), k % 2

def any_of(**options):
    return np.zeros((2, 4, 4), np.uint8) + np.uint8([[[0]], [[1]]]), [0, 1]

def takes_split(train):
    return None

def by_position(a, /):
    return None

THREE = 3
"""


@pytest.fixture
def own(tmp_path):
    """`name` → the absolute reference to it; the file lies with one that it imports."""
    (tmp_path / "my.py").write_text(CODE)
    (tmp_path / "shades.py").write_text("SHADES = 7\n")
    (tmp_path / "start.txt").write_text("10")
    return lambda name: f"{tmp_path}/my.py:{name}"


def load(reference, tmp_path, **options):
    return load_dataset(
        reference, options, data_dir=tmp_path, cache_dir=tmp_path / "cache", image_size=(4, 4)
    )


def test_a_function_and_a_class_are_data_sets(own, tmp_path):
    dataset = load(own("numbers"), tmp_path, path="start.txt", n=8)
    assert dataset.name == "my.py:numbers"
    assert dataset.source == str(tmp_path / "start.txt")
    assert dataset.images[:, 0, 0, 0].tolist() == list(range(10, 18))
    assert dataset.class_names == ("1", "2")
    drawn = load(own("Drawn"), tmp_path)
    assert drawn.class_names == ("a", "b")
    assert drawn.images[:, 0, 1, 1].tolist() == [0, 1, 2, 3]
    spoilt = load(own("Drawn"), tmp_path, corrupt_labels={"kind": "complementary", "fraction": 1})
    assert spoilt.labels.tolist() == [1, 0, 1, 0]
    assert len(load(own("any_of"), tmp_path, whatever=3).labels) == 2


def test_it_is_read_again_where_the_file_the_code_or_an_option_changed_and_not_else(own, tmp_path):
    reference = own("numbers")

    def n_runs(**options) -> int:
        load(reference, tmp_path, path="start.txt", **options)
        return len((tmp_path / "runs").read_text())

    assert [n_runs(), n_runs()] == [1, 1]
    assert n_runs(n=4) == 2
    (tmp_path / "start.txt").write_text("100")
    assert n_runs() == 3
    (tmp_path / "shades.py").write_text("SHADES = 8\n")
    assert n_runs() == 4
    assert load(reference, tmp_path, path="start.txt").images[0, 0, 1, 1] == 8


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("numbers", {}, "data set 'my.py:numbers': option 'path' is needed"),
        ("numbers", {"path": "start.txt", "m": 3}, r"no option 'm'; it takes path, n, shade"),
        ("numbers", {"path": "start.txt", "shad": 3}, r"no option 'shad' \(did you mean 'shade'\?"),
        ("numbers", {"path": "start.txt", "n": "3"}, "option 'n': '3' is no int"),
        ("numbers", {"path": "start.txt", "n": True}, "option 'n': True is no int"),
        ("numbers", {"path": 3}, "option 'path': 3 is no path"),
        ("numbers", {"path": "no.txt"}, "no.txt: no such file or folder"),
        ("numbers", {"path": "start.txt", "code": "0" * 32}, "the code has changed: 00000000 is w"),
        ("Drawn", {"n": 20}, r"my.py:Drawn: /.*/my.py:23: IndexError: no more"),
        ("Drawn", {"n": "x"}, r"my.py:Drawn: .*TypeError"),
        ("Drawn", {"corrupt": 1}, "no option 'corrupt'.*; it takes n"),
        ("takes_split", {}, "my.py:takes_split: `train` is a key of every data entry; rename"),
        ("by_position", {}, "my.py:by_position: a can be given by position only; leave out"),
        ("THREE", {}, "my.py:THREE: is int; name a function that returns the data set, or its cl"),
        ("Dawn", {}, r"my.py: has no 'Dawn' \(did you mean 'Drawn'\?\)"),
    ],
)
def test_mistakes_are_one_line(own, tmp_path, name, options, message):
    with pytest.raises(InputError, match=message) as caught:
        load(own(name), tmp_path, **options)
    assert "\n" not in str(caught.value)


def test_options_travel_and_stand_in_records(own, tmp_path):
    options = checked_options(own("numbers"), {"path": "start.txt", "n": 4})
    assert type(options) is OwnOptions
    assert pickle.loads(pickle.dumps(options)) == options
    written = options.model_dump(mode="json", exclude_defaults=True)
    assert written == {"path": "start.txt", "n": 4, "code": options.code}
    assert checked_options(own("numbers"), written) == options


def test_a_record_names_code_and_nothing_of_it_is_run(own, tmp_path):
    """As in a run folder, which has the name of the file alone."""
    (tmp_path / "my.py").write_text("raise SystemExit('run')")
    record = OwnSet("my.py:numbers")
    options = record.Options.model_validate({"code": "0" * 32, "path": "start.txt", "n": 3})
    assert options.given == {"path": "start.txt", "n": 3}
    with pytest.raises(InputError, match="code is never taken from a run folder: give the file"):
        record.load(options, request(tmp_path))
    with pytest.raises(InputError, match=r"my.py:1: SystemExit: run"):
        checked_options(own("numbers"), {})


def test_its_files_are_looked_for_as_others_are(own, tmp_path):
    paths = locate_dataset(own("numbers"), tmp_path, {"path": "start.txt"})
    assert paths == (tmp_path / "start.txt",)
    assert locate_dataset(own("Drawn"), tmp_path) == ()


def test_it_is_described_by_its_reference(own, tmp_path, monkeypatch, capsys):
    own("Drawn")
    monkeypatch.chdir(tmp_path)
    describe.main(["my.py:Drawn", "--set", "n=6", "--out", str(tmp_path / "out")])
    assert "total                      6" in capsys.readouterr().out
    assert (tmp_path / "out" / "montage.png").is_file()


def test_a_name_that_is_none_says_how_ones_own_are_named():
    with pytest.raises(DataError, match=r"and those of a file of your own: my_data.py:NAME"):
        load_dataset("mnits")


def test_images_go_through_the_same_checks(own, tmp_path):
    with pytest.raises(DataError, match=r"only one class"):
        load(own("Drawn"), tmp_path, n=1)
    assert np.unique(load(own("Drawn"), tmp_path, n=5).labels).tolist() == [0, 1]
