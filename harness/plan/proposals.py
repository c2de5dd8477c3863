"""Configurations that follow from the results before them: a tree-structured Parzen estimator.

In: a search with `sampler: tpe`, and the scores of the configurations that have run. Out: those of
the next round. Nothing is kept from call to call: optuna's sampler is asked and told all rounds
anew, so a command that was stopped proposes the same as one that was not.

Source: Bergstra, Bardenet, Bengio, Kégl (2011), Algorithms for Hyper-Parameter Optimization, §4, as
optuna has it, with the constant liar of Ginsbourger et al. (2010) inside a round.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

from harness.seeds import derive_seed
from harness.sweepfile.settings.search import Distribution, Search
from headstart.errors import MissingPackageError
from headstart.grid import Values

SEED_BITS = 32  # of numpy's generators, as optuna makes them


def propose(search: Search, scores: Sequence[float]) -> list[Values]:
    """The configurations of the round after those that have scores.

    Args:
        search: with `sampler: tpe`.
        scores: of all configurations of the rounds before, in their order; smaller is better, and
            NaN stands for one that did not finish.

    Raises:
        MissingPackageError: optuna is not installed.
    """
    optuna = _optuna()
    first, *_ = search.round_sizes
    seed = derive_seed(search.seed, "search tpe", 0) % 2**SEED_BITS
    sampler = optuna.samplers.TPESampler(n_startup_trials=first, constant_liar=True, seed=seed)
    study = optuna.create_study(sampler=sampler)
    space = {key: _of_optuna(optuna, each) for key, each in search.space.items()}
    n_told = 0
    for size in search.round_sizes:
        asked = [study.ask(space) for _ in range(size)]
        if n_told == len(scores):
            return [_values(search, trial.params) for trial in asked]
        for trial, score in zip(asked, scores[n_told : n_told + size], strict=True):
            if math.isnan(score):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, score)
        n_told += size
    raise AssertionError("all rounds have run")


def _of_optuna(optuna: Any, distribution: Distribution) -> Any:
    """The same distribution in optuna's words; of a choice, the number of the item."""
    made = optuna.distributions
    if distribution.choice is not None:
        return made.CategoricalDistribution(tuple(range(len(distribution.choice))))
    low, high = distribution.ends()
    if distribution.integer is not None:
        return made.IntDistribution(low, high)
    return made.FloatDistribution(low, high, log=distribution.log_uniform is not None)


def _values(search: Search, params: dict[str, Any]) -> Values:
    values: dict[str, Any] = {}
    for key, distribution in search.space.items():
        given = params[key]
        if distribution.choice is not None:
            given = distribution.choice[given]
        elif distribution.integer is None:
            given = distribution.rounded(given)
        values[key] = given
    return values


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as err:
        raise MissingPackageError(
            "search: sampler: tpe: needs a package that is not installed: uv pip install -r "
            "pyproject.toml --extra optuna"
        ) from err
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
