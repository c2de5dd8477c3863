"""`python -m analysis plan DIR`: how many seeds a question needs, with a run as the pilot.

In: a run folder and a question. Out: one line for each pair of the sweep. It stands apart from
`power`, which knows tables and no folders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from analysis.findings.asked import read_asked
from analysis.findings.load import load_runs
from analysis.measures.pairs.seeds_needed import plan
from headstart.errors import InputError


def plan_seeds(folder: Path | str, *, metric: str, power: float, **questions: float | None) -> str:
    """One line for each pair of the sweep and each question that was given (see `power.plan`).

    Raises:
        RunFolderError: no run folder. InputError: nothing asked, a run without a pair, a metric
            that does not exist.
    """
    _check_questions({**questions, "power": power})
    runs = load_runs([folder])
    asked = read_asked(runs)
    present = set(runs.trials.loc[runs.trials["stage"] == "arm", "arm"])
    pairs = [p for a in asked for p in a.pairs if set(p) <= present]
    if not pairs:
        raise InputError(f"{folder}: no two arms to compare, so there is nothing to plan for")
    targets = sorted({t for a in asked for t in a.targets}) if "to_target" in metric else []
    lines = plan(
        runs.trials,
        runs.curves[runs.curves["stage"] == "arm"],
        list(dict.fromkeys(pairs)),
        metric=metric,
        targets=targets,
        power=power,
        **questions,
        n_comparisons=len(pairs) * (2 + max(len(a.targets) for a in asked)),  # as the report
    )
    return "\n".join(lines["words"])


def _check_questions(given: Mapping[str, float | None]) -> None:
    """Raises InputError: a size that is none, a probability that is none."""
    for name, value in given.items():
        most = 1.0 if name in ("power", "p_better") else math.inf
        if value is not None and not 0 < value < most:
            option = f"--{name.replace('_', '-')}"
            allowed = "a number over 0" + ("" if math.isinf(most) else " and under 1")
            raise InputError(f"{option} {value:g}: {allowed} is expected")
