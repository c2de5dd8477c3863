"""Contrasts by hand: which seeds pair, the values of each arm, notes, grains, what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.measures.pairs.contrasts import build_contrasts
from analysis.measures.trials import untrained
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.estimates import shown_ends
from analysis.statistics.pairs.metrics import metric_of
from analysis.statistics.samples.pairing import Pair
from headstart.errors import InputError

NO_CURVES = pd.DataFrame(
    {"trial_id": [], "step": [], "samples": [], "train_time_s": [], "val_accuracy": []}
)
PAIR = Pair("t", "c")
STEPS = ("steps_to_target",)


def arm(name: str, seeds: list[int], values: Any, **more: Any) -> pd.DataFrame:
    ids = [f"{name}{seed}" for seed in seeds]
    own = {"trial_id": ids, "stage": "arm", "arm": name, "seed": seeds, "status": "done"}
    return pd.DataFrame(own | {"test_accuracy": np.asarray(values, dtype=float), **more})


def curves_of(trials: pd.DataFrame, reaching: dict[str, float], steps: list[int]) -> pd.DataFrame:
    """Curves evaluated at `steps` that are at 0.9 from the step of `reaching` on."""
    return pd.DataFrame(
        [
            {
                "trial_id": name, "step": step, "samples": 10 * step, "train_time_s": step / 10,
                "val_accuracy": 0.95 if step >= reaching[name] else 0.5,
            }
            for name in trials["trial_id"]
            for step in steps
        ]
    )  # fmt: skip


def only(trials: pd.DataFrame, curves: pd.DataFrame = NO_CURVES, **more: Any) -> Contrast:
    given = {"targets": (), "metrics": ("test_accuracy",)} | more
    (contrast,) = build_contrasts(trials, curves, [PAIR], **given)
    return contrast


def test_scores_pair_in_the_order_of_seeds() -> None:
    treated = arm("t", [5, 1, 3], [0.5, 0.1, 0.3], n_test=50)
    control = arm("c", [3, 4, 5], [0.33, 0.44, 0.55], n_test=100)
    tuning = arm("t", [4], [0.9]).assign(stage="tune")
    contrast = only(pd.concat([treated, control, tuning]))
    assert (contrast.task, contrast.pair, contrast.metric.name) == ("", PAIR, "test_accuracy")
    assert contrast.treated.tolist() == [0.3, 0.5]
    assert contrast.control.tolist() == [0.33, 0.55]
    assert (contrast.paired, contrast.n, contrast.censored) == (True, 2, (0, 0))
    assert contrast.note == "2 trials left out: the other arm lacks the seed"
    assert [s.tolist() for s in contrast.steps] == [[0.01, 0.01]] * 2
    assert contrast.least_variance == pytest.approx(2 * 0.01**2 / 12)
    assert math.isnan(contrast.target)
    assert math.isnan(contrast.budget)
    assert contrast.overlap == 0
    assert [s.tolist() for s in contrast.scores] == [[0.3, 0.5], [0.33, 0.55]]
    assert not contrast.nobody_reached


@pytest.mark.parametrize(
    ("seeds", "paired", "n", "note"),
    [
        ([0, 1, 2, 3], True, 4, ""),
        ([3, 4, 5, 6], False, 4, "seeds do not pair: arms are compared as independent (Welch)"),
        ([2, 3, 4, 5], True, 2, "4 trials left out: the other arm lacks the seed"),
        ([0], False, 1, "seeds do not pair: arms are compared as independent (Welch)"),
        ([0, 1, 9], True, 2, "3 trials left out: the other arm lacks the seed"),
    ],
)
def test_half_of_the_seeds_must_be_common(
    seeds: list[int], paired: bool, n: int, note: str
) -> None:
    trials = pd.concat([arm("t", [0, 1, 2, 3], [1, 2, 3, 4]), arm("c", seeds, seeds)])
    contrast = only(trials)
    assert (contrast.paired, contrast.n, contrast.note) == (paired, n, note)
    assert len(contrast.control) == (n if paired else len(seeds))


def test_a_missing_value_takes_its_pair_along_but_not_an_unpaired_trial() -> None:
    treated = arm("t", [0, 1, 2], [0.1, math.nan, 0.3])
    contrast = only(pd.concat([treated, arm("c", [0, 1, 2], [math.nan, 0.5, 0.6])]))
    assert (contrast.treated.tolist(), contrast.control.tolist()) == ([0.3], [0.6])
    missing = "no value (failed, diverged or not tested): 1 trial of t"
    assert contrast.note == f"{missing} and 1 trial of c"
    apart = only(pd.concat([treated, arm("c", [7, 8, 9], [0.4, 0.5, 0.6])]))
    assert (apart.treated.tolist(), apart.control.tolist()) == ([0.1, 0.3], [0.4, 0.5, 0.6])
    assert apart.note.endswith(missing)
    none = only(pd.concat([arm("t", [0], [math.nan]), arm("c", [0], [1.0])]))
    assert (none.n, none.least_variance) == (0, 0.0)


def test_less_loss_scores_more() -> None:
    trials = pd.concat([arm("t", [0], [0]), arm("c", [0], [0])]).assign(test_loss=[0.5, 0.75])
    contrast = only(trials, metrics=("test_loss",))
    assert [s.tolist() for s in contrast.scores] == [[-0.5], [-0.75]]
    assert [s.tolist() for s in contrast.steps] == [[0.0], [0.0]]


@pytest.mark.parametrize("n_test", [math.nan, 0.0])
def test_a_test_set_of_unknown_size_has_no_grain(n_test: float) -> None:
    trials = pd.concat([arm("t", [0, 1], [0.5, 0.7]), arm("c", [0, 1], [0.4, 0.5])])
    contrast = only(trials.assign(n_test=n_test))
    assert contrast.steps[0].tolist() == [0, 0]
    assert contrast.least_variance == 0


def test_equal_differences_of_unknown_grain_are_one_step() -> None:
    control = arm("c", [0, 1], [0.4, 0.6])
    equal = only(pd.concat([arm("t", [0, 1], [0.5, 0.7]), control]))
    assert equal.least_variance == pytest.approx(2 * 0.1**2 / 12)
    one = only(pd.concat([arm("t", [0], [0.5]), arm("c", [0], [0.4])]))
    assert one.least_variance == 0
    apart = only(pd.concat([arm("t", [7, 8], [0.5, 0.7]), control]))
    assert (apart.paired, apart.least_variance) == (False, 0)
    sized = only(pd.concat([arm("t", [0, 1], [0.5, 0.7]), control]).assign(n_test=10))
    assert sized.least_variance == pytest.approx(2 * 0.1**2 / 12)


def test_times_stand_at_the_common_budget() -> None:
    """The treatment ran to 400 steps and the control to 300: whoever needs more is censored."""
    treated, control = arm("t", [0, 1, 2], [0] * 3), arm("c", [0, 1, 2], [0] * 3)
    curves = pd.concat(
        [
            curves_of(treated, {"t0": 100, "t1": 400, "t2": 300}, [100, 200, 300, 400]),
            curves_of(control, {"c0": 200, "c1": 300, "c2": math.inf}, [50, 200, 300]),
        ]
    )
    contrast = only(pd.concat([treated, control]), curves, metrics=STEPS, targets=(0.9,))
    assert (contrast.target, contrast.budget) == (0.9, 300)
    assert contrast.treated.tolist() == [100, 300, 300]
    assert contrast.control.tolist() == [200, 300, 300]
    assert contrast.censored == (1, 1)
    assert [s.tolist() for s in contrast.steps] == [[100, 100, 100], [150, 100, 100]]
    shares = np.array([[1, 1 / 3, 1 / 3], [3 / 4, 1 / 3, 1 / 3]])
    assert contrast.least_variance == pytest.approx((shares**2).mean(axis=1).sum() / 12)
    assert contrast.scores[0].tolist() == pytest.approx(-np.log([100, 300, 300]))
    assert contrast.scores[1].tolist() == pytest.approx(-np.log([200, 300, 300]))
    assert (contrast.note, contrast.nobody_reached) == ("", False)
    both = build_contrasts(
        pd.concat([treated, control]), curves, [PAIR], (0.9, 0.99), (*STEPS, "samples_to_target")
    )
    assert [(c.metric.source, c.target) for c in both] == [
        ("step", 0.9), ("step", 0.99), ("samples", 0.9), ("samples", 0.99),
    ]  # fmt: skip
    assert [c.nobody_reached for c in both] == [False, True, False, True]
    assert both[2].treated.tolist() == [1000, 3000, 3000]
    assert both[1].censored == (3, 3)


def test_times_of_zero_stand_at_the_trials_own_next_evaluation() -> None:
    trials = pd.concat([arm("t", [0, 1], [0, 0]), arm("c", [0, 1], [0, 0])])
    reaching = {"t0": 0, "t1": 150, "c0": 100, "c1": 200}
    curves = curves_of(trials, reaching, [0, 50, 100, 150, 200])
    contrast = only(trials, curves, metrics=STEPS, targets=(0.9,))
    assert contrast.treated.tolist() == [50, 150]
    assert contrast.note == "1 trial there before the first step"
    assert contrast.steps[0].tolist() == [50, 50]  # all of its time is doubt
    assert (contrast.at_once, contrast.opens) == ((1, 0), (True, False))
    at_once = curves_of(trials, dict.fromkeys(reaching, 0), [0, 50])
    zero = only(trials, at_once, metrics=STEPS, targets=(0.9,))
    assert [zero.treated.tolist(), zero.control.tolist()] == [[50, 50], [50, 50]]
    assert (zero.at_once, zero.opens) == ((2, 2), (False, False))
    nothing_else = only(
        trials, curves_of(trials, dict.fromkeys(reaching, 0), [0]), metrics=STEPS, targets=(0.9,)
    )
    assert nothing_else.treated.tolist() == [1, 1]
    assert zero.note.startswith("4 trials there")


def test_seconds_need_one_way_of_running() -> None:
    trials = pd.concat([arm("t", [0, 1], [0, 0]), arm("c", [0, 1], [0, 0])])
    other = arm("x", [0, 1], [0, 0], device="tpu")
    curves = curves_of(
        pd.concat([trials, other]), dict.fromkeys(["t0", "t1", "c0", "c1", "x0", "x1"], 50), [50]
    )
    metrics = ("train_time_s_to_target", "steps_to_target")
    message = "seconds are not compared: trials differ in device"
    for devices, n, note in ((["a"] * 4, 2, ""), (["a", "a", "a", "b"], 0, message)):
        table = pd.concat([trials.assign(device=devices), other])
        seconds, steps = build_contrasts(table, curves, [PAIR], (0.9,), metrics)
        assert (seconds.n, seconds.note, steps.n) == (n, note, 2)
    on_gpus = trials.assign(device="gpu", gpu_share=[1, 1, 0.5, 1], driver=["1", "1", None, "1"])
    shared = build_contrasts(on_gpus, curves, [PAIR], (0.9,), metrics)[0]
    assert (shared.n, shared.note) == (0, message.replace("device", "gpu_share and driver"))
    on_cpus = trials.assign(gpu_share=[None, math.nan, None, None], driver=[None] * 4)
    assert build_contrasts(on_cpus, curves, [PAIR], (0.9,), metrics)[0].n == 2
    unknown = build_contrasts(trials, curves, [PAIR], (0.9,), metrics)[0]
    assert (unknown.n, unknown.treated.tolist()) == (2, [5.0, 5.0])


def test_metrics_without_targets_or_column_have_no_contrast() -> None:
    trials = pd.concat([arm("t", [0], [1]), arm("c", [0], [1])])
    metrics = (*STEPS, "test_loss", "test_accuracy")
    names = [c.metric.name for c in build_contrasts(trials, NO_CURVES, [PAIR], (), metrics)]
    assert names == ["test_accuracy"]


def test_area_under_the_curve_by_hand() -> None:
    trials = pd.concat([arm("t", [0], [1]), arm("c", [0], [1])])
    curves = curves_of(trials, {"t0": 100, "c0": 200}, [100, 200])
    contrast = only(trials, curves, metrics=("area_under_curve",))
    assert contrast.treated.tolist() == pytest.approx([0.95])
    assert contrast.control.tolist() == pytest.approx([0.725])
    assert contrast.steps[0].tolist() == [0]


def test_each_task_by_itself_and_only_those_with_both_arms() -> None:
    def task(name: str, *arms: str) -> pd.DataFrame:
        parts = [arm(a, [0], [len(name)]) for a in arms]
        part = pd.concat(parts).assign(task=name)
        return part.assign(trial_id=name + part["trial_id"])

    trials = pd.concat([task("small", "t", "c"), task("mid", "t"), task("big", "c", "t", "u")])
    reaching = {i: 50.0 if i.startswith("big") else 100.0 for i in trials["trial_id"]}
    curves = curves_of(trials, reaching, [50, 100]).query("trial_id != 'smallc0'")
    pairs = [PAIR, Pair("u", "c")]
    contrasts = build_contrasts(trials, curves, pairs, (0.9,), ("test_accuracy", *STEPS))
    assert [(c.task, c.pair, c.metric.name) for c in contrasts] == [
        ("big", PAIR, "test_accuracy"),
        ("big", PAIR, "steps_to_target"),
        ("big", Pair("u", "c"), "test_accuracy"),
        ("big", Pair("u", "c"), "steps_to_target"),
        ("small", PAIR, "test_accuracy"),
        ("small", PAIR, "steps_to_target"),
    ]
    assert contrasts[1].treated.tolist() == [50]
    assert contrasts[4].treated.tolist() == [5]
    alone = build_contrasts(task("one", "t", "c"), NO_CURVES, [PAIR], (), ("test_accuracy",))
    assert [c.task for c in alone] == ["one"]
    two = pd.concat([task("b", "t", "c"), task("aa", "t", "c")])
    of_two = build_contrasts(two, NO_CURVES, [PAIR], (), ("test_accuracy",))
    assert [(c.task, c.treated.tolist()) for c in of_two] == [("aa", [2]), ("b", [1])]


def test_an_untrained_arm_has_no_course() -> None:
    trials = pd.concat([arm("t", [0, 1], [1, 1]), arm("c", [0, 1], [1, 1])])
    trials = trials.assign(steps=[0, 0, 0, 9])
    curves = curves_of(trials, dict.fromkeys(trials["trial_id"], 50), [50, 100])
    metrics = ("test_accuracy", "area_under_curve", *STEPS)
    assert untrained(trials) == {"t"}
    names = [c.metric.name for c in build_contrasts(trials, curves, [PAIR], (0.9,), metrics)]
    assert names == ["test_accuracy"]
    broken = trials.assign(status=["failed", "failed", "done", "done"])
    assert untrained(broken) == set()
    assert untrained(trials.drop(columns="status")) == {"t"}
    assert untrained(trials.drop(columns="steps")) == set()
    fitted = trials.assign(steps=1, probe_l2=[0.1 if arm == "c" else None for arm in trials["arm"]])
    assert untrained(fitted) == {"c"}, "a head that was fitted counts one step, and has no way"
    trained = build_contrasts(trials.assign(steps=9), curves, [PAIR], (0.9,), metrics)
    assert len(trained) == 3


def test_the_overlap_of_a_redrawn_pool_is_the_largest_of_the_two_arms() -> None:
    trials = pd.concat([arm("t", [0], [1]), arm("c", [0], [1]), arm("u", [0], [1])])
    assert only(trials.assign(overlap=[0.25, 0.5, 0.75])).overlap == 0.5


def test_sizes_and_reach_of_a_contrast() -> None:
    three, two = np.array([1.0, 2.0, 4.0]), np.array([2.0, 3.0])
    time, score = metric_of("steps_to_target"), metric_of("test_accuracy")
    steps = np.ones(3), np.ones(2)
    for metric, censored, nobody in (
        (time, (3, 2), True), (time, (3, 1), False), (time, (2, 2), False), (score, (3, 2), False),
    ):  # fmt: skip
        contrast = Contrast("", PAIR, metric, 0.9, three, two, False, steps, censored)
        assert (contrast.n, contrast.nobody_reached) == (2, nobody)
    assert (contrast.note, contrast.overlap) == ("", 0)
    plain = Contrast("", PAIR, time, 0.9, three, two, False, steps)
    assert plain.censored == (0, 0)
    expected = np.mean([1, 1 / 4, 1 / 16]) + np.mean([1 / 4, 1 / 9])
    assert plain.least_variance == pytest.approx(expected / 12)


def test_what_is_refused() -> None:
    trials = pd.concat([arm("t", [0], [1]), arm("control", [0], [1])])
    with pytest.raises(InputError, match=r"'controll' is not one of control, t \(did you mean"):
        build_contrasts(trials, NO_CURVES, [Pair("t", "controll")], ())
    with pytest.raises(InputError, match="arm 't' is compared with itself"):
        build_contrasts(trials, NO_CURVES, [Pair("t", "t")], ())
    with pytest.raises(InputError, match="'speed' is not one of test_accuracy"):
        build_contrasts(trials, NO_CURVES, [Pair("t", "control")], (), ("speed",))
    twice = pd.concat([arm("t", [0, 4, 4], [1] * 3), arm("c", [0], [1])])
    with pytest.raises(InputError, match="arm 't' has seed 4 twice; compare one sweep"):
        build_contrasts(twice, NO_CURVES, [PAIR], ())
    with pytest.raises(InputError, match="arm 't' of big has seed 4 twice"):
        build_contrasts(twice.assign(task="big"), NO_CURVES, [PAIR], ())
    unused = pd.concat([arm("t", [0], [1]), arm("c", [0], [1]), arm("u", [4, 4], [1, 1])])
    assert only(unused).n == 1  # arms that nobody compares may have what they like


def test_a_mean_over_training_is_as_fine_as_validation_images_allow() -> None:
    """20 images at 4 evaluations: a step of 1 / (20 · √4); so equal areas have an interval."""
    trials = pd.DataFrame(
        {"trial_id": list("abcdef"), "arm": ["t"] * 3 + ["c"] * 3, "seed": [0, 1, 2] * 2,
         "status": "done", "n_validation": 20}
    )  # fmt: skip
    curves = pd.DataFrame(
        [{"trial_id": t, "step": s, "val_accuracy": 1.0} for t in "abcdef" for s in (1, 2, 3, 4)]
    )
    (area,) = build_contrasts(trials, curves, [Pair("t", "c")], (), ("area_under_curve",))
    assert area.steps[0] == pytest.approx([1 / 40] * 3)
    assert area.least_variance == pytest.approx(2 / 40**2 / 12)


@pytest.mark.parametrize(
    ("metric", "values", "low", "high"),
    [
        ("test_accuracy", [1.0, 0.0, 1.0], -1.0, 1.0),
        ("accuracy_gap", [0.0, 1.0, 0.9], -1.0, 1.0),
        ("test_quadratic_kappa", [-1.0, 1.0, 1.0], -2.0, 2.0),
        ("test_mae", [5.0, 0.0, 3.0], None, None),
    ],
)
def test_no_end_of_a_difference_is_beyond_what_is_possible(metric, values, low, high) -> None:
    treated = arm("t", [1, 2, 3], 0).assign(**{metric: values})
    control = arm("c", [1, 2, 3], 0).assign(**{metric: [0.0, 0.1, -0.9]})
    contrast = only(pd.concat([treated, control]), metrics=(metric,))
    differences = contrast.treated - contrast.control
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) / math.sqrt(3)
    sign = 1 if contrast.metric.higher_is_better else -1
    ends = shown_ends(contrast, "", *(sign * differences.mean() + d for d in (-half, half)))
    plain = (differences.mean() - half, differences.mean() + half)
    assert ends == pytest.approx(
        (plain[0] if low is None else low, plain[1] if high is None else high)
    )
