"""The list of wrong labels, and pairs of classes that are told first."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.audit.audit import Answers, audit_labels
from analysis.audit.report import verdict
from analysis.audit.wrong_labels import list_wrong_labels

K = 10
NAMES = tuple("0123456789")


def told(true: np.ndarray, seed: int, accuracy: float = 0.97) -> np.ndarray:
    """Probabilities of a network: sure of most images, unsure of those that it gets wrong."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(true)) > accuracy
    read = np.where(wrong, (true + rng.integers(1, K, len(true))) % K, true)
    top = np.where(wrong, rng.uniform(0.4, 0.8, len(true)), rng.uniform(0.9, 0.999, len(true)))
    p = np.repeat((1 - top)[:, None] / (K - 1), K, axis=1)
    p[np.arange(len(true)), read] = top
    return p


@pytest.fixture(scope="module")
def dirty():
    """8,000 labels: 3 % random, and a tenth of the fours called nine."""
    rng = np.random.default_rng(1)
    true = rng.integers(K, size=8000)
    given = np.where(rng.random(8000) < 0.03, rng.integers(K, size=8000), true)
    given = np.where((true == 4) & (rng.random(8000) < 0.1), 9, given)
    return true, given, told(true, 2)


def test_wrong_labels_are_found_each_with_its_proposal_the_surest_first(dirty):
    true, given, p = dirty
    table = list_wrong_labels(np.arange(8000), given, p)
    wrong = set(np.flatnonzero(given != true))
    n_right = len(wrong & set(table["index"]))
    assert n_right / len(table) > 0.85
    assert n_right / len(wrong) > 0.85
    assert table["surety"].is_monotonic_decreasing
    index = int(table["index"][0])
    assert (table["given"][0], table["proposed"][0]) == (given[index], true[index])
    assert table["surety"][0] == pytest.approx(p[index, true[index]] - p[index, given[index]])
    assert (table["given"] != table["proposed"]).all()


def test_a_pair_of_classes_is_told_in_the_first_sentence(dirty):
    _, given, p = dirty
    audit = audit_labels(Answers(np.arange(8000), given, p))
    assert audit.told[["read", "given"]].to_numpy().tolist() == [[4, 9]]
    assert verdict(audit, NAMES)[:1].isdigit()
    assert "of the images of 4 are labelled 9; beside that" in verdict(audit, NAMES)


def test_a_pair_is_told_where_hardly_another_label_is_wrong(dirty):
    true, _, p = dirty
    rng = np.random.default_rng(3)
    given = np.where((true == 4) & (rng.random(8000) < 0.1), 9, true)
    text = verdict(audit_labels(Answers(np.arange(8000), given, p)), NAMES)
    assert "of the images of 4 are labelled 9" in text


def test_right_labels_have_few_alarms_and_no_pair(dirty):
    true, _, p = dirty
    audit = audit_labels(Answers(np.arange(8000), true, p))
    assert audit.shape == "none"
    assert audit.told.empty
    assert len(audit.listed) < 10  # of 240 mistakes of the network


def test_no_more_labels_are_listed_than_may_be_wrong(dirty):
    """200 mistakes nearly as sure as what is right: the rule alone lists more than can be wrong."""
    true, _, p = dirty
    rng = np.random.default_rng(4)
    p = p.copy()
    for row in rng.choice(len(true), 200, replace=False):
        p[row] = (1 - 0.93) / (K - 1)
        p[row, (true[row] + 1) % K] = 0.93
    audit = audit_labels(Answers(np.arange(8000), true, p))
    assert audit.shape == "none"
    rule = list_wrong_labels(np.arange(8000), true, p, strict=True)
    most = max(5, math.ceil(8000 * audit.wrong.estimate))
    assert len(rule) > most
    assert audit.listed["index"].tolist() == rule["index"][:most].tolist()


def test_of_many_small_classes_no_pair_is_told_by_an_image_or_two():
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(K), 34)
    given = np.where(rng.random(len(true)) < 0.05, rng.integers(K, size=len(true)), true)
    audit = audit_labels(Answers(np.arange(len(true)), given, told(true, 1)))
    assert len(audit.pairs) > 0
    assert audit.told.empty


def test_a_class_without_a_label_and_one_of_two_are_no_mistake():
    rng = np.random.default_rng(0)
    true = np.concatenate([rng.integers(8, size=400), [8, 8]])
    table = list_wrong_labels(np.arange(402), true, told(true, 1))
    assert len(table) < 20
    assert list_wrong_labels(np.arange(3), np.zeros(3, int), np.eye(3)).empty
