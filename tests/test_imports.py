"""Imports follow the way of the data and never run back."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("headstart", "harness", "models", "datasets", "analysis", "slurm")
ALLOWED = {
    "headstart": set(),
    "models": {"headstart"},
    "datasets": {"headstart"},
    "harness": {"headstart", "models", "datasets"},
    "analysis": {"headstart"},
    "slurm": {"headstart", "harness"},
}
# The commands that show answers call the analysis, late, as their last step.
LATE_CALLS = {
    ("harness.sweep", "analysis"),
    ("harness.notebook", "analysis"),
    ("harness.evaluate.__main__", "analysis"),
    ("harness.evaluate.of_targets", "analysis"),
    ("harness.export.card", "analysis"),
    ("harness.forecast.__main__", "analysis"),
    ("harness.watch.summary", "analysis"),
}
MAY_IMPORT_RAY = {"harness.engines.ray_tune"}
NEVER_IN_ANALYSIS = {"torch", "ray", "slurm", "torchvision", "accelerate"}
# Rooms of a package from left to right; an arrow may only point to the left. A set stands abreast.
ROOMS = {
    "harness": [
        "seeds", "sweepfile", "trials", "runfolder", "training", {"joint", "teams"}, "plan",
        {"engines", "evaluate", "hand_in", "watch"}, "options", "upkeep",
        {"init", "sweep", "status"}, {"notebook", "predict", "reference", "forecast"}, "export",
    ],
    "analysis": [
        "words", "statistics", "measures", "findings", "figures", "audit", "report",
        {"diff", "planning", "gate", "notebook", "publish"}, "__main__",
    ],
    "analysis.statistics": ["samples", "times", "pairs", "classes"],
    "analysis.measures": [
        {"trials", "conditions", "redrawn", "stopping"}, "times",
        {"pairs", "classes", "stability", "overfitting"},
    ],
    "datasets": [
        {"natural_order", "augment_settings", "folds", "group_split"}, "target", "base",
        {"split_notes", "strata"}, {"augment", "common_size",
        "corruption", "image_corruptions", "locations", "measures", "near_duplicates", "preprocess",
        "split"},
        {"as_jpeg", "as_target"}, "files", "cache", "layout", "arrays", {"images", "tables"},
        "labels", {"own", "sheet"}, "sets", "catalog", "given", {"augmented", "flat_csv"},
        {"__main__", "describe"},
    ],
    "datasets.sheet": [
        "labels", {"labels_file", "paper", "write"}, "strokes", "looks", "reading",
        {"photos", "contact"}, "hand", {"arguments", "remarks"}, "__main__",
    ],
    "models": [
        {"info", "dropout", "forms"}, {"networks", "sources"},
        {"own", "own_forward", "global_draws"}, "catalog",
        {"crossing", "delta_record", "groups", "other_files"}, "heads", "own_build", "source_build",
        {"build", "state_dicts"},
        {"nearest", "split", "weight_files"}, {"delta", "fitting"}, "weights",
        {"own_split", "imagenet", "lora", "parts", "linear_head"}, "finetune", "describe",
    ],
}  # fmt: skip


FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in FILES}


@cache
def imports_of(path: Path) -> list[tuple[str, bool]]:
    """(module, at the top of the file) of every import, those in functions and for types too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                imports.append((below if below in MODULES else str(node.module), id(node) in top))
    return imports


def room_of(module: str, package: str) -> str | None:
    """The direct child of `package` that a module lies in; None for the package itself."""
    rest = module.removeprefix(f"{package}.")
    return None if rest == module else rest.split(".")[0]


def circles(graph: dict[str, set[str]]) -> list[str]:
    """One line for each way back to a node that a walk along the arrows finds."""
    done: set[str] = set()
    lines: list[str] = []

    def visit(node: str, trail: tuple[str, ...]) -> None:
        if node in trail:
            lines.append(" → ".join([*trail[trail.index(node) :], node]))
        elif node not in done:
            for other in sorted(graph.get(node, ())):
                visit(other, (*trail, node))
            done.add(node)

    for node in sorted(graph):
        visit(node, ())
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_way_of_the_data(path):
    name = module_name(path)
    package = name.split(".")[0]
    for module, at_top in imports_of(path):
        other = module.split(".")[0]
        if other in PACKAGES and other != package and other not in ALLOWED[package]:
            assert (name, other) in LATE_CALLS, f"{name} imports {module}"
            assert not at_top, f"{name} imports {module} at the top"
        if other == "ray":
            assert name in MAY_IMPORT_RAY, f"{name} imports {module}"
        if package == "analysis":
            assert other not in NEVER_IN_ANALYSIS, f"{name} imports {module}"


def test_every_late_call_that_is_allowed_is_made():
    made = {
        (name, module.split(".")[0])
        for name, path in MODULES.items()
        for module, at_top in imports_of(path)
        if not at_top
    }
    assert made >= LATE_CALLS


def test_there_are_no_circles_between_modules():
    """Late and type-only imports count; a package's __init__ that offers its modules is none."""
    graph = {
        name: {
            module
            for module, _ in imports_of(path)
            if module in MODULES and not name.startswith(f"{module}.")
        }
        for name, path in MODULES.items()
    }
    assert circles(graph) == []


def test_a_circle_is_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b → c → b"]


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_know_only_rooms_to_their_left(package):
    place = {
        room: position
        for position, rooms in enumerate(ROOMS[package])
        for room in ([rooms] if isinstance(rooms, str) else rooms)
    }
    inside = {name: room_of(name, package) for name in MODULES}
    assert {room for room in inside.values() if room} == set(place)
    for name, room in inside.items():
        if room is not None:
            for module, _ in imports_of(MODULES[name]):
                other = room_of(module, package)
                if other is not None and other != room:
                    assert place[other] < place[room], f"{name} imports {module}"


# What statistics take of ours, beside `analysis.words` and themselves.
TAKEN_BY_STATISTICS = {
    *("headstart.errors.InputError", "headstart.errors.did_you_mean"),
    *("headstart.metrics.LOWER_IS_BETTER", "headstart.metrics.ONLY_OF_TARGETS"),
}


def test_statistics_stand_alone():
    """They know arrays: no table, no run folder, no sweep, no report; but errors, names, words."""
    taken = set()
    for name, path in MODULES.items():
        if room_of(name, "analysis") == "statistics":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                    taken |= {prefix + alias.name for alias in node.names}
    assert "pandas" not in {name.split(".")[0] for name in taken}
    ours = {name for name in taken if name.split(".")[0] in PACKAGES}
    itself = ("analysis.statistics", "analysis.words")
    assert {name for name in ours if not name.startswith(itself)} == TAKEN_BY_STATISTICS


def test_a_trial_needs_no_ray():
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'ray': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import harness.training.trial, harness.engines.local, harness.sweep\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)


def files_of_the_project():
    """The paths that git keeps, as absolute ones; outside a clone of ours this fails."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert {ROOT / "pyproject.toml", ROOT / "harness/sweep.py", Path(__file__)} <= set(paths)
    return [path for path in paths if path.is_symlink() or path.is_file()]


def test_no_file_names_a_package_registry_or_an_absolute_home():
    """A lock file with addresses, or a path of somebody's machine, must not be committed."""
    registry = ("/simp" + "le/", "--index-url http" + "s", "pyth" + "onhosted", "py" + "pi.org")
    homes = ("/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/", "/wo" + "rk/")
    for path in files_of_the_project():
        assert not path.is_symlink(), f"{path} is a link: it may lead to somebody's folder"
        content = path.read_bytes()
        if b"\0" not in content:  # else an image
            text = content.decode(errors="ignore").replace("/home/me", "")  # whom goldens are for
            for word in registry + homes:
                assert word not in text, f"{path}: {word}"


def encoding_is_named(call: ast.Call) -> bool:
    """Whether a call that reads or writes text says how; true of all other calls."""
    named = {keyword.arg for keyword in call.keywords}
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_text", "write_text"):
        n_before = {"read_text": 0, "write_text": 1}[name]
        return "encoding" in named or len(call.args) > n_before
    if name == "open" and isinstance(call.func, ast.Name):
        mode = call.args[1] if len(call.args) > 1 else ast.Constant("r")
        return "encoding" in named or "b" in ast.unparse(mode).strip("'\"")
    return "text" not in named and "universal_newlines" not in named


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_text_is_read_and_written_as_utf_8_whatever_the_locale(path):
    calls = (
        node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)
    )
    lines = [call.lineno for call in calls if not encoding_is_named(call)]
    assert not lines, f"{path}: lines {lines}: name the encoding"
