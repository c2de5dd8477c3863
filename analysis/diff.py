"""`python -m analysis diff OLD NEW`: what changed between two runs of a sweep.

In: two run folders. Out: `Changes`: keys of the sweep and of the provenance that differ, trials
that only one run has, and every arm of the new run against the same arm of the old one, paired
by seed, with the statistics of the report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings.alike import APART, leaves, other_data, other_metric, remarks_on, share_draws
from analysis.findings.asked import read_asked
from analysis.findings.findings import SEED
from analysis.findings.load import Runs, load_apart, sides_of, with_tasks_of
from analysis.findings.measured import course_of, final_of
from analysis.measures.pairs.compare import compare_all, comparison_table
from analysis.statistics.pairs.comparison import Comparison
from analysis.statistics.pairs.wording import row_words, sample_words
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import Course
from headstart.cells import write_frame
from headstart.errors import InputError, RunFolderError
from headstart.files import atomic_file
from headstart.private import without_paths, without_secrets

OLD, NEW = "old: ", "new: "
MOST_SHOWN = 30


@dataclass(frozen=True)
class Changes:
    """What differs. comparisons: `compare_all`'s, treatment the new run, control the old.
    n_same: trials that both runs have with the same result. remarks: what is not alike in the two
    beside what is compared, and must be known first."""

    names: tuple[str, str]
    remarks: tuple[str, ...]
    settings: tuple[str, ...]
    provenance: tuple[str, ...]
    only_old: int
    only_new: int
    n_same: int
    n_both: int
    comparisons: tuple[Comparison, ...]

    @property
    def text(self) -> str:
        """All of it in words, as Markdown."""
        return "\n".join(_text(self))

    @property
    def table(self) -> pd.DataFrame:
        """The comparisons, with the arm's name in `arm`."""
        arms = [row.treatment.removeprefix(NEW) for row in self.comparisons]
        table = comparison_table(self.comparisons)
        table.insert(0, "arm", arms)
        return table


def diff_runs(old: Path | str, new: Path | str) -> Changes:
    """Compare two run folders.

    Raises:
        RunFolderError: a folder is no run folder, or the two have no arm in common.
        InputError: an arm learned other data in one of the two (a stand-in beside what it stands
            in for), or the two measure different metrics.
    """
    before, after = load_apart(old, new)
    runs = {OLD: before, NEW: with_tasks_of(before, after)}
    sides = sides_of((old, new), (runs[OLD], runs[NEW]))
    evidence = {side: r.trials[r.trials["stage"] == "arm"] for side, r in runs.items()}
    arms = [a for a in dict.fromkeys(evidence[OLD]["arm"]) if a in set(evidence[NEW]["arm"])]
    if not arms:
        raise RunFolderError(
            f"{old} and {new} have no arm in common, so there is nothing to compare; give two "
            "runs of one sweep"
        )
    for text in filter(None, [other_metric(sides), *(other_data(sides, arm) for arm in arms)]):
        raise InputError(f"{text}: that says nothing of what changed between the two")
    apart = {arm for arm in arms if not share_draws(sides, arm)}
    course = course_of(read_asked(runs[NEW]))
    comparisons = _compare(runs, evidence, arms, apart, course)
    keys = ["task", "arm", "seed"]
    both = evidence[OLD].merge(evidence[NEW], on=keys, suffixes=("_old", "_new"))
    same = (both["status_old"] == both["status_new"]) & (
        both["test_accuracy_old"].eq(both["test_accuracy_new"])
        | (both["test_accuracy_old"].isna() & both["test_accuracy_new"].isna())
    )
    return Changes(
        names=(Path(old).name, Path(new).name),
        remarks=tuple(remarks_on(sides, arms)),
        settings=tuple(map(_shown, _changed(_sweep(runs[OLD]), _sweep(runs[NEW])))),
        provenance=tuple(map(_shown, _changed(runs[OLD].provenance[0], runs[NEW].provenance[0]))),
        only_old=len(evidence[OLD]) - len(both),
        only_new=len(evidence[NEW]) - len(both),
        n_same=int(same.sum()),
        n_both=len(both),
        comparisons=tuple(comparisons),
    )


def write_diff(changes: Changes, out: Path | str) -> Path:
    """diff.md and diff.csv in the folder `out`; returns the former."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_frame(out / "diff.csv", changes.table)
    with atomic_file(out / "diff.md") as file:
        file.write(changes.text + "\n")
    return out / "diff.md"


def _compare(
    runs: Mapping[str, Runs],
    evidence: Mapping[str, pd.DataFrame],
    arms: list[str],
    apart: Collection[str],
    course: Course,
) -> list[Comparison]:
    """Every arm of the new run against itself in the old one; `apart`: arms that do not pair."""
    trials, curves = (
        pd.concat([_renamed(frames[side], side) for side in (OLD, NEW)], ignore_index=True)
        for frames in (evidence, {side: r.curves for side, r in runs.items()})
    )
    asked = read_asked(runs[NEW])
    trials["seed"] += APART * trials["arm"].isin({NEW + arm for arm in apart})
    score = final_of(course, trials)
    return compare_all(
        trials,
        curves[curves["stage"] == "arm"],
        [Pair(NEW + arm, OLD + arm) for arm in arms],
        sorted({t for a in asked for t in a.targets}, reverse=course.lower_is_better),
        min((a.margin for a in asked if a.margin is not None), default=None),
        np.random.default_rng(SEED),
        (score, "area_under_curve", "steps_to_target"),
        course=course,
    )


def _renamed(frame: pd.DataFrame, side: str) -> pd.DataFrame:
    """With the run's side in arms and ids: one id in both runs is one trial that was run twice."""
    return frame.assign(arm=side + frame["arm"], trial_id=side + frame["trial_id"])


def _sweep(runs: Runs) -> Mapping[str, object]:
    return runs.sweeps[0] if runs.sweeps else {}


def _changed(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    """`versions.torch: 2.14 → 2.15` for every leaf that differs."""
    left, right = dict(leaves(old)), dict(leaves(new))
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key):
            yield f"{key}: {left.get(key, 'not set')} → {right.get(key, 'not set')}"


def _shown(line: str) -> str:
    return without_paths(without_secrets(line))


def _text(changes: Changes) -> Iterator[str]:
    yield f"# {changes.names[0]} → {changes.names[1]}"
    yield ""
    for text in changes.remarks:
        yield f"Note: {_shown(text)}."
    if changes.remarks:
        yield ""
    rows = changes.comparisons
    n, n_differ = len(rows), sum(row.verdict in ("better", "worse") for row in rows)
    yield (
        f"{n_differ} of {n} comparisons differ (paired by seed where seeds draw the same; 5 % for "
        "final values and 5 % for the way there, each over all its rows)."
        if n_differ
        else f"No difference is shown in {words.plural(n, 'comparison')} (5 % for each question)."
    )
    yield (
        f"{changes.n_both} trials are in both runs, {changes.n_same} of them with the same test "
        f"accuracy to the last digit; {changes.only_old} only in the old run, "
        f"{changes.only_new} only in the new."
    )
    for title, lines in (("Sweep", changes.settings), ("Provenance", changes.provenance)):
        yield ""
        yield f"## {title}"
        yield from (f"- {line}" for line in lines[:MOST_SHOWN])
        if len(lines) > MOST_SHOWN:
            yield f"- and {len(lines) - MOST_SHOWN} more"
        if not lines:
            yield "- no difference"
    yield ""
    yield "## Arms, new against old"
    n_tasks = len({row.task for row in rows})
    for row in rows:
        where = f"{row.task}, " if n_tasks > 1 else ""
        note = f" ({row.note})" if row.note else ""
        state = row.verdict if row.state == "shown" else row.state
        yield (
            f"- {where}{row.treatment.removeprefix(NEW)}, {state}: {row_words(row, alone=True)}, "
            f"{sample_words(row)}{note}"
        )
