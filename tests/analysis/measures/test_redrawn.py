"""Seeds that redraw one pool: which trials do, and what comparisons and a report make of it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import Arm, Made, write_run

from analysis.findings.load import load_runs
from analysis.measures import redrawn
from analysis.measures.pairs.compare import compare_all
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.redrawn import METHOD, seeds_worth, widening


def rows(**columns):
    return pd.DataFrame(
        {"n_test": [20, 20], "n_train": [80, 80], "n_validation": [20, 20], **columns}
    )


def test_only_redrawn_pools_overlap():
    redrawn_pool = rows(n_pool=[159.0, 159.0])
    assert list(redrawn.overlaps(redrawn_pool, {})) == [0.25, 0.25]
    assert list(redrawn.overlaps(redrawn_pool, {"vary": ["init"]})) == [0.0, 0.0]
    assert list(redrawn.overlaps(rows(n_pool=[np.nan, 159.0]), {})) == [0.0, 0.25]
    assert list(redrawn.overlaps(rows(), {})) == [0.0, 0.0]  # a folder of an earlier version


def test_without_test_images_the_validation_images_count():
    trials = rows(n_pool=[159.0, 159.0]).assign(n_test=[0, 20], n_validation=[40, 10])
    assert list(redrawn.overlaps(trials, {"vary": ["init", "split"]})) == [0.5, 0.25]
    assert list(redrawn.overlaps(trials.assign(n_train=np.nan), {})) == [0.0, 0.0]
    assert list(redrawn.overlaps(trials, {"vary": None})) == [0.5, 0.25]
    assert list(redrawn.overlaps(trials, {"vary": 3})) == [0.0, 0.0]
    assert redrawn.overlaps(trials[:0], {}).empty
    assert list(redrawn.overlaps(trials[1:], {"vary": []}).index) == [1]


def test_the_largest_overlap_and_what_seeds_are_worth():
    assert redrawn.overlap_of(pd.DataFrame({"overlap": [0.25, 0.5]})) == 0.5
    assert redrawn.overlap_of(pd.DataFrame({"overlap": []})) == 0
    assert redrawn.overlap_of(pd.DataFrame({"arm": ["t"]})) == 0
    assert seeds_worth(8, 0.25) == pytest.approx(8 / 3)
    assert widening(8, 0.25) == pytest.approx(math.sqrt(3))
    assert seeds_worth(8, 0.0) == 8


@pytest.fixture
def pooled_run(tmp_path):
    """A run of two arms over 8 seeds whose rows say that one pool was redrawn."""
    arms = (Arm("scratch", 0.90, 300), Arm("pretrained", 0.95, 200, 0.4, initialize="digits"))
    folder = write_run(tmp_path / "run", Made(arms=arms, n_test=20))
    trials = pd.read_parquet(folder / "trials.parquet")
    trials.assign(n_pool=159, n_train=80).to_parquet(folder / "trials.parquet")
    return folder


def test_comparisons_are_wider_and_leave_out_tests_that_need_independent_seeds(pooled_run):
    runs = load_runs([pooled_run])
    assert set(runs.trials["overlap"]) == {0.25}

    def found(trials):
        pairs, draw = [Pair("pretrained", "scratch")], np.random.default_rng(0)
        return compare_all(trials, runs.curves, pairs, (), 0.01, draw, ["test_accuracy"])[0]

    plain, wide = found(runs.trials.drop(columns="overlap")), found(runs.trials)
    assert wide.estimate == pytest.approx(plain.estimate)
    assert plain.t / wide.t == pytest.approx(widening(8, 0.25))
    assert wide.p_value > plain.p_value
    assert wide.high - wide.low > plain.high - plain.low
    assert wide.p_better == pytest.approx(plain.p_better)
    assert wide.p_better_low < plain.p_better_low
    assert math.isnan(wide.p_sign_flip)
    assert math.isnan(wide.p_wilcoxon)
    assert "Nadeau" in wide.note


def test_the_report_says_so(pooled_run):
    from analysis.findings.findings import find
    from analysis.report.caveats import find_caveats
    from analysis.report.methods import describe_methods

    findings = find(load_runs([pooled_run]))
    assert any("one pool of 159 images" in text for text in find_caveats(findings))
    assert "Redrawn splits" in [term.name for term in describe_methods(findings)]
    assert set(findings.arms["score_method"]) == {METHOD}
    assert findings.pairs.seeds_needed.empty  # more seeds of one pool settle little
