"""Further test sets (`also_test`): the scores of each trial, each arm, and each pair of arms.

In: run folders, and the evidence. Out: a table of scores, contrasts that join the other questions
of the report, and a table by set and arm. It stands alone because these scores lie in a file of
their own, which a run may lack or have for some of its trials.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis import words
from analysis.findings.by_arm import final_interval
from analysis.measures.pairs.contrasts import build_contrasts
from analysis.statistics.pairs.contrast import Contrast
from analysis.statistics.pairs.metrics import CORRUPTED, OUTSIDE
from analysis.statistics.samples.pairing import Pair
from analysis.statistics.times.course import Course
from headstart.private import publishable


def sets_of(scores: pd.DataFrame) -> list[str]:
    """The further test sets, in order."""
    return list(dict.fromkeys(scores["test_set"].astype(str))) if len(scores) else []


def outside_contrasts(
    scores: pd.DataFrame,
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    pairs: Sequence[Pair],
    course: Course,
) -> list[Contrast]:
    """A contrast for each set, task and pair: all of them are one question of the report.

    Trials are those of the report; one without a score on a set has no value there.
    """
    contrasts: list[Contrast] = []
    for name in sets_of(scores):
        with_scores = _with_scores(trials, scores, name, course)
        metric = column_of(scores, name, course)
        if not with_scores[metric].notna().any():
            continue
        for contrast in build_contrasts(with_scores, curves, pairs, (), (metric,), course):
            at_chance = contrast.at_chance and replace(contrast.at_chance, test_set=name)
            contrasts.append(replace(contrast, test_set=name, at_chance=at_chance))
    return contrasts


def column_of(scores: pd.DataFrame, name: str, course: Course) -> str:
    """The metric of a set: `corrupted_accuracy` of images made worse, else `outside_accuracy`."""
    is_worse = scores.loc[scores["test_set"] == name, "corruption"].fillna("").ne("").any()
    return f"{CORRUPTED if is_worse else OUTSIDE}{course.name}"


def _with_scores(
    trials: pd.DataFrame, scores: pd.DataFrame, name: str, course: Course
) -> pd.DataFrame:
    """The trials with the metric of a set, and `n_outside`, how many images it has."""
    own = scores[scores["test_set"] == name].set_index("trial_id")
    metric = column_of(scores, name, course)
    values = pd.to_numeric(trials["trial_id"].map(own[course.name]), errors="coerce")
    done = trials["status"] == "done"
    n_images = trials["trial_id"].map(own["n_images"])
    return trials.assign(**{metric: values.where(done), "n_outside": n_images})


def outside_table(
    scores: pd.DataFrame, evidence: pd.DataFrame, score: str, course: Course
) -> pd.DataFrame:
    """A row a task, set and arm.

    Returns:
        task, test_set, arm, n_images, n (trials with a score), n_done, score, score_low,
        score_high (mean on the set, 95 % interval over seeds), inside (mean of the same trials on
        the arms' own test images), change (score - inside).
    """
    rows = []
    for name in sets_of(scores):
        table = _with_scores(evidence, scores, name, course)
        metric = column_of(scores, name, course)
        for (task, arm), trials in table.groupby(["task", "arm"], sort=False, observed=True):
            done = trials[trials["status"] == "done"]
            scored = done[done[metric].notna()]
            # A set that stays the same is no part of the pool that seeds draw from.
            alone = scored if metric.startswith(CORRUPTED) else scored.assign(overlap=0.0)
            mean = final_interval(alone, metric, course.is_share)
            inside = float(scored[score].mean()) if len(scored) else np.nan
            rows.append(
                {"task": task, "test_set": name, "arm": arm, "n_done": len(done)}
                | {"n": len(scored), "n_images": scored["n_outside"].max()}
                | mean.columns("score", "score_")
                | {"inside": inside, "change": mean.estimate - inside}
            )
    return pd.DataFrame(rows)


def remarks(scores: pd.DataFrame, evidence: pd.DataFrame) -> Iterable[str]:
    """What is to say where not every finished trial has every score."""
    names = sets_of(scores)
    done = set(evidence.loc[evidence["status"] == "done", "trial_id"])
    n = int(scores["trial_id"].isin(done).sum()) if len(scores) else 0
    if names and n < len(names) * len(done):
        yield f"{n} of {len(names) * len(done)} scores on further test sets were made."


def set_warnings(provenance: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the commands warned of in further test sets, each set and warning once."""
    sets = [each for p in provenance for each in _mappings(p.get("also_test"))]
    said = [
        words.sentence(f"{each.get('called')}: {publishable(warning)}")
        for each in sets
        if isinstance(each.get("warnings"), list)
        for warning in each["warnings"]
    ]
    return list(dict.fromkeys(said))


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
