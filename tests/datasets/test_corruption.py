"""Wrong labels on purpose: how many, which, and that nothing else moves."""

import numpy as np
import pytest
from data_files import dataset_of

from datasets import load_dataset, right_labels
from datasets.corruption import CorruptLabels, corrupt_labels

LABELS = np.repeat(np.arange(4), 100)


def corrupt(dataset=None, **keys):
    return corrupt_labels(dataset or dataset_of(LABELS), CorruptLabels(**keys))


def test_complementary_labels_are_always_wrong_and_spread_evenly():
    dataset = dataset_of(np.repeat(np.arange(4), 3000))
    result = corrupt(dataset, kind="complementary", fraction=1)
    assert (result.labels != dataset.labels).all()
    of_class_0 = np.bincount(result.labels[:3000], minlength=4)
    assert of_class_0[0] == 0
    assert (np.abs(of_class_0[1:] - 1000) < 5 * np.sqrt(1000 * 2 / 3)).all()


@pytest.mark.parametrize("kind", ["complementary", "uniform", "pairs"])
def test_right_labels_are_those_before(kind):
    options = {"corrupt_labels": {"kind": kind, "fraction": 0.5}}
    clean, spoilt = load_dataset("optdigits"), load_dataset("optdigits", options)
    np.testing.assert_array_equal(right_labels("optdigits", options, spoilt), clean.labels)
    assert (spoilt.labels != clean.labels).mean() > 0.4
    assert right_labels("optdigits", {}, clean) is None


def test_the_fraction_is_exact_in_each_class():
    result = corrupt(kind="complementary", fraction=0.25)
    wrong = (result.labels != LABELS).reshape(4, 100).sum(axis=1)
    assert wrong.tolist() == [25] * 4


def test_uniform_labels_hit_the_right_class_by_chance():
    result = corrupt(kind="uniform", fraction=1)
    n_right = (result.labels == LABELS).sum()
    assert abs(n_right - 100) < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_pairs_move_to_the_next_class():
    result = corrupt(kind="pairs", fraction=1)
    np.testing.assert_array_equal(result.labels, (LABELS + 1) % 4)


def test_the_test_part_keeps_its_labels():
    dataset = dataset_of(
        LABELS, parts={"train": np.arange(0, 400, 2), "test": np.arange(1, 400, 2)}
    )
    result = corrupt(dataset, kind="complementary", fraction=1)
    np.testing.assert_array_equal(result.labels[1::2], LABELS[1::2])
    assert (result.labels[::2] != LABELS[::2]).all()
    assert "the test part's labels are right" in result.notes[-1]


def test_a_set_without_a_test_part_says_that_test_labels_are_wrong_alike():
    assert "test labels are wrong alike" in corrupt(kind="pairs", fraction=0.5).notes[-1]


def test_only_its_own_seed_moves_it():
    keys = {"kind": "complementary", "fraction": 0.5}
    first, same, other = corrupt(**keys), corrupt(**keys), corrupt(**keys, seed=1)
    np.testing.assert_array_equal(first.labels, same.labels)
    assert first.fingerprint == same.fingerprint
    assert (first.labels != other.labels).any()
    assert first.fingerprint != other.fingerprint


def test_nothing_corrupted_is_the_very_same_set():
    dataset = dataset_of(LABELS)
    assert corrupt(dataset, kind="uniform", fraction=0) is dataset


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_fraction_is_between_0_and_1(fraction):
    with pytest.raises(ValueError, match="equal to"):
        CorruptLabels(kind="uniform", fraction=fraction)


def test_each_kind_draws_these_labels_on_every_machine():
    """Fingerprints of noisy sets are in ids of trials: a draw may not change."""
    labels = np.arange(8) % 4

    def drawn(**keys):
        return corrupt(dataset_of(labels), fraction=0.5, **keys).labels.tolist()

    assert drawn(kind="complementary") == [1, 2, 2, 2, 0, 1, 3, 3]
    assert drawn(kind="uniform", seed=3) == [0, 2, 1, 1, 1, 1, 2, 3]
    assert drawn(kind="pairs") == [1, 2, 2, 0, 0, 1, 3, 3]


def test_the_fingerprint_and_notes_tell_the_set_from_the_right_one():
    dataset = dataset_of(LABELS)
    noisy = corrupt(dataset, kind="pairs", fraction=0.25, seed=2)
    assert noisy.fingerprint != dataset.fingerprint
    assert len(noisy.fingerprint) == 32
    assert noisy.notes == (
        *dataset.notes,
        "100 of 400 labels made wrong on purpose (pairs, fraction 0.25, seed 2); the set has no "
        "test part of its own, so test labels are wrong alike",
    )
    assert noisy.images is dataset.images
    assert (dataset.labels == LABELS).all(), "the set that was given keeps its labels"


def test_labels_of_the_test_part_are_not_counted_as_at_risk():
    parts = {"train": np.arange(0, 400, 2), "test": np.arange(1, 400, 2)}
    noisy = corrupt(dataset_of(LABELS, parts=parts), kind="pairs", fraction=0.5)
    assert noisy.notes[-1].startswith("100 of 200 labels made wrong on purpose")


def test_a_share_of_a_class_is_rounded():
    dataset = dataset_of(np.repeat([0, 1], [3, 10]))
    wrong = corrupt(dataset, kind="pairs", fraction=0.5).labels != dataset.labels
    assert (wrong[:3].sum(), wrong[3:].sum()) == (2, 5)
