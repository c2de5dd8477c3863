"""Whether two run folders can be set beside each other, arm by arm, and what is not alike in them.

In: the trials, the sweep and the provenance of each. Out: what forbids to compare or to merge
them, and remarks for the top of what is made of both. It stands alone because merging, `diff` and
`gate` ask the same: nobody sees from two tables that one of them is of stand-in data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import words
from headstart.errors import RunFolderError
from headstart.settings import Measure

SIZES = {"n_train": "training", "n_validation": "validation", "n_test": "test"}
# What all trials of an arm share, and a trial's row says; sizes and the data set aside.
SHARED = (
    *("model", "fine_tune", "learning_rate", "batch_size", "n_parameters", "n_trainable"),
    *("n_classes", "image_height", "image_width", "channels", "code"),
)
SETTINGS = ("model", "train")  # keys of a sweep that all arms inherit
APART = 10**9  # added to seeds that share no draws, so that nobody pairs them
MOST_KEYS = 4  # that one line names


@dataclass(frozen=True)
class Side:
    """One of the two: its folder, its trials of stage `arm`, its sweep.yaml and provenance.json."""

    path: Path | str
    trials: pd.DataFrame
    sweep: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def of(self, arm: str) -> pd.DataFrame:
        return self.trials[self.trials["arm"].astype(str) == arm]


Sides = tuple[Side, Side]


def other_data(sides: Sides, arm: str) -> str:
    """`“a” ran on other data: x on mnist, y on glyphs (a stand-in for mnist)`; empty where not."""
    names = [_data_names(side.of(arm)) for side in sides]
    if not all(names) or names[0] == names[1]:
        return ""
    each = [f"{side.path} on {words.listed(n)}" for side, n in zip(sides, names, strict=True)]
    return f"“{arm}” ran on other data: {', '.join(each)}"


def other_content(sides: Sides, arm: str) -> str:
    """The same for data sets of one name with other images in them, or other parts of them."""
    prints = [_known(side.of(arm), "dataset_fingerprint") for side in sides]
    if all(prints) and prints[0] != prints[1]:
        name = words.listed(_data_names(sides[0].of(arm)))
        return f"“{arm}” ran on other images under one name ({name}: the fingerprints differ)"
    return _differs(sides, arm, SIZES, lambda key: f"images for {SIZES[key]}")


def other_settings(sides: Sides, arm: str) -> str:
    """`“a” has other settings: train.learning_rate 0.001 in x, 0.003 in y`; empty where not.

    Keys that only one of the two has are of a version that did not know them, or are left at their
    default: nothing is said of them.
    """
    rows = _differs(sides, arm, SHARED, words.spaced)
    left, right = (dict(_of_arm(side.sweep, arm)) for side in sides)
    keys = [key for key in left if key in right and left[key] != right[key]]
    if not keys:
        return rows
    shown = [
        f"{key} {left[key]} in {sides[0].path}, {right[key]} in {sides[1].path}"
        for key in keys[:MOST_KEYS]
    ]
    more = f" and {len(keys) - MOST_KEYS} more keys" if len(keys) > MOST_KEYS else ""
    return f"“{arm}” has other settings: {'; '.join(shown)}{more}"


def other_metric(sides: Sides) -> str:
    """`x measures accuracy, y loss`; empty where both measure the same."""
    metrics = [Measure.of_run(side.sweep.get("measure")).metric for side in sides]
    if metrics[0] == metrics[1]:
        return ""
    return f"{sides[0].path} measures {metrics[0]}, {sides[1].path} {metrics[1]}"


def other_format(sides: Sides) -> str:
    """What is said where the same settings give other numbers in the two; empty where not."""
    formats = [side.provenance.get("result_format") for side in sides]
    if None in formats or formats[0] == formats[1]:
        return ""
    return (
        f"{sides[0].path} is of result format {formats[0]}, {sides[1].path} of {formats[1]}: the "
        "same settings give other numbers there"
    )


def other_versions(sides: Sides) -> str:
    """`made with other versions: torch 2.14 in x, 2.15 in y`; empty where not."""
    left, right = (_versions(side.provenance) for side in sides)
    both = [name for name in left if name in right and left[name] != right[name]]
    if not both:
        return ""
    each = [f"{name} {left[name]} and {right[name]}" for name in both[:MOST_KEYS]]
    return f"{sides[0].path} and {sides[1].path} were made with other versions: {', '.join(each)}"


def share_draws(sides: Sides, arm: str) -> bool:
    """Whether a seed of this arm means the same draws in both: root, what varies, and data."""
    roots = [(side.sweep.get("seed"), side.sweep.get("vary")) for side in sides]
    known = all(side.sweep for side in sides)
    return known and roots[0] == roots[1] and not other_content(sides, arm)


def check_merge(sides: Sequence[Side]) -> None:
    """Refuse folders of one sweep whose arms are not the same conditions.

    Raises:
        RunFolderError: which arm is something else in two of them, and in what.
    """
    for pair in combinations(sides, 2):
        if pair[0].sweep["name"] != pair[1].sweep["name"]:
            continue  # two sweeps are two tasks
        arms = _common(pair)
        apart = [other_metric(pair), *(other_data(pair, arm) for arm in arms)]
        unlike = [other_format(pair)]
        for arm in arms:
            makers = (other_content, other_settings)
            unlike += [maker(pair, arm) for maker in makers if not _same_trial(pair, arm)]
            unlike.append(_other_trial(pair, arm))
        for reasons, advice in (
            (apart, "report them one by one"),
            (unlike, f"compare them with python -m analysis diff {pair[0].path} {pair[1].path}"),
        ):
            if reason := next(filter(None, reasons), ""):
                raise RunFolderError(
                    f"{reason}; folders of one sweep (“{pair[0].sweep['name']}”) are merged only "
                    f"where an arm is one thing in all of them: {advice}"
                )


def merge_remarks(sides: Sequence[Side]) -> Iterator[str]:
    """What must be said at the top of a report on several folders that were merged."""
    for pair in combinations(sides, 2):
        yield from filter(None, (_other_results(pair), other_versions(pair)))
        if pair[0].sweep["name"] != pair[1].sweep["name"]:
            yield from filter(None, [other_format(pair)])


def _common(sides: Sides) -> list[str]:
    """Arms that both have at the same point of a grid, in the order of the first."""
    places = [
        set(map(tuple, side.trials[["arm", "grid"]].astype(str).to_numpy())) for side in sides
    ]
    both = {arm for arm, _ in places[0] & places[1]}
    return [str(arm) for arm in dict.fromkeys(sides[0].trials["arm"]) if str(arm) in both]


def _same_trial(sides: Sides, arm: str) -> bool:
    """Whether both have a trial of one id: a hash of all that decides what the arm is."""
    ids = [set(side.of(arm)["trial_id"]) for side in sides]
    return bool(ids[0] & ids[1])


def _other_trial(sides: Sides, arm: str) -> str:
    """Seeds that both ran, as trials of other ids: something that decides their result differs."""
    keys = ["grid", "seed"]
    both = sides[0].of(arm).merge(sides[1].of(arm), on=keys, suffixes=("_a", "_b"))
    unlike = both[both["trial_id_a"] != both["trial_id_b"]]
    if unlike.empty:
        return ""
    return (
        f"“{arm}” at seed {unlike['seed'].iloc[0]} is another trial in {sides[0].path} than in "
        f"{sides[1].path} (their ids differ: another setting, seed, data or code)"
    )


def remarks_on(sides: Sides, arms: Iterable[str]) -> Iterator[str]:
    """What is not alike in two runs that are set against each other, a line each.

    Settings are left out where they are what is compared: `diff` lists them.
    """
    yield from filter(None, (other_format(sides), other_versions(sides)))
    for arm in arms:
        if text := other_content(sides, arm):
            yield f"{text}; its seeds are not paired"
        elif not share_draws(sides, arm):
            yield f"“{arm}”: seeds draw something else in the two; they are not paired"
        if text := other_settings(sides, arm):
            yield text


def _other_results(sides: Sides) -> str:
    """Trials of one id that ended in both with another result."""
    done = [side.trials[side.trials["status"] == "done"] for side in sides]
    both = done[0].merge(done[1], on="trial_id", suffixes=("_a", "_b"))
    gaps = pd.Series(0.0, index=both.index)
    for name in ("best_val_accuracy", "test_accuracy"):
        if f"{name}_a" in both:
            gaps = gaps.combine((both[f"{name}_a"] - both[f"{name}_b"]).abs().fillna(0.0), max)
    unlike = gaps[gaps > 0]
    if unlike.empty:
        return ""
    return (
        f"{words.plural(len(unlike), 'trial')} lie in {sides[0].path} and in {sides[1].path} with "
        f"other results (up to {words.points_plain(float(unlike.max()))} points apart, as other "
        f"machines give them); those of {sides[0].path} are taken"
    )


def _data_names(rows: pd.DataFrame) -> list[str]:
    """`glyphs (a stand-in for mnist)` for each data set."""
    columns = [c for c in ("dataset", "stand_in_for") if c in rows]
    pairs = rows[columns].fillna("").astype(str).drop_duplicates().to_dict("records")
    names = {
        row.get("dataset", "")
        + (f" (a stand-in for {row['stand_in_for']})" if row.get("stand_in_for") else "")
        for row in pairs
    }
    return sorted(names - {""})


def _known(rows: pd.DataFrame, column: str) -> list[Any]:
    """The values of a column that finished trials have."""
    if column not in rows:
        return []
    values = rows.loc[rows["status"] == "done", column].dropna().unique()
    return sorted(value for value in values if value != "")


def _differs(sides: Sides, arm: str, columns: Iterable[str], name: Any) -> str:
    """The first column of which the trials of an arm have other values in the two."""
    for column in columns:
        left, right = (_known(side.of(arm), column) for side in sides)
        if left and right and left != right:
            texts = [words.listed(map(_text, values)) for values in (left, right)]
            each = [f"{text} in {side.path}" for text, side in zip(texts, sides, strict=True)]
            return f"“{arm}” has other {name(column)}: {', '.join(each)}"
    return ""


def _text(value: Any) -> str:
    return f"{value:,g}" if isinstance(value, float) and abs(value) >= 1 else f"{value}"


def _of_arm(sweep: Mapping[str, Any], arm: str) -> Iterator[tuple[str, str]]:
    """What decides what an arm is, as leaves: shared settings, its own, those of its stage."""
    arms, stages = sweep.get("arms") or {}, sweep.get("pretrain") or {}
    own = arms.get(arm) or {}
    for key in SETTINGS:
        if isinstance(sweep.get(key), Mapping):
            yield from leaves(sweep[key], f"{key}.")
    stage = own.get("initialize")
    is_place = isinstance(stage, str) and "/" in stage  # of a file, which may have moved
    aside = {"data", "label", "initialize"} if is_place else {"data", "label"}
    yield from leaves({k: v for k, v in own.items() if k not in aside}, f"arms.{arm}.")
    if isinstance(stage, str) and isinstance(stages.get(stage), Mapping):
        kept = {k: v for k, v in stages[stage].items() if k != "data"}
        yield from leaves(kept, f"pretrain.{stage}.")


def leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Each value of a mapping of mappings, as text, under its path `a.b.c`."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _versions(provenance: Mapping[str, Any]) -> dict[str, str]:
    packages = provenance.get("packages")
    versions = dict(packages) if isinstance(packages, Mapping) else {}
    return {name: str(version) for name, version in versions.items() if version}
