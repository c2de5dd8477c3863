"""Where two reports differ."""

from __future__ import annotations

import pytest

from analysis.publish.compare import differences, listed, text_differences


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ({"a": [1, 0.1 + 0.2, "x", None, True]}, {"a": [1.0, 0.3, "x", None, True]}),
        ({"p": 1e-14}, {"p": 2e-14}),
    ],
)
def test_last_bits_are_no_difference(said: object, made: object) -> None:
    assert list(differences(said, made)) == []


def test_each_difference_has_its_row_and_both_values() -> None:
    made = {"tables": {"by_arm": [{"arm": "scratch", "score": 0.9, "verdict": "better"}]}}
    said = {"tables": {"by_arm": [{"arm": "scratch", "score": 0.95, "verdict": "worse"}]}}
    score, verdict = differences(said, made)
    assert score == "tables, by_arm, 1 (scratch), score: the report says 0.95, the tables give 0.9"
    assert "the report says “worse”, the tables give “better”" in verdict


@pytest.mark.parametrize(
    ("said", "made", "words"),
    [
        ({}, {"a": 1}, "a: lacks in the report; the tables give 1"),
        ({"a": 1}, {}, "a: the report says 1; the tables give no such thing"),
        ([1], [1, 2], "the report has 1 entries, the tables give 2"),
        (True, 1, "the report says True, the tables give 1"),
        (None, 0.0, "the report says None, the tables give 0.0"),
        ("1", 1, "the report says “1”, the tables give 1"),
        (0.5, 0.500001, "the report says 0.5"),
        ("\x1b[2J", "", "the tables give nothing"),
    ],
)
def test_what_lacks_or_is_of_another_kind_differs(said: object, made: object, words: str) -> None:
    (line,) = differences(said, made)
    assert words in line


def test_texts_may_differ_in_last_digits_alone() -> None:
    made = "mean 0.30000000000000004, p 0.002"
    assert list(text_differences("mean 0.3000000000000001, p 0.002", made)) == []
    (line,) = text_differences("mean 0.30000000000000004, p 0.001", made)
    assert line.endswith("p 0.00”: the report says “1”, the tables give “2”")
    assert list(text_differences("mean 0.30000000000000004", made))


def test_long_lists_are_cut_and_counted() -> None:
    assert listed(["a", "b", "c"], 2) == ["a", "b", "… 1 more"]
    assert listed(["a"], 2) == ["a"]
