"""Doubles: which sources an arm draws from, what differs, and that no other id changes."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.plan.planner import make_plan
from harness.sweepfile.reader import load_sweep
from harness.sweepfile.resolved import resolved_yaml
from harness.trials.catalogue import DataCatalogue
from headstart.errors import SpecError

SWEEP = """\
name: doubles
question: Where does the spread come from?
model: {name: lenet5}
data: {name: glyphs, count: 300, train: 100, validation: 50, test: 50}
train: {epochs: 1}
pretrain: {drawn: {data: {name: glyphs, count: 200, seed: 1, train: 100, validation: 50}}}
arms:
  scratch: {train: {augment: {rotate: 5}}}
  pretrained: {initialize: drawn, model: {dropout: 0.2}}
  frozen: {initialize: drawn, fine_tune: none}
seeds: 4
"""


@pytest.fixture
def plan(tmp_path):
    def make(*replacements: tuple[str, str]):
        text = SWEEP
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return make_plan(load_sweep(path), DataCatalogue())

    return make


def test_each_arm_has_doubles_of_what_it_draws(plan):
    made = plan(("seeds: 4", "seeds: 4\nvary: decompose"))
    doubles = [trial for trial in made.trials if trial.stage == "double"]
    counts = Counter((double.arm, double.redrawn) for double in doubles)
    assert counts == {
        **{("scratch", axis): 4 for axis in ("split", "order", "init", "head", "augment")},
        **{("pretrained", axis): 4 for axis in ("split", "order", "dropout")},
        ("pretrained", "start"): 2, ("frozen", "split"): 4, ("frozen", "start"): 2,
    }  # fmt: skip
    assert len({trial.id for trial in made.trials}) == len(made.trials)
    assert any(f"decompose: {len(doubles)} further trials" in line for line in made.notes)
    own = {(t.arm, t.seed): t for t in made.trials if t.stage == "arm"}
    for double in doubles:
        base = own[double.arm, double.seed]
        differs = {axis for axis, seed in double.streams.items() if seed != base.streams[axis]}
        assert differs == {double.redrawn} - {"start"}
        assert (double.parent != base.parent) == (double.redrawn == "start")
    fresh = [d.streams[d.redrawn] for d in doubles if d.arm == "scratch"]
    assert not set(fresh) & {seed for trial in own.values() for seed in trial.streams.values()}
    assert len(set(fresh)) == len(fresh)


def test_no_other_trial_changes_and_the_resolved_sweep_plans_the_same(plan, tmp_path):
    before = plan()
    made = plan(("seeds: 4", "seeds: 4\ndecompose: 1\nvary: [order, init]"))
    plain = plan(("seeds: 4", "seeds: 4\nvary: [order, init]"))
    assert [t.id for t in made.trials if t.stage != "double"] == [t.id for t in plain.trials]
    assert {t.redrawn for t in made.trials} == {"", "order", "init", "start"}
    all_of_it = plan(("seeds: 4", "seeds: 4\nvary: decompose"))
    assert [t.id for t in all_of_it.trials if t.stage != "double"] == [t.id for t in before.trials]
    (tmp_path / "again.yaml").write_text(resolved_yaml(made.sweep))
    again = make_plan(load_sweep(tmp_path / "again.yaml"), DataCatalogue())
    assert [t.id for t in again.trials] == [t.id for t in made.trials]


def test_a_search_is_refused(plan):
    search = "search: {learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}, samples: 2}"
    with pytest.raises(SpecError, match=r"sweep.yaml:12: vary: does not go with `search`"):
        plan(("seeds: 4", f"seeds: 4\nvary: decompose\n{search}"))


def test_another_word_is_refused_with_what_is_allowed(plan):
    with pytest.raises(SpecError, match=r"sweep.yaml:12: vary: 'decomposed' is neither a list of "):
        plan(("seeds: 4", "seeds: 4\nvary: decomposed"))
