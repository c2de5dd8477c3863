"""Label Studio's full JSON export: tasks with nested annotations → flat objects.

In: what `json` made of the file. Out: an object for each task, with its data and, as `label`, what
its annotators chose. It stands alone because no other tool nests a label so deep.
"""

from __future__ import annotations

from collections.abc import Sequence


def are_tasks(entries: Sequence[object]) -> bool:
    """Whether all entries are tasks of Label Studio."""
    return bool(entries) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("data"), dict)
        and isinstance(entry.get("annotations"), list)
        for entry in entries
    )


def flat_tasks(entries: Sequence[object]) -> list[object]:
    """The tasks' data with their labels; several different choices are joined by a comma."""
    return [
        {**task["data"], "label": ", ".join(dict.fromkeys(_choices(task["annotations"])))}
        for task in entries
        if isinstance(task, dict)
    ]


def _choices(annotations: Sequence[object]) -> list[str]:
    """What was chosen in all annotations that were not cancelled."""
    results = [
        result
        for each in annotations
        if isinstance(each, dict) and not each.get("was_cancelled")
        for result in _list(each.get("result"))
    ]
    values = [result.get("value") for result in results if isinstance(result, dict)]
    chosen = [_list(value.get("choices")) for value in values if isinstance(value, dict)]
    return [choice for choices in chosen for choice in choices if isinstance(choice, str)]


def _list(given: object) -> list[object]:
    return given if isinstance(given, list) else []
