"""The data of the interactive charts, in the form that templates/page.js draws.

In: tables of `Findings`. Out: mappings of numbers and texts that become JSON in the page; NaN
and infinity become null. A chart has views (what the y axis shows), axes (what the x axis shows)
and series (one an arm); arms are numbers, their place in the page's list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.findings.learning import METRICS, Learning
from analysis.report.displays import interval_texts
from analysis.statistics.times.course import ACCURACY, Course

Spec = dict[str, object]
Series = list[dict[str, object]]
MOST_RUNS_POINTS = 12_000  # single values of one view: the page must open on a phone
AXES = {
    "step": ("Training steps", "step"),
    "samples": ("Training images seen", "images"),
    "train_time_s": ("Training seconds (mean over seeds)", "seconds"),
    "epoch": ("Epochs", "epoch"),
}


def plain(values: ArrayLike, digits: int = 5) -> list[float | None]:
    """Numbers with `digits` significant digits; null for what is not finite."""
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in np.asarray(values, float)]


def learning_chart(learning: Learning, task: str, numbers: Mapping[str, int], title: str) -> Spec:
    """Learning curves of one task: a view for each metric, an axis for each unit of effort."""
    bands = learning.bands[learning.bands["task"] == task]
    runs = learning.runs[learning.runs["task"] == task]
    views = []
    for metric, label in METRICS.items():
        band, single = (rows[rows["metric"] == metric] for rows in (bands, runs))
        is_share = metric.endswith("accuracy")
        scale = {"format": "percent", "limits": [0, 1]} if is_share else {"format": "number"}
        if len(band):
            views.append({"label": label, **scale, "series": _curves(band, single, numbers)})
    axes = [{"key": k, "label": v[0], "short": v[1]} for k, v in AXES.items() if k in bands]
    return {"kind": "lines", "title": title, "views": views, "axes": axes, "phases": True}


def _curves(bands: pd.DataFrame, runs: pd.DataFrame, numbers: Mapping[str, int]) -> Series:
    single = dict(iter(runs.groupby("arm", sort=False)))
    thin = -(-len(runs) // MOST_RUNS_POINTS) if len(runs) else 1
    series: Series = []
    for arm in numbers:
        band = bands[bands["arm"] == arm]
        if band.empty:
            continue
        curve: dict[str, object] = {
            "arm": numbers[arm],
            "x": {key: plain(band[key]) for key in AXES if key in band},
            "y": plain(band["mean"]),
            "n": band["n"].astype(int).tolist(),
        }
        if band["low"].notna().any():
            curve |= {"low": plain(band["low"]), "high": plain(band["high"])}
        if band["n"].max() > 1 and arm in single:
            curve["runs"] = _runs(single[arm], band["step"], thin)
        series.append(curve)
    return series


def _runs(runs: pd.DataFrame, steps: pd.Series, thin: int) -> list[list[float | None]]:
    """Values of the single runs at `steps`; of every `thin`-th run where there are many."""
    table = runs.set_index(["step", "seed"])["value"].unstack().reindex(steps)  # noqa: PD010
    return [plain(table[seed], 4) for seed in table.columns[::thin]]


def survival_chart(
    survival: pd.DataFrame,
    targets: Sequence[float],
    numbers: Mapping[str, int],
    title: str,
    course: Course = ACCURACY,
) -> Spec:
    """Share of seeds that reached each target against steps: one view a target, of one task."""
    until = float(survival["time"].max())
    curves = dict(iter(survival.groupby(["target", "arm"])))
    views = [
        {
            "label": f"target {course.target(target)}",
            "format": "percent",
            "limits": [0, 1],
            "series": [
                _stairs(curves[target, arm], numbers[arm], until)
                for arm in numbers
                if (target, arm) in curves
            ],
        }
        for target in targets
    ]
    axes = [{"key": "step", "label": "Training steps", "short": "step"}]
    stairs = {"kind": "lines", "step": True, "count": "at risk:"}
    return stairs | {"title": title, "views": views, "axes": axes}


def _stairs(curve: pd.DataFrame, number: int, until: float) -> dict[str, object]:
    censored = curve[curve["n_censored"] > 0]
    if curve["share_reached"].iloc[-1] >= 1:  # known to the end: a trial reaches a target once
        last = curve.iloc[[-1]].assign(time=max(until, curve["time"].iloc[-1]), at_risk=0)
        curve = pd.concat([curve, last])
    return {
        "arm": number,
        "x": {"step": plain(curve["time"])},
        "y": plain(curve["share_reached"]),
        "low": plain(curve["low"]),
        "high": plain(curve["high"]),
        "n": curve["at_risk"].astype(int).tolist(),
        "marks": [
            list(pair)
            for pair in zip(plain(censored["time"]), plain(censored["share_reached"]), strict=True)
        ],
    }


def finals_chart(
    evidence: pd.DataFrame,
    arms: pd.DataFrame,
    task: str,
    score: str,
    numbers: Mapping[str, int],
    title: str,
    course: Course = ACCURACY,
) -> Spec:
    """Final accuracy (or what is measured) by arm: every seed a dot, the mean with its interval."""
    scored = arms[(arms["task"] == task) & arms["score"].notna()]
    rows = evidence[(evidence["task"] == task) & (evidence["status"] == "done")]
    series = []
    for place, row in enumerate(scored.itertuples()):
        dots = rows.loc[rows["arm"] == row.arm, score].dropna().to_numpy()
        series.append(
            {
                "arm": numbers[row.arm],
                "x": {"arm": [place]},
                "y": plain([row.score]),
                "low": plain([row.score_low]),
                "high": plain([row.score_high]),
                "n": [int(row.score_n)],
                "dots": [plain(dots[: MOST_RUNS_POINTS // max(len(scored), 1)])],
            }
        )
    axes = [{"key": "arm", "label": "", "short": "", "ticks": scored["arm"].tolist()}]
    views = [{"label": course.words.capitalize(), "format": course.kind, "series": series}]
    return {"kind": "points", "title": title, "views": views, "axes": axes}


UNIT_VIEWS = (("step", "Steps"), ("samples", "Images seen"), ("train_time_s", "Training seconds"))


def speedup_chart(
    speedups: pd.DataFrame,
    task: str,
    numbers: Mapping[str, int],
    title: str,
    course: Course = ACCURACY,
) -> Spec:
    """Speedup of each pair at each target: a view for each unit of effort; bounds are arrows."""
    rows = speedups[speedups["task"] == task]
    targets = sorted(float(t) for t in rows["target"].unique())
    views = [
        {
            "label": label,
            "format": "ratio",
            "scale": "log",
            "reference": 1,
            "include": 1,
            "series": _speedup_series(rows[rows["unit"] == unit], targets, numbers),
        }
        for unit, label in UNIT_VIEWS
        if rows.loc[rows["unit"] == unit, "estimate"].notna().any()
    ]
    axis = {
        "key": "target",
        "label": f"Target (validation {course.words})",
        "short": "target",
        "ticks": list(map(course.target, targets)),
        "dodge": True,
    }
    return {"kind": "points", "title": title, "views": views, "axes": [axis]}


def _speedup_series(rows: pd.DataFrame, targets: list[float], numbers: Mapping[str, int]) -> Series:
    return [
        {
            "arm": numbers[treatment],
            "label": f"{treatment} against {control}",
            "x": {"target": [targets.index(t) for t in group["target"]]},
            "y": plain(group["estimate"]),
            "low": [v or None for v in plain(group["low"])],  # 0 is no end but an open one
            "high": plain(group["high"]),
            "text": [
                "not known" if unknown else text  # the table below the chart says why
                for unknown, text in zip(
                    group["estimate"].isna(), interval_texts(group, "ratio"), strict=True
                )
            ],
        }
        for (treatment, control), group in rows.groupby(["treatment", "control"], sort=False)
    ]
