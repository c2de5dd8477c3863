"""Splits by count and fraction: exact, stratified, without copies across parts."""

from dataclasses import replace

import numpy as np
import pytest
from data_files import dataset_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datasets.split import SplitSettings, check_parts, draws_are_alike, split_dataset
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
    parts = {"train": np.arange(60), "validation": np.arange(60, 80), "test": np.arange(80, 100)}
    drawn = split(dataset_of(np.arange(100) % 2, parts=parts))
    assert sizes(drawn) == (60, 20, 20)
    np.testing.assert_array_equal(drawn.validation, np.arange(60, 80))


def test_a_set_with_train_and_validation_only_gives_test_images_from_train():
    parts = {"train": np.arange(80), "validation": np.arange(80, 100)}
    drawn = split(dataset_of(np.arange(100) % 2, parts=parts))
    assert len(drawn.validation) == 20
    assert len(drawn.test) == round(80 * 0.15 / 0.85)
    assert len(drawn.train) + len(drawn.test) == 80


@pytest.mark.parametrize(
    ("parts", "note"),
    [
        (
            {"train": range(40), "validation": range(40, 60)},
            "the data set has no test part: 7 of its 40 training images were taken for it, 33 "
            "train, and its own validation part (20 images) validates",
        ),
        (
            {"train": range(40)},
            "the data set has no test part: 6 of its 40 training images were taken for it, 28 "
            "train, 6 validate",
        ),
    ],
)
def test_images_that_are_taken_for_a_test_part_are_said(parts, note):
    parts = {part: np.array(rows) for part, rows in parts.items()}
    dataset = dataset_of(np.arange(60) % 2, parts=parts)
    assert split(dataset).notes == (note,)
    of_folder = split(replace(dataset, name="folder")).notes[0]
    advice = "; parts: {test: val} tests on these" if "validation" in parts else ""
    assert of_folder == note + advice
    assert split(dataset, split={"train": 0.8, "test": 0.1}).notes == ()
    assert split(dataset, train=20, test=5).notes == ()
    assert split(dataset, train=20).notes == ()


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
    by_hand = replace(hundred, first_copy=None)
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


def test_what_is_needed_and_found_is_said_of_every_class_that_is_poor(hundred):
    """Its classes have 40, 30, 20 and 10 images."""
    with pytest.raises(DataError, match="needed of each class: 25 ") as caught:
        split(hundred, train=8, validation=15, test=2, per_class=True)
    assert "(8 train + 15 validation + 2 test), found: '2' 20, '3' 10; ask" in str(caught.value)
    with pytest.raises(DataError, match="needed in all: 120 ") as caught:
        split(hundred, train=90, validation=20, test=10)
    assert "(90 train + 20 validation + 10 test), found: 100; ask" in str(caught.value)
    many = dataset_of(np.repeat(np.arange(20), 3))
    with pytest.raises(DataError, match="'11' 3 and 8 more classes; ask"):
        split(many, train=4, per_class=True)


def test_a_trial_needs_images_to_choose_by_and_an_arm_images_to_test_on(hundred):
    untested = split(hundred, train=60, validation=20)
    check_parts(hundred, untested, is_tested=False)
    with pytest.raises(DataError, match=r"test: no .* \(60 train and 20 validation of 100\)"):
        check_parts(hundred, untested, is_tested=True)
    with pytest.raises(DataError, match="validation: no image is left to choose the checkpoint"):
        check_parts(hundred, split(hundred, train=90, test=10), is_tested=True)


def test_only_copies_and_groups_make_draws_differ(hundred):
    few = split(hundred, train=60, validation=2, test=3)
    assert draws_are_alike(hundred, few)
    copies = replace(hundred, first_copy=np.maximum(np.arange(100) - 1, 0) // 3 * 3)
    assert not draws_are_alike(copies, few)
    assert draws_are_alike(
        replace(hundred, first_copy=np.r_[0, 0, np.arange(2, 100)]),
        split(hundred, train=60, validation=3, test=3),
    )
    groups = np.arange(100) // 10
    assert not draws_are_alike(replace(hundred, groups=groups), few)


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


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"validation": 20, "test": 10}, (70, 20, 10)),  # train: all that the others leave
        ({"test": 10}, (90, 0, 10)),
        ({"train": 80, "test": 15}, (80, 5, 15)),  # 14 would be 15 for 85, and 5 are left
        ({"train": 34, "test": 60}, (34, 6, 60)),
        ({"train": 90, "test": 10}, (90, 0, 10)),
        ({"train": 60, "validation": 0}, (60, 0, 0)),
        ({"train": 60, "validation": 40}, (60, 40, 0)),
        ({"train": 2, "per_class": True}, (8, 1, 0)),
        ({"train": 6, "test": 1, "per_class": True}, (24, 4, 4)),
        ({"train": 5, "validation": 3, "test": 2, "per_class": True}, (20, 12, 8)),
    ],
)
def test_counts_that_are_not_given_are_filled_in(hundred, keys, expected):
    assert sizes(split(hundred, **keys)) == expected


def test_per_class_counts_may_leave_nothing_to_validation():
    digits = dataset_of(np.repeat(np.arange(4), 10))
    assert sizes(split(digits, train=8, test=2, per_class=True)) == (32, 0, 8)
    assert sizes(split(digits, train=8, test=1, per_class=True)) == (32, 4, 4)


def test_a_count_for_each_class_is_drawn_from_an_official_part(official):
    parts = split(official, train=5, validation=2, test=3, per_class=True)
    assert [counts(official, part) for part in (parts.train, parts.validation, parts.test)] == [
        [5, 5], [2, 2], [3, 3],
    ]  # fmt: skip
    assert min(parts.test) >= 80
    with pytest.raises(DataError, match="test: 11 images a class asked for, class '0' has 10"):
        split(official, train=5, test=11, per_class=True)
    with pytest.raises(DataError, match="test: 21 images asked for, 20 are left"):
        split(official, train=5, test=21)


@pytest.fixture
def three_parts():
    """100 images in two classes, of which 60 train, 20 validate and 20 test."""
    parts = {"train": np.arange(60), "validation": np.arange(60, 80), "test": np.arange(80, 100)}
    return dataset_of(np.arange(100) % 2, parts=parts)


def test_counts_of_official_parts_take_nothing_from_train(three_parts):
    parts = split(three_parts, validation=4, test=6)
    assert sizes(parts) == (60, 4, 6)
    assert set(parts.validation) < set(range(60, 80))
    assert set(parts.test) < set(range(80, 100))
    assert sizes(split(three_parts, train=60)) == (60, 20, 20)
    assert sizes(split(three_parts, train=60, validation=20, test=20)) == (60, 20, 20)


def test_images_outside_the_official_parts_are_drawn_from():
    labels = np.arange(100) % 2
    drawn = split(dataset_of(labels, parts={"test": np.arange(80, 100)}))
    assert sizes(drawn) == (68, 12, 20)
    assert sorted([*drawn.train, *drawn.validation]) == list(range(80))
    only_train = split(dataset_of(labels, parts={"train": np.arange(40)}))
    assert sorted([*only_train.train, *only_train.validation, *only_train.test]) == list(range(40))


def test_an_official_part_is_drawn_anew_by_each_generator_and_not_in_order(official):
    first, same, other = (split(official, seed=seed, train=40, test=10) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test, same.test)
    assert set(first.test) != set(other.test)
    assert (np.diff(official.labels[first.test]) < 0).any(), "classes are mixed"


def test_shares_are_rounded_so_that_no_image_is_lost():
    seven = dataset_of([0] * 5 + [1] * 2)
    assert sizes(split(seven, split={"train": 0.5, "validation": 0.5})) == (4, 3, 0)
    assert sizes(split(seven, split={"train": 1.0})) == (7, 0, 0)
    assert sizes(split(seven)) == (5, 1, 1)


def test_one_who_may_not_see_test_images_gets_none(hundred):
    whole = split(hundred)
    blind = whole.without_test()
    assert sizes(blind) == (70, 15, 0)
    assert blind.test.dtype == whole.test.dtype
    np.testing.assert_array_equal(blind.train, whole.train)


def test_a_share_of_nothing_needs_no_note(official):
    assert split(official, split={"train": 0.9, "test": 0.0}).notes == ()


def test_copies_go_where_there_is_room_and_each_takes_its_room():
    """Ten pairs of copies of two classes: parts of 12 and 8 hold six and four pairs."""
    images = np.zeros((20, 1, 2, 2), np.uint8)
    images.reshape(20, 4)[:, 0] = np.repeat(np.arange(10), 2)
    dataset = dataset_of(np.repeat(np.arange(10) % 2, 2), images=images)
    larger = []
    for seed in range(20):
        drawn = split(dataset, seed=seed, train=12, validation=8)
        assert sizes(drawn) == (12, 8, 0)
        assert drawn.notes == ()
        assert counts(dataset, drawn.train) == [6, 6]
        larger.append(0 in drawn.train)
    assert 0 < sum(larger) < 20, "every pair may come to either part"


def test_copies_in_two_classes_need_room_in_both():
    images = np.zeros((6, 1, 2, 2), np.uint8)
    images.reshape(6, 4)[:, 0] = [1, 1, 2, 3, 4, 5]
    dataset = dataset_of([0, 1, 0, 0, 1, 1], images=images)  # 0 and 1 are one image
    for seed in range(5):
        drawn = split(dataset, seed=seed, train=4, validation=2)
        assert ({0, 1} <= set(drawn.train)) or ({0, 1} <= set(drawn.validation))
        assert sizes(drawn) == (4, 2, 0)


def test_what_finds_no_room_is_counted():
    images = np.zeros((10, 1, 2, 2), np.uint8)
    images.reshape(10, 4)[:, 0] = [0, 0, 0, 0, 0, 5, 6, 7, 8, 9]
    dataset = dataset_of([0] * 5 + [1] * 5, images=images)
    drawn = split(dataset, train=4, validation=4)
    assert drawn.notes == (
        "4 images of 'tiny' fewer than asked for: copies of one image must stay in one part, and "
        "there was no room for all of them",
    )
    assert sizes(drawn) == (2, 2, 0)


def test_settings_are_frozen_and_take_the_ends_of_their_ranges():
    settings = SplitSettings(train=1, validation=0, test=0)
    with pytest.raises(ValidationError, match="frozen"):
        settings.train = 2
    SplitSettings(split={"train": 1.0, "validation": 0.0})
    SplitSettings(split={"train": 0.5, "validation": 0.3, "test": 0.2 + 1e-12})  # rounding


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"validation": -1}, "greater than or equal to 0"),
        ({"test": -1}, "greater than or equal to 0"),
        ({"split": {"train": 1.5, "validation": -0.5}}, "a fraction between 0 and 1"),
        ({"split": {"train": 0.5, "validation": -0.1}}, "a fraction between 0 and 1"),
        ({"split": {"train": 0.0}}, "train's is over 0"),
        ({"split": {"train": 0.5}, "per_class": True}, r"give counts \(per_class\) or fractions"),
        ({"split": {"train": 0.5}, "test": 5}, r"give counts \(test\) or fractions"),
        ({"split": {"b": 0.1, "a": 0.1, "train": 0.5}}, "a, b: the parts are"),
    ],
)
def test_more_settings_that_make_no_sense_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        SplitSettings(**keys)


def test_near_duplicates_of_training_images_are_counted_and_named(official):
    files = {index: f"p/{index}.jpg" for index in (3, 81, 90)}
    pairs = np.array([[81, 3], [4, 90], [81, 5], [6, 7], [82, 83]])
    known = replace(official, near_pairs=pairs, files=files)
    (note,) = split(known, train=80, validation=0).notes
    assert note == (
        "at least 2 of 20 test images of 'tiny' look like a training image that was saved "
        "again, resized, brightened, cropped or mirrored, so the test may be too easy: p/81.jpg "
        "and p/3.jpg; p/90.jpg and image 4"
    )
    assert split(official, train=80, validation=0).notes == ()
    assert split(replace(known, near_pairs=pairs[3:]), train=80, validation=0).notes == ()


def test_of_many_near_duplicates_three_are_named(official):
    known = replace(official, near_pairs=np.stack([np.arange(80, 90), np.arange(10)], axis=1))
    (note,) = split(known, train=80, validation=0).notes
    assert note.startswith("at least 10 of 20 test images")
    assert note.endswith(": image 80 and image 0; image 81 and image 1; image 82 and image 2 …")
