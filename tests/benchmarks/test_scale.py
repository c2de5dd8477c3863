"""The simulated allocation hands out every trial, whatever dies, and counts no GPU twice."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import scale


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return scale.plan_trials(240, 1, tmp_path_factory.mktemp("plan"))[0]


@pytest.mark.parametrize(("crash_rate", "death_every"), [(0.0, 0.0), (0.1, 60.0)])
def test_all_trials_end_and_no_gpu_works_twice_at_once(plan, crash_rate, death_every):
    rng = np.random.default_rng(1)
    simulation = scale.Simulation(plan, 2, 4, rng, crash_rate, death_every)
    outcome = simulation.run()
    assert (outcome.n_done, outcome.n_failed) == (len(plan.trials), 0)
    assert outcome.busy_s + outcome.lost_s <= 8 * outcome.makespan_s
    assert (outcome.lost_s > 0) == (crash_rate > 0)
    assert not simulation.running


def test_a_trial_that_always_crashes_is_given_up(plan):
    simulation = scale.Simulation(plan, 1, 2, np.random.default_rng(1), crash_rate=1.0)
    outcome = simulation.run()
    assert outcome.n_done == 0
    assert outcome.n_failed == len(plan.trials)


def test_packs_end_too(tmp_path):
    plan, _ = scale.plan_trials(40, 4, tmp_path)
    outcome = scale.Simulation(plan, 1, 2, np.random.default_rng(1)).run()
    assert outcome.n_done == len(plan.trials)


def test_what_a_run_folder_costs_is_counted(plan, tmp_path):
    cost = scale.folder_cost(plan, 5, tmp_path)
    assert cost.n_files == 3 * 5 + 2  # each trial's three, and the two tables
    assert cost.n_bytes > 5 * scale.MODEL_BYTES
    assert min(cost.publish_s, cost.look_up_s, cost.merge_s) > 0


def test_the_command_prints_what_it_measured(capsys):
    scale.main(["--trials", "80", "--nodes", "2", "--gpus", "2", "--folder", "3"])
    out = capsys.readouterr().out
    assert "plan: 80 trials" in out
    assert out.count("80 done, 0 failed") == 2
    assert "peak memory" in out
