"""The table of metrics, written out, and the message for a name that is none."""

from __future__ import annotations

import pytest

from analysis.statistics.pairs.metrics import DEFAULT_METRICS, METRICS, metric_of
from analysis.statistics.times.course import COURSES
from headstart.errors import InputError

# name: source, unit, higher is better, is a time, has a margin, granule, is about the course
TABLE = {
    "test_accuracy": ("test_accuracy", "fraction", True, False, True, "n_test", False),
    "test_balanced_accuracy": (
        "test_balanced_accuracy", "fraction", True, False, True, "n_test", False,
    ),
    "test_macro_f1": ("test_macro_f1", "fraction", True, False, True, "n_test", False),
    **{
        name: (name, "fraction", True, False, True, "n_validation", False)
        for name in ("best_val_accuracy", "best_val_balanced_accuracy", "best_val_macro_f1")
    },
    "final_val_accuracy": (
        "final_val_accuracy", "fraction", True, False, True, "n_validation", False,
    ),
    "area_under_curve": ("area", "fraction", True, False, False, "", True),
    "test_loss": ("test_loss", "nats", False, False, False, "", False),
    "best_val_loss": ("best_val_loss", "nats", False, False, False, "", False),
    "steps_to_target": ("step", "steps", False, True, False, "", True),
    "samples_to_target": ("samples", "samples", False, True, False, "", True),
    "train_time_s_to_target": ("train_time_s", "s", False, True, False, "", True),
    **{
        f"{end}_{name}": (f"{end}_{name}", unit, higher, False, unit == "fraction", grain, False)
        for name, unit, higher in (
            ("mean_average_precision", "fraction", True), ("micro_f1", "fraction", True),
            ("exact_match", "fraction", True), ("quadratic_kappa", "kappa", True),
            ("mae", "the target's unit", False), ("rmse", "the target's unit", False),
            ("r2", "R²", True),
        )
        for end, part in (("test", "n_test"), ("best_val", "n_validation"))
        for grain in (part if name == "exact_match" else "",)
    },
    "spread_over_seeds": ("final_value", "log ratio", False, False, False, "", False),
    "noise_within_a_run": ("late_noise", "fraction", False, False, False, "", False),
    "broken_runs": ("broken", "fraction", False, False, False, "", False),
    **{
        name: (name, "fraction" if granule else "nats", False, False, True, granule, False)
        for name, granule in (
            ("accuracy_gap", "n_validation"), ("loss_gap", ""),
            ("end_accuracy_gap", "n_validation"), ("loss_rise", ""),
        )
    },
    **{
        f"{images}_{name}": (f"{images}_{name}", unit, higher, False, True, granule, False)
        for images in ("outside", "corrupted")
        for name, unit, higher, granule in (
            ("accuracy", "fraction", True, "n_outside"),
            ("balanced_accuracy", "fraction", True, "n_outside"),
            ("macro_f1", "fraction", True, "n_outside"), ("loss", "nats", False, ""),
        )
    },
    **{
        f"{images}_{name}": (f"{images}_{name}", unit, higher, False, True, granule, False)
        for images in ("outside", "corrupted")
        for name, unit, higher, granule in (
            ("mean_average_precision", "fraction", True, ""), ("micro_f1", "fraction", True, ""),
            ("exact_match", "fraction", True, "n_outside"),
            ("quadratic_kappa", "kappa", True, ""), ("mae", "the target's unit", False, ""),
            ("rmse", "the target's unit", False, ""), ("r2", "R²", True, ""),
        )
    },
}  # fmt: skip


def test_each_metric_is_as_written() -> None:
    assert list(METRICS) == list(TABLE)
    for name, metric in METRICS.items():
        assert metric.name == name
        assert TABLE[name] == (
            metric.source, metric.unit, metric.higher_is_better, metric.is_time,
            metric.has_margin, metric.granule, metric.is_course,
        )  # fmt: skip
        assert metric_of(name) is metric


def test_a_margin_is_of_what_is_measured_alone() -> None:
    shares = {m.name for m in METRICS.values() if m.along(COURSES["macro_f1"]).has_margin}
    assert shares == {m.name for m in METRICS.values() if m.has_margin and m.unit == "fraction"}
    losses = {m.name for m in METRICS.values() if m.along(COURSES["loss"]).has_margin}
    assert losses == {"test_loss", "best_val_loss", "loss_gap", "loss_rise", "outside_loss",
                      "corrupted_loss"}  # fmt: skip
    area = METRICS["area_under_curve"]
    assert area.along(COURSES["accuracy"]) == area
    of_loss = area.along(COURSES["loss"])
    assert (of_loss.unit, of_loss.higher_is_better) == ("nats", False)


def test_of_a_target_only_what_is_measured_has_a_margin() -> None:
    errors = {m.name for m in METRICS.values() if m.along(COURSES["mae"]).has_margin}
    further = {f"{w}_{m}" for w in ("outside", "corrupted") for m in ("mae", "rmse")}
    assert errors == {"test_mae", "best_val_mae"} | further
    area = METRICS["area_under_curve"].along(COURSES["mae"])
    assert (area.unit, area.higher_is_better) == ("the target's unit", False)


def test_defaults_are_accuracy_area_and_steps() -> None:
    assert DEFAULT_METRICS == ("test_accuracy", "area_under_curve", "steps_to_target")


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'test_los' is not one of .* \(did you mean 'test_loss'"):
        metric_of("test_los")
