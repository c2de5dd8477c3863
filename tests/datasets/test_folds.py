"""Folds cover a set: each image tests once, and what belongs together stays together."""

import dataclasses

import numpy as np
import pytest
from data_files import dataset_of

from datasets.folds import Fold, folded
from datasets.split import SplitSettings, split_dataset

LABELS = np.repeat([0, 1, 2], [40, 9, 2])


def folds(labels=LABELS, tied=None, of=4, images=None, pool=None):
    tied = np.arange(len(labels)) if tied is None else tied
    pool = np.arange(len(labels)) if pool is None else pool
    fold = Fold(number=1, of=of, images=images)
    return folded(labels, tied, pool, fold)


def test_each_image_is_in_one_fold_and_classes_are_dealt_out_evenly():
    indices, numbers = folds()
    assert sorted(indices.tolist()) == list(range(len(LABELS)))
    for label, most in ((0, 1), (1, 1), (2, 1)):
        sizes = np.bincount(numbers[LABELS[indices] == label], minlength=5)[1:]
        assert sizes.max() - sizes.min() <= most
    assert len(set(numbers[LABELS[indices] == 2])) == 2  # a class of two trains one fold's network


def test_what_is_tied_is_in_one_fold():
    tied = np.arange(len(LABELS)) // 3  # crosses classes
    indices, numbers = folds(tied=tied)
    for unit in np.unique(tied):
        assert len(set(numbers[tied[indices] == unit])) == 1


def test_a_number_of_images_is_drawn_by_class():
    indices, _ = folds(images=25)
    assert np.bincount(LABELS[indices]).tolist() == [20, 4, 1]


@pytest.mark.parametrize("seed", [0, 7])
def test_a_split_by_folds_covers_all_but_the_official_test_part(seed):
    labels = np.append(LABELS[:45], [0, 1, 0])
    dataset = dataset_of(labels, parts={"train": np.arange(45), "test": np.arange(45, 48)})
    tests = []
    for number in (1, 2, 3):
        settings = SplitSettings(fold={"number": number, "of": 3})
        split = split_dataset(dataset, settings, np.random.default_rng(seed))
        assert not set(split.test) & {*split.train, *split.validation}
        assert len(split.train) + len(split.validation) + len(split.test) == 45
        tests += split.test.tolist()
    assert sorted(tests) == list(range(45))


def test_a_fold_is_one_of_them_and_leaves_no_room_for_counts():
    with pytest.raises(ValueError, match="number 5 is over 4"):
        Fold(number=5, of=4)
    with pytest.raises(ValueError, match="leave counts and split out"):
        SplitSettings(train=10, fold={"number": 1, "of": 4})


def test_a_copy_in_another_group_is_not_learned_from_by_who_judges_it():
    groups = np.repeat(np.arange(12), 5)
    dataset = dataset_of(np.tile([0, 1], 30), groups=groups)
    images = dataset.images.copy()
    images[7] = images[31] = images[2]  # in three groups
    first_copy = np.arange(60)
    first_copy[[7, 31]] = 2
    dataset = dataclasses.replace(dataset, images=images, first_copy=first_copy)
    n_judged = np.zeros(60, int)
    for number in (1, 2, 3):
        settings = SplitSettings(fold={"number": number, "of": 3})
        split = split_dataset(dataset, settings, np.random.default_rng(0))
        learned = [*split.train, *split.validation]
        assert not set(first_copy[learned]) & set(first_copy[split.test])
        assert not set(groups[learned]) & set(groups[split.test])
        n_judged[split.test] += 1
    assert (n_judged == 1).all()
