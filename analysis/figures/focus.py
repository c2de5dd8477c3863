"""What is shown where not everything can be: arms in one figure, tasks with figures of their own.

In: `Findings`. Out: names, and the sentence that says what was left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.figures.rows import Tried
from analysis.figures.style import Styles, arm_styles
from analysis.findings.by_class import MOST_ARMS, MOST_TASKS, pick_arms
from analysis.findings.findings import Findings
from headstart.files import safe_name


def focus_arms(findings: Findings, task: str) -> list[str]:
    """The arms of a task that one figure shows: controls, then the best in final accuracy."""
    rows = findings.arms[(findings.arms["task"] == task) & (findings.arms["n_done"] > 0)]
    controls = {pair[1] for asked in findings.asked if task in asked.tasks for pair in asked.pairs}
    return pick_arms(rows, controls)


def focus_styles(findings: Findings, task: str, styles: Styles) -> Styles:
    """`styles` of the focus arms alone."""
    return {arm: styles[arm] for arm in focus_arms(findings, task)}


def arms_note(findings: Findings, task: str) -> str:
    """A sentence on arms left out of a figure, or nothing."""
    n = int(((findings.arms["task"] == task) & (findings.arms["n_done"] > 0)).sum())
    if n <= MOST_ARMS:
        return ""
    return f" {MOST_ARMS} of {n} arms are drawn: the controls and the best in final accuracy."


def focus_tasks(findings: Findings) -> list[str]:
    """The tasks that have figures of their own: the first few with a finished trial."""
    done = findings.arms[findings.arms["n_done"] > 0]["task"].unique()
    return [task for task in findings.tasks if task in set(done)][:MOST_TASKS]


def file_name(kind: str, findings: Findings, task: str) -> str:
    """`learning_curves`, or with several tasks `learning_curves_2_TASK`, safe as a file name."""
    if len(findings.tasks) == 1:
        return kind
    return f"{kind}_{findings.tasks.index(task) + 1}_{safe_name(task, 40)}"


def titled(title: str, findings: Findings, task: str) -> str:
    """`title`, with the task where there are several."""
    return title if len(findings.tasks) == 1 else f"{title}, {task}"


def searched_styles(tried: Tried, styles: Styles) -> Styles:
    """The looks of the arms in `tried`; those that no sweep compares have looks of their own."""
    names = set(tried.rows["arm"])
    known = {arm: look for arm, look in styles.items() if arm in names}
    return known | arm_styles(sorted(names - set(known)))


def each_search(number: int, groups: Sequence[Tried]) -> str:
    """The name of the figure of search trials of that group, safe as a file name."""
    return "search_each" if len(groups) == 1 else f"search_each_{number + 1}"
