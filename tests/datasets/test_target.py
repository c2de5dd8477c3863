"""What the texts of a label column stand for, and how a split treats them."""

from __future__ import annotations

import numpy as np
import pytest
from data_files import dataset_of
from pydantic import ValidationError

from datasets import load_dataset
from datasets.as_target import as_target
from datasets.base import DatasetOptions
from datasets.split import SplitSettings, split_dataset
from datasets.strata import stratified
from datasets.target import TargetSettings, as_number, target_of
from headstart.errors import DataError


def of(values, **keys):
    return target_of(TargetSettings(**keys), values, "WHERE")


def test_several_labels_become_a_column_each() -> None:
    target = of(["cat|dog", "dog", "(none)", "10|9"], kind="labels")
    assert target.names == ("9", "10", "cat", "dog")
    assert target.table.tolist() == [[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert of(["a; b", "b"], kind="labels").names == ("a", "b")
    assert of(["a b", "b"], kind="labels", separator=" ").names == ("a", "b")


def test_ordered_classes_have_their_places() -> None:
    target = of(["mild", "severe", "none"], kind="ordered", order=["none", "mild", "severe"])
    assert (target.names, target.table[:, 0].tolist()) == (("none", "mild", "severe"), [0, 1, 2])
    assert of(["10", "9", "-1"], kind="ordered").names == ("-1", "9", "10")
    assert of(["1", "2"], kind="ordered", order=[2, 1]).names == ("2", "1")


def test_numbers_are_what_is_written() -> None:
    target = of(["23", "-1.5", "2e3"], kind="number", unit="years")
    assert (target.names, target.table[:, 0].tolist()) == (("years",), [23.0, -1.5, 2000.0])
    assert as_number(" .5 ", "") == 0.5


@pytest.mark.parametrize(
    ("values", "keys", "message"),
    [
        (["1", "two"], {"kind": "number"}, "WHERE: target: number: 'two' is no number"),
        (["1", "3,5"], {"kind": "number"}, r"'3,5' is no number; a decimal point is written '\.'"),
        (["1", "nan"], {"kind": "number"}, "'nan' is no number"),
        (["1", "1e300"], {"kind": "number"}, "'1e300' is too large"),
        (["7", "7.0"], {"kind": "number"}, "all images have the same number"),
        (["1000000001", "1000000020"], {"kind": "number"},
         "WHERE: .* 1000000020 would be read as 1000000000: the numbers are too close"),
        (["low", "high"], {"kind": "ordered"}, r"no numbers \(low, high, …\), so say their order"),
        (["a", "b"], {"kind": "ordered", "order": ["a", "c"]}, "order lacks 'b'; the classes are"),
        (["a", "b"], {"kind": "ordered", "order": ["a", "b", "c"]}, "'c', which no image has"),
        (["cat", "dog"], {"kind": "labels"}, "no image has several labels"),
        (["a|a", "b"], {"kind": "labels"}, r"'a\|a' names a label twice"),
        (["a|", "a"], {"kind": "labels"}, r"only one label \(a\)"),
    ],
)  # fmt: skip
def test_what_the_texts_cannot_mean_is_said(values, keys, message) -> None:
    with pytest.raises(DataError, match=message):
        of(values, **keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "number", "order": ["a", "b"]}, "order belongs to the kind ordered, not to num"),
        ({"kind": "ordered", "unit": "years"}, "unit belongs to the kind number"),
        ({"kind": "labels", "separator": "|", "columns": ["a", "b"]}, "give one of them"),
        ({"kind": "ordered", "order": ["a", "a"]}, "names a class twice"),
        ({"kind": "ranking"}, "'labels', 'ordered' or 'number'"),
    ],
)
def test_settings_of_another_kind_are_refused(keys, message) -> None:
    with pytest.raises(ValidationError, match=message):
        TargetSettings(**keys)


def test_a_word_is_enough_and_classes_are_no_target() -> None:
    assert DatasetOptions(target="number").target == TargetSettings(kind="number")
    assert DatasetOptions(target="classes").target is None
    with pytest.raises(ValidationError, match="corrupt_labels spoils classes"):
        DatasetOptions(target="number", corrupt_labels={"kind": "pairs", "fraction": 0.5})


def test_any_set_can_be_read_so_and_is_another_set_then() -> None:
    plain = load_dataset("optdigits")
    numbers = load_dataset("optdigits", target="number")
    assert (numbers.labels == plain.labels).all()
    assert (numbers.class_names, numbers.label_names) == (("value",), plain.class_names)
    ordered = load_dataset("optdigits", target={"kind": "ordered", "order": list("9876543210")})
    assert (ordered.labels == 9 - plain.labels).all()
    fingerprints = {plain.fingerprint, numbers.fingerprint, ordered.fingerprint}
    assert len(fingerprints) == 3
    assert "0 to 9, mean 4.491" in numbers.notes[-1]


def test_numbers_are_split_by_bins_of_equally_many() -> None:
    """Each part has the numbers of the whole: of 1,000 in 10 bins, 150 test with mean near 499.5.

    Drawn without bins the mean's standard deviation would be 22; ten bins leave 2.2.
    """
    values = np.arange(1000)
    dataset = as_target(dataset_of(values), TargetSettings(kind="number"))
    strata = stratified(dataset)
    assert np.bincount(strata.labels).tolist() == [100] * 10
    means = []
    for seed in range(5):
        split = split_dataset(dataset, SplitSettings(), np.random.default_rng(seed))
        assert [len(split.train), len(split.validation), len(split.test)] == [700, 150, 150]
        means.append(dataset.target.table[dataset.labels[split.test], 0].mean())
    assert np.abs(np.array(means) - 499.5).max() < 10


def test_rare_combinations_of_labels_share_a_stratum_and_lacking_labels_are_said() -> None:
    values = np.repeat([0, 1, 2], [60, 30, 1])
    plain = dataset_of(values)
    named = as_target(
        type(plain)(**{**vars(plain), "class_names": ("a", "b", "a|c")}),
        TargetSettings(kind="labels"),
    )
    assert np.bincount(stratified(named).labels).tolist() == [30, 60, 1]
    split = split_dataset(named, SplitSettings(), np.random.default_rng(0))
    assert any("no test image has the label c" in note for note in split.notes)
    parts = {"train": np.arange(90), "test": np.array([90])}
    apart = type(plain)(**{**vars(plain), "class_names": ("a", "b", "a|c"), "parts": parts})
    with pytest.raises(DataError, match="no image of its train part has the label 'c'"):
        as_target(apart, TargetSettings(kind="labels"))
    assert as_target(apart, TargetSettings(kind="labels"), only_tests=True).class_names[2] == "c"
    assert target_of(TargetSettings(kind="number"), ["7"], "", only_tests=True).table == [[7]]
    with pytest.raises(DataError, match="per_class counts images by class"):
        split_dataset(named, SplitSettings(train=2, per_class=True), np.random.default_rng(0))
