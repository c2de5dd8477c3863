from __future__ import annotations

import pytest

from datasets.split import SplitSettings
from harness.plan.planner import make_plan
from harness.seeds import AXES, derive_seed, derive_streams
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Condition, DataChoice, EvaluateEvery, ModelChoice, Train
from harness.trials.catalogue import DataCatalogue
from harness.trials.spec import DataUse, trial_id
from headstart.errors import DataNotFoundError, SpecError


@pytest.fixture(scope="module")
def catalogue() -> DataCatalogue:
    return DataCatalogue(allow_download=False)


@pytest.fixture
def ids(write_sweep, catalogue):
    """Ids by (arm, seed) of the small sweep after changes to its text."""

    def plan_ids(*replacements, options=()):
        plan = make_plan(load_sweep(write_sweep(*replacements), None, options), catalogue)
        return {(trial.arm, trial.seed): trial.id for trial in plan.trials}

    return plan_ids


def test_every_trial_stands_after_the_one_it_starts_from(write_sweep, catalogue):
    plan = make_plan(load_sweep(write_sweep()), catalogue)
    seen = set()
    for trial in plan.trials:
        assert trial.parent is None or trial.parent in seen
        seen.add(trial.id)
    assert len(seen) == len(plan.trials) == 6


def test_names_measures_resources_and_further_arms_change_no_id(ids):
    before = ids()
    assert ids(("name: small", "name: large")) == before
    assert ids(("targets: [0.3, 0.5]", "targets: [0.9]")) == before
    resources = "resources: {cpus: 2, pack: auto, fuse: never}"
    assert ids(("seeds: 2", f"seeds: 2\n{resources}\nsave: {{every: 1}}")) == before
    more = ids(("scratch: {}", "scratch: {}\n  slow: {train: {learning_rate: 1.0e-5}}"))
    assert before.items() <= more.items()
    assert ids(("seeds: 2", "seeds: 5")).items() >= before.items()
    renamed = ids(
        ("scratch: {}", "from_nothing: {}"), ("control: scratch", "control: from_nothing")
    )
    assert renamed["from_nothing", 0] == before["scratch", 0]
    assert ids(("batch_size: 32", "batch_size: 32, optimizer: adam")) == before  # a default


def test_ids_stay_while_the_result_format_does(ids):
    """Run folders are resumed by id: a new setting must leave the ids of old sweeps alone."""
    assert ids() == {
        ("drawn", 0): "e004b0df8366a773",
        ("drawn", 1): "d51e3e31f5dd7921",
        ("scratch", 0): "6a3471241b959067",
        ("scratch", 1): "597e28961d5fb0bd",
        ("pretrained", 0): "2927edb9b4fe0536",
        ("pretrained", 1): "a3169e259b5182c7",
    }


def test_a_change_reaches_what_it_decides_and_nothing_else(ids):
    before = ids()

    def changed(*replacements, options=()):
        after = ids(*replacements, options=options)
        return {arm for (arm, seed), i in after.items() if before.get((arm, seed)) != i}

    assert changed(("scratch: {}", "scratch: {train: {learning_rate: 0.01}}")) == {"scratch"}
    assert changed(("augment: {rotate: 15}", "augment: {rotate: 20}")) == {"drawn", "pretrained"}
    assert changed(("{initialize: drawn}", "{initialize: drawn, fine_tune: last_2}")) == {
        "pretrained"
    }
    assert changed(("seed: 1, train", "seed: 3, train")) == {"scratch", "pretrained"}
    assert changed(options=["seed=1"]) == {"drawn", "scratch", "pretrained"}
    assert changed(options=["train.precision=bf16"]) == {"drawn", "scratch", "pretrained"}
    assert changed(options=["train.threads=2"]) == {"drawn", "scratch", "pretrained"}


def test_a_shared_stage_runs_once_for_all_seeds(write_sweep, catalogue):
    path = write_sweep(("drawn:\n", "drawn:\n    shared: true\n"))
    plan = make_plan(load_sweep(path), catalogue)
    stages = [trial for trial in plan.trials if trial.stage == "pretrain"]
    assert len(stages) == 1
    assert {t.parent for t in plan.trials if t.arm == "pretrained"} == {stages[0].id}


def test_shards_share_out_the_arms_and_bring_the_stages_they_need(write_sweep, catalogue):
    plan = make_plan(load_sweep(write_sweep(("seeds: 2", "seeds: 9"))), catalogue)
    shards = [plan.shard(k, 3) for k in (1, 2, 3)]
    arms = [t.id for shard in shards for t in shard.trials if t.stage == "arm"]
    assert sorted(arms) == sorted(t.id for t in plan.trials if t.stage == "arm")
    for shard in shards:
        ids = {trial.id for trial in shard.trials}
        assert all(t.parent is None or t.parent in ids for t in shard.trials)


def test_the_first_data_set_that_is_there_is_used_and_a_stand_in_says_so(
    write_sweep, catalogue, tmp_path
):
    several = "data: {first_of: [mnist, {name: glyphs, count: 600, train: 300, test: 9}]}"
    path = write_sweep(
        (
            "data: {name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}",
            several,
        )
    )
    nothing_there = DataCatalogue(tmp_path, allow_download=False)
    plan = make_plan(load_sweep(path), nothing_there)
    arm = next(trial for trial in plan.trials if trial.stage == "arm")
    assert (arm.data.choice.name, arm.data.stand_in_for) == ("glyphs", "mnist")
    only = write_sweep(
        (
            "{name: glyphs, count: 600, seed: 1, train: 300, validation: 100, test: 100}",
            "{name: mnist}",
        )
    )
    with pytest.raises(DataNotFoundError, match="mnist"):
        make_plan(load_sweep(only), nothing_there)


def test_streams_depend_on_axis_and_replicate_only():
    assert derive_seed(0, "order", 3) == derive_seed(0, "order", 3)
    draws = {derive_seed(r, a, s) for r in range(3) for a in AXES for s in range(50)}
    assert len(draws) == 3 * len(AXES) * 50
    assert all(0 <= draw < 2**63 for draw in draws)
    fixed_split = derive_streams(0, 7, vary=set(AXES) - {"split"})
    assert fixed_split["split"] == derive_streams(0, 0, vary=AXES)["split"]
    assert fixed_split["order"] != derive_streams(0, 0, vary=AXES)["order"]


def test_an_arm_without_test_images_is_refused_before_anything_runs(write_sweep, catalogue):
    path = write_sweep(("validation: 100, test: 100}", "validation: 100}"))
    with pytest.raises(SpecError, match="scratch: glyphs has no test part of its own"):
        make_plan(load_sweep(path), catalogue)


def test_ids_of_earlier_versions_stay():
    """Records that people keep are found by these; raise RESULT_FORMAT before changing them."""
    choice = DataChoice(
        name="mnist", options={}, split=SplitSettings(train=50000, validation=10000)
    )
    data = DataUse(choice, "4fcdd540" * 4, 70000, tuple("0123456789"), "", True, (28, 28), 1)
    train = Train(learning_rate=3e-4, epochs=30, evaluate_every=EvaluateEvery(steps=50))
    scratch = Condition(
        model=ModelChoice(name="lenet5", options={"dropout": 0.25}), data=(choice,), train=train
    )
    tuned = scratch.model_copy(update={"fine_tune": "last_2"})
    streams = derive_streams(0, 7, vary=AXES)
    assert trial_id(scratch, data, streams, None) == "2c01c73af8db7c5d"
    assert trial_id(tuned, data, streams, "e004b0df8366a773") == "d25a18c7129a2cd2"


def test_a_hundred_thousand_trials_share_what_does_not_differ(write_sweep, catalogue):
    plan = make_plan(load_sweep(write_sweep(("seeds: 2", "seeds: 50"))), catalogue)
    by_arm = {trial.arm: trial for trial in plan.trials}
    for trial in plan.trials:
        assert trial.condition is by_arm[trial.arm].condition
        assert trial.data is by_arm[trial.arm].data
    assert len({id(trial.streams) for trial in plan.trials}) == 50
