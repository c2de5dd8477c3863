"""What is said before the numbers: a tiny table worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from analysis.report.caveats import (
    _coarse_test,
    _conditions,
    _fitted,
    _not_deterministic,
    _rules,
    _unequal_searches,
)
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import COURSES


def findings(**columns):
    return SimpleNamespace(runs=SimpleNamespace(trials=pd.DataFrame(columns)))


def test_arms_without_promise_of_their_bits_are_named_with_the_operation():
    said = _not_deterministic(
        findings(
            arm=["a", "a", "b", "c", "d"],
            deterministic=[False, False, True, None, False],
            nondeterministic_operation=["x_backward", "x_backward", "", "", "y_backward"],
        )
    )
    assert list(said) == [
        "2 trials (“a”) used an operation that has no deterministic kernel on their device "
        "(x_backward): the same trial, run again, gives other bits, and so slightly other numbers.",
        "1 trial (“d”) used an operation that has no deterministic kernel on their device "
        "(y_backward): the same trial, run again, gives other bits, and so slightly other numbers.",
    ]


def test_nothing_is_said_of_deterministic_trials_and_of_tables_of_versions_before():
    assert not list(_not_deterministic(findings(arm=["a"])))
    for kept in (True, None):
        rows = findings(arm=["a"], deterministic=[kept], nondeterministic_operation=[""])
        assert not list(_not_deterministic(rows))


def test_a_head_that_was_fitted_at_once_is_named_with_what_is_not_compared():
    assert not list(_fitted(findings(arm=["a"])))
    assert not list(_fitted(findings(arm=["a"], probe_l2=[None])))
    (text,) = _fitted(findings(arm=["a", "p", "p"], probe_l2=[None, 0.1, 0.2]))
    assert text.startswith("The head of “p” was fitted at once (linear probe)")
    assert text.endswith("compared, and not how it got there.")
    (both,) = _fitted(findings(arm=["q", "p"], probe_l2=[0.1, 0.2]))
    assert both.startswith("The heads of “p” and “q” were fitted")


ALIKE = {
    "status": "done", "device": "H100", "n_workers": 1, "ran_as": "solo", "host": "n1",
    "gpu_share": 1.0, "gpu_workers": 1.0, "gpu_sharing": "alone",
    "cuda": "13.2", "cudnn": "9.26.0", "driver": "580.65",
}  # fmt: skip


def said(*rows: dict[str, object]) -> list[str]:
    return list(_conditions(SimpleNamespace(evidence=pd.DataFrame(rows))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("device", "A100", "different devices (A100 and H100)"),
        ("gpu_share", 0.25, "different shares of a GPU (0.25 and 1)"),
        ("gpu_workers", 4.0, "different numbers of workers on a GPU (1 and 4)"),
        ("gpu_sharing", "in turns", "different ways of sharing a GPU (alone and in turns)"),
        ("cuda", "12.8", "different versions of CUDA (12.8 and 13.2)"),
        ("cudnn", "9.1.0", "different versions of cuDNN (9.1.0 and 9.26.0)"),
        ("driver", "535.1", "different versions of the GPU's driver (535.1 and 580.65)"),
    ],
)
def test_what_differs_among_trials_whose_seconds_are_measured_is_named(name, value, words):
    (line,) = said(ALIKE, {**ALIKE, name: value})
    assert line == (
        f"Trials ran under {words}: seconds are compared only between trials that ran alike."
    )
    assert said(ALIKE, ALIKE) == []
    assert said(ALIKE, {**ALIKE, name: value, "status": "diverged"}) == []


def test_trials_on_cpus_know_nothing_of_gpus_and_nothing_is_said():
    on_cpus = {"status": "done", "device": "cpu", "gpu_share": None, "cuda": None, "driver": None}
    assert said(on_cpus, on_cpus) == []


def test_a_number_of_seeds_that_was_raised_after_a_report_is_said():
    looked = SimpleNamespace(asked=(), raised=(("digits", 5, 14),), lowered=())
    assert list(_rules(looked)) == [
        "A report of “digits” was made at 5 seeds, and its number of seeds was raised to 14 "
        "afterwards. P-values and intervals hold for a number that was chosen before anybody "
        "looked; `seeds: {until: verdict}` plans such looks."
    ]
    assert not list(_rules(SimpleNamespace(asked=(), raised=(), lowered=())))


def searches(fine_tune: str = "all", **budgets: str) -> list[str]:
    """What is said of three arms, two of which are compared with `scratch`."""
    arms = ["scratch", "head", "all"]
    pairs = (Pair("head", "scratch"), Pair("all", "scratch"))
    decided = [SimpleNamespace(sweep="s", arm=arm, budget=text) for arm, text in budgets.items()]
    evidence = pd.DataFrame({"arm": arms, "fine_tune": ["all", fine_tune, "all"]})
    asked = (SimpleNamespace(name="s", pairs=pairs),)
    given = SimpleNamespace(decisions=decided, evidence=evidence, asked=asked)
    return list(_unequal_searches(given))  # type: ignore[arg-type]


def test_arms_whose_searches_had_unlike_budgets_are_named():
    few, many = "4 configurations for 8 epochs", "12 configurations for 8 epochs"
    assert not searches()
    assert not searches(scratch=few, head=few, all=few)
    assert searches(scratch=few, head=few, all=many) == [
        f"The searches for settings were not alike: “all” got {many} where “scratch” got {few}. A "
        "longer search finds better settings, so such a comparison is of searches too."
    ]
    (text,) = searches(scratch=few, all=few)
    assert f"“head” was not searched where “scratch” got {few}" in text
    assert not searches("none", scratch=few, all=few), "nothing trains there, so nothing to search"


@pytest.mark.parametrize(
    ("metric", "n"), [("accuracy", 1), ("macro_f1", 1), ("quadratic_kappa", 0)]
)
def test_points_of_accuracy_are_told_where_shares_of_images_are_measured(metric, n):
    evidence = pd.DataFrame({"test_accuracy": [0.6], "n_test": [45]})
    said = list(_coarse_test(SimpleNamespace(course=COURSES[metric], evidence=evidence)))
    assert said == ["The test part has 45 images: one image is 2.2 points of test accuracy."] * n
