"""YAML text in, a tree of values that remember their file and line out.

It stands alone because PyYAML reads YAML 1.1, where `1e-5` is a string, `10:30` is a number of
seconds and `no` is False. Here text is read as YAML 1.2's core schema reads it, and what is no
plain data is refused: duplicate keys, tags, aliases that hold themselves or unfold without end,
values nested deeper than any person writes, numbers beyond 64 bits, text that is not UTF-8. It
stands in this package because every command has options or files that are YAML.

What a person wrote is small. What a command wrote (`RECORD`) may have tens of thousands of arms:
libyaml splits it into its parts, where it is there, under the same rules.
"""

from __future__ import annotations

import gc
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from headstart.errors import SpecError
from headstart.output import is_text, on_one_line

MAX_DEPTH = 60
MAX_WHOLE = 2**63  # what tables and tensors hold
_PREFIX = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Limits:
    """How large a text may be."""

    n_bytes: int
    n_nodes: int


OF_A_PERSON = Limits(1_000_000, 100_000)
RECORD = Limits(256 << 20, 4_000_000)  # 20,000 arms that write out all they have: 1,500,000 values


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


class _LimitedComposer(Composer):
    """Makes nodes of events, with a limit to their nesting and to their number."""

    depth = 0
    n_nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        self.n_nodes += 1
        if self.depth > MAX_DEPTH:
            raise self._refusal(f"is nested deeper than {MAX_DEPTH} levels")
        if self.n_nodes > RECORD.n_nodes:
            raise self._refusal(f"has over {RECORD.n_nodes} values")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refusal(self, problem: str) -> yaml.MarkedYAMLError:
        mark = self.peek_event().start_mark  # type: ignore[attr-defined]
        return yaml.MarkedYAMLError(None, None, problem, mark)


class _CoreLoader(_LimitedComposer, yaml.SafeLoader):
    """SafeLoader with the scalar rules of YAML 1.2's core schema."""


class _WordLoader(_CoreLoader):
    """Every scalar without a tag is text."""


def _record_loader() -> type[Any]:
    """A loader like `_CoreLoader` that gets its events from libyaml, where that is there."""
    if not yaml.__with_libyaml__:
        return _CoreLoader
    from yaml._yaml import CParser  # cannot be imported without libyaml

    class RecordLoader(_LimitedComposer, CParser, SafeConstructor, Resolver):
        def __init__(self, stream: str):
            CParser.__init__(self, stream)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    RecordLoader.yaml_implicit_resolvers = _CoreLoader.yaml_implicit_resolvers
    return RecordLoader


_CoreLoader.yaml_implicit_resolvers = {}
_WordLoader.yaml_implicit_resolvers = {}
_PATTERNS: dict[str, re.Pattern[str]] = {}  # of the scalars of each tag
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
    _PATTERNS[_tag] = re.compile(f"^(?:{_pattern})$")
    _CoreLoader.add_implicit_resolver(_PREFIX + _tag, _PATTERNS[_tag], _first)
_RECORD_LOADER = _record_loader()


def read_yaml(path: Path | str, *, as_words: bool = False, limits: Limits = OF_A_PERSON) -> Node:
    """Read a file of one YAML mapping; `as_words` and `limits` as in `parse_yaml`.

    Raises:
        SpecError: no such file, no plain file, not UTF-8, too large, not YAML, not a mapping, a
            duplicate key.
    """
    try:
        raw = _first_bytes(Path(path), limits.n_bytes + 1)
    except OSError as err:
        raise SpecError([f"{path}: cannot be read: {err.strerror}"]) from err
    if len(raw) > limits.n_bytes:
        raise SpecError([f"{path}: a YAML file has at most {limits.n_bytes} bytes"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = raw.count(b"\n", 0, err.start) + 1
        raise SpecError([f"{path}:{line}: is not UTF-8 text (byte {err.start})"]) from err
    return parse_yaml(text, str(path), as_words=as_words, limits=limits)


def _first_bytes(path: Path, n: int) -> bytes:
    """At most `n` bytes; what never ends is not waited for."""
    mode = path.stat().st_mode
    is_open_pipe = stat.S_ISFIFO(mode) and path.as_posix().startswith(("/dev/", "/proc/"))
    if stat.S_ISDIR(mode):
        raise SpecError([f"{path}: is a folder; a YAML file is expected"])
    if not (stat.S_ISREG(mode) or is_open_pipe):
        raise SpecError([f"{path}: is no plain file; a YAML file is expected"])
    with open(path, "rb") as file:
        return file.read(n)


def parse_yaml(
    text: str, name: str, *, as_words: bool = False, limits: Limits = OF_A_PERSON
) -> Node:
    """Read one YAML mapping from text; `name` stands for the file in messages.

    With `as_words` every scalar stays as it is written: 0123 may be a row of labels, not 83.
    """
    loader = _RECORD_LOADER if limits == RECORD else _CoreLoader
    with collector_paused(), _as_mistakes(text, name):
        root = yaml.compose(text, Loader=_WordLoader if as_words else loader)
        if not isinstance(root, yaml.MappingNode):
            raise SpecError([f"{name}:1: a mapping (`key: value` lines) is expected"])
        # without aliases no value takes less than two letters
        most = min(limits.n_nodes, max(OF_A_PERSON.n_nodes, len(text) // 2))
        return _Builder(name, most).build(root, "")


@contextmanager
def collector_paused() -> Iterator[None]:
    """For what makes very many objects and no garbage.

    Python's collector would look through all of them again and again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def parse_scalar_or_flow(text: str, option: str, path: str) -> Node:
    """Read the value of an option like `--set`: a number, a word, or a flow list or mapping."""
    where = Where(option)
    try:
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.YAMLError as err:
        raise SpecError([_joined(where, path, f"{_shown(text)} is not a YAML value")]) from err
    if root is None:
        return Node(None, where, path)
    node = _Builder(option, has_lines=False).build(root, path)
    return node.changed(lambda each: Node(each.value, where, each.path))


@contextmanager
def _as_mistakes(text: str, name: str) -> Iterator[None]:
    """What PyYAML refuses, as one line that names the file's line."""
    try:
        yield
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line = mark.line + 1 if mark else 1
        raise SpecError([f"{name}:{line}: is not YAML: {err.problem or err.context}"]) from err
    except yaml.reader.ReaderError as err:  # a control character
        line = text.count("\n", 0, err.position) + 1
        problem = f"the character U+{int(err.character):04X} is not allowed"
        raise SpecError([f"{name}:{line}: is not YAML: {problem}"]) from err


class _Builder:
    """Turns PyYAML's nodes into ours, bounding how far aliases may unfold."""

    def __init__(self, name: str, limit: int = OF_A_PERSON.n_nodes, *, has_lines: bool = True):
        self.name = name
        self.limit = limit
        self.has_lines = has_lines
        self.n_nodes = 0
        self.around: list[yaml.Node] = []  # the values that the present one lies in

    def build(self, node: yaml.Node, path: str) -> Node:
        where = self._where(node)
        self.n_nodes += 1
        if self.n_nodes > self.limit:
            raise self._mistake(node, path, f"unfolds to over {self.limit} values")
        if any(node is outer for outer in self.around):
            raise self._mistake(node, path, "an alias holds itself")
        if len(self.around) >= MAX_DEPTH:
            raise self._mistake(node, path, f"is nested deeper than {MAX_DEPTH} levels")
        self._check_tag(node, path)
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node, path), where, path)
        self.around.append(node)
        built = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else [
            self.build(child, f"{path}[{i}]") for i, child in enumerate(node.value)
        ]  # fmt: skip
        self.around.pop()
        return Node(built, where, path)

    def _where(self, node: yaml.Node) -> Where:
        return Where(self.name, node.start_mark.line + 1 if self.has_lines else 0)

    def _mistake(self, node: yaml.Node, path: str, text: str) -> SpecError:
        return SpecError([_joined(self._where(node), path, text)])

    def _check_tag(self, node: yaml.Node, path: str) -> None:
        """Raises SpecError: a tag that is not plain, or is not of what follows it."""
        tag = node.tag.removeprefix(_PREFIX)
        if isinstance(node, yaml.ScalarNode):
            allowed = {"str", *_PATTERNS}
        else:
            allowed = {"map" if isinstance(node, yaml.MappingNode) else "seq"}
        if tag not in allowed:
            message = f"the tag {_shown(node.tag)} is not allowed; plain values only"
            raise self._mistake(node, path, message)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Node]:
        children: dict[str, Node] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._mistake(key_node, path, "a key must be a word")
            key = key_node.value
            self._check_text(key_node, path)
            where, below = self._where(key_node), f"{path}.{key}" if path else key
            if key in children:
                first = children[key].where
                again = f"is given twice (first at {first})" if self.has_lines else "is given twice"
                raise self._mistake(key_node, below, again)
            child = self.build(value_node, below)
            # a value may stand on a later line than its key; the key's line is the one to look at
            children[key] = Node(child.value, where, below)
        return children

    def _scalar(self, node: yaml.ScalarNode, path: str) -> object:
        tag, text = node.tag.removeprefix(_PREFIX), node.value
        if tag == "str":
            self._check_text(node, path)
            return text
        if not _PATTERNS[tag].fullmatch(text):
            raise self._mistake(node, path, f"{_shown(text)} is no {tag}")
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() == "true"
        number = _whole(text) if tag == "int" else _real(text)
        if number is None:
            raise self._mistake(node, path, f"{_shown(text)} is a number of more than 64 bits")
        return number

    def _check_text(self, node: yaml.ScalarNode, path: str) -> None:
        """Raises SpecError: an escape such as "\\ud800" or "\\0", which no name of a file holds."""
        if "\0" in node.value or not is_text(node.value):
            what = f"{_shown(node.value)} has half a character, or a null, which is not text"
            raise self._mistake(node, path if path.isascii() else "", what)


def _whole(text: str) -> int | None:
    """None where it takes more than 64 bits; Python would refuse or spend long on the longest."""
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    number = int(text, base) if len(text) <= 100 else MAX_WHOLE
    return number if -MAX_WHOLE <= number < MAX_WHOLE else None


def _real(text: str) -> float | None:
    """None for digits whose value is infinite; `.inf` is infinity."""
    number = float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    return number if "inf" in text.lower() or abs(number) != float("inf") else None


def _joined(where: Where, path: str, text: str) -> str:
    return on_one_line(": ".join(filter(None, [str(where), path, text])))


def _shown(text: str) -> str:
    shown = repr(text) if text.isprintable() else ascii(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
