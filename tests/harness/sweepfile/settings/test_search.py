"""Searches as sweep files write them: what is drawn, what is refused, and with which line."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.sweepfile.settings.search import Distribution, Search, draw
from headstart.errors import SpecError

SPACE = {
    "train.learning_rate": {"log_uniform": [1e-4, 1e-2]},
    "train.batch_size": {"choice": [8, 16, 32]},
}


def search(**changes) -> Search:
    return Search.model_validate({"space": SPACE, "samples": 5, **changes})


def test_draws_are_these_numbers_on_every_machine():
    drawn = [draw(search(), k) for k in range(3)]
    assert drawn == [
        {"train.learning_rate": 0.0078024, "train.batch_size": 32},
        {"train.learning_rate": 0.00101725, "train.batch_size": 8},
        {"train.learning_rate": 0.000246224, "train.batch_size": 16},
    ]


def test_a_further_setting_or_sample_changes_no_draw_and_another_seed_does():
    before = [draw(search(), k) for k in range(5)]
    wider = search(space={**SPACE, "model.dropout": {"uniform": [0.0, 0.5]}}, samples=9)
    after = [draw(wider, k) for k in range(9)]
    assert [{k: v for k, v in d.items() if k in SPACE} for d in after[:5]] == before
    assert [draw(search(seed=1), k) for k in range(5)] != before


def test_draws_stay_inside_and_fill_their_ranges():
    space = {
        "a": {"log_uniform": [1e-4, 1e-2]},
        "b": {"uniform": [0.25, 0.5]},
        "c": {"integer": [2, 4]},
        "d": {"choice": ["x", {}]},
    }
    drawn = [draw(search(space=space), k) for k in range(400)]
    logs = [d["a"] for d in drawn]
    assert min(logs) >= 1e-4
    assert max(logs) <= 1e-2
    assert 0.4 < sum(a < 1e-3 for a in logs) / 400 < 0.6  # half of the decades
    assert all(0.25 <= d["b"] <= 0.5 for d in drawn)
    assert {d["c"] for d in drawn} == {2, 3, 4}
    assert [d["d"] for d in drawn].count({}) in range(150, 250)


def test_a_third_of_ten_configurations_is_four():
    assert [search(keep=1 / 3).n_kept(n) for n in (10, 4, 2, 1)] == [4, 2, 1, 1]
    assert search(keep=0.25).n_kept(12) == 3


SECTION = """\
search:
  learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
  batch_size: {choice: [16, 32]}
  samples: 4
"""


@pytest.fixture
def written(write_sweep):
    """The small sweep with a search section, changed; read."""

    def read(*replacements, section=SECTION):
        text = ("seeds: 2", f"{section}seeds: 2")
        return load_sweep(write_sweep(text, *replacements))

    return read


def test_a_section_serves_all_arms_and_an_arm_may_change_or_refuse_it(written):
    sweep = written(
        ("scratch: {}", "scratch: {search: none}\n  idle: {initialize: drawn, fine_tune: none}"),
        ("{initialize: drawn}", "{initialize: drawn, search: {dropout: {choice: [0.0, 0.5]}}}"),
    )
    assert list(sweep.searches) == ["pretrained"]
    found = sweep.searches["pretrained"]
    assert list(found.space) == ["train.learning_rate", "train.batch_size", "model.dropout"]
    changed = sweep.arms["pretrained"].with_values(draw(found, 0))
    assert changed.train.batch_size in (16, 32)
    assert changed.model.options.dropout in (0.0, 0.5)


def test_the_resolved_sweep_reads_to_the_same_searches(written, tmp_path):
    sweep = written()
    path = tmp_path / "resolved.yaml"
    path.write_text(resolved_yaml(sweep))
    assert load_sweep(path).searches == sweep.searches


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("learning_rate:", "learning_rat:", r"sweep\.yaml:14: .*did you mean 'learning_rate'"),
        ("{choice: [16, 32]}", "{choice: [16, 0]}", r"sweep\.yaml:15: .*0: .*greater than 0"),
        ("{choice: [16, 32]}", "16", r"sweep\.yaml:15: .*batch_size"),
        ("[1.0e-4, 1.0e-2]", "[1.0e-2, 1.0e-4]", r"is not \[LOW, HIGH\]"),
        ("samples: 4", "samples: 0", r"sweep\.yaml:16: .*samples"),
        (
            "samples: 4",
            "scheduler: asha",
            r"sweep\.yaml:16: .*asha is not available; synchronous is",
        ),
        ("samples: 4", "rungs: [4, 2]", "do not grow"),
        ("samples: 4", "rungs: [2, 9]", "the arm trains 3 epochs"),
        ("samples: 4", "epochs: {integer: [1, 3]}\n  rungs: [1, 2]", "cannot draw train.epochs"),
        ("samples: 4", "sampler: sobel", r"sweep\.yaml:16: .*not one of random, sobol, tpe"),
        ("samples: 4", "rounds: 3", "rounds are of sampler: tpe, not of random"),
        ("samples: 4", "sampler: tpe\n  rounds: 1", r"sweep\.yaml:17: .*rounds: .*equal to 2"),
        ("samples: 4", "sampler: tpe\n  rungs: [1, 3]", "rungs do not go with sampler: tpe"),
        ("samples: 4", "sampler: tpe\n  samples: 3", "samples: 3 are fewer than the 4 rounds"),
    ],
)
def test_a_mistake_is_a_line_with_its_place(written, old, new, message):
    with pytest.raises(SpecError, match=message):
        written(section=SECTION.replace(old, new))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pretrain.drown.train.epochs", r"l:15: .*'drown' is not a pretrain stage \(drawn, idle\)"),
        ("pretrain.drawn.model.dropout", "of a stage a key of its train can be searched"),
        ("pretrain.drawn.epochs", r"a key of its train can be searched, as pretrain\.drawn\."),
        ("pretrain.drawn.train.epoch", "of a stage a key of its train .* mean 'epochs'"),
        ("pretrain.drawn", "of a stage a key of its train can be searched"),
        ("pretrain", r"'' is not a pretrain stage \(drawn, idle\)"),
        ("pretrain.idle.train.epochs", "l:15: .*no arm that is searched starts from stage 'idle'"),
        ("pretrain.drawn.train.epochs.deep", "3: train.epochs.deep: epochs is no mapping here"),
    ],
)  # fmt: skip
def test_of_stages_what_means_nothing_is_a_line_with_its_place(written, line, message):
    idle = ("arms:", "  idle: {}\narms:")
    with pytest.raises(SpecError, match=message) as caught:
        written(idle, section=f"search:\n  {line}: {{choice: [3]}}\n")
    assert len(str(caught.value).splitlines()) == 1


def test_a_value_that_the_stage_does_not_take_is_a_mistake(written):
    with pytest.raises(SpecError, match=r"yaml:14: .*0: .*greater than 0"):
        written(section="search:\n  pretrain.drawn.train.epochs: {choice: [3, 0]}\n")


def test_an_arm_that_does_not_start_from_the_stage_cannot_search_it(written):
    own = "{search: {pretrain.drawn.train.epochs: {choice: [3, 4]}}}"
    with pytest.raises(SpecError, match="this arm does not start from stage 'drawn'"):
        written(("scratch: {}", f"scratch: {own}"), section="")
    grid = "grid: {pretrain.drawn.train.epochs: [3, 4]}\n"
    search = "search: {pretrain.drawn.train.epochs: {choice: [3, 4]}}\n"
    with pytest.raises(SpecError, match="is set by the grid too"):
        written(section=grid + search)


def test_a_stages_key_at_the_top_concerns_the_arms_that_start_from_it(written, tmp_path):
    sweep = written(section="search: {pretrain.drawn.train.epochs: {choice: [3, 4]}}\n")
    assert list(sweep.searches) == ["pretrained"]
    assert list(sweep.searches["pretrained"].space) == ["pretrain.drawn.train.epochs"]
    path = tmp_path / "resolved.yaml"
    path.write_text(resolved_yaml(sweep))
    assert load_sweep(path).searches == sweep.searches


def test_an_arm_that_does_not_train_cannot_be_searched(written):
    with pytest.raises(SpecError, match="nothing trains in this arm"):
        written(
            ("{initialize: drawn}", "{initialize: drawn, fine_tune: none, search: {samples: 2}}")
        )


def test_what_is_not_said_is_this():
    plain = Search.model_validate({"space": SPACE})
    assert (plain.samples, plain.scheduler, plain.metric, plain.seed, plain.rungs) == (
        10, "synchronous", "val_accuracy", 0, (),
    )  # fmt: skip
    assert plain.keep == 1 / 3


@pytest.mark.parametrize(
    ("distribution", "unit", "expected"),
    [
        ({"choice": ["a", "b", "c"]}, 0.0, "a"),
        ({"choice": ["a", "b", "c"]}, 0.34, "b"),
        ({"choice": ["a", "b", "c"]}, 0.999, "c"),
        ({"integer": [2, 4]}, 0.0, 2),
        ({"integer": [2, 4]}, 0.34, 3),
        ({"integer": [2, 4]}, 0.999, 4),
        ({"uniform": [1.0, 3.0]}, 0.0, 1.0),
        ({"uniform": [1.0, 3.0]}, 0.25, 1.5),
        ({"uniform": [-1.0, 1.0]}, 0.75, 0.5),
        ({"uniform": [0.0, 1.0]}, 0.123456789, 0.123457),  # as a person would write it
        ({"uniform": [0.1234564, 0.2]}, 0.0, 0.1234564),  # rounding leaves no range
        ({"uniform": [0.1, 0.1234567]}, 0.9999999999, 0.1234567),
        ({"log_uniform": [1e-4, 1e-2]}, 0.5, 1e-3),
        ({"log_uniform": [1e-4, 1e-2]}, 0.0, 1e-4),
        ({"log_uniform": [1.0, 16.0]}, 0.25, 2.0),
    ],
)
def test_a_value_by_its_quantile(distribution, unit, expected):
    value = Distribution.model_validate(distribution).at(unit)
    assert value == expected
    assert type(value) is type(expected)


def test_the_ends_of_a_distribution_are_its_choices_or_its_limits():
    assert Distribution.model_validate({"choice": ["a", "b", "c"]}).ends() == ("a", "b", "c")
    assert Distribution.model_validate({"integer": [2, 4]}).ends() == (2, 4)


@pytest.mark.parametrize(
    "distribution",
    [
        {}, {"choice": []}, {"choice": None}, {"uniform": [0, 1], "integer": [0, 1]},
        {"uniform": [1, 1]}, {"uniform": [2, 1]}, {"integer": [4, 4]}, {"uniform": [0, math.inf]},
        {"uniform": [-math.inf, 0]}, {"log_uniform": [0, 1]}, {"integer": [0.5, 2]},
    ],
)  # fmt: skip
def test_what_is_no_distribution_is_refused(distribution):
    with pytest.raises(ValidationError):
        Distribution.model_validate(distribution)


@pytest.mark.parametrize("keep", [0, 1, 1.5, -0.1])
def test_the_share_that_is_kept_is_a_part(keep):
    with pytest.raises(ValidationError, match="keep"):
        search(keep=keep)


@pytest.mark.parametrize("rungs", [[2, 2], [3, 2], [0, 1]])
def test_rungs_grow(rungs):
    with pytest.raises(ValidationError):
        search(rungs=rungs)
    assert search(rungs=[1, 3]).rungs == (1, 3)


def test_how_many_go_on_is_exact_where_the_share_is():
    assert search(keep=0.1).n_kept(30) == 3, "30 × 0.1 is a little over 3 in floating point"
    assert search(keep=0.5).n_kept(5) == 3
    assert search(keep=0.01).n_kept(5) == 1


def test_values_are_laid_over_the_settings_they_name(written):
    condition = written().arms["scratch"]
    values = {
        "train.learning_rate": 0.5, "train.schedule.name": "cosine", "model.dropout": 0.25,
    }  # fmt: skip
    changed = condition.with_values(values)
    assert changed.train.learning_rate == 0.5
    assert changed.train.schedule.name == "cosine"
    assert changed.train.batch_size == condition.train.batch_size
    assert dict(changed.model.options)["dropout"] == 0.25
    assert (changed.data, changed.start) == (condition.data, condition.start)
    assert condition.with_values({}) == condition
    with pytest.raises(ValueError, match=r"train\.batch_size\.more: batch_size is no mapping here"):
        condition.with_values({"train.batch_size.more": 1})
    with pytest.raises(ValidationError):
        condition.with_values({"train.batch_size": 0})


def test_sobol_points_are_more_even_than_random_ones_and_more_change_none_before_them():
    sobol = search(sampler="sobol", samples=16)
    lows = [draw(sobol, k)["train.learning_rate"] < 1e-3 for k in range(16)]
    assert [sum(lows[:n]) for n in (2, 4, 8, 16)] == [1, 2, 4, 8]
    more = search(sampler="sobol", samples=40)
    assert [draw(more, k) for k in range(16)] == [draw(sobol, k) for k in range(16)]
    assert draw(search(sampler="sobol", samples=16, seed=1), 0) != draw(sobol, 0)


def test_rounds_share_the_samples():
    assert search(sampler="tpe", samples=10).round_sizes == (2, 3, 2, 3)
    assert search(sampler="tpe", samples=9, rounds=2).round_sizes == (4, 5)
