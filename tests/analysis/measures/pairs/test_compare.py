"""Comparisons: by hand, against scipy and statsmodels, invariances, error rates, wording."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

import analysis
from analysis.measures.pairs.compare import compare_all, comparison_table
from analysis.statistics.pairs.comparison import COLUMNS
from analysis.statistics.pairs.looks import CHOSEN_BEFORE, Stopping
from analysis.statistics.pairs.metrics import DEFAULT_METRICS
from analysis.statistics.pairs.power import seeds_for_equivalence, seeds_to_detect
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.samples.resampling import sign_flip_test, signed_rank_test
from analysis.statistics.samples.shares import exact_share_interval
from analysis.statistics.samples.significance import holm
from headstart.errors import InputError
from headstart.settings import LOOKS

NO_CURVES = pd.DataFrame(
    {"trial_id": [], "step": [], "samples": [], "train_time_s": [], "val_accuracy": []}
)


STEPS = ("steps_to_target",)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def arm(name: str, values: Any, first_seed: int = 0, **more: Any) -> pd.DataFrame:
    """Trials of one arm with these test accuracies, seeds counted from `first_seed`."""
    n = len(values)
    return pd.DataFrame(
        {
            "trial_id": [f"{name}{i}" for i in range(n)],
            "stage": "arm",
            "arm": name,
            "seed": np.arange(n) + first_seed,
            "status": "done",
            "test_accuracy": values,
            **more,
        }
    )


def two_arms(treated: Any, control: Any) -> pd.DataFrame:
    return pd.concat([arm("t", treated), arm("c", control)], ignore_index=True)


def curves_reaching(trials: pd.DataFrame, times: list[float], budget: int = 1000) -> pd.DataFrame:
    """Curves evaluated every 50 steps that reach 0.9 at these steps (inf: never)."""
    steps = np.arange(50, budget + 1, 50)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "trial_id": trial_id,
                    "step": steps,
                    "samples": 10 * steps,
                    "train_time_s": steps / 100,
                    "val_accuracy": np.where(steps >= at, 0.95, 0.5),
                }
            )
            for trial_id, at in zip(trials["trial_id"], times, strict=True)
        ],
        ignore_index=True,
    )


def compare(
    trials: pd.DataFrame, curves: pd.DataFrame, treatment: str, control: str,
    metrics: tuple[str, ...] = DEFAULT_METRICS, *, rng: np.random.Generator | None = None,
    targets: tuple[float, ...] = (), margin: float | None = None,
    stopping: Stopping = CHOSEN_BEFORE,
) -> pd.DataFrame:  # fmt: skip
    """One pair as a table."""
    pairs = [Pair(treatment, control)]
    rows = compare_all(trials, curves, pairs, targets, margin, rng, metrics, stopping=stopping)
    return comparison_table(rows)


def one_row(trials: pd.DataFrame, **more: Any) -> pd.Series:
    found = compare(trials, NO_CURVES, "t", "c", ("test_accuracy",), rng=rng(), **more)
    assert list(found.columns) == list(COLUMNS)
    return found.iloc[0]


def test_scripts_take_it_from_the_package() -> None:
    assert analysis.compare_all is compare_all


def test_paired_row_by_hand_and_against_scipy() -> None:
    treated, control = np.array([3.0, 5.0, 8.0]) / 10, np.array([1.0, 2.0, 3.0]) / 10
    row = one_row(two_arms(treated, control))  # differences 0.2 0.3 0.5
    assert row["estimate"] == pytest.approx(1 / 3)
    reference = stats.ttest_rel(treated, control)
    assert (row["t"], row["p_value"]) == pytest.approx(
        (reference.statistic, reference.pvalue), abs=1e-9
    )
    assert row["effect_size"] == pytest.approx(1 / 3 / np.std([2, 3, 5], ddof=1) * 10 * 0.5641896)
    assert (row["p_sign_flip"], row["p_sign_flip_floor"]) == (0.25, 0.25)
    assert (row["p_better"], row["n_pairs"], row["paired"]) == (1.0, 3, True)


def test_p_values_equal_independent_references() -> None:
    treated, control = rng(1).normal(0.9, 0.01, (2, 12))
    row = one_row(two_arms(treated, control), margin=0.01)
    assert row["p_wilcoxon"] == pytest.approx(stats.wilcoxon(treated, control).pvalue, abs=1e-9)
    flips = stats.permutation_test(
        (treated - control,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert row["p_sign_flip"] == pytest.approx(flips.pvalue, abs=1e-9)
    expected = ttost_paired(treated, control, -0.01, 0.01)[0]
    assert row["p_equivalence"] == pytest.approx(expected, abs=1e-9)


def test_unpaired_seeds_are_compared_by_welch_and_said_so() -> None:
    treated, control = rng(2).normal(0.9, 0.01, 9), rng(3).normal(0.88, 0.02, 7)
    trials = pd.concat([arm("t", treated, 100), arm("c", control)], ignore_index=True)
    row = one_row(trials)
    reference = stats.ttest_ind(treated, control, equal_var=False)
    ends = reference.confidence_interval()
    assert not row["paired"]
    assert row["p_value"] == pytest.approx(reference.pvalue, abs=1e-9)
    assert (row["low"], row["high"]) == pytest.approx((ends.low, ends.high), abs=1e-9)
    u = stats.mannwhitneyu(treated, control)
    assert row["p_better"] == pytest.approx(u.statistic / 63, abs=1e-9)
    assert row["p_wilcoxon"] == pytest.approx(u.pvalue, abs=1e-9)
    assert "do not pair" in row["note"]
    assert math.isnan(row["p_sign_flip"])


@pytest.mark.parametrize(("treated", "control"), [([0.9, 0.94], [0.8, 0.82]),
                                                  ([0.9, 0.94, 0.95], [0.8, 0.82])])  # fmt: skip
def test_unpaired_rows_by_hand(treated: list[float], control: list[float]) -> None:
    trials = pd.concat([arm("t", treated, 100), arm("c", control)], ignore_index=True)
    row = one_row(trials)
    df = len(treated) + len(control) - 2
    spread = (len(treated) - 1) * np.var(treated, ddof=1) + np.var(control, ddof=1)
    unbiased = math.gamma(df / 2) / (math.sqrt(df / 2) * math.gamma((df - 1) / 2))
    mean = np.mean(treated) - np.mean(control)
    assert row["effect_size"] == pytest.approx(mean / math.sqrt(spread / df) * unbiased, abs=1e-9)
    reference = stats.ttest_ind(treated, control, equal_var=False)
    assert row["p_value"] == pytest.approx(reference.pvalue, abs=1e-9)
    assert (row["n_treatment"], row["n_control"], row["n_pairs"]) == (len(treated), 2, 0)
    assert (row["bound"], row["scale"], row["method"]) == ("", "difference", "Welch")
    assert "wider" not in row["note"]
    alone = one_row(pd.concat([arm("t", [0.9], 100), arm("c", control)], ignore_index=True))
    assert "fewer than two trials in an arm: no test" in alone["note"]
    assert math.isnan(alone["p_value"])


def test_two_pairs_are_tested_and_a_clear_difference_has_no_warning() -> None:
    row = one_row(two_arms([0.9, 0.94], [0.8, 0.83]))
    reference = stats.ttest_rel([0.9, 0.94], [0.8, 0.83])
    assert row["p_value"] == pytest.approx(reference.pvalue, abs=1e-9)
    clear = one_row(two_arms(0.9 + 0.001 * np.arange(8), 0.8 + 0.0012 * np.arange(8)))
    assert clear["verdict"] == "better"
    assert "does not exclude" not in clear["note"]
    assert (clear["bound"], clear["n_more"]) == ("", 0)


def test_holm_equals_statsmodels_and_leaves_gaps() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.5])
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    with_gap = holm(np.array([0.01, np.nan, 0.04]))
    assert with_gap[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(with_gap[1])


def test_sign_flips_are_exact_to_16_and_close_beyond() -> None:
    d = rng(4).normal(0.4, 1, (16, 1))
    p, floor, error = sign_flip_test(d, rng())
    assert (floor, error[0]) == (2**-15, 0.0)
    d = rng(5).normal(0.4, 1, (25, 1))
    p, floor, error = sign_flip_test(d, rng())
    t_test = stats.ttest_1samp(d[:, 0], 0).pvalue
    assert floor == 1e-4
    assert abs(p[0] - t_test) < 0.03
    assert error[0] == pytest.approx(math.sqrt(p[0] * (1 - p[0]) / 9_999))


def test_signed_ranks_with_zeros_ties_and_many() -> None:
    d = np.array([0.0, 0.0, 1.0, 1.0, -1.0, 2.0, 3.0])
    ranks = np.array([0, 0, 2, 2, -2, 4, 5])
    patterns = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1)
    sums = np.abs(patterns.T @ np.abs(ranks[2:]))
    assert signed_rank_test(d[:, None])[0] == pytest.approx((sums >= ranks.sum()).mean())
    assert signed_rank_test(np.zeros((30, 1)))[0] == 1.0
    many = rng(6).normal(0.2, 1, 40)
    assert signed_rank_test(many[:, None])[0] == pytest.approx(stats.wilcoxon(many).pvalue)


@pytest.mark.parametrize("n", [7, 25])
def test_permuting_swapping_and_scaling(n: int) -> None:
    control = rng(7).gamma(2, 0.01, n)
    treated = control + rng(8).gamma(2, 0.004, n) - 0.006
    row = one_row(two_arms(treated, control))
    swapped = one_row(two_arms(control, treated))
    same = ("p_value", "p_sign_flip", "p_wilcoxon")
    for name in same:
        assert row[name] == pytest.approx(swapped[name], abs=1e-9)
    ends = (-swapped["high"], -swapped["low"], 1 - swapped["p_better_high"])
    assert (row["low"], row["high"], row["p_better_low"]) == pytest.approx(ends, abs=1e-9)
    order = rng(9).permutation(n)
    trials = two_arms(treated[order], control[order])
    permuted = one_row(trials)
    scaled = one_row(two_arms(100 * treated, 100 * control))
    for name in ("low", "high", "t", *same):
        assert permuted[name] == pytest.approx(row[name], abs=1e-9)
        factor = 100 if name in ("low", "high") else 1
        assert scaled[name] == pytest.approx(factor * row[name], rel=1e-9)


def test_times_are_ratios_of_paired_geometric_means() -> None:
    trials = two_arms([0.9] * 6, [0.9] * 6)
    times = [100, 150, 200, 100, 150, 250, 200, 350, 350, 250, 300, 450]
    found = compare(
        trials, curves_reaching(trials, times), "t", "c", ("steps_to_target",),
        targets=(0.9,), rng=rng(),
    )  # fmt: skip
    row = found.iloc[0]
    logs = np.log(np.array(times[6:]) / times[:6])
    assert row["estimate"] == pytest.approx(math.exp(logs.mean()))
    assert row["t"] == pytest.approx(stats.ttest_1samp(logs, 0).statistic)
    assert row["difference"] == pytest.approx(-950 / 6)
    assert (row["scale"], row["bound"], row["verdict"]) == ("speedup", "", "better")
    assert row["verdict_words"].startswith("better: “t” against “c”, steps to 90 %: ")


@pytest.mark.parametrize(
    ("treated", "control", "bound", "verdict"),
    [
        ([100] * 3 + [150] * 3, [math.inf] * 6, "at least", "better"),
        ([math.inf] * 6, [100] * 3 + [150] * 3, "at most", "worse"),
        ([math.inf, *[100] * 5], [*[150] * 5, math.inf], "within budget", "inconclusive"),
    ],
)
def test_unreached_targets_give_bounds(
    treated: list[float], control: list[float], bound: str, verdict: str
) -> None:
    trials = two_arms([0.9] * 6, [0.9] * 6)
    row = compare(
        trials, curves_reaching(trials, treated + control), "t", "c", ("steps_to_target",),
        targets=(0.9,), rng=rng(),
    ).iloc[0]  # fmt: skip
    assert (row["bound"], row["verdict"]) == (bound, verdict)
    assert math.isnan(row["difference"])
    assert row["n_unreached_treatment"] == np.isinf(treated).sum()
    if bound == "at least":
        assert math.isinf(row["high"])
        assert row["low"] > 1
    if bound == "at most":
        assert row["low"] == 0


def test_targets_nobody_reached_claim_nothing() -> None:
    trials = two_arms([0.9] * 6, [0.9] * 6)
    row = compare(
        trials, curves_reaching(trials, [math.inf] * 12), "t", "c", ("steps_to_target",),
        targets=(0.9,), rng=rng(),
    ).iloc[0]  # fmt: skip
    assert math.isnan(row["estimate"])
    assert math.isnan(row["p_value"])
    assert row["verdict"] == "inconclusive"
    assert "steps to 90 %: no trial of either got there in" in row["verdict_words"]


def test_seconds_are_compared_only_between_trials_that_ran_alike() -> None:
    trials = two_arms([0.9] * 6, [0.9] * 6).assign(device="cpu", n_workers=1)
    curves = curves_reaching(trials, [100, 150, 100, 150, 100, 150, 200, 250, 200, 250, 200, 300])
    metrics = ("train_time_s_to_target", "steps_to_target")
    alike = compare(trials, curves, "t", "c", metrics, targets=(0.9,), rng=rng())
    assert list(alike["n_pairs"]) == [6, 6]
    trials.loc[3, "device"] = "cuda"
    found = compare(trials, curves, "t", "c", metrics, targets=(0.9,), rng=rng())
    assert list(found["n_pairs"]) == [0, 6]
    assert "seconds are not compared: trials differ in device" in found["note"].iloc[0]


def test_failed_trials_count_as_never_reached() -> None:
    trials = two_arms([0.9] * 6, [0.9] * 6)
    trials.loc[0, ["status", "test_accuracy"]] = ["failed", math.nan]
    curves = curves_reaching(trials, [100.0] * 12)
    found = compare(trials, curves, "t", "c", targets=(0.9,), rng=rng()).set_index("metric")
    assert found.loc["steps_to_target", "n_unreached_treatment"] == 1
    assert found.loc["test_accuracy", "n_pairs"] == 5
    assert "1 trial of t" in found.loc["test_accuracy", "note"]


def test_equal_steps_are_no_certainty() -> None:
    """Five pairs 50 steps apart, evaluated every 50 steps: t is infinite, the data is coarse."""
    trials = two_arms([0.9] * 5, [0.9] * 5)
    row = compare(
        trials, curves_reaching(trials, [100.0] * 5 + [150.0] * 5), "t", "c",
        ("steps_to_target",), targets=(0.9,), rng=rng(),
    ).iloc[0]  # fmt: skip
    least = 50 * math.sqrt((100**-2 + 150**-2) / 12)
    assert row["sd_score"] == pytest.approx(least)
    assert 0.001 < row["p_value"] < 0.05


def test_equal_differences_of_unknown_grain_count_as_one_step() -> None:
    row = one_row(two_arms([0.93, 0.94, 0.95], [0.91, 0.92, 0.93]))
    assert row["sd_score"] == pytest.approx(0.02 / math.sqrt(6))
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(math.sqrt(18), 2))


@pytest.mark.parametrize(
    ("shift", "spread", "verdict", "text"),
    [
        (0.01, 0.001, "better", "better: “t” against “c”, test accuracy +1.00 points"),
        (-0.01, 0.001, "worse", "worse: “t” against “c”, test accuracy −1.00 points"),
        (0.0, 0.0005, "equivalent", "equivalent within ±0.2 points, whose own 90 % interval is"),
        (0.001, 0.0002, "equivalent", "(better, but by less than the margin)"),
        (
            0.001,
            0.004,
            "inconclusive",
            "neither a difference nor equivalence within ±0.2 points is",
        ),
    ],
)
def test_verdicts(shift: float, spread: float, verdict: str, text: str) -> None:
    noise = spread * stats.norm.ppf(np.linspace(0.1, 0.9, 8))
    row = one_row(two_arms(0.9 + shift + noise, np.full(8, 0.9)), margin=0.002)
    assert row["verdict"] == verdict
    assert text in row["verdict_words"]
    assert (row["n_more"] > 0) == (verdict == "inconclusive")
    assert ("90 % interval" in row["note"]) == (verdict == "equivalent")
    if verdict == "equivalent":
        half = float(stats.t.ppf(0.95, 7)) * np.std(noise, ddof=1) / math.sqrt(8)
        ends = f"{100 * (shift - half):+.2f} to {100 * (shift + half):+.2f} points"
        assert ends.replace("-", "−") in row["note"]


def test_no_margin_claims_no_equivalence() -> None:
    row = one_row(two_arms(0.9 + 1e-6 * rng(1).normal(size=8), np.full(8, 0.9)))
    assert row["verdict"] == "inconclusive"
    assert math.isnan(row["p_equivalence"])


def test_one_pair_and_no_pair_have_no_test() -> None:
    row = one_row(two_arms([0.91], [0.90]))
    assert row["estimate"] == pytest.approx(0.01)
    assert math.isnan(row["p_question"])
    assert row["verdict"] == "inconclusive"
    row = one_row(two_arms([math.nan], [0.90]))
    assert math.isnan(row["estimate"])
    assert "cannot be compared" in row["verdict_words"]


def test_a_question_is_one_over_all_pairs_and_tasks() -> None:
    parts = [
        arm(name, rng(k).normal(0.9, 0.01, 6)).assign(
            task=task, trial_id=[f"{task}{name}{i}" for i in range(6)]
        )
        for task in ("large", "small")
        for k, name in enumerate("abc")
    ]
    trials = pd.concat(parts, ignore_index=True)
    pairs = [Pair("b", "a"), Pair("c", "a")]
    rows = compare_all(trials, NO_CURVES, pairs, (), None, rng(), ("test_accuracy",))
    found = comparison_table(rows)
    assert list(found["task"]) == ["large", "large", "small", "small"]
    bonferroni = np.minimum(1, 4 * found["p_value"])
    assert (found["p_question"] >= found["p_value"]).all()
    assert (found["p_question"] <= bonferroni + 0.02).all()
    assert (found["low_question"] < found["low"]).all()
    asked = {("small", Pair("c", "a"))}
    alone = compare_all(trials, NO_CURVES, pairs, (), None, None, ("test_accuracy",), places=asked)
    assert [(row.task, row.treatment, row.p_question == row.p_value) for row in alone] == [
        ("small", "c", True)
    ]


def test_a_stopping_rule_widens_the_interval() -> None:
    trials = two_arms(rng(1).normal(0.9, 0.01, 9), rng(2).normal(0.9, 0.01, 9))
    plain, wide = one_row(trials), one_row(trials, stopping=Stopping(wider=1.1))
    assert wide["high"] - wide["low"] == pytest.approx(1.1 * (plain["high"] - plain["low"]))
    assert wide["t"] == pytest.approx(plain["t"] / 1.1)
    assert "chosen by looking" in wide["note"]


def test_planned_looks_are_as_strict_as_their_level_in_test_interval_and_margin() -> None:
    trials = two_arms(rng(1).normal(0.9, 0.01, 9), rng(2).normal(0.9, 0.01, 9))
    plain = one_row(trials, margin=0.02)
    strict = one_row(trials, margin=0.02, stopping=Stopping(looks=LOOKS))
    half = (plain["high"] - plain["low"]) / 2 / stats.t.ppf(0.975, 8)  # the standard error
    ends = plain["estimate"] + half * stats.t.ppf([0.0103 / 2, 1 - 0.0103 / 2], 8)
    assert (strict["low"], strict["high"]) == pytest.approx(tuple(ends))
    assert "7 planned looks" in strict["note"]
    reach = (0.02 - abs(plain["estimate"])) / half
    one_sided = stats.t.ppf(1 - 0.0112, 8) / stats.t.ppf(0.95, 8)
    assert strict["p_equivalence"] == pytest.approx(stats.t.sf(reach / one_sided, 8))


@pytest.mark.slow
def test_equal_arms_are_rarely_told_apart() -> None:
    """Any significant difference in at most 5 % of A/A sweeps, within three standard errors.

    Slow: it simulates many experiments.
    """
    hits, n_sweeps = 0, 60
    draw = rng(11)
    for _ in range(n_sweeps):
        trials = two_arms(*(1 - draw.gamma(2, 0.005, (2, 5))))
        curves = curves_reaching(trials, list(draw.choice([100, 150, 200, 300, math.inf], 10)))
        found = compare(
            trials, curves, "t", "c", ("test_accuracy", "steps_to_target", "samples_to_target"),
            targets=(0.9,), rng=draw,
        )  # fmt: skip
        hits += found["verdict"].isin(["better", "worse"]).any()
    assert hits <= 0.05 * n_sweeps + 3 * math.sqrt(0.05 * 0.95 * n_sweeps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"treatment": "pretraned"}, "'pretraned' is not one of c, t"),
        ({"metrics": ("test_acuracy",)}, r"did you mean 'test_accuracy'\?"),
        ({"margin": 0.0}, "must be above 0"),
        ({"treatment": "c"}, "compared with itself"),
    ],
)
def test_bad_input_is_told_in_one_line(change: dict[str, Any], message: str) -> None:
    given = {"treatment": "t", "control": "c", "rng": rng()} | change
    with pytest.raises(InputError, match=message) as found:
        compare(two_arms([0.9] * 3, [0.8] * 3), NO_CURVES, **given)
    assert "\n" not in str(found.value)


def test_a_seed_that_stands_twice_is_refused() -> None:
    trials = pd.concat([two_arms([0.9], [0.8]), arm("t", [0.9]).assign(trial_id="x")])
    with pytest.raises(InputError, match="arm 't' has seed 0 twice"):
        compare(trials, NO_CURVES, "t", "c", rng=rng())


def test_a_trial_that_was_there_before_its_first_step_has_no_infinite_speedup() -> None:
    trials = two_arms([0.9] * 5, [0.9] * 5)
    curves = curves_reaching(trials, [50, 50, 100, 50, 100, 200, 250, 200, 300, 250])
    start = curves.drop_duplicates("trial_id").assign(step=0, val_accuracy=0.1)
    start.loc[start["trial_id"] == "t0", "val_accuracy"] = 0.95
    row = compare(
        trials,
        pd.concat([start, curves]),
        "t",
        "c",
        ("steps_to_target",),
        targets=(0.9,),
        rng=rng(),
    ).iloc[0]
    assert np.isfinite([row["estimate"], row["low"], row["p_value"]]).all()
    assert "before the first step" in row["note"]
    assert (row["bound"], row["high"], row["n_at_once_treatment"]) == ("at least", math.inf, 1)


def test_evaluations_far_apart_later_on_do_not_blur_what_was_dense_before() -> None:
    """Evaluated every 50 steps until 400 and once more at 4,000: times differ by several 50s."""
    trials = two_arms([0.9] * 10, [0.9] * 10)
    times = [50.0] * 9 + [100.0] + [200.0] * 5 + [250.0] * 5
    dense = curves_reaching(trials, times, budget=400)
    last = dense.drop_duplicates("trial_id").assign(step=4000, val_accuracy=0.95)

    def found(curves: pd.DataFrame) -> pd.Series:
        metrics = ("steps_to_target",)
        return compare(trials, curves, "t", "c", metrics, targets=(0.9,), rng=rng()).iloc[0]

    with_last = found(pd.concat([dense, last]))
    assert with_last["p_value"] == pytest.approx(found(dense)["p_value"])
    assert with_last["p_value"] < 1e-4


def test_a_time_is_known_to_the_evaluation_before_it() -> None:
    """Equal ratios: what is left is (200/400)²/12 + (400/800)²/12 = 1/24."""
    trials = two_arms([0.9] * 3, [0.9] * 3)
    steps = np.array([100, 200, 400, 800])
    curves = pd.concat(
        pd.DataFrame(
            {"trial_id": name, "step": steps, "samples": steps, "train_time_s": steps / 10.0}
        ).assign(val_accuracy=np.where(steps >= at, 0.95, 0.5))
        for name, at in zip(trials["trial_id"], [400] * 3 + [800] * 3, strict=True)
    )
    row = compare(trials, curves, "t", "c", ("steps_to_target",), targets=(0.9,), rng=rng()).iloc[0]
    assert row["t"] == pytest.approx(math.log(2) / math.sqrt(1 / 24 / 3))


def assert_row(row: pd.Series, expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if isinstance(value, float):
            assert row[name] == pytest.approx(value, nan_ok=True), name
        else:
            assert row[name] == value, name


def test_every_column_of_a_paired_row_by_hand() -> None:
    """Differences -0.1, 0, 0.4: mean 0.1, SD 0.2646; 1½ wins of 3."""
    d = np.array([-0.1, 0.0, 0.4])
    trials = two_arms(0.5 + d, np.full(3, 0.5)).assign(n_test=1000)
    reference = stats.ttest_1samp(d, 0)
    ends = reference.confidence_interval(0.95)
    exact = exact_share_interval(1, 2)  # the tie is left out
    half_g = math.gamma(1) / math.gamma(0.5)
    row = one_row(trials, margin=0.3)
    assert_row(row, {
        "task": "", "treatment": "t", "control": "c", "metric": "test_accuracy",
        "target": math.nan, "unit": "fraction", "n_pairs": 3, "n_treatment": 3, "n_control": 3,
        "paired": True, "scale": "difference", "confidence": 0.95, "method": "student",
        "estimate": 0.1, "low": float(ends.low), "high": float(ends.high), "difference": 0.1,
        "n_unreached_treatment": 0, "n_unreached_control": 0, "budget": math.nan, "bound": "",
        "t": float(reference.statistic), "p_value": float(reference.pvalue),
        "p_question": float(reference.pvalue), "n_won": 1, "n_lost": 1, "question": "final",
        "low_question": float(ends.low), "high_question": float(ends.high),
        "p_sign_flip": 1.0, "p_sign_flip_error": 0.0,
        "p_wilcoxon": 1.0, "p_better": 0.5, "p_better_low": exact.low,
        "p_better_high": exact.high, "p_better_words": "not significant", "margin": 0.3,
        "mean_score": 0.1, "sd_score": float(d.std(ddof=1)), "verdict": "inconclusive",
        "effect_size": 0.1 / d.std(ddof=1) * half_g, "state": "not shown",
        "note": "3 pairs: Student's t, which trusts that differences are near normal",
    })  # fmt: skip
    assert row["n_more"] == max(seeds_to_detect(0.3, d.std(ddof=1)),
                                seeds_for_equivalence(0.3, d.std(ddof=1))) - 3  # fmt: skip
    assert "neither a difference nor equivalence" in row["verdict_words"]


def test_confidence_is_that_of_all_intervals() -> None:
    trials = two_arms([0.4, 0.5, 0.9], [0.5] * 3)
    rows = compare_all(trials, NO_CURVES, [Pair("t", "c")], (), None, rng(), ("test_accuracy",))
    ends = stats.ttest_rel([0.4, 0.5, 0.9], [0.5] * 3).confidence_interval(0.95)
    assert (rows[0].low, rows[0].high) == pytest.approx((ends.low, ends.high))
    assert (rows[0].confidence, rows[0].p_better_low) == (
        0.95, pytest.approx(exact_share_interval(1, 2).low),
    )  # fmt: skip
    score = rows[0].score
    assert score is not None
    assert (score.low, score.n) == (rows[0].low, 3)


def test_less_loss_is_better_and_has_no_margin() -> None:
    d = np.array([-0.3, -0.2, -0.25, -0.26])
    trials = two_arms([0.9] * 4, [0.9] * 4).assign(test_loss=[*(1 + d), 1, 1, 1, 1])
    row = compare(trials, NO_CURVES, "t", "c", ("test_loss",), rng=rng(), margin=0.01).iloc[0]
    ends = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert_row(row, {
        "estimate": float(d.mean()), "low": float(ends.low), "high": float(ends.high),
        "difference": float(d.mean()), "mean_score": -float(d.mean()), "margin": math.nan,
        "p_equivalence": math.nan, "p_better": 1.0, "verdict": "better", "unit": "nats",
    })  # fmt: skip


def test_one_pair_no_pair_and_lone_trials_say_why_they_are_not_tested() -> None:
    one = one_row(two_arms([0.91], [0.90]))
    assert_row(one, {"difference": 0.01, "low": math.nan, "p_better": math.nan, "n_pairs": 1})
    assert "one pair: no interval and no test" in one["note"]
    none = one_row(two_arms([math.nan], [0.90]))
    assert none["note"].endswith("no pairs")
    assert "1 trial of t" in none["note"]
    assert_row(none, {"n_pairs": 0, "paired": True, "n_more": math.nan, "confidence": 0.95})
    lone = one_row(pd.concat([arm("t", [0.9, 0.8], 100), arm("c", [0.7])], ignore_index=True))
    assert_row(lone, {"n_pairs": 0, "n_treatment": 2, "n_control": 1, "estimate": math.nan})
    assert lone["note"].startswith("seeds do not pair")
    assert lone["note"].endswith("fewer than two trials in an arm: no test")


def test_every_column_of_an_unpaired_row_by_hand() -> None:
    treated, control = np.array([0.7, 0.8, 0.9, 0.8]), np.array([0.5, 0.55, 0.75])
    trials = pd.concat([arm("t", treated, 100), arm("c", control)], ignore_index=True)
    row = one_row(trials, margin=0.5)
    parts = treated.var(ddof=1) / 4, control.var(ddof=1) / 3
    reference = stats.ttest_ind(treated, control, equal_var=False)
    u = stats.mannwhitneyu(treated, control).statistic
    exact = exact_share_interval(u / 4, 3)
    low = treated.mean() - control.mean() - 0.5
    assert_row(row, {
        "t": float(reference.statistic), "sd_score": math.sqrt(3 * sum(parts)),
        "p_better": u / 12, "p_better_low": exact.low, "p_better_high": exact.high,
        "mean_score": float(treated.mean() - control.mean()), "margin": 0.5,
        "p_equivalence": float(stats.t.cdf(low / math.sqrt(sum(parts)), reference.df)),
        "p_better_words": "better, meaningful" if exact.low > 0.5 else "not significant",
        "p_sign_flip_floor": math.nan,
    })  # fmt: skip
    wide = one_row(trials, stopping=Stopping(wider=1.1))
    assert wide["high"] - wide["low"] > 1.09 * (row["high"] - row["low"])
    assert wide["t"] == pytest.approx(row["t"] / 1.1)
    assert "chosen by looking" in wide["note"]


@pytest.mark.parametrize(("value", "first"), [(0.5, 100), (0.4, 100), (0.5, 0)])
def test_values_without_spread_or_known_step_have_no_interval(value: float, first: int) -> None:
    """Not one of width 0, nor a p of 0 where two arms without spread differ."""
    trials = pd.concat([arm("t", [value] * 3, first), arm("c", [0.5] * 3)], ignore_index=True)
    row = compare(trials, NO_CURVES, "t", "c", ("test_accuracy",), margin=0.01, rng=rng()).iloc[0]
    nothing = ("low", "high", "t", "p_value", "p_question", "p_equivalence", "low_question")
    assert_row(row, {"estimate": value - 0.5} | dict.fromkeys(nothing, math.nan))
    assert (row["verdict"], row["state"]) == ("inconclusive", "not shown")
    assert row["note"].endswith("no spread, and the smallest step of a value is not known: no "
                                "interval and no test")  # fmt: skip


def test_equal_unpaired_values_of_known_step_differ_in_nothing() -> None:
    trials = pd.concat([arm("t", [0.5] * 3, 100), arm("c", [0.5] * 3)], ignore_index=True)
    coarse = one_row(trials.assign(n_test=100))
    error = math.sqrt(0.01**2 / 12 * 2 / 3)  # each arm's rounding, over 3 trials each
    half = float(stats.t.ppf(0.975, 4)) * error
    assert_row(coarse, {"low": -half, "high": half, "sd_score": error * math.sqrt(3)})


@pytest.mark.parametrize("paired", [True, False])
def test_seeds_of_one_pool_widen_and_claim_no_seeds(paired: bool) -> None:
    d = np.array([0.03, -0.02, 0.04, 0.01])
    trials = pd.concat([arm("t", 0.5 + d, 0 if paired else 100), arm("c", [0.5, 0.51, 0.5, 0.49])])
    plain, wide = one_row(trials), one_row(trials.assign(overlap=0.25))
    assert plain["t"] / wide["t"] == pytest.approx(math.sqrt(1 + 4 * 0.25))
    ratio = (wide["high"] - wide["low"]) / (plain["high"] - plain["low"])
    assert ratio == pytest.approx(math.sqrt(2))
    assert "Nadeau" in wide["note"]
    assert "Nadeau" not in plain["note"]
    assert math.isnan(wide["n_more"])
    assert plain["n_more"] > 0
    assert math.isnan(wide["p_sign_flip"])
    assert math.isnan(wide["p_wilcoxon"]) == paired
    if paired:
        wins = 3 / 4  # 4 seeds are worth 2
        assert wide["p_better_low"] == pytest.approx(exact_share_interval(2 * wins, 2).low)


def test_missing_seeds_count_every_test_of_the_report() -> None:
    values = 0.9 + rng(1).normal(0.001, 0.004, 8)
    trials = pd.concat([two_arms(values, np.full(8, 0.9)), arm("u", values), arm("lone", [0.9])])
    pairs = [Pair("t", "c"), Pair("u", "c"), Pair("lone", "c")]
    rows = compare_all(trials, NO_CURVES, pairs, (), None, rng(), ("test_accuracy",))
    assert [row.treatment for row in rows] == ["t", "u", "lone"]
    for row in rows[:2]:
        level = 2 * float(stats.t.sf(row.factor, 7))
        needed = seeds_to_detect(abs(row.mean_score), row.sd_score, alpha=level)
        assert (row.n_more, row.verdict) == (needed - 8, "inconclusive")
        assert row.p_value <= row.p_question <= 1.3 * row.p_value  # equal rows count nearly once
    assert math.isnan(rows[2].n_more)


def test_an_interval_excludes_no_difference_exactly_where_its_test_does() -> None:
    """Of coarse times, of accuracies in whole images, of skewed ones: row alone and among all."""
    draw = rng(12)
    seen = set()
    for k in range(25):
        n = int(draw.integers(3, 11))
        shift = draw.choice([0.0, 0.01])
        trials = two_arms(
            np.round(0.9 + shift - draw.gamma(2, 0.004, n), 3),
            np.round(0.9 - draw.gamma(2, 0.004, n), 3),
        ).assign(n_test=1000)
        times = draw.choice([50, 100, 150, 200, math.inf], 2 * n)
        times[:n] /= draw.choice([1, 2])
        rows = compare_all(
            trials, curves_reaching(trials, list(times)), [Pair("t", "c")], (0.9,), None
        )
        for row in rows:
            nothing = 1.0 if row.is_time else 0.0
            for p, low, high in (
                (row.p_value, row.low, row.high),
                (row.p_question, row.low_question, row.high_question),
            ):
                if not math.isnan(p):
                    assert (not low <= nothing <= high) == (p <= 0.05), k
                    assert low < high
                    seen.add((row.metric, row.bound, bool(p <= 0.05)))
    assert {bound for _, bound, _ in seen} == {"", "at least", "at most", "within budget"}
    assert len({shown for *_, shown in seen}) == 2


def starts(trials: pd.DataFrame, curves: pd.DataFrame, at_once: set[str]) -> pd.DataFrame:
    """The curves with an evaluation at step 0, at which these trials are at the target."""
    start = curves.drop_duplicates("trial_id").assign(step=0)
    start["val_accuracy"] = np.where(start["trial_id"].isin(at_once), 0.95, 0.1)
    return pd.concat([start, curves])


def test_a_head_start_at_step_0_is_at_least_as_large_as_its_first_evaluation() -> None:
    """Treatments there before their first step, controls at 200 steps: at least 4 times as fast,
    as for treatments that are there at 50; never the same as the control's best."""
    trials = two_arms([0.9] * 5, [0.9] * 5)
    times = [50.0] * 5 + [200.0] * 5
    curves = curves_reaching(trials, times)
    ids = {f"t{i}" for i in range(5)}
    rows = [
        compare(trials, c, "t", "c", ("steps_to_target",), targets=(0.9,), rng=rng()).iloc[0]
        for c in (starts(trials, curves, ids), starts(trials, curves, set()))
    ]
    at_once, later = rows
    assert at_once["estimate"] == later["estimate"] == pytest.approx(4)
    assert (at_once["bound"], at_once["high"], later["bound"]) == ("at least", math.inf, "")
    assert at_once["low"] > 1
    assert at_once["verdict"] == "better"
    both = starts(trials, curves, ids | {f"c{i}" for i in range(5)})
    row = compare(trials, both, "t", "c", ("steps_to_target",), targets=(0.9,), rng=rng()).iloc[0]
    assert (row["estimate"], row["bound"], row["p_value"]) == (1, "", 1)


def evaluated(trials: pd.DataFrame, arm: str, grid: range, at: list[float]) -> pd.DataFrame:
    """Curves of one arm, evaluated at `grid`, that are at 0.9 from these steps on."""
    names = trials.loc[trials["arm"] == arm, "trial_id"]
    steps, since = np.tile(grid, len(at)), np.repeat(at, len(grid))
    curves = {"trial_id": np.repeat(names, len(grid)), "step": steps, "samples": steps}
    return pd.DataFrame(
        curves | {"train_time_s": steps, "val_accuracy": np.where(steps >= since, 0.95, 0.5)}
    )


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    ("treated", "control", "at", "bound"),
    [
        (range(0, 1001, 100), range(0, 1001, 50), 0, ""),  # both there before their first step
        (range(0, 1001, 100), range(0, 1001, 50), 50, "at least"),
        (range(0, 2001, 100), range(0, 51, 10), 2000, "at least"),  # controls end at 50 steps
    ],
)
def test_a_trial_there_at_once_is_not_slower_for_being_evaluated_less_often(
    treated: range, control: range, at: int, bound: str, paired: bool
) -> None:
    trials = pd.concat([arm("t", [0.9] * 5, 0 if paired else 100), arm("c", [0.9] * 5)])
    curves = pd.concat(
        [evaluated(trials, "t", treated, [0] * 5), evaluated(trials, "c", control, [at] * 5)]
    )
    row = compare(trials, curves, "t", "c", ("steps_to_target",), targets=(0.9,)).iloc[0]
    swapped = compare(trials, curves, "c", "t", ("steps_to_target",), targets=(0.9,)).iloc[0]
    assert row["estimate"] == pytest.approx({2000: 5.0}.get(at, 1.0))
    assert swapped["estimate"] == pytest.approx(1 / row["estimate"])
    assert row["verdict"] != "worse"
    if paired:
        assert row["bound"] == bound


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_an_earlier_treatment_never_looks_slower(data: st.DataObject) -> None:
    """One treatment arrives earlier, at step 0 at the earliest: the ratio grows or stays."""
    n = data.draw(st.integers(2, 5))
    grids = [range(0, 400, data.draw(st.sampled_from([20, 50, 100]))) for _ in "tc"]
    trials = two_arms([0.9] * n, [0.9] * n)
    at = [[data.draw(st.sampled_from([*grid, math.inf])) for _ in range(n)] for grid in grids]
    later = data.draw(st.integers(0, n - 1))
    earlier = [*at[0]]
    earlier[later] = data.draw(st.sampled_from([s for s in grids[0] if s <= at[0][later]]))
    control = evaluated(trials, "c", grids[1], at[1])
    found = []
    for its in (at[0], earlier):
        curves = pd.concat([evaluated(trials, "t", grids[0], its), control])
        found += compare_all(trials, curves, [Pair("t", "c")], (0.9,), None, None, STEPS)
    assume(not math.isnan(found[0].estimate))  # nobody reached it: nothing is compared
    assert found[1].estimate >= found[0].estimate * (1 - 1e-9)


def test_arms_of_different_length_say_who_arrived_after_the_common_budget() -> None:
    """Controls train for 1,000 steps and are there at 600; treatments end at 400."""
    trials = two_arms([0.9] * 6, [0.9] * 6)
    curves = curves_reaching(trials, [math.inf] * 6 + [600.0] * 6)
    curves = curves[(curves["step"] <= 400) | curves["trial_id"].str.startswith("c")]
    row = compare(trials, curves, "t", "c", ("steps_to_target",), targets=(0.9,), rng=rng()).iloc[0]
    assert (row["n_late_treatment"], row["n_late_control"], row["budget"]) == (0, 6, 400)
    assert row["verdict_words"].endswith("in 400 steps, the common budget; later 6 of 6 of “c” did")
    assert math.isnan(row["p_question"])


def test_failed_trials_at_chance_undo_a_verdict_among_survivors() -> None:
    """4 of 10 treatments diverged; the rest end 2 points above."""
    treated = 0.92 + rng(1).normal(0, 0.002, 10)
    trials = two_arms(treated, 0.90 + rng(2).normal(0, 0.002, 10)).assign(n_classes=10)
    clean = one_row(trials)
    assert (clean["verdict"], clean["among_finished"]) == ("better", False)
    trials.loc[:3, ["status", "test_accuracy"]] = ["diverged", math.nan]
    row = one_row(trials)
    assert (row["verdict"], row["among_finished"], row["n_failed_treatment"]) == ("better", True, 4)
    assert row["p_at_chance"] == 1
    assert "of trials that finished; 4 of 10 of “t” did not" in row["verdict_words"]
    other = trials.assign(arm=trials["arm"].map({"t": "c", "c": "t"}))  # now controls diverged
    turned = one_row(other)
    assert (turned["verdict"], turned["among_finished"]) == ("worse", True)
    unknown = one_row(trials.drop(columns="n_classes"))
    assert (unknown["among_finished"], math.isnan(unknown["p_at_chance"])) == (True, True)


def test_each_missing_accuracy_stands_at_chance_by_hand() -> None:
    """One trial of each arm without an accuracy, of 4 classes: .25 in the place of each."""
    treated = np.array([0.90, 0.93, 0.91, 0.95, 0.92, 0.94])
    control = np.array([0.80, 0.79, 0.82, 0.80, 0.83, 0.81])
    trials = two_arms(treated, control).assign(n_classes=4)
    trials.loc[1, ["status", "test_accuracy"]] = ["failed", math.nan]
    trials.loc[6 + 4, ["status", "test_accuracy"]] = ["diverged", math.nan]
    row = one_row(trials)
    kept = [0, 2, 3, 5]
    assert row["p_question"] == pytest.approx(stats.ttest_rel(treated[kept], control[kept]).pvalue)
    treated[1], control[4] = 0.25, 0.25
    assert row["p_at_chance"] == pytest.approx(stats.ttest_rel(treated, control).pvalue)
    assert row["p_at_chance"] > 0.05
    assert (row["verdict"], row["among_finished"]) == ("better", True)


def test_failures_that_cost_the_verdict_nothing_are_not_said_to() -> None:
    """A control failed: at chance the treatment is better still, by more than its noise."""
    trials = two_arms(0.9 + 0.001 * np.arange(12), 0.5 + 0.03 * (np.arange(12) % 3))
    trials = trials.assign(n_classes=4)
    trials.loc[12, ["status", "test_accuracy"]] = ["failed", math.nan]
    row = one_row(trials)
    assert (row["verdict"], row["among_finished"], row["n_failed_control"]) == ("better", False, 1)
    assert row["p_at_chance"] <= 0.05


def test_a_margin_below_one_test_image_asks_for_no_seeds() -> None:
    """No number of seeds shows equivalence within ±0.2 points on 100 images: steps of 1 point."""
    d = np.array([0.02, -0.01, 0.01, 0.0, -0.02, 0.01])
    trials = two_arms(0.9 + d, np.full(6, 0.9))
    coarse, fine = (one_row(trials.assign(n_test=n), margin=0.002) for n in (100, 1000))
    assert coarse["state"] == fine["state"] == "not shown"
    assert np.isnan([coarse["n_more"], coarse["n_more_low"], coarse["n_more_high"]]).all()
    assert 0 < fine["n_more_low"] < fine["n_more"] < fine["n_more_high"]


def test_missing_seeds_know_how_many_arms_are_tested_for_equivalence() -> None:
    """Three arms that all may be equivalent share 5 % (Holm): more seeds than one alone needs."""
    d = 0.004 * stats.norm.ppf(np.linspace(0.1, 0.9, 8))
    trials = pd.concat(
        [arm(name, 0.9 + d) for name in "tuv"] + [arm("c", np.full(8, 0.9) + d[::-1])]
    )
    for arms in ("t", "tuv"):
        pairs = [Pair(name, "c") for name in arms]
        rows = compare_all(trials, NO_CURVES, pairs, (), 0.002, None, ("test_accuracy",))
        for row in rows:
            equal = seeds_for_equivalence(0.002, row.sd_score, 0.8, 0.05 / len(arms))
            level = 2 * float(stats.t.sf(row.factor, 7))
            differ = seeds_to_detect(0.002, row.sd_score, alpha=level)
            assert row.state == "not shown"
            assert row.n_more == max(equal, differ) - 8
            assert equal > differ


def test_three_probabilities_of_redrawn_splits_are_corani_and_benavolis_by_hand() -> None:
    """20 test and 80 training images: rho .2, variance (1/n + rho/(1 − rho)) s²; plain is 1/n."""
    d = np.array([0.03, 0.01, -0.01, 0.02, 0.04])
    trials = two_arms(0.8 + d, np.full(5, 0.8))
    for overlap, factor in ((0.0, 1 / 5), (20 / 80, 1 / 5 + 0.2 / (1 - 0.2))):
        row = one_row(trials.assign(overlap=overlap), margin=0.01)
        posterior = stats.t(4, loc=0.018, scale=math.sqrt(factor * d.var(ddof=1)))
        found = [row[f"p_{name}"] for name in ("worse_beyond", "inside", "better_beyond")]
        inside = posterior.cdf(0.01) - posterior.cdf(-0.01)
        assert found == pytest.approx([posterior.cdf(-0.01), inside, posterior.sf(0.01)])


def test_targets_that_nobody_reaches_cost_the_others_nothing() -> None:
    trials = two_arms([0.9] * 6, [0.9] * 6)
    curves = curves_reaching(trials, [100.0, 150, 100, 150, 200, 100, 150, 150, 200, 250, 250, 150])
    metrics = ("steps_to_target",)
    few = compare(trials, curves, "t", "c", metrics, targets=(0.9,), rng=rng())
    many = compare(trials, curves, "t", "c", metrics, targets=(0.9, 0.96, 0.97, 0.98), rng=rng())
    assert many["p_question"][0] == few["p_question"][0]
    assert many["p_question"][1:].isna().all()


def test_accuracy_1_everywhere_has_a_width_and_no_impossible_end() -> None:
    row = one_row(two_arms([1.0] * 5, [1.0] * 5).assign(n_test=20))
    assert -1 <= row["low"] < 0 < row["high"] <= 1
    assert (row["p_value"], row["state"]) == (1, "not shown")
    wide = one_row(two_arms([1.0, 0.0], [0.0, 0.1]))
    assert (wide["low"], wide["high"]) == (-1, 1)


def test_splits_of_one_pool_correct_accuracies_and_not_the_way_there() -> None:
    trials = two_arms([0.9, 0.91, 0.93, 0.92], [0.9, 0.9, 0.91, 0.9])
    curves = curves_reaching(trials, [100.0, 150, 100, 150, 200, 200, 250, 200])
    metrics = (*DEFAULT_METRICS, "samples_to_target")
    plain, pool = (
        compare(t, curves, "t", "c", metrics, targets=(0.9,), rng=rng()).set_index("metric")
        for t in (trials, trials.assign(overlap=0.25))
    )
    factor = plain["t"] / pool["t"]
    rows = pool.loc[["steps_to_target", "samples_to_target"], ["estimate", "low", "high"]]
    assert rows.iloc[0].tolist() == pytest.approx(rows.iloc[1].tolist())  # steps as images
    assert factor["test_accuracy"] == pytest.approx(math.sqrt(2))
    assert factor[["area_under_curve", "steps_to_target"]].tolist() == pytest.approx([1, 1])
    assert "splits of this pool" in pool.loc["steps_to_target", "note"]


def test_the_same_data_give_the_same_verdicts_whatever_the_generator() -> None:
    draw = rng(3)
    trials = two_arms(draw.normal(0.905, 0.01, 20), draw.normal(0.9, 0.01, 20))
    curves = curves_reaching(trials, list(draw.choice([100.0, 150, 200, 250, 300], 40)))
    rows = [
        comparison_table(compare_all(trials, curves, [Pair("t", "c")], (0.9,), 0.01, generator))
        for generator in (None, rng(1), rng(2))
    ]
    same = ["low", "high", "p_value", "p_question", "low_question", "high_question", "state"]
    for other in rows[1:]:
        pd.testing.assert_frame_equal(other[same], rows[0][same], check_exact=True)


def test_ties_within_rounding_are_ties() -> None:
    treated, control = np.array([3, 2, 4, 9, 8, 1]), np.array([2, 3, 3, 7, 9, 1])
    tenths = one_row(two_arms(treated / 10, control / 10))
    whole = one_row(two_arms(treated.astype(float), control.astype(float)))
    assert len(set(np.abs(treated / 10 - control / 10))) > 3
    for name in ("p_wilcoxon", "p_sign_flip", "p_better", "t"):
        assert tenths[name] == pytest.approx(whole[name]), name


def test_equal_curves_have_an_area_of_some_width() -> None:
    """One of 50 validation images over the root of 4 evaluations is what rounding leaves."""
    trials = two_arms([0.9] * 5, [0.9] * 5).assign(n_validation=50)
    curves = curves_reaching(trials, [50.0] * 10, budget=200)
    row = compare(trials, curves, "t", "c", ("area_under_curve",), rng=rng()).iloc[0]
    error = 1 / 50 / math.sqrt(4) * math.sqrt(2 / 12 / 5)
    assert row["high"] == pytest.approx(float(stats.t.ppf(0.975, 4)) * error)
    assert row["p_value"] == 1
