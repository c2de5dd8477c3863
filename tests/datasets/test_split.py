"""Splits by count and fraction: exact, stratified, without copies across parts."""

import numpy as np
import pytest
from data_files import dataset_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datasets.split import SplitSettings, split_dataset
from headstart.errors import DataError


def split(dataset, seed=0, **keys):
    return split_dataset(dataset, SplitSettings(**keys), np.random.default_rng(seed))


def counts(dataset, indices):
    return np.bincount(dataset.labels[indices], minlength=len(dataset.class_names)).tolist()


def sizes(parts):
    return len(parts.train), len(parts.validation), len(parts.test)


@pytest.fixture
def hundred():
    """100 images, four classes of 40, 30, 20 and 10, no parts of its own."""
    return dataset_of(np.repeat([0, 1, 2, 3], [40, 30, 20, 10]))


@pytest.fixture
def official():
    """100 images in two classes; 0 … 79 train, 80 … 99 test."""
    parts = {"train": np.arange(80), "test": np.arange(80, 100)}
    return dataset_of(np.arange(100) % 2, parts=parts)


def test_without_keys_a_set_is_split_70_15_15_in_each_class(hundred):
    parts = split(hundred)
    assert sizes(parts) == (70, 15, 15)
    assert counts(hundred, parts.train) == [28, 21, 14, 7]


def test_with_an_official_test_part_the_rest_is_split_85_15(official):
    parts = split(official)
    assert sizes(parts) == (68, 12, 20)
    np.testing.assert_array_equal(parts.test, np.arange(80, 100))
    assert max(*parts.train, *parts.validation) < 80


def test_counts_are_exact_and_stratified(hundred):
    parts = split(hundred, train=50, validation=20, test=10)
    assert sizes(parts) == (50, 20, 10)
    assert counts(hundred, parts.train) == [20, 15, 10, 5]
    assert counts(hundred, parts.validation) == [8, 6, 4, 2]


def test_the_pretraining_split_of_part_2():
    digits = dataset_of(np.repeat(np.arange(10), 40))
    parts = split(digits, train=342, validation=58)
    assert sizes(parts) == (342, 58, 0)
    assert set(counts(digits, parts.train)) == {34, 35}


def test_small_samples_of_8_2_2_a_class():
    digits = dataset_of(np.repeat(np.arange(10), 12))
    parts = split(digits, train=8, validation=2, test=2, per_class=True)
    assert counts(digits, parts.train) == [8] * 10
    assert counts(digits, parts.validation) == counts(digits, parts.test) == [2] * 10


def test_only_train_leaves_15_for_85_to_validation(hundred):
    assert sizes(split(hundred, train=34)) == (34, 6, 0)
    assert sizes(split(hundred, train=95)) == (95, 5, 0)


def test_only_validation_trains_on_all_the_rest(official):
    assert sizes(split(official, validation=10)) == (70, 10, 20)


def test_a_test_count_is_drawn_from_the_official_part(official):
    parts = split(official, train=40, validation=8, test=6)
    assert sizes(parts) == (40, 8, 6)
    assert min(parts.test) >= 80
    assert counts(official, parts.test) == [3, 3]


def test_an_official_validation_part_is_kept():
    parts = {
        "train": np.arange(60),
        "validation": np.arange(60, 80),
        "test": np.arange(80, 100),
    }
    drawn = split(dataset_of(np.arange(100) % 2, parts=parts))
    assert sizes(drawn) == (60, 20, 20)
    np.testing.assert_array_equal(drawn.validation, np.arange(60, 80))


def test_a_set_with_train_and_validation_only_gives_test_images_from_train():
    parts = {"train": np.arange(80), "validation": np.arange(80, 100)}
    drawn = split(dataset_of(np.arange(100) % 2, parts=parts))
    assert len(drawn.validation) == 20
    assert len(drawn.test) == round(80 * 0.15 / 0.85)
    assert len(drawn.train) + len(drawn.test) == 80


def test_fractions_may_leave_images_over(hundred):
    assert sizes(split(hundred, split={"train": 0.5, "validation": 0.25})) == (50, 25, 0)


def test_a_share_of_an_official_part_is_not_used_and_that_is_said(official):
    parts = split(official, split={"train": 0.5, "validation": 0.25, "test": 0.25})
    assert sizes(parts) == (40, 20, 20)
    assert parts.notes == (
        "the share of 'test' in split was not used: the set has a test part of its own",
    )


def test_the_generator_decides_and_nothing_else_does(hundred):
    first, same, other = (split(hundred, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train, same.train)
    np.testing.assert_array_equal(first.test, same.test)
    assert set(first.train) != set(other.train)
    assert (np.diff(first.train) < 0).any()  # in the order drawn, not sorted by class


def test_copies_stay_in_one_part():
    images = np.zeros((60, 1, 2, 2), np.uint8)
    images.reshape(60, 4)[:, 0] = np.repeat(np.arange(30), 2)  # each image twice
    dataset = dataset_of(np.repeat(np.arange(30) % 3, 2), images=images)
    parts = split(dataset, train=36, validation=12, test=12)
    assert sizes(parts) == (36, 12, 12)
    content = [
        set(dataset.first_copy[part].tolist())
        for part in (parts.train, parts.validation, parts.test)
    ]
    assert not content[0] & content[1] | content[0] & content[2] | content[1] & content[2]


def test_a_train_image_that_is_in_the_test_part_is_left_out_and_said():
    images = dataset_of(np.arange(100) % 2).images.copy()
    images[[3, 7]] = images[[90, 91]]
    parts = {"train": np.arange(80), "test": np.arange(80, 100)}
    dataset = dataset_of(np.arange(100) % 2, images=images, parts=parts)
    drawn = split(dataset)
    assert not {3, 7} & {*drawn.train, *drawn.validation}
    assert drawn.notes == (
        "2 images of the train part of 'tiny' left out: exact copies of images in its validation "
        "or test part",
    )


def test_copies_that_find_no_room_are_said():
    images = np.zeros((10, 1, 2, 2), np.uint8)
    images.reshape(10, 4)[:, 0] = [0, 0, 0, 0, 0, 5, 6, 7, 8, 9]
    dataset = dataset_of([0] * 5 + [1] * 5, images=images)
    drawn = split(dataset, train=4, validation=4)
    assert "fewer than asked for" in drawn.notes[0]
    assert 0 not in {*dataset.first_copy[drawn.train], *dataset.first_copy[drawn.validation]}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=20, max_size=120),
    st.integers(0, 1000),
    st.integers(1, 12),
    st.integers(0, 8),
)
def test_parts_never_share_an_image_and_counts_are_met(labels, seed, train, validation):
    dataset = dataset_of([0, 1, 2, 3, 4, *labels])
    parts = split(dataset, seed=seed, train=train, validation=validation)
    assert sizes(parts) == (train, validation, 0)
    assert len({*parts.train, *parts.validation}) == train + validation
    share = np.bincount(dataset.labels) * train / len(dataset.labels)
    assert (np.abs(counts(dataset, parts.train) - share) < 1).all()


def test_a_set_made_by_hand_without_known_copies_can_be_split(hundred):
    import dataclasses

    by_hand = dataclasses.replace(hundred, first_copy=None)
    np.testing.assert_array_equal(split(by_hand).train, split(hundred).train)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"train": 90, "validation": 20}, "validation: 20 images asked for, 10 are left"),
        ({"train": 11, "per_class": True}, "train: 11 images a class asked for, class '3' has 10"),
        ({"validation": 100}, "no image is left to train on"),
    ],
)
def test_asking_for_too_much_is_one_message(hundred, keys, message):
    with pytest.raises(DataError, match=message):
        split(hundred, **keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"split": {"train": 0.9, "validation": 0.2}}, "add up to 1.1"),
        ({"split": {"train": 0.5, "dev": 0.2}}, "dev: the parts are train, validation, test"),
        ({"split": {"validation": 0.2}}, "train's is over 0"),
        ({"train": 5, "split": {"train": 0.5}}, "not both"),
        ({"train": 0}, "greater than or equal to 1"),
        ({"per_class": True}, "per_class needs the count `train`"),
        ({"trian": 5}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        SplitSettings(**keys)
