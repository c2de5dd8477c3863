"""What is said before the numbers: a tiny table worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd

from analysis.report.caveats import _not_deterministic


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
