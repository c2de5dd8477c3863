"""`python -m analysis diff OLD NEW`: what changed between two runs of a sweep.

In: two run folders. Out: `Changes`: keys of the sweep and of the provenance that differ, trials
that only one run has, and every arm of the new run against the same arm of the old one, paired
by seed, with the statistics of the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings.asked import read_asked
from analysis.findings.findings import SEED
from analysis.findings.load import Runs, load_runs
from analysis.report.displays import estimate_text, metric_words
from analysis.statistics.pairs.compare import COLUMNS, compare_all
from headstart.errors import RunFolderError
from headstart.files import atomic_file

OLD, NEW = "old: ", "new: "
MOST_SHOWN = 30


@dataclass(frozen=True)
class Changes:
    """What differs. comparisons: rows of `compare_all`, treatment the new run, control the old,
    with the arm's name in `arm`. n_same: trials that both runs have with the same result."""

    settings: tuple[str, ...]
    provenance: tuple[str, ...]
    only_old: int
    only_new: int
    n_same: int
    n_both: int
    comparisons: pd.DataFrame
    text: str


def diff_runs(old: Path | str, new: Path | str) -> Changes:
    """Compare two run folders.

    Raises:
        RunFolderError: a folder is no run folder, or the two have no arm in common.
    """
    runs = {OLD: load_runs([old]), NEW: load_runs([new])}
    evidence = {side: r.trials[r.trials["stage"] == "arm"] for side, r in runs.items()}
    arms = [a for a in dict.fromkeys(evidence[OLD]["arm"]) if a in set(evidence[NEW]["arm"])]
    if not arms:
        raise RunFolderError(
            f"{old} and {new} have no arm in common, so there is nothing to compare; give two "
            "runs of one sweep"
        )
    comparisons = _compare(runs, evidence, arms)
    keys = ["task", "arm", "seed"]
    both = evidence[OLD].merge(evidence[NEW], on=keys, suffixes=("_old", "_new"))
    same = (both["status_old"] == both["status_new"]) & (
        both["test_accuracy_old"].eq(both["test_accuracy_new"])
        | (both["test_accuracy_old"].isna() & both["test_accuracy_new"].isna())
    )
    found = {
        "settings": tuple(_changed(_sweep(runs[OLD]), _sweep(runs[NEW]))),
        "provenance": tuple(_changed(runs[OLD].provenance[0], runs[NEW].provenance[0])),
        "only_old": len(evidence[OLD]) - len(both),
        "only_new": len(evidence[NEW]) - len(both),
        "n_same": int(same.sum()),
        "n_both": len(both),
        "comparisons": comparisons,
    }
    return Changes(**found, text="\n".join(_text(old, new, found)))


def write_diff(changes: Changes, out: Path | str) -> Path:
    """diff.md and diff.csv in the folder `out`; returns the former."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_file(out / "diff.csv") as file:
        changes.comparisons.to_csv(file, index=False, lineterminator="\n")
    with atomic_file(out / "diff.md") as file:
        file.write(changes.text + "\n")
    return out / "diff.md"


def _compare(
    runs: Mapping[str, Runs], evidence: Mapping[str, pd.DataFrame], arms: list[str]
) -> pd.DataFrame:
    """Every arm of the new run against itself in the old one."""
    trials = pd.concat([_renamed(evidence[side], side) for side in (OLD, NEW)], ignore_index=True)
    curves = pd.concat(
        [_renamed(runs[side].curves, side) for side in (OLD, NEW)], ignore_index=True
    )
    asked = read_asked(runs[NEW])
    score = "test_accuracy" if trials["test_accuracy"].notna().any() else "best_val_accuracy"
    found = compare_all(
        trials,
        curves[curves["stage"] == "arm"],
        [(NEW + arm, OLD + arm) for arm in arms],
        sorted({target for one in asked for target in one.targets}),
        min((one.margin for one in asked if one.margin is not None), default=None),
        np.random.default_rng(SEED),
        (score, "area_under_curve", "steps_to_target"),
    )
    return found.assign(arm=found["treatment"].str.removeprefix(NEW))[["arm", *COLUMNS]]


def _renamed(frame: pd.DataFrame, side: str) -> pd.DataFrame:
    """Arms and ids told apart by run; one id in both runs is one trial that was run twice."""
    return frame.assign(arm=side + frame["arm"], trial_id=side + frame["trial_id"])


def _sweep(runs: Runs) -> Mapping[str, Any]:
    return runs.sweeps[0] if runs.sweeps else {}


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """`versions.torch: 2.14 → 2.15` for every leaf that differs."""
    left, right = dict(_leaves(old)), dict(_leaves(new))
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key):
            yield f"{key}: {left.get(key, 'not set')} → {right.get(key, 'not set')}"


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _text(old: Path | str, new: Path | str, found: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {Path(old).name} → {Path(new).name}"
    yield ""
    rows = found["comparisons"]
    changed = rows[rows["verdict"].isin(["better", "worse"])]
    n = len(rows)
    yield (
        f"{len(changed)} of {n} comparisons differ (paired by seed, Holm over all {n})."
        if len(changed)
        else f"No difference is shown in {words.plural(n, 'comparison')} (Holm over all)."
    )
    yield (
        f"{found['n_both']} trials are in both runs, {found['n_same']} of them with the same test "
        f"accuracy to the last digit; {found['only_old']} only in the old run, "
        f"{found['only_new']} only in the new."
    )
    for title, key in (("Sweep", "settings"), ("Provenance", "provenance")):
        yield ""
        yield f"## {title}"
        lines = found[key]
        yield from (f"- {line}" for line in lines[:MOST_SHOWN])
        if len(lines) > MOST_SHOWN:
            yield f"- and {len(lines) - MOST_SHOWN} more"
        if not lines:
            yield "- no difference"
    yield ""
    yield "## Arms, new against old"
    for row in rows.to_dict("records"):
        where = f"{row['task']}, " if len(set(rows["task"])) > 1 else ""
        note = f" ({row['note']})" if row["note"] else ""
        yield (
            f"- {where}{row['arm']}, {metric_words(row['metric'], row['target'])}: "
            f"{row['verdict']}, {estimate_text(row)}, {row['n_pairs']} pairs{note}"
        )
