"""Trials and plans: what is in an id, what a search changes, how a plan is shared out."""

from __future__ import annotations

import dataclasses

import pytest

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.trials.catalogue import DataCatalogue
from harness.trials.rows import planned_row
from harness.trials.spec import Plan, TrialSpec, trial_id


@pytest.fixture(scope="module")
def catalogue() -> DataCatalogue:
    return DataCatalogue(allow_download=False)


@pytest.fixture
def plan_of(write_sweep, catalogue):
    def plan(*replacements) -> Plan:
        return make_plan(load_sweep(write_sweep(*replacements)), catalogue)

    return plan


def at(plan: Plan, arm: str, seed: int = 0) -> TrialSpec:
    return next(trial for trial in plan.trials if (trial.arm, trial.seed) == (arm, seed))


def test_an_id_is_16_characters_that_stay_while_the_result_format_does(plan_of):
    plan = plan_of()
    scratch, tuned = at(plan, "scratch"), at(plan, "pretrained")
    for trial, expected in ((scratch, "6a3471241b959067"), (tuned, "2927edb9b4fe0536")):
        assert trial_id(trial.condition, trial.data, trial.streams, trial.parent) == expected
    told = (scratch.condition, scratch.data, scratch.streams, None)
    assert trial_id(*told, tested=False) == "58623e36700da41a"
    assert trial_id(*told, chosen_by="a search") == "11d5e36e08ea63e3"


def test_all_that_decides_a_result_is_in_the_id_and_nothing_else(plan_of):
    trial = at(plan_of(), "pretrained")
    condition, data, streams, start = trial.condition, trial.data, trial.streams, trial.parent

    def changed(**values):
        return condition.model_copy(update=values)

    longer = changed(train=condition.train.model_copy(update={"epochs": 4}))
    other_split = data.choice.split.model_copy(update={"test": 50})
    other_choice = data.choice.model_copy(update={"split": other_split})
    ids = [
        trial_id(condition, data, streams, start),
        trial_id(changed(fine_tune="last_2"), data, streams, start),
        trial_id(changed(head="new"), data, streams, start),
        trial_id(longer, data, streams, start),
        trial_id(condition, dataclasses.replace(data, fingerprint="other"), streams, start),
        trial_id(condition, dataclasses.replace(data, choice=other_choice), streams, start),
        trial_id(condition, data, {**streams, "order": 1}, start),
        trial_id(condition, data, streams, "another start"),
        trial_id(condition, data, streams, None),
        trial_id(condition, data, streams, start, tested=False),
        trial_id(condition, data, streams, start, chosen_by="a search"),
        trial_id(condition, data, streams, start, chosen_by="another search"),
    ]  # fmt: skip
    assert len(set(ids)) == len(ids)
    assert all(len(i) == 16 and int(i, 16) >= 0 for i in ids)
    no_part = dataclasses.replace(data, n_images=1, stand_in_for="mnist", notes=("a note",))
    assert trial_id(condition, no_part, dict(reversed(streams.items())), start, True, "") == ids[0]


def test_other_networks_have_other_ids(plan_of):
    plain, thin = plan_of(), plan_of(("{name: lenet5}", "{name: lenet5, dropout: 0.5}"))
    assert at(plain, "scratch").id != at(thin, "scratch").id


def test_a_search_draws_trials_that_are_never_tested(plan_of):
    arm = at(plan_of(), "pretrained")
    train = arm.condition.train.model_copy(update={"batch_size": 16})
    condition = arm.condition.model_copy(update={"train": train})
    drawn = arm.with_condition(condition, arm.data, searched={"b": 1, "a": 2})
    assert (drawn.stage, drawn.is_tested, arm.is_tested) == ("search", False, True)
    assert drawn.condition == condition
    assert drawn.id == trial_id(condition, arm.data, arm.streams, arm.parent, tested=False)
    assert planned_row(drawn, "small").grid == '{"a": 2, "b": 1}'
    kept = (arm.arm, arm.seed, arm.parent, arm.streams)
    assert (drawn.arm, drawn.seed, drawn.parent, drawn.streams) == kept


def test_what_a_search_chose_makes_an_arm_of_its_own(plan_of):
    arm = at(plan_of(), "pretrained")
    chosen = arm.with_condition(arm.condition, arm.data, chosen_by="key")
    assert (chosen.stage, chosen.is_tested) == ("arm", True)
    assert chosen.id == trial_id(arm.condition, arm.data, arm.streams, arm.parent, chosen_by="key")
    assert planned_row(chosen, "small").grid == ""
    assert arm.with_condition(arm.condition, arm.data) == arm
    data = dataclasses.replace(arm.data, fingerprint="other")
    assert arm.with_condition(arm.condition, data).data is data


def test_a_start_from_elsewhere_stays_in_the_id(plan_of):
    scratch = dataclasses.replace(at(plan_of(), "scratch"), start_content="a hash")
    expected = trial_id(scratch.condition, scratch.data, scratch.streams, "a hash")
    assert scratch.with_condition(scratch.condition, scratch.data).id == expected


CHAIN = (
    "pretrain:\n",
    "pretrain:\n"
    "  first: {data: {name: glyphs, count: 300, seed: 3, train: 200, validation: 50}}\n"
    "  aside: {data: {name: glyphs, count: 300, seed: 4, train: 200, validation: 50}}\n",
)


@pytest.fixture
def long_plan(plan_of) -> Plan:
    """12 seeds of two arms, of which one descends from a stage of a stage; a stage aside."""
    plan = plan_of(
        CHAIN, ("  drawn:\n", "  drawn:\n    initialize: first\n"), ("seeds: 2", "seeds: 12")
    )
    return dataclasses.replace(plan, notes=("a note",))  # fmt: skip


def test_trials_are_found_by_id(long_plan):
    assert len(long_plan.by_id) == len(long_plan.trials) == 5 * 12
    assert all(long_plan.by_id[trial.id] is trial for trial in long_plan.trials)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_shards_share_out_the_arms_and_bring_all_generations_before_them(long_plan, n):
    shards = [long_plan.shard(k, n) for k in range(1, n + 1)]
    arms = [t.id for shard in shards for t in shard.trials if t.stage == "arm"]
    assert sorted(arms) == sorted(t.id for t in long_plan.trials if t.stage == "arm")
    place = {trial.id: position for position, trial in enumerate(long_plan.trials)}
    for k, shard in enumerate(shards, 1):
        assert (shard.sweep, shard.notes) == (long_plan.sweep, ("a note",))
        needed = {trial.parent for trial in shard.trials} - {None}
        assert needed <= shard.by_id.keys()
        stages = {t.id for t in shard.trials if t.stage == "pretrain"}
        aside = {t.id for t in long_plan.trials if t.arm == "aside"}
        assert stages - needed == (aside if k == 1 else set()), "no stage that nobody needs"
        assert all(int(t.id, 16) % n == k - 1 for t in shard.trials if t.stage == "arm")
        order = [place[trial.id] for trial in shard.trials]
        assert order == sorted(order)
