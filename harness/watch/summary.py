"""What the live page shows of a run, as plain data for its script.

In: a `Follower`. Out: a mapping for JSON. There is no verdict and no p-value in it, so that to look
changes nothing of what the report may say. It stands alone because it is all that the page knows.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from harness.runfolder.running import Number, time_left_now
from harness.trials.time_left import duration_text
from harness.watch.follow import Curve, Follower
from headstart.records import FINAL, PlannedTrial

STATES = ("planned", "running", "done", "failed", "diverged")
QUANTITIES = {
    "accuracy": {
        "validation": "val_accuracy",
        "training": "train_accuracy",
        "right labels": "val_right_accuracy",
    },
    "loss": {"validation": "val_loss", "training": "train_loss", "right labels": "val_right_loss"},
}
MOST_MEANS, MOST_SINGLE = 6_000, 8_000  # points of all curves together
MOST_LINES = 50  # of the log
MOST_RUNS = 200  # trials that are drawn alone
Arm = tuple[str, str]  # stage and name


def summarize(follower: Follower) -> dict[str, Any]:
    """Everything of the page that changes."""
    by_arm: dict[Arm, list[PlannedTrial]] = defaultdict(list)
    for trial in follower.plan.trials:
        by_arm[trial.stage, trial.arm].append(trial)
    states = {trial.id: follower.state_of(trial) for trial in follower.plan.trials}
    arms = list(by_arm)
    colours = {arm: [a for a in arms if a[0] == arm[0]].index(arm) for arm in arms}
    means = [p for n, arm in enumerate(arms) for p in _means(n, arm, by_arm[arm], follower)]
    most = MOST_RUNS // max(1, len(arms))
    alone = {arm: _alone(by_arm[arm], states, follower, most) for arm in arms}
    single = [p for n, arm in enumerate(arms) for p in _single(n, alone[arm], follower, states)]
    return {
        "name": follower.plan.sweep,
        "question": follower.about.question,
        "stand_ins": list(follower.about.stand_ins),
        **_state(follower, Counter(states.values())),
        "arms": [_arm(arm, colours[arm], by_arm[arm], states, follower) for arm in arms],
        "curves": _thinned(means, MOST_MEANS),
        "runs": _thinned(single, MOST_SINGLE),
        "log": list(_log(follower, states))[:MOST_LINES],
    }


def _state(follower: Follower, counts: Counter[str]) -> dict[str, str]:
    """`not begun`, `running`, `stopped` or `over`, and a sentence that says it."""
    n = counts.total()
    n_open = counts["planned"] + counts["running"]
    words = [f"{counts['done']} of {n} trials {'is' if counts['done'] == 1 else 'are'} done"]
    words += [f"{counts[s]} {s}" for s in ("diverged", "failed") if counts[s]]
    if not follower.has_begun:
        lives = bool(follower.alive)
        line = "Its command makes the plan." if lives else "No command has begun this run yet."
        return {"state": "not begun", "line": line}
    if follower.alive and (n_open or not n):
        words.append(f"{counts['running']} running")
        left_s = time_left_now(follower.running, follower.alive, time.time())
        if left_s is not None:
            words.append(f"about {duration_text(left_s)} left")
        return {"state": "running", "line": f"{', '.join(words)}."}
    if follower.alive:
        return {"state": "running", "line": f"{', '.join(words)}; the report is being written."}
    if n_open:
        how = follower.about.command or "the same command"
        line = f"{', '.join(words)}. The run was stopped; to go on: {how}"
        return {"state": "stopped", "line": line}
    line = f"The run is over: {', '.join(words)}. Its report: python -m analysis {follower.run}"
    return {"state": "over", "line": line}


def _arm(
    arm: Arm, colour: int, trials: Sequence[PlannedTrial], states: Mapping[str, str], f: Follower
) -> dict[str, Any]:
    counts = Counter(states[trial.id] for trial in trials)
    rows = [f.rows[trial.id] for trial in trials if states[trial.id] == "done"]
    tested = [row.test_accuracy for row in rows if row.test_accuracy is not None]
    values = tested or [r.best_val_accuracy for r in rows if r.best_val_accuracy is not None]
    return {
        "colour": colour,
        "stage": arm[0],
        "name": _shown(arm, f),
        **{state: counts[state] for state in STATES},
        "share": _share(trials, states, f),
        **(_estimate(values) if arm[0] != "search" else _estimate(())),
        "of": ("test" if tested else "validation") if values else "",
    }


def _shown(arm: Arm, follower: Follower) -> str:
    """What people read in place of an arm's name, or the name of a stage."""
    stage, name = arm
    return name if stage == "pretrain" else follower.plan.labels.get(name, name)


def _share(trials: Sequence[PlannedTrial], states: Mapping[str, str], f: Follower) -> float:
    """Of an arm's steps, those that were made: an ended trial counts whole."""
    done = 0.0
    for trial in trials:
        if states[trial.id] == "running":
            said = (each.trials.get(trial.id) for each in f.running)
            done += max(
                (each.step / each.n_steps for each in said if each and each.n_steps), default=0
            )
        else:
            done += states[trial.id] != "planned"
    return round(done / len(trials), 4)


def _estimate(values: Sequence[float]) -> dict[str, str]:
    """The mean so far, `94.61 %`, and its interval, `93.90 to 95.32 %`, from two values on."""
    if not values:
        return {"final": "", "range": ""}
    mean, low, high = _as_reported(tuple(values))
    return {
        "final": f"{100 * mean:.2f} %",
        "range": "" if low is None else f"{100 * low:.2f} to {100 * (high or 0.0):.2f} %",
    }


@cache
def _as_reported(values: tuple[float, ...]) -> tuple[float, float | None, float | None]:
    """Mean of accuracies with the interval that a report has for them."""
    if len(values) < 2:
        return values[0], None, None
    from analysis.statistics.samples.intervals import mean_interval

    estimate = mean_interval(values).within(0.0, 1.0)
    return estimate.estimate, estimate.low, estimate.high


def interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean and Student's 95 % interval of it, sample unit the trial; no interval of one value."""
    n, mean = len(values), math.fsum(values) / len(values)
    if n < 2:
        return mean, None, None
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = _quantile(n - 1) * sd / math.sqrt(n)
    return mean, mean - half, mean + half


@cache
def _quantile(degrees: int) -> float:
    from analysis.statistics.samples.resampling import student_quantile

    return student_quantile(degrees, 0.95)


def _means(
    number: int, arm: Arm, trials: Sequence[PlannedTrial], follower: Follower
) -> Iterator[dict[str, Any]]:
    """Mean over the trials that came so far, with its interval; of a search each trial differs."""
    if arm[0] == "search":
        return
    curves = [curve for curve in map(follower.curve_of, trials) if curve]
    for quantity, parts in QUANTITIES.items():
        for part, column in parts.items():
            for step, values in sorted(_by_step(curves, column).items()):
                mean, low, high = interval(values)
                yield {
                    "arm": number, "quantity": quantity, "part": part, "step": step,
                    "mean": _rounded(mean), "low": _rounded(low), "high": _rounded(high),
                    "n": len(values),
                }  # fmt: skip


def _by_step(curves: Iterable[Curve], column: str) -> dict[int, list[float]]:
    values: dict[int, list[float]] = defaultdict(list)
    for curve in curves:
        for step, value in zip(curve["step"], curve.get(column, ()), strict=False):
            if value is not None and math.isfinite(value):
                values[int(step or 0)].append(value)
    return values


def _alone(
    trials: Sequence[PlannedTrial], states: Mapping[str, str], f: Follower, most: int
) -> list[PlannedTrial]:
    """The trials that are drawn alone: those that run, and of the others every so many."""
    running = [trial for trial in trials if states[trial.id] == "running"]
    others = [trial for trial in trials if states[trial.id] != "running" and f.curve_of(trial)]
    every = math.ceil(len(others) / max(1, most - len(running)))
    return (running + others[:: every or 1])[: max(1, most)]


def _single(
    number: int, trials: Sequence[PlannedTrial], follower: Follower, states: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Validation curves of single trials."""
    for trial in trials:
        curve = follower.curve_of(trial)
        for quantity, parts in QUANTITIES.items() if curve else ():
            for step, value in zip(curve["step"], curve[parts["validation"]], strict=False):
                if value is not None and math.isfinite(value):
                    yield {
                        "arm": number, "quantity": quantity, "trial": trial.id,
                        "step": int(step or 0), "value": _rounded(value),
                        "runs": states[trial.id] == "running",
                    }  # fmt: skip


def _thinned(points: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Every so many points, and the last one of each curve, where there are too many."""
    every = math.ceil(len(points) / most)
    if every <= 1:
        return points
    keys = ("arm", "quantity", "part", "trial")
    kept = []
    for n, point in enumerate(points):
        after = points[n + 1] if n + 1 < len(points) else {}
        if n % every == 0 or any(point.get(key) != after.get(key) for key in keys):
            kept.append(point)
    return kept


def _log(follower: Follower, states: Mapping[str, str]) -> Iterator[str]:
    """A line for each trial that failed or diverged, and for what cannot be read."""
    for trial in follower.plan.trials:
        row = follower.rows.get(trial.id)
        if row is not None and row.status != "done" and states[trial.id] != "running":
            lines = row.error.strip().splitlines() or ["no reason was recorded"]
            arm = _shown((trial.stage, trial.arm), follower)
            yield f"{arm} seed {trial.seed} {row.status}: {lines[-1][:300]}"
    yield from (text[:400] for text in follower.damaged.values())
    if follower.n_unread:
        n_ended = sum(row.status in FINAL for row in follower.rows.values())
        yield f"{follower.n_unread} of {n_ended} curves of ended trials are not read yet"


def _rounded(value: Number) -> Number:
    return None if value is None else float(f"{value:.5g}")
