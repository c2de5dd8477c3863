"""Hyperparameter searches: their trials, which settings they varied, what they decided and why.

In: all trials, and the `search/ARM.json` of the run folders. Out: one entry a searched arm. What a
search trial drew stands in its grid point (JSON) and in the columns that every trial has; what was
decided is read from the records alone, never worked out again here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import words
from analysis.findings.load import Content, read_mapping
from analysis.words import spaced
from headstart.errors import RunFolderError
from headstart.grid import from_column

SETTINGS = ("learning_rate", "batch_size", "epochs", "fine_tune")
FORMAT = 1  # of the records that are understood
SAMPLES, ROUNDS = 10, 4  # of a record that does not say them: the defaults of a sweep file


@dataclass(frozen=True)
class Search:
    """The search trials of one arm; `settings` are the columns of `trials` that varied."""

    sweep: str
    arm: str
    trials: pd.DataFrame
    settings: tuple[str, ...]

    @property
    def best(self) -> pd.Series:
        """The row of the trial with the best validation accuracy."""
        return self.trials.loc[self.trials["best_val_accuracy"].idxmax()]


@dataclass(frozen=True)
class Decisions:
    """What the searches for one arm decided.

    Attributes:
        search: the section of the sweep, as recorded.
        for_each_seed: whether each seed has a search of its own.
        rungs: (epochs, configurations) of each, the same for all of the arm's searches.
        settings: names of the columns of `winners` that were searched.
        winners: one row a search: seed, n_trials, the settings, val_accuracy, val_loss, reason,
            trial_id (of the winning trial).
    """

    sweep: str
    arm: str
    search: Content
    for_each_seed: bool
    rungs: tuple[tuple[int, int], ...]
    settings: tuple[str, ...]
    winners: pd.DataFrame

    @property
    def by_loss(self) -> bool:
        """Whether validation loss chose, and not validation accuracy."""
        return self.search.get("metric") == "val_loss"

    @property
    def budget(self) -> str:
        """What the search of one seed could spend: how many configurations, for how long."""
        n = int(self.search.get("samples", SAMPLES))
        epochs = words.listed([str(epochs) for epochs, _ in self.rungs], "then")
        return f"{words.plural(n, 'configuration')} for {epochs} epochs"

    @property
    def drawn(self) -> str:
        """How configurations were drawn, where it is not one by one at random."""
        sampler = self.search.get("sampler", "random")
        if sampler == "tpe":
            n = int(self.search.get("rounds", ROUNDS))
            return f", drawn in {n} rounds by a tree-structured Parzen estimator"
        return ", drawn as scrambled Sobol points" if sampler == "sobol" else ""


def find_searches(trials: pd.DataFrame) -> tuple[Search, ...]:
    """Search trials by sweep and arm; settings are the columns and drawn values that differ."""
    searches = []
    searched = trials[trials["stage"] == "search"]
    for (sweep, arm), rows in searched.groupby(["sweep", "arm"]):
        drawn = pd.DataFrame(
            [_by_last_part(from_column(g)) for g in rows["grid"]], index=rows.index
        )
        rows = rows.drop(columns=[key for key in drawn if key in rows]).join(drawn)
        names = [*SETTINGS, *(key for key in drawn if key not in SETTINGS)]
        settings = [key for key in names if key in rows and len(set(rows[key].astype(str))) > 1]
        if settings and rows["best_val_accuracy"].notna().any():
            rows = rows.reset_index(drop=True)
            searches.append(Search(str(sweep), str(arm), rows, tuple(settings)))
    return tuple(searches)


def read_decisions(trials: pd.DataFrame, folders: tuple[Path, ...]) -> tuple[Decisions, ...]:
    """What the records of the run folders say, of the arms that have search trials.

    Raises:
        RunFolderError: a record is damaged.
    """
    decisions: dict[tuple[str, str], Decisions] = {}
    searched = trials[trials["stage"] == "search"]
    for folder in folders:
        rows = searched[searched["folder"] == str(folder)] if "folder" in searched else searched
        own = rows["arm_name" if "arm_name" in rows else "arm"]  # records know no labels
        places = zip(rows["sweep"].astype(str), rows["arm"].astype(str), strict=True)
        arms = dict(zip(own.astype(str), places, strict=True))
        for path in sorted((folder / "search").glob("*.json")):
            record = read_mapping(path)
            key = arms.get(str(record.get("arm")))
            if record.get("format") == FORMAT and key and record.get("searches"):
                decisions.setdefault(key, _decisions(path, key, record))
    return tuple(decisions[key] for key in sorted(decisions))


def describe_search(decided: Decisions) -> str:
    """How an arm was searched, what won and why, in three sentences."""
    n = len(decided.winners)
    n_trials = int(decided.winners["n_trials"].sum())
    steps = words.listed([f"{n} for {words.plural(e, 'epoch')}" for e, n in decided.rungs], "then")
    where = (
        f"{words.plural(n, 'search', 'searches')}, each inside one seed’s split"
        if decided.for_each_seed
        else "one search for all seeds"
    )
    what = "validation loss" if decided.by_loss else "validation accuracy"
    chosen = words.listed(
        f"{spaced(key)} {_summary(decided.winners[key])}" for key in decided.settings
    )
    why = str(decided.winners["reason"].iloc[0])
    reason = f"Each winner has the best {what} of its last rung" if n > 1 else f"It has {why}"
    return (
        f"For “{decided.arm}”: {where}, {words.plural(n_trials, 'trial')} (configurations: "
        f"{steps}{decided.drawn}), scored on validation images only. Chosen: {chosen}. {reason}."
    )


def setting_text(value: object) -> str:
    """A drawn value as a reader sees it: `0.00312`, `rotate 10 + scale 0.1`, `none`."""
    if isinstance(value, Mapping):
        return " + ".join(f"{spaced(str(k))} {setting_text(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return " to ".join(setting_text(v) for v in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _summary(values: pd.Series) -> str:
    """The value; of several the most frequent ones with their counts, of many numbers the range."""
    counts = Counter(setting_text(value) for value in values)
    if len(counts) == 1:
        return next(iter(counts))
    if len(counts) > 4 and pd.api.types.is_numeric_dtype(values):
        low, middle, high = values.min(), values.median(), values.max()
        return f"{middle:.3g} (median; {low:.3g} to {high:.3g})"
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return words.shortened([f"{text} ({n})" for text, n in ranked], 3)


def _decisions(path: Path, place: tuple[str, str], record: Content) -> Decisions:
    try:
        rows, rungs = [], []
        for seed, search in record["searches"].items():
            winner = search["winner"]
            values = _by_last_part(winner["values"])
            rows.append(
                {
                    "seed": int(seed),
                    "n_trials": int(search["n_trials"]),
                    **values,
                    "val_accuracy": winner["val_accuracy"],
                    "val_loss": winner["val_loss"],
                    "reason": str(search["reason"]),
                    "trial_id": str(winner.get("trial_id", "")),
                }
            )
            rungs = [(int(rung["epochs"]), len(rung["ranking"])) for rung in search["rungs"]]
        each = record["one_search_for"] == "each seed"
        asked = dict(record["search"])
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise RunFolderError(f"{path}: is no record of a search ({err})") from err
    winners = pd.DataFrame(rows).sort_values("seed", kind="stable", ignore_index=True)
    return Decisions(*place, asked, each, tuple(rungs), tuple(values), winners)


def _by_last_part(drawn: Mapping[str, object]) -> dict[str, object]:
    """What was drawn, by the last part of each key: `train.batch_size` → batch_size.

    Of a stage `pretrain.digits.train.epochs` → pretraining_epochs; with the stage's name where
    several are searched.
    """
    stages = {key.split(".")[1] for key in drawn if key.startswith("pretrain.")}
    return {
        _name_of(key, len(stages) > 1): setting_text(v) if isinstance(v, Mapping | list) else v
        for key, v in drawn.items()
    }


def _name_of(key: str, with_stage: bool) -> str:
    last = key.rsplit(".", 1)[-1]
    if not key.startswith("pretrain."):
        return last
    stage = re.sub(r"\W", "_", key.split(".")[1])
    return f"pretraining_{stage}_{last}" if with_stage else f"pretraining_{last}"
