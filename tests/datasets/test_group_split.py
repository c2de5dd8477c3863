"""Whole groups in one part each: as near to counts and classes as groups allow."""

import numpy as np
import pytest
from data_files import dataset_of
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.group_split import UNUSED, assign_groups
from datasets.split import SplitSettings, split_dataset
from headstart.errors import DataError


def split(dataset, seed=0, **keys):
    return split_dataset(dataset, SplitSettings(**keys), np.random.default_rng(seed))


def parts_of(drawn):
    return {"train": drawn.train, "validation": drawn.validation, "test": drawn.test}


def sizes(drawn):
    return tuple(len(part) for part in parts_of(drawn).values())


def assert_whole(dataset, drawn):
    """No image twice, no group and no exact copy in two parts."""
    parts = [part for part in parts_of(drawn).values() if len(part)]
    together = np.concatenate(parts)
    assert len(set(together)) == len(together)
    for what in (dataset.groups, dataset.first_copy):
        assert sum(len(np.unique(what[part])) for part in parts) == len(np.unique(what[together]))


def test_groups_that_fit_exactly_are_put_so():
    """Ten writers of ten digits each: parts of 70, 20 and 10 hold seven, two and one of them."""
    dataset = dataset_of(np.tile(np.arange(10), 10), groups=np.repeat(np.arange(10), 10))
    drawn = split(dataset, train=70, validation=20, test=10)
    assert sizes(drawn) == (70, 20, 10)
    assert_whole(dataset, drawn)
    assert np.bincount(dataset.labels[drawn.validation]).tolist() == [2] * 10
    assert drawn.notes == (
        "parts by group: train 70 images of 7 groups, validation 20 images of 2 groups, test 10 "
        "images of 1 group",
    )


def test_counts_that_groups_do_not_permit_are_met_nearly_and_what_was_given_is_said():
    dataset = dataset_of(np.tile([0, 1, 2], 40), groups=np.repeat(np.arange(10), 12))
    drawn = split(dataset, train=80, validation=20)
    assert sizes(drawn) == (84, 24, 0)
    assert drawn.notes == (
        "parts by group: train 84 images of 7 groups (80 were asked for), validation 24 images of "
        "2 groups (20 were asked for), test 0 images of 0 groups",
    )


def test_all_images_are_used_where_the_shares_add_up_to_all():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), rng.integers(1, 30, 12))
    dataset = dataset_of(rng.integers(0, 2, len(groups)), groups=groups)
    assert sum(sizes(split(dataset))) == len(groups)


def test_a_class_of_one_group_is_trained_on():
    """The rare class is of one patient: to be learned at all it must be in the train part."""
    labels = np.array([0] * 40 + [1] * 40 + [2] * 4)
    dataset = dataset_of(labels, groups=[*np.repeat(np.arange(20), 4), 20, 20, 20, 20])
    for seed in range(10):
        assert 2 in labels[split(dataset, seed=seed, split={"train": 0.5, "test": 0.5}).train]


def test_groups_of_one_image_fill_what_is_left_open_exactly():
    groups = [*np.repeat(np.arange(5), 7), *range(5, 70)]
    dataset = dataset_of(np.arange(100) % 4, groups=groups)
    drawn = split(dataset, train=60, validation=20, test=20)
    assert sizes(drawn) == (60, 20, 20)
    assert np.abs(np.bincount(dataset.labels[drawn.train]) - 15).max() <= 1
    assert_whole(dataset, drawn)


def test_counts_for_each_class_are_met_where_groups_allow_it():
    dataset = dataset_of(np.tile([0, 0, 1, 1], 20), groups=np.repeat(np.arange(20), 4))
    drawn = split(dataset, train=20, validation=8, test=8, per_class=True)
    assert [np.bincount(dataset.labels[part]).tolist() for part in parts_of(drawn).values()] == [
        [20, 20], [8, 8], [8, 8],
    ]  # fmt: skip


def test_every_group_may_come_to_every_part():
    groups = np.repeat(np.arange(8), [40, 20, 20, 20, 10, 10, 10, 10])
    dataset = dataset_of(np.arange(140) % 2, groups=groups)
    tested = [set(groups[split(dataset, seed=seed).test]) for seed in range(30)]
    assert set().union(*tested) >= {1, 2, 3, 4, 5, 6, 7}
    assert len({tuple(sorted(part)) for part in tested}) > 4


def test_copies_in_two_groups_do_not_come_into_two_parts():
    images = dataset_of(np.arange(60) % 2).images.copy()
    images[[0, 30, 50]] = 7
    dataset = dataset_of(np.arange(60) % 2, images=images, groups=np.repeat(np.arange(6), 10))
    drawn = [split(dataset, seed=seed, train=20, validation=20, test=20) for seed in range(6)]
    for each in drawn:
        assert_whole(dataset, each)
    assert any("exact copies of images of another group" in each.notes[0] for each in drawn)


def test_groups_of_an_official_test_part_stay_out_of_training_and_are_warned_of():
    parts = {"train": np.arange(80), "test": np.arange(80, 100)}
    groups = np.arange(100) // 4
    groups[[0, 1]] = groups[90]
    dataset = dataset_of(np.arange(100) % 2, parts=parts, groups=groups)
    assert dataset.warnings == (
        "1 groups of its train part are in its validation or test part too: their 2 images of the "
        "train part are left out of training",
    )
    drawn = split(dataset)
    assert_whole(dataset, drawn)
    assert not {0, 1} & {*drawn.train, *drawn.validation}
    assert "2 images of the train part of 'tiny' left out: their groups" in drawn.notes[0]


def test_parts_that_share_every_group_leave_nothing_to_train_on():
    parts = {"train": np.arange(0, 40, 2), "test": np.arange(1, 40, 2)}
    dataset = dataset_of(np.arange(40) // 2 % 2, parts=parts, groups=np.arange(40) // 4)
    with pytest.raises(DataError, match="every group of its train part is in its validation or"):
        split(dataset)


def test_validation_and_test_parts_that_share_groups_are_warned_of():
    parts = {"train": np.arange(20), "validation": np.arange(20, 30), "test": np.arange(30, 40)}
    groups = [*range(20), *range(20, 30), 20, 21, *range(32, 40)]
    dataset = dataset_of(np.arange(40) % 2, parts=parts, groups=groups)
    assert dataset.warnings == ("2 groups are both in its validation part and in its test part",)


def test_only_groups_that_are_set_are_in_the_fingerprint():
    labels = np.arange(8) % 2
    plain = dataset_of(labels)
    by_pairs, by_names = (dataset_of(labels, groups=g) for g in (np.arange(8) // 2, "aabbccdd"))
    assert plain.groups is None
    assert len({plain.fingerprint, by_pairs.fingerprint}) == 2
    assert by_pairs.fingerprint == by_names.fingerprint  # who is with whom counts, not the names
    assert dataset_of(labels, groups="aabbccde").fingerprint != by_pairs.fingerprint


def test_one_group_alone_cannot_be_split():
    with pytest.raises(DataError, match=r"all images are of one group \('x'\)"):
        dataset_of([0, 1, 0, 1], groups="xxxx")


@st.composite
def grouped_sets(draw):
    n = draw(st.integers(12, 70))
    labels = draw(st.lists(st.integers(0, 2), min_size=n - 3, max_size=n - 3))
    groups = draw(st.lists(st.integers(0, draw(st.integers(2, 30))), min_size=n - 2, max_size=n))
    return np.array([0, 1, 2, *labels]), np.array([*groups, 31, 32][:n])


@settings(max_examples=60, deadline=None)
@given(
    grouped_sets(),
    st.integers(0, 1000),
    st.sampled_from(
        [
            {},
            {"train": 4, "validation": 3},
            {"train": 5, "test": 4},
            {"split": {"train": 0.5, "validation": 0.3}},
        ]
    ),
)
def test_no_group_is_in_two_parts_and_the_generator_decides(data, seed, keys):
    labels, groups = data
    dataset = dataset_of(labels, groups=groups)
    drawn = split(dataset, seed=seed, **keys)
    assert_whole(dataset, drawn)
    again = split(dataset, seed=seed, **keys)
    for part, same in zip(parts_of(drawn).values(), parts_of(again).values(), strict=True):
        np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize("kind", ["patients of one class", "zipf", "writers"])
def test_class_shares_are_as_near_as_those_of_scikit_learn(kind):
    """Reference: the mean deviation over the folds of StratifiedGroupKFold, same size of part."""
    from sklearn.model_selection import StratifiedGroupKFold

    rng = np.random.default_rng(0)
    groups = {
        "patients of one class": lambda: np.repeat(np.arange(60), rng.integers(1, 20, 60)),
        "zipf": lambda: np.unique(np.minimum(rng.zipf(1.8, 600), 60), return_inverse=True)[1],
        "writers": lambda: np.repeat(np.arange(20), 30),
    }[kind]()
    labels = rng.choice(4, len(groups), p=[0.5, 0.3, 0.15, 0.05])
    if kind == "patients of one class":
        labels = labels[groups]
    counts = np.zeros((groups.max() + 1, 4), np.int64)
    np.add.at(counts, (groups, labels), 1)
    held = np.round(counts.sum(0) / 5).astype(np.int64)
    part_of = assign_groups(
        counts, np.stack([counts.sum(0) - held, held]), np.random.default_rng(1)
    )
    assert UNUSED not in part_of
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
    theirs = [np.abs(np.bincount(labels[test], minlength=4) - held).sum() for _, test in folds]
    assert np.abs(counts[part_of == 1].sum(0) - held).sum() <= np.mean(theirs)


def test_nothing_to_share_out():
    assert len(assign_groups(np.empty((0, 2), int), np.ones((2, 2), int), None)) == 0
