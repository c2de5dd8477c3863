"""Which data set a condition uses, opened once, and whether it leaves test images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from data_files import write_mnist

import datasets
from datasets.split import SplitSettings, split_dataset
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Condition
from harness.trials import catalogue as catalogue_module
from harness.trials.catalogue import DataCatalogue
from headstart.errors import DataError, DataNotFoundError

DATA = "{name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}"
GLYPHS = "{name: glyphs, count: 60, seed: 1}"


@pytest.fixture
def condition_of(write_sweep):
    """The arm `scratch` of the small sweep with other data."""

    def condition(data: str, *replacements) -> Condition:
        return load_sweep(write_sweep((DATA, data), *replacements)).arms["scratch"]

    return condition


def mnist_in(folder: Path) -> Path:
    """A data folder with a small set of MNIST's files."""
    write_mnist(folder / "mnist" / "MNIST" / "raw")
    return folder


def test_what_is_known_of_a_set_once_it_is_open(condition_of):
    catalogue = DataCatalogue(allow_download=False)
    use = catalogue.use(condition_of(GLYPHS))
    dataset = catalogue.open(use)
    assert (use.choice.name, use.stand_in_for, use.n_images) == ("glyphs", "", 60)
    assert use.class_names == dataset.class_names == tuple("0123456789")
    assert (use.image_size, use.channels) == ((28, 28), 1)
    assert use.fingerprint == dataset.fingerprint
    assert (use.notes, use.warnings) == (dataset.notes, dataset.warnings)
    assert (use.source, use.counts) == (dataset.source, {"": (6,) * 10})
    assert dataset.images.shape == (60, 1, 28, 28)


def test_a_set_is_opened_once_for_each_size(condition_of, monkeypatch):
    catalogue = DataCatalogue(allow_download=False)
    loads = []
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: loads.append(a) or load(*a, **k))
    first, again = (catalogue.use(condition_of(GLYPHS)) for _ in range(2))
    assert first is again
    assert catalogue.open(first) is catalogue.open(again)
    assert len(loads) == 1
    large = catalogue.use(
        condition_of(GLYPHS, ("{name: lenet5}", "{name: squeezenet1_1, image_size: 32}"))
    )
    assert (large.image_size, large.channels) == ((32, 32), 3)
    assert catalogue.open(large).images.shape == (60, 3, 32, 32)
    assert large.fingerprint != first.fingerprint
    assert len(loads) == 2


def test_a_set_that_cannot_be_used_is_read_once(condition_of, tmp_path, monkeypatch):
    catalogue, loads = DataCatalogue(tmp_path, allow_download=False), []
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: loads.append(a) or load(*a, **k))
    for _ in range(2):
        with pytest.raises(DataError, match="60 images asked for, 0 are left"):
            catalogue.use(condition_of("{name: glyphs, count: 60, train: 60, test: 60}"))
    assert len(loads) == 1


def test_a_worker_opens_what_the_plan_chose(condition_of):
    use = DataCatalogue(allow_download=False).use(condition_of(GLYPHS))
    opened = DataCatalogue(allow_download=False)
    assert opened.open(use).fingerprint == use.fingerprint
    assert opened.open(use) is opened.open(use)


def test_content_that_changed_since_the_plan_is_refused(condition_of):
    use = DataCatalogue(allow_download=False).use(condition_of(GLYPHS))
    planned = dataclasses.replace(use, fingerprint="0123456789abcdef")
    expected = (
        rf"glyphs: its content changed since the plan was made "
        rf"\(01234567 then, {use.fingerprint[:8]} now\)"
    )
    with pytest.raises(DataError, match=expected):
        DataCatalogue(allow_download=False).open(planned)


def test_the_first_set_that_is_there_is_used(condition_of, tmp_path):
    several = f"{{first_of: [mnist, {GLYPHS}]}}"
    nothing = DataCatalogue(tmp_path / "nothing", allow_download=False)
    stand_in = nothing.use(condition_of(several))
    assert (stand_in.choice.name, stand_in.stand_in_for) == ("glyphs", "mnist")
    (mnist,) = stand_in.passed_over
    assert mnist.name == "mnist"
    assert mnist.reason.startswith("not on this machine: put its four files")
    there = DataCatalogue(mnist_in(tmp_path), allow_download=False)
    real = there.use(condition_of(several))
    assert (real.choice.name, real.stand_in_for, real.n_images) == ("mnist", "", 40)
    assert (real.counts, real.passed_over) == ({"train": (3,) * 10, "test": (1,) * 10}, ())


NAMED = [
    "{name: folder, path: mine}", "{name: cifar, path: mine}", "{name: csv, path: mine.csv}",
    "{name: npz, path: mine.npz}", "{name: npy, path: mine}", "{name: idx, path: mine}",
    "{name: parquet, path: mine}", "{name: pickle, path: mine.p}", "{name: mat, path: mine.mat}",
    "{name: hdf5, path: mine.h5}", "{name: webdataset, path: mine}",
    "{name: sheets, photos: {mine.jpg: name}}", "{name: sheets, photos: {'mine/*.jpg': '3'}}",
]  # fmt: skip


@pytest.mark.parametrize("named", NAMED)
def test_what_a_person_names_must_be_there_unless_it_is_optional(condition_of, tmp_path, named):
    catalogue = DataCatalogue(tmp_path, allow_download=False)
    for choices in (f"{named}, {GLYPHS}", f"{GLYPHS}, {named}"):
        with pytest.raises(DataNotFoundError, match=r"mine.*`optional: true` beside it would"):
            catalogue.use(condition_of(f"{{first_of: [{choices}]}}"))
    optional = named.removesuffix("}") + ", optional: true}"
    use = catalogue.use(condition_of(f"{{first_of: [{optional}, {GLYPHS}]}}"))
    assert (use.choice.name, len(use.passed_over)) == ("glyphs", 1)
    assert "mine" in use.passed_over[0].reason


def test_code_of_the_users_own_must_find_its_path(condition_of, tmp_path):
    (tmp_path / "nets.py").write_text("def birds(path): ...\n")
    named = f"{{name: {tmp_path / 'nets.py'}:birds, path: mine}}"
    with pytest.raises(DataNotFoundError, match="mine: no such file or folder"):
        DataCatalogue(tmp_path, allow_download=False).use(
            condition_of(f"{{first_of: [{named}, {GLYPHS}]}}")
        )


@pytest.mark.parametrize("optional", ["", ", optional: true"])
def test_what_is_there_and_cannot_be_read_is_never_passed_over(condition_of, tmp_path, optional):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "images.npz").write_bytes(b"no arrays")
    for name, path in (
        ("folder", "empty"), ("folder", "link"), ("idx", "empty"), ("npz", "images.npz"),
        ("npz", f"{tmp_path}/images.npz, test_path: none.npz"),
    ):  # fmt: skip
        choices = f"{{name: {name}, path: {path}{optional}}}, {GLYPHS}"
        with pytest.raises(DataError) as caught:
            DataCatalogue(tmp_path, allow_download=False).use(
                condition_of(f"{{first_of: [{choices}]}}")
            )
        assert caught.type is DataError, path


def test_sets_of_which_none_is_there_are_all_named(condition_of, tmp_path):
    with pytest.raises(DataNotFoundError) as caught:
        DataCatalogue(tmp_path, allow_download=False).use(
            condition_of("{first_of: [mnist, handwritten62]}")
        )
    assert all(name in str(caught.value) for name in ("mnist", "handwritten62"))
    assert len(str(caught.value).splitlines()) >= 2


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (GLYPHS, True),  # 0.15 of a set without a test part
        ("{name: glyphs, count: 60, train: 40}", False),
        ("{name: glyphs, count: 60, validation: 10}", False),
        ("{name: glyphs, count: 60, train: 40, test: 1}", True),
        ("{name: glyphs, count: 60, split: {train: 0.8, validation: 0.2}}", False),
        ("{name: glyphs, count: 60, split: {train: 0.8, test: 0.2}}", True),
        ("{name: glyphs, count: 60, split: {train: 0.8, test: 0.0}}", False),
        ("{name: mnist, train: 20}", True),  # it has a test part of its own
        ("{name: mnist, split: {train: 0.8, validation: 0.2}}", True),
    ],
)
def test_whether_test_images_are_left(condition_of, tmp_path, data, expected):
    catalogue = DataCatalogue(mnist_in(tmp_path), allow_download=False)
    assert catalogue.use(condition_of(data)).has_test is expected


@pytest.mark.parametrize("data", [GLYPHS, "{name: mnist}"])
def test_a_count_of_no_test_images_leaves_none(condition_of, tmp_path, data):
    condition = condition_of(data)
    choice = condition.data[0].model_copy(update={"split": SplitSettings(train=20, test=0)})
    catalogue = DataCatalogue(mnist_in(tmp_path), allow_download=False)
    assert catalogue.use(condition.model_copy(update={"data": (choice,)})).has_test is False


def test_data_is_fetched_unless_that_is_forbidden(condition_of, monkeypatch):
    asked = []

    def load(*_, **options):
        asked.append((options["data_dir"], options["allow_download"]))
        raise DataNotFoundError("nothing is here")

    monkeypatch.setattr(datasets, "load_dataset", load)
    for catalogue in (DataCatalogue(), DataCatalogue(Path("data"), allow_download=False)):
        with pytest.raises(DataNotFoundError, match="nothing is here"):
            catalogue.use(condition_of(GLYPHS))
    assert asked == [(None, True), (Path("data"), False)]


def test_labels_are_those_of_the_files(condition_of, tmp_path):
    catalogue = DataCatalogue(mnist_in(tmp_path), allow_download=False)
    dataset = catalogue.open(catalogue.use(condition_of("{name: mnist}")))
    np.testing.assert_array_equal(dataset.labels, [*(np.arange(30) % 10), *range(10)])


def test_what_a_split_says_is_of_the_stream_that_is_given(condition_of, monkeypatch):
    drawn = []

    def split(dataset, settings, rng):
        drawn.append(int(rng.integers(1 << 30)))
        return split_dataset(dataset, settings, rng)

    monkeypatch.setattr(catalogue_module, "split_dataset", split)
    for stream in (0, 7, 7):
        DataCatalogue(allow_download=False, split_stream=stream).use(condition_of(GLYPHS))
    wanted = [int(np.random.default_rng(stream).integers(1 << 30)) for stream in (0, 7, 7)]
    assert drawn == wanted
