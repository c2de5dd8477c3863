"""YAML text in, a tree of values that remember their file and line out.

It stands alone because PyYAML reads YAML 1.1, where `1e-5` is a string, `10:30` is a number of
seconds and `no` is False. A sweep file is read as YAML 1.2's core schema reads it; duplicate keys,
unknown tags and anything that is not plain data are refused. Every value keeps where it was
written, through merging of profiles, `--set` and inheritance, so that a mistake found much later
is still reported with the line that made it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from headstart.errors import SpecError

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
_PLAIN_TAGS = ("null", "bool", "int", "float", "str", "map", "seq")


class Where(NamedTuple):
    """A file's name and a line from 1; or `--set`, which has none."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Node:
    """One value: a scalar, a dict of nodes or a list of nodes; where it stands, and its path."""

    value: Any
    where: Where
    path: str

    def plain(self) -> Any:
        """The value without its origins: dicts, lists, strings, numbers, booleans, None."""
        return _mapped(self.value, Node.plain)

    def changed(self, change: Callable[[Node], Node]) -> Node:
        """The node, and every node below it, changed."""
        below = _mapped(self.value, lambda child: child.changed(change))
        return change(Node(below, self.where, self.path))

    def get(self, *keys: str | int) -> Node | None:
        """The node below, or None where there is none."""
        node: Node | None = self
        for key in keys:
            if node is None:
                return None
            if isinstance(node.value, dict):
                node = node.value.get(key)
            elif isinstance(node.value, list) and isinstance(key, int):
                node = node.value[key] if 0 <= key < len(node.value) else None
            else:
                return None
        return node

    def items(self) -> Iterator[tuple[str, Node]]:
        """The entries of a mapping; none for anything else."""
        if isinstance(self.value, dict):
            yield from self.value.items()


def _mapped(value: Any, change: Callable[[Node], object]) -> Any:
    """A dict's or list's nodes, each changed; a scalar as it is."""
    if isinstance(value, dict):
        return {key: change(child) for key, child in value.items()}
    if isinstance(value, list):
        return [change(child) for child in value]
    return value


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader with the scalar rules of YAML 1.2's core schema."""


_CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
):
    _CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )


def read_yaml(path: Path | str) -> Node:
    """Read a file of one YAML mapping.

    Raises:
        SpecError: no such file, not UTF-8, over 1 MB, not YAML, not a mapping, a duplicate key.
    """
    try:
        raw = Path(path).read_bytes()
    except OSError as err:
        raise SpecError([f"{path}: cannot be read: {err.strerror}"]) from err
    if len(raw) > MAX_BYTES:
        raise SpecError([f"{path}: {len(raw)} bytes; a sweep file has at most {MAX_BYTES}"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise SpecError([f"{path}: is not UTF-8 text (byte {err.start})"]) from err
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Node:
    """Read one YAML mapping from text; `name` stands for the file in messages."""
    try:
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line = mark.line + 1 if mark else 1
        raise SpecError([f"{name}:{line}: is not YAML: {err.problem or err.context}"]) from err
    except yaml.YAMLError as err:
        raise SpecError([f"{name}: is not YAML: {err}"]) from err
    if not isinstance(root, yaml.MappingNode):
        raise SpecError([f"{name}:1: a mapping (`key: value` lines) is expected"])
    return _Builder(name).build(root, "")


def parse_scalar_or_flow(text: str, option: str, path: str) -> Node:
    """Read the value of an option like `--set`: a number, a word, or a flow list or mapping."""
    where = Where(option)
    try:
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.YAMLError as err:
        raise SpecError([f"{where}: {path}: {text!r} is not a YAML value"]) from err
    if root is None:
        return Node(None, where, path)
    node = _Builder(option).build(root, path)
    return node.changed(lambda each: Node(each.value, where, each.path))


class _Builder:
    """Turns PyYAML's nodes into ours, bounding how far aliases may unfold."""

    def __init__(self, name: str):
        self.name = name
        self.n_nodes = 0

    def build(self, node: yaml.Node, path: str) -> Node:
        where = Where(self.name, node.start_mark.line + 1)
        self.n_nodes += 1
        if self.n_nodes > MAX_NODES or path.count(".") > 60:
            raise SpecError([f"{where}: unfolds to over {MAX_NODES} values"])
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _PLAIN_TAGS:
            message = f"the tag {node.tag} is not allowed; plain values only"
            raise SpecError([f"{where}: {path}: {message}"])
        if isinstance(node, yaml.MappingNode):
            return Node(self._mapping(node, path), where, path)
        if isinstance(node, yaml.SequenceNode):
            children = [self.build(child, f"{path}[{i}]") for i, child in enumerate(node.value)]
            return Node(children, where, path)
        return Node(self._scalar(node), where, path)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Node]:
        children: dict[str, Node] = {}
        for key_node, value_node in node.value:
            where = Where(self.name, key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise SpecError([f"{where}: {path}: a key must be a word"])
            key = key_node.value
            below = f"{path}.{key}" if path else key
            if key in children:
                first = children[key].where
                raise SpecError([f"{where}: {below}: is given twice (first at {first})"])
            child = self.build(value_node, below)
            # a value may stand on a later line than its key; the key's line is the one to look at
            children[key] = Node(child.value, where, below)
        return children

    @staticmethod
    def _scalar(node: yaml.Node) -> object:
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        text = node.value
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() == "true"
        if tag == "int":
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if tag == "float":
            return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
        return text


# A mapping under one of these keys that says which kind it is replaces the whole: the options of
# one data set or schedule mean nothing to another.
_KIND_KEYS = {
    "data": {"name", "first_of"},
    "schedule": {"name"},
    "evaluate_every": {"steps", "epochs"},
}


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
    """A copy of `root` in which the value at `keys` is `leaf` (merged where both are mappings)."""
    wrapped = leaf
    for depth in range(len(keys) - 1, -1, -1):
        wrapped = Node({keys[depth]: wrapped}, leaf.where, ".".join(keys[:depth]))
    merged = merge(root, wrapped)
    assert merged is not None
    return Node(merged.value, root.where, root.path)


def without(root: Node, keys: Collection[str]) -> Node:
    """A copy of a mapping without these keys."""
    return Node({k: v for k, v in root.value.items() if k not in keys}, root.where, root.path)
