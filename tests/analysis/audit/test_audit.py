"""The audit on labels that were spoilt in known ways, on small counts by hand, and its limits."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.audit.audit import Answers, audit_labels, certain_part, read_off
from analysis.audit.shape import pair_table, shape_of, unevenness
from analysis.statistics.samples.intervals import Interval
from datasets.base import build_dataset
from datasets.corruption import CorruptLabels, corrupt_labels
from headstart.errors import InputError

K = 10


def true_classes(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(np.arange(n) % K)


def spoilt(true: np.ndarray, kind: str, fraction: float, seed: int = 3) -> np.ndarray:
    """The program's own corruption, applied to labels that stand for images."""
    images = np.arange(len(true), dtype=np.uint16).view(np.uint8).reshape(-1, 1, 1, 2)
    dataset = build_dataset("made", images, true, list("0123456789"), source="made")
    settings = CorruptLabels(kind=kind, fraction=fraction, seed=seed)
    return corrupt_labels(dataset, settings).labels


def network_of(true: np.ndarray, accuracy: float, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of a network of that accuracy that errs where it is least certain."""
    n = len(true)
    hardness = rng.random(n)
    errs = rng.random(n) < np.clip(3 * (1 - accuracy) * hardness**2, 0, 1)  # mean: 1 - accuracy
    answer = np.where(errs, (true + rng.integers(1, K, n)) % K, true)
    top = np.clip(1 - 0.6 * hardness + rng.normal(0, 0.02, n), 0.3, 0.9999)
    probabilities = np.repeat(((1 - top) / (K - 1))[:, None], K, axis=1)
    probabilities[np.arange(n), answer] = top
    return probabilities


def answers(given: np.ndarray, probabilities: np.ndarray) -> Answers:
    return Answers(np.arange(len(given)), given, probabilities)


@pytest.fixture
def made():
    rng = np.random.default_rng(11)
    true = true_classes(8000, rng)
    trusted_true = true_classes(4000, rng)
    trusted = answers(trusted_true, network_of(trusted_true, 0.97, rng))
    return true, network_of(true, 0.97, rng), trusted


CASES = [
    ("complementary", 0.0, "none", 0.0),
    ("uniform", 0.4, "uniform", 0.36),
    ("uniform", 0.05, "uniform", 0.045),
    ("pairs", 0.3, "pairs", 0.3),
    ("complementary", 0.999, "complementary", 0.999),
]


@pytest.mark.parametrize(("kind", "fraction", "shape", "wrong"), CASES)
def test_each_corruption_is_named_and_measured(made, kind, fraction, shape, wrong):
    true, probabilities, trusted = made
    given = spoilt(true, kind, fraction)
    found = audit_labels(answers(given, probabilities), trusted)
    assert found.shape == shape
    actual = np.mean(given != true)
    assert actual == pytest.approx(wrong, abs=0.01)
    assert found.wrong.low <= actual <= found.wrong.high
    assert found.wrong.high - found.wrong.low < 0.06
    assert found.n == 8000
    assert found.confusion.sum() == 8000


def test_pairs_are_listed_with_their_rates(made):
    true, probabilities, trusted = made
    found = audit_labels(answers(spoilt(true, "pairs", 0.3), probabilities), trusted)
    assert [(p.read, p.given) for p in found.pairs.sort_values("read").itertuples()] == [
        (label, (label + 1) % K) for label in range(K)
    ]
    assert found.pairs["share_low"].lt(0.3).mean() >= 0.9
    assert found.pairs["share_high"].gt(0.3).mean() >= 0.9


def test_one_pair_among_right_labels(made):
    true, probabilities, trusted = made
    rng = np.random.default_rng(0)
    given = np.where((true == 3) & (rng.random(len(true)) < 0.5), 5, true)
    found = audit_labels(answers(given, probabilities), trusted)
    assert found.shape == "pairs"
    assert found.pairs[["read", "given"]].to_numpy().tolist() == [[3, 5]]


def test_a_network_that_learns_complements_scores_below_chance(made):
    true, probabilities, trusted = made
    found = audit_labels(answers(spoilt(true, "complementary", 0.999), probabilities), trusted)
    assert found.accuracy_right == 0
    assert found.accuracy_drawn < 0.01
    assert found.accuracy_given == pytest.approx(1 / 9, abs=0.04)
    assert found.bits == pytest.approx(np.log2(10 / 9), abs=0.05)
    assert found.bits_all == pytest.approx(np.log2(10), abs=0.01)


def test_uniform_noise_leaves_the_right_class_most_frequent(made):
    true, probabilities, trusted = made
    found = audit_labels(answers(spoilt(true, "uniform", 0.4), probabilities), trusted)
    assert found.accuracy_right == pytest.approx(1)
    assert found.accuracy_given == pytest.approx(0.64, abs=0.04)
    assert found.replaced.low <= 0.4 <= found.replaced.high


@pytest.mark.parametrize("accuracy", [0.99, 0.9, 0.8])
def test_right_labels_are_not_accused_of_what_the_reference_gets_wrong(accuracy):
    rng = np.random.default_rng(5)
    for _ in range(20):
        true, other = true_classes(2000, rng), true_classes(2000, rng)
        trusted = answers(other, network_of(other, accuracy, rng))
        found = audit_labels(answers(true, network_of(true, accuracy, rng)), trusted)
        assert found.shape == "none", found.wrong
        assert found.wrong.low == 0


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_weak_network_accuses_nobody(is_trusted):
    """As LeNet-5 on 62 classes: wrong itself in a tenth of what it is most certain of."""
    rng = np.random.default_rng(6)
    true = true_classes(2000, rng)
    hardness = rng.random(2000)
    errs = rng.random(2000) < 0.9 * hardness
    probabilities = np.full((2000, K), 0.01)
    answer = np.where(errs, (true + rng.integers(1, K, 2000)) % K, true)
    probabilities[np.arange(2000), answer] = 0.91 - 0.5 * hardness
    easy = answers(true, np.eye(K)[true]) if is_trusted else None  # says nothing of hard images
    found = audit_labels(answers(true, probabilities), easy)
    assert found.by_certainty["share"][0] > 0.08
    assert found.shape == "none"
    assert found.wrong.low == 0
    assert found.wrong.high > 0.08
    assert "own mistakes" in found.note


def calibrated_on(given_shares: np.ndarray, true: np.ndarray, rng: np.random.Generator):
    """What a network that learned P(given | class) says of images that it did not train on."""
    logits = np.log(given_shares[true]) + rng.normal(0, 0.3, (len(true), K))
    probabilities = np.exp(logits)
    return probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("kind", "fraction", "shape", "reading"),
    [
        ("uniform", 0.0, "none", "most likely"),
        ("uniform", 0.4, "uniform", "most likely"),
        ("pairs", 0.3, "pairs", "most likely"),
        ("complementary", 0.999, "complementary", "least likely"),
    ],
)
def test_a_self_audit_needs_no_trusted_labels(kind, fraction, shape, reading):
    rng = np.random.default_rng(2)
    true = true_classes(10_000, rng)
    given = spoilt(true, kind, fraction)
    shares = np.stack([np.bincount(given[true == t], minlength=K) for t in range(K)]) + 0.5
    shares = shares / shares.sum(axis=1, keepdims=True)
    found = audit_labels(answers(given, calibrated_on(shares, true, rng)))
    assert (found.shape, found.reading) == (shape, reading)
    assert found.wrong.low <= np.mean(given != true) <= found.wrong.high


def test_a_self_audit_that_learned_nothing_says_so():
    rng = np.random.default_rng(2)
    given = true_classes(4000, rng)
    found = audit_labels(answers(given, rng.dirichlet(np.ones(K), 4000)))
    assert found.shape == "other"
    assert "no better than by chance" in found.note


def test_contradicted_images_come_most_certain_first():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    found = audit_labels(Answers(np.array([7, 8, 9, 10]), np.array([0, 0, 0, 1]), probabilities))
    assert found.contradicted["index"].tolist() == [8, 9]
    assert found.contradicted["certainty"].tolist() == [0.8, 0.6]
    assert found.confusion.tolist() == [[1, 2], [0, 1]]  # given × read


def test_certain_part_by_hand_keeps_ties_together():
    read = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    certainty = np.array([0.9, 0.5, 0.4, 0.3, 1.0, 1.0, 0.6, 0.5])
    chosen = certain_part(read, certainty, 2)
    assert chosen.tolist() == [True, False, False, False, True, True, False, False]


def test_the_least_likely_class_and_its_certainty_by_hand():
    read, certainty = read_off(np.array([[0.0, 0.5, 0.5], [0.4, 0.3, 0.3]]), least=True)
    assert read.tolist() == [0, 1]
    assert certainty.tolist() == pytest.approx([1.0, 0.1])


def test_unevenness_by_hand():
    even = np.array([[0, 6, 6], [6, 0, 6], [6, 6, 0]])
    assert unevenness(even) == 0
    one_each = np.array([[0, 12, 0], [0, 0, 12], [12, 0, 0]])
    assert unevenness(one_each) == pytest.approx((36 - 3) / 36)  # χ² is n, three degrees off
    assert np.isnan(unevenness(np.diag([3, 3, 3])))


def share(estimate, low, high):
    return Interval(estimate, low, high, 0.95, "Wilson", 100)


def test_few_wrong_labels_have_no_shape():
    counts = np.diag([50] * K)
    counts[0, 1] = 9
    shape, _, note = shape_of(counts, share(0.98, 0.97, 0.99), is_self_audit=False)
    assert shape == "other"
    assert "9 wrong labels" in note


def test_pairs_by_hand():
    counts = np.array([[70, 30, 0], [1, 99, 0], [0, 0, 100]])
    table = pair_table(counts, allowed=0.01)
    assert table[["read", "given", "n"]].to_numpy().tolist() == [[0, 1, 30]]
    assert table["share"].tolist() == [0.3]


@pytest.mark.parametrize(
    ("given", "rows", "message"),
    [([], 0, "no images"), ([0, 1], 3, "do not fit"), ([0, 5, 1], 3, "0 … 1")],
)
def test_input_that_does_not_fit_is_refused(given, rows, message):
    with pytest.raises(InputError, match=message):
        audit_labels(
            Answers(np.arange(len(given)), np.array(given, np.int64), np.full((rows, 2), 0.5))
        )
