"""A sweep file in, a frozen `Sweep` out, or all of the file's mistakes at once.

In: YAML text, a profile's name, `--set` assignments. Out: `settings.Sweep`. Profiles and
assignments are laid over the file before anything is checked; `file.py` says what may stand in it,
and what follows here is what one key says of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from harness.sweepfile.conditions import ConditionReader, Conditions
from harness.sweepfile.file import SweepFile
from harness.sweepfile.labels import labels_of, read_labels
from harness.sweepfile.mistakes import Mistakes
from harness.sweepfile.nodes import as_left_out, with_value, without
from harness.sweepfile.recipes import recipes_in
from harness.sweepfile.references import NO_CODE, CodePlaces, check_given, in_run_folder
from harness.sweepfile.searches import SearchReader
from harness.sweepfile.settings import Condition, DataChoice, Frame, Sweep
from harness.sweepfile.settings.search import Search
from headstart.digests import is_sealed_text, read_sealed_text
from headstart.errors import SpecError, did_you_mean
from headstart.grid import GridPoint
from headstart.output import on_one_line
from headstart.settings import Compare
from headstart.yaml12 import (
    OF_A_PERSON,
    RECORD,
    Node,
    collector_paused,
    parse_scalar_or_flow,
    parse_yaml,
    read_yaml,
)

MAX_TRIALS = 1_000_000
TOP_KEYS = tuple(SweepFile.model_fields)
Keys = tuple[str, ...]
WhyMissing = Callable[[Sequence[DataChoice]], str]  # an empty text: one of them is here
GIVEN_UP = ("evaluations",)  # keys that may still stand in a run folder's sweep.yaml


def load_sweep(
    path: Path | str,
    profile: str | None = None,
    assignments: Sequence[str] = (),
    code: Sequence[Path] = (),
    why_missing: WhyMissing | None = None,
) -> Sweep:
    """Read, override, check and freeze a sweep file.

    Args:
        profile: one of the file's `profiles`, laid over it; None for the file as it is.
        assignments: `key.path=value` texts, laid over the profile in their order.
        code: files or folders with the user's own code (`--code`), which come before the folder of
            the sweep file. A run folder's sweep.yaml needs them, since no code is taken from there.
        why_missing: says why data sets cannot be had. It is asked where the file has mistakes, so
            that they and the data that are missing are told at once.

    Raises:
        SpecError: every mistake found, in the order of the file.
        InputError: code of the user's own that only the user can give.
    """
    limits = RECORD if is_sealed_text(Path(path)) else OF_A_PERSON
    of_a_run = limits is RECORD or in_run_folder(Path(path))
    root = _with_profile(read_yaml(path, limits=limits), profile)
    for assignment in assignments:
        root = _with_assignment(root, assignment)
    places = CodePlaces(None if of_a_run else Path(path).parent, tuple(code))
    sweep = read_sweep(without(root, ("profiles",)), places, why_missing)
    for condition in (*sweep.stages.values(), *sweep.arms.values()):
        check_given(condition)
    return sweep


def load_run(folder: Path, code: Sequence[Path] = ()) -> Sweep:
    """The sweep of a run folder, which an older version may have written.

    Of its user's own code there are names and digests alone, unless `code` is given: files, or
    folders to look in.

    Raises:
        RunFolderError: its sweep.yaml is not what was written.
        SpecError: its sweep.yaml cannot be read any more.
    """
    path = folder / "sweep.yaml"
    root = parse_yaml(read_sealed_text(path), str(path), limits=RECORD)
    return read_sweep(without(root, GIVEN_UP), CodePlaces(given=tuple(code)))


@collector_paused()
def read_sweep(
    root: Node, places: CodePlaces = NO_CODE, why_missing: WhyMissing | None = None
) -> Sweep:
    """Check and freeze a sweep that is already resolved but for inheritance and `grid`.

    Raises:
        SpecError: every mistake found, in the order of the file.
    """
    mistakes = Mistakes()
    written = {key: child for key, child in root.items() if child.value is not None}
    root = as_left_out(Node(written, root.where, root.path))
    elsewhere = [key for key in TOP_KEYS if key not in Frame.model_fields]
    frame = mistakes.validate(Frame, without(root, elsewhere), whole=SweepFile)
    conditions = ConditionReader(root, mistakes, places).read()
    searches = SearchReader(root, mistakes).read(conditions)
    labels = read_labels(root, conditions, mistakes, is_record=places.folder is None)
    _check_compared(root, conditions, mistakes)
    _check_arms(root, mistakes, conditions.arms, searches)
    _check_number(root, mistakes, frame, conditions)
    if searches and frame is not None and frame.decompose:
        at = root.get("decompose") or root.get("vary") or root
        mistakes.add(
            at, "does not go with `search`: give the arms the values that it chose", at.path
        )
    if mistakes or frame is None:
        texts = mistakes.in_file_order()
        raise SpecError([*texts, *(_missing(conditions, why_missing) if why_missing else ())])
    own = {
        **{key: getattr(frame, key) for key in frame.model_fields_set},
        "choices": {**recipes_in(root), **frame.choices},
        "vary": frozenset(frame.vary),
        "compare": tuple(_over_grid(frame.compare, conditions)),
    }
    return Sweep(
        **own,
        stages=conditions.stages,
        arms=conditions.arms,
        grid_points=conditions.points,
        starts_at=conditions.starts_at,
        data_at=conditions.data_at,
        tuned_at=conditions.tuned_at,
        searches=searches,
        labels=labels,
        also_at=tuple(_places(root.get("also_test"))),
        written={**conditions.written, "": root} if conditions.written else {},
    )


def _places(sets: Node | None) -> Iterator[str]:
    """The line and key of each further test set."""
    for item in sets.value if sets is not None and isinstance(sets.value, list) else ():
        at = item.get("path") or item
        yield f"{at.where}: {at.path}"


def _missing(conditions: Conditions, why_missing: WhyMissing) -> list[str]:
    """The data that are not here of all conditions, of those with other mistakes too, each once."""
    read = {**conditions.stages, **conditions.arms}
    by_name = {**conditions.readable, **{name: each.data for name, each in read.items()}}
    reasons: dict[str, str] = {}  # to the first line of the file that names the data
    for name, choices in by_name.items():
        if choices and (reason := why_missing(choices)):
            reasons.setdefault(reason, conditions.data_at[name])
    return [on_one_line(f"{at}: {reason}") for reason, at in reasons.items()]


# -- profiles and assignments ----------------------------------------------------------------


def _with_profile(root: Node, profile: str | None) -> Node:
    profiles = root.get("profiles")
    if profiles is not None and not isinstance(profiles.value, dict):
        raise SpecError([f"{profiles.where}: profiles: a mapping of names is expected"])
    if profile is None:
        return root
    known = list(profiles.value) if profiles else []
    chosen = root.get("profiles", profile)
    if chosen is None:
        raise SpecError(
            [f"{root.where.file}: --profile {profile}: is not one of "
             f"{', '.join(known) or '(the file has no profiles)'}{did_you_mean(profile, known)}"]
        )  # fmt: skip
    prefix = f"profiles.{profile}."
    # nodes under the paths that they override; they keep their own lines
    own = chosen.changed(lambda node: Node(node.value, node.where, node.path.removeprefix(prefix)))
    for key, child in own.items():
        root = with_value(root, [key], child)
    return root


def _with_assignment(root: Node, assignment: str) -> Node:
    key, sign, text = assignment.partition("=")
    keys = key.strip().split(".")
    if not sign or not all(keys):
        raise SpecError([f"--set {assignment}: key.path=value is expected"])
    if keys[0] not in TOP_KEYS:
        near = did_you_mean(keys[0], TOP_KEYS)
        raise SpecError([f"--set {key}: {keys[0]!r} is no key of a sweep{near}"])
    if keys[0] == "grid":  # whose own keys are paths
        keys = ["grid", *filter(None, [".".join(keys[1:])])]
    return with_value(root, keys, parse_scalar_or_flow(text, "--set", key.strip()))


# -- what one key says of another ------------------------------------------------------------


def _check_compared(root: Node, conditions: Conditions, mistakes: Mistakes) -> None:
    """Whether every compared arm, or point of the grid, is there and not set against itself."""
    arms, pairs = root.get("arms"), root.get("compare")
    names = [name for name, _ in arms.items()] if arms else []
    points = [name for name, point in conditions.points.items() if point.arm in names]
    known = {*names, *points}
    by_label = {
        label: f" (that is a label; its arm is {name})" for name, label in labels_of(root).items()
    }
    for item in pairs.value if pairs and isinstance(pairs.value, list) else []:
        compared = [at for role in ("treatment", "control") if (at := item.get(role))]
        for at in compared:
            if isinstance(at.value, str) and at.value not in known:
                near = by_label.get(at.value) or did_you_mean(
                    at.value, points if "[" in at.value else names
                )
                mistakes.add(at, f"{at.value!r} is not an arm; arms: {', '.join(names)}{near}")
        both = [at.value for at in compared]
        if len(both) == 2 and both[0] == both[1]:
            mistakes.add(item, f"{both[0]!r} is compared with itself")
        elif len(both) == 2 and any(_is_point_of(conditions, *pair) for pair in (both, both[::-1])):
            text = f"{both[0]!r} and {both[1]!r} are one arm; name a point of the grid for each"
            mistakes.add(item, text)


def _is_point_of(conditions: Conditions, name: object, arm: object) -> bool:
    point = conditions.points.get(str(name))
    return point is not None and point.arm == arm and name != arm


def _check_arms(
    root: Node, mistakes: Mistakes, arms: Mapping[str, Condition], searches: Mapping[str, Search]
) -> None:
    """No two arms are alike in all that they do, and each has test images.

    Two arms may be written alike where they are searched differently, or one is not.
    """
    seen: dict[str, str] = {}
    for name, condition in arms.items():
        at = root.get("arms", name) or root
        alike = seen.setdefault(f"{condition!r} {searches.get(name)!r}", name)
        if alike != name:
            mistakes.add(at, f"is the same condition as arm {alike!r}", f"arms.{name}")
        if any(choice.split.test == 0 for choice in condition.data):
            text = "an arm needs test images; test: 0 leaves none"
            mistakes.add(at, text, f"arms.{name}")


def _check_number(
    root: Node, mistakes: Mistakes, frame: Frame | None, conditions: Conditions
) -> None:
    """Whether the plan has as few trials as tables and memory hold."""
    n_seeds = len(frame.seeds.values) if frame is not None else 0
    n_trials = n_seeds * (len(conditions.arms) + len(conditions.stages))
    if n_trials > MAX_TRIALS:
        at = root.get("seeds") or root
        mistakes.add(at, f"makes {n_trials:,} trials; at most {MAX_TRIALS:,}", "seeds")


def _over_grid(pairs: Sequence[Compare], conditions: Conditions) -> Iterator[Compare]:
    """Each pair at every grid point at which the keys that both arms depend on agree.

    Where a pair names points by their full names, these alone are compared.

    Every arm's points are grouped once, however many pairs it stands in: a sweep may have tens of
    thousands of them.
    """
    arms: dict[str, list[GridPoint]] = {}
    by_keys: dict[tuple[str, Keys], list[GridPoint]] = {}  # of an arm that has these keys
    for name in conditions.arms:
        point = conditions.points[name]
        arms.setdefault(point.arm, []).append(point)
        by_keys.setdefault((point.arm, tuple(point.values)), []).append(point)
        if point.name != point.arm:  # a pair may name it
            arms.setdefault(point.name, []).append(point)
            by_keys.setdefault((point.name, tuple(point.values)), []).append(point)

    @cache
    def by_values(arm: str, keys: Keys, shared: Keys) -> Mapping[str, Sequence[GridPoint]]:
        grouped: dict[str, list[GridPoint]] = {}
        for point in by_keys[arm, keys]:
            grouped.setdefault(_values(point, shared), []).append(point)
        return grouped

    for pair in pairs:
        named = [name for name in (pair.treatment, pair.control) if name in conditions.arms]
        if len(named) == 2 and all(conditions.points[name].values for name in named):
            yield pair
            continue
        key_sets = dict.fromkeys(tuple(point.values) for point in arms.get(pair.control, ()))
        for treatment in arms.get(pair.treatment, ()):
            for keys in key_sets:
                shared = tuple(key for key in keys if key in treatment.values)
                controls = by_values(pair.control, keys, shared)
                for control in controls.get(_values(treatment, shared), ()):
                    yield Compare(treatment=treatment.name, control=control.name)


def _values(arm: GridPoint, keys: Sequence[str]) -> str:
    return repr([arm.values[key] for key in keys])
