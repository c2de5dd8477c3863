"""What people read in place of an arm's name: `pretrained: {label: Pretrained on digits}`.

In: the sweep's nodes and its conditions. Out: by full name, the label of each arm that has one. A
label is no part of a condition, so that two arms which differ in it alone are still one, and so
that no id of a trial knows of it. Two arms must not look like one: that is checked here.
"""

from __future__ import annotations

from unicodedata import normalize

from harness.sweepfile.conditions import Conditions
from harness.sweepfile.mistakes import Mistakes, show
from headstart.grid import GridPoint
from headstart.output import on_one_line
from headstart.yaml12 import Node

MOST_CHARACTERS = 64  # as of a name


def labels_of(root: Node) -> dict[str, str]:
    """The labels as the file has them, each on one line, by the arm's own name."""
    texts = {
        name: normalize("NFC", " ".join(node.value.split())) for name, node in _nodes(root).items()
    }
    return {name: text for name, text in texts.items() if text}


def read_labels(
    root: Node, conditions: Conditions, mistakes: Mistakes, is_record: bool
) -> dict[str, str]:
    """The labels by full name, with the values of the grid behind them as names have them.

    A record has the grid in names and labels already, so that both may be longer there.
    """
    labels, nodes = labels_of(root), _nodes(root)
    for name, node in nodes.items():
        label = labels.get(name, "")
        is_too_long = len(label) > MOST_CHARACTERS and not is_record
        if not label or is_too_long or on_one_line(label) != label:
            text = f"{show(node)}: a label has 1 to {MOST_CHARACTERS} printing characters"
            mistakes.add(node, text)
    points = [conditions.points[name] for name in conditions.arms]
    shown = {
        point.name: GridPoint(labels[point.arm], point.values).name
        for point in points
        if point.arm in labels
    }
    arm_of = {name: name for name in _arms(root)} | {point.name: point.arm for point in points}
    label_of: dict[str, str] = {}  # the arm that a text is the label of
    for name, text in (*labels.items(), *shown.items()):
        arm = arm_of[name]
        if label_of.setdefault(text, arm) != arm:
            mistakes.add(nodes[arm], f"{text!r} is the label of arm {label_of[text]!r} too")
        elif arm_of.get(text, arm) != arm:
            mistakes.add(nodes[arm], f"{text!r} is the name of another arm")
    return shown


def _arms(root: Node) -> dict[str, Node]:
    arms = root.get("arms")
    return dict(arms.items()) if arms is not None and isinstance(arms.value, dict) else {}


def _nodes(root: Node) -> dict[str, Node]:
    """Where the file has a label, by the arm's own name."""
    at = {name: node.get("label") for name, node in _arms(root).items()}
    return {name: n for name, n in at.items() if n is not None and isinstance(n.value, str)}
