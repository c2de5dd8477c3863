"""Which of a run's networks are meant: of which arms and seeds, before or after their refit.

In: a run folder, its sweep, and what a user says. Out: `SavedModel`s, and the line that says which
they are. It stands alone because every command that shows pictures to a run's networks, or gives
them away, asks the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness.evaluate.models import SavedModel, find_models
from harness.evaluate.options import Networks
from harness.sweepfile.settings import Sweep
from headstart.errors import InputError
from headstart.metrics import LOWER_IS_BETTER, OF_TARGETS, WITHOUT_ACCURACY
from headstart.output import on_one_line
from headstart.records import trial_rows
from headstart.rows import TrialRow

Seed = int | Literal["best"]


def networks_of(
    run: Path, sweep: Sweep, arms: Sequence[str], networks: Networks | None
) -> tuple[list[SavedModel], str]:
    """The finished networks of the arms, and what to say of them.

    That is which are taken, where a run has both kinds, and which arms have none.

    `networks`: None takes the refitted ones where the sweep has them.

    Raises:
        InputError: there is no such arm, or no such network.
    """
    if networks == "refitted" and not sweep.refit:
        raise InputError(f"{run}: its sweep refits no network (refit: true)")
    refitted = sweep.refit and networks != "selected"
    saved = find_models(run, sweep, arms, refitted)
    of_arms = [model for model in saved if model.arm in sweep.arms]
    said = [_which(of_arms, refitted)] if of_arms and sweep.refit else []
    there = {model.arm for model in saved}
    if absent := [name for name in sweep.arms if name not in there and not arms]:
        why = "no network of it was refitted" if refitted else "no trial of it has finished"
        names = ", ".join(absent)
        said.append(
            on_one_line(f"left out, since {why}: {names} (see python -m harness.status {run})")
        )
    return saved, "\n".join(said)


def of_seed(run: Path, saved: Sequence[SavedModel], seed: Seed | None) -> list[SavedModel]:
    """The network of this seed of each arm; `best`: the one that did best on validation images.

    Best is by the score that `train.select` names (accuracy, where it names the last step), then by
    the other one, then the lowest seed; of a target without accuracy, by what leads its metrics. A
    refitted network has the scores of its trial.

    Raises:
        InputError: an arm has no such seed, or no validation score.
    """
    if seed is None:
        return list(saved)
    rows = _scored_rows(run, saved)
    return [
        _picked([model for model in saved if model.arm == arm], seed, rows)
        for arm in dict.fromkeys(model.arm for model in saved)
    ]


def _picked(
    members: Sequence[SavedModel], seed: Seed, rows: dict[str, TrialRow | None]
) -> SavedModel:
    arm = members[0].arm
    if seed != "best":
        for model in members:
            if model.row.seed == seed:
                return model
        seeds = ", ".join(str(model.row.seed) for model in members)
        raise InputError(f"--seed {seed}: no network of '{arm}' has this seed; it has {seeds}")
    scored = [(_rank(model, rows[model.id]), model) for model in members]
    known = [(rank, model) for rank, model in scored if rank is not None]
    if not known:
        raise InputError(f"--seed best: no network of '{arm}' has a validation score; give a seed")
    return min(known, key=lambda each: (each[0], each[1].row.seed))[1]


def _rank(model: SavedModel, row: TrialRow | None) -> tuple[float, float] | None:
    """Lower is better; None without a score."""
    if row is not None and row.target in WITHOUT_ACCURACY:
        name = OF_TARGETS[row.target][0]
        score = getattr(row, f"best_val_{name}")
        return None if score is None else (score if name in LOWER_IS_BETTER else -score, 0.0)
    if row is None or row.best_val_accuracy is None or math.isnan(row.best_val_accuracy):
        return None
    loss = row.best_val_loss
    loss = math.inf if loss is None or math.isnan(loss) else loss
    by_loss = model.condition.train.select == "val_loss"
    return (loss, -row.best_val_accuracy) if by_loss else (-row.best_val_accuracy, loss)


def _scored_rows(run: Path, saved: Sequence[SavedModel]) -> dict[str, TrialRow | None]:
    """By id the row that has a network's validation scores: its own, or its trial's."""
    trials = dict(trial_rows(run, [model.row.refits for model in saved if model.row.refits]))
    return {m.id: trials.get(m.row.refits) if m.row.refits else m.row for m in saved}


def _which(saved: Sequence[SavedModel], refitted: bool) -> str:
    """Which networks are taken, and on how many images they were trained."""
    sizes = sorted({model.row.n_train for model in saved if model.row.n_train is not None})
    n = " to ".join(f"{size:,}" for size in dict.fromkeys((*sizes[:1], *sizes[-1:])))
    if refitted:
        return f"networks: refitted on the images of all parts ({n} images)"
    return f"networks: those of the trials, trained on {n} images; not the refitted ones"
