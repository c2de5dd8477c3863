"""What a Parzen estimator proposes: beside optuna's own loop, and the same after a stop."""

from __future__ import annotations

import math

import optuna
import pytest

from harness.plan.proposals import propose
from harness.seeds import derive_seed
from harness.sweepfile.settings.search import Search

SPACE = {
    "train.learning_rate": {"log_uniform": [1e-5, 1e-1]},
    "model.dropout": {"uniform": [0.0, 0.5]},
    "train.batch_size": {"choice": [8, 16, 32]},
    "train.augment": {"choice": [{}, {"rotate": 10}]},
    "model.dense": {"integer": [10, 99]},
}


def loss(values) -> float:
    return abs(math.log10(values["train.learning_rate"]) + 3) + values["model.dropout"]


def run(search: Search) -> list[dict]:
    """All configurations, round by round."""
    configurations: list[dict] = []
    while len(configurations) < search.samples:
        proposed = propose(search, [loss(values) for values in configurations])
        assert proposed == propose(search, [loss(values) for values in configurations])
        configurations += proposed
    return configurations


def test_with_rounds_of_one_it_is_optunas_own_loop():
    search = Search.model_validate({"space": SPACE, "samples": 20, "rounds": 20, "sampler": "tpe"})
    drawn = run(search)
    seed = derive_seed(0, "search tpe", 0) % 2**32
    sampler = optuna.samplers.TPESampler(n_startup_trials=1, seed=seed)
    study = optuna.create_study(sampler=sampler)
    for values in drawn:
        trial = study.ask()
        plain = {
            "train.learning_rate": trial.suggest_float("rate", 1e-5, 1e-1, log=True),
            "model.dropout": trial.suggest_float("dropout", 0.0, 0.5),
            "train.batch_size": [8, 16, 32][trial.suggest_categorical("batch", [0, 1, 2])],
            "train.augment": [{}, {"rotate": 10}][trial.suggest_categorical("augment", [0, 1])],
            "model.dense": trial.suggest_int("dense", 10, 99),
        }
        assert {key: values[key] for key in SPACE} == {
            key: pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
            for key, value in plain.items()
        }
        study.tell(trial, loss(values))


def test_later_rounds_come_nearer_and_every_value_is_in_its_range():
    search = Search.model_validate({"space": SPACE, "samples": 24, "rounds": 4, "sampler": "tpe"})
    drawn = run(search)
    losses = [loss(values) for values in drawn]
    assert sum(losses[12:]) < sum(losses[:12])
    for values in drawn:
        assert 1e-5 <= values["train.learning_rate"] <= 1e-1
        assert 0 <= values["model.dropout"] <= 0.5
        assert values["train.batch_size"] in (8, 16, 32)
        assert type(values["model.dense"]) is int


def test_what_did_not_finish_is_told_and_leaves_the_rest_going():
    search = Search.model_validate({"space": SPACE, "samples": 8, "rounds": 2, "sampler": "tpe"})
    assert len(propose(search, [1.0, math.nan, 0.5, 0.2])) == 4
    assert len(propose(search, [math.nan] * 4)) == 4
