"""Searches as sweep files write them: what is drawn, what is refused, and with which line."""

from __future__ import annotations

import pytest

from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.sweepfile.search_settings import Search, draw
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
    ],
)
def test_a_mistake_is_a_line_with_its_place(written, old, new, message):
    with pytest.raises(SpecError, match=message):
        written(section=SECTION.replace(old, new))


def test_an_arm_that_does_not_train_cannot_be_searched(written):
    with pytest.raises(SpecError, match="nothing trains in this arm"):
        written(
            ("{initialize: drawn}", "{initialize: drawn, fine_tune: none, search: {samples: 2}}")
        )
