"""Which small mistakes do a module's own tests see? Killed mutants, counted on a sample.

    make mutants [MODULES="datasets/split.py …"] [N=20]        (by hand, not in CI)

A mutant is the module with one change: another operator (`<` → `<=`, `+` → `-`, `and` → `or`),
another constant (`n` → `n + 1`, `True` → `False`, another text), a condition turned round, or a
function that returns None. The tests of the module (`tests/ROOM/test_NAME.py`; the tests of the
room where that file does not exist) run on a sample of its mutants, without those marked `slow`. A
mutant is killed when a test fails or when they take much longer than on the module as it is. Texts
of messages, annotations, decorators and docstrings are not changed.

Why neither mutmut nor cosmic-ray: cosmic-ray changes the files of the working tree and starts a
process for every mutant, each of which imports torch, pandas and pydantic anew (most of its time);
mutmut writes a folder `mutants` into the working tree and draws no sample; neither makes a function
return nothing. Here a copy in a temporary folder is changed, and the parent imports the libraries
once and forks for every mutant.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import copy
import difflib
import importlib
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULES = (
    *("harness/plan/planner.py", "harness/trials/spec.py", "harness/trials/catalogue.py"),
    *("harness/runfolder/folder.py", "headstart/records.py", "headstart/archives.py"),
    *("harness/engines/queue.py", "datasets/split.py", "datasets/files/trees.py"),
    "models/groups.py",
)
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
OPPOSITES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)


@dataclass(frozen=True)
class Mutant:
    """A place in the source and the text that replaces it."""

    start: tuple[int, int]  # line from 1, byte
    end: tuple[int, int]
    text: str

    def apply(self, source: str) -> str:
        lines = source.encode().splitlines(keepends=True)
        (first, begin), (last, end) = self.start, self.end
        changed = lines[first - 1][:begin] + self.text.encode() + lines[last - 1][end:]
        return b"".join([*lines[: first - 1], changed, *lines[last:]]).decode()


def mutants(source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its nodes."""
    return [
        Mutant((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset), text)
        for node, text in _changes(ast.parse(source))
    ]


def _changes(node: Any) -> Iterator[tuple[Any, str]]:
    """(node, text in its place) for `node` and all below it."""
    yield from _changes_of(node)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "op", "ops"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_words(child):
                yield from _changes(child)


def _is_words(node: ast.AST) -> bool:
    """Texts for people, docstrings among them, and imports for type checkers alone."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and " " in node.value
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.keyword):
        return node.arg in ("example", "unit")
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.JoinedStr)


def _changes_of(node: Any) -> Iterator[tuple[Any, str]]:
    changed: Any = copy.copy(node)
    if isinstance(node, ast.BinOp | ast.BoolOp):
        changed.op = SWAPS[type(node.op)]()
        yield node, f"({ast.unparse(changed)})"
    elif isinstance(node, ast.AugAssign):
        changed.op = SWAPS[type(node.op)]()
        yield node, ast.unparse(changed)
    elif isinstance(node, ast.Compare):
        for position, op in enumerate(node.ops):
            changed.ops = [*node.ops[:position], SWAPS[type(op)](), *node.ops[position + 1 :]]
            yield node, f"({ast.unparse(changed)})"
    elif isinstance(node, ast.UnaryOp):
        yield node, f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant):
        yield from ((node, repr(value)) for value in _other(node.value))
    elif isinstance(node, ast.Return) and not _is_none(node.value):
        yield node, "return None"
    elif isinstance(node, ast.If | ast.While | ast.IfExp) and not _turns_itself(node.test):
        yield node.test, f"(not ({ast.unparse(node.test)}))"
    elif isinstance(node, ast.comprehension):
        yield from ((t, f"(not ({ast.unparse(t)}))") for t in node.ifs if not _turns_itself(t))


def _other(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        yield f"another {value}" if value else "another"


def _is_none(node: ast.AST | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _turns_itself(test: ast.AST) -> bool:
    """Whether another operator makes the opposite already, so that `not` would count it twice."""
    if isinstance(test, ast.Compare):
        return len(test.ops) == 1 and isinstance(test.ops[0], OPPOSITES)
    return isinstance(test, ast.UnaryOp)


def own_tests(module: str) -> str:
    path = Path(module)
    own = Path("tests") / path.parent / f"test_{path.stem}.py"
    return str(own if (ROOT / own).exists() else own.parent)


def copy_tree(target: Path) -> None:
    """The files that git knows or does not ignore, as they are now."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    compileall.compile_dir(target, quiet=2)


def run_tests(tree: Path, tests: str, limit_s: float) -> tuple[str, str]:
    """(`passed`, `failed` or `too long`, what pytest printed), from a process of its own."""
    log, names = tree.parent / "log", tree.parent / "imported"
    pid = os.fork()
    if pid == 0:
        _run_in_child(tree, tests, log, names)
    until = time.monotonic() + limit_s
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        late = time.monotonic() > until
        if ended or late:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # also what the tests started
            break
        time.sleep(0.02)
    if not ended:
        os.waitpid(pid, 0)
        return "too long", ""
    return "failed" if status else "passed", log.read_text(errors="replace")


def _run_in_child(tree: Path, tests: str, log: Path, names: Path) -> None:
    code = 1
    try:
        os.setsid()
        with open(log, "w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(tree)
        sys.path[:0] = [str(tree)]
        import pytest

        quick = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow")
        seeded = ("-p", "no:randomly", "--hypothesis-seed=0", f"--basetemp={tree.parent / 'tmp'}")
        code = int(pytest.main([tests, *quick, *seeded]))
        names.write_text("\n".join(_libraries()))
        sys.stdout.flush()
    finally:
        os._exit(code)


def _libraries() -> list[str]:
    modules = list(sys.modules.items())
    return [n for n, m in modules if "site-packages" in (getattr(m, "__file__", None) or "")]


def import_libraries(names: Path) -> None:
    """Import what a first run of the tests imported, so that every fork has it already."""
    for name in names.read_text().split("\n"):
        with suppress(Exception):
            importlib.import_module(name)


def examine(module: str, n: int, seed: int, tree: Path) -> tuple[int, int]:
    """Print one module's line and its survivors; returns (killed, all)."""
    target, tests = tree / module, own_tests(module)
    source = target.read_text(encoding="utf-8")
    Path(importlib.util.cache_from_source(str(target))).unlink(missing_ok=True)
    started = time.monotonic()
    first, printed = run_tests(tree, tests, 600)
    if first != "passed":
        sys.exit(f"{tests}: fails on the module as it is\n{printed[-2000:]}")
    import_libraries(tree.parent / "imported")
    began = time.monotonic()
    run_tests(tree, tests, 600)
    limit_s = 20 + 5 * (time.monotonic() - began)
    every = mutants(source)
    sample = random.Random(seed).sample(every, min(n, len(every)))
    alive = []
    for mutant in sorted(sample, key=lambda mutant: mutant.start):
        target.write_text(mutant.apply(source), encoding="utf-8")
        if run_tests(tree, tests, limit_s)[0] == "passed":
            alive.append(mutant)
    target.write_text(source, encoding="utf-8")
    killed = len(sample) - len(alive)
    share, took_s = killed / max(1, len(sample)), time.monotonic() - started
    print(f"{module}: {killed} of {len(sample)} killed, {share:.0%} "
          f"(of {len(every)} mutants; {tests}; {took_s:.0f} s)", flush=True)  # fmt: skip
    for mutant in alive:
        _show(source, mutant)
    return killed, len(sample)


def _show(source: str, mutant: Mutant) -> None:
    before, after = source.splitlines(), mutant.apply(source).splitlines()
    diff = list(difflib.unified_diff(before, after, lineterm="", n=0))[3:]
    print(f"  alive, line {mutant.start[0]}:", *diff, sep="\n    ", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Share of mutants that a module's tests kill.")
    parser.add_argument("modules", nargs="*", default=MODULES, metavar="FILE")
    parser.add_argument("-n", type=int, default=20, help="mutants a module (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default 0)")
    given = parser.parse_args(argv)
    sys.dont_write_bytecode = True  # a mutant may have the size and second of the one before
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        counts = [examine(module, given.n, given.seed, tree) for module in given.modules]
    killed, total = (sum(column) for column in zip(*counts, strict=True))
    print(f"together: {killed} of {total} killed, {killed / total:.0%}")


if __name__ == "__main__":
    main()
