from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from datasets.split import split_dataset
from harness.plan.planner import make_plan
from harness.seeds import AXES, derive_seed, derive_streams
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.settings import Condition, DataChoice, EvaluateEvery, ModelChoice, Train
from harness.trials import catalogue as catalogue_module
from harness.trials.catalogue import DataCatalogue
from harness.trials.rows import planned_row
from harness.trials.spec import DataUse, trial_id
from headstart.errors import DataNotFoundError, InputError, SpecError
from headstart.files import write_json


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
    with pytest.raises(SpecError, match="scratch, pretrained: glyphs has no test part"):
        make_plan(load_sweep(path), catalogue)


def test_ids_of_earlier_versions_stay():
    """Records that people keep are found by these; raise RESULT_FORMAT before changing them."""
    choice = DataChoice(name="mnist", train=50000, validation=10000)
    data = DataUse(choice, "4fcdd540" * 4, 70000, tuple("0123456789"), "", True, (28, 28), 1)
    train = Train(learning_rate=3e-4, epochs=30, evaluate_every=EvaluateEvery(steps=50))
    scratch = Condition(model=ModelChoice(name="lenet5", dropout=0.25), data=(choice,), train=train)
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


DRAWN = "{name: glyphs, count: 300, seed: 3, train: 200, validation: 50}"


def with_stages(*stages: str) -> tuple[str, str]:
    """The change that adds stages to the small sweep, before the one it has."""
    return "pretrain:\n", "pretrain:\n" + "".join(f"  {stage}\n" for stage in stages)


def test_a_chain_of_stages_runs_once_and_in_order(write_sweep, catalogue):
    path = write_sweep(
        with_stages(f"first: {{data: {DRAWN}}}", f"second: {{data: {DRAWN}, initialize: first}}"),
        ("  drawn:\n", "  drawn:\n    initialize: second\n"),
    )
    plan = make_plan(load_sweep(path), catalogue)
    assert [(t.stage, t.arm, t.seed) for t in plan.trials] == [
        ("pretrain", "first", 0), ("pretrain", "second", 0), ("pretrain", "drawn", 0),
        ("pretrain", "first", 1), ("pretrain", "second", 1), ("pretrain", "drawn", 1),
        ("arm", "scratch", 0), ("arm", "pretrained", 0),
        ("arm", "scratch", 1), ("arm", "pretrained", 1),
    ]  # fmt: skip
    of = {(trial.arm, trial.seed): trial for trial in plan.trials}
    for seed in (0, 1):
        assert of["first", seed].parent is of["scratch", seed].parent is None
        for child, parent in (("second", "first"), ("drawn", "second"), ("pretrained", "drawn")):
            assert of[child, seed].parent == of[parent, seed].id


def test_a_stage_that_no_arm_starts_from_still_runs_at_every_seed(write_sweep, catalogue):
    path = write_sweep(
        with_stages(f"first: {{data: {DRAWN}}}", f"aside: {{data: {DRAWN}, initialize: first}}")
    )
    plan = make_plan(load_sweep(path), catalogue)
    stages = [(t.arm, t.seed) for t in plan.trials if t.stage == "pretrain"]
    assert sorted(stages) == sorted(
        (stage, seed) for stage in ("first", "aside", "drawn") for seed in (0, 1)
    )
    assert [t.stage for t in plan.trials] == ["pretrain"] * 6 + ["arm"] * 4


def test_a_shared_stage_is_that_of_seed_0_and_shares_what_it_starts_from(write_sweep, catalogue):
    path = write_sweep(
        with_stages(f"first: {{data: {DRAWN}}}"),
        ("  drawn:\n", "  drawn:\n    shared: true\n    initialize: first\n"),
    )
    plan = make_plan(load_sweep(path), catalogue)
    stages = [t for t in plan.trials if t.stage == "pretrain"]
    assert [(t.arm, t.seed) for t in stages] == [("first", 0), ("drawn", 0)]
    assert stages[1].streams == plan.trials[2].streams
    assert (plan.trials[2].arm, plan.trials[2].seed) == ("scratch", 0)


def test_other_seeds_than_the_sweeps_can_be_planned(write_sweep, catalogue):
    sweep = load_sweep(write_sweep())
    own = {(t.arm, t.seed): t.id for t in make_plan(sweep, catalogue).trials}
    more = {(t.arm, t.seed): t.id for t in make_plan(sweep, catalogue, seeds=(1, 7)).trials}
    assert {seed for _, seed in more} == {1, 7}
    assert more["scratch", 1] == own["scratch", 1]
    assert make_plan(sweep, catalogue, seeds=()).trials == ()


def test_a_point_of_the_grid_is_in_the_row_and_nothing_where_there_is_none(write_sweep, catalogue):
    grid = "seeds: 2\ngrid: {train.batch_size: [16, 32]}"
    plan = make_plan(load_sweep(write_sweep(("seeds: 2", grid))), catalogue)
    points = {planned_row(t, "small").grid for t in plan.trials if t.arm.startswith("scratch")}
    assert points == {'{"train.batch_size": 16}', '{"train.batch_size": 32}'}
    plain = make_plan(load_sweep(write_sweep()), catalogue)
    assert {planned_row(t, "small").grid for t in plain.trials} == {""}


def test_all_conditions_that_cannot_run_are_named_at_once(write_sweep, catalogue):
    path = write_sweep(("validation: 100, test: 100}", "validation: 100}"))
    with pytest.raises(SpecError) as caught:
        make_plan(load_sweep(path), catalogue)
    lines = str(caught.value).splitlines()
    assert [line.split(" has no test part")[0] for line in lines] == [
        "small: scratch, pretrained: glyphs"
    ]


def test_a_split_that_cannot_be_is_refused_before_any_trial_and_said_once(write_sweep, catalogue):
    path = write_sweep(("train: 200", "train: 2000"), ("validation: 100", "validation: 990"))
    with pytest.raises(SpecError) as caught:
        make_plan(load_sweep(path), catalogue)
    stage, arms = str(caught.value).splitlines()
    assert stage.startswith("small: drawn: data set 'glyphs'")
    assert "train: 2000 images asked for, 300 are left" in stage
    assert arms.startswith("small: scratch, pretrained: data set 'glyphs'")
    assert "validation: 990 images asked for" in arms


def test_parts_without_images_are_found_before_any_trial(write_sweep, catalogue):
    """Each trial would fail by itself: there is nothing to choose its checkpoint by."""
    path = write_sweep(
        ("train: 200, validation: 50", "train: 300"), ("train: 300, validation: 100", "train: 500")
    )
    with pytest.raises(SpecError) as caught:
        make_plan(load_sweep(path), catalogue)
    stage, arms = str(caught.value).splitlines()
    assert stage.startswith("small: drawn: data set 'glyphs'")
    assert "validation: no image is left to choose the checkpoint by (300 train and 0 test" in stage
    assert arms.startswith("small: scratch, pretrained: data set 'glyphs'")
    assert "by (500 train and 100 test of 600)" in arms


@pytest.mark.parametrize(
    "rule",
    ["3", "{until: {half_width: 0.1}, at_least: 2, at_most: 4}", "{until: verdict, looks: [2, 4]}"],
)
def test_the_split_of_every_seed_is_drawn_where_it_depends_on_the_seed(
    write_sweep, monkeypatch, rule
):
    """Seed 2, which a rule may add, gets no test image; groups make draws differ."""
    streams = [derive_streams(0, seed, AXES)["split"] for seed in range(4)]
    bad = np.random.default_rng(streams[2]).bit_generator.state

    def draw(dataset, settings, rng):
        is_bad = rng.bit_generator.state == bad
        drawn.append(is_bad)
        parts = split_dataset(dataset, settings, rng)
        return replace(parts, test=parts.test[:0]) if is_bad else parts

    drawn: list[bool] = []
    monkeypatch.setattr(catalogue_module, "split_dataset", draw)
    monkeypatch.setattr(catalogue_module, "draws_are_alike", lambda *_: False)
    path = write_sweep(("seeds: 2", f"seeds: {rule}"))
    with pytest.raises(SpecError) as caught:
        make_plan(load_sweep(path), DataCatalogue(allow_download=False))
    (line,) = str(caught.value).splitlines()
    assert line.startswith("small: scratch, pretrained: data set 'glyphs'")
    assert "test: no image is left to test on (300 train and 100 validation of 600)" in line
    assert line.endswith("(in the split of seed 2)")
    assert drawn.count(True) == 2  # of the stage and of both arms, each once


def test_all_sets_that_are_not_there_are_named_at_once(write_sweep, tmp_path):
    path = write_sweep(
        ("scratch: {}", "scratch: {data: {name: mnist}}\n  b: {data: {name: handwritten62}}\n"
         "  c: {data: {name: mnist, train: 100, validation: 100}}"),
    )  # fmt: skip
    with pytest.raises(DataNotFoundError) as caught:
        make_plan(load_sweep(path), DataCatalogue(tmp_path, allow_download=False))
    lines = str(caught.value).splitlines()
    assert [line.split("'")[1] for line in lines] == ["mnist", "handwritten62"]


def test_what_several_workers_cannot_share_is_refused(write_sweep, catalogue):
    path = write_sweep(
        ("batch_size: 32", "batch_size: 1"), ("seeds: 2", "seeds: 2\nresources: {workers: 2}")
    )
    with pytest.raises(InputError, match="batch_size: 1 is less than"):
        make_plan(load_sweep(path), catalogue)
    alone = write_sweep(("batch_size: 32", "batch_size: 1"))
    assert len(make_plan(load_sweep(alone), catalogue).trials) == 6


# -- weights that no trial of the plan makes -----------------------------------------------


def digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def from_elsewhere(plan) -> dict:
    """(file, hash of its content, id) by seed of the arm that starts from elsewhere."""
    return {t.seed: (t.start_file, t.start_content, t.id) for t in plan.trials if t.arm == "tuned"}


def test_a_trial_may_start_from_a_file_whose_content_is_in_its_id(write_sweep, catalogue, tmp_path):
    weights = tmp_path / "weights.safetensors"

    def plan(content: bytes):
        weights.write_bytes(content)
        path = write_sweep(("scratch: {}", f"scratch: {{}}\n  tuned: {{initialize: {weights}}}"))
        return make_plan(load_sweep(path), catalogue)

    first = from_elsewhere(plan(b"first"))
    assert [(path, content) for path, content, _ in first.values()] == [
        (weights, digest(b"first"))
    ] * 2
    assert first[0][2] != first[1][2], "seeds differ in their streams"
    assert from_elsewhere(plan(b"other"))[0][2] != first[0][2]
    assert from_elsewhere(plan(b"first")) == first
    others = [t for t in plan(b"first").trials if t.arm != "tuned"]
    assert {(t.start_file, t.start_content) for t in others} == {(None, None)}
    assert all(t.parent is None for t in plan(b"first").trials if t.arm == "tuned")


def test_a_file_that_cannot_be_read_is_one_line(write_sweep, catalogue, tmp_path):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"")
    path = write_sweep(("scratch: {}", f"scratch: {{}}\n  tuned: {{initialize: {weights}}}"))
    sweep = load_sweep(path)
    weights.unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors: weights cannot be read: No such"):
        make_plan(sweep, catalogue)


@pytest.fixture
def earlier_run(tmp_path):
    """A run folder: two seeds of `pretrained`, one of them failed; another arm at both."""
    run = tmp_path / "earlier"
    rows = [
        ("a0", "pretrained", 0, "done"), ("a1", "pretrained", 1, "failed"),
        ("b0", "scratch", 0, "done"), ("b1", "scratch", 1, "done"), ("c0", "pretrained", 2, "done"),
    ]  # fmt: skip
    for name, arm, seed, status in rows:
        folder = run / "trials" / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(name.encode())
        row = {"trial_id": name, "stage": "arm", "arm": arm, "seed": seed, "status": status}
        write_json(
            folder / "trial.json",
            {**row, "attempts": 1, "files": ["trial.json", "model.safetensors"]},
        )
    return run


def test_a_trial_may_start_from_the_trial_of_another_run_at_its_seed(
    write_sweep, catalogue, earlier_run
):
    start = f"{{run: {earlier_run}, arm: scratch}}"
    path = write_sweep(("scratch: {}", f"scratch: {{}}\n  tuned: {{initialize: {start}}}"))
    of = from_elsewhere(make_plan(load_sweep(path), catalogue))
    for seed, name in ((0, "b0"), (1, "b1")):
        file = earlier_run / "trials" / name / "model.safetensors"
        assert of[seed][:2] == (file, digest(name.encode()))


def test_a_run_without_a_finished_trial_at_a_seed_is_refused(write_sweep, catalogue, earlier_run):
    start = f"{{run: {earlier_run}, arm: pretrained}}"
    path = write_sweep(("scratch: {}", f"scratch: {{}}\n  tuned: {{initialize: {start}}}"))
    with pytest.raises(InputError, match="no finished trial of arm 'pretrained' at seed 1"):
        make_plan(load_sweep(path), catalogue)
    one_seed = make_plan(load_sweep(path), catalogue, seeds=(0, 2))
    assert [file.parent.name for file, _, _ in from_elsewhere(one_seed).values()] == ["a0", "c0"]


def test_imagenet_weights_are_looked_for_beside_the_data(write_sweep, tmp_path, monkeypatch):
    """A stand-in looks for the file: the module that does imports torchvision."""
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"weights")
    asked = []

    def locate(name, **where):
        asked.append((name, where))
        return weights

    monkeypatch.setitem(sys.modules, "models.imagenet", SimpleNamespace(locate_imagenet=locate))
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    network = "{model: {name: squeezenet1_1, image_size: 32}, initialize: imagenet}"
    path = write_sweep(("scratch: {}", f"scratch: {{}}\n  tuned: {network}"))
    plan = make_plan(load_sweep(path), DataCatalogue(tmp_path, allow_download=False))
    assert [file_and_content[:2] for file_and_content in from_elsewhere(plan).values()] == [
        (weights, digest(b"weights"))
    ] * 2
    where = {"weights_dir": tmp_path / "weights", "cache_dir": tmp_path / "cache"}
    assert asked[0] == ("squeezenet1_1", {**where, "allow_download": False})
