"""Every trial under its arm: its seed, how it ended, its curve as a small line, and its files.

In: the content of a report, and links. Out: a `Trials` block. It stands apart from the tables,
which have numbers alone: here a reader comes from an arm to its trials, and on to their files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.document import Content, TrialGroup, TrialLine, Trials
from analysis.report.links import Links

MOST_TRIALS = 240  # of all arms, that the page lists
MOST_POINTS = 48  # of a small line
WIDTH, HEIGHT = 120, 22  # of it, in pixels


def list_trials(content: Content, links: Links) -> Iterator[Trials]:
    """One block, where there is any trial."""
    findings = content.findings
    ids = group_ids(findings)
    rows = dict(iter(findings.evidence.groupby(["task", "arm"], sort=False)))
    places = [place for place in ids if place in rows][:MOST_TRIALS]
    if not places:
        return
    limit = max(1, MOST_TRIALS // len(places))
    shown = {place: rows[place].head(limit) for place in places}
    curves = _curves(findings, [name for group in shown.values() for name in group["trial_id"]])
    groups = [
        TrialGroup(
            id=ids[place],
            arm=place[1],
            task=place[0] if len(findings.tasks) > 1 else "",
            color=content.styles[place[1]].color,
            trials=tuple(_trials(findings, group, curves, links)),
            left_out=len(rows[place]) - len(group),
        )
        for place, group in shown.items()
    ]
    yield Trials(tuple(groups), WIDTH, HEIGHT)


def group_ids(findings: Findings) -> dict[tuple[str, str], str]:
    """Where the page lists the trials of each task and arm."""
    places = zip(findings.arms["task"], findings.arms["arm"].astype(str), strict=True)
    return {place: f"trials-{k + 1}" for k, place in enumerate(places)}


def _trials(
    findings: Findings, rows: pd.DataFrame, curves: Mapping[str, str], links: Links
) -> Iterator[TrialLine]:
    course, score = findings.course, findings.score
    for row in rows.to_dict("records"):
        trial_id = str(row["trial_id"])
        fingerprint = str(row.get("dataset_fingerprint") or "")
        done = row["status"] == "done"
        yield TrialLine(
            trial_id=trial_id,
            seed=str(row["seed"]),
            end=words.write(course.kind, row[score]) + course.behind
            if done
            else str(row["status"]),
            is_done=done,
            path=curves.get(trial_id, ""),
            links=tuple(links.of_trial(row["folder"], trial_id, fingerprint)),
        )


def _curves(findings: Findings, ids: Iterable[str]) -> dict[str, str]:
    """For each trial its curve as the path of an SVG; all of them on one scale."""
    column, table = findings.course.column, findings.runs.curves
    table = table[table["trial_id"].isin(list(ids)) & table[column].notna()]
    if table.empty:
        return {}
    low, high = float(table[column].min()), float(table[column].max())
    last = float(table["step"].max()) or 1.0
    paths = {}
    for trial_id, rows in table.groupby("trial_id", sort=False):
        keep = np.unique(np.linspace(0, len(rows) - 1, MOST_POINTS).astype(int))
        x = rows["step"].to_numpy(dtype=float)[keep] / last * (WIDTH - 2) + 1
        y = (high - rows[column].to_numpy(dtype=float)[keep]) / (high - low or 1.0)
        points = (f"{a:.0f} {b:.1f}" for a, b in zip(x, 1 + y * (HEIGHT - 2), strict=True))
        paths[str(trial_id)] = "M" + "L".join(points)
    return paths
