"""Rows before a trial runs: who it is, what failed, and names that a plan changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.rows import failed_row, planned_row, relabelled
from headstart.rows import TrialRow


def test_a_planned_row_says_who_the_trial_is_and_nothing_measured(write_sweep):
    text = ("pretrained: {initialize: drawn}", "pretrained: {initialize: drawn, fine_tune: last_2}")
    plan = make_plan(load_sweep(write_sweep(text)), DataCatalogue())
    spec = next(t for t in plan.trials if t.arm == "pretrained")
    spec = replace(spec, data=replace(spec.data, notes=("a note",), warnings=("a warning",)))
    row = planned_row(spec, "small")
    assert row == TrialRow(
        trial_id=spec.id, sweep="small", stage="arm", arm="pretrained", seed=0, model="lenet5",
        dataset="glyphs", dataset_fingerprint=spec.data.fingerprint, initialize="drawn",
        parent_id=spec.parent or "", fine_tune="last_2", n_classes=10, learning_rate=1e-3,
        batch_size=32, epochs=3, host=row.host, finished_at=row.finished_at,
        class_names=tuple("0123456789"), notes=("a note",), warnings=("a warning",),
    )  # fmt: skip
    assert row.host
    age = datetime.now(UTC) - datetime.fromisoformat(row.finished_at)
    assert 0 <= age.total_seconds() < 60


def test_a_failed_row_has_the_reason_and_one_file(write_sweep):
    spec = make_plan(load_sweep(write_sweep()), DataCatalogue()).trials[0]
    row = failed_row(spec, "small", "\nValueError: no\n")
    assert (row.status, row.error, row.files) == ("failed", "ValueError: no", ("trial.json",))
    assert row.steps is None


def test_a_row_of_an_earlier_plan_gets_todays_names_and_keeps_how_it_ran(write_sweep):
    spec = make_plan(load_sweep(write_sweep()), DataCatalogue()).trials[0]
    ran = replace(
        planned_row(spec, "earlier"), host="node7", finished_at="then", stand_in_for="mnist",
        epochs=99, arm="old", seed=7, status="done", test_accuracy=0.5, notes=("a note",),
    )  # fmt: skip
    row = relabelled(ran, spec, "small")
    assert (row.sweep, row.arm, row.seed) == ("small", spec.arm, spec.seed)
    assert (row.host, row.finished_at) == ("node7", "then")
    assert (row.stand_in_for, row.epochs) == ("mnist", 99)
    assert (row.status, row.test_accuracy, row.notes) == ("done", 0.5, ("a note",))


def test_layers_that_a_mapping_names_are_json_in_the_column(write_sweep):
    text = ("scratch: {}", "scratch: {}\n  some: {fine_tune: {unfreeze: [fc3]}}")
    plan = make_plan(load_sweep(write_sweep(text)), DataCatalogue())
    spec = next(t for t in plan.trials if t.arm == "some")
    assert planned_row(spec, "small").fine_tune == '{"unfreeze": ["fc3"]}'
