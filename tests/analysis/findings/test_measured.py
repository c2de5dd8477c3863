"""Which metric a report is about, and which trials have it."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from analysis.findings.measured import course_of, final_of, lacking_trials
from analysis.statistics.times.course import ACCURACY, COURSES
from headstart.errors import InputError
from headstart.settings import Measure

F1 = COURSES["macro_f1"]


def asked(**metrics: str):
    return [SimpleNamespace(name=name, metric=metric) for name, metric in metrics.items()]


def test_sweeps_of_one_report_measure_one_metric() -> None:
    assert course_of([]) is ACCURACY
    assert course_of(asked(a="macro_f1", b="macro_f1")) is F1
    with pytest.raises(InputError, match=r"“a” accuracy and “b” loss\): report them one by one"):
        course_of(asked(a="accuracy", b="loss"))


def test_trials_of_a_version_before_lack_it_and_are_named() -> None:
    trials = pd.DataFrame(
        {"trial_id": ["new", "old", "broken"], "status": ["done", "done", "failed"]}
    )
    curves = pd.DataFrame({"trial_id": ["new", "new", "old"], "val_macro_f1": [0.1, None, None]})
    assert lacking_trials(F1, trials, curves) == {"old"}
    assert lacking_trials(ACCURACY, trials, curves) == set()
    assert lacking_trials(F1, trials[2:], curves) == set(), "a broken trial has no record anyhow"
    for before in (curves[curves["trial_id"] == "old"], curves[["trial_id"]]):
        with pytest.raises(InputError, match="none of 2 finished trials recorded it: a version"):
            lacking_trials(F1, trials, before)


def test_the_final_value_is_of_test_images_where_there_are_any() -> None:
    evidence = pd.DataFrame({"test_macro_f1": [0.5, None], "best_val_macro_f1": [0.6, 0.7]})
    assert final_of(F1, evidence) == "test_macro_f1"
    assert final_of(F1, evidence[1:]) == "best_val_macro_f1"
    assert final_of(F1, evidence[["best_val_macro_f1"]]) == "best_val_macro_f1"


def test_targets_are_of_the_metric() -> None:
    assert Measure().targets == (0.9, 0.95)
    assert Measure(metric="loss").targets == ()
    assert Measure.model_validate({"metric": "loss", "targets": [2.0, 0.5]}).targets == (2.0, 0.5)
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        with pytest.raises(ValueError, match="less than or equal to 1 each"):
            Measure.model_validate({"metric": metric, "targets": [0.5, 1.5]})


def test_an_error_has_the_unit_of_the_numbers_where_all_data_have_one() -> None:
    def of(metric: str, *data: object, **sweep: object) -> str:
        arms = {str(k): {"data": each} for k, each in enumerate(data)}
        return course_of([SimpleNamespace(name="a", metric=metric, sweep={"arms": arms, **sweep})]
                         ).of_unit  # fmt: skip

    years = {"name": "csv", "target": {"kind": "number", "unit": "years"}}
    assert of("mae", data=years) == of("rmse", years, [years]) == " (years)"
    assert of("r2", data=years) == of("mae", years, {"name": "csv", "target": None}) == ""
    for ordered in ("ordered", {"kind": "ordered"}):
        assert of("mae", data={"name": "csv", "target": ordered}) == " (places)"
    assert of("mae") == ""
