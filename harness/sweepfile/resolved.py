"""A sweep as resolved, written out: what `sweep.yaml` in a run folder holds.

In: a frozen `Sweep`. Out: YAML text with profile, assignments and grid written out and every
default filled in, so that a reader needs none. What all arms have in common stands once, so that a
grid of thousands of arms is a small file. The text is a sweep file itself and reads to an equal
`Sweep`, but for `grid_points` and for passwords in addresses, which are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import BaseModel

from harness.sweepfile.settings import Condition, DataChoice, ModelChoice, Sweep
from headstart.private import without_passwords

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # for grids of thousands of arms
Written = dict[str, Any]  # keys and values as the file has them
OF_THE_TARGET = ("loss", "select")  # of `train`, whose defaults each kind of target has its own of


def resolved_yaml(sweep: Sweep) -> str:
    """The text of a sweep file in which arms and stages write out all that is their own."""
    stages = {
        name: {**_condition(stage), "shared": stage.shared} for name, stage in sweep.stages.items()
    }
    arms = {name: _condition(arm) for name, arm in sweep.arms.items()}
    for name, label in sweep.labels.items():
        arms[name] = {"label": label, **arms[name]}
    for name, search in sweep.searches.items():
        arms[name]["search"] = search.model_dump(mode="json", exclude_none=True)
    common = _take_common([*arms.values()], [*stages.values()])
    seeds = sweep.seeds
    content: Written = {
        "name": sweep.name,
        "question": sweep.question,
        **common,
        **({"pretrain": stages} if stages else {}),
        **({"why": sweep.why} if sweep.why else {}),
        **({"choices": dict(sweep.choices)} if sweep.choices else {}),
        "arms": arms,
        "seeds": {k: v for k, v in _plain(seeds).items() if k != "values" and v is not None}
        if seeds.until
        else list(seeds.values),
        "seed": sweep.seed,
        "vary": sorted(sweep.vary),
        **({"decompose": sweep.decompose} if sweep.decompose else {}),
        **({"refit": True} if sweep.refit else {}),
        "compare": [_plain(pair) for pair in sweep.compare],
        **({"also_test": [each.written() for each in sweep.also_test]} if sweep.also_test else {}),
        **{key: _plain(getattr(sweep, key)) for key in ("measure", "resources", "save")},
        "track": list(sweep.track),
        "deliver": _plain(sweep.deliver),
    }
    text = yaml.dump(content, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=100)
    return without_passwords(text)


def _plain(settings: BaseModel) -> Written:
    return settings.model_dump(mode="json")


def _condition(condition: Condition) -> Written:
    return {
        "model": _model(condition.model),
        "data": _data_of(condition),
        "train": _train(condition),
        "initialize": condition.start.written(),
        "fine_tune": condition.fine_tune,
        "head": condition.head,
    }


def _train(condition: Condition) -> Written:
    """With a target, what is left out is what the target says, and not what classes have."""
    train = _plain(condition.train)
    if any(choice.options.target is not None for choice in condition.data):
        for name in OF_THE_TARGET:
            if train[name] == type(condition.train).model_fields[name].default:
                del train[name]
    return train


def _model(choice: ModelChoice) -> Written:
    options = _plain(choice.options)
    if choice.options.normalise is None:
        del options["normalise"]
    return {"name": choice.name, **options}


def _take_common(arms: Sequence[Written], stages: Sequence[Written]) -> Written:
    """Take out what conditions inherit alike: `model`, `data`, and each key of `train`."""
    common = _take_equal(arms, stages, ("model", "data"))
    trains, others = ([each["train"] for each in conditions] for conditions in (arms, stages))
    if train := _take_equal(trains, others, tuple(trains[0])):
        common["train"] = train
    for condition in (*arms, *stages):
        if not condition["train"]:
            del condition["train"]
    return common


def _take_equal(arms: Sequence[Written], stages: Sequence[Written], keys: Sequence[str]) -> Written:
    """Take out those of the keys that have one value in all arms; stages may have another one."""
    first = arms[0]
    values = {
        key: first[key]
        for key in keys
        if all(key in arm and arm[key] == first[key] for arm in arms)
        and all(
            key == "data" or (key in stage and _replaces(stage[key], first[key]))
            for stage in stages
        )
    }
    for mapping in (*arms, *stages):
        for key, value in values.items():
            if mapping[key] == value:
                del mapping[key]
    return values


def _replaces(value: object, inherited: object) -> bool:
    """Whether nothing of an inherited value is left where this one is laid over it."""
    if not isinstance(value, dict) or not isinstance(inherited, dict):
        return True
    return all(key in value and _replaces(value[key], below) for key, below in inherited.items())


def _data_of(condition: Condition) -> Written:
    """Of several sets `optional` is always said: a record without it is of an older version."""
    if len(condition.data) == 1:
        return _data(condition.data[0])
    return {"first_of": [{**_data(each), "optional": each.optional} for each in condition.data]}


def _data(choice: DataChoice) -> Written:
    split = choice.split.model_dump(mode="json", exclude_none=True)
    return {"name": choice.name, **_plain(choice.options), **split}
