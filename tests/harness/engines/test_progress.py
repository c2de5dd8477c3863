from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from harness.engines.progress import EXPLAINED, ProgressView
from harness.plan import dry_run
from harness.plan.dry_run import describe_plan
from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.events import Ended, Failed, GivenBack, NotDeterministic, Progress, Started
from harness.trials.time_left import duration_text, planned_steps
from headstart.rows import EvaluationRow, TrialRow


def at(trial_id: str, step: int, n_steps: int = 10) -> Progress:
    return Progress(trial_id, n_steps, 1234.0, EvaluationRow(step=step, val_accuracy=0.25))


def test_a_log_gets_plain_lines_with_counts_speed_and_time_left(write_sweep):
    plan = make_plan(load_sweep(write_sweep()), DataCatalogue())
    stream, clock = io.StringIO(), [0.0]
    ids = [trial.id for trial in plan.trials]
    with ProgressView(plan, {}, stream, now=lambda: clock[0]) as view:
        for trial_id in ids[:2]:
            view.take(Started(trial_id))
        clock[0] = 10.0
        for trial_id in ids[:2]:
            view.take(at(trial_id, 0))
        clock[0] = 20.0
        for trial_id in ids[:2]:
            view.take(at(trial_id, 5))
        view.take(Ended(ids[0], TrialRow(status="done", test_accuracy=0.5)))
        view.tick()
        view.take(Failed(ids[1], "Traceback\nValueError: no", retry=False))
        view.tick()  # too soon for another line
    lines = stream.getvalue().splitlines()
    # Each trial is set up for 10 s, and 5 steps took 10 s: the one that runs needs 10 s more, the
    # four that wait 10 s and 60 s (30 steps of 2 s); two run at once.
    n_steps = {planned_steps(trial) for trial in plan.trials if trial.arm != "drawn"}
    assert n_steps == {30}
    left = (10 + 4 * (10 + 30 * 2)) / 2
    assert lines[0] == (
        f"[20 s] 1/6 trials done, 1 running, 1,234 images/s, about {duration_text(left)} left"
    )
    assert lines[1] == "drawn seed 1 failed: ValueError: no"
    assert lines[2].startswith("[20 s] 1/6 trials done, 0 running, 1 failed")
    assert len(lines) == 3


def test_a_trial_that_a_worker_gives_back_runs_no_more(write_sweep):
    plan = make_plan(load_sweep(write_sweep()), DataCatalogue())
    view = ProgressView(plan, {}, io.StringIO())
    view.take(Started(plan.trials[0].id))
    assert "1 running" in view.line()
    view.take(GivenBack(plan.trials[0].id))
    assert "0 running" in view.line()


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_an_arm_without_deterministic_kernels_is_said_once_in_a_command(write_sweep, stream):
    """By the first trial that begins, or by the row of one that went on; in a terminal too."""
    plan = make_plan(load_sweep(write_sweep()), DataCatalogue())
    ids = {arm: [t.id for t in trials] for (_, arm), trials in plan.by_arm.items()}
    shown, remarks = stream(), set()
    for _ in range(2):  # a search and the sweep after it have views of their own
        with ProgressView(plan, {}, shown, remarks=remarks) as view:
            for trial_id in ids["scratch"]:
                view.take(NotDeterministic(trial_id, ("first_cuda", "second_cuda")))
            row = TrialRow(deterministic=False, nondeterministic_operation="third_cuda")
            for trial_id in [*ids["drawn"], *ids["scratch"]]:
                view.take(Ended(trial_id, row))
            for trial_id in ids["pretrained"]:
                view.take(Ended(trial_id, TrialRow(deterministic=True)))
                view.take(Ended(trial_id, TrialRow()))  # of a version before it
    rest = (
        "no deterministic kernel on this GPU: its trials run without the promise of the same bits"
    )
    plain = re.sub(r"\x1b\[\S*?[A-Za-z]", "", shown.getvalue())
    lines = [line for line in plain.splitlines() if "deterministic" in line]
    assert lines == [
        f"arm scratch: first_cuda, second_cuda have {rest}",
        f"stage drawn: third_cuda has {rest}",
    ]


def test_the_live_view_says_what_its_numbers_are_of_and_fits_80_columns(write_sweep):
    plan = make_plan(load_sweep(write_sweep()), DataCatalogue())
    view = ProgressView(plan, {}, io.StringIO())
    ids = {arm: [t.id for t in trials] for (_, arm), trials in plan.by_arm.items()}
    for share, trial_id in zip((0.25, 0.75), ids["scratch"], strict=True):
        view.take(Started(trial_id))
        evaluation = EvaluationRow(step=round(100 * share), val_accuracy=0.9 + share / 100)
        view.take(Progress(trial_id, 100, 50.0, evaluation))
    for accuracy, trial_id in zip((0.97, 0.98), ids["pretrained"], strict=True):
        view.take(Ended(trial_id, TrialRow(status="done", test_accuracy=accuracy)))
    console = Console(file=io.StringIO(), width=80)
    console.print(view._table())
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    heading = " ".join(" ".join(lines[2:4]).split())
    assert heading == (
        "test trained validation arm done running waiting failed accuracy so far accuracy"
    )
    rows = {line.split("  ")[0].strip(): line.split()[1:] for line in lines[5:8]}
    assert rows["scratch"] == ["0", "2", "0", "0", "50", "%", "90.50", "%"]
    assert rows["pretrained"] == ["2", "0", "0", "0", "97.50", "%"]
    assert " ".join(" ".join(lines[8:]).split()) == EXPLAINED


def test_a_dry_run_counts_and_says_what_it_does_not_know(write_sweep, tmp_path):
    plan = make_plan(load_sweep(write_sweep()), DataCatalogue())
    lines = list(describe_plan(plan, tmp_path / "runs" / "small"))
    assert lines[0] == "small: Does pretraining on drawn digits help on other drawn digits?"
    totals = [line.split() for line in lines if line.startswith("all ")]
    assert totals == [["all", "6", "0", "0", "6"]]
    assert "decided where the trials run; this machine trains on" in lines[-4]
    assert lines[-3].startswith("Weights: about 1.49 MB on disk when all have ended (those of")
    assert lines[-2].startswith("Needs about: on disk ")
    assert "not known before a first trial" in lines[-1]


@pytest.mark.parametrize(
    ("split", "n_train"),
    [
        ("train: 300, validation: 100, test: 100", 300),
        ("per_class: true, train: 30, validation: 5, test: 5", 300),
        ("split: {train: 0.5, validation: 0.2, test: 0.3}", 300),
    ],
)
def test_a_dry_run_estimates_by_the_images_that_a_trial_trains_on(
    write_sweep, tmp_path, monkeypatch, split, n_train
):
    path = write_sweep(("train: 300, validation: 100, test: 100", split))
    plan = make_plan(load_sweep(path), DataCatalogue())
    seen = TrialRow(trial_id="0", arm="scratch", model="lenet5", dataset="glyphs", epochs=3)
    costs = [dry_run.Cost(seen, n_images=3000, seconds=600.0, n_bytes=2_000_000)]
    monkeypatch.setattr(dry_run, "_known_costs", lambda out: costs)
    monkeypatch.setattr(dry_run, "available_cpus", lambda: 2)
    *_, estimate = describe_plan(plan, tmp_path / "run")
    seconds = (4 * 3 * n_train + 2 * 2 * 200) * 600 / 3000 / 2
    assert f"About {duration_text(seconds)} for 6 trials, 2 at once" in estimate
    assert "and 12 MB of disk, going by 1 finished trial." in estimate


class CountedCosts(list):
    """Costs of finished trials that count how often they are gone through."""

    n_looks = 0

    def __iter__(self):
        self.n_looks += 1
        return super().__iter__()


def test_an_estimate_goes_through_what_is_known_once_for_all_trials_that_are_alike(
    write_sweep, tmp_path, monkeypatch
):
    looks = []
    for n_seeds in (2, 20):
        plan = make_plan(
            load_sweep(write_sweep(("seeds: 2", f"seeds: {n_seeds}"))), DataCatalogue()
        )
        seen = [
            TrialRow(trial_id=trial_id, arm="scratch", model="lenet5", dataset="glyphs", epochs=3)
            for trial_id in ("0", plan.trials[-1].id)
        ]
        costs = CountedCosts(dry_run.Cost(row, 3000, 600.0, 2_000_000) for row in seen)
        monkeypatch.setattr(dry_run, "_known_costs", lambda out, costs=costs: costs)
        *_, estimate = describe_plan(plan, tmp_path / "run")
        assert "going by 2 finished trials." in estimate
        looks.append(costs.n_looks)
    assert looks[0] == looks[1]


def test_showing_takes_a_small_share_of_the_time_however_many_trials(write_sweep):
    plan = make_plan(load_sweep(write_sweep()), DataCatalogue())
    clock, shown = [100.0], []
    view = ProgressView(plan, {}, io.StringIO(), now=lambda: clock[0])
    view.started_at = 0.0

    def say_slowly(line: str) -> None:
        shown.append(clock[0])
        clock[0] += 4.0

    view._say = say_slowly
    view._estimate = lambda: None
    for clock[0] in (100.0, 150.0, 179.0, 181.0):
        view.tick()
    assert shown == [100.0, 181.0]  # 4 s of 80


def test_the_last_line_is_not_said_twice(write_sweep):
    plan = make_plan(load_sweep(write_sweep()), DataCatalogue())
    stream, clock = io.StringIO(), [0.0]
    with ProgressView(plan, {}, stream, now=lambda: clock[0]) as view:
        clock[0] = 20.0
        view.tick()
    assert stream.getvalue().splitlines() == ["[20 s] 0/6 trials done, 0 running"]
