"""The simulated allocation hands out every trial, whatever dies, and counts no GPU twice."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import scale, scale_records


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


def test_an_end_that_takes_the_command_long_keeps_gpus_waiting(plan):
    def run(driver_s):
        return scale.Simulation(plan, 2, 4, np.random.default_rng(1), driver_s=driver_s).run()

    at_once, slow = run(0.0), run(20.0)
    assert slow.n_done == at_once.n_done == len(plan.trials)
    assert slow.makespan_s >= 20.0 * len(plan.trials) > at_once.makespan_s


def test_the_shards_of_an_array_job_share_out_the_arms(plan):
    stages, *shards = scale.simulate_array(plan, 3, 4, np.random.default_rng(1))
    assert len(shards) == 3
    assert stages.n_done == sum(trial.stage == "pretrain" for trial in plan.trials)
    assert sum(shard.n_done for shard in shards) == len(plan.trials) - stages.n_done


@pytest.mark.slow
def test_what_a_run_folder_costs_is_counted(plan, tmp_path, monkeypatch):
    """Slow: it writes run folders of many trials."""
    monkeypatch.setattr(scale_records, "N_PUBLISHED", 3)  # the others are laid down
    folders, packs = scale.folder_costs(plan, 8, tmp_path)  # two seeds: two stages, six arms
    about = ["plan.json", "provenance.json", "sweep.yaml", "trials.parquet", "curves.parquet"]
    named = 8 + 1  # a link for each file of weights, and their table
    assert folders.n_files == 4 * 8 + named + len(about)
    weights = 4 * 2 + 6  # stages whole
    assert packs.n_files == weights + 1 + named + len(about), "and one pack"
    assert packs.n_bytes < folders.n_bytes
    for cost in (folders, packs):
        assert min(cost.publish.wall, cost.look_up.wall, cost.status.wall, cost.merge.wall) > 0


@pytest.mark.slow
def test_the_command_prints_what_it_measured(capsys):
    """Slow: it writes run folders of many trials."""
    scale.main(["--trials", "80", "--nodes", "2", "--gpus", "2", "--folder", "3"])
    out = capsys.readouterr().out
    assert "plan: 80 trials" in out
    assert out.count("80 done, 0 failed") == 5
    assert "array job: 20 stages" in out
    assert "peak memory" in out
    assert "packs            3" in out
