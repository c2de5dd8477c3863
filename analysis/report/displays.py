"""How results are named and written in every table: units, metrics, estimates, targets."""

from __future__ import annotations

from analysis import words
from analysis.findings.findings import Findings
from analysis.report.tables import Column

UNIT_WORDS = {"step": "Steps", "samples": "Images", "train_time_s": "Seconds"}
SCORE_WORDS = {
    "test_accuracy": "Test accuracy",
    "best_val_accuracy": "Best validation accuracy",
}
METRIC_WORDS = SCORE_WORDS | {"area_under_curve": "Area under the learning curve"}
PAIR = (Column("treatment", "Treatment"), Column("control", "Control"))


def task_column(findings: Findings) -> list[Column]:
    return [Column("task", "Task")] if len(findings.tasks) > 1 else []


def metric_words(metric: str, target: float) -> str:
    """`Steps to 97 %`, `Test accuracy`, `Area under the learning curve`."""
    if metric == "steps_to_target":
        return f"Steps to {100 * target:g} %"
    return METRIC_WORDS.get(metric, metric.replace("_", " "))


def estimate_text(row: dict[str, object]) -> str:
    """`+0.06 points [−0.90, +0.93]`, `at least 1.57× [1.44, ∞]`."""
    estimate, low, high = (float(row[k]) for k in ("estimate", "low", "high"))  # type: ignore[arg-type]
    if estimate != estimate:
        return words.NOTHING
    if row["scale"] == "speedup":
        bound = f"{row['bound']} " if row["bound"] in ("at least", "at most") else ""
        return bound + words.interval("ratio", estimate, low, high)
    text = words.interval("points", estimate, low, high)
    return text.replace(" [", " points [") if "[" in text else f"{text} points"


def reached_text(row: dict[str, object]) -> str:
    """`540 [500, 590]`; `≥ 812, 5 of 8 reached it`; `not reached (0 of 8)`."""
    n, n_reached = int(row["n"]), int(row["n_reached"])  # type: ignore[call-overload]
    if not n_reached:
        return f"not reached (0 of {n})"
    if n_reached == n:
        return words.interval("count", row["mean"], row["low"], row["high"])  # type: ignore[arg-type]
    return f"≥ {words.write('count', row['mean'])}, {n_reached} of {n} reached it"
