"""Recipes by name: written out, laid under what stands beside them, documented as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.sweepfile.reader import load_sweep, read_sweep
from harness.sweepfile.recipes import RECIPES
from harness.sweepfile.resolved import resolved_yaml
from harness.sweepfile.settings import Sweep, Train
from headstart.errors import SpecError
from headstart.yaml12 import parse_yaml

SWEEP = """\
name: recipes
question: Which?
model: {name: lenet5}
data: {name: optdigits}
train: {recipe: fine_tune_photographs, epochs: 3, schedule: {final_fraction: 0.1}}
arms:
  as_all: {}
  own_key: {train: {learning_rate: 0.5, augment: {horizontal_flip: 0.0}}}
  probe: {train: {recipe: linear_probe, batch_size: 7}}
"""


def load(tmp_path: Path, text: str = SWEEP, *assignments: str) -> Sweep:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return load_sweep(path, assignments=assignments)


def test_own_keys_win_and_an_arms_recipe_lies_over_the_sweeps(tmp_path: Path) -> None:
    arms = load(tmp_path).arms
    given = RECIPES["fine_tune_photographs"].train
    expected = Train.model_validate(
        {**given, "epochs": 3, "schedule": {**given["schedule"], "final_fraction": 0.1}}
    )
    assert arms["as_all"].train == expected
    own = arms["own_key"].train
    assert (own.learning_rate, own.augment.horizontal_flip, own.epochs) == (0.5, 0.0, 3)
    assert own.augment.random_resized_crop == (0.08, 1.0)
    probe = arms["probe"].train
    assert (probe.batch_size, probe.epochs, probe.optimizer) == (7, 100, "adam")


def test_profiles_assignments_and_grids_may_name_one(tmp_path: Path) -> None:
    text = SWEEP + "grid: {train.recipe: [scratch_small_pictures, fine_tune_photographs]}\n"
    arms = load(tmp_path, text).arms
    assert len({arm.train.batch_size for name, arm in arms.items() if "as_all" in name}) == 2
    set_ = load(tmp_path, SWEEP, "train.recipe=scratch_small_pictures").arms["as_all"].train
    assert (set_.batch_size, set_.epochs) == (128, 3)


def test_the_runs_file_has_them_in_full_with_their_source(tmp_path: Path) -> None:
    sweep = load(tmp_path)
    text = resolved_yaml(sweep)
    assert "  recipe:" not in text
    assert "Kornblith" in sweep.choices["recipe linear_probe"]
    assert read_sweep(parse_yaml(text, "sweep.yaml")) == sweep


def test_a_name_that_none_has(tmp_path: Path) -> None:
    words = r":5: train.recipe: 'fine_tune_vits' is not one of fine_tune_ph.*'fine_tune_vit'\?"
    with pytest.raises(SpecError, match=words):
        load(tmp_path, SWEEP.replace("fine_tune_photographs", "fine_tune_vits"))


@pytest.mark.parametrize("name", RECIPES)
def test_each_is_valid_and_the_page_has_it_in_full(name: str) -> None:
    recipe = RECIPES[name]
    Train.model_validate(recipe.train)
    page = (Path(__file__).parents[3] / "docs/recipes.md").read_text(encoding="utf-8")
    section = page.split(f"### `{name}`\n")[1].split("\n### ")[0].split("\n## ")[0]
    block = re.search(r"```yaml\n(.*?)```", section, re.S)
    assert block is not None
    written = yaml.safe_load(block[1])["train"]
    assert Train.model_validate(written) == Train.model_validate(recipe.train)
    plain = " ".join(section.split())
    assert recipe.source in plain
    assert recipe.use in plain


def test_another_optimizer_does_not_take_what_the_recipe_says_of_its_own(tmp_path: Path) -> None:
    text = SWEEP.replace("as_all: {}", "as_all: {train: {optimizer: adam}}")
    other = load(tmp_path, text).arms["as_all"].train
    assert (other.optimizer, other.momentum, other.nesterov) == ("adam", 0.0, False)
    assert other.weight_decay == RECIPES["fine_tune_photographs"].train["weight_decay"]
    muon = load(tmp_path, text, "train.optimizer=muon").arms["own_key"].train
    assert (muon.optimizer, muon.momentum) == ("muon", 0.0)
    same = load(tmp_path, SWEEP, "train.optimizer=sgd").arms["as_all"].train
    assert (same.momentum, same.nesterov) == (0.9, True)
    with pytest.raises(SpecError, match="momentum and nesterov belong to sgd"):
        load(tmp_path, text, "train.momentum=0.5")


def test_a_key_that_cannot_stand_beside_the_recipes_takes_its_place(tmp_path: Path) -> None:
    own = "{augment: {random_crop: 0}, schedule: {warmup_steps: 3}}"
    arms = load(tmp_path, SWEEP.replace("as_all: {}", f"as_all: {{train: {own}}}")).arms
    train = arms["as_all"].train
    assert (train.augment.random_crop, train.augment.random_resized_crop) == (0, None)
    assert train.augment.horizontal_flip == 0.5  # the recipe's other keys stay
    schedule = train.schedule
    assert (schedule.warmup_steps, schedule.warmup_epochs, schedule.name) == (3, 0.0, "cosine")
    assert arms["own_key"].train.augment.random_resized_crop == (0.08, 1.0)
    vit = SWEEP.replace("fine_tune_photographs, epochs: 3, ", "fine_tune_vit, augment: AUGMENT, ")
    policies = {"{trivial_augment: true}": (False, True), "{trivial_augment: false}": (True, False)}
    for given, is_there in policies.items():
        augment = load(tmp_path, vit.replace("AUGMENT", given)).arms["as_all"].train.augment
        assert (augment.rand_augment is not None, augment.trivial_augment) == is_there
    both = "{random_crop: 4, random_resized_crop: 0.5}"
    with pytest.raises(SpecError, match=r"give one of them; null takes away one that is inh"):
        load(tmp_path, vit.replace("AUGMENT", both))
