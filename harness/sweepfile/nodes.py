"""Trees of values laid over each other: profiles, `--set`, and what arms inherit.

In: nodes that remember their file and line (`headstart.yaml12`). Out: nodes, each with the line
that wrote it, so that a mistake found much later is still reported with the line that made it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from headstart.errors import SpecError
from headstart.yaml12 import MAX_DEPTH, Node

# A mapping under one of these keys that says which kind it is replaces the whole: the options of
# one data set or schedule mean nothing to another.
_KIND_KEYS = {
    "data": {"name", "first_of"},
    "schedule": {"name"},
    "evaluate_every": {"steps", "epochs"},
}


LEFT_OUT = "none"  # in place of an arm or a stage


def merge(base: Node | None, override: Node | None) -> Node | None:
    """Lay `override` over `base`: mappings key by key, anything else replaced.

    A `data` or `schedule` with a name, or an `evaluate_every` with a unit, replaces the whole.
    """
    if base is None or override is None:
        return override if base is None else base
    if not isinstance(base.value, dict) or not isinstance(override.value, dict):
        return override
    if _KIND_KEYS.get(override.path.rsplit(".", 1)[-1], set()) & override.value.keys():
        return override
    merged = dict(base.value)
    for key, child in override.value.items():
        merged[key] = merge(merged.get(key), child)
    return Node(merged, override.where, override.path)


def with_value(root: Node, keys: Sequence[str], leaf: Node) -> Node:
    """A copy of `root` in which the value at `keys` is `leaf` (merged where both are mappings).

    Raises:
        SpecError: `keys` lead deeper than any setting lies.
    """
    if len(keys) > MAX_DEPTH:
        raise SpecError([f"{leaf.where}: {keys[0]}: leads over {MAX_DEPTH} keys deep"])
    wrapped = leaf
    for depth in range(len(keys) - 1, -1, -1):
        wrapped = Node({keys[depth]: wrapped}, leaf.where, ".".join(keys[:depth]))
    merged = merge(root, wrapped)
    assert merged is not None
    return Node(merged.value, root.where, root.path)


def without(root: Node, keys: Collection[str]) -> Node:
    """A copy of a mapping without these keys."""
    return Node({k: v for k, v in root.value.items() if k not in keys}, root.where, root.path)


def as_left_out(root: Node) -> Node:
    """A sweep without the arms and stages that are `none`: a profile leaves them out so."""
    for kind in ("arms", "pretrain"):
        section = root.get(kind)
        if section is not None and isinstance(section.value, dict):
            gone = [name for name, node in section.items() if node.value == LEFT_OUT]
            kept = without(section, gone)
            root = Node({**root.value, kind: kept}, root.where, root.path) if gone else root
    return root
