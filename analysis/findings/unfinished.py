"""A run that goes on, or was stopped: which of its planned trials have ended by now.

In: a run folder with its plan, and the rows that its table has. Out: the plan, and the rows that
trials left since the table was written. A command writes tables now and then, and one that was
killed wrote none for what ended last; the records have it all. It stands alone because everything
else of the analysis takes a run as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from headstart.records import PlanRecord, trial_rows
from headstart.rows import TrialRow


@dataclass(frozen=True)
class Unfinished:
    """How many trials the plan has, and how many of them have ended (failed ones included)."""

    n_ended: int
    n_planned: int

    def __str__(self) -> str:
        verb = "has" if self.n_ended == 1 else "have"
        return f"{self.n_ended:,} of {self.n_planned:,} trials {verb} ended"


def rows_since(folder: Path, plan: PlanRecord, known: Collection[str]) -> Iterator[TrialRow]:
    """Rows of planned trials that are not `known`, under the names that the plan gives them.

    Raises:
        RunFolderError: a record is damaged.
    """
    planned = {trial.id: trial for trial in plan.trials}
    lacking = [trial_id for trial_id in planned if trial_id not in known]
    for trial_id, row in trial_rows(folder, lacking) if lacking else ():
        if row is not None:
            trial = planned[trial_id]
            yield replace(
                row,
                trial_id=trial_id,
                sweep=plan.sweep,
                stage=trial.stage,
                arm=trial.arm,
                seed=trial.seed,
            )


def unfinished(planned: Collection[str], ended: Collection[str]) -> Unfinished | None:
    """What is to be said of a run; None where each planned trial has ended, or no plan is known."""
    n_ended = len(set(planned) & set(ended))
    return Unfinished(n_ended, len(planned)) if n_ended < len(planned) else None
