"""Imports follow the way of the data and never run back."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("headstart", "harness", "models", "datasets", "analysis", "slurm")
ALLOWED = {
    "headstart": set(),
    "models": {"headstart"},
    "datasets": {"headstart"},
    "harness": {"headstart", "models", "datasets"},
    "analysis": {"headstart", "harness", "datasets"},
    "slurm": {"headstart", "harness"},
}
MAY_CALL_ANALYSIS = {"harness/sweep.py", "harness/evaluate.py"}  # late, inside functions
MAY_IMPORT_RAY = {"harness/run_ray.py", "harness/search.py"}
NEVER_IN_ANALYSIS = {"torch", "ray", "slurm", "torchvision", "accelerate"}
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """(module, at the top of the file) of every import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [(str(node.module), id(node) in top)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_way_of_the_data(path):
    name = str(path.relative_to(ROOT))
    package = name.split("/")[0]
    for module, at_top in imports_of(path):
        other = module.split(".")[0]
        if other in PACKAGES and other != package and other not in ALLOWED[package]:
            late_call = other == "analysis" and name in MAY_CALL_ANALYSIS and not at_top
            assert late_call, f"{name} imports {module}"
        if other == "ray":
            assert name in MAY_IMPORT_RAY, f"{name} imports {module}"
        if package == "analysis":
            assert other not in NEVER_IN_ANALYSIS, f"{name} imports {module}"


def test_there_are_no_circles_between_modules():
    graph: dict[str, set[str]] = {}
    for path in FILES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[module] = {
            other
            for other, at_top in imports_of(path)
            # a package's own name is importable in its modules: Python imports it first
            if at_top and other.split(".")[0] in PACKAGES and not module.startswith(f"{other}.")
        }
    seen: dict[str, str] = {}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join([*trail, module])
        if seen.get(module) == "done":
            return
        for other in graph.get(module, ()):
            visit(other, (*trail, module))
        seen[module] = "done"

    for module in graph:
        visit(module, ())


def test_a_trial_needs_no_ray():
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'ray': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import harness.trial, harness.run_local, harness.sweep\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)


def test_no_file_names_a_package_registry_or_an_absolute_home():
    """A lock file with addresses, or a path of somebody's machine, must not be committed."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    for name in listed:
        path = ROOT / name
        if path.suffix in (".py", ".txt", ".toml", ".md", ".yaml", ".cfg", "") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="ignore")
            for word in ("/simp" + "le/", "--index-url http" + "s", "pyth" + "onhosted"):
                assert word not in text, f"{name}: {word}"
